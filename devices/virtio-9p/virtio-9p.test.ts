import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { HostFiles } from '../../actors/runtime/host-files.js';
import { useHostFolder } from '../../actors/runtime/host-folder.js';
import { STAGE2_RIGHTS } from '../../actors/shared-state/stage2/stage2-map.js';
import { GUEST_AT, type Ring, VirtioDriver } from '../../test/drivers/virtio-driver.js';
import { spec } from '../../test/harness/spec.js';
import { type Field, put, s, u16, u32, u64 } from '../../test/hostile-devices/ninep-messages.js';
import { VirtioDevice } from '../virtio/virtio-device.js';
import { DESCRIPTOR, FEATURE, featureWords } from '../virtio/wire.js';
import { FIDS_MAX, OPEN_MAX } from './fid-table.js';
import { ASK, errnoOf, MessageWriter, NO_FID } from './ninep.wire.js';
import { NinepServer } from './ninep-server.js';

const test = spec('9p server');
const PAGE = 4096;
const { read, all } = STAGE2_RIGHTS;
const RING: Ring = { index: 0, size: 16, descriptors: GUEST_AT, available: GUEST_AT + PAGE, used: GUEST_AT + 2 * PAGE };
const QUESTION = GUEST_AT + 3 * PAGE;
const ANSWER = GUEST_AT + 5 * PAGE;
const ROOM_BYTES = 2 * PAGE;

interface Bench {
  readonly folder: string;
  readonly driver: VirtioDriver;
  readonly device: VirtioDevice;
  readonly server: NinepServer;
  /** Sends a message; its answer's body, or the errno. */
  ask(type: number, ...fields: readonly Field[]): DataView | number;
  close(): void;
}

function start(driver: VirtioDriver): void {
  driver.negotiate(featureWords([FEATURE.version1]));
  driver.view.setUint32(driver.host(RING.available), 0, true);
  driver.view.setUint32(driver.host(RING.used), 0, true);
  driver.setUp(RING);
  driver.go();
}

/** A folder called `in`, in a folder whose other contents must stay as they are. */
function bench(rights: 'read' | 'read-write' = 'read-write'): Bench {
  const outer = mkdtempSync(join(tmpdir(), 'wurley-9p-'));
  const folder = join(outer, 'in');
  mkdirSync(folder);
  writeFileSync(join(outer, 'secret'), 'secret');
  const files = new HostFiles();
  const token = files.openFolder(folder, rights);
  assert.ok(token.ok);
  const server = new NinepServer(useHostFolder(token.value));
  const driver = new VirtioDriver([all, all, all, all, all, all, all, all, read, 0]);
  const shape = { deviceId: 9, features: [], queueSizes: [16], configBytes: 0, configWritable: [0, 0] } as const;
  const device = new VirtioDevice(driver.place, shape, { ring: () => undefined, warn: () => undefined });
  start(driver);
  const writer = new MessageWriter(ROOM_BYTES);
  const made: Bench = {
    folder,
    driver,
    device,
    server,
    ask(type, ...fields) {
      writer.begin(ROOM_BYTES);
      put(writer, fields);
      const message = writer.finish(type, 1);
      const at = driver.host(QUESTION);
      // The pages of the guest are apart.
      for (const [i, byte] of message.entries()) driver.bytes[i < PAGE ? at + i : driver.host(QUESTION + i)] = byte;
      driver.describe(RING.descriptors, 0, {
        address: QUESTION,
        bytes: message.byteLength,
        flags: DESCRIPTOR.next,
        next: 1,
      });
      driver.describe(RING.descriptors, 1, { address: ANSWER, bytes: ROOM_BYTES, flags: DESCRIPTOR.write, next: 0 });
      driver.offer(RING, 0);
      const before = driver.used(RING).count;
      device.serve(0, (chain) => server.handle(chain));
      assert.is(driver.used(RING).count, (before + 1) & 0xffff, 'answered');
      const answer = new Uint8Array(driver.used(RING).written);
      for (const i of answer.keys()) answer[i] = driver.bytes[driver.host(ANSWER + i)] ?? 0;
      const view = new DataView(answer.buffer);
      assert.is(view.getUint32(0, true), answer.byteLength);
      return view.getUint8(4) === 7 ? view.getUint32(7, true) : new DataView(answer.buffer, 7);
    },
    close() {
      server.end();
      files.close(token.value);
      rmSync(outer, { recursive: true, force: true });
    },
  };
  return made;
}

