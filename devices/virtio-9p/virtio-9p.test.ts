import {
  lstatSync,
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
import { type Random, seededRandom } from '../../actors/runtime/random.js';
import { STAGE2_RIGHTS } from '../../actors/shared-state/stage2/stage2-map.js';
import { GUEST_AT, type Ring, VirtioDriver } from '../../test/drivers/virtio-driver.js';
import { spec } from '../../test/harness/spec.js';
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

type Field = readonly ['u8' | 'u16' | 'u32', number] | readonly ['u64', bigint] | readonly ['s', string | Uint8Array];
const u8 = (n: number): Field => ['u8', n];
const u16 = (n: number): Field => ['u16', n];
const u32 = (n: number): Field => ['u32', n];
const u64 = (n: bigint): Field => ['u64', n];
const s = (text: string | Uint8Array): Field => ['s', text];

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

function put(writer: MessageWriter, fields: readonly Field[]): void {
  for (const field of fields) {
    if (field[0] === 's') writer.string(typeof field[1] === 'string' ? new TextEncoder().encode(field[1]) : field[1]);
    else if (field[0] === 'u64') writer.u64(field[1]);
    else writer[field[0]](field[1]);
  }
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

/** Names a guest may try; few, so that they meet. */
const NAMES = ['a', 'b', 'c', 'd', 'up', 'out', 'pipe', '..', '.', '', 'x/y', 'n'.repeat(256), '\xff\xfe'];

function randomFields(random: Random, type: number): Field[] {
  const fid = (): Field => u32(random.oneIn(20) ? random.u32() : random.oneIn(2) ? 0 : random.below(6));
  const name = (): Field => s(NAMES[random.below(NAMES.length)] ?? '');
  const word = (): Field => u32(random.oneIn(3) ? random.u32() : random.below(0o2000));
  const offset = (): Field =>
    u64(random.oneIn(8) ? BigInt(random.u32()) << BigInt(random.below(33)) : BigInt(random.below(300)));
  const target = (): Field => s(random.oneIn(2) ? '../secret' : '/');
  switch (type) {
    case ASK.version:
      return [u32(random.oneIn(4) ? random.u32() : 8192), s(random.oneIn(5) ? '9P2000' : '9P2000.L')];
    case ASK.attach:
      return [fid(), u32(random.oneIn(9) ? 1 : NO_FID), s('root'), s(random.oneIn(9) ? '/etc' : ''), word()];
    case ASK.walk: {
      const count = random.below(4);
      return [
        fid(),
        fid(),
        u16(random.oneIn(40) ? random.below(65536) : count),
        ...Array.from({ length: count }, name),
      ];
    }
    case ASK.lcreate:
      return [fid(), name(), word(), u32(random.below(0o10000)), word()];
    case ASK.symlink:
      return [fid(), name(), target(), word()];
    case ASK.mknod:
      return [fid(), name(), u32(random.oneIn(2) ? 0o100644 : random.u32()), word(), word(), word()];
    case ASK.rename:
      return [fid(), fid(), name()];
    case ASK.setattr: {
      // Sizes stay small: a sparse file of a terabyte is no fault, but slow to look at.
      const size = u64(BigInt(random.below(9000)));
      return [
        fid(),
        u32(random.below(512)),
        u32(random.below(0o10000)),
        word(),
        word(),
        size,
        offset(),
        offset(),
        offset(),
        offset(),
      ];
    }
    case ASK.readdir:
    case ASK.read:
      return [fid(), offset(), word()];
    case ASK.write: {
      const count = random.below(600);
      return [
        fid(),
        u64(BigInt(random.below(9000))),
        u32(random.oneIn(9) ? random.u32() : count),
        ...Array.from({ length: count }, () => u8(0x77)),
      ];
    }
    case ASK.link:
      return [fid(), fid(), name()];
    case ASK.renameat:
      return [fid(), name(), fid(), name()];
    case ASK.mkdir:
    case ASK.unlinkat:
      return [fid(), name(), u32(random.oneIn(2) ? 0x200 : 0o755), word()];
    case ASK.lock:
    case ASK.getlock:
      return [fid(), u8(1), word(), offset(), offset(), word(), name()];
    case ASK.clunk:
    case ASK.remove:
      return [u32(1 + random.below(6))]; // 0 is the root, which nothing else could be reached without
    default:
      return [fid(), word(), word()];
  }
}

test(
  '200,000 random messages and chains, half changed while in use: answered or refused, nothing outside the folder or the guest',
  () => {
    const SEED = 0x39507;
    const random = seededRandom(SEED, 'messages');
    const made = attached();
    const { driver, device, server, folder } = made;
    symlinkSync('..', join(folder, 'up'));
    symlinkSync('../secret', join(folder, 'out'));
    const outside = join(folder, '..');
    const secret = lstatSync(join(outside, 'secret'), { bigint: true });
    const folderMode = lstatSync(outside).mode;
    const before = driver.untouchable.map((memory) => memory.slice());
    const types = Object.values(ASK);
    const writer = new MessageWriter(ROOM_BYTES);
    const handled = { answered: 0, errors: 0, resets: 0 };
    /** What another processor of the guest does while the device works. */
    const meddle = (): void => {
      driver.bytes[driver.host(QUESTION + random.below(64))] = random.below(256);
      driver.describe(RING.descriptors, random.below(3), {
        address: random.oneIn(2) ? QUESTION : GUEST_AT + random.below(11 * PAGE),
        bytes: random.below(9000),
        flags: random.below(4),
        next: random.below(3),
      });
    };
    for (let round = 0; round < 200_000; round++) {
      let type = random.oneIn(30) ? random.below(256) : (types[random.below(types.length)] ?? 0);
      // A version ends all fids: rarely, so that there is something to work on.
      if (type === ASK.version && !random.oneIn(20)) type = ASK.walk;
      writer.begin(ROOM_BYTES);
      put(writer, randomFields(random, type));
      const message = writer.finish(type, random.below(65536));
      if (random.oneIn(25)) message[random.below(message.byteLength)] = random.below(256);
      for (const [i, byte] of message.entries()) driver.bytes[driver.host(QUESTION + i)] = byte;
      const wild = random.oneIn(40);
      const split = random.below(message.byteLength);
      const bytes = wild ? random.below(9000) : message.byteLength - split;
      driver.describe(RING.descriptors, 0, { address: QUESTION, bytes: split, flags: DESCRIPTOR.next, next: 1 });
      driver.describe(RING.descriptors, 1, {
        address: QUESTION + split,
        bytes,
        flags: random.oneIn(60) ? random.below(8) : DESCRIPTOR.next,
        next: 2,
      });
      driver.describe(RING.descriptors, 2, {
        address: random.oneIn(60) ? GUEST_AT + random.below(11 * PAGE) : ANSWER,
        bytes: random.oneIn(20) ? random.below(64) : ROOM_BYTES,
        flags: DESCRIPTOR.write,
        next: 0,
      });
      driver.offer(RING, 0);
      const used = driver.used(RING).count;
      const errors = server.errors;
      device.serve(0, (chain) => {
        if (round % 2 === 0) meddle();
        return server.handle(chain);
      });
      if (driver.used(RING).count !== used) handled.answered++;
      handled.errors += server.errors - errors;
      if (!device.isLive) {
        handled.resets++;
        start(driver);
      }
      if (random.oneIn(200)) {
        server.end();
        made.ask(ASK.version, u32(8192), s('9P2000.L'));
        made.ask(ASK.attach, u32(0), u32(NO_FID), s('root'), s(''), u32(0));
      }
      if (round % 1024 !== 0) continue;
      for (const [i, memory] of driver.untouchable.entries()) {
        assert.ok(Buffer.compare(memory, before[i] ?? new Uint8Array()) === 0, `seed ${SEED}, round ${round}`);
      }
      assert.equal(readdirSync(outside).toSorted(), ['in', 'secret'], `seed ${SEED}, round ${round}`);
      const now = lstatSync(join(outside, 'secret'), { bigint: true });
      assert.equal([now.ctimeNs, now.size, now.nlink], [secret.ctimeNs, secret.size, secret.nlink], `round ${round}`);
      assert.is(lstatSync(outside).mode, folderMode);
    }
    assert.ok(handled.answered > 150_000 && handled.resets > 500, JSON.stringify(handled));
    assert.ok(server.requests - server.errors > 20_000, `${server.requests} requests, ${server.errors} errors`);
    made.close();
  },
  { deadlineMs: 600_000 },
);

test.run();
