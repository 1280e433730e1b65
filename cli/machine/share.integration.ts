/** Shared folders (9p) under Debian's 6.1 kernel: trees copied both ways and compared, and what a file system has to do. */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as assert from 'uvu/assert';
import { runUnderWurley } from '../../test/drivers/wurley.js';
import { spec } from '../../test/harness/spec.js';

const test = spec('shared folders under debian');
const MINUTES = 60_000;
/** The cloud kernels have no 9p. */
const IMAGE = 'debian:6.1';
/** A source tree: the bus of this program. */
const TREE = fileURLToPath(new URL('../../../bus', import.meta.url));
const MANY = 20_000;
const LONG_NAME = 'n'.repeat(255);
const md5 = (bytes: Uint8Array): string => createHash('md5').update(bytes).digest('hex');

/** `path type mode size target-or-sum` of everything below `folder`, sorted. */
function listing(folder: string): readonly string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .map((entry) => {
      const path = join(entry.parentPath, entry.name);
      const { mode, size, mtimeMs } = statSync(path);
      const what = entry.isFile() ? `${size} ${md5(readFileSync(path))} ${Math.floor(mtimeMs / 1000)}` : 'folder';
      return `${path.slice(folder.length)} ${mode.toString(8)} ${what}`;
    })
    .toSorted();
}

const COMMANDS = [
  'mkdir /s /r',
  'mount -t 9p -o trans=virtio,msize=512000 share /s && mount -t 9p -o trans=virtio,ro fixed /r && echo mounted',
  'touch /r/x 2>&1 | grep -o "Read-only.*"; mount -o remount,rw /r; touch /r/x 2>&1 | grep -o "Read-only.*"',
  'rm -r /r/file 2>&1 | grep -o "Read-only.*"; cat /r/file',
  'cp -a /s/tree /tmp/tree && cp -a /tmp/tree /s/back && echo copied',
  'mkdir /s/tarred; tar -C /s/tree -cf - . | tar -C /s/tarred -xpf - && echo packed',
  'cat /s/outside; cat /s/pipe.sock 2>&1 | grep -c "No such"',
  'mkdir -p /s/a/b; echo deep > /s/a/b/file; mv /s/a /s/c; cat /s/c/b/file; mv /s/c/b/file /s/c/moved; ls -1 /s/c',
  `echo long > /s/${LONG_NAME}; cat /s/${LONG_NAME}; touch /s/${LONG_NAME}x 2>&1 | grep -o "File name too long"`,
  'exec 3< /s/tree/result.ts; rm /s/tree/result.ts; md5sum <&3; exec 3<&-; ls /s/tree/result.ts 2>&1 | grep -c "No such"',
  'echo one > /s/added; echo two >> /s/added; cat /s/added; truncate -s 3 /s/added; wc -c < /s/added',
  'dd if=/dev/urandom of=/s/sparse bs=4096 seek=1000 count=1 2> /dev/null; stat -c "%s %b" /s/sparse | (read s b; [ $b -lt 100 ] && echo $s)',
  'cp /bin/busybox /s/busybox; /s/busybox echo mapped',
  'ln -s target /s/link; readlink /s/link; ln /s/added /s/second; stat -c %h /s/added; chmod 4751 /s/added; stat -c %a /s/added',
  'mknod /s/null c 1 3 2>&1 | grep -o "not permitted"; chown 5 /s/added 2>&1 | grep -o "not permitted"; stat -c "%u %g" /s/added',
  'set -- /s/many/*; echo $#',
  'df /s | tail -1 | grep -c share; sync /s/added; rm -r /s/tarred/codec && echo removed; umount /s /r',
  'dmesg | grep -ciE "9p.*(error|fail|bad)"; poweroff -f',
];

test(
  'trees copied both ways are the same; links, names, permissions, sparse and removed files are a file system\u2019s',
  async () => {
    const folder = mkdtempSync(join(tmpdir(), 'wurley-share-'));
    const [shared, fixed] = [join(folder, 'shared'), join(folder, 'fixed')];
    try {
      for (const path of [shared, fixed, join(shared, 'many')]) mkdirSync(path, { recursive: true });
      cpSync(TREE, join(shared, 'tree'), { recursive: true, preserveTimestamps: true });
      writeFileSync(join(folder, 'secret'), 'the host\u2019s\n');
      symlinkSync(join(folder, 'secret'), join(shared, 'outside'));
      writeFileSync(join(fixed, 'file'), 'fixed\n');
      for (let i = 0; i < MANY; i++) writeFileSync(join(shared, 'many', `${i}`), '');
      const before = listing(join(shared, 'tree'));
      const result = md5(readFileSync(join(shared, 'tree', 'result.ts')));
      const run = {
        boot: [IMAGE],
        cpus: 2,
        memoryMiB: 512,
        bootargs: '',
        deadlineMs: 8 * MINUTES,
        input: `${COMMANDS.join('\n')}\n`,
        more: ['--share', `${shared},rw`, '--share', `${fixed},tag=fixed`],
      };
      const outcome = await runUnderWurley(run);
      assert.ok(outcome.ok, outcome.ok ? '' : outcome.error.text + outcome.error.console);
      const { console: said, exitCode, errors } = outcome.value;
      assert.is(exitCode, 0, errors);
      const readOnly = 'Read-only file system';
      const expected = [
        ...['mounted', readOnly, readOnly, readOnly, 'fixed', 'copied', 'packed'],
        ...["cat: can't open '/s/outside': No such file or directory", '1', 'deep', 'b', 'moved'],
        ...[
          'long',
          'File name too long',
          `${result}  -`,
          '1',
          'one',
          'two',
          '3',
          '4100096',
          'mapped',
          'target',
          '2',
          '751',
        ],
        ...['not permitted', 'not permitted', '0 0', `${MANY}`, '1', 'removed', '0', ''],
      ];
      assert.ok(said.includes(`\n${expected.join('\n')}`), said);
      assert.equal(listing(join(shared, 'back')), before);
      const packed = listing(join(shared, 'tarred')).filter((line) => !line.startsWith('/codec'));
      assert.equal(
        packed,
        before.filter((line) => !line.startsWith('/codec')),
      );
      assert.is(readFileSync(join(folder, 'secret'), 'utf8'), 'the host\u2019s\n');
      const found = spawnSync('find', [shared, '-perm', '/6000', '-type', 'f'], { encoding: 'utf8' });
      assert.is(found.stdout, '', 'nothing runs under another name');
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
  { deadlineMs: 10 * MINUTES },
);

test.run();
