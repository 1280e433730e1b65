/** Subjects that carry bytes: entropy, console and network card. */
import type { Random } from '../../actors/runtime/random.js';
import { ByteStream, createByteStream } from '../../actors/shared-state/byte-stream/byte-stream.js';
import { createLink, farEnd, LinkEnd } from '../../devices/network/link/frame-link.js';
import { SEGMENT_BYTES_MIN } from '../../devices/network/link/offload.js';
import { FRAME_BYTES_MAX, PacketHeader } from '../../devices/network/wire/headers.js';
import virtioConsole from '../../devices/virtio-console/virtio-console.actor.js';
import { NET_FEATURE } from '../../devices/virtio-net/net-frames.js';
import virtioNet from '../../devices/virtio-net/virtio-net.actor.js';
import virtioRng from '../../devices/virtio-rng/virtio-rng.actor.js';
import { DeviceActor } from '../drivers/device-actor.js';
import type { HostileDriver } from '../drivers/hostile-driver.js';
import { MemoryFile } from '../drivers/memory-file.js';
import { demand, NOTHING, noise, type Subject } from './subject.js';

const OUTPUT_BYTES = 64 << 10;
const INPUT_BYTES = 4096;
/** Frames a link holds in this test. */
const DEPTH = 8;
/** More buffers than frames that may wait: one large frame may have become thousands. */
const TRIES_MAX = 20_000;

/** virtio-rng. */
export async function rngSubject({ driver }: HostileDriver): Promise<Subject> {
  const entropy = new MemoryFile(new Uint8Array(1 << 16).fill(0xa5), 'read');
  const config = { place: driver.place, entropy: { file: 1, rights: 'read', label: 'entropy' } } as const;
  const actor = await DeviceActor.start(virtioRng, config, { file: entropy });
  const turns = (): void => void actor.turns();
  return {
    device: actor.state.device,
    queueSizes: [64],
    features: [],
    turns,
    request: (_queue, random) => ({
      out: random.oneIn(20) ? noise(random, random.below(9)) : NOTHING,
      inBytes: random.oneIn(4) ? random.below(9000) : random.below(64),
    }),
    happen: () => undefined,
    serves(hostile) {
      const bytes = hostile.exchange(0, { out: NOTHING, inBytes: 64 }, turns);
      demand(bytes?.length === 64 && bytes.every((byte) => byte === 0xa5), 'no random bytes');
    },
    check: () => undefined,
    close: () => undefined,
  };
}

/** virtio-console. */
export async function consoleSubject({ driver }: HostileDriver): Promise<Subject> {
  const [output, input] = [createByteStream(OUTPUT_BYTES), createByteStream(INPUT_BYTES)];
  const actor = await DeviceActor.start(virtioConsole, { place: driver.place, output, input, columns: 80, rows: 24 });
  const turns = (): void => void actor.turns();
  const { declaration, state, context } = actor;
  const [screen, keyboard] = [new ByteStream(output), new ByteStream(input)];
  return {
    device: state.device,
    queueSizes: [64, 64],
    features: [0],
    turns,
    request: (queue, random) =>
      queue === 0
        ? { out: NOTHING, inBytes: random.below(5000) }
        : { out: noise(random, random.below(random.oneIn(8) ? 9000 : 90)), inBytes: 0 },
    happen(random) {
      if (random.oneIn(3)) screen.read(random.below(OUTPUT_BYTES));
      if (random.oneIn(3)) keyboard.write(noise(random, random.below(200)));
      if (random.oneIn(20)) declaration.on.flush(state, {}, context);
      if (random.oneIn(20)) declaration.on.resize(state, { columns: random.below(999), rows: 24 }, context);
    },
    serves(hostile) {
      screen.read();
      const out = new TextEncoder().encode('still here');
      demand(hostile.exchange(1, { out, inBytes: 0 }, turns) !== undefined, 'nothing is sent');
      demand(Buffer.from(screen.read()).toString() === 'still here', 'what is sent does not arrive');
      while (keyboard.length > 0) {
        const before = keyboard.length;
        hostile.exchange(0, { out: NOTHING, inBytes: 4096 }, turns);
        demand(keyboard.length < before, 'what was typed is not taken');
      }
      keyboard.write(Uint8Array.of(1, 2, 3));
      const typed = hostile.exchange(0, { out: NOTHING, inBytes: 16 }, turns);
      demand(typed?.join() === '1,2,3', 'what is typed does not arrive');
    },
    check: () => undefined,
    close: () => undefined,
  };
}

