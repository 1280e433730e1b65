/** A root file system on a disk: the initial RAM disk hands over to its init, by device and by label. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { runUnderWurley } from '../../test/drivers/wurley.js';
import { spec } from '../../test/harness/spec.js';
import { cacheFolder } from '../cache-folder.js';
import { findImage } from '../image/store.js';

const test = spec('root file systems on disks');
const MINUTES = 60_000;
const IMAGE = 'debian:6.1-cloud';
const has = (program: string): boolean => !('error' in spawnSync(program, ['-V']));
const MISSING = ['mke2fs'].filter((program) => !has(program));

/** The init of the test's root: says where it is, and switches off. */
const INIT = `#!/bin/sh
export PATH=/bin
echo "init is process $$ of the disk: $(cat /marker)"
grep -o ' / ext4 r[ow]' /proc/mounts
ls /lib/modules/$(uname -r)/modules.dep && grep -q '^virtio_blk ' /proc/modules && echo loaded
[ -e /dev/vda ] && [ -d /sys/class ] && echo "dev and sys came along"
echo "login: "
read line
echo "typed: $line"
poweroff -f
`;

function run(program: string, args: readonly string[]): void {
  const done = spawnSync(program, args, { encoding: 'latin1' });
  if (done.status !== 0) throw new Error(`${program} ${args.join(' ')}: ${done.error?.message ?? done.stderr}`);
}

/** A file of a newc cpio archive. */
function memberOf(archive: Buffer, wanted: string): Buffer {
  const pad4 = (bytes: number): number => (bytes + 3) & ~3;
  for (let at = 0; archive.toString('latin1', at, at + 6) === '070701'; ) {
    const field = (index: number): number =>
      Number.parseInt(archive.toString('latin1', at + 6 + index * 8, at + 14 + index * 8), 16);
    const [size, nameSize] = [field(6), field(11)];
    const body = pad4(at + 110 + nameSize);
    if (archive.toString('latin1', at + 110, at + 109 + nameSize) === wanted)
      return archive.subarray(body, body + size);
    at = body + pad4(size);
  }
  throw new Error(`${wanted} is not in the initial RAM disk`);
}

/** An ext4 image with busybox and an init. */
async function makeRoot(folder: string): Promise<string> {
  const image = await findImage(cacheFolder(), IMAGE);
  if (image === undefined) throw new Error(`${IMAGE} is not here`);
  const root = join(folder, 'root');
  for (const name of ['bin', 'sbin', 'dev', 'proc', 'sys', 'run', 'lib/modules'])
    mkdirSync(join(root, name), { recursive: true });
  writeFileSync(join(root, 'bin/busybox'), memberOf(readFileSync(image.initrdPath), 'bin/busybox'), { mode: 0o755 });
  for (const name of ['sh', 'cat', 'grep', 'ls', 'uname', 'poweroff']) symlinkSync('busybox', join(root, 'bin', name));
  writeFileSync(join(root, 'sbin/init'), INIT, { mode: 0o755 });
  writeFileSync(join(root, 'marker'), 'here');
  const disk = join(folder, 'root.img');
  run('mke2fs', ['-q', '-F', '-t', 'ext4', '-L', 'small', '-d', root, disk, '32M']);
  return disk;
}

if (MISSING.length > 0) test.skip('the init of a disk is started', `${MISSING.join(', ')} not installed`);
else
  test(
    'the init of a disk is started with the modules, read-only or as it is asked for',
    async () => {
      const folder = mkdtempSync(join(tmpdir(), 'wurley-root-'));
      try {
        const disk = await makeRoot(folder);
        const boot = async (bootargs: string, input: string): Promise<string> => {
          const request = { boot: [IMAGE], cpus: 1, memoryMiB: 256, bootargs, deadlineMs: 5 * MINUTES, input };
          const outcome = await runUnderWurley({ ...request, more: ['--disk', disk] });
          assert.ok(outcome.ok, outcome.ok ? '' : outcome.error.text + outcome.error.console);
          assert.is(outcome.value.exitCode, 0, outcome.value.errors + outcome.value.console);
          return outcome.value.console;
        };
        const byDevice = await boot('root=/dev/vda', 'hello\n');
        assert.match(byDevice, /init is process 1 of the disk: here\n \/ ext4 ro\n/, byDevice);
        assert.match(byDevice, /modules\.dep\nloaded\ndev and sys came along\n/, byDevice);
        assert.match(byDevice, /typed: hello/, byDevice);
        assert.match(await boot('root=LABEL=small rw', 'again\n'), /\/ ext4 rw\n[\s\S]*typed: again/);
      } finally {
        rmSync(folder, { recursive: true, force: true });
      }
    },
    { deadlineMs: 12 * MINUTES },
  );

test.run();
