/**
 * A switch port whose other end is another process: frames over a byte stream, each with its length before it (32 bits,
 * little-endian; packet header included). What the other side sends is not trusted: a length out of range ends the stream.
 */
import type { HostStream } from '../../../actors/runtime/network.js';
import { AT, FRAME_BYTES_MAX } from '../wire/headers.js';
import type { PortLink } from './learning-switch.js';

const LENGTH_BYTES = 4;
/** Bytes the other process has not taken yet; beyond it frames for it are dropped, as by any port. */
const PENDING_BYTES_MAX = 8 << 20;
/** Frames that wait for the switch; beyond it the stream pauses. */
const WAITING_MAX = 512;
const WAITING_LOW = 128;

/** See the file comment. Belongs to one thread. */
export class StreamPort implements PortLink {
  readonly bytes = new Uint8Array(FRAME_BYTES_MAX);
  readonly offset = 0;
  readonly #stream: HostStream;
  #waiting: Uint8Array[] = [];
  #taken = 0;
  /** What has come of a frame that is not whole yet. */
  #rest: Uint8Array = new Uint8Array(0);
  #out: Uint8Array[] = [];
  #paused = false;

  constructor(stream: HostStream) {
    this.#stream = stream;
  }

  /** The frame {@link next} found. */
  get received(): Uint8Array {
    return this.#waiting[this.#taken] ?? this.bytes;
  }

  /** Takes bytes of the stream; false when they are not frames, and the stream should end. */
  feed(bytes: Uint8Array): boolean {
    let from = 0;
    const all = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    const view = new DataView(all.buffer, all.byteOffset, all.byteLength);
    while (all.length - from >= LENGTH_BYTES) {
      const size = view.getUint32(from, true);
      if (size < AT.ip || size > FRAME_BYTES_MAX) return false;
      if (all.length - from < LENGTH_BYTES + size) break;
      this.#waiting.push(all.subarray(from + LENGTH_BYTES, from + LENGTH_BYTES + size));
      from += LENGTH_BYTES + size;
    }
    this.#rest = all.slice(from);
    if (this.#waiting.length - this.#taken > WAITING_MAX && !this.#paused) {
      this.#paused = true;
      this.#stream.pause();
    }
    return true;
  }

  next(): number {
    return this.#waiting[this.#taken]?.length ?? 0;
  }
  take(): void {
    this.#taken++;
  }
  free(): boolean {
    this.#waiting = this.#waiting.slice(this.#taken);
    this.#taken = 0;
    if (this.#paused && this.#waiting.length <= WAITING_LOW) {
      this.#paused = false;
      this.#stream.resume();
    }
    return this.#waiting.length > 0;
  }

  reserve(): number {
    return this.#stream.pendingBytes > PENDING_BYTES_MAX ? -1 : 0;
  }
  commit(sizeBytes: number): void {
    const frame = new Uint8Array(LENGTH_BYTES + sizeBytes);
    new DataView(frame.buffer).setUint32(0, sizeBytes, true);
    frame.set(this.bytes.subarray(0, sizeBytes), LENGTH_BYTES);
    this.#out.push(frame);
  }
  flush(): void {
    if (this.#out.length === 0) return;
    this.#stream.write(Buffer.concat(this.#out));
    this.#out = [];
  }

  /** Ends the stream. */
  close(): void {
    this.#stream.reset();
  }
}