/** A packet header and a frame. */
function frame(random: Random, bytesMax: number): Uint8Array {
  const bytes = noise(random, Math.min(bytesMax, 26 + random.below(random.oneIn(10) ? FRAME_BYTES_MAX : 1600)));
  const view = new DataView(bytes.buffer);
  const isLarge = random.oneIn(3);
  PacketHeader.write(view, 0, {
    flags: random.oneIn(3) ? 1 : 0,
    gsoType: isLarge ? random.below(6) : 0,
    headerBytes: random.oneIn(4) ? random.below(65536) : 54,
    gsoSize: random.oneIn(4) ? random.below(random.oneIn(2) ? 60 : 3000) : 1448,
    checksumStart: random.oneIn(4) ? random.below(2000) : 34,
    checksumOffset: random.oneIn(4) ? random.below(2000) : 16,
    bufferCount: 0,
  });
  // IPv4 and TCP, so that some can be cut.
  if (bytes.length > 66) bytes.set([8, 0, 0x45, 0, bytes.length >> 8, bytes.length & 0xff], 24);
  if (bytes.length > 66) bytes[35] = 6;
  return bytes;
}

/** virtio-net, with a capture of all frames. */
export async function netSubject({ driver }: HostileDriver): Promise<Subject> {
  const link = createLink(DEPTH);
  const far = LinkEnd.attach(farEnd(link), 8, () => undefined);
  const file = new MemoryFile(new Uint8Array(0), 'read-write', 1 << 20);
  const capture = { file: 1, rights: 'read-write', label: 'capture' } as const;
  const config = { place: driver.place, mac: new Uint8Array(6), link, capture };
  const actor = await DeviceActor.start(virtioNet, config, { file });
  const turns = (): void => void actor.turns();
  const send = (bytes: Uint8Array): boolean => {
    const at = far.reserve();
    if (at < 0) return false;
    far.bytes.set(bytes, at);
    far.commit(bytes.length);
    far.flush();
    return true;
  };
  const drain = (): Uint8Array | undefined => {
    let last: Uint8Array | undefined;
    for (let size = far.next(); size > 0; size = far.next()) {
      last = far.received.slice(far.offset, far.offset + size);
      far.take();
      far.free();
    }
    return last;
  };
  const features = Object.values(NET_FEATURE);
  return {
    device: actor.state.net.device,
    queueSizes: [256, 256],
    features,
    turns,
    request: (queue, random) =>
      queue === 0
        ? { out: NOTHING, inBytes: random.oneIn(3) ? random.below(40) : random.below(random.oneIn(6) ? 70_000 : 1700) }
        : { out: random.oneIn(30) ? noise(random, random.below(30)) : frame(random, 70_000), inBytes: 0 },
    happen(random) {
      if (!random.oneIn(3)) drain();
      if (random.oneIn(2)) send(frame(random, FRAME_BYTES_MAX));
      if (random.oneIn(9)) for (const timer of actor.timers.splice(0)) timer();
    },
    serves(hostile) {
      drain();
      const out = new Uint8Array(12 + 60).fill(0x5a, 12);
      demand(hostile.exchange(1, { out, inBytes: 0 }, turns) !== undefined, 'nothing is sent');
      demand(drain()?.join() === out.join(), 'a frame that is sent does not arrive');
      // First whatever waits, then ours, which is told by its bytes.
      for (let tries = 0; tries < TRIES_MAX; tries++) {
        send(out);
        const got = hostile.exchange(0, { out: NOTHING, inBytes: 4096 }, turns);
        if (got?.length === out.length && got.subarray(12).every((byte) => byte === 0x5a)) return;
      }
      throw new Error('a frame that comes does not arrive');
    },
    check() {
      demand(
        actor.state.net.cut.length <= FRAME_BYTES_MAX / SEGMENT_BYTES_MIN,
        `${actor.state.net.cut.length} frames are kept`,
      );
    },
    close: () => undefined,
  };
}
