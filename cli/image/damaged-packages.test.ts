/** Damaged Debian packages by the thousand, through the reader that `wurley image pull` uses. */
import * as assert from 'uvu/assert';
import { faultSentence } from '../../devices/machine/boot-fault.js';
import { mutate, seededRandom } from '../../test/harness/mutations.js';
import { samplePackages } from '../../test/harness/package-samples.js';
import { spec } from '../../test/harness/spec.js';
import { type PackagedFile, readDeb } from './deb.js';

const test = spec('damaged-packages');
const DAMAGED = 5_000;
const MS_MAX = 1_000;
const BYTES_MAX = 1 << 30;

const samples = await samplePackages();
const everything = (): boolean => true;

test('a whole package gives its files, however it is packed', async () => {
  for (const [name, bytes] of samples) {
    const files = await readDeb(name, bytes, everything);
    assert.ok(files.ok, name);
    const paths = files.ok ? files.value.map(({ path }: PackagedFile) => path) : [];
    assert.equal(paths.slice(0, 2), ['boot/vmlinuz-6.1.0', 'lib/modules/6.1.0/kernel/a.ko']);
    assert.is(paths.length, 3);
  }
});

for (const [name, sample] of samples) {
  test(
    `${DAMAGED} damaged packages (${name}) each give files or one sentence, within a second and 1 GiB`,
    async () => {
      const random = seededRandom(name.length * 31);
      let refused = 0;
      for (let i = 0; i < DAMAGED; i++) {
        const bytes = mutate(sample, random, 400);
        const started = process.cpuUsage();
        const files = await readDeb('bad.deb', bytes, everything);
        const { user, system } = process.cpuUsage(started);
        assert.ok((user + system) / 1000 < MS_MAX, `package ${i} took ${(user + system) / 1000} ms`);
        if (files.ok) continue;
        refused += 1;
        assert.match(faultSentence(files.error), /^[^\n]{5,300}$/);
      }
      const { rss } = process.memoryUsage();
      assert.ok(rss < BYTES_MAX, `resident ${Math.round(rss / 1048576)} MiB`);
      process.stdout.write(`  ${name}: ${refused} of ${DAMAGED} refused, resident ${Math.round(rss / 1048576)} MiB\n`);
      assert.ok(refused > 0);
    },
    { deadlineMs: 240_000 },
  );
}
test.run();
