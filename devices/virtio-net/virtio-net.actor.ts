/**
 * virtio network device (V1.2, 5.1): frames of the guest go to its link and frames of the link to the guest, each with its packet
 * header, so that large segments and open checksums pass as they are between those who take them; for a guest that does not,
 * they are finished here. A full link holds the guest's transmit queue back; a guest without buffers holds the link back.
 */
import { actor, actorKind } from '../../actors/runtime/actor.js';
import type { FileToken } from '../../actors/runtime/files.js';
import type { Ask } from '../../actors/runtime/protocol.js';
import { bytes, u8, u16, u32 } from '../../bus/layout/fields.js';
import { struct } from '../../bus/layout/struct.js';
import { ok } from '../../bus/result.js';
import { Capture } from '../network/capture.js';
import { LinkEnd, type LinkMemory } from '../network/link/frame-link.js';
import { completeChecksum, finishFrame } from '../network/link/offload.js';
import { AT, FRAME_BYTES_MAX, GSO, MTU, PacketHeader } from '../network/wire/headers.js';
import type { SplitQueue } from '../virtio/split-queue.js';
import { VirtioDevice, type VirtioPlace } from '../virtio/virtio-device.js';
import { DEVICE } from '../virtio/wire.js';

/** What the device is started with. */
export interface VirtioNetConfig {
  readonly place: VirtioPlace;
  readonly mac: Uint8Array;
  /** The near end of its link. */
  readonly link: LinkMemory;
  /** Where frames are recorded, both ways. */
  readonly capture?: FileToken;
}

/** What the device has moved. */
export interface NetCounters {
  sentFrames: number;
  sentBytes: number;
  receivedFrames: number;
  receivedBytes: number;
  /** Frames whose packet header did not fit them, or that no buffer of the guest can hold. */
  refused: number;
}

/** The device's messages. */
export type VirtioNetProtocol = {
  counters: Ask<object, NetCounters>;
};

/** Configuration space (V1.2, 5.1.4). */
const NetSpace = struct('NetSpace', 20, {
  mac: bytes(0, 6),
  status: u16(6),
  queuePairsMax: u16(8),
  mtu: u16(10),
  speed: u32(12),
  duplex: u8(16),
  rssKeyBytes: u8(17),
  rssTableEntries: u16(18),
});
/** Feature bits (V1.2, 5.1.3). */
const FEATURE = {
  checksum: 0,
  guestChecksum: 1,
  mac: 5,
  guestTcp4: 7,
  hostTcp4: 11,
  mergeableBuffers: 15,
  status: 16,
} as const;
const LINK_UP = 1;
const QUEUE = { receive: 0, transmit: 1 } as const;
const QUEUE_SIZE = 256;
/** Frames per turn of each direction. */
const FRAMES_PER_TURN = 64;
const CAPTURE_FLUSH_MS = 200;
const HEADER = PacketHeader.offsets;

interface NetState {
  readonly device: VirtioDevice;
  readonly link: LinkEnd;
  readonly capture: Capture | undefined;
  readonly counters: NetCounters;
  /** Frames already cut for a guest that takes no large ones, waiting for buffers. */
  readonly cut: Uint8Array[];
  flushing: boolean;
}

/** Moves frames from the guest to the link; true when there may be more. */
function transmit({ device, link, capture, counters }: NetState): boolean {
  const more = device.serve(QUEUE.transmit, (chain) => {
    const size = chain.readableBytes;
    if (size < AT.ip || size > FRAME_BYTES_MAX) {
      counters.refused++;
      return 0;
    }
    const at = link.reserve();
    if (at < 0) return 'later'; // rung when there is room
    if (!chain.read(0, link.bytes.subarray(at, at + size))) return 'broken';
    capture?.record(link.bytes, at, size);
    link.commit(size);
    counters.sentFrames++;
    counters.sentBytes += size - PacketHeader.sizeBytes;
    return 0;
  });
  link.flush();
  return more;
}

const large = new Uint8Array(AT.ip + MTU + 4);

/** Moves frames from the link to the guest; true when there may be more. */
function receive(state: NetState): boolean {
  const { device, link } = state;
  if (!link.waiting && state.cut.length === 0) return false;
  // While the guest has too few buffers its next notification goes on; otherwise nobody rings for what came meanwhile.
  const waits = device.turn(QUEUE.receive, (queue) => {
    queue.wantNotifications(false);
    for (let count = 0; count < FRAMES_PER_TURN; count++) {
      const done = deliverNext(state, queue);
      if (done !== 'done') return done === 'waits';
    }
    return false;
  });
  return (link.free() || state.cut.length > 0) && waits === false;
}

