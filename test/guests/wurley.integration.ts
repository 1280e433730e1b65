/** The guest programs on our own CPU, in process: the same images and expectations as on QEMU. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { runBareMetal } from '../drivers/bare-metal.js';
import { spec } from '../harness/spec.js';
import { guestImage, guestsFolder, parseSuite } from './reports.js';

const test = spec('guests on wurley');

/** Generated code gives addresses above 2 GiB as negative numbers. */
const HIGH = 0x9000_0000;
for (const [jit, base] of [
  [false, 0],
  [true, 0],
  [true, HIGH],
] as const) {
  test(
    `the guest suite passes ${jit ? 'with compiled code' : 'in the interpreter'}${base === HIGH ? ' above 2 GiB' : ''}`,
    async () => {
      const run = {
        image: guestImage('suite'),
        memoryMiB: 256,
        bootargs: '',
        deadlineMs: 100_000,
      };
      const { console, stop } = await runBareMetal({ ...run, jit, base });
      assert.is(stop, 'off', console);
      const report = parseSuite(console);
      assert.ok(report !== undefined, 'the suite reached its end');
      assert.equal(report.failures, []);
    },
    { deadlineMs: 120_000 },
  );
}
for (const level of [0, 1, 2, 3] as const) {
  for (const jit of [false, true]) {
    test(
      `programs at -O${level} print what they print on QEMU ${jit ? 'with compiled code' : 'in the interpreter'}`,
      async () => {
        const run = { image: guestImage(`programs-O${level}`), memoryMiB: 256, bootargs: '', deadlineMs: 100_000 };
        const { console, stop } = await runBareMetal({ ...run, jit });
        assert.is(stop, 'off', console);
        assert.is(console, readFileSync(join(guestsFolder, 'expected', `programs-O${level}.txt`), 'utf8'));
      },
      { deadlineMs: 120_000 },
    );
  }
}
test.run();
