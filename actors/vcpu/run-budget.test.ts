import { is } from 'uvu/assert';
import { spec } from '../../test/harness/spec.js';
import { RunBudget } from './run-budget.js';

const test = spec('budget of a run');

/** Runs that take `perWork` milliseconds for a unit of work. */
function runs(budget: RunBudget, count: number, perWork: number): void {
  for (let n = 0; n < count; n++) budget.adjust(budget.work * perWork, budget.work);
}

test('work follows the guest, to some 30 microseconds a run', () => {
  const budget = new RunBudget();
  runs(budget, 20, 1e-6);
  is(budget.work * 1e-6 >= 0.02 && budget.work * 1e-6 <= 0.045, true);
  runs(budget, 20, 20e-6);
  is(budget.work * 20e-6 >= 0.02 && budget.work * 20e-6 <= 0.045, true);
});

test('runs after a sleep have fixed work, and how slow they are is forgotten', () => {
  const budget = new RunBudget();
  runs(budget, 20, 1e-6);
  const warm = budget.work;
  budget.woke();
  const cold = budget.work;
  is(cold !== warm, true);
  let count = 0;
  for (; budget.work === cold; count++) runs(budget, 1, 40e-6);
  is(budget.work, warm);
  is(count > 0 && count * cold * 40e-6 < 3, true, 'for a few milliseconds at most');
});

test('a run ends when a timer is due, and such runs leave the others alone', () => {
  const budget = new RunBudget();
  runs(budget, 20, 1e-6);
  const warm = budget.work;
  is(budget.workBefore(Number.POSITIVE_INFINITY), warm);
  is(budget.workBefore(1), warm, 'far away');
  is(Math.abs(budget.workBefore(0.01) * 1e-6 - 0.01) < 0.001, true);
  is(budget.workBefore(0), 500, 'no less than a look is worth');
  const cut = budget.workBefore(0.01);
  budget.adjust(cut * 1e-6, cut);
  is(budget.work, warm, 'short because it was cut');
  budget.adjust(cut * 50e-6, cut);
  is(budget.work < warm, true, 'the guest became slow');
});

test.run();
