/** When a line is said to be due, against what the lines do. */
import { equal, is } from 'uvu/assert';
import { spec } from '../../test/harness/spec.js';
import { COUNTER_HZ, GenericTimer } from './generic-timer.js';

const test = spec('generic timer');
const TICKS = COUNTER_HZ / 1000;

function timer() {
  let nowMs = 1_000;
  const lines: [number, boolean][] = [];
  const made = new GenericTimer({ monotonicMs: () => nowMs, unixSeconds: () => 0 }, 400, (intid, level) =>
    lines.push([intid, level]),
  );
  const at = (ms: number): boolean => {
    nowMs = ms;
    const shows = Float64Array.of(ms, 0);
    made.storeDue(shows);
    is(shows[1], made.dueInMs());
    return shows[1]! <= 0;
  };
  return { made, lines, at };
}

test('a line is due from the moment on at which it rises, until it has', () => {
  const { made, lines, at } = timer();
  is(at(1_000), false);
  made.setCompare('virtual', BigInt(700 * TICKS));
  made.setControl('virtual', 1);
  made.setCompare('physical', BigInt(650 * TICKS));
  made.setControl('physical', 1);
  is(at(1_049.9), false);
  is(at(1_050.1), true);
  made.poll();
  equal(lines, [[30, true]]);
  is(at(1_099.9), false);
  is(at(1_100.1), true);
  made.poll();
  equal(lines, [
    [30, true],
    [27, true],
  ]);
  is(at(5_000), false, 'both are up');
});

test('masked, disabled, moved and held back timers are not due', () => {
  const { made, at } = timer();
  made.setCompare('virtual', BigInt(700 * TICKS));
  made.setControl('virtual', 3);
  is(at(1_200), false, 'masked');
  made.setControl('virtual', 0);
  is(at(1_200), false, 'disabled');
  made.setCompare('virtual', BigInt(900 * TICKS));
  made.setControl('virtual', 1);
  is(at(1_299), false);
  made.setAway(50);
  is(at(1_301), false, 'the counter stood still for 50 ms');
  is(at(1_351), true);
  made.reset();
  made.poll();
  is(at(9_000), false);
});

test.run();