/** Delivers one frame: `empty` when none waits, `waits` when the guest has too few buffers. */
function deliverNext(state: NetState, queue: SplitQueue): 'done' | 'empty' | 'waits' {
  const { link, device, cut, counters } = state;
  const [piece] = cut;
  if (piece !== undefined) {
    if (!deliver(state, queue, piece, 0, piece.length)) return 'waits';
    cut.shift();
    return 'done';
  }
  const size = link.next();
  if (size === 0) return 'empty';
  const { received, offset } = link;
  const isLarge = (received[offset + HEADER.gsoType] ?? GSO.none) !== GSO.none;
  if (isLarge && !device.has(FEATURE.guestTcp4)) {
    const out = { bytes: large, take: (bytes: number) => cut.push(large.slice(0, bytes)) > 0 };
    if (!finishFrame(received, offset, size, out).ok) counters.refused++;
    link.take();
    return 'done';
  }
  if (!device.has(FEATURE.guestChecksum) && !completeChecksum(received, offset, size).ok) {
    counters.refused++;
    link.take();
    return 'done';
  }
  if (!deliver(state, queue, received, offset, size)) return 'waits';
  link.take();
  return 'done';
}

/** Writes one frame into as many buffers as it needs; false when the guest has not made enough available. */
function deliver(
  { device, capture, counters }: NetState,
  queue: SplitQueue,
  frame: Uint8Array,
  at: number,
  size: number,
): boolean {
  const mergeable = device.has(FEATURE.mergeableBuffers);
  let done = 0;
  let first: Uint8Array[] | undefined;
  let chains = 0;
  while (done < size) {
    let taken = queue.take();
    if (taken === 'empty') {
      queue.wantNotifications(true);
      taken = queue.take();
    }
    if (taken !== 'chain') {
      queue.unstage();
      return taken === 'broken'; // a broken queue takes everything, and nothing arrives
    }
    const { chain } = queue;
    const part = Math.min(size - done, chain.writableBytes);
    if (part === 0 || (!mergeable && part < size)) {
      // Too small for the frame: the driver gets its buffer back, the frame is lost.
      queue.unstage();
      counters.refused++;
      queue.take();
      queue.use(0);
      return true;
    }
    if (!chain.write(0, frame.subarray(at + done, at + done + part))) {
      queue.refuse();
      return true;
    }
    if (chains === 0) first = chain.writable(HEADER.bufferCount, 2);
    queue.stage(part);
    chains++;
    done += part;
  }
  // The count stands in the first buffer (V1.2, 5.1.6.4): 1 for one that was not merged.
  putCount(first, chains);
  queue.publish();
  capture?.record(frame, at, size);
  counters.receivedFrames++;
  counters.receivedBytes += size - PacketHeader.sizeBytes;
  return true;
}

function putCount(views: Uint8Array[] | undefined, count: number): void {
  let left = count;
  for (const view of views ?? []) {
    for (let i = 0; i < view.length; i++) {
      view[i] = left & 0xff;
      left >>= 8;
    }
  }
}

const virtioNet = actor<VirtioNetConfig, VirtioNetProtocol, NetState>({
  name: 'virtio-net',
  mailboxMax: 16,
  supervision: { strategy: 'one-for-one', restartsMax: 10, withinMs: 10_000, otherwise: 'stop' },
  start({ place, mac, link, capture }, context) {
    const shape = {
      deviceId: DEVICE.network,
      features: Object.values(FEATURE),
      queueSizes: [QUEUE_SIZE, QUEUE_SIZE],
      configBytes: NetSpace.sizeBytes,
      configWritable: [0, 0],
    } as const;
    const ring = (number: number): void => context.ring({ actor: number }, 1);
    const device = new VirtioDevice(place, shape, { ring, warn: (text) => context.log.warn(text) });
    if (context.incarnation === 0) {
      const unused = { speed: 0, duplex: 0, rssKeyBytes: 0, rssTableEntries: 0 };
      NetSpace.write(device.config, 0, { mac, status: LINK_UP, queuePairsMax: 1, mtu: MTU, ...unused });
    }
    // A predecessor may have taken a notification along, and the other end may have been waiting for us.
    context.ring(context.self, 1);
    const startedMs = context.clock.unixSeconds() * 1000 - context.clock.monotonicMs();
    const resumes = context.incarnation > 0;
    return ok({
      device,
      link: LinkEnd.attach(link, context.self.actor, ring),
      capture:
        capture === undefined
          ? undefined
          : new Capture(context.file(capture), resumes, () => startedMs + context.clock.monotonicMs()),
      counters: { sentFrames: 0, sentBytes: 0, receivedFrames: 0, receivedBytes: 0, refused: 0 },
      cut: [],
      flushing: false,
    });
  },
  on: {
    counters: (state) => ok(state.counters),
  },
  rang(state, _flags, context) {
    state.device.takeKicks();
    const moreOut = transmit(state);
    const moreIn = receive(state);
    if (moreOut || moreIn) context.ring(context.self, 1);
    const { capture } = state;
    if (capture?.pending !== true || state.flushing) return;
    state.flushing = true;
    context.after(CAPTURE_FLUSH_MS, () => {
      state.flushing = false;
      capture.flush();
      if (capture.failure !== undefined) context.log.warn(`frames are no longer recorded (${capture.failure})`);
    });
  },
  stop(state) {
    state.capture?.flush();
  },
});
export default virtioNet;

/** How its worker is made. */
export const virtioNetKind = actorKind(virtioNet, { module: new URL(import.meta.url), heapMegabytesMax: 48 });
