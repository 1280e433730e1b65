/**
 * Loads a bundle: a module with all it imports in one file, and the code V8 made of it (cli/bundle-actors.mjs writes them).
 * A thread that starts reads one file and compiles next to nothing. V8 itself refuses code of another version of it, or
 * for other flags, and then compiles the source.
 */
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Script } from 'node:vm';
import { threadId } from 'node:worker_threads';

/**
 * Ends the name of a bundle. The file: length of the source (32 bit, little-endian), the source (ASCII), up to a multiple of 8 bytes,
 * V8's code, which V8 would copy from any other place.
 */
export const BUNDLE_SUFFIX = '.bundle';
const LENGTH_BYTES = 4;
/** Where V8's code says what V8's flags were (V8, code-serializer.h, SerializedCodeData). */
const CODE_FLAGS_AT = 12;

/**
 * What the module in the bundle at `path` (whose bytes somebody may have read before) exports. `shared` are modules that it leaves to
 * another bundle, of the same build. Throws what the module throws.
 */
export function loadBundle(path: string, bytes?: SharedArrayBuffer, shared?: unknown): { readonly default?: unknown } {
  const script = compileBundle(path, bytes === undefined ? readFileSync(path) : Buffer.from(bytes));
  if (bytes === undefined) kept?.set(path, script);
  return runBundle(path, script, shared);
}

/** Set while a build has its bundles used: each thread then keeps the scripts that it loads. */
const KEEP_CODE = 'WURLEY_KEEP_CODE';
const kept = process.env[KEEP_CODE] === undefined ? undefined : new Map<string, Script>();

/**
 * Puts the code of what this thread has run of its bundles into them, where that is more than they have; nothing unless a build asks
 * for it (cli/bundle-actors.mjs).
 */
export function keepCode(): void {
  for (const [path, script] of kept ?? []) {
    const file = readFileSync(path);
    const code = script.createCachedData();
    const codeAt = aligned(LENGTH_BYTES + file.readUInt32LE(0));
    const before = file.subarray(codeAt);
    if (code.byteLength <= before.byteLength) continue;
    // A machine changes flags that JavaScript's code does not depend on.
    before.copy(code, CODE_FLAGS_AT, CODE_FLAGS_AT, CODE_FLAGS_AT + 4);
    const draft = `${path}.${process.pid}-${threadId}`;
    writeFileSync(draft, Buffer.concat([file.subarray(0, codeAt), code]));
    renameSync(draft, path);
  }
}

/** The script in the bytes of a bundle. */
export function compileBundle(path: string, file: Buffer): Script {
  const sourceEnd = LENGTH_BYTES + file.readUInt32LE(0);
  const codeAt = aligned(sourceEnd);
  return new Script(file.toString('latin1', LENGTH_BYTES, sourceEnd), {
    filename: path,
    ...(codeAt < file.byteLength ? { cachedData: file.subarray(codeAt) } : {}),
  });
}

/**
 * What the module or bundle at `url` exports, for code that may itself be either. Never by `require()`, in which Node 20 aborts the
 * process when the thread is ended meanwhile.
 */
export async function importModule(url: string): Promise<{ readonly default?: unknown }> {
  return url.endsWith(BUNDLE_SUFFIX) ? loadBundle(fileURLToPath(url)) : await import(url);
}

/** Runs it: what the module exports. */
export function runBundle(path: string, script: Script, shared?: unknown): { readonly default?: unknown } {
  // A script has no `import()` of its own without a warning to users, so it is lent ours.
  const module = { exports: {} };
  script.runInThisContext()(module, module.exports, requirer(path), path, importModule, shared);
  return module.exports;
}

/**
 * A `require` for the bundle at `path`, which asks it for Node's own modules and installed packages only: where there is one already, as
 * in a thread that runs from bundles, that. Making one loads half of the machinery of ES modules, 0.4 ms of a thread's start.
 */
function requirer(path: string): NodeJS.Require {
  return typeof require === 'function' ? require : process.getBuiltinModule('node:module').createRequire(path);
}

/** The bytes of a bundle: CommonJS source, and V8's code of it, which may be empty. */
export function bundleBytes(source: string, code: Uint8Array): Buffer {
  const text = Buffer.from(wrapped(source), 'latin1');
  const length = Buffer.alloc(LENGTH_BYTES);
  length.writeUInt32LE(text.byteLength, 0);
  const end = LENGTH_BYTES + text.byteLength;
  return Buffer.concat([length, text, Buffer.alloc(aligned(end) - end), code]);
}

const aligned = (at: number): number => Math.ceil(at / 8) * 8;

/**
 * `__filename` is where the bundle lies; `__importModule` stands for `import()`, and `__shared` for modules of another bundle, under names
 * that no module uses.
 */
function wrapped(source: string): string {
  return `(function (module, exports, require, __filename, __importModule, __shared) {${source}\n})`;
}
