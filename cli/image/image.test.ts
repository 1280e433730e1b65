/** The image library's parts on made-up packages: no network, no Debian. The real thing is image.integration.ts. */
import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { packTar } from 'modern-tar';
import * as assert from 'uvu/assert';
import { faultSentence } from '../../devices/machine/boot-fault.js';
import { mutate, seededRandom } from '../../test/harness/mutations.js';
import { spec } from '../../test/harness/spec.js';
import { addImage } from '../commands/image.js';
import { runProgram, type Terminal } from '../program.js';
import { readAr } from './ar.js';
import { CATALOG, folderName } from './catalog.js';
import { writeCpio } from './cpio.js';
import { readDeb } from './deb.js';
import { httpsSource } from './https-source.js';
import { buildInitramfs, busyboxApplets } from './initramfs.js';
import { type KernelModule, modulesAlias, modulesDep, readModule } from './modules.js';
import { compareVersions, kernelDependency, newest, parseIndex } from './package-index.js';
import { progressLine } from './progress-line.js';
import { isExpired, isOfSuite, releaseEntry, signedText } from './release-file.js';
import { findImage, listImages, removeImage, storeImage } from './store.js';

const test = spec('image');

/** An ar archive. */
function ar(members: readonly (readonly [string, Uint8Array])[]): Uint8Array {
  const parts = [Buffer.from('!<arch>\n')];
  for (const [name, bytes] of members) {
    const size = bytes.byteLength.toString();
    parts.push(
      Buffer.from(
        `${name.padEnd(16)}${'0'.padEnd(12)}${'0'.padEnd(6)}${'0'.padEnd(6)}${'100644'.padEnd(8)}${size.padEnd(10)}\`\n`,
      ),
    );
    parts.push(Buffer.from(bytes), Buffer.alloc(bytes.byteLength % 2, '\n'));
  }
  return new Uint8Array(Buffer.concat(parts));
}

/** A Debian package with the given files. */
async function deb(files: Readonly<Record<string, Uint8Array>>): Promise<Uint8Array> {
  const tar = await packTar(
    Object.entries(files).map(([name, bytes]) => ({
      header: { name: `./${name}`, size: bytes.byteLength },
      body: bytes,
    })),
  );
  return ar([
    ['debian-binary', Buffer.from('2.0\n')],
    ['control.tar.gz', gzipSync('')],
    ['data.tar.gz', gzipSync(tar)],
  ]);
}

/** A relocatable object whose only section with content is `.modinfo`. */
function moduleObject(modinfo: readonly string[]): Uint8Array {
  const names = Buffer.from('\0.modinfo\0.shstrtab\0');
  const info = Buffer.from(`${modinfo.join('\0')}\0`);
  const out = new Uint8Array(64 + info.byteLength + names.byteLength + 3 * 64);
  const view = new DataView(out.buffer);
  out.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  out.set(info, 64);
  out.set(names, 64 + info.byteLength);
  const table = 64 + info.byteLength + names.byteLength;
  view.setBigUint64(40, BigInt(table), true);
  view.setUint16(58, 64, true);
  view.setUint16(60, 3, true);
  view.setUint16(62, 2, true);
  const section = (index: number, name: number, offset: number, size: number): void => {
    view.setUint32(table + index * 64, name, true);
    view.setBigUint64(table + index * 64 + 24, BigInt(offset), true);
    view.setBigUint64(table + index * 64 + 32, BigInt(size), true);
  };
  section(1, 1, 64, info.byteLength);
  section(2, 10, 64 + info.byteLength, names.byteLength);
  return out;
}

test('a package gives the chosen files, mixed with others that are passed over', async () => {
  const files: Record<string, Uint8Array> = {};
  for (let i = 0; i < 60; i++) files[`f/${i}`] = new Uint8Array((i * 7919) % 40_000).fill(i);
  const read = await readDeb('x.deb', await deb(files), (path) => Number(path.slice(2)) % 3 === 0);
  if (!read.ok) throw new Error(faultSentence(read.error));
  assert.is(read.value.length, 20);
  for (const { path, bytes } of read.value) assert.equal(Buffer.from(bytes), Buffer.from(files[path] ?? []));
});

