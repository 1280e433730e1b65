/** Root file systems without a machine: which packages, and dpkg's own view of what is made of them. */
import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statfsSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import * as assert from 'uvu/assert';
import type { Result } from '../../../bus/result.js';
import { type BootFault, faultSentence } from '../../../devices/machine/boot-fault.js';
import { mutate, seededRandom } from '../../../test/harness/mutations.js';
import { spec } from '../../../test/harness/spec.js';
import { addImage } from '../../commands/image.js';
import { runProgram, type Terminal } from '../../program.js';
import { hostFault } from '../host-fault.js';
import { parseIndex } from '../package-index.js';
import { checkRoom, FIELD, removeLeftOvers, WORK } from './build-place.js';
import { BuildProgress } from './build-progress.js';
import { CHECKPOINT_BYTES } from './build-script.js';
import { PackagePool, parseRelations } from './dependencies.js';
import { writePayload } from './payload.js';
import { readTar, renamed, TAR_END, tarFile } from './tar-stream.js';
import { UnpackedPackages } from './unpacked-packages.js';

const test = spec('root file systems');

function stanza(name: string, fields: Readonly<Record<string, string>> = {}): string {
  const all = {
    ...{ Package: name, Version: '1.0-1', Filename: `pool/${name}.deb`, Size: '10', SHA256: 'a'.repeat(64) },
    ...fields,
  };
  return Object.entries(all)
    .map(([key, value]) => `${key}: ${value}\n`)
    .join('');
}

const pool = (...stanzas: readonly string[]): PackagePool => new PackagePool(parseIndex(stanzas.join('\n')));

function closed(packages: PackagePool, ...roots: readonly string[]): string {
  const found = packages.close(roots);
  return found.ok ? [...found.value.keys()].sort().join(' ') : found.error;
}

test('a package brings what it needs: alternatives, provided names, versions', () => {
  const packages = pool(
    stanza('aa', { Depends: 'bb (>= 2), cc | dd, mail-agent', 'Pre-Depends': 'ee:any' }),
    stanza('bb', { Version: '2.1-3' }),
    stanza('bb', { Version: '1:0.1' }),
    stanza('cc'),
    stanza('dd'),
    stanza('ee', { Depends: 'aa' }),
    stanza('postfix', { Provides: 'mail-agent' }),
    stanza('exim', { Provides: 'mail-agent (= 4)' }),
    stanza('ff', { Depends: 'mail-agent (>= 5) | cc (<< 1) | dd' }),
    stanza('gg', { Depends: 'bb (<< 1)' }),
  );
  assert.is(closed(packages, 'aa'), 'aa bb cc ee exim');
  assert.is(closed(packages, 'dd', 'aa', 'postfix'), 'aa bb dd ee postfix', 'what is chosen already is taken');
  assert.is(closed(packages, 'ff'), 'dd ff');
  assert.is(closed(packages, 'gg'), 'gg needs bb, which cannot be had');
  assert.is(closed(packages, 'zz'), 'there is no package "zz"');
  assert.is(parseRelations('a b c, , x;rm, ok (>= 1) [arm64]').length, 1);
});

test('tar members are told apart, renamed with long names, and damaged archives are refused or read, never worse', () => {
  const long = `etc/${'x'.repeat(120)}/file`;
  const tar = Buffer.concat([...tarFile('etc/a', Buffer.from('one')), ...tarFile(long, Buffer.from('two')), TAR_END]);
  const members = readTar(tar);
  assert.ok(members.ok);
  assert.equal(
    members.value.map(({ path, content }) => [path, Buffer.from(content).toString()]),
    [
      ['etc/a', 'one'],
      [long, 'two'],
    ],
  );
  const [, second] = members.value;
  assert.ok(second !== undefined);
  const again = readTar(Buffer.concat([...renamed(second, `${long}.dpkg-new`), TAR_END]));
  assert.ok(again.ok);
  assert.is(again.value[0]?.path, `${long}.dpkg-new`);
  assert.ok(!readTar(Buffer.concat([...tarFile('../../etc/passwd', Buffer.from('x')), TAR_END])).ok);
  const random = seededRandom(7);
  let refused = 0;
  for (let round = 0; round < 2000; round++) if (!readTar(mutate(tar, random)).ok) refused++;
  assert.ok(refused > 100, `${refused} refused`);
});

