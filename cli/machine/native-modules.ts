/**
 * V8's machine code of WebAssembly modules as bytes, and what such bytes depend on. V8 serialises a module only when every
 * function was compiled by TurboFan, and aborts the process otherwise; so modules meant for that are compiled in here,
 * under flags of their own, and nothing else is ever serialised.
 */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { setFlagsFromString } from 'node:v8';
import { isFresh } from '../../actors/runtime/worker-files.js';
import { detectFeatures, featureKey } from '../../cpu/wasm/features.js';

const CPU_FOLDER = join(dirname(fileURLToPath(import.meta.url)), '..', '..', 'cpu');
const IDENTITY_FILE = new URL('../../cpu/build-identity', import.meta.url);

type Serialise = (module: WebAssembly.Module) => ArrayBuffer;
type Deserialise = (native: ArrayBuffer, wire: Uint8Array) => unknown;

/**
 * Work (bytes of code run through, as V8 counts it) after which a function is optimised: some 10 ms of a loop. Optimising
 * costs ten times what Liftoff does; with V8's 1.8 million a kernel boot spends a second more on it, to no use.
 */
const TIERING_BUDGET = 15_000_000;
/**
 * Bytes of bytecode that an optimised function may have in it of those it calls, small ones not counted: while a machine boots, and V8's own limit. A
 * boot takes some 8 % less processor time (ADR 311); what gets hot later is worth more.
 */
const INLINED_BYTES_MAX = { booting: 400, later: 920 } as const;
const BOOTING_MS = 10_000;
/** From this major version of Node.js on relaxed SIMD is on by default and its flag is gone. */
const RELAXED_SIMD_SINCE = 22;

/** Whether {@link useGuestFlags} has been called. */
let guestFlags = false;

function relaxedSimd(on: boolean): void {
  const major = Number(process.versions.node.split('.')[0]);
  if (major < RELAXED_SIMD_SINCE) setFlagsFromString(`--${on ? '' : 'no-'}experimental-wasm-relaxed-simd`);
}

/**
 * Finds out what this Node.js has for generated code, and which flags it was started with. Afterwards V8's flags are as they
 * were: under other flags V8 compiles anew what node and our bundles bring along compiled, in every thread that starts.
 */
export function findHostFeatures(): void {
  withNative(() => undefined);
  withHostFeatures(() => detectFeatures((bytes) => whole(() => new WebAssembly.Module(bytes))));
}

/** Runs `body` with what this Node.js has for generated code switched on. */
export function withHostFeatures<T>(body: () => T): T {
  relaxedSimd(true);
  try {
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
  optimiseSooner();
  // What is translated is hot, and is best compiled where it was translated: not in the vCPU's first call.
  setFlagsFromString('--no-wasm-lazy-compilation');
}

let booted: NodeJS.Timeout | undefined;

/** For as long as a machine boots V8 has functions of ours optimised sooner, with less in them of what they call: the guest wants the processors. */
function optimiseSooner(): void {
  const inline = (bytes: number): void => setFlagsFromString(`--max-inlined-bytecode-size-cumulative=${bytes}`);
  inline(INLINED_BYTES_MAX.booting);
  clearTimeout(booted);
  booted = setTimeout(() => inline(INLINED_BYTES_MAX.later), BOOTING_MS);
  booted.unref();
}

/** Runs `body` with the flags under which a module is compiled whole. */
export function whole<T>(body: () => T): T {
  for (const flag of ['liftoff', 'wasm-lazy-compilation']) setFlagsFromString(`--no-${flag}`);
  try {
    return body();
  } finally {
    // Without Liftoff V8 also switches tiering off, and does not switch it on with it: every function of every later
    // module would be optimised at once, whether hot or not.
    for (const flag of ['liftoff', 'wasm-tier-up', 'wasm-dynamic-tiering']) setFlagsFromString(`--${flag}`);
    if (!guestFlags) setFlagsFromString('--wasm-lazy-compilation');
  }
}

/** V8's functions, and what it says of its flags in what it serialises. */
interface Native {
  readonly serialise: Serialise;
  readonly deserialise: Deserialise;
  /** A module compiled whole: serialised, it says what V8's flags are now. */
  readonly probe: WebAssembly.Module;
  /** The word for V8's flags before this program changed any. */
  readonly flagsAtStart: number;
}

/** What begins a serialised module (V8, wasm-serialization.cc): magic, version, processor's features, hash of V8's flags. */
const HEADER = { flags: 12, bytes: 16 } as const;
/** A module with one function, which returns 42. */
const PROBE = Uint8Array.of(
  ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 1, 5, 1, 0x60, 0, 1, 0x7f],
  ...[3, 2, 1, 0, 7, 5, 1, 1, 0x66, 0, 0, 10, 6, 1, 4, 0, 0x41, 42, 0x0b],
);
let native: Native | undefined;

