/** A file in memory for tests of disk images: bounded, so that an image cannot make it grow without end. */
import type { FileFault, FileHandle, FileRights } from '../../actors/runtime/files.js';
import { err, ok, type Result } from '../../bus/result.js';

/** See the head of this file. */
export class MemoryFile implements FileHandle {
  readonly rights: FileRights;
  /** How often it was synced. */
  syncs = 0;
  #bytes: Uint8Array;
  #length: number;
  readonly #max: number;

  constructor(contents: Uint8Array, rights: FileRights = 'read-write', bytesMax = 64 << 20) {
    this.rights = rights;
    this.#bytes = contents;
    this.#length = contents.byteLength;
    this.#max = bytesMax;
  }

  /** A copy of what it holds. */
  get contents(): Uint8Array {
    return this.#bytes.slice(0, this.#length);
  }

  sizeBytes(): Result<number, FileFault> {
    return ok(this.#length);
  }
  read(offset: number, into: Uint8Array): Result<number, FileFault> {
    if (!Number.isSafeInteger(offset) || offset < 0) return err({ reason: 'failed', detail: 'EINVAL' });
    const part = this.#bytes.subarray(Math.min(offset, this.#length), Math.min(offset + into.byteLength, this.#length));
    into.set(part);
    return ok(part.byteLength);
  }
  readInto(offset: number, into: readonly Uint8Array[]): Result<number, FileFault> {
    let done = 0;
    for (const part of into) {
      const got = this.read(offset + done, part);
      if (!got.ok) return got;
      done += got.value;
    }
    return ok(done);
  }
  write(offset: number, from: Uint8Array): Result<undefined, FileFault> {
    if (this.rights === 'read') return err({ reason: 'noRight', detail: 'read-only' });
    const end = offset + from.byteLength;
    if (!Number.isSafeInteger(offset) || offset < 0) return err({ reason: 'failed', detail: 'EINVAL' });
    if (end > this.#max) return err({ reason: 'failed', detail: 'ENOSPC' });
    if (end > this.#bytes.byteLength) {
      const grown = new Uint8Array(Math.min(this.#max, end * 2));
      grown.set(this.#bytes.subarray(0, this.#length));
      this.#bytes = grown;
    }
    this.#bytes.set(from, offset);
    this.#length = Math.max(this.#length, end);
    return ok();
  }
  writeFrom(offset: number, from: readonly Uint8Array[]): Result<undefined, FileFault> {
    let at = offset;
    for (const part of from) {
      const done = this.write(at, part);
      if (!done.ok) return done;
      at += part.byteLength;
    }
    return ok();
  }
  resize(sizeBytes: number): Result<undefined, FileFault> {
    if (sizeBytes > this.#length) return this.write(sizeBytes - 1, new Uint8Array(1));
    this.#length = sizeBytes;
    return ok();
  }
  /** Another program makes it `bytes` long, whatever this one's rights are; what is added reads as zeros. */
  cut(bytes: number): void {
    if (bytes > this.#bytes.byteLength) {
      const grown = new Uint8Array(bytes);
      grown.set(this.#bytes.subarray(0, this.#length));
      this.#bytes = grown;
    } else this.#bytes.fill(0, Math.min(bytes, this.#length));
    this.#length = bytes;
  }
  sync(): Result<undefined, FileFault> {
    this.syncs++;
    return ok();
  }
  syncData(): Result<undefined, FileFault> {
    return this.sync();
  }
}
