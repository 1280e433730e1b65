/** Disks under Debian's 6.1 cloud kernel: ext4 on raw and qcow2, what the host finds afterwards, and killed workers. */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { ActorSystem } from '../../actors/runtime/system.js';
import { STOP } from '../../actors/shared-state/vm/vm-block.js';
import { planBoot } from '../../devices/machine/boot-plan.js';
import { runUnderWurley, type WurleyOutcome } from '../../test/drivers/wurley.js';
import { spec } from '../../test/harness/spec.js';
import { cacheFolder } from '../cache-folder.js';
import { READY_MARKER } from '../image/initramfs.js';
import { findImage } from '../image/store.js';
import { hostUnpackers } from '../image/unpackers.js';
import { openDisk } from './disk-files.js';
import { loadInterpreter } from './interpreter-cache.js';
import { runMachine } from './run-machine.js';

const test = spec('disks under debian');
const MINUTES = 60_000;
const DEADLINE = { deadlineMs: 6 * MINUTES };
const IMAGE = 'debian:6.1-cloud';

const has = (program: string): boolean => !('error' in spawnSync(program, ['-V']));
const MISSING = ['mke2fs', 'e2fsck', 'debugfs', 'qemu-img'].filter((program) => !has(program));

function run(program: string, ...args: readonly string[]): string {
  const done = spawnSync(program, args, { encoding: 'latin1', maxBuffer: 64 << 20 });
  if (done.status !== 0) throw new Error(`${program} ${args.join(' ')}: ${done.stdout}${done.stderr}`);
  return done.stdout;
}

const md5 = (bytes: Uint8Array): string => createHash('md5').update(bytes).digest('hex');

async function boot(cpus: number, commands: readonly string[], more: readonly string[]): Promise<WurleyOutcome> {
  const input = `${commands.join('\n')}\n`;
  const request = { boot: [IMAGE], cpus, memoryMiB: 512, bootargs: '', deadlineMs: 5 * MINUTES, input, more };
  const outcome = await runUnderWurley(request);
  if (!outcome.ok) throw new Error(`${outcome.error.text}: ${outcome.error.console}`);
  assert.is(outcome.value.exitCode, 0, outcome.value.errors);
  return outcome.value;
}

