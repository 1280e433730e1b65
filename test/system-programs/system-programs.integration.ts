/** Random system programs: QEMU, compiled code and the interpreter agree. WURLEY_PROGRAMS and WURLEY_SEED: how many, from where. */
import * as assert from 'uvu/assert';
import { qemuSystemVersion } from '../drivers/qemu-system.js';
import { spec } from '../harness/spec.js';
import { compareDigests, shrink } from './compare.js';
import { missingImageTool } from './image.js';
import { describeProgram } from './report.js';

const PROGRAMS = Number(process.env['WURLEY_PROGRAMS'] ?? 10_000);
const SEED = Number(process.env['WURLEY_SEED'] ?? 1);
const PROGRAMS_PER_IMAGE = 1000;
const PLACES = ['jit', 'interpreter'] as const;
/** Every so many programs, one image's are also run by single steps. */
const STEPPED_EVERY = 5000;

const test = spec('system-programs');
const missing = missingImageTool() ?? (qemuSystemVersion() === undefined ? 'qemu-system-aarch64' : undefined);
const title = `${PROGRAMS} random system programs: regions = interpreter (= single steps) = qemu-system-aarch64`;
if (missing !== undefined) test.skip(title, `${missing} is absent`);
else {
  test(
    title,
    async () => {
      let endless = 0;
      for (let first = 0; first < PROGRAMS; first += PROGRAMS_PER_IMAGE) {
        const count = Math.min(PROGRAMS_PER_IMAGE, PROGRAMS - first);
        const programs = Array.from({ length: count }, (_, i) => {
          return { seed: SEED + first + i, without: new Set<number>(), rounds: undefined };
        });
        const compared = await compareDigests(programs, first % STEPPED_EVERY === 0 ? [...PLACES, 'stepped'] : PLACES);
        endless += compared.endless;
        const [difference] = compared.differences;
        if (difference === undefined) continue;
        const found = compared.differences.length;
        assert.unreachable(`${found} differ; ${await describeProgram(await shrink(difference), difference.place)}`);
      }
      assert.ok(endless < PROGRAMS / 100, `${endless} programs did not end`);
    },
    { deadlineMs: 1_400_000 },
  );
}

test.run();
