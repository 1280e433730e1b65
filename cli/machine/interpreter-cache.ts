/**
 * The compiled interpreter, kept between runs: generating it takes half a second and optimising it as long again. The cache
 * file holds the WebAssembly bytes and V8's serialised native module; it is used only by the exact node, V8, architecture and
 * build of ours that wrote it, and only when its checksum is right.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { nativeKey, serialisedOf, whole, withHostFeatures } from './native-modules.js';

const MAGIC = 'wurley-interp-1\n';
const CHECKSUM_BYTES = 32;
const HEADER_BYTES = MAGIC.length + CHECKSUM_BYTES + 8;
/** A cache file larger than this is not ours. */
const FILE_BYTES_MAX = 64 << 20;
/** Files of other versions are removed after a month. */
const KEEP_MS = 30 * 24 * 3600 * 1000;

/** Where an interpreter came from. */
export interface LoadedInterpreter {
  readonly module: WebAssembly.Module;
  readonly from: 'cache' | 'built';
}

function readCache(path: string): WebAssembly.Module | undefined {
  try {
    const size = statSync(path).size;
    if (size <= HEADER_BYTES || size > FILE_BYTES_MAX) return undefined;
    const file = readFileSync(path);
    if (file.toString('latin1', 0, MAGIC.length) !== MAGIC) return undefined;
    const payload = file.subarray(MAGIC.length + CHECKSUM_BYTES);
    const checksum = createHash('sha256').update(payload).digest();
    if (!checksum.equals(file.subarray(MAGIC.length, MAGIC.length + CHECKSUM_BYTES))) return undefined;
    const wireBytes = payload.readUInt32LE(0);
    const nativeBytes = payload.readUInt32LE(4);
    if (payload.length !== 8 + wireBytes + nativeBytes) return undefined;
    const wire = new Uint8Array(payload.subarray(8, 8 + wireBytes));
    const native = new Uint8Array(payload.subarray(8 + wireBytes)).buffer;
    const module = whole((_, deserialise) => deserialise(native, wire));
    return module instanceof WebAssembly.Module ? module : undefined;
  } catch {
    return undefined;
  }
}

function writeCache(path: string, wire: Uint8Array, native: ArrayBuffer): void {
  try {
    const folder = dirname(path);
    mkdirSync(folder, { recursive: true });
    const lengths = Buffer.alloc(8);
    lengths.writeUInt32LE(wire.length, 0);
    lengths.writeUInt32LE(native.byteLength, 4);
    const payload = Buffer.concat([lengths, wire, new Uint8Array(native)]);
    const checksum = createHash('sha256').update(payload).digest();
    const fresh = `${path}.new-${process.pid}`;
    writeFileSync(fresh, Buffer.concat([Buffer.from(MAGIC, 'latin1'), checksum, payload]));
    renameSync(fresh, path);
    for (const name of readdirSync(folder)) {
      if (!name.startsWith('interpreter-')) continue;
      const other = join(folder, name);
      if (Date.now() - statSync(other).mtimeMs > KEEP_MS) rmSync(other);
    }
  } catch {
    // A cache that cannot be written (a full or read-only home) costs the next start a second, nothing else.
  }
}

/** The interpreter, from the cache in `folder` or made anew (and then put there). */
export async function loadInterpreter(folder: string): Promise<LoadedInterpreter> {
  const { path, cached } = withHostFeatures(() => {
    const path = join(folder, `interpreter-${nativeKey()}.bin`);
    return { path, cached: readCache(path) };
  });
  if (cached !== undefined) return { module: cached, from: 'cache' };
  // A start that finds the file needs no table of instructions.
  const [{ HELPERS }, { buildInterpreter }, { INSTRUCTIONS }] = await Promise.all([
    import('../../cpu/core.js'),
    import('../../cpu/interpreter/build.js'),
    import('../../cpu/isa/table.js'),
  ]);
  return withHostFeatures(() => {
    const { bytes } = buildInterpreter(INSTRUCTIONS, HELPERS);
    const { module, native } = whole((serialise) => {
      const compiled = new WebAssembly.Module(bytes);
      return { module: compiled, native: serialisedOf(compiled, serialise) };
    });
    if (native !== undefined) writeCache(path, bytes, native);
    return { module, from: 'built' };
  });
}