test('paths out of the package are not given', async () => {
  const read = await readDeb(
    'x.deb',
    await deb({ '../evil': new Uint8Array(3), 'a/../../b': new Uint8Array(3) }),
    () => true,
  );
  assert.equal(read, { ok: true, value: [] });
});

const damagedPackages = async (): Promise<void> => {
  const original = await deb({ 'boot/vmlinuz-1': new Uint8Array(3000).fill(7), 'lib/x.ko': moduleObject(['name=x']) });
  const random = seededRandom(5);
  let refused = 0;
  for (let i = 0; i < 5000; i++) {
    const started = process.cpuUsage();
    const read = await readDeb('bad.deb', mutate(original, random), () => true);
    const { user, system } = process.cpuUsage(started);
    assert.ok(user + system < 1_000_000, `${user + system} us of processor time`);
    if (read.ok) continue;
    refused++;
    assert.match(faultSentence(read.error), /^bad\.deb: [^\n]{5,220}$/);
  }
  assert.ok(refused > 2500, `${refused} refused`);
  assert.ok(process.memoryUsage().rss < 512 * 1024 * 1024);
};
test('5,000 damaged packages each end in files or one sentence, quickly and in bounded memory', damagedPackages, {
  deadlineMs: 240_000,
});

test('5,000 damaged modules and archives never throw', () => {
  const module = moduleObject(['name=x', 'depends=a,b', 'alias=virtio:d00000001v*']);
  const archive = ar([
    ['debian-binary', Buffer.from('2.0\n')],
    ['data.tar', new Uint8Array(99)],
  ]);
  const random = seededRandom(6);
  for (let i = 0; i < 5000; i++) {
    readModule('x.ko', mutate(module, random));
    readAr('x.deb', mutate(archive, random));
  }
});

test('modules tell their dependencies and aliases; modules.dep has the nearest first', () => {
  const read = (name: string, depends: string, alias = ''): KernelModule => {
    const object = moduleObject([`alias=${alias}`, `depends=${depends}`, `name=${name}`]);
    const result = readModule(`kernel/${name}.ko`, object);
    if (!result.ok) throw new Error(faultSentence(result.error));
    return result.value;
  };
  const modules = [read('a', 'b,c', 'virtio:d00000001v*'), read('b', 'c'), read('c', ''), read('virtio-rng', 'gone')];
  assert.is(
    modulesDep(modules),
    'kernel/a.ko: kernel/b.ko kernel/c.ko\nkernel/b.ko: kernel/c.ko\nkernel/c.ko:\nkernel/virtio-rng.ko:\n',
  );
  assert.is(modulesAlias(modules), 'alias virtio:d00000001v* a\n');
  assert.is(modules[3]?.name, 'virtio_rng');
});

test('a cpio archive has newc headers of 110 characters, padded names and a trailer', () => {
  const bytes = Buffer.from(
    writeCpio([
      { kind: 'directory', path: 'd', mode: 0o755 },
      { kind: 'file', path: 'd/f', mode: 0o644, bytes: Buffer.from('hello') },
      { kind: 'symlink', path: 'd/l', target: 'f' },
      { kind: 'device', path: 'd/console', mode: 0o600, major: 5, minor: 1 },
    ]),
  );
  const seen: string[] = [];
  for (let at = 0; ; ) {
    assert.is(bytes.toString('latin1', at, at + 6), '070701');
    const field = (index: number): number =>
      Number.parseInt(bytes.toString('latin1', at + 6 + index * 8, at + 14 + index * 8), 16);
    const name = bytes.toString('latin1', at + 110, at + 110 + field(11) - 1);
    if (name === 'TRAILER!!!') break;
    const body = (at + 110 + field(11) + 3) & ~3;
    seen.push(
      `${name} ${field(1).toString(8)} ${field(9)}:${field(10)} ${bytes.toString('latin1', body, body + field(6))}`,
    );
    at = (body + field(6) + 3) & ~3;
  }
  assert.equal(seen, ['d 40755 0:0 ', 'd/f 100644 0:0 hello', 'd/l 120777 0:0 f', 'd/console 20600 5:1 ']);
  assert.is(bytes.byteLength % 512, 0);
});

