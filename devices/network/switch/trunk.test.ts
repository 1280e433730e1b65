import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as later } from 'node:timers/promises';
import * as assert from 'uvu/assert';
import { useHostNetwork } from '../../../actors/runtime/host-network.js';
import { seededRandom } from '../../../actors/runtime/random.js';
import { FrameGuest } from '../../../test/drivers/frame-guest.js';
import { MemoryStream } from '../../../test/drivers/memory-network.js';
import { spec } from '../../../test/harness/spec.js';
import { createLink, farEnd, LinkEnd } from '../link/frame-link.js';
import { LearningSwitch, newPort } from './learning-switch.js';
import { StreamPort } from './stream-port.js';
import { Trunk } from './trunk.js';

const test = spec('trunk');
const EVERYBODY = Uint8Array.of(255, 255, 255, 255, 255, 255);

/** A switch with one guest that meets others at `path`. */
function site(path: string, n: number): { guest: FrameGuest; learning: LearningSwitch; trunk: Trunk; said: string[] } {
  const learning = new LearningSwitch(() => performance.now());
  const memory = createLink(64);
  learning.attach(newPort(LinkEnd.attach(farEnd(memory), 9, () => undefined)));
  const mac = Uint8Array.of(0x52, 0x54, 0, 0, 0, n);
  const guest = new FrameGuest(
    LinkEnd.attach(memory, n, () => undefined),
    mac,
    0x0a00_0000 + n,
  );
  const random = seededRandom(n);
  const said: string[] = [];
  const trunk = new Trunk({
    network: useHostNetwork({ outgoing: false, listen: [], local: [path] }),
    path,
    learning,
    after: (ms, action) => void setTimeout(action, ms),
    below: (limit) => random.below(limit),
    warn: (text) => said.push(text),
  });
  return { guest, learning, trunk, said };
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await later(5);
}

test('three switches meet, carry frames between their guests, and meet again when the hub goes', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'wurley-trunk-'));
  const path = join(folder, 'switch');
  const sites = [1, 2, 3].map((n) => site(path, n));
  for (const { trunk } of sites) trunk.meet();
  const joined = (): boolean => sites.reduce((sum, { trunk }) => sum + trunk.peers, 0) === 2 * (sites.length - 1);
  await until(joined);
  assert.is(sites.filter(({ trunk }) => trunk.isHub).length, 1);
  const greet = async (from: number): Promise<void> => {
    sites[from]?.guest.frame(0x88b5, Buffer.from('hello'), EVERYBODY);
    sites[from]?.learning.turn();
    await until(() => sites.every(({ guest }, n) => n === from || guest.link.waiting));
    for (const { guest } of sites) guest.take();
  };
  for (const from of [0, 1, 2]) await greet(from);
  const hub = sites.findIndex(({ trunk }) => trunk.isHub);
  sites[hub]?.trunk.close();
  sites.splice(hub, 1);
  await until(() => sites.filter(({ trunk }) => trunk.isHub).length === 1 && joined());
  for (const from of [0, 1]) await greet(from);
  for (const { trunk } of sites) trunk.close();
  rmSync(folder, { recursive: true });
});

test('a socket that a killed process left is taken over; a file that is none is left alone', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'wurley-trunk-'));
  const path = join(folder, 'switch');
  const dying = `require('node:net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`;
  spawnSync(process.execPath, ['-e', dying]);
  assert.ok(statSync(path).isSocket(), 'its name is still there');
  const one = site(path, 1);
  one.trunk.meet();
  await until(() => one.trunk.isHub);
  one.trunk.close();
  const file = join(folder, 'file');
  writeFileSync(file, 'mine');
  const two = site(file, 2);
  two.trunk.meet();
  await later(300);
  assert.not.ok(two.trunk.isHub);
  two.trunk.close();
  rmSync(folder, { recursive: true });
});

test('frames come whole however the stream is cut, and a length out of range ends it', () => {
  const stream = new MemoryStream({ address: '', port: 0 });
  const port = new StreamPort(stream);
  const frames = [26, 1540, 65_561, 100].map((size, n) => new Uint8Array(size).fill(n + 1));
  for (const frame of frames) {
    assert.is(port.reserve(), 0);
    port.bytes.set(frame);
    port.commit(frame.length);
  }
  port.flush();
  const wire = Buffer.concat(stream.written);
  for (const cut of [97, 1000, wire.length]) {
    const far = new StreamPort(new MemoryStream({ address: '', port: 0 }));
    const got: Uint8Array[] = [];
    for (let at = 0; at < wire.length; at += cut) {
      assert.ok(far.feed(wire.subarray(at, at + cut)));
      for (let size = far.next(); size > 0; size = far.next()) {
        got.push(far.received.slice(0, size));
        far.take();
      }
      far.free();
    }
    assert.equal(
      got.map((frame) => frame.length),
      frames.map((frame) => frame.length),
    );
    assert.ok(got.every((frame, n) => Buffer.from(frame).equals(Buffer.from(frames[n] ?? []))));
  }
  for (const length of [0, 25, 65_562, 0xffff_ffff]) {
    const bad = Buffer.alloc(8);
    bad.writeUInt32LE(length);
    assert.not.ok(new StreamPort(stream).feed(bad), `${length}`);
  }
  stream.pendingBytes = 9 << 20;
  assert.is(port.reserve(), -1, 'a process that takes nothing loses frames');
});

test.run();
