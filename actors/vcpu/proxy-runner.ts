/**
 * A vCPU that runs others (vcpu_run): it gives one its turn and waits, as WFI does, until that has parked or an interrupt of
 * its own is there; then it asks for the turn back, and its call ends when it has it.
 */
import type { ProxiedRun, RunExit } from '../shared-state/vm/proxied-run.js';

interface Running {
  readonly run: ProxiedRun;
  poke(): void;
  isRecalled: boolean;
}

/** See the head of this file. */
export class ProxyRunner {
  #running: Running | undefined;

  /** Whether a call of vcpu_run has not ended. */
  get isWaiting(): boolean {
    return this.#running !== undefined;
  }

  /** Gives the turn; false when another runs it. `self`: our actor, which is rung at the end; `poke` tells its thread. */
  begin(run: ProxiedRun, self: number, poke: () => void, resume0: bigint, resume1: number): boolean {
    if (!run.begin(self, resume0, resume1)) return false;
    this.#running = { run, poke, isRecalled: false };
    poke();
    return true;
  }

  /** What the run ended with, or undefined while it goes on. */
  finish(): RunExit | undefined {
    const exit = this.#running?.run.take();
    if (exit !== undefined) this.#running = undefined;
    return exit;
  }

  /** Asks for the turn back, once. */
  recall(): void {
    const running = this.#running;
    if (running === undefined || running.isRecalled) return;
    running.isRecalled = true;
    running.run.recall();
    running.poke();
  }
}
