/** Frames and their numbers, against the language's map. */
import fc from 'fast-check';
import * as assert from 'uvu/assert';
import { spec } from '../test/harness/spec.js';
import { FrameMap } from './frame-map.js';

const test = spec('frame map');

const action = fc.oneof(
  { weight: 8, arbitrary: fc.record({ what: fc.constant('set' as const), frame: fc.nat(200), value: fc.nat(5000) }) },
  { weight: 4, arbitrary: fc.record({ what: fc.constant('delete' as const), frame: fc.nat(200) }) },
  { weight: 1, arbitrary: fc.record({ what: fc.constant('clear' as const) }) },
);
/** The highest frames of a memory of 4 GiB are among them. */
const hostOf = (frame: number): number => (0xfff00 + frame) * 4096;

test('it says what a map says, whatever is set, taken out and emptied', () => {
  fc.assert(
    fc.property(fc.array(action, { maxLength: 400 }), (actions) => {
      const map = new FrameMap();
      const model = new Map<number, number>();
      for (const step of actions) {
        if (step.what === 'set') {
          map.set(hostOf(step.frame), step.value);
          model.set(step.frame, step.value);
        } else if (step.what === 'delete') {
          map.delete(hostOf(step.frame));
          model.delete(step.frame);
        } else {
          map.clear();
          model.clear();
        }
        assert.is(map.size, model.size);
      }
      for (let frame = 0; frame <= 200; frame++) assert.is(map.get(hostOf(frame)), model.get(frame) ?? -1);
    }),
    { numRuns: 200 },
  );
});
test.run();
