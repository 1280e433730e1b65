/**
 * A VM's stage-2 map in shared memory: guest physical page -> frame and rights, as two levels of 4 KiB tables like the
 * hardware's. The hypervisor core is the only writer; vCPUs and device windows read it without a lock, because an entry
 * is one word. A right that is withdrawn is gone for readers of the map at once; what software TLBs hold is the core's
 * business (it waits for every vCPU's acknowledgement).
 *
 * Root: {@link ROOT_ENTRIES} words, each the byte address of a leaf table or 0. Leaf: 1,024 words, each covering 4 KiB.
 * Leaf entry: frame number in bits 31..12, rights in bits 2..0, 0 when nothing is mapped.
 */
import { assert } from '../../../bus/assert.js';
import { HYP_PAGE_BYTES } from '../../../bus/units.js';

/** Rights of a stage-2 mapping. */
export const STAGE2_RIGHTS = { read: 1, write: 2, execute: 4, all: 7 } as const;

const LEAF_ENTRIES = 1024;
/** Root entries: each covers 4 MiB, so a VM's intermediate physical addresses end at 16 GiB. */
const ROOT_ENTRIES = 4096;
/** Bytes of a root table (four frames). */
export const STAGE2_ROOT_BYTES = ROOT_ENTRIES * 4;
/** First guest physical page beyond the map. */
export const STAGE2_PAGES_MAX = ROOT_ENTRIES * LEAF_ENTRIES;

/** Reads a VM's stage-2 map. */
export class Stage2Reader {
  protected readonly words: Int32Array;
  protected readonly root: number;

  /** A view of the map whose root table is at byte `root` of `memory`. */
  constructor(memory: ArrayBufferLike, root: number) {
    assert(root % HYP_PAGE_BYTES === 0, 'a root table is page-aligned');
    this.words = new Int32Array(memory);
    this.root = root >>> 2;
  }

  /** The leaf entry of guest physical page `page`, or 0. */
  entry(page: number): number {
    if (page >= STAGE2_PAGES_MAX) return 0;
    const leaf = this.words[this.root + (page >>> 10)] ?? 0;
    return leaf === 0 ? 0 : (this.words[(leaf >>> 2) + (page & (LEAF_ENTRIES - 1))] ?? 0);
  }

  /** Byte address of the frame behind `page` if all of `rights` are held, else -1. */
  frame(page: number, rights: number): number {
    const entry = this.entry(page);
    return entry !== 0 && (entry & rights) === rights ? (entry & ~0xfff) >>> 0 : -1;
  }

  /** As {@link frame}, ordered after what this thread stored before by Atomics: for windows of devices. */
  frameNow(page: number, rights: number): number {
    const leaf = Atomics.load(this.words, this.root + (page >>> 10));
    const entry = leaf === 0 ? 0 : Atomics.load(this.words, (leaf >>> 2) + (page & (LEAF_ENTRIES - 1)));
    return entry !== 0 && (entry & rights) === rights ? (entry & ~0xfff) >>> 0 : -1;
  }
}

/** Writes a VM's stage-2 map; only the hypervisor core has one. */
export class Stage2Map extends Stage2Reader {
  readonly #allocate: () => number | undefined;
  readonly #tables: number[] = [];

  /** `allocate` yields the byte address of a zeroed frame for a leaf table, or undefined when memory is exhausted. */
  constructor(memory: ArrayBufferLike, root: number, allocate: () => number | undefined) {
    super(memory, root);
    this.#allocate = allocate;
  }

  /** Frames that hold leaf tables, to be freed with the VM. */
  get tables(): readonly number[] {
    return this.#tables;
  }

  /** Maps page `page` to the frame at byte `frame`; returns false when no table could be allocated. */
  map(page: number, frame: number, rights: number): boolean {
    return this.mapRange(page, 1, frame, rights) === 1;
  }

  /**
   * Maps `pages` pages from `page` on to the frames from byte `frame` on, a leaf table at a time; returns how many are mapped: fewer
   * than `pages` when no table could be allocated.
   */
  mapRange(page: number, pages: number, frame: number, rights: number): number {
    assert(page >= 0 && page + pages <= STAGE2_PAGES_MAX, 'the pages are inside the map');
    assert(frame % HYP_PAGE_BYTES === 0 && (rights & ~STAGE2_RIGHTS.all) === 0, 'frame and rights are well-formed');
    const { words } = this;
    const kept = rights === 0 ? 0 : -1;
    let to = frame;
    for (let from = page, end = 0; from < page + pages; from = end) {
      end = Math.min(page + pages, (from | (LEAF_ENTRIES - 1)) + 1);
      const root = this.root + (from >>> 10);
      const known = words[root] ?? 0;
      const table = known === 0 ? this.#allocate() : known;
      if (table === undefined) return from - page;
      let at = (table >>> 2) + (from & (LEAF_ENTRIES - 1));
      if (known !== 0) {
        for (let n = end - from; n > 0; n--, at++, to += HYP_PAGE_BYTES) Atomics.store(words, at, (to | rights) & kept);
        continue;
      }
      // Nobody reads it yet: half a gigabyte has 131,072 entries, and the thread that maps them has just started.
      for (let n = end - from; n > 0; n--, at++, to += HYP_PAGE_BYTES) words[at] = (to | rights) & kept;
      this.#tables.push(table);
      Atomics.store(words, root, table | 0);
    }
    return pages;
  }

  /** Removes the mapping of `page`. */
  unmap(page: number): void {
    const leaf = this.words[this.root + (page >>> 10)] ?? 0;
    if (leaf !== 0) Atomics.store(this.words, (leaf >>> 2) + (page & (LEAF_ENTRIES - 1)), 0);
  }
}
