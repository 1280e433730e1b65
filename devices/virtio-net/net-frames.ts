/**
 * Frames of the guest go to its link and frames of the link to the guest, each with its packet header, so that large segments
 * and open checksums pass as they are between those who take them; for a guest that does not, they are finished here. A full link
 * holds the guest's transmit queue back; a guest that could offer more buffers holds the link back. A frame that nothing the
 * guest can offer would hold is lost, as on any network card, and those behind it go on.
 */
import type { Capture } from '../network/capture.js';
import { ADDRESSED_BYTES, type CardLinks } from '../network/link/card-links.js';
import { completeChecksum, finishFrame } from '../network/link/offload.js';
import { AT, FRAME_BYTES_MAX, GSO, MTU, PacketHeader } from '../network/wire/headers.js';
import type { SplitQueue } from '../virtio/split-queue.js';
import type { VirtioDevice } from '../virtio/virtio-device.js';

/** What the device has moved. */
export interface NetCounters {
  sentFrames: number;
  sentBytes: number;
  receivedFrames: number;
  receivedBytes: number;
  /** Frames whose packet header did not fit them, or that no buffers of the guest can hold. */
  refused: number;
  /** Frames for another card's own queue that found it full. */
  dropped: number;
}

/** Feature bits (V1.2, 5.1.3). */
export const NET_FEATURE = {
  checksum: 0,
  guestChecksum: 1,
  mac: 5,
  guestTcp4: 7,
  hostTcp4: 11,
  mergeableBuffers: 15,
  status: 16,
} as const;

/** What moving frames works on. */
export interface NetState {
  readonly device: VirtioDevice;
  readonly links: CardLinks;
  readonly capture: Capture | undefined;
  readonly counters: NetCounters;
  /** Frames already cut for a guest that takes no large ones, waiting for buffers. */
  readonly cut: Uint8Array[];
  /** A vCPU's thread moves them, and leaves what takes long to the worker. */
  readonly isHelper: boolean;
  /** Whether it has left something. */
  leaves: boolean;
}

/** What a card works on that has moved nothing yet; of one shape, which the compiled code relies on (net-rehearsal.ts). */
export function newNetState(
  device: VirtioDevice,
  links: CardLinks,
  capture: Capture | undefined,
  isHelper = false,
): NetState {
  const counters = { sentFrames: 0, sentBytes: 0, receivedFrames: 0, receivedBytes: 0, refused: 0, dropped: 0 };
  return { device, links, capture, counters, cut: [], isHelper, leaves: false };
}

/** Queues (V1.2, 5.1.2). */
export const NET_QUEUE = { receive: 0, transmit: 1 } as const;
/** Frames per turn of each direction. */
const FRAMES_PER_TURN = 64;
/** A helper moves no more in a turn, and no larger ones. */
const HELPED_FRAMES = 8;
const HELPED_BYTES_MAX = 2048;
/** What a notification of the transmit queue sets in the device's kicks. */
export const TRANSMIT_KICK = 1 << NET_QUEUE.transmit;
const HEADER = PacketHeader.offsets;

const head = new Uint8Array(ADDRESSED_BYTES);

/** Moves frames both ways; true when there may be more. */
export function moveFrames(state: NetState): boolean {
  // A frame that came is not held up by a look at a queue in which nothing can be.
  state.leaves = false;
  const moreOut = (state.device.takeKicks() & TRANSMIT_KICK) !== 0 && transmit(state);
  const moreIn = receive(state);
  return moreOut || moreIn;
}

/** Moves frames from the guest to the link; true when there may be more. */
function transmit(state: NetState): boolean {
  const { device, links, capture, counters, isHelper } = state;
  let isHeldBack = false;
  let count = 0;
  const more = device.serve(NET_QUEUE.transmit, (chain) => {
    const size = chain.readableBytes;
    if (size < AT.ip || size > FRAME_BYTES_MAX) {
      counters.refused++;
      return 0;
    }
    if (isHelper && (size > HELPED_BYTES_MAX || ++count > HELPED_FRAMES)) {
      isHeldBack = true;
      return 'later';
    }
    if (links.hasPaths && !chain.read(0, head)) return 'broken';
    const link = links.hasPaths ? links.toward(head, 0) : links.main;
    const at = link.reserve();
    if (at < 0 && link === links.main) {
      isHeldBack = true;
      return 'later'; // rung when there is room
    }
    if (at < 0) {
      // As a switch does it: a guest that takes nothing does not keep this one from others.
      counters.dropped++;
      return 0;
    }
    if (!chain.read(0, link.bytes.subarray(at, at + size))) return 'broken';
    if (link !== links.main && links.toward(link.bytes, at) !== link) {
      counters.refused++; // the guest has changed it meanwhile
      return 0;
    }
    capture?.record(link.bytes, at, size);
    link.commit(size);
    counters.sentFrames++;
    counters.sentBytes += size - PacketHeader.sizeBytes;
    return 0;
  });
  links.flush();
  // Nobody tells again of what is still there; nor does a driver of what it offers before it is ready.
  if (more || isHeldBack || !device.isLive) device.kick(TRANSMIT_KICK);
  // Whoever was told of new room may have seen nothing to do before that.
  return more || (isHeldBack && !isHelper && links.main.hasRoom);
}

