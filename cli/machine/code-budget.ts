/** The bound on compiled code: what suits a machine, and as text for tests of eviction and for hosts with little memory. */
import { BUDGET_DEFAULT, type CodeBudget } from '../../cpu/jit/region-store.js';

const MIB = 2 ** 20;
const KIB_MAX = 1 << 20;
const MODULES_MAX = 10_000;
/**
 * A guest with much memory runs many programs: what configures a Debian system (dpkg, perl, python, shells) in 1 GiB came to
 * 105,000 regions with 10 MiB of WebAssembly allowed, of which 102,000 were thrown out to be compiled again (ADR 145).
 */
const RAM_SHARE = 1 / 24;
const BYTES_MAX = 64 << 20;
/** Up to so much memory a guest has the least, which keeps its process within what bench cpu.memory allows. */
const SMALL_BYTES = 256 << 20;
/** What such guests' modules are like, on average. */
const MODULE_BYTES = 6 << 10;
/** Of all processors: each module takes two memory mappings of the 65,530 that Linux gives a process. */
const MODULES_IN_ALL = 12_000;

/** `KIB` or `KIB:MODULES` for each virtual processor (WURLEY_JIT_BUDGET); undefined for anything else. */
export function codeBudgetOf(text: string | undefined): CodeBudget | undefined {
  const [, kib = '', modules = '1000'] = /^(\d{1,7})(?::(\d{1,5}))?$/.exec(text ?? '') ?? [];
  if (kib === '' || Number(kib) > KIB_MAX || Number(modules) > MODULES_MAX) return undefined;
  return { bytesMax: Number(kib) * 1024, modulesMax: Math.max(1, Number(modules)) };
}

/** How much compiled code each of `cpus` processors of a machine with `ramBytes` of memory keeps. */
export function suitedBudget({ cpus, ramBytes }: { readonly cpus: number; readonly ramBytes: number }): CodeBudget {
  if (ramBytes <= SMALL_BYTES) return BUDGET_DEFAULT;
  const bytesMax = Math.round(Math.min(BYTES_MAX, ramBytes * RAM_SHARE));
  return { bytesMax, modulesMax: Math.min(Math.round(bytesMax / MODULE_BYTES), Math.floor(MODULES_IN_ALL / cpus)) };
}

/** Records of 6,000 pages of code. */
const ARENA_BYTES = 96 * MIB;
/** What a machine with more memory than this runs has more code: cc1 alone is 30 MiB of it. */
const MUCH_RAM_BYTES = 512 * MIB;
/** Of the 4 GiB that generated code can address; what is left is for everything that is no machine's memory or arena. */
const SHAREABLE_BYTES = 3840 * MIB;

/** Bytes for decoded instructions each of `cpus` processors has: four times the pages of code it works with. */
export function suitedArena({ cpus, ramBytes }: { readonly cpus: number; readonly ramBytes: number }): number {
  if (ramBytes <= MUCH_RAM_BYTES) return ARENA_BYTES;
  const each = Math.floor((SHAREABLE_BYTES - ramBytes) / cpus / MIB) * MIB;
  return Math.max(ARENA_BYTES, Math.min(2 * ARENA_BYTES, each));
}
