/**
 * System registers that belong to the machine: the GICv3 CPU interface and the generic timers, on the vCPU's own thread.
 * Registers are found by key in a table made once, because timer and interrupt code reads them all the time.
 */
import { sysregKeyOf } from '../../cpu/sysreg/registers.js';
import type { GicCpuInterface, IccRegister } from '../shared-state/gic/gic-cpu-interface.js';
import { COUNTER_HZ, type GenericTimer, type TimerName } from './generic-timer.js';

interface Access {
  readonly read: () => bigint;
  readonly write: (value: bigint) => void;
}

/** The registers of the interface; AP0R1 to AP1R3 do not exist with five priority bits, and read as zero. */
const ICC: readonly IccRegister[] = [
  ...(['ICC_PMR_EL1', 'ICC_IAR0_EL1', 'ICC_IAR1_EL1', 'ICC_EOIR0_EL1', 'ICC_EOIR1_EL1', 'ICC_HPPIR0_EL1'] as const),
  ...(['ICC_HPPIR1_EL1', 'ICC_BPR0_EL1', 'ICC_BPR1_EL1', 'ICC_DIR_EL1', 'ICC_RPR_EL1', 'ICC_SGI0R_EL1'] as const),
  ...(['ICC_SGI1R_EL1', 'ICC_ASGI1R_EL1', 'ICC_CTLR_EL1', 'ICC_SRE_EL1', 'ICC_IGRPEN0_EL1'] as const),
  ...(['ICC_IGRPEN1_EL1', 'ICC_AP0R0_EL1', 'ICC_AP1R0_EL1'] as const),
];
const ABSENT_ICC = [
  'ICC_AP0R1_EL1',
  'ICC_AP0R2_EL1',
  'ICC_AP0R3_EL1',
  'ICC_AP1R1_EL1',
  'ICC_AP1R2_EL1',
  'ICC_AP1R3_EL1',
];
/** Reading one of these changes what is pending. */
const ACKNOWLEDGES = new Set<IccRegister>(['ICC_IAR0_EL1', 'ICC_IAR1_EL1']);

/** See the head of this file. */
export class MachineRegisters {
  readonly #table = new Map<number, Access>();

  /** `changed` is called when the interrupt signals of this vCPU may have changed. */
  constructor(icc: GicCpuInterface, timer: GenericTimer, changed: () => void) {
    const add = (name: string, read: () => bigint, write: (value: bigint) => void = () => undefined): void => {
      this.#table.set(sysregKeyOf(name), { read, write });
    };
    for (const name of ICC) {
      const acknowledges = ACKNOWLEDGES.has(name);
      const read = (): bigint => {
        const value = BigInt(icc.read(name) >>> 0);
        if (acknowledges) changed();
        return value;
      };
      const write = (value: bigint): void => {
        icc.write(name, value);
        changed();
      };
      add(name, read, write);
    }
    for (const name of ABSENT_ICC) add(name, () => 0n);
    add('CNTFRQ_EL0', () => BigInt(COUNTER_HZ));
    add('CNTPCT_EL0', () => BigInt(timer.ticks()));
    add('CNTVCT_EL0', () => BigInt(timer.ticks()));
    const timers: readonly (readonly [string, TimerName])[] = [
      ['CNTV', 'virtual'],
      ['CNTP', 'physical'],
    ];
    for (const [prefix, name] of timers) {
      const control = (value: bigint): void => timer.setControl(name, Number(value & 3n));
      add(`${prefix}_CTL_EL0`, () => BigInt(timer.control(name)), control);
      add(`${prefix}_CVAL_EL0`, () => timer.compare(name), (value) => timer.setCompare(name, value)); // biome-ignore format: one row per register
      add(`${prefix}_TVAL_EL0`, () => timer.remaining(name), (value) => timer.setRemaining(name, value)); // biome-ignore format: one row per register
    }
  }

  /** The register's value, or undefined when there is none with this key. */
  read(key: number): bigint | undefined {
    return this.#table.get(key)?.read();
  }

  /** Writes the register; false when there is none with this key. */
  write(key: number, value: bigint): boolean {
    const access = this.#table.get(key);
    access?.write(value);
    return access !== undefined;
  }
}
