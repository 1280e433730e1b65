/** The line of a silent boot: on a terminal only, after a second, gone when the guest speaks. */
import * as assert from 'uvu/assert';
import { spec } from '../../test/harness/spec.js';
import { bootProgress } from './boot-progress.js';

const test = spec('boot progress');

function fake(isTTY: boolean) {
  let tick: (() => void) | undefined;
  const written: string[] = [];
  const terminal = {
    isTTY,
    write: (text: string) => void written.push(text),
    every(_ms: number, callback: () => void) {
      tick = callback;
      return () => {
        tick = undefined;
      };
    },
  };
  return { terminal, written, tick: () => tick?.() };
}

test('it speaks after a second, counts, and clears itself once', () => {
  const { terminal, written, tick } = fake(true);
  const end = bootProgress(terminal);
  tick();
  assert.equal(written, []);
  for (let n = 0; n < 3; n++) tick();
  assert.match(written[0] ?? '', /starting \(1 s\)/);
  assert.match(written[2] ?? '', /starting \(2 s\)/);
  end();
  end();
  tick();
  assert.equal(written.slice(3), ['\r\x1b[K']);
});
test('a boot that speaks at once is not announced, a pipe never', () => {
  const quick = fake(true);
  const end = bootProgress(quick.terminal);
  quick.tick();
  end();
  assert.equal(quick.written, []);
  const pipe = fake(false);
  bootProgress(pipe.terminal)();
  assert.equal(pipe.written, []);
});
test.run();
