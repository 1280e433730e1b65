/**
 * GICv3 distributor and redistributor registers (Arm IHI 0069, 12.9 and 12.11). Accesses are 32-bit except priorities
 * (bytes too) and GICD_IROUTER, GICR_TYPER (64-bit or halves). What is not implemented reads as zero and ignores writes.
 */

import type { Gic, InterruptField } from './gic.js';

/** Size of the distributor's register frame in bytes. */
export const GICD_BYTES = 0x1_0000;
/** Size of one redistributor: RD_base and SGI_base frames. */
export const GICR_BYTES = 0x2_0000;

/** GICv3, product and revision ours, implementer Arm (so that drivers match it as they match QEMU's). */
const IIDR = 0x0000_043b;
const PIDR2_ARCHITECTURE_3 = 0x3b;
const PIDR2 = 0xffe8;
const SGI_FRAME = 0x1_0000;

/** Banks of one-bit-per-interrupt registers: where they start, which field they show, what a written 1 does. */
const BIT_BANKS: readonly { at: number; field: InterruptField; write: 'assign' | 'set' | 'clear' }[] = [
  { at: 0x080, field: 'group', write: 'assign' },
  { at: 0x100, field: 'enabled', write: 'set' },
  { at: 0x180, field: 'enabled', write: 'clear' },
  { at: 0x200, field: 'pending', write: 'set' },
  { at: 0x280, field: 'pending', write: 'clear' },
  { at: 0x300, field: 'active', write: 'set' },
  { at: 0x380, field: 'active', write: 'clear' },
];

/** Registers of a VM's GICv3. `cpu` is the redistributor's vCPU; the distributor ignores private interrupts. */
export class GicRegisters {
  readonly #gic: Gic;

  constructor(gic: Gic) {
    this.#gic = gic;
  }