test("busybox's applet table is found, and something else is not taken for it", () => {
  const names = Array.from({ length: 150 }, (_, i) => `app${i}`);
  const binary = Buffer.from(`\x7fELF..[\0[[\0tiny\0\0....[\0[[\0${names.join('\0')}\0\0rest`);
  assert.equal(busyboxApplets(binary), ['[', '[[', ...names]);
  assert.is(busyboxApplets(Buffer.from('[\0[[\0a\0\0')), undefined);
  const fallback = buildInitramfs({
    release: '1',
    busybox: new Uint8Array(4),
    modules: [],
    builtin: new Uint8Array(0),
  });
  assert.ok(Buffer.from(fallback).includes('/bin/busybox --install'));
});

test('versions have the order of dpkg', () => {
  const ascending = [
    '1.0~rc1',
    '1.0',
    '1.0-1',
    '1.0-1+b1',
    '1.0a',
    '1.0+dfsg',
    '1.2',
    '1.10',
    '6.1.176-1',
    '6.1.192-2',
    '6.12.95-1~bpo12+1',
    '6.12.95-1',
    '1:0.1',
  ];
  for (let i = 0; i + 1 < ascending.length; i++) {
    const [a = '', b = ''] = [ascending[i], ascending[i + 1]];
    assert.ok(compareVersions(a, b) < 0, `${a} is older than ${b}`);
    assert.ok(compareVersions(b, a) > 0);
    assert.is(compareVersions(a, a), 0);
  }
});

const HASH = 'a'.repeat(64);
const stanza = (name: string, version: string, more = ''): string =>
  `Package: ${name}\nVersion: ${version}\nFilename: pool/main/x/${name}_${version}_arm64.deb\nSize: 10\nSHA256: ${HASH}\n${more}\n`;

test('an index gives the wanted packages; the newest is chosen and its kernel found', () => {
  const text =
    stanza('linux-image-cloud-arm64', '6.1.10-1', 'Depends: linux-image-6.1.0-1-cloud-arm64 (= 6.1.10-1)\n') +
    stanza('other', '1') +
    stanza('linux-image-cloud-arm64', '6.1.9-1', 'Depends: linux-image-6.1.0-0-cloud-arm64 (= 6.1.9-1)\n');
  const records = parseIndex(text, new Set(['linux-image-cloud-arm64']));
  assert.is(records.length, 2);
  const best = newest(records, (record) => record.version.startsWith('6.1.'));
  assert.is(best && kernelDependency(best), 'linux-image-6.1.0-1-cloud-arm64');
});

test('stanzas that could reach outside are left out', () => {
  const bad = [
    stanza('x', '1').replace('pool/main', 'pool/../../etc'),
    stanza('x', '1').replace('pool/main/x', '/etc'),
    stanza('x', '1; rm -rf'),
    stanza('x', '1').replace(HASH, 'zz'),
    stanza('x', '1').replace('Size: 10', 'Size: 99999999999'),
  ];
  for (const text of bad) assert.equal(parseIndex(text, new Set(['x'])), [], text);
  assert.is(parseIndex(stanza('xy', '1'), new Set(['xy'])).length, 1);
});

