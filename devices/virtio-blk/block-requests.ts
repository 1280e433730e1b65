/**
 * Requests of a virtio block device: each chain is checked and carried out on the image, data moving between the image's
 * file and guest memory without a copy. Whatever is wrong with a request is answered in its status byte.
 */
import { err, ok } from '../../bus/result.js';
import type { Chain } from '../virtio/chain.js';
import type { Handled } from '../virtio/virtio-device.js';
import { IDENTITY_BYTES, MAY_UNMAP, REPLY, REQUEST, RequestHead, SECTOR_BYTES, ZeroSegment } from './block.wire.js';
import type { DiskImage, Done, ImageFault } from './disk-image.js';

/** Stretches of one discard or write-zeroes request. */
export const ZERO_SEGMENTS_MAX = 32;
/** Sectors of one such stretch: bounds how long a request takes. */
export const ZERO_SECTORS_MAX = (64 << 20) / SECTOR_BYTES;

/** The disk a device serves. */
export interface Disk {
  readonly image: DiskImage;
  readonly isReadOnly: boolean;
  /** What the guest sees as the disk's serial number: ASCII, at most 20 bytes. */
  readonly serial: string;
  /** Whether writes are durable before they are acknowledged. */
  writesThrough(): boolean;
  /** Told of requests that failed. */
  readonly complain: (fault: ImageFault) => void;
}

type Outcome = Done | 'unsupported' | 'refused' | 'broken';

const head = new Uint8Array(RequestHead.sizeBytes);
const headView = new DataView(head.buffer);
const segments = new Uint8Array(ZeroSegment.sizeBytes * ZERO_SEGMENTS_MAX);
const segmentsView = new DataView(segments.buffer);
const status = new Uint8Array(1);
const TYPE_AT = RequestHead.offsets.type;
const SECTOR_AT = RequestHead.offsets.sector;

/** Carries out the request in `chain`. */
export function handleRequest(disk: Disk, chain: Chain): Handled {
  // Without room for a status byte there is nothing to answer into (V1.2, 5.2.6.4 has no such request).
  if (chain.writableBytes < 1 || !chain.read(0, head)) return 'broken';
  const type = headView.getUint32(TYPE_AT, true);
  // Sectors beyond 2^32 are outside any disk of ours, whatever the low word says.
  const high = headView.getUint32(SECTOR_AT + 4, true);
  const sector = high < 2 ** 20 ? high * 2 ** 32 + headView.getUint32(SECTOR_AT, true) : Number.POSITIVE_INFINITY;
  const readBytes = type === REQUEST.read ? chain.writableBytes - 1 : 0;
  const outcome = perform(disk, chain, type, sector * SECTOR_BYTES);
  if (outcome === 'broken') return 'broken';
  if (outcome === 'unsupported') status[0] = REPLY.unsupported;
  else if (outcome === 'refused') status[0] = REPLY.failed;
  else {
    status[0] = outcome.ok ? REPLY.ok : REPLY.failed;
    if (!outcome.ok) disk.complain(outcome.error);
  }
  const written = type === REQUEST.identify ? chain.writableBytes : readBytes + 1;
  return chain.write(chain.writableBytes - 1, status) ? written : 'broken';
}

function perform(disk: Disk, chain: Chain, type: number, offset: number): Outcome {
  const { image } = disk;
  switch (type) {
    case REQUEST.read: {
      const bytes = chain.writableBytes - 1;
      if (!fits(image, offset, bytes)) return 'refused';
      const into = chain.writable(0, bytes);
      return into === undefined ? 'broken' : image.read(offset, into);
    }
    case REQUEST.write: {
      const bytes = chain.readableBytes - RequestHead.sizeBytes;
      if (disk.isReadOnly || !fits(image, offset, bytes)) return 'refused';
      const from = chain.readable(RequestHead.sizeBytes, bytes);
      return from === undefined ? 'broken' : durable(disk, image.write(offset, from));
    }
    case REQUEST.flush:
      return image.flush();
    case REQUEST.identify: {
      const name = new Uint8Array(IDENTITY_BYTES);
      new TextEncoder().encodeInto(disk.serial, name);
      const room = chain.writableBytes - 1;
      return chain.write(0, name.subarray(0, Math.min(room, IDENTITY_BYTES))) ? ok() : 'broken';
    }
    case REQUEST.discard:
    case REQUEST.writeZeroes:
      return zeros(disk, chain, type);
    default:
      return 'unsupported';
  }
}

function fits(image: DiskImage, offset: number, bytes: number): boolean {
  return bytes % SECTOR_BYTES === 0 && offset + bytes <= image.sizeBytes;
}

function durable(disk: Disk, done: Done): Done {
  return done.ok && disk.writesThrough() ? disk.image.flush() : done;
}

/** Discard and write-zeroes: a list of stretches, all checked before the first is touched. */
function zeros(disk: Disk, chain: Chain, type: number): Outcome {
  if (disk.isReadOnly) return 'refused';
  const bytes = chain.readableBytes - RequestHead.sizeBytes;
  const count = bytes / ZeroSegment.sizeBytes;
  if (!Number.isInteger(count) || count < 1 || count > ZERO_SEGMENTS_MAX) return 'refused';
  if (!chain.read(RequestHead.sizeBytes, segments.subarray(0, bytes))) return 'broken';
  const stretches: { readonly offset: number; readonly bytes: number; readonly mayUnmap: boolean }[] = [];
  for (let i = 0; i < count; i++) {
    const segment = ZeroSegment.read(segmentsView, i * ZeroSegment.sizeBytes);
    if (!segment.ok) return 'refused';
    const { sector, sectors, flags } = segment.value;
    const isDiscard = type === REQUEST.discard;
    // V1.2, 5.2.6.2: reserved flags, and unmap in a discard, are answered as not supported.
    if ((flags & ~MAY_UNMAP) !== 0 || (isDiscard && flags !== 0)) return 'unsupported';
    const stretch = { offset: Number(sector) * SECTOR_BYTES, bytes: sectors * SECTOR_BYTES, mayUnmap: flags !== 0 };
    if (sectors > ZERO_SECTORS_MAX || !fits(disk.image, stretch.offset, stretch.bytes)) return 'refused';
    stretches.push(stretch);
  }
  for (const { offset, bytes: length, mayUnmap } of stretches) {
    const done =
      type === REQUEST.discard ? disk.image.discard(offset, length) : disk.image.zero(offset, length, mayUnmap);
    if (!done.ok) return err(done.error);
  }
  return durable(disk, ok());
}
