/**
 * A flash bank on a vCPU's thread. While the chip shows its array the bank is memory that can be read and executed (stage 2),
 * and only writes come here; with the first command the guest loses the mapping, and with the return to the array it gets
 * it back (ADR 105). Loads and stores of 8 and 16 bytes are two and four bus cycles.
 */
import type { FrontEndFactory, FrontEndServices } from '../../actors/shared-state/mmio/front-end.js';
import { STAGE2_RIGHTS } from '../../actors/shared-state/stage2/stage2-map.js';
import { SharedRegisters } from '../registers/shared-registers.js';
import { CfiFlash, FLASH_STATUS } from './cfi-flash.js';
import { BANK_BYTES } from './cfi-table.js';
import { FlashBlock, type FlashShared } from './flash-block.js';

/** What the front end needs. */
export interface FlashFrontEndConfig {
  readonly shared: FlashShared;
  /** The machine's memory, where the bank's content lies in it, and what address the guest sees it at. */
  readonly memory: WebAssembly.Memory;
  readonly host: number;
  readonly ipa: number;
  readonly isWritable: boolean;
  /** Who keeps what is written; 0: nobody, it is gone with the machine. */
  readonly keeper: number;
}

/** How long a vCPU waits for a keeper when its guest does not look at the status register. */
const KEEPER_MS_MAX = 2_000;

/** Rights while the chip shows its array. */
export const ARRAY_RIGHTS = STAGE2_RIGHTS.read | STAGE2_RIGHTS.execute;

class FlashFrontEnd {
  readonly #block: FlashBlock;
  readonly #flash: CfiFlash;
  readonly #shared: SharedRegisters<CfiFlash['state']>;
  readonly #services: FrontEndServices;
  readonly #ipa: number;

  constructor(config: FlashFrontEndConfig, services: FrontEndServices) {
    const { shared, memory, host, ipa, isWritable, keeper } = config;
    const block = new FlashBlock(shared.block);
    this.#block = block;
    this.#services = services;
    this.#ipa = ipa;
    this.#flash = new CfiFlash({
      array: new Uint8Array(memory.buffer, host, BANK_BYTES),
      buffer: block.buffer,
      isWritable,
      store(offset, bytes, kind) {
        if (keeper === 0) return;
        block.ask(offset, bytes, kind);
        services.ring(keeper);
      },
      isStored: () => block.isStored,
    });
    this.#shared = new SharedRegisters(shared.registers, this.#flash.state);
  }

  read(offset: number, bytes: number): bigint {
    if (bytes > 4) return (this.read(offset + 4, bytes - 4) << 32n) | this.read(offset, 4);
    return BigInt(
      this.#shared.with(() => {
        this.#takeFaults();
        return this.#flash.read(offset, bytes);
      }),
    );
  }

  write(offset: number, bytes: number, value: bigint): void {
    if (bytes > 4) {
      this.write(offset, 4, BigInt.asUintN(32, value));
      this.write(offset + 4, bytes - 4, value >> 32n);
      return;
    }
    // A guest that does not wait for the chip, which QEMU's never asks for, is made to. Not under the lock: others may look.
    const isKept = this.#block.wait(KEEPER_MS_MAX);
    const wasArray = this.#shared.with(() => {
      const before = this.#flash.isArray;
      this.#takeFaults();
      if (isKept || this.#block.isStored) this.#flash.write(offset, bytes, Number(BigInt.asUintN(32, value)));
      else this.#flash.state.status |= FLASH_STATUS.programError;
      return before;
    });
    this.#showMode(wasArray);
  }

  #takeFaults(): void {
    this.#flash.state.status |= this.#block.takeFaults();
  }

  /** Maps or unmaps the array until the mapping is that of the mode, which another vCPU may be changing too. */
  #showMode(wasArray: boolean): void {
    let shown = wasArray;
    for (;;) {
      const isArray = this.#shared.with(() => this.#flash.isArray);
      if (isArray === shown) return;
      this.#services.setRights(this.#ipa, BANK_BYTES, isArray ? ARRAY_RIGHTS : 0);
      shown = isArray;
    }
  }
}

const flashFrontEnd: FrontEndFactory = (config, services) =>
  // WHY: the machine builder made the config for this module.
  new FlashFrontEnd(config as FlashFrontEndConfig, services);
export default flashFrontEnd;
