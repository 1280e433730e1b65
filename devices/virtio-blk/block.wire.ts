/** What a virtio block device and its driver say to each other (V1.2, 5.2). */
import { mustBeZero, u8, u16, u32, u64 } from '../../bus/layout/fields.js';
import { struct } from '../../bus/layout/struct.js';

/** Unit of every address and length on the wire, in bytes, whatever the block size. */
export const SECTOR_BYTES = 512;

/** Feature bits, as positions. */
export const BLOCK_FEATURE = {
  segmentsMax: 2,
  readOnly: 5,
  blockSize: 6,
  flush: 9,
  topology: 10,
  configurableCache: 11,
  discard: 13,
  writeZeroes: 14,
} as const;

/** Configuration space (V1.2, 5.2.4). */
export const BlockSpace = struct('BlockSpace', 64, {
  /** In sectors. */
  capacity: u64(0),
  segmentBytesMax: u32(8),
  segmentsMax: u32(12),
  cylinders: u16(16),
  heads: u8(18),
  sectors: u8(19),
  blockBytes: u32(20),
  /** Logical blocks per physical block, as a power of two. */
  physicalBlockExponent: u8(24),
  alignmentOffset: u8(25),
  /** In logical blocks. */
  minimumIo: u16(26),
  optimalIo: u32(28),
  /** 1: a flush is needed for durability; 0: every write is durable when it is acknowledged. */
  writeBack: u8(32),
  unused0: u8(33),
  queues: u16(34),
  /** In sectors, and in segments. */
  discardSectorsMax: u32(36),
  discardSegmentsMax: u32(40),
  discardSectorAlignment: u32(44),
  zeroSectorsMax: u32(48),
  zeroSegmentsMax: u32(52),
  zeroMayUnmap: u8(56),
  unused1: u8(57),
  unused2: u16(58),
  unused3: mustBeZero(60, 4),
});

/** What a request starts with; the data follow, and a byte of status. */
export const RequestHead = struct('RequestHead', 16, {
  type: u32(0),
  reserved: u32(4),
  sector: u64(8),
});
/** Values of RequestHead.type. */
export const REQUEST = { read: 0, write: 1, flush: 4, identify: 8, discard: 11, writeZeroes: 13 } as const;
/** Values of the status byte. */
export const REPLY = { ok: 0, failed: 1, unsupported: 2 } as const;

/** One stretch of a discard or write-zeroes request. */
export const ZeroSegment = struct('ZeroSegment', 16, { sector: u64(0), sectors: u32(8), flags: u32(12) });
/** ZeroSegment.flags: the room may be given back. */
export const MAY_UNMAP = 1;

/** Bytes of the answer to an identify request; shorter names are padded with zeros. */
export const IDENTITY_BYTES = 20;
