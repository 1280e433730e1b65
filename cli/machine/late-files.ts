/**
 * Files that go into a guest's memory as they are: read once, to where they will lie, when that memory is there. Until then
 * only their beginnings are known, which is what a loader looks at. A kernel read into memory of its own first and copied from
 * there is touched twice, and first touching a page is the dear part: see docs/adr/0184.
 */
import type { FileHandle } from 'node:fs/promises';
import { err, ok, type Result } from '../../bus/result.js';
import { isArm64Image } from '../../devices/machine/loaders/arm64-image.js';
import { hostReason } from '../host-reasons.js';

/** Bytes read of each file at once: all that is looked at before the rest is there (the translation cache hashes as many). */
const HEAD_BYTES = 64 << 10;
/** Smaller files are read at once: nothing is to be gained. */
const LATE_BYTES_MIN = 1 << 20;
const READ_BYTES_MAX = 1 << 30;

/** A file as it is opened. */
interface Opened {
  readonly file: string;
  /** What it is to the user: `kernel`, `initrd`. */
  readonly what: string;
  readonly size: number;
  readonly handle: FileHandle;
}

/** Reads from byte `from` of the file until `bytes` is full or the file ends; how much that was. */
export async function readInto(handle: FileHandle, bytes: Uint8Array, from: number): Promise<number> {
  let at = 0;
  while (at < bytes.length) {
    const { bytesRead } = await handle.read(bytes, at, Math.min(bytes.length - at, READ_BYTES_MAX), from + at);
    if (bytesRead === 0) break;
    at += bytesRead;
  }
  return at;
}

/** See the head of this file. The owner closes it, whatever became of the files. */
export class LateFiles {
  /** By the bytes that stand for the file: its beginning, and then nothing yet. */
  readonly #byBytes = new Map<ArrayBufferLike, Opened>();

  /**
   * The beginning of a file that can wait, in an array as long as the file; undefined if it is to be read whole: a kernel that
   * must be unpacked or taken apart first, and what is small.
   */
  async begin({ file, what, size, handle }: Opened): Promise<Uint8Array | undefined> {
    if (size < LATE_BYTES_MIN) return undefined;
    // Not touched, and so not memory yet.
    const bytes = new Uint8Array(size);
    if ((await readInto(handle, bytes.subarray(0, HEAD_BYTES), 0)) < HEAD_BYTES) return undefined;
    if (what === 'kernel' ? !isArm64Image(bytes) : what !== 'initrd') return undefined;
    this.#byBytes.set(bytes.buffer, { file, what, size, handle });
    return bytes;
  }

  /** Whether the open file is still needed. */
  keeps(handle: FileHandle): boolean {
    return [...this.#byBytes.values()].some((late) => late.handle === handle);
  }

  /** Puts `bytes`, or the file they stand for, into `memory`, which is as long. The error is a sentence. */
  async place(bytes: Uint8Array, memory: Uint8Array): Promise<Result<undefined, string>> {
    const late = this.#byBytes.get(bytes.buffer);
    if (late === undefined) {
      memory.set(bytes);
      return ok();
    }
    const { file, what, handle } = late;
    try {
      if ((await readInto(handle, memory, bytes.byteOffset)) === memory.length) return ok();
      return err(`${file}: ${what}: became shorter while it was read; start again`);
    } catch (problem) {
      return err(`${file}: ${what}: cannot be read: ${hostReason(problem)}; give another path`);
    }
  }

  /** Closes the files. */
  async close(): Promise<void> {
    for (const { handle } of this.#byBytes.values()) await handle.close();
    this.#byBytes.clear();
  }
}
