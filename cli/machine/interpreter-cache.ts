/**
 * The compiled interpreter, kept between runs: generating it takes half a second and optimising it as long again. The cache
 * file holds the WebAssembly bytes and V8's serialised native module; it is used only by the exact node, V8, architecture and
 * build of ours that wrote it, and only when its checksum is right.
 *
 * V8 serialises a module only when every function was compiled by TurboFan, and aborts the process otherwise; so both
 * flags below are set around that compile, and nothing else is ever serialised.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { setFlagsFromString } from 'node:v8';
import { HELPERS } from '../../cpu/core.js';
import { buildInterpreter } from '../../cpu/interpreter/build.js';
import { INSTRUCTIONS } from '../../cpu/isa/table.js';
import { detectFeatures, featureKey } from '../../cpu/wasm/features.js';

const MAGIC = 'wurley-interp-1\n';
const CHECKSUM_BYTES = 32;
const HEADER_BYTES = MAGIC.length + CHECKSUM_BYTES + 8;
/** A cache file larger than this is not ours. */
const FILE_BYTES_MAX = 64 << 20;
/** Files of other versions are removed after a month. */
const KEEP_MS = 30 * 24 * 3600 * 1000;
const CPU_FOLDER = join(dirname(fileURLToPath(import.meta.url)), '..', '..', 'cpu');

/** Where an interpreter came from. */
export interface LoadedInterpreter {
  readonly module: WebAssembly.Module;
  readonly from: 'cache' | 'built';
}

type Serialise = (module: WebAssembly.Module) => ArrayBuffer;
type Deserialise = (native: ArrayBuffer, wire: Uint8Array) => unknown;

/**
 * Runs `body` with the flags under which a module is compiled whole, and V8's own functions callable. The flags are part
 * of what V8 compares when it reads a serialised module, so reading and writing both happen in here.
 */
function whole<T>(body: (serialise: Serialise, deserialise: Deserialise) => T): T {
  const flags = ['liftoff', 'wasm-lazy-compilation'];
  for (const flag of flags) setFlagsFromString(`--no-${flag}`);
  setFlagsFromString('--allow-natives-syntax');
  try {
    // WHY: natives syntax exists only in source text; the texts are constant. A V8 without these functions refuses the
    // text when it is called, which both callers catch.
    return body(
      (module) => new Function('module', 'return %SerializeWasmModule(module)')(module) as ArrayBuffer,
      (native, wire) => new Function('native', 'wire', 'return %DeserializeWasmModule(native, wire)')(native, wire),
    );
  } finally {
    setFlagsFromString('--no-allow-natives-syntax');
    // Without Liftoff V8 also switches these two off, and does not switch them on with it: every function of every later
    // module would be optimised at once, whether hot or not.
    for (const flag of [...flags, 'wasm-tier-up', 'wasm-dynamic-tiering']) setFlagsFromString(`--${flag}`);
  }
}

/** Changes with every change of the code that generates the interpreter. */
function buildIdentity(): string {
  const hash = createHash('sha256');
  for (const entry of readdirSync(CPU_FOLDER, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || !entry.name.endsWith('.js')) continue;
    const path = join(entry.parentPath, entry.name);
    const { size, mtimeMs } = statSync(path);
    hash.update(`${path}:${size}:${mtimeMs};`);
  }
  return hash.digest('hex').slice(0, 16);
}

function fileName(): string {
  const { node, v8 } = process.versions;
  return `interpreter-${node}-${v8}-${process.arch}-${featureKey()}-${buildIdentity()}.bin`;
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

/** From this major version of Node.js on relaxed SIMD is on by default and its flag is gone. */
const RELAXED_SIMD_SINCE = 22;

/** Switches on what this Node.js has for generated code, for all threads of the process, and finds out what it gives. */
function useHostFeatures(): void {
  const major = Number(process.versions.node.split('.')[0]);
  if (major < RELAXED_SIMD_SINCE) setFlagsFromString('--experimental-wasm-relaxed-simd');
  detectFeatures();
}

/**
 * Work (bytes of code run through, as V8 counts it) after which a function is optimised: some 10 ms of a loop. Optimising
 * costs ten times what Liftoff does; with V8's 1.8 million a kernel boot spends a second more on it, to no use.
 */
const TIERING_BUDGET = 15_000_000;

/** The interpreter, from the cache in `folder` or made anew (and then put there). */
export function loadInterpreter(folder: string): LoadedInterpreter {
  useHostFeatures();
  const loaded = fromCacheOrBuilt(join(folder, fileName()));
  // What is translated later is hot already, and is best compiled where it was translated: not on the vCPU's first call.
  setFlagsFromString('--no-wasm-lazy-compilation');
  setFlagsFromString(`--wasm-tiering-budget=${TIERING_BUDGET}`);
  return loaded;
}

function fromCacheOrBuilt(path: string): LoadedInterpreter {
  const cached = readCache(path);
  if (cached !== undefined) return { module: cached, from: 'cache' };
  const { bytes } = buildInterpreter(INSTRUCTIONS, HELPERS);
  const { module, native } = whole((serialise) => {
    const compiled = new WebAssembly.Module(bytes);
    return { module: compiled, native: serialisedOf(compiled, serialise) };
  });
  if (native !== undefined) writeCache(path, bytes, native);
  return { module, from: 'built' };
}

/** The native module, or undefined on a V8 that has no such function. */
function serialisedOf(module: WebAssembly.Module, serialise: Serialise): ArrayBuffer | undefined {
  try {
    return serialise(module);
  } catch {
    return undefined;
  }
}