function attached(rights: 'read' | 'read-write' = 'read-write'): Bench {
  const made = bench(rights);
  made.ask(ASK.version, u32(8192), s('9P2000.L'));
  assert.ok(typeof made.ask(ASK.attach, u32(0), u32(NO_FID), s('root'), s(''), u32(0)) !== 'number');
  return made;
}

const walk = (
  { ask }: Bench,
  from: number,
  to: number,
  ...names: readonly (string | Uint8Array)[]
): DataView | number => ask(ASK.walk, u32(from), u32(to), u16(names.length), ...names.map(s));
/** What the walk came to: how many steps, or the errno. */
const steps = (answer: DataView | number): string =>
  typeof answer === 'number' ? `error ${answer}` : `${answer.getUint16(0, true)}`;

test('nothing is said before a version is agreed; sizes are bounded; unknown dialects are refused', () => {
  const made = bench();
  assert.is(made.ask(ASK.attach, u32(0), u32(NO_FID), s('root'), s(''), u32(0)), errnoOf('EOPNOTSUPP'));
  const unknown = made.ask(ASK.version, u32(8192), s('9P2000.u'));
  assert.ok(typeof unknown !== 'number' && unknown.getUint16(4, true) === 'unknown'.length);
  const large = made.ask(ASK.version, u32(0xffff_ffff), s('9P2000.L'));
  assert.ok(typeof large !== 'number' && large.getUint32(0, true) === 512 << 10);
  assert.is(made.ask(ASK.version, u32(100), s('9P2000.L')), errnoOf('EMSGSIZE'));
  made.close();
});

test('no name leads out of the folder: dots, slashes, symbolic links, and links put in the way later', () => {
  const made = attached();
  const { folder, ask } = made;
  mkdirSync(join(folder, 'sub'));
  writeFileSync(join(folder, 'sub', 'file'), 'inside');
  symlinkSync('..', join(folder, 'up'));
  symlinkSync(join(folder, '..'), join(folder, 'absolute'));
  assert.is(steps(walk(made, 0, 1, '..', '..', 'secret')), '2', 'the root is its own parent');
  assert.is(steps(walk(made, 0, 1, '../secret')), `error ${errnoOf('EINVAL')}`);
  assert.is(steps(walk(made, 0, 1, 'sub/file')), `error ${errnoOf('EINVAL')}`);
  for (const link of ['up', 'absolute']) assert.is(steps(walk(made, 0, 1, link, 'secret')), '1');
  for (const name of ['', '.', '..', 'a/b', 'a\0b', 'n'.repeat(256)]) {
    assert.type(ask(ASK.mkdir, u32(0), s(name), u32(0o755), u32(0)), 'number', JSON.stringify(name));
  }
  assert.is(steps(walk(made, 0, 2, 'up')), '1');
  assert.is(ask(ASK.lopen, u32(2), u32(0)), errnoOf('ELOOP'), 'a link is not opened');
  assert.is(ask(ASK.lcreate, u32(2), s('new'), u32(2), u32(0o644), u32(0)), errnoOf('ENOTDIR'));
  assert.type(ask(ASK.unlinkat, u32(2), s('secret'), u32(0)), 'number');
  // A folder that is known becomes a link: with a fid on it, and with one below it.
  assert.is(steps(walk(made, 0, 3, 'sub')), '1');
  assert.is(steps(walk(made, 3, 4, 'file')), '1');
  renameSync(join(folder, 'sub'), join(folder, 'other'));
  symlinkSync('..', join(folder, 'sub'));
  walk(made, 0, 5, 'sub');
  assert.type(walk(made, 5, 6, 'secret'), 'number');
  assert.type(ask(ASK.lopen, u32(5), u32(0)), 'number');
  assert.is(readFileSync(join(folder, '..', 'secret'), 'utf8'), 'secret');
  made.close();
});