const flagsOf = (serialised: ArrayBuffer): number => new DataView(serialised).getUint32(HEADER.flags, true);
const setFlagsOf = (serialised: ArrayBuffer, word: number): void =>
  new DataView(serialised).setUint32(HEADER.flags, word, true);

/**
 * Finds V8's functions, which can then be called under any flags; making them takes one for a moment. Undefined on a V8 that has not
 * got them, or whose header is not as above.
 */
function findNative(before: Native | undefined): Native | undefined {
  const probe = before?.probe ?? whole(() => new WebAssembly.Module(PROBE));
  setFlagsFromString('--allow-natives-syntax');
  try {
    // WHY: natives syntax exists only in source text; the texts are constant. A V8 without these functions refuses them.
    const serialise = new Function('module', 'return %SerializeWasmModule(module)') as Serialise;
    const deserialise = new Function('native', 'wire', 'return %DeserializeWasmModule(native, wire)') as Deserialise;
    // V8 reads the text of a function when it is called first.
    const meanwhile = serialise(probe);
    deserialise(meanwhile, PROBE);
    setFlagsFromString('--no-allow-natives-syntax');
    const now = serialise(probe);
    const flagsAtStart = before?.flagsAtStart ?? flagsOf(now);
    const isElsewhere = flagsOf(now) === flagsOf(meanwhile);
    setFlagsOf(meanwhile, flagsOf(now));
    if (isElsewhere || !Buffer.from(now).equals(new Uint8Array(meanwhile))) return undefined;
    return { serialise, deserialise, probe, flagsAtStart };
  } catch {
    return undefined;
  } finally {
    setFlagsFromString('--no-allow-natives-syntax');
  }
}

/** What `use` makes with V8's functions; undefined where that does not work. */
function withNative<T>(use: (native: Native) => T): T | undefined {
  native ??= findNative(undefined);
  if (native === undefined) return undefined;
  try {
    return use(native);
  } catch (thrown) {
    // V8 throws compiled functions away that were not called for long, and cannot read these texts again.
    if (!(thrown instanceof SyntaxError)) return undefined;
    native = findNative(native);
    return native && use(native);
  }
}

/** The native module of one that was compiled whole; undefined on a V8 that has no such function. */
export function serialisedOf(module: WebAssembly.Module): ArrayBuffer | undefined {
  return withNative(({ serialise, flagsAtStart }) => {
    const bytes = serialise(module);
    setFlagsOf(bytes, flagsAtStart);
    return bytes;
  });
}

/**
 * The module that {@link serialisedOf} made `native` of, whose WebAssembly is `wire`; undefined where V8 does not take it. V8 wants its
 * flags to be those of now. We change some that do not concern code that is compiled, at moments that have nothing to do with it;
 * so what must be equal are the flags with which the program was started.
 */
export function deserialisedOf(native: ArrayBuffer, wire: Uint8Array): WebAssembly.Module | undefined {
  if (native.byteLength < HEADER.bytes) return undefined;
  return withNative(({ serialise, deserialise, probe, flagsAtStart }) => {
    if (flagsOf(native) !== flagsAtStart) return undefined;
    setFlagsOf(native, flagsOf(serialise(probe)));
    const module = deserialise(native, wire);
    return module instanceof WebAssembly.Module ? module : undefined;
  });
}

/** Changes with every change of the code that generates the interpreter. */
function buildIdentity(): string {
  // Written by cli/bundle-actors.mjs: the content of all these files.
  if (isFresh(IDENTITY_FILE)) return readFileSync(IDENTITY_FILE, 'latin1');
  const hash = process.getBuiltinModule('node:crypto').createHash('sha256');
  for (const entry of readdirSync(CPU_FOLDER, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || !entry.name.endsWith('.js')) continue;
    const path = join(entry.parentPath, entry.name);
    const { size, mtimeMs } = statSync(path);
    hash.update(`${path}:${size}:${mtimeMs};`);
  }
  return hash.digest('hex').slice(0, 16);
}

/** Everything but V8's flags that machine code depends on, fit for a file name; for the flags see {@link deserialisedOf}. */
export function nativeKey(): string {
  const { node, v8 } = process.versions;
  return `${node}-${v8}-${process.arch}-${featureKey()}-${buildIdentity()}`;
}

/** Where the interpreter of this build on this host is kept in `folder`. After {@link findHostFeatures}. */
export function interpreterPath(folder: string): string {
  return join(folder, `interpreter-${nativeKey()}.bin`);
}
