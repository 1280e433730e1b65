/** A raw disk image: the file's bytes are the disk's. */
import type { FileHandle } from '../../actors/runtime/files.js';
import { err, ok, type Result } from '../../bus/result.js';
import { type DiskImage, type Done, failed, type ImageFault } from './disk-image.js';
import { QCOW2_MAGIC } from './qcow2/header.js';
import { zeroBehind } from './scatter.js';

const SECTOR_BYTES = 512;
/** Zeros are written in pieces of this size. */
const ZEROS = new Uint8Array(1 << 20);
const PAGE_BYTES = 4096;

/** See the head of this file. */
export class RawImage implements DiskImage {
  readonly sizeBytes: number;
  readonly clusterBytes = PAGE_BYTES;
  /** The host offers no way to punch holes. */
  readonly canDiscard = false;
  readonly #file: FileHandle;
  readonly #isGuessed: boolean;

  private constructor(file: FileHandle, sizeBytes: number, isGuessed: boolean) {
    this.#file = file;
    this.sizeBytes = sizeBytes;
    this.#isGuessed = isGuessed;
  }

  /**
   * Opens `file`; a part of a sector at its end counts as whole. `isGuessed`: nobody said that it is raw, so its guest must
   * not be able to turn it into something else (a qcow2 header could name any file of the host as its backing file).
   */
  static open(file: FileHandle, isGuessed: boolean): Result<RawImage, ImageFault> {
    const size = file.sizeBytes();
    if (!size.ok) return err(failed(size.error));
    const sectors = Math.ceil(size.value / SECTOR_BYTES);
    return ok(new RawImage(file, sectors * SECTOR_BYTES, isGuessed));
  }

  read(offset: number, into: readonly Uint8Array[]): Done {
    const got = this.#file.readInto(offset, into);
    if (!got.ok) return err(failed(got.error));
    zeroBehind(into, got.value);
    return ok();
  }

  write(offset: number, from: readonly Uint8Array[]): Done {
    if (this.#isGuessed && offset === 0 && looksLikeQcow2(from)) {
      return err({ reason: 'failed', detail: 'a raw image whose format was guessed does not become a qcow2 image' });
    }
    const done = this.#file.writeFrom(offset, from);
    return done.ok ? ok() : err(failed(done.error));
  }

  zero(offset: number, bytes: number): Done {
    for (let at = 0; at < bytes; at += ZEROS.byteLength) {
      const done = this.#file.write(offset + at, ZEROS.subarray(0, Math.min(ZEROS.byteLength, bytes - at)));
      if (!done.ok) return err(failed(done.error));
    }
    return ok();
  }

  discard(): Done {
    return ok();
  }

  flush(): Done {
    if (this.#file.rights === 'read') return ok();
    const done = this.#file.syncData();
    return done.ok ? ok() : err(failed(done.error));
  }

  close(): Done {
    return this.flush();
  }
}

function looksLikeQcow2(from: readonly Uint8Array[]): boolean {
  const head: number[] = [];
  for (const view of from) {
    for (let i = 0; i < view.byteLength && head.length < 4; i++) head.push(view[i] ?? 0);
    if (head.length === 4) break;
  }
  return head.length === 4 && QCOW2_MAGIC.every((byte, i) => head[i] === byte);
}
