/**
 * V8's machine code of WebAssembly modules as bytes, and what such bytes depend on. V8 serialises a module only when every
 * function was compiled by TurboFan, and aborts the process otherwise; so modules meant for that are compiled in here,
 * under flags of their own, and nothing else is ever serialised.
 */
import { createHash } from 'node:crypto';
import { readdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { setFlagsFromString } from 'node:v8';
import { detectFeatures, featureKey } from '../../cpu/wasm/features.js';

const CPU_FOLDER = join(dirname(fileURLToPath(import.meta.url)), '..', '..', 'cpu');

type Serialise = (module: WebAssembly.Module) => ArrayBuffer;
type Deserialise = (native: ArrayBuffer, wire: Uint8Array) => unknown;

/**
 * Work (bytes of code run through, as V8 counts it) after which a function is optimised: some 10 ms of a loop. Optimising
 * costs ten times what Liftoff does; with V8's 1.8 million a kernel boot spends a second more on it, to no use.
 */
const TIERING_BUDGET = 15_000_000;
/** From this major version of Node.js on relaxed SIMD is on by default and its flag is gone. */
const RELAXED_SIMD_SINCE = 22;

/** Whether {@link useGuestFlags} has been called. */
let guestFlags = false;

function relaxedSimd(on: boolean): void {
  const major = Number(process.versions.node.split('.')[0]);
  if (major < RELAXED_SIMD_SINCE) setFlagsFromString(`--${on ? '' : 'no-'}experimental-wasm-relaxed-simd`);
}

/**
 * Runs `body` with what this Node.js has for generated code switched on and found out. Afterwards V8's flags are as they
 * were: under other flags V8 compiles anew what node and our bundles bring along compiled, in every thread that starts.
 */
export function withHostFeatures<T>(body: () => T): T {
  relaxedSimd(true);
  try {
    detectFeatures((bytes) => whole(() => new WebAssembly.Module(bytes)));
    return body();
  } finally {
    relaxedSimd(guestFlags);
  }
}

/** Sets V8's flags for generated code, for the rest of the process: when the threads are there that will run it. */
export function useGuestFlags(): void {
  guestFlags = true;
  relaxedSimd(true);
  setFlagsFromString(`--wasm-tiering-budget=${TIERING_BUDGET}`);
  // What is translated is hot, and is best compiled where it was translated: not in the vCPU's first call.
  setFlagsFromString('--no-wasm-lazy-compilation');
}

/**
 * Runs `body` with the flags under which a module is compiled whole, and V8's own functions callable. The flags are part
 * of what V8 compares when it reads a serialised module, so reading and writing both happen in here.
 */
export function whole<T>(body: (serialise: Serialise, deserialise: Deserialise) => T): T {
  for (const flag of ['liftoff', 'wasm-lazy-compilation']) setFlagsFromString(`--no-${flag}`);
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
    // Without Liftoff V8 also switches tiering off, and does not switch it on with it: every function of every later
    // module would be optimised at once, whether hot or not.
    for (const flag of ['liftoff', 'wasm-tier-up', 'wasm-dynamic-tiering']) setFlagsFromString(`--${flag}`);
    if (!guestFlags) setFlagsFromString('--wasm-lazy-compilation');
  }
}

/** The native module, or undefined on a V8 that has no such function. */
export function serialisedOf(module: WebAssembly.Module, serialise: Serialise): ArrayBuffer | undefined {
  try {
    return serialise(module);
  } catch {
    return undefined;
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

/** Everything but V8's flags that machine code depends on, fit for a file name. V8 compares its flags itself. */
export function nativeKey(): string {
  const { node, v8 } = process.versions;
  return `${node}-${v8}-${process.arch}-${featureKey()}-${buildIdentity()}`;
}
