/**
 * The GICv3 CPU interface of one vCPU: the ICC_*_EL1 system registers (Arm IHI 0069, chapter 12.2). The system-register
 * table hands accesses here; state is in shared memory because another vCPU's SGI must find it.
 */
import { type Gic, PRIORITY_SHIFT, SPURIOUS } from './gic.js';

const IDLE_PRIORITY = 0xff;
/** ICC_CTLR_EL1: 5 priority bits, 16 identifier bits, no affinity 3, range selector absent. */
const CONTROL_FIXED = (4 << 8) | (0 << 11);
/** Its bits that can be written. */
export const ICC_CONTROL = { commonBinaryPoint: 1 << 0, eoiMode: 1 << 1 } as const;

/** Registers by name, as the system-register table knows them. */
export type IccRegister =
  | 'ICC_PMR_EL1'
  | 'ICC_IAR0_EL1'
  | 'ICC_IAR1_EL1'
  | 'ICC_EOIR0_EL1'
  | 'ICC_EOIR1_EL1'
  | 'ICC_HPPIR0_EL1'
  | 'ICC_HPPIR1_EL1'
  | 'ICC_BPR0_EL1'
  | 'ICC_BPR1_EL1'
  | 'ICC_DIR_EL1'
  | 'ICC_RPR_EL1'
  | 'ICC_SGI0R_EL1'
  | 'ICC_SGI1R_EL1'
  | 'ICC_ASGI1R_EL1'
  | 'ICC_CTLR_EL1'
  | 'ICC_SRE_EL1'
  | 'ICC_IGRPEN0_EL1'
  | 'ICC_IGRPEN1_EL1'
  | 'ICC_AP0R0_EL1'
  | 'ICC_AP1R0_EL1';

/** Which interrupt signals the CPU interface asserts. */
export interface InterruptSignals {
  readonly irq: boolean;
  readonly fiq: boolean;
}

/** See the head of this file. */
export class GicCpuInterface {
  readonly #gic: Gic;
  readonly #cpu: number;

  constructor(gic: Gic, cpu: number) {
    this.#gic = gic;
    this.#cpu = cpu;
  }

