/**
 * The part of a run's budget (STATE.budget) that is used outside generated code. What takes long there counts for as much
 * as compiled code would have done meanwhile (WORK), so that a run lasts about as long whatever it meets.
 */
import type { CpuState } from './cpu-state.js';
import type { Helper } from './observer.js';
import { STATE } from './state.js';

/** See the head of this file. Amounts are in the unit of STATE.budget. */
export class WorkAccount {
  readonly #state: CpuState;
  #charged = 0;

  constructor(state: CpuState) {
    this.#state = state;
  }

  /** Something takes as long as `work`. */
  charge(work: number): void {
    this.#charged += work;
    this.#state.set32(STATE.budget, this.#state.get32(STATE.budget) - work);
  }

  /** `helper`, each call of which takes as long as `work`. */
  charging(work: number, helper: Helper): Helper {
    return (at, a, b, c) => {
      this.charge(work);
      return helper(at, a, b, c);
    };
  }

  /**
   * STATE.budget has come to `budget`, which is not above 0: goes on with a piece of what is left of the turn (STATE.rest) or what `turn` gives
   * for another, as generated code does (interpreter/build.ts). False when there is nothing left, or somebody has something for the vCPU.
   */
  takesPiece(budget: number, turn: () => number): boolean {
    const state = this.#state;
    let left = state.get32(STATE.rest);
    if (left <= -budget) {
      left += turn();
      state.set32(STATE.rest, left);
    }
    if (left <= -budget || Atomics.load(state.words, state.get32(STATE.lookAt) >>> 2) !== 0) return false;
    const piece = Math.min(left, Math.max(state.get32(STATE.piece), 1 - budget));
    state.set32(STATE.rest, left - piece);
    state.set32(STATE.budget, budget + piece);
    return true;
  }

  /** What is left of the turn counts as used: its time is over. How much that was. */
  endTurn(): number {
    const state = this.#state;
    const rest = state.get32(STATE.rest);
    const left = state.get32(STATE.budget) + rest;
    if (left <= 0) return 0;
    state.set32(STATE.rest, 0);
    this.charge(left - rest);
    this.#charged += rest;
    return left;
  }

  /** All that was charged since the last call: it is not the guest's instructions. */
  takeCharged(): number {
    const charged = this.#charged;
    this.#charged = 0;
    return charged;
  }
}