test('a read-only folder refuses every change', () => {
  const made = attached('read');
  const { folder, ask } = made;
  writeFileSync(join(folder, 'file'), 'text');
  assert.is(steps(walk(made, 0, 1, 'file')), '1');
  const changes: readonly (DataView | number)[] = [
    ask(ASK.lopen, u32(1), u32(1)),
    ask(ASK.lopen, u32(1), u32(0o1000)),
    ask(ASK.lcreate, u32(0), s('new'), u32(2), u32(0o644), u32(0)),
    ask(ASK.mkdir, u32(0), s('d'), u32(0o755), u32(0)),
    ask(ASK.symlink, u32(0), s('l'), s('t'), u32(0)),
    ask(ASK.mknod, u32(0), s('n'), u32(0o100644), u32(0), u32(0), u32(0)),
    ask(ASK.link, u32(0), u32(1), s('h')),
    ask(ASK.rename, u32(1), u32(0), s('r')),
    ask(ASK.renameat, u32(0), s('file'), u32(0), s('r')),
    ask(ASK.unlinkat, u32(0), s('file'), u32(0)),
    ask(ASK.setattr, u32(1), u32(8), u32(0), u32(0), u32(0), u64(0n), u64(0n), u64(0n), u64(0n), u64(0n)),
    ask(ASK.remove, u32(1)),
  ];
  for (const change of changes) assert.is(change, errnoOf('EROFS'));
  assert.equal(readdirSync(folder), ['file']);
  assert.is(readFileSync(join(folder, 'file'), 'utf8'), 'text');
  made.close();
});

test('fids follow a folder that is renamed, and find nothing where something was removed', () => {
  const made = attached();
  const { folder, ask } = made;
  mkdirSync(join(folder, 'a', 'b'), { recursive: true });
  writeFileSync(join(folder, 'a', 'b', 'file'), 'text');
  assert.is(steps(walk(made, 0, 1, 'a', 'b', 'file')), '3');
  ask(ASK.renameat, u32(0), s('a'), u32(0), s('c'));
  assert.ok(typeof ask(ASK.lopen, u32(1), u32(0)) !== 'number');
  const content = ask(ASK.read, u32(1), u64(1n), u32(100));
  assert.ok(typeof content !== 'number' && Buffer.from(content.buffer, 11).toString() === 'ext');
  assert.is(steps(walk(made, 0, 2, 'c', 'b', 'file')), '3');
  ask(ASK.unlinkat, u32(2), s('x'), u32(0));
  assert.is(steps(walk(made, 0, 3, 'c', 'b')), '2');
  assert.ok(typeof ask(ASK.unlinkat, u32(3), s('file'), u32(0)) !== 'number');
  writeFileSync(join(folder, 'c', 'b', 'file'), 'another');
  assert.is(ask(ASK.getattr, u32(2), u64(0n)), errnoOf('ENOENT'));
  assert.ok(typeof ask(ASK.read, u32(1), u64(0n), u32(100)) !== 'number', 'the open file is still there');
  assert.type(ask(ASK.renameat, u32(0), s('c'), u32(3), s('within-itself')), 'number');
  made.close();
});

test('fids and open files are limited, and everything is given back', () => {
  const made = attached();
  const { folder, ask, server } = made;
  writeFileSync(join(folder, 'file'), '');
  const openBefore = readdirSync('/proc/self/fd').length;
  for (let fid = 1; fid <= OPEN_MAX; fid++) {
    walk(made, 0, fid, 'file');
    assert.ok(typeof ask(ASK.lopen, u32(fid), u32(0)) !== 'number');
  }
  walk(made, 0, OPEN_MAX + 1, 'file');
  assert.is(ask(ASK.lopen, u32(OPEN_MAX + 1), u32(0)), errnoOf('EMFILE'));
  for (let fid = OPEN_MAX + 2; fid < FIDS_MAX; fid++) walk(made, 0, fid, 'file');
  assert.is(walk(made, 0, FIDS_MAX, 'file'), errnoOf('ENFILE'));
  server.end();
  assert.equal(server.counts, { fids: 0, open: 0 });
  assert.ok(readdirSync('/proc/self/fd').length <= openBefore);
  made.close();
});

test.run();