test('5,000 damaged indexes and Release files give no unsound record, quickly', () => {
  const index = Buffer.from(stanza('x', '1', 'Depends: a, linux-image-6.1.0-1-arm64 (= 1)\n').repeat(20));
  const release = Buffer.from(
    `-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\nSuite: a\nSHA256:\n${` ${HASH} 10 main/a\n`.repeat(50)}-----BEGIN PGP SIGNATURE-----\n`,
  );
  const random = seededRandom(8);
  // Processor time, not the wall's: the machine may be busy with other work.
  const started = process.cpuUsage();
  for (let i = 0; i < 5000; i++) {
    for (const record of parseIndex(
      Buffer.from(mutate(index, random)).toString('latin1'),
      new Set(['x', 'linux-image-cloud-arm64']),
    )) {
      assert.match(record.filename, /^pool\/(?!.*\.\.)[\x21-\x7e]+\.deb$/);
      assert.match(record.sha256, /^[0-9a-f]{64}$/);
      kernelDependency(record);
    }
    const text = signedText(Buffer.from(mutate(release, random)).toString('latin1'));
    if (text !== undefined) releaseEntry(text, 'main/a');
  }
  const { user, system } = process.cpuUsage(started);
  assert.ok(user + system < 60e6, `took ${(user + system) / 1e6} s`);
});

test('the image verb refuses unknown names in one sentence: as wrong ones, and as such that are not here', async () => {
  const said: string[] = [];
  const terminal: Terminal = {
    isTTY: false,
    columns: 80,
    out: (text) => said.push(text),
    err: (text) => said.push(text),
    onInterrupt: () => () => undefined,
  };
  assert.is(await runProgram([addImage], ['image', 'pull', 'debian:0'], terminal), 64);
  assert.match(said.join(''), /^wurley: [^\n]+'debian:0'[^\n]+Allowed choices are debian:6\.1-cloud, [^\n]+\n$/);
  said.length = 0;
  assert.is(await runProgram([addImage], ['image', 'rm', 'debian:never'], terminal), 65);
  assert.match(said.join(''), /^wurley: debian:never: image: was never pulled[^\n]+\n$/);
  said.length = 0;
  assert.is(await runProgram([addImage], ['image'], terminal), 64, 'which of its verbs was not said');
  assert.match(said.join(''), /^Usage: wurley image [\s\S]*\n {2}pull [\s\S]*\n {2}rm /);
});

test('a Release file is read only inside its signature', () => {
  const body = `Suite: stable\nCodename: bookworm\nValid-Until: Sat, 01 Jan 2022 00:00:00 UTC\nSHA256:\n ${HASH} 10 main/a\n ${'b'.repeat(64)} 11 main/b\n`;
  const file = `-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n${body}-----BEGIN PGP SIGNATURE-----\nx\n-----END PGP SIGNATURE-----\nSHA256:\n ${'c'.repeat(64)} 1 main/c\n`;
  const text = signedText(file) ?? '';
  assert.equal(releaseEntry(text, 'main/b'), { sha256: 'b'.repeat(64), sizeBytes: 11 });
  assert.is(releaseEntry(text, 'main/c'), undefined);
  assert.ok(isOfSuite(text, 'bookworm') && !isOfSuite(text, 'trixie'));
  assert.ok(isExpired(text, Date.parse('2022-01-02')) && !isExpired(text, Date.parse('2021-12-31')));
  assert.is(signedText(`evil\n${file}`), undefined);
});

