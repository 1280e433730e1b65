/**
 * The compiled interpreter, kept between runs: generating it takes half a second and optimising it as long again. The cache
 * file holds the WebAssembly bytes and V8's serialised native module; it is used only by the exact node, V8, architecture and
 * build of ours that wrote it, and only when its checksum is right.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { trimFolder } from './code-cache-file.js';
import {
  deserialisedOf,
  findHostFeatures,
  interpreterPath,
  serialisedOf,
  whole,
  withHostFeatures,
} from './native-modules.js';

const MAGIC = 'wurley-interp-1\n';
const CHECKSUM_BYTES = 32;
const HEADER_BYTES = MAGIC.length + CHECKSUM_BYTES + 8;
/** A cache file larger than this is not ours. */
const FILE_BYTES_MAX = 64 << 20;
/** Bytes of all versions; those not used for longest are removed. One is some 3 MB. */
const FOLDER_BYTES_MAX = 32 << 20;
/** A file that is used is marked so once a day. */
const MARK_MS = 24 * 3600 * 1000;

/** Where an interpreter came from. */
export interface LoadedInterpreter {
  readonly module: WebAssembly.Module;
  readonly from: 'cache' | 'built';
}

function readCache(path: string): WebAssembly.Module | undefined {
  try {
    const { size, mtimeMs } = statSync(path);
    if (size <= HEADER_BYTES || size > FILE_BYTES_MAX) return undefined;
    const file = readFileSync(path);
    if (file.toString('latin1', 0, MAGIC.length) !== MAGIC) return undefined;
    const payload = file.subarray(MAGIC.length + CHECKSUM_BYTES);
    const checksum = createHash('sha256').update(payload).digest();
    if (!checksum.equals(file.subarray(MAGIC.length, MAGIC.length + CHECKSUM_BYTES))) return undefined;
    if (Date.now() - mtimeMs > MARK_MS) utimesSync(path, new Date(), new Date());
    const wireBytes = payload.readUInt32LE(0);
    const nativeBytes = payload.readUInt32LE(4);
    if (payload.length !== 8 + wireBytes + nativeBytes) return undefined;
    const wire = new Uint8Array(payload.subarray(8, 8 + wireBytes));
    const native = new Uint8Array(payload.subarray(8 + wireBytes)).buffer;
    return deserialisedOf(native, wire);
  } catch {
    return undefined;
  }
}

/** Whether a file of that name is an interpreter, or what is left of writing one. */
const isInterpreter = (name: string): boolean => name.startsWith('interpreter-');

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
    trimFolder(folder, FOLDER_BYTES_MAX, isInterpreter);
  } catch {
    // A cache that cannot be written (a full or read-only home) costs the next start a second, nothing else.
  }
}

/** The interpreter, from the cache in `folder` or made anew (and then put there). Finds out the host's features. */
export async function loadInterpreter(folder: string): Promise<LoadedInterpreter> {
  findHostFeatures();
  return await loadInterpreterFrom(interpreterPath(folder));
}

/** As {@link loadInterpreter}, after findHostFeatures, from the file at `path`. V8's flags stay as they are if it is there. */
export async function loadInterpreterFrom(path: string): Promise<LoadedInterpreter> {
  const cached = readCache(path);
  if (cached !== undefined) return { module: cached, from: 'cache' };
  // A start that finds the file needs no table of instructions.
  const [{ HELPERS }, { buildInterpreter }, { INSTRUCTIONS }] = await Promise.all([
    import('../../cpu/interpreter/helpers.js'),
    import('../../cpu/interpreter/build.js'),
    import('../../cpu/isa/table.js'),
  ]);
  return withHostFeatures(() => {
    const { bytes } = buildInterpreter(INSTRUCTIONS, HELPERS);
    const module = whole(() => new WebAssembly.Module(bytes));
    const native = serialisedOf(module);
    if (native !== undefined) writeCache(path, bytes, native);
    return { module, from: 'built' };
  });
}
