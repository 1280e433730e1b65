/**
 * Decompression as a capability: devices/ names what it needs, the host (cli/image/unpackers.ts) provides it, so that no
 * code here touches node:zlib or a WebAssembly decoder by itself.
 */
import type { Result } from '../../bus/result.js';

/**
 * Unpacks one compressed stream. At most `limitBytes` of output are produced; more is a failure, and so is any damage.
 * The error is the end of a sentence ("is damaged: incorrect data check"). Bytes after the stream are ignored.
 */
export type Unpack = (packed: Uint8Array, limitBytes: number) => Promise<Result<Uint8Array, string>>;

/** The three formats kernels come in. */
export interface Unpackers {
  readonly gzip: Unpack;
  readonly xz: Unpack;
  readonly zstd: Unpack;
}
