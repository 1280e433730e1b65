/**
 * The host's decompressors behind devices/machine's `Unpackers`: gzip by node:zlib, xz by xz-decompress, zstd by zstddec.
 * Each checks the output limit while it unpacks, so a small file cannot ask for unbounded memory.
 */
import type { ReadableStream } from 'node:stream/web';
import { createGunzip } from 'node:zlib';
import xz from 'xz-decompress';
import { ZSTDDecoder } from 'zstddec/stream';
import { err, ok, type Result } from '../../bus/result.js';
import type { Unpackers } from '../../devices/machine/unpackers.js';

const { XzReadableStream } = xz;
const MIB = 1024 * 1024;

/** Collects chunks up to a limit. */
class LimitedSink {
  readonly #chunks: Uint8Array[] = [];
  readonly #limitBytes: number;
  #bytes = 0;

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  /** Whether the chunk was taken; a refused chunk means that the limit is passed. */
  add(chunk: Uint8Array): boolean {
    this.#bytes += chunk.byteLength;
    if (this.#bytes > this.#limitBytes) return false;
    this.#chunks.push(chunk);
    return true;
  }

  bytes(): Uint8Array {
    const out = new Uint8Array(this.#bytes);
    let at = 0;
    for (const chunk of this.#chunks) {
      out.set(chunk, at);
      at += chunk.byteLength;
    }
    return out;
  }
}

const tooLarge = (limitBytes: number): Result<never, string> =>
  err(`unpacks to more than the ${Math.floor(limitBytes / MIB)} MiB allowed`);
const damaged = (thrown: unknown): Result<never, string> =>
  err(`is damaged: ${(thrown instanceof Error ? thrown.message : String(thrown)).replace(/\s+/g, ' ').slice(0, 120)}`);

/** gzip. Bytes after the first member are ignored by node:zlib unless they look like another member. */
function gunzip(packed: Uint8Array, limitBytes: number): Promise<Result<Uint8Array, string>> {
  return new Promise((resolve) => {
    const sink = new LimitedSink(limitBytes);
    const stream = createGunzip({ chunkSize: MIB / 4 });
    const finish = (result: Result<Uint8Array, string>): void => {
      stream.destroy();
      resolve(result);
    };
    stream.on('data', (chunk: Uint8Array) => {
      if (!sink.add(chunk)) finish(tooLarge(limitBytes));
    });
    stream.on('end', () => finish(ok(sink.bytes())));
    stream.on('error', (error) => finish(damaged(error)));
    stream.end(packed);
  });
}

/** Empty output chunks in a row after which a decoder is taken to be stuck: each call consumes or produces otherwise. */
const IDLE_CHUNKS_MAX = 64;

/** xz, as a stream, so that the limit holds while it runs. */
async function unxz(packed: Uint8Array, limitBytes: number): Promise<Result<Uint8Array, string>> {
  const sink = new LimitedSink(limitBytes);
  const reader = xzStream(new Blob([new Uint8Array(packed)]).stream()).getReader();
  let idle = 0;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return ok(sink.bytes());
      idle = value.byteLength === 0 ? idle + 1 : 0;
      const isStuck = idle > IDLE_CHUNKS_MAX;
      if (!isStuck && sink.add(value)) continue;
      await reader.cancel();
      return isStuck ? err('is damaged: the data ends too early') : tooLarge(limitBytes);
    }
  } catch (thrown) {
    return damaged(thrown);
  }
}

/** A stream of the bytes that the xz stream `packed` unpacks to; it errors when `packed` is damaged or cut off. */
export function xzStream(packed: ReadableStream<Uint8Array>): ReadableStream<Uint8Array> {
  return new XzReadableStream(packed);
}

/** The compiled decoder, kept so that a fresh instance can replace one that a damaged stream left in disorder. */
let zstdModule: WebAssembly.Module | undefined;

/**
 * zstddec 0.3.4 neither stops at a decoding error nor frees its buffers then; so a stuck stream is noticed here, and
 * after a failure the decoder's whole instance is thrown away. (`_init` is called without `this`.)
 */
class RenewableZstd extends ZSTDDecoder {
  override _init(result: Parameters<ZSTDDecoder['_init']>[0]): void {
    zstdModule = result.module;
    super._init(result);
  }

  /** Replaces the instance, and with it all memory the last stream leaked. */
  renew(): void {
    const module = zstdModule;
    if (module === undefined) return;
    const fresh: { instance?: WebAssembly.Instance } = {};
    const onGrowth = (): void => {
      if (fresh.instance !== undefined) super._init({ module, instance: fresh.instance });
    };
    fresh.instance = new WebAssembly.Instance(module, { env: { emscripten_notify_memory_growth: onGrowth } });
    onGrowth();
  }
}

const zstd = new RenewableZstd();

/** zstd, chunk by chunk. */
async function unzstd(packed: Uint8Array, limitBytes: number): Promise<Result<Uint8Array, string>> {
  await zstd.init();
  const result = decodeZstd(packed, limitBytes);
  if (!result.ok) zstd.renew();
  return result;
}

function decodeZstd(packed: Uint8Array, limitBytes: number): Result<Uint8Array, string> {
  const sink = new LimitedSink(limitBytes);
  let idle = 0;
  try {
    for (const chunk of zstd.decodeStreaming([packed])) {
      if (!sink.add(chunk)) return tooLarge(limitBytes);
      idle = chunk.byteLength === 0 ? idle + 1 : 0;
      if (idle > IDLE_CHUNKS_MAX) return err('is damaged: the decoder makes no progress');
    }
  } catch (thrown) {
    return damaged(thrown);
  }
  return ok(sink.bytes());
}

/** The decompressors that devices/machine's loaders are given. */
export const hostUnpackers: Unpackers = { gzip: gunzip, xz: unxz, zstd: unzstd };
