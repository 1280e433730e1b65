/**
 * A {@link BareMetalMachine} with the flash of QEMU's `virt`: two banks behind the product's own front ends, one with the firmware's
 * program, which cannot be written, one for its variables. In one thread, so that thousands of images can be tried.
 */
import type { FrontEnd } from '../../actors/shared-state/mmio/front-end.js';
import { STAGE2_RIGHTS } from '../../actors/shared-state/stage2/stage2-map.js';
import { WANT, type Want } from '../../cpu/mmu/translator.js';
import { BANK_BYTES } from '../../devices/flash/cfi-table.js';
import flashFrontEnd, { ARRAY_RIGHTS } from '../../devices/flash/flash.front-end.js';
import { createFlashShared } from '../../devices/flash/flash-block.js';
import { faultSentence } from '../../devices/machine/boot-fault.js';
import { planBoot } from '../../devices/machine/boot-plan.js';
import { MEMORY_MAP } from '../../devices/machine/memory-map.js';
import { BareMetalMachine } from '../drivers/bare-metal-machine.js';
import { frontEndServices } from '../drivers/front-end-services.js';

/** RAM that the firmware finds. */
const RAM_MIB = 128;
const BANK_MIB = BANK_BYTES >> 20;
const GUARD_MIB = 1;
const PAGE = 4096;
const CANARY = 0xa5;
const { base: FLASH_BASE, sizeBytes: FLASH_BYTES } = MEMORY_MAP.flash;
const RIGHT: Readonly<Record<Want, number>> = {
  [WANT.read]: STAGE2_RIGHTS.read,
  [WANT.write]: STAGE2_RIGHTS.write,
  [WANT.execute]: STAGE2_RIGHTS.execute,
};
const refused = async () => ({ ok: false, error: 'firmware is not compressed' }) as const;

interface Bank {
  readonly frontEnd: FrontEnd;
  readonly host: number;
  rights: number;
}

/** See the head of this file. */
export class FirmwareMachine extends BareMetalMachine {
  readonly #ramAt: number;
  readonly #banks: readonly Bank[];

  private constructor() {
    // Behind the RAM that the guest has: a guard, the banks, and a guard.
    super(RAM_MIB + 2 * GUARD_MIB + 2 * BANK_MIB, { jit: false, mapped: false });
    this.#ramAt = super.frame(MEMORY_MAP.ramBase / PAGE);
    this.#banks = [0, 1].map((n) => this.#bank(n));
    for (const at of this.#guards) this.bytes.fill(CANARY, at, at + (GUARD_MIB << 20));
  }

  /** A machine that is about to start `firmware`, with `variables` in the second bank; the refusal of a plan is a sentence. */
  static async make(firmware: Uint8Array, variables: Uint8Array): Promise<FirmwareMachine | string> {
    const machine = { cpus: 1, ramBytes: RAM_MIB << 20, virtioSlots: [], hasFirmware: true, pmu: false };
    const request = {
      machine,
      firmware: { file: 'firmware', bytes: firmware },
      bootArguments: '',
      acpi: 'off',
    } as const;
    const plan = await planBoot(request, { gzip: refused, xz: refused, zstd: refused });
    if (!plan.ok) return faultSentence(plan.error);
    const made = new FirmwareMachine();
    const [program, store] = made.#banks;
    for (const { ipa, bytes } of plan.value.placements) {
      if (ipa >= MEMORY_MAP.ramBase) made.load(ipa, bytes);
      else made.bytes.set(bytes, (program?.host ?? 0) + ipa - FLASH_BASE);
    }
    made.bytes.set(variables.subarray(0, BANK_BYTES), store?.host ?? 0);
    made.core.reset(BigInt(plan.value.entry), plan.value.registers[0]);
    return made;
  }

  #bank(n: number): Bank {
    const host = this.#ramAt + ((RAM_MIB + GUARD_MIB + n * BANK_MIB) << 20);
    const ipa = FLASH_BASE + n * BANK_BYTES;
    const config = { shared: createFlashShared(), memory: this.memory, host, ipa, isWritable: n === 1, keeper: 0 };
    const services = frontEndServices({
      setRights: (at, _bytes, rights) => {
        const bank = this.#bankAt(at);
        if (bank === undefined) throw new Error('rights of something else were changed');
        bank.rights = rights;
        this.core.invalidateStage2();
      },
    });
    const frontEnd = flashFrontEnd(config, services);
    return { frontEnd, host, rights: ARRAY_RIGHTS };
  }

  get #guards(): readonly number[] {
    return [RAM_MIB, RAM_MIB + GUARD_MIB + 2 * BANK_MIB].map((mib) => this.#ramAt + (mib << 20));
  }
  /** Whether memory that the guest does not have is as it was. */
  get isContained(): boolean {
    return this.#guards.every((at) => this.bytes.subarray(at, at + (GUARD_MIB << 20)).every((byte) => byte === CANARY));
  }

  #bankAt(ipa: number): Bank | undefined {
    return ipa >= FLASH_BASE && ipa < FLASH_BASE + FLASH_BYTES
      ? this.#banks[Math.floor((ipa - FLASH_BASE) / BANK_BYTES)]
      : undefined;
  }

  override frame(ipaPage: number, want: Want = WANT.read): number {
    const ipa = ipaPage * PAGE;
    const bank = this.#bankAt(ipa);
    if (bank !== undefined)
      return (bank.rights & RIGHT[want]) === 0 ? -1 : bank.host + ((ipa - FLASH_BASE) % BANK_BYTES);
    return ipa < MEMORY_MAP.ramBase + (RAM_MIB << 20) ? super.frame(ipaPage) : -1;
  }
  override read(ipa: number, bytes: number): bigint | undefined {
    const bank = this.#bankAt(ipa);
    return bank === undefined ? super.read(ipa, bytes) : bank.frontEnd.read((ipa - FLASH_BASE) % BANK_BYTES, bytes);
  }
  override write(ipa: number, bytes: number, value: bigint): boolean {
    const bank = this.#bankAt(ipa);
    if (bank === undefined) return super.write(ipa, bytes, value);
    bank.frontEnd.write((ipa - FLASH_BASE) % BANK_BYTES, bytes, value);
    return true;
  }
}