const large = new Uint8Array(AT.ip + MTU + 4);

/** Moves frames from the link to the guest; true when there may be more. */
function receive(state: NetState): boolean {
  const { device, links } = state;
  if (!links.waiting && state.cut.length === 0) return false;
  // While the guest has too few buffers its next notification goes on; otherwise nobody rings for what came meanwhile.
  const waits = device.turn(NET_QUEUE.receive, (queue) => {
    queue.wantNotifications(false);
    const framesMax = state.isHelper ? HELPED_FRAMES : FRAMES_PER_TURN;
    for (let count = 0; count < framesMax; count++) {
      const done = deliverNext(state, queue);
      if (done !== 'done') return done === 'waits';
    }
    return false;
  });
  return (links.free() || state.cut.length > 0) && waits === false;
}

/** Delivers one frame: `empty` when none waits, `waits` when the guest has to offer more buffers first. */
function deliverNext(state: NetState, queue: SplitQueue): 'done' | 'empty' | 'waits' {
  const { links, device, cut, counters } = state;
  const [piece] = cut;
  if (piece !== undefined) {
    if (!deliver(state, queue, piece, 0, piece.length)) return 'waits';
    cut.shift();
    return 'done';
  }
  const size = links.next();
  if (size === 0) return 'empty';
  if (state.isHelper && size > HELPED_BYTES_MAX) {
    state.leaves = true;
    return 'empty';
  }
  const { received, offset } = links;
  const isLarge = (received[offset + HEADER.gsoType] ?? GSO.none) !== GSO.none;
  if (isLarge && !device.has(NET_FEATURE.guestTcp4)) {
    const out = { bytes: large, take: (bytes: number) => cut.push(large.slice(0, bytes)) > 0 };
    if (!finishFrame(received, offset, size, out).ok) counters.refused++;
    links.take();
    return 'done';
  }
  if (!device.has(NET_FEATURE.guestChecksum) && !completeChecksum(received, offset, size).ok) {
    counters.refused++;
    links.take();
    return 'done';
  }
  if (!deliver(state, queue, received, offset, size)) return 'waits';
  links.take();
  return 'done';
}

/** Writes one frame into as many buffers as it needs; false when the guest has to offer more first, and can. */
function deliver(
  { device, capture, counters }: NetState,
  queue: SplitQueue,
  frame: Uint8Array,
  at: number,
  size: number,
): boolean {
  // The first buffer holds the packet header at least, and without merging everything (V1.2, 5.1.6.3.1).
  const firstBytesMin = device.has(NET_FEATURE.mergeableBuffers) ? PacketHeader.sizeBytes : size;
  let count: Uint8Array[] | undefined;
  let chains = 0;
  for (let done = 0; done < size; chains++) {
    let taken = queue.take();
    if (taken === 'empty') {
      queue.wantNotifications(true);
      taken = queue.take();
    }
    if (taken === 'broken') return true; // nothing arrives any more
    if (taken === 'empty') {
      const isLost = queue.isExhausted;
      queue.unstage();
      if (isLost) counters.refused++;
      return isLost;
    }
    const { chain } = queue;
    const part = Math.min(size - done, chain.writableBytes);
    if (chains === 0 && part < firstBytesMin && part > 0) {
      // The driver gets its buffer back, the frame is lost.
      counters.refused++;
      queue.use(0);
      return true;
    }
    // A buffer into which nothing can be written has no business in this queue.
    if (part === 0 || !chain.write(0, frame.subarray(at + done, at + done + part))) {
      queue.refuse();
      return true;
    }
    if (chains === 0) count = chain.writable(HEADER.bufferCount, 2);
    queue.stage(part);
    done += part;
  }
  // The count stands in the first buffer (V1.2, 5.1.6.4): 1 for one that was not merged.
  putCount(count, chains);
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