const has = (program: string): boolean => !('error' in spawnSync(program, ['--version']));
const isRoot = process.getuid?.() === 0;

function run(program: string, ...args: readonly string[]): string {
  const done = spawnSync(program, args, { encoding: 'utf8', env: { ...process.env, LC_ALL: 'C' } });
  if (done.status !== 0) throw new Error(`${program} ${args.join(' ')}: ${done.stdout}${done.stderr}`);
  return done.stdout;
}

/** Files below `folder` with what they say, and links and folders by their kind. */
function tree(folder: string): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    const what = entry.isFile() ? readFileSync(path, 'latin1') : entry.isDirectory() ? 'folder' : 'link';
    found.set(path.slice(folder.length), `${(statSync(path).mode & 0o777).toString(8)} ${what}`);
  }
  return found;
}

/** A package made by dpkg-deb from files. */
function makeDeb(folder: string, name: string, control: string, files: Readonly<Record<string, string>>): string {
  const source = join(folder, name);
  for (const [path, content] of Object.entries({ 'DEBIAN/control': control, ...files })) {
    mkdirSync(dirname(join(source, path)), { recursive: true });
    writeFileSync(join(source, path), content, { mode: path.startsWith('DEBIAN/p') ? 0o755 : 0o644 });
  }
  const deb = join(folder, `${name}.deb`);
  run('dpkg-deb', '--root-owner-group', '-Zxz', '--build', source, deb);
  return deb;
}

