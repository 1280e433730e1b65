/**
 * The performance monitor's cycle counter (PMUv3 with no event counters, Arm ARM D13). A cycle is a nanosecond-scale unit
 * derived from the system counter: {@link CYCLES_PER_TICK} per tick, so that it grows like a 1 GHz clock.
 */
import type { CpuState } from '../cpu-state.js';
import type { SystemPeripherals } from './peripherals.js';
import { SLOT, sysregKeyOf } from './registers.js';

const CYCLES_PER_TICK = 16n;
const CYCLE_COUNTER = 1n << 31n;
const CNTVCT = sysregKeyOf('CNTVCT_EL0');
const PMCR = { enable: 1, resetCycles: 4 } as const;

/** See the head of this file. While counting, SLOT.pmccntr holds the value minus the cycles passed; else the value. */
export class CycleCounter {
  readonly #state: CpuState;
  readonly #peripherals: SystemPeripherals;

  constructor(state: CpuState, peripherals: SystemPeripherals) {
    this.#state = state;
    this.#peripherals = peripherals;
  }

  #passed(): bigint {
    return (this.#peripherals.readRegister(CNTVCT) ?? 0n) * CYCLES_PER_TICK;
  }

  get #counting(): boolean {
    return (
      (this.#state.get32(SLOT.pmcr) & PMCR.enable) !== 0 && (this.#state.get64(SLOT.pmcnten) & CYCLE_COUNTER) !== 0n
    );
  }

  #value(): bigint {
    const held = this.#state.get64(SLOT.pmccntr);
    return BigInt.asUintN(64, this.#counting ? held + this.#passed() : held);
  }

  #assign(value: bigint): void {
    this.#state.set64(SLOT.pmccntr, BigInt.asUintN(64, this.#counting ? value - this.#passed() : value));
  }

  /** Changes what decides whether the counter runs, keeping its value. */
  #keeping(change: () => void): void {
    const value = this.#value();
    change();
    this.#assign(value);
  }

  /** Reads a computed register of the monitor. */
  read(name: string): bigint {
    switch (name) {
      case 'PMCNTENSET_EL0':
      case 'PMCNTENCLR_EL0':
        return this.#state.get64(SLOT.pmcnten);
      case 'PMOVSCLR_EL0':
      case 'PMOVSSET_EL0':
        return this.#state.get64(SLOT.pmovs);
      case 'PMINTENSET_EL1':
      case 'PMINTENCLR_EL1':
        return this.#state.get64(SLOT.pminten);
      case 'PMCCNTR_EL0':
        return this.#value();
      case 'PMXEVTYPER_EL0':
        return this.#state.get32(SLOT.pmselr) === 31 ? this.#state.get64(SLOT.pmccfiltr) : 0n;
      default:
        return 0n; // no event exists, no event counter exists
    }
  }

  /** Writes a computed register of the monitor; only the cycle counter's bit exists. */
  write(name: string, value: bigint): boolean {
    const state = this.#state;
    const bit = value & CYCLE_COUNTER;
    const set = (at: number): void => state.set64(at, state.get64(at) | bit);
    const clear = (at: number): void => state.set64(at, state.get64(at) & ~bit);
    switch (name) {
      case 'PMCNTENSET_EL0':
        this.#keeping(() => set(SLOT.pmcnten));
        break;
      case 'PMCNTENCLR_EL0':
        this.#keeping(() => clear(SLOT.pmcnten));
        break;
      case 'PMOVSSET_EL0':
        set(SLOT.pmovs);
        break;
      case 'PMOVSCLR_EL0':
        clear(SLOT.pmovs);
        break;
      case 'PMINTENSET_EL1':
        set(SLOT.pminten);
        break;
      case 'PMINTENCLR_EL1':
        clear(SLOT.pminten);
        break;
      case 'PMCCNTR_EL0':
        this.#assign(value);
        break;
      case 'PMXEVTYPER_EL0':
        if (state.get32(SLOT.pmselr) === 31) state.set64(SLOT.pmccfiltr, value & 0xfc000000n);
        break;
      default:
    }
    return true;
  }

  /** PMCR_EL0 is about to be written: its C bit resets the counter, its E bit starts and stops it. */
  beforeChange(name: string, value: bigint): void {
    if (name !== 'PMCR_EL0') return;
    const state = this.#state;
    this.#keeping(() => state.set32(SLOT.pmcr, (state.get32(SLOT.pmcr) & ~PMCR.enable) | Number(value & 1n)));
    if ((value & BigInt(PMCR.resetCycles)) !== 0n) this.#assign(0n);
  }
}