  /** Reads `bytes` bytes at `offset` of the distributor. */
  readDistributor(offset: number, bytes: number): bigint {
    return this.#gic.locked(() => {
      const gic = this.#gic;
      if (offset === 0x0000) return BigInt(gic.control);
      if (offset === 0x0004) return BigInt((gic.interrupts / 32 - 1) | ((gic.cpus - 1) << 5) | (9 << 19) | (1 << 25));
      if (offset === 0x0008) return BigInt(IIDR);
      if (offset === PIDR2) return BigInt(PIDR2_ARCHITECTURE_3);
      if (offset >= 0x6000 && offset < 0x8000) return this.#readRoute(offset, bytes);
      return BigInt(this.#readBank(0, offset, bytes, 32) >>> 0);
    });
  }

  /** Writes the distributor. */
  writeDistributor(offset: number, bytes: number, value: bigint): void {
    const gic = this.#gic;
    gic.locked(() => {
      if (offset === 0x0000) gic.control = Number(BigInt.asUintN(32, value));
      else if (offset >= 0x6000 && offset < 0x8000) this.#writeRoute(offset, value);
      else this.#writeBank(0, offset, bytes, Number(BigInt.asUintN(32, value)), 32);
    });
    gic.wakeAll();
  }

  /** Reads `bytes` bytes at `offset` of vCPU `cpu`'s redistributor; `isLast`: whether it says that none follows it. */
  readRedistributor(cpu: number, offset: number, bytes: number, isLast = cpu === this.#gic.cpus - 1): bigint {
    return this.#gic.locked(() => {
      const gic = this.#gic;
      if (offset === 0x0004) return BigInt(IIDR);
      if (offset === 0x0008 || offset === 0x000c) {
        const last = isLast ? 1n << 4n : 0n;
        const affinity = BigInt(gic.cpuWord(cpu, 'affinity'));
        const typer = (affinity << 32n) | (BigInt(cpu) << 8n) | last;
        if (offset === 0x000c) return typer >> 32n;
        return bytes === 8 ? typer : BigInt.asUintN(32, typer);
      }
      if (offset === 0x0014) return BigInt(gic.cpuWord(cpu, 'waker'));
      if (offset === PIDR2) return BigInt(PIDR2_ARCHITECTURE_3);
      if (offset < SGI_FRAME) return 0n;
      return BigInt(this.#readBank(cpu, offset - SGI_FRAME, bytes, 0) >>> 0);
    });
  }

  /** Writes vCPU `cpu`'s redistributor. */
  writeRedistributor(cpu: number, offset: number, bytes: number, value: bigint): void {
    const gic = this.#gic;
    const word = Number(BigInt.asUintN(32, value));
    gic.locked(() => {
      // ChildrenAsleep (bit 2) follows ProcessorSleep (bit 1) at once.
      if (offset === 0x0014) gic.setCpuWord(cpu, 'waker', (word & 2) !== 0 ? 6 : 0);
      else if (offset >= SGI_FRAME) this.#writeBank(cpu, offset - SGI_FRAME, bytes, word, 0);
    });
    gic.wakeTargets(0, cpu);
  }

  /** Interrupt number a bank offset addresses, or -1 when the frame does not implement it. */
  #interruptAt(index: number, firstOwned: number): number {
    const last = firstOwned === 0 ? 32 : this.#gic.interrupts;
    return index >= firstOwned && index < last ? index : -1;
  }

  #readBank(cpu: number, offset: number, bytes: number, firstOwned: number): number {
    const gic = this.#gic;
    const bank = BIT_BANKS.find(({ at }) => offset >= at && offset < at + 0x80);
    if (bank !== undefined) {
      const first = this.#interruptAt((offset - bank.at) * 8, firstOwned);
      if (first < 0 || (offset & 3) !== 0) return 0;
      return bank.field === 'pending' ? gic.pendingBits(cpu, first) : gic.bits(bank.field, cpu, first);
    }
    if (offset >= 0x400 && offset < 0x800) {
      let value = 0;
      for (let i = 0; i < Math.min(bytes, 4); i++) {
        const interrupt = this.#interruptAt(offset - 0x400 + i, firstOwned);
        if (interrupt >= 0) value |= gic.priority(cpu, interrupt) << (8 * i);
      }
      return value;
    }
    if (offset >= 0xc00 && offset < 0xd00 && (offset & 3) === 0) {
      const first = this.#interruptAt((offset - 0xc00) * 4, firstOwned);
      if (first < 0) return 0;
      const edges = gic.bits('edge', cpu, first & ~31) >>> (first & 16);
      let value = 0;
      for (let i = 0; i < 16; i++) if (((edges >> i) & 1) === 1) value |= 2 << (2 * i);
      return value;
    }
    return 0;
  }

  #writeBank(cpu: number, offset: number, bytes: number, value: number, firstOwned: number): void {
    const gic = this.#gic;
    const bank = BIT_BANKS.find(({ at }) => offset >= at && offset < at + 0x80);
    if (bank !== undefined) {
      const first = this.#interruptAt((offset - bank.at) * 8, firstOwned);
      if (first < 0 || (offset & 3) !== 0) return;
      if (bank.write === 'assign') gic.setBits(bank.field, cpu, first, ~0, value);
      else gic.setBits(bank.field, cpu, first, value, bank.write === 'set' ? ~0 : 0);
      return;
    }
    if (offset >= 0x400 && offset < 0x800) {
      for (let i = 0; i < Math.min(bytes, 4); i++) {
        const interrupt = this.#interruptAt(offset - 0x400 + i, firstOwned);
        if (interrupt >= 0) gic.setPriority(cpu, interrupt, value >>> (8 * i));
      }
      return;
    }
    if (offset >= 0xc00 && offset < 0xd00 && (offset & 3) === 0) {
      const first = this.#interruptAt((offset - 0xc00) * 4, firstOwned);
      if (first < 16) return; // SGIs are always edge-triggered
      let edges = 0;
      for (let i = 0; i < 16; i++) if (((value >> (2 * i + 1)) & 1) === 1) edges |= 1 << i;
      gic.setBits('edge', cpu, first & ~31, 0xffff << (first & 16), edges << (first & 16));
    }
  }

  #readRoute(offset: number, bytes: number): bigint {
    const interrupt = (offset - 0x6000) >> 3;
    if (interrupt < 32 || interrupt >= this.#gic.interrupts || (offset & 7) !== 0) return 0n;
    void bytes; // affinity 3 is always zero, so both widths read the same
    return BigInt(this.#gic.route(interrupt) >>> 0);
  }

  #writeRoute(offset: number, value: bigint): void {
    const interrupt = (offset - 0x6000) >> 3;
    if (interrupt < 32 || interrupt >= this.#gic.interrupts || (offset & 7) !== 0) return;
    this.#gic.setRoute(interrupt, Number(BigInt.asIntN(32, value)));
  }
}