const ORACLE = 'packages are unpacked as dpkg --unpack leaves them';
if (!has('dpkg') || !isRoot) test.skip(ORACLE, 'needs dpkg and root');
else
  test(ORACLE, async () => {
    const folder = mkdtempSync(join(tmpdir(), 'wurley-dpkg-'));
    try {
      const control = (name: string, more: string): string =>
        `Package: ${name}\nVersion: 1.0\nArchitecture: arm64\nMaintainer: x <x@example.org>\n${more}Description: a package\n more of it\n`;
      const debs = [
        makeDeb(folder, 'one', control('one', 'Multi-Arch: same\nPriority: required\n'), {
          'etc/one.conf': 'setting\n',
          'etc/one.d/two.conf': 'other\n',
          [`usr/share/${'long'.repeat(30)}/file`]: 'long\n',
          'usr/bin/one': 'program\n',
          'DEBIAN/conffiles': '/etc/one.conf\n/etc/one.d/two.conf\n',
          'DEBIAN/triggers': 'interest-noawait /usr/share/two\ninterest alpha\nactivate-noawait beta\n',
          'DEBIAN/postinst': '#!/bin/sh\nexit 0\n',
        }),
        makeDeb(folder, 'two', control('two', 'Depends: one\n'), {
          'usr/share/two/data': 'data\n',
          'DEBIAN/triggers': 'interest-await beta\n',
        }),
      ];
      const [ours, theirs] = [join(folder, 'ours'), join(folder, 'theirs')];
      for (const made of [ours, theirs]) mkdirSync(made);
      const packages = ['one', 'two'].map((name, index) => {
        const [record] = parseIndex(stanza(name));
        assert.ok(record !== undefined);
        return { record, path: debs[index] ?? '' };
      });
      const files = new Map([['etc/hostname', 'here\n']]);
      const payload = await writePayload(join(folder, 'payload'), packages, files, () => undefined);
      assert.ok(payload.ok);
      assert.equal(payload.value.triggers, ['/usr/share/two', 'beta']);
      assert.is(statSync(join(folder, 'payload')).size % 65_536, 0);
      run('tar', '-x', '-f', join(folder, 'payload'), '-C', ours);
      mkdirSync(join(theirs, 'var/lib/dpkg'), { recursive: true });
      writeFileSync(join(theirs, 'var/lib/dpkg/status'), '');
      const force = ['--force-architecture', '--force-script-chrootless', '--log=/dev/null'];
      run('dpkg', `--root=${theirs}`, ...force, '--unpack', ...debs);
      const dpkgs = tree(theirs);
      const mine = tree(ours);
      // The rest is dpkg's own bookkeeping, and what only we put there.
      const isCompared = (path: string): boolean =>
        !/^\/var\/lib\/dpkg\/(status|available|lock|updates|parts|alternatives|diversions|statoverride|status-old|triggers\/(Lock|Unincorp))|dpkg$/.test(
          path,
        );
      for (const [path, what] of dpkgs) {
        if (!isCompared(path)) continue;
        // A package of this host's own architecture has no suffix there; ours are always of the guest's.
        assert.is(mine.get(path)?.split('\n').sort().join('\n'), what.split('\n').sort().join('\n'), path);
      }
      const query = (root: string): string =>
        run(
          'dpkg-query',
          `--admindir=${root}/var/lib/dpkg`,
          '-f',
          `${['Package', 'Status', 'Version', 'Conffiles'].map((field) => `\${${field}}`).join(' ')}\n`,
          '-W',
        );
      assert.is(query(ours), query(theirs));
      assert.match(query(ours), /one install ok unpacked 1\.0/);
      assert.is(mine.get('/etc/hostname'), '644 here\n');
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });

test('progress is told from what the guest prints, and a build that stands still is noticed', () => {
  let clock = 0;
  const said: string[] = [];
  const report = (what: string, fraction?: number, detail?: string): void => {
    const line = `${what} ${fraction?.toFixed(2) ?? '-'} ${detail ?? '-'}`;
    if (said.at(-1) !== line) said.push(line);
  };
  const work = { packages: 3, preinsts: 1, payloadBytes: 16 * CHECKPOINT_BYTES };
  const progress = new BuildProgress(work, report, () => clock);
  const hear = (text: string): void => progress.take(Buffer.from(text));
  hear('wurley-build: step copying the packages\r\n/sbin/gnu-tar: checkpo');
  hear('int 8\n');
  hear('wurley-build: step configuring packages\nprocessing: preinst: libc6\nstatus: libc6: half-configured\n');
  hear('processing: configure: libc6:arm64\n');
  clock = 61_000;
  hear('rcu: INFO: rcu_sched self-detected stall on CPU\n');
  progress.tick();
  assert.is(progress.stillMs, 61_000, 'what the kernel says is no progress');
  assert.is(progress.activity, 'configuring packages, setting up libc6');
  hear('processing: trigproc: libc-bin\n');
  assert.is(progress.stillMs, 0);
  assert.equal(said, [
    'starting a machine - -',
    'copying the packages - -',
    'copying the packages 0.50 -',
    'configuring packages - -',
    'configuring packages 0.25 preparing libc6',
    'configuring packages 0.50 setting up libc6',
    'configuring packages 0.50 setting up libc6 for 61 s',
    'configuring packages 0.50 bringing up to date what belongs to libc-bin',
  ]);
  assert.is(progress.isDone, false);
  hear('dpkg: oh\nwurley-build: failed preinst of x\nwurley-build: failed later\nwurley-build: done\n');
  assert.is(progress.failure, 'preinst of x');
  assert.ok(progress.isDone);
  assert.is(progress.lastLines(), 'rcu: INFO: rcu_sched self-detected stall on CPU\ndpkg: oh');
});

test('a package that is none, or of another name, is refused', async () => {
  const unpacked = new UnpackedPackages();
  const found = await unpacked.add('one', new Uint8Array(100));
  assert.ok(!found.ok && found.error.field === 'ar magic');
});

test('a host without room for it is told of in a sentence, and so is what it says of a full disk', () => {
  const folder = mkdtempSync(join(tmpdir(), 'wurley-room-'));
  const sentence = (found: Result<undefined, BootFault>): string => (found.ok ? 'fine' : faultSentence(found.error));
  assert.is(sentence(checkRoom(join(folder, 'work'), 0)), 'fine');
  const { bavail, bsize } = statfsSync(folder);
  assert.match(
    sentence(checkRoom(join(folder, 'work'), bavail * bsize)),
    /: disk image: no space: \d+ MiB are free there and \d+ MiB needed$/,
  );
  rmSync(folder, { recursive: true });
  assert.throws(() => hostFault(new Error('a mistake of ours'), 'd.img', FIELD), /a mistake of ours/);
  if (!existsSync('/dev/full')) return;
  try {
    writeFileSync('/dev/full', 'x');
  } catch (problem) {
    assert.is(
      sentence(hostFault(problem, 'd.img', FIELD)),
      'd.img: disk image: cannot be written: no space is left there (ENOSPC)',
    );
  }
});

test('working folders of processes that are gone are taken away, others are not', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'wurley-left-'));
  const gone = spawnSync('true').pid;
  for (const name of [`${WORK}${gone}-abcdef`, `${WORK}${process.pid}-abcdef`, `${WORK}x`, 'mine'])
    mkdirSync(join(folder, name));
  await removeLeftOvers(folder);
  assert.equal(readdirSync(folder).sort(), [`${WORK}${process.pid}-abcdef`, `${WORK}x`, 'mine']);
  rmSync(folder, { recursive: true });
});