  /** The signals now: group 1 is IRQ, group 0 is FIQ. */
  signals(): InterruptSignals {
    return this.#gic.locked(() => {
      const interrupt = this.#takeable();
      const group = interrupt === SPURIOUS ? undefined : this.#gic.groupOf(this.#cpu, interrupt);
      return { irq: group === 1, fiq: group === 0 };
    });
  }

  /** Running priority: that of the most urgent active interrupt, 0xff when none is active. */
  #runningPriority(): number {
    const gic = this.#gic;
    const active = gic.cpuWord(this.#cpu, 'activePriorities0') | gic.cpuWord(this.#cpu, 'activePriorities1');
    if (active === 0) return IDLE_PRIORITY;
    return (31 - Math.clz32(active & -active)) << PRIORITY_SHIFT;
  }

  /** Mask of the group-priority bits for interrupts of `group` (IHI 0069, 4.8.3). */
  #groupMask(group: 0 | 1): number {
    if (group === 0 || this.#isCommonBinaryPoint) return (0xff << (this.#binaryPoint0() + 1)) & 0xff;
    return (0xff << this.#binaryPoint1()) & 0xff;
  }
  get #isCommonBinaryPoint(): boolean {
    return (this.#gic.cpuWord(this.#cpu, 'control') & ICC_CONTROL.commonBinaryPoint) !== 0;
  }
  #binaryPoint0(): number {
    return Math.max(PRIORITY_SHIFT - 1, this.#gic.cpuWord(this.#cpu, 'binaryPoint0'));
  }
  #binaryPoint1(): number {
    return Math.max(PRIORITY_SHIFT, this.#gic.cpuWord(this.#cpu, 'binaryPoint1'));
  }

  /** The interrupt that is signalled now, or SPURIOUS. */
  #takeable(): number {
    const gic = this.#gic;
    const interrupt = gic.highestPending(this.#cpu);
    if (interrupt === SPURIOUS) return SPURIOUS;
    const group = gic.groupOf(this.#cpu, interrupt);
    const priority = gic.priority(this.#cpu, interrupt);
    if (priority >= gic.cpuWord(this.#cpu, 'priorityMask')) return SPURIOUS;
    const running = this.#runningPriority();
    const mask = this.#groupMask(group);
    if (running !== IDLE_PRIORITY && (priority & mask) >= (running & mask)) return SPURIOUS;
    return interrupt;
  }

  /** Reads a register. */
  read(register: IccRegister): number {
    return this.#gic.locked(() => this.#read(register));
  }

  #read(register: IccRegister): number {
    const gic = this.#gic;
    const cpu = this.#cpu;
    switch (register) {
      case 'ICC_PMR_EL1':
        return gic.cpuWord(cpu, 'priorityMask');
      case 'ICC_IAR0_EL1':
        return this.#acknowledge(0);
      case 'ICC_IAR1_EL1':
        return this.#acknowledge(1);
      case 'ICC_HPPIR0_EL1':
        return this.#ofGroup(0, gic.highestPending(cpu));
      case 'ICC_HPPIR1_EL1':
        return this.#ofGroup(1, gic.highestPending(cpu));
      case 'ICC_BPR0_EL1':
        return this.#binaryPoint0();
      case 'ICC_BPR1_EL1':
        return this.#isCommonBinaryPoint ? Math.min(7, this.#binaryPoint0() + 1) : this.#binaryPoint1();
      case 'ICC_RPR_EL1':
        return this.#runningPriority();
      case 'ICC_CTLR_EL1':
        return gic.cpuWord(cpu, 'control') | CONTROL_FIXED;
      case 'ICC_SRE_EL1':
        return 7; // the system-register interface is the only one
      case 'ICC_IGRPEN0_EL1':
        return gic.cpuWord(cpu, 'groupEnable0');
      case 'ICC_IGRPEN1_EL1':
        return gic.cpuWord(cpu, 'groupEnable1');
      case 'ICC_AP0R0_EL1':
        return gic.cpuWord(cpu, 'activePriorities0');
      case 'ICC_AP1R0_EL1':
        return gic.cpuWord(cpu, 'activePriorities1');
      default:
        return 0; // write-only
    }
  }

  /** `interrupt` as the register of `group` shows it: an interrupt of the other one is not there. */
  #ofGroup(group: 0 | 1, interrupt: number): number {
    return interrupt !== SPURIOUS && this.#gic.groupOf(this.#cpu, interrupt) === group ? interrupt : SPURIOUS;
  }

  /** IAR: the interrupt becomes active, its latched pending state ends. */
  #acknowledge(group: 0 | 1): number {
    const gic = this.#gic;
    const cpu = this.#cpu;
    const interrupt = this.#ofGroup(group, this.#takeable());
    if (interrupt === SPURIOUS) return SPURIOUS;
    const first = interrupt & ~31;
    const mask = 1 << (interrupt & 31);
    gic.setBits('active', cpu, first, mask, mask);
    gic.setBits('pending', cpu, first, mask, 0);
    const level = (gic.priority(cpu, interrupt) & this.#groupMask(group)) >> PRIORITY_SHIFT;
    const field = group === 0 ? 'activePriorities0' : 'activePriorities1';
    gic.setCpuWord(cpu, field, gic.cpuWord(cpu, field) | (1 << level));
    return interrupt;
  }

  /** Writes a register; `value` is the low 64 bits as a bigint. */
  write(register: IccRegister, value: bigint): void {
    if (register === 'ICC_SGI1R_EL1' || register === 'ICC_SGI0R_EL1' || register === 'ICC_ASGI1R_EL1') {
      this.#sendSgi(value, register === 'ICC_ASGI1R_EL1' ? undefined : register === 'ICC_SGI1R_EL1' ? 1 : 0);
      return;
    }
    this.#gic.locked(() => this.#write(register, Number(BigInt.asUintN(32, value))));
  }

  #write(register: IccRegister, value: number): void {
    const gic = this.#gic;
    const cpu = this.#cpu;
    switch (register) {
      case 'ICC_PMR_EL1':
        gic.setCpuWord(cpu, 'priorityMask', value & 0xf8);
        return;
      case 'ICC_EOIR0_EL1':
        this.#end(0, value & 0xffffff);
        return;
      case 'ICC_EOIR1_EL1':
        this.#end(1, value & 0xffffff);
        return;
      case 'ICC_DIR_EL1':
        this.#deactivate(value & 0xffffff);
        return;
      case 'ICC_BPR0_EL1':
        gic.setCpuWord(cpu, 'binaryPoint0', value & 7);
        return;
      case 'ICC_BPR1_EL1':
        // With a common one there is nothing to write (IHI 0069, 12.2.5).
        if (!this.#isCommonBinaryPoint) gic.setCpuWord(cpu, 'binaryPoint1', value & 7);
        return;
      case 'ICC_CTLR_EL1':
        gic.setCpuWord(cpu, 'control', value & (ICC_CONTROL.eoiMode | ICC_CONTROL.commonBinaryPoint));
        return;
      case 'ICC_IGRPEN0_EL1':
        gic.setCpuWord(cpu, 'groupEnable0', value & 1);
        return;
      case 'ICC_IGRPEN1_EL1':
        gic.setCpuWord(cpu, 'groupEnable1', value & 1);
        return;
      case 'ICC_AP0R0_EL1':
        gic.setCpuWord(cpu, 'activePriorities0', value);
        return;
      case 'ICC_AP1R0_EL1':
        gic.setCpuWord(cpu, 'activePriorities1', value);
        return;
      default:
        return; // read-only
    }
  }

  /** EOIR: priority drop, and deactivation unless the two are split. */
  #end(group: 0 | 1, interrupt: number): void {
    if (interrupt >= 1020) return;
    const gic = this.#gic;
    const field = group === 0 ? 'activePriorities0' : 'activePriorities1';
    const active = gic.cpuWord(this.#cpu, field);
    gic.setCpuWord(this.#cpu, field, active & (active - 1));
    if ((gic.cpuWord(this.#cpu, 'control') & ICC_CONTROL.eoiMode) === 0) this.#deactivate(interrupt);
  }

  #deactivate(interrupt: number): void {
    if (interrupt >= 1020) return;
    this.#gic.setBits('active', this.#cpu, interrupt & ~31, 1 << (interrupt & 31), 0);
  }

  /** SGI generation registers: target list at affinity, or all but self (IHI 0069, 12.2.x ICC_SGI1R_EL1). */
  #sendSgi(value: bigint, group: 0 | 1 | undefined): void {
    const gic = this.#gic;
    const lo = Number(BigInt.asUintN(32, value));
    const hi = Number(BigInt.asUintN(32, value >> 32n));
    const interrupt = (lo >>> 24) & 0xf;
    if (((hi >>> 8) & 1) === 1) {
      for (let cpu = 0; cpu < gic.cpus; cpu++) if (cpu !== this.#cpu) gic.sendSgi(interrupt, cpu, group);
      return;
    }
    const cluster = ((hi & 0xff) << 16) | (((lo >>> 16) & 0xff) << 8);
    const range = ((hi >>> 12) & 0xf) * 16;
    for (let list = lo & 0xffff; list !== 0; list &= list - 1) {
      const target = gic.cpuOf(cluster | (range + 31 - Math.clz32(list & -list)));
      if (target >= 0) gic.sendSgi(interrupt, target, group);
    }
  }
}
