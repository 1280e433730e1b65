/** How a processor gets to its reset state and is powered on. */
import type { Core } from '../../cpu/core.js';
import { STATE } from '../../cpu/state.js';
import { KEEP, type VmBlock } from '../shared-state/vm/vm-block.js';
import type { GenericTimer } from './generic-timer.js';

/** See the file comment. */
export class PowerOn {
  readonly #core: Core;
  readonly #timer: GenericTimer;
  /** It was never reset. */
  #isFresh = true;
  /** Registers were written since the last reset: they stay when it is powered on. */
  #isPrepared = false;

  constructor(core: Core, timer: GenericTimer) {
    this.#core = core;
    this.#timer = timer;
  }

  /** The reset state the first time somebody looks at it or starts it; whether this was it. */
  resetOnce(): boolean {
    if (!this.#isFresh) return false;
    this.#isFresh = false;
    this.#timer.reset();
    this.#core.reset(0n, 0n);
    return true;
  }

  /** Somebody is about to write registers of a processor that is off. */
  prepare(): void {
    if (this.#isPrepared) return;
    this.#core.reset(0n, 0n);
    this.#isPrepared = true;
  }

  /** It goes on with the registers that it has. */
  goesOn(): void {
    this.#isPrepared = false;
  }

  /** The reset state with what was asked for: registers written while it was off stay, pc and x0 too if so asked. */
  startAt({ entry, context, keep }: NonNullable<ReturnType<VmBlock['takePowerOn']>>): void {
    const core = this.#core;
    this.#timer.reset();
    const [pc, x0] = [core.get64(STATE.pc), core.get64(STATE.x)];
    if (!this.#isPrepared) core.reset(entry, context);
    core.set64(STATE.pc, (keep & KEEP.pc) === 0 ? entry : pc);
    core.set64(STATE.x, (keep & KEEP.x0) === 0 ? context : x0);
    core.space.contextChanged();
    this.#isPrepared = this.#isFresh = false;
  }
}