/** Runs `wurley image rootfs ...`; exit code and what it said. */
async function rootfs(...args: readonly string[]): Promise<string> {
  let said = '';
  const terminal: Terminal = {
    ...{ isTTY: false, columns: 80 },
    out: (text) => void (said += text),
    err: (text) => void (said += text),
    onInterrupt: () => () => undefined,
  };
  const code = await runProgram([addImage], ['image', 'rootfs', ...args], terminal);
  return `${code} ${said.trim()}`;
}

test('options that make no sense are told in a sentence', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'wurley-keys-'));
  const key = join(folder, 'id');
  writeFileSync(key, '-----BEGIN OPENSSH PRIVATE KEY-----\n');
  const cases: readonly (readonly [readonly string[], RegExp])[] = [
    [['debian:bookworm'], /64 .*--output/],
    [['debian:bookworm', '-o', 'disk'], /64 .*-o disk: the name does not tell the format/],
    [['debian:bookworm', '-o', 'd.img', '--format', 'vdi'], /64 .*--format takes raw, qcow2, not "vdi"/],
    [['debian:bookworm', '-o', 'd.img', '--size', '10M'], /64 .*--size takes 1G to 2048G/],
    [['debian:bookworm', '-o', 'd.img', '--include', 'gcc,../x'], /64 .*"\.\.\/x" is no name of a package/],
    [['debian:bookworm', '-o', 'd.img', '--hostname', 'a b'], /64 .*--hostname/],
    [['debian:bookworm', '-o', 'd.img', '--root-password', 'x'], /64 .*--root-password takes none, random, locked/],
    [['debian:bookworm', '-o', 'd.img', '--variant', 'x'], /64 .*--variant takes standard, minimal/],
    [['debian:bookworm', '-o', 'd.img', '--ssh-key', key], /64 .*ends in \.pub/],
    [
      ['debian:bookworm', '-o', 'd.img', '--ssh-key', '/nowhere'],
      /64 .*cannot be read: there is no such file or folder \(ENOENT\)/,
    ],
    [['debian:woody', '-o', 'd.img'], /64 .*Allowed choices are debian:bookworm/],
    [
      ['debian:bookworm', '-o', join(folder, 'id.img')],
      /65 .*id\.img: disk image: is there already; --force replaces it/,
    ],
    [['debian:bookworm', '-o', join(folder, 'sub.img'), '--force'], /65 .*sub\.img: disk image: is there and no file/],
    [
      ['debian:bookworm', '-o', join(key, 'd.img')],
      /65 .*cannot be written: a part of the path is no folder \(ENOTDIR\), at/,
    ],
  ];
  writeFileSync(join(folder, 'id.img'), 'mine');
  mkdirSync(join(folder, 'sub.img'));
  for (const [args, wanted] of cases) assert.match(await rootfs(...args), wanted);
  assert.is(readFileSync(join(folder, 'id.img'), 'latin1'), 'mine');
  rmSync(folder, { recursive: true });
});

test.run();
