/** How much work a vCPU does between two looks around. */

/**
 * Work (STATE.budget) between two looks at timers and requests. It follows the guest: a look costs about a microsecond, so
 * a guest that runs from registers gets more of it, one that waits for memory less, for some 30 microseconds between two.
 */
const BUDGET = { min: 500, max: 64_000, shortMs: 0.02, aimMs: 0.03, longMs: 0.045 } as const;

/** See above. */
export class RunBudget {
  /** Work of the next run. */
  work: number = BUDGET.min;

  /** A run that used all of it took `tookMs` milliseconds. */
  adjust(tookMs: number): void {
    if (tookMs < BUDGET.shortMs) this.work = Math.min(BUDGET.max, this.work * 2);
    else if (tookMs > BUDGET.longMs) this.work = Math.max(BUDGET.min, Math.floor((this.work * BUDGET.aimMs) / tookMs));
  }
}
