import * as assert from 'uvu/assert';
import { seededRandom } from '../../../actors/runtime/random.js';
import { FrameGuest } from '../../../test/drivers/frame-guest.js';
import { spec } from '../../../test/harness/spec.js';
import { FrameWriter } from '../gateway/frame-writer.js';
import { TCP } from '../wire/headers.js';
import { createLink, farEnd, LinkEnd } from './frame-link.js';
import { finishFrame } from './offload.js';

const test = spec('offload');
const MAC = Uint8Array.of(2, 0, 0, 0, 0, 1);

/** The frames that finishing the next frame of `from` gives, checked as a receiver without offloads checks them. */
function finished(from: LinkEnd): { ok: boolean; frames: ReturnType<FrameGuest['take']> } {
  const out = createLink(256);
  const near = LinkEnd.attach(out, 1, () => undefined);
  const far = new FrameGuest(
    LinkEnd.attach(farEnd(out), 2, () => undefined),
    MAC,
    0,
  );
  const size = from.next();
  const bytes = new Uint8Array(1600);
  const result = finishFrame(from.received, from.offset, size, {
    bytes,
    take(length) {
      const at = near.reserve();
      near.bytes.set(bytes.subarray(0, length), at);
      near.commit(length);
      return true;
    },
  });
  near.flush();
  from.take();
  from.free();
  return { ok: result.ok, frames: far.take() };
}

test('a large segment is cut to the wire, sequence numbers, flags and checksums right', () => {
  const link = createLink(16);
  const near = LinkEnd.attach(link, 1, () => undefined);
  const far = LinkEnd.attach(farEnd(link), 2, () => undefined);
  const writer = new FrameWriter(near, MAC);
  const content = Buffer.from(Array.from({ length: 50_001 }, (_, i) => (i * 7) & 0xff));
  const ends = { from: 0x0a000202, fromPort: 80, to: 0x0a00020f, toPort: 4000 };
  const fields = { sequence: 0xffff_ff00, acknowledgement: 17, flags: TCP.ack | TCP.psh | TCP.fin, window: 99 };
  const fill = (bytes: Uint8Array, at: number): void => bytes.set(content, at);
  assert.ok(writer.segment(MAC, { ...ends, ...fields }, new Uint8Array(0), content.length, 1460, fill));
  writer.flush();
  const { ok, frames } = finished(far);
  assert.ok(ok);
  assert.is(frames.length, Math.ceil(50_001 / 1460));
  let at = 0;
  for (const [n, { tcp, header }] of frames.entries()) {
    assert.is(header.flags, 0, 'no checksum is left open, so the reader has verified it');
    assert.is(tcp?.sequence, (0xffff_ff00 + at) >>> 0);
    assert.is(tcp?.flags, n === frames.length - 1 ? fields.flags : TCP.ack);
    at += tcp?.payload.length ?? 0;
  }
  assert.ok(Buffer.concat(frames.map(({ tcp }) => tcp?.payload ?? new Uint8Array(0))).equals(content));
});

test('a frame that would become one for every few bytes is refused', () => {
  for (const [cutBytes, isTaken] of [
    [7, false],
    [8, true],
  ] as const) {
    const link = createLink(16);
    const near = LinkEnd.attach(link, 1, () => undefined);
    const writer = new FrameWriter(near, MAC);
    const ends = { from: 1, fromPort: 80, to: 2, toPort: 4000 };
    const fields = { sequence: 0, acknowledgement: 17, flags: TCP.ack, window: 99 };
    assert.ok(writer.segment(MAC, { ...ends, ...fields }, new Uint8Array(0), 800, cutBytes, () => undefined));
    writer.flush();
    const { ok, frames } = finished(LinkEnd.attach(farEnd(link), 2, () => undefined));
    assert.equal([ok, frames.length], [isTaken, isTaken ? 100 : 0]);
  }
});

test('100,000 packet headers that do not fit their frames are refused or harmless', () => {
  const link = createLink(16);
  const near = LinkEnd.attach(link, 1, () => undefined);
  const far = LinkEnd.attach(farEnd(link), 2, () => undefined);
  const random = seededRandom(5);
  const guest = new FrameGuest(near, MAC, 0x0a00020f);
  const bytes = new Uint8Array(1600);
  let refused = 0;
  let taken = 0;
  for (let n = 0; n < 100_000; n++) {
    const frame = new Uint8Array(30 + random.below(300));
    for (let i = 0; i < frame.length; i++) frame[i] = random.u32();
    frame[1] = [0, 1, 3, 4, 0x81][random.below(5)] ?? 0;
    if (!random.oneIn(3)) frame.set([8, 0, 0x45], 24);
    guest.raw(frame);
    const size = far.next();
    const take = (length: number): boolean => {
      assert.ok(length <= bytes.length);
      taken++;
      return true;
    };
    if (!finishFrame(far.received, far.offset, size, { bytes, take }).ok) refused++;
    far.take();
    far.free();
  }
  assert.ok(refused > 10_000 && taken > 1_000, `${refused} ${taken}`);
});

test.run();
