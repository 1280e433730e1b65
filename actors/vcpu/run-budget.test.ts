import { is, ok } from 'uvu/assert';
import { spec } from '../../test/harness/spec.js';
import { RunBudget, TOOK } from './run-budget.js';

const test = spec('budget of a turn');

/** A turn of `work` took `tookMs`. */
function adjust(budget: RunBudget, tookMs: number, work: number): void {
  budget.tookMs[TOOK.turn] = tookMs;
  budget.adjust(work);
}
/** Whether a run of `tookMs` goes on. */
function goesOn(budget: RunBudget, tookMs: number): boolean {
  budget.tookMs[TOOK.run] = tookMs;
  return budget.goesOn;
}

/** Turns that take `perWork` milliseconds for a unit of work. */
function turns(budget: RunBudget, count: number, perWork: number): void {
  for (let n = 0; n < count; n++) adjust(budget, budget.work * perWork, budget.work);
}

test('work follows the guest, to some 6 microseconds a turn', () => {
  const budget = new RunBudget();
  turns(budget, 20, 1e-6);
  is(budget.work * 1e-6 >= 0.0045 && budget.work * 1e-6 <= 0.0085, true);
  turns(budget, 20, 20e-6);
  is(budget.work * 20e-6 >= 0.0045 && budget.work * 20e-6 <= 0.0085, true);
});

test('turns are longer while the processor is young', () => {
  const budget = new RunBudget();
  budget.setYoung(true, true);
  turns(budget, 20, 1e-6);
  ok(budget.work * 1e-6 >= 0.09 && budget.work * 1e-6 <= 0.18);
  ok(goesOn(budget, 0.2));
  // A fast guest has as long turns.
  turns(budget, 20, 0.5e-6);
  ok(budget.work * 0.5e-6 >= 0.09 && budget.work * 0.5e-6 <= 0.18);
  budget.setYoung(true, false);
  turns(budget, 20, 1e-6);
  ok(budget.work * 1e-6 >= 0.0105 && budget.work * 1e-6 <= 0.0202, 'others wait for the end of a turn');
  ok(goesOn(budget, 0.1));
  ok(!goesOn(budget, 0.2));
  budget.setYoung(false, true);
  turns(budget, 20, 1e-6);
  ok(budget.work * 1e-6 >= 0.0045 && budget.work * 1e-6 <= 0.0085);
  ok(!goesOn(budget, 0.12));
});

test('turns after a sleep have fixed work, and how slow they are is forgotten', () => {
  const budget = new RunBudget();
  turns(budget, 20, 0.5e-6);
  const warm = budget.work;
  budget.woke();
  const cold = budget.work;
  is(cold !== warm, true);
  let count = 0;
  for (; budget.work === cold; count++) turns(budget, 1, 40e-6);
  is(budget.work, warm);
  is(count > 0 && count * cold * 40e-6 < 3, true, 'for a few milliseconds at most');
});

/** A guest whose phases have so much work at so many milliseconds for a unit of it. */
class Phases {
  readonly budget = new RunBudget();
  readonly #phases: readonly (readonly [work: number, perWork: number])[];
  #phase = 0;
  #left: number;

  constructor(...phases: readonly (readonly [work: number, perWork: number])[]) {
    this.#phases = phases;
    this.#left = phases[0]?.[0] ?? 0;
  }

  /** How long a turn takes. */
  turn(): number {
    let { work } = this.budget;
    let ms = 0;
    while (work > 0) {
      const [length, perWork] = this.#phases[this.#phase] ?? [1, 0];
      const done = Math.min(work, this.#left);
      ms += done * perWork;
      work -= done;
      this.#left -= done;
      if (this.#left > 0) continue;
      this.#phase = (this.#phase + 1) % this.#phases.length;
      this.#left = this.#phases[this.#phase]?.[0] ?? length;
    }
    return ms;
  }

  /** Turns for `ms` milliseconds: their number, and the part of the time by which turns went beyond 50 us. */
  run(ms: number): { readonly count: number; readonly beyond: number } {
    let [count, sum, beyond] = [0, 0, 0];
    for (; sum < ms; count++) {
      const took = this.turn();
      adjust(this.budget, took, this.budget.work);
      sum += took;
      beyond += Math.max(0, took - 0.05);
    }
    return { count, beyond: beyond / sum };
  }
}

test('a guest that changes its pace a hundredfold all the time gets turns that its slow part does not make too long', () => {
  // As `pace` in interrupts.elf: 72 us from registers, then 84 us waiting for memory.
  const guest = new Phases([240_000, 0.3e-6], [3_000, 28e-6]);
  guest.run(50);
  const { count, beyond } = guest.run(1_000);
  ok(beyond < 0.01, `${beyond} of the time`);
  // A look costs a tenth of a microsecond.
  ok(count < (1_000_000 / 156) * 330, `${count} turns in a second`);
});

test('a guest that did so once has long turns again', () => {
  const guest = new Phases([240_000, 0.3e-6], [3_000, 28e-6]);
  guest.run(500);
  const short = guest.budget.work;
  for (let ms = 0; ms < 1_000; ms += guest.budget.work * 0.3e-6) turns(guest.budget, 1, 0.3e-6);
  ok(guest.budget.work > 5 * short && guest.budget.work * 0.3e-6 >= 0.0045, `${short}, then ${guest.budget.work}`);
});

test('what happens to long and short turns alike makes none short for long', () => {
  for (const [everyMs, tookMs] of [
    [100, 0.25],
    [0.5, 0.08],
    [2, 1],
  ] as const) {
    const budget = new RunBudget();
    turns(budget, 50, 0.3e-6);
    let [ms, short, due] = [0, 0, 0];
    while (ms < 20_000) {
      const took = budget.work * 0.3e-6 + (ms >= due ? tookMs : 0);
      if (ms >= due) due = ms + everyMs;
      if (budget.work <= 1_600) short += took;
      ms += took;
      adjust(budget, took, budget.work);
    }
    ok(short < ms * 0.02, `${short} of ${ms} ms`);
  }
});

test('a turn ends when a timer is due, and such turns leave the others alone', () => {
  const budget = new RunBudget();
  turns(budget, 20, 1e-6);
  const warm = budget.work;
  is(budget.workBefore(Float64Array.of(0, Number.POSITIVE_INFINITY)), warm);
  is(budget.workBefore(Float64Array.of(0, 1)), warm, 'far away');
  is(Math.abs(budget.workBefore(Float64Array.of(0, 0.003)) * 1e-6 - 0.003) < 0.001, true);
  is(budget.workBefore(Float64Array.of(0, 0)), 250, 'no less than a look is worth');
  const cut = budget.workBefore(Float64Array.of(0, 0.003));
  adjust(budget, cut * 1e-6, cut);
  is(budget.work, warm, 'short because it was cut');
  adjust(budget, cut * 50e-6, cut);
  is(budget.work < warm, true, 'the guest became slow');
});

test.run();
