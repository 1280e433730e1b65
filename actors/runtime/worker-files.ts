/**
 * Which files workers load: bundles, made by cli/bundle-actors.mjs and loaded in a few milliseconds, or the compiled modules
 * one by one (30 ms more for the host alone, docs/performance.md), which are always there.
 */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { BUNDLE_SUFFIX, loadBundle } from './bundle-file.js';

const HOST_MODULE = new URL('./actor-host.worker.js', import.meta.url);
/**
 * Imports that module. piscina tries `require()` first, which Node 20 takes for ES modules, too, and aborts the process
 * (module_wrap.cc, CreateRequiredModuleFacade) when the thread is ended meanwhile.
 */
const HOST_IMPORTER = new URL('./actor-host-modules.cjs', import.meta.url);
const HOST_BUNDLE = new URL('./actor-host.bundle', import.meta.url);
/** Loads that bundle. */
const HOST_LOADER = new URL('./actor-host.cjs', import.meta.url);
/** piscina's main part; its worker, in one file as well, lies beside it. */
const POOL_BUNDLE = new URL('./piscina/index.bundle', import.meta.url);
/** Written by the compiler with every build. */
const COMPILED = new URL('../../.tsbuildinfo', import.meta.url);

/** piscina, whose workers start a millisecond earlier from a single file. */
export function poolLibrary(): unknown {
  return isFresh(POOL_BUNDLE) ? loadBundle(fileURLToPath(POOL_BUNDLE)) : createRequire(import.meta.url)('piscina');
}

/** The program of actor workers. */
export function hostFile(): URL {
  if (isFresh(HOST_BUNDLE) && isFresh(HOST_LOADER)) return HOST_LOADER;
  return existsSync(HOST_IMPORTER) ? HOST_IMPORTER : HOST_MODULE;
}

/** What the loader of the bundle need not read from its file again in every thread: the bundle. */
export function hostBytes(host: URL): SharedArrayBuffer | undefined {
  if (host !== HOST_LOADER) return undefined;
  const file = readFileSync(HOST_BUNDLE);
  const bytes = new SharedArrayBuffer(file.byteLength);
  new Uint8Array(bytes).set(file);
  return bytes;
}

/** What to load for the actor module `module`. */
export function actorFile(module: URL): URL {
  if (!module.pathname.endsWith('.actor.js')) return module;
  const bundle = new URL(module.href.replace(/\.js$/, BUNDLE_SUFFIX));
  return isFresh(bundle) ? bundle : module;
}

/** What a bundled actor is to import for the module `href`: its bundle, if there is one. */
export function bundleOf(href: string): string {
  const bundle = new URL(href.replace(/\.js$/, BUNDLE_SUFFIX));
  return isFresh(bundle) ? bundle.href : href;
}

/**
 * Whether `file` exists and is no older than the compiled sources. While coverage is measured no bundle is, because only
 * modules can be mapped to the sources.
 */
export function isFresh(file: URL): boolean {
  if (process.env['NODE_V8_COVERAGE'] !== undefined) return false;
  const builtMs = modifiedMs(file);
  return builtMs !== undefined && builtMs >= (modifiedMs(COMPILED) ?? 0);
}

/** When a file was written last, in milliseconds since 1970; undefined when there is none. */
function modifiedMs(file: URL): number | undefined {
  return file.protocol === 'file:' ? statSync(file, { throwIfNoEntry: false })?.mtimeMs : undefined;
}
