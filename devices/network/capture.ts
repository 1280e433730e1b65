/**
 * Writes frames to a file in the format of libpcap 2.4 with nanoseconds, which tcpdump, tshark and Wireshark read. Frames are
 * gathered and written together; checksums left to a receiver are completed, so that no tool complains.
 */
import type { FileHandle } from '../../actors/runtime/files.js';
import { u16, u32 } from '../../bus/layout/fields.js';
import { struct } from '../../bus/layout/struct.js';
import { completeChecksum } from './link/offload.js';
import { FRAME_BYTES_MAX, PacketHeader } from './wire/headers.js';

const FileHeader = struct('CaptureFileHeader', 24, {
  magic: u32(0),
  major: u16(4),
  minor: u16(6),
  zone: u32(8),
  accuracy: u32(12),
  frameBytesMax: u32(16),
  linkType: u32(20),
});
const RecordHeader = struct('CaptureRecordHeader', 16, {
  seconds: u32(0),
  nanoseconds: u32(4),
  savedBytes: u32(8),
  frameBytes: u32(12),
});
const MAGIC_NANOSECONDS = 0xa1b2_3c4d;
const ETHERNET = 1;
const BUFFER_BYTES = 256 * 1024;

/** See the file comment. Belongs to one thread. */
export class Capture {
  readonly #file: FileHandle;
  readonly #nowMs: () => number;
  readonly #bytes = new Uint8Array(BUFFER_BYTES);
  readonly #view = new DataView(this.#bytes.buffer);
  readonly #frame = new Uint8Array(FRAME_BYTES_MAX);
  #used = 0;
  #offset: number;
  /** The host's error name once the file could not be written; nothing is recorded any more. */
  failure: string | undefined;

  /** `resumes`: a predecessor has written to the file. `nowMs` counts milliseconds since 1970 UTC. */
  constructor(file: FileHandle, resumes: boolean, nowMs: () => number) {
    this.#file = file;
    this.#nowMs = nowMs;
    const size = resumes ? file.sizeBytes() : undefined;
    this.#offset = size?.ok === true ? size.value : 0;
    if (this.#offset > 0) return;
    const version = { major: 2, minor: 4, zone: 0, accuracy: 0 };
    const head = { magic: MAGIC_NANOSECONDS, ...version, frameBytesMax: FRAME_BYTES_MAX, linkType: ETHERNET };
    FileHeader.write(this.#view, 0, head);
    this.#used = FileHeader.sizeBytes;
  }

  /** Whether frames wait to be written. */
  get pending(): boolean {
    return this.#used > 0;
  }

  /** Records the frame at `bytes[at, at + size)`, packet header first. */
  record(bytes: Uint8Array, at: number, size: number): void {
    if (size > FRAME_BYTES_MAX || this.failure !== undefined) return;
    this.#frame.set(bytes.subarray(at, at + size));
    completeChecksum(this.#frame, 0, size);
    const frameBytes = size - PacketHeader.sizeBytes;
    if (this.#used + RecordHeader.sizeBytes + frameBytes > BUFFER_BYTES) this.flush();
    const now = this.#nowMs();
    const seconds = Math.floor(now / 1000);
    const nanoseconds = Math.floor((now - seconds * 1000) * 1e6);
    const saved = { savedBytes: frameBytes, frameBytes };
    RecordHeader.write(this.#view, this.#used, { seconds, nanoseconds, ...saved });
    this.#bytes.set(this.#frame.subarray(PacketHeader.sizeBytes, size), this.#used + RecordHeader.sizeBytes);
    this.#used += RecordHeader.sizeBytes + frameBytes;
  }

  /** Writes what was gathered. */
  flush(): void {
    if (this.#used === 0) return;
    const written = this.#file.write(this.#offset, this.#bytes.subarray(0, this.#used));
    if (!written.ok) this.failure = written.error.detail;
    this.#offset += this.#used;
    this.#used = 0;
  }
}
