/**
 * Asks the kernel to back guest memory by pages of 2 MiB, as other hosts of virtual machines do. A first touch then costs one
 * page fault where it cost 512, and the processor's own TLB reaches further. Node has no such call, so that it is made by the
 * optional package koffi; without that, or where the kernel has not this choice, memory stays as it is. See docs/adr/0183.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

/** What the kernel does by itself, and whether it may be asked (Linux, Documentation/admin-guide/mm/transhuge.rst). */
const POLICY_FILE = '/sys/kernel/mm/transparent_hugepage/enabled';
/** madvise(2), include/uapi/asm-generic/mman-common.h. */
const MADV_HUGEPAGE = 14;
/** Guests with less memory gain nothing, and dozens of them shall not take more than they touch. */
const BYTES_MIN = 64 << 20;
const PAGE_BYTES = 4096;

type Madvise = (address: Uint8Array, bytes: number, advice: number) => number;
let found: Madvise | undefined;
let isSearched = false;

/** madvise(2) of this process, where it can be had. */
function madvise(): Madvise | undefined {
  if (isSearched) return found;
  isSearched = true;
  if (process.platform !== 'linux' || process.env['WURLEY_HUGE_PAGES'] === 'off') return undefined;
  try {
    if (!readFileSync(POLICY_FILE, 'utf8').includes('[madvise]')) return undefined;
    found = foreignFunctions().load('libc.so.6').func('int madvise(void *address, size_t bytes, int advice)');
  } catch {
    // Neither the package nor the kernel's choice is needed: small pages do the same, slower.
  }
  return found;
}

/** What we use of koffi, which has no types where it is not installed. */
interface ForeignFunctions {
  load(library: string): { func(prototype: string): Madvise };
}

/** Throws where koffi is not installed. Its native part alone, where it lies as it does, is there in a quarter of the time. */
function foreignFunctions(): ForeignFunctions {
  const load = createRequire(import.meta.url);
  const host = `${process.platform}-${process.arch}`;
  try {
    // WHY: a native module has no types.
    return load(`@koromix/koffi-${host}/${host.replace('-', '_')}/koffi.node`) as ForeignFunctions;
  } catch {
    // WHY: an optional package has none where it is not installed.
    return load('koffi') as ForeignFunctions;
  }
}

/** Loads what {@link adviseHugePages} needs, which takes some milliseconds: to be called while there is time. */
export function prepareHugePages(): void {
  madvise();
}

/**
 * Asks for huge pages in `bytes`, which begins and ends at multiples of 4 KiB; says whether the kernel agreed. `bytesMin`: what is
 * smaller stays as it is.
 */
export function adviseHugePages(bytes: Uint8Array, bytesMin = BYTES_MIN): boolean {
  const { byteOffset, byteLength } = bytes;
  if (byteLength < bytesMin || byteOffset % PAGE_BYTES !== 0 || byteLength % PAGE_BYTES !== 0) return false;
  return madvise()?.(bytes, byteLength, MADV_HUGEPAGE) === 0;
}