test('a download goes on where it stopped, and a wrong one is thrown away', async () => {
  const content = Buffer.from(Array.from({ length: 5000 }, (_, i) => i & 0xff));
  const ranges: (string | undefined)[] = [];
  let cut = true;
  const server = createServer((request, response) => {
    ranges.push(request.headers.range);
    const start = Number(/bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0);
    response.writeHead(start > 0 ? 206 : 200, { 'content-length': content.byteLength - start });
    if (!cut) return void response.end(content.subarray(start));
    cut = false;
    response.write(content.subarray(0, 2000), () => setTimeout(() => response.destroy(), 50));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const folder = await mkdtemp(join(tmpdir(), 'wurley-https-'));
  const source = httpsSource(folder, { WURLEY_DEBIAN_MIRROR: `http://127.0.0.1:${port}` }, () => 0);
  const record = {
    ...{ name: 'x', version: '1', filename: 'pool/x.deb', sizeBytes: content.byteLength },
    ...{ depends: '', preDepends: '', provides: '', priority: 'optional', isEssential: false },
    sha256: createHash('sha256').update(content).digest('hex'),
  };
  const path = join(folder, 'x.deb');
  const first = await source.download(record, path, () => undefined);
  assert.ok(!first.ok && first.error.field === 'network', 'the first attempt was cut');
  const second = await source.download(record, path, () => undefined);
  assert.ok(second.ok);
  assert.equal(ranges, [undefined, 'bytes=2000-']);
  assert.equal(await readFile(path), content);
  const wrong = await source.download({ ...record, sha256: HASH }, join(folder, 'y.deb'), () => undefined);
  assert.ok(!wrong.ok && wrong.error.field === 'SHA256');
  server.close();
  await rm(folder, { recursive: true });
});

test('images are stored whole, listed and removed', async () => {
  const cache = await mkdtemp(join(tmpdir(), 'wurley-store-'));
  const manifest = {
    format: 1,
    name: 'debian:6.1-cloud',
    release: 'r',
    kernelPackage: 'k 1',
    busyboxPackage: 'b 1',
    pulledAt: 0,
  } as const;
  assert.is(await findImage(cache, manifest.name), undefined);
  await storeImage(cache, manifest, new Uint8Array(3), new Uint8Array(4));
  await storeImage(cache, manifest, new Uint8Array(5), new Uint8Array(4));
  assert.is((await findImage(cache, manifest.name))?.sizeBytes, 9);
  assert.equal(
    (await listImages(cache)).map((image) => image.manifest),
    [{ ...manifest, kernelBytes: 5, initrdBytes: 4 }],
  );
  const kernelPath = (await findImage(cache, manifest.name))?.kernelPath ?? '';
  await writeFile(kernelPath, new Uint8Array(2));
  assert.is(await findImage(cache, manifest.name), undefined, 'a kernel that was cut is pulled again');
  assert.ok((await removeImage(cache, manifest.name)).ok);
  const again = await removeImage(cache, manifest.name);
  assert.ok(!again.ok && faultSentence(again.error).startsWith('debian:6.1-cloud: image: '));
  await rm(cache, { recursive: true });
});

test('image names make distinct, harmless folder names', () => {
  const folders = CATALOG.map((entry) => folderName(entry.name));
  assert.is(new Set(folders).size, CATALOG.length);
  assert.is(folderName('../x/..'), '..-x-..');
});

test('progress is one rewritten line on a terminal and plain lines elsewhere', () => {
  const texts: string[] = [];
  let clock = 0;
  const terminal = progressLine({ isTTY: true, columns: 80, write: (text) => texts.push(text) }, () => clock);
  terminal.report('fetching x', 0.5);
  terminal.report('fetching x', 0.6);
  clock = 1000;
  terminal.report('fetching x', 1);
  terminal.done();
  assert.equal(texts.length, 3);
  assert.is(texts[0], `\r\u001b[K[${'#'.repeat(12)}${'.'.repeat(12)}]  50% fetching x`);
  const plain: string[] = [];
  const pipe = progressLine({ write: (text) => plain.push(text) }, () => clock);
  pipe.report('a', 0.1);
  pipe.report('a', 0.2);
  clock += 10_000;
  pipe.report('a', 0.25, 'package x');
  pipe.report('a', 0.3);
  pipe.report('b', undefined, 'y');
  assert.equal(plain, ['a\n', 'a: package x (25%)\n', 'b: y\n']);
});

test.run();