/** A folder with an empty ext4 file system in `disk.raw` and `disk.qcow2`. */
async function withDisks(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'wurley-ext4-'));
  try {
    const raw = join(folder, 'disk.raw');
    run('mke2fs', '-q', '-F', '-t', 'ext4', raw, '192M');
    run('qemu-img', 'convert', '-q', '-O', 'qcow2', raw, join(folder, 'disk.qcow2'));
    await body(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The file system of an image, which is found in order, as raw bytes in a file. */
function checked(folder: string, image: string): string {
  if (image.endsWith('.raw')) {
    run('e2fsck', '-fn', image);
    return image;
  }
  run('qemu-img', 'check', '-q', image);
  const raw = join(folder, 'checked.raw');
  run('qemu-img', 'convert', '-q', '-O', 'raw', image, raw);
  run('e2fsck', '-fn', raw);
  return raw;
}

/** MD5 of a file in an ext4 image. */
function md5Of(folder: string, image: string, path: string): string {
  const out = join(folder, 'dumped');
  run('debugfs', '-R', `dump ${path} ${out}`, image);
  return md5(readFileSync(out));
}

const WRITE_FILES = [
  'modprobe ext4',
  'mkdir /a; mount -t ext4 /dev/vda /a && echo mounted',
  'cp -r /lib/modules /a/modules && sync',
  'for i in 1 2 3 4 5 6 7 8; do head -c 3000000 /dev/urandom > /a/file$i; sync; done',
  'rm -r /a/modules; cp /bin/busybox /a/busybox; truncate -s 5M /a/sparse; echo end >> /a/sparse',
  'cd /a; md5sum file* busybox sparse; cd /; umount /a',
  'dmesg | grep -cE "I/O error|EXT4-fs error|vda.*(error|fail)"',
  'poweroff -f',
];

for (const format of ['raw', 'qcow2'] as const) {
  const title = `ext4 on ${format}: written, unmounted, and the same on the host`;
  if (MISSING.length > 0) test.skip(title, `${MISSING.join(', ')} not installed`);
  else
    test(
      title,
      () =>
        withDisks(async (folder) => {
          const image = join(folder, `disk.${format}`);
          const end = await boot(2, WRITE_FILES, ['--disk', image]);
          assert.match(end.console, /mounted/);
          const sums = [...end.console.matchAll(/^([0-9a-f]{32}) {2}(\S+)$/gm)];
          assert.is(sums.length, 10, end.console);
          const raw = checked(folder, image);
          for (const [, sum, file] of sums) assert.is(md5Of(folder, raw, `/${file}`), sum, file);
          assert.match(end.console, /^0$/m, 'no error in the log');
        }),
      DEADLINE,
    );
}

if (MISSING.length > 0) test.skip('read-only, throw-away and backed disks', `${MISSING.join(', ')} not installed`);
else
  test(
    'read-only, throw-away and backed disks',
    () =>
      withDisks(async (folder) => {
        const [raw, top] = [join(folder, 'disk.raw'), join(folder, 'top.qcow2')];
        run('qemu-img', 'create', '-q', '-f', 'qcow2', '-b', 'disk.raw', '-F', 'raw', top);
        const before = md5(readFileSync(raw));
        const topBefore = md5(readFileSync(top));
        const commands = [
          'modprobe ext4; mkdir /a /b',
          'cat /sys/block/vda/ro /sys/block/vdb/ro',
          'mount -t ext4 -o ro /dev/vda /a && echo one; mount -t ext4 /dev/vdb /b && echo two',
          'echo changed > /b/file; dd if=/dev/zero of=/dev/vda count=1 2>&1 | grep -c "not permitted"; sync',
          'blkdiscard /dev/vdb 2>/dev/null; umount /a /b; poweroff -f',
        ];
        const args = ['--disk', `${raw},ro`, '--disk', top];
        const thrown = await boot(1, commands, [...args, '--snapshot-disk']);
        assert.match(thrown.console, /^1\n0\none\ntwo\n1\n/m);
        assert.is(md5(readFileSync(raw)), before);
        assert.is(md5(readFileSync(top)), topBefore);
        const kept = await boot(1, commands.slice(0, 4).concat('umount /a /b; poweroff -f'), args);
        assert.match(kept.console, /^1\n0\none\ntwo\n1\n/m);
        assert.is(md5(readFileSync(raw)), before);
        assert.is(md5Of(folder, checked(folder, top), '/file'), md5(Buffer.from('changed\n')));
      }),
    DEADLINE,
  );

/** A worker is killed when it has done something since the last kill, looked at this often. */
const KILL_EVERY_MS = 50;
const KILLS_MAX = 40;
const KILLS_MIN = 8;
const LOAD = [
  'modprobe ext4; mkdir /a; mount -t ext4 /dev/vda /a && echo LOAD',
  'for i in $(seq 1 24); do head -c 700000 /dev/urandom > /a/f$i; sync; md5sum /a/f$i; [ $i -gt 6 ] && rm /a/f$((i-6)); done',
  'echo 3 > /proc/sys/vm/drop_caches; md5sum /a/f*; umount /a',
  'dmesg | grep -cE "I/O error|EXT4-fs error|vda.*(error|fail)"',
  'echo DONE; poweroff -f',
];

/** Runs a machine in this process and kills the disk's worker while the load runs. */
async function killed(image: string): Promise<{ readonly console: string; readonly kills: number }> {
  const stored = await findImage(cacheFolder(), IMAGE);
  if (stored === undefined) throw new Error(`${IMAGE} is not here`);
  const named = (file: string): { file: string; bytes: Uint8Array } => ({ file, bytes: readFileSync(file) });
  const description = { cpus: 2, ramBytes: 512 << 20, virtioSlots: [0], hasFirmware: false, pmu: false };
  const plan = await planBoot(
    {
      machine: description,
      bootArguments: 'console=ttyAMA0 panic=-1 quiet wurley_plain=1',
      kernel: named(stored.kernelPath),
      initrd: named(stored.initrdPath),
      acpi: 'off',
    },
    hostUnpackers,
  );
  assert.ok(plan.ok);
  const system = new ActorSystem({ onLog: () => undefined });
  let console = '';
  let kills = 0;
  let handled = 0;
  let type: ((bytes: Uint8Array) => void) | undefined;
  const timer = setInterval(() => {
    if (!console.includes('LOAD') || console.includes('DONE') || kills === KILLS_MAX) return;
    const disk = system.inspect().find(({ name }) => name === 'vm-disk0');
    if (disk?.state !== 'running' || disk.handled < handled + 3) return;
    handled = disk.handled;
    kills++;
    system.fault(disk.ref);
  }, KILL_EVERY_MS);
  try {
    const request = { path: image, isReadOnly: false, format: undefined, anyBacking: false };
    const layers = openDisk(request, system.files, false);
    assert.ok(layers.ok);
    const virtio = [{ kind: 'disk', layers: layers.value, isReadOnly: false }] as const;
    const interpreter = (await loadInterpreter(cacheFolder())).module;
    const end = await runMachine(
      system,
      { description, plan: plan.value, interpreter, jit: true, virtio, name: 'vm', trace: undefined },
      {
        showsSerial: false,
        async write(bytes) {
          console += Buffer.from(bytes).toString('latin1').replaceAll('\r', '');
          if (!console.includes(READY_MARKER)) return;
          type?.(Buffer.from(`${LOAD.join('\n')}\n`));
          type = undefined;
        },
        onInput(take) {
          type = take;
          return () => undefined;
        },
      },
      () => undefined,
    );
    assert.ok(end.ok && end.value.stop === STOP.off, JSON.stringify(end));
    return { console, kills };
  } finally {
    clearInterval(timer);
    await system.close();
  }
}

for (const format of ['raw', 'qcow2'] as const) {
  const title = `a disk of format ${format} whose worker is killed under load loses nothing`;
  if (MISSING.length > 0) test.skip(title, `${MISSING.join(', ')} not installed`);
  else
    test(
      title,
      () =>
        withDisks(async (folder) => {
          const image = join(folder, `disk.${format}`);
          const { console, kills } = await killed(image);
          assert.match(console, /^0\nDONE$/m, console.slice(-2000));
          assert.ok(kills >= KILLS_MIN, `${kills} kills`);
          const sums = [...console.matchAll(/^([0-9a-f]{32}) {2}\/a\/(f\d+)$/gm)];
          const last = new Map(sums.map(([, sum, file]) => [file ?? '', sum ?? '']));
          const raw = checked(folder, image);
          for (const file of ['f19', 'f20', 'f21', 'f22', 'f23', 'f24']) {
            assert.is(md5Of(folder, raw, `/${file}`), last.get(file), `${file} after ${kills} kills`);
          }
          // Printed once from the page cache, and once after it was dropped.
          for (const [, sum, file] of sums) if (Number(file?.slice(1)) > 18) assert.is(sum, last.get(file ?? ''));
        }),
      DEADLINE,
    );
}

test.run();
