/** A flash bank in memory of its own, with a keeper when asked for, driven through its front end as a vCPU does. */

import type { FrontEnd } from '../../actors/shared-state/mmio/front-end.js';
import { BANK_BYTES } from '../../devices/flash/cfi-table.js';
import flashFrontEnd from '../../devices/flash/flash.front-end.js';
import { createFlashShared, FlashBlock } from '../../devices/flash/flash-block.js';
import { frontEndServices } from './front-end-services.js';

const GUARD_BYTES = 1 << 20;
const CANARY = 0xa5;
const IPA = 0x0400_0000;
const KEEPER = 9;

/** See the head of this file. */
export class FlashDriver {
  /** The bank's content. */
  readonly array: Uint8Array;
  readonly block: FlashBlock;
  /** Rights the guest has to the bank. */
  rights = 5;
  rings = 0;
  readonly frontEnd: FrontEnd;
  readonly #guards: readonly Uint8Array[];

  constructor({ isWritable = true, hasKeeper = false } = {}) {
    const pages = (BANK_BYTES + 2 * GUARD_BYTES) / 65_536;
    const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
    this.array = new Uint8Array(memory.buffer, GUARD_BYTES, BANK_BYTES);
    this.#guards = [0, GUARD_BYTES + BANK_BYTES].map((at) => new Uint8Array(memory.buffer, at, GUARD_BYTES));
    for (const guard of this.#guards) guard.fill(CANARY);
    const shared = createFlashShared();
    this.block = new FlashBlock(shared.block);
    const config = { shared, memory, host: GUARD_BYTES, ipa: IPA, isWritable, keeper: hasKeeper ? KEEPER : 0 };
    const services = frontEndServices({
      ring: () => {
        this.rings++;
      },
      setRights: (ipa, bytes, rights) => {
        if (ipa !== IPA || bytes !== BANK_BYTES) throw new Error('rights of something else were changed');
        this.rights = rights;
      },
    });
    this.frontEnd = flashFrontEnd(config, services);
  }

  write(offset: number, bytes: number, value: number | bigint): void {
    this.frontEnd.write(offset, bytes, BigInt(value));
  }
  read(offset: number, bytes = 4): number {
    return Number(this.frontEnd.read(offset, bytes));
  }
  /** A command to both chips. */
  command(offset: number, command: number): void {
    this.write(offset, 4, (command << 16) | command);
  }
  /** Whether memory outside the bank is as it was. */
  get isContained(): boolean {
    return this.#guards.every((guard) => guard.every((byte) => byte === CANARY));
  }
}
