/** What a virtio block device needs of a disk image, whatever its format. Offsets and lengths are in bytes. */
import type { FileFault } from '../../actors/runtime/files.js';
import type { Result } from '../../bus/result.js';

/** Why an operation on an image failed. */
export interface ImageFault {
  /** `damaged`: the image contradicts itself. `failed`: the host's file system said no. */
  readonly reason: 'damaged' | 'failed';
  /** A sentence's second half: what is wrong, or the host's error name. */
  readonly detail: string;
}

/** What an operation without a value answers. */
export type Done = Result<undefined, ImageFault>;

/** An open image. Callers stay within `[0, sizeBytes)`; operations are synchronous. */
export interface DiskImage {
  /** Size the guest sees. */
  readonly sizeBytes: number;
  /** Bytes that are allocated at once: the best unit of large requests. */
  readonly clusterBytes: number;
  /** Whether {@link discard} gives room back. */
  readonly canDiscard: boolean;
  /** Fills all of `into` from `offset` on. */
  read(offset: number, into: readonly Uint8Array[]): Done;
  /** Writes all of `from` at `offset`. It survives the end of this thread, not a loss of power before {@link flush}. */
  write(offset: number, from: readonly Uint8Array[]): Done;
  /** Makes `[offset, offset + bytes)` zeros; `mayUnmap`: the room may be given back. */
  zero(offset: number, bytes: number, mayUnmap: boolean): Done;
  /** The content of `[offset, offset + bytes)` is of no more use. */
  discard(offset: number, bytes: number): Done;
  /** Returns when everything written so far is on stable storage. */
  flush(): Done;
  /** Flushes and leaves the image as others expect it; it is not used afterwards. */
  close(): Done;
}

/** The image's fault that a file's fault means. */
export function failed({ detail }: FileFault): ImageFault {
  return { reason: 'failed', detail };
}
