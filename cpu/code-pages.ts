/**
 * Pre-decoded pages of one vCPU: which physical page's code has records, where they are, and which virtual pages lead
 * to them (the page cache that generated code reads). Pages are known by physical address, so a write to code is found
 * whatever virtual address it used.
 */
import { assert } from '../bus/assert.js';
import { HANDLER, RECORD, RECORD_BYTES, RECORD_PAGE_BYTES } from './interpreter/record.js';
import { JUMP_CACHE, PAGE_CACHE } from './state.js';

/** One page of guest code with records. */
export interface CodePage {
  /** Address of its first record. */
  readonly records: number;
  /** Host address of the guest page. */
  readonly host: number;
}

/** The records of one vCPU, in a fixed arena. When it is full, everything is dropped and starts anew. */
export class CodePages {
  readonly #memory: Uint8Array;
  readonly #view: DataView;
  readonly #state: number;
  readonly #arena: number;
  readonly #capacity: number;
  readonly #byHost = new Map<number, CodePage>();
  readonly #bySlot: CodePage[] = [];
  readonly #onDrop: (page: CodePage) => void;

  /**
   * @param state address of the vCPU's state block (the page cache lies behind it)
   * @param arena address of the record arena, `arenaBytes` long
   * @param onDrop called for every page whose records are dropped
   */
  constructor(
    memory: ArrayBufferLike,
    state: number,
    arena: number,
    arenaBytes: number,
    onDrop: (page: CodePage) => void,
  ) {
    this.#memory = new Uint8Array(memory);
    this.#view = new DataView(memory);
    this.#state = state;
    this.#arena = arena;
    this.#capacity = Math.floor(arenaBytes / RECORD_PAGE_BYTES);
    this.#onDrop = onDrop;
    assert(this.#capacity > 0, 'the record arena holds at least one page');
    this.flushPageCache();
  }

  /** The records of the guest page at host address `host`, made if there are none. */
  pageAt(host: number): CodePage {
    const known = this.#byHost.get(host);
    if (known !== undefined) return known;
    if (this.#bySlot.length === this.#capacity) this.dropAll();
    const records = this.#arena + this.#bySlot.length * RECORD_PAGE_BYTES;
    this.#memory.fill(0, records, records + RECORD_PAGE_BYTES);
    this.#view.setUint16(records + 1024 * RECORD_BYTES + RECORD.handler, HANDLER.endOfPage, true);
    const page = { records, host };
    this.#bySlot.push(page);
    this.#byHost.set(host, page);
    return page;
  }

  /** The page that record address `record` belongs to. */
  pageOf(record: number): CodePage {
    const page = this.#bySlot[Math.floor((record - this.#arena) / RECORD_PAGE_BYTES)];
    assert(page !== undefined, 'the record belongs to a live page');
    return page;
  }

  /** The page at host address `host` if it has records. */
  find(host: number): CodePage | undefined {
    return this.#byHost.get(host);
  }

  /** Forgets what was decoded on the guest page at `host`: its code changed. Returns whether there was anything. */
  invalidate(host: number): boolean {
    const page = this.#byHost.get(host);
    if (page === undefined) return false;
    this.#memory.fill(0, page.records, page.records + 1024 * RECORD_BYTES);
    this.#onDrop(page);
    this.flushJumpCache();
    return true;
  }

  /** Drops all records. */
  dropAll(): void {
    for (const page of this.#bySlot) this.#onDrop(page);
    this.#bySlot.length = 0;
    this.#byHost.clear();
    this.flushPageCache();
  }

  /** Makes generated code find `page`'s records under virtual page hi:lo (lo's low 12 bits are ignored) in `context`. */
  bind(lo: number, hi: number, context: number, page: CodePage): void {
    const index = (lo >>> 12) & ((1 << PAGE_CACHE.entriesLog2) - 1);
    const at = this.#state + PAGE_CACHE.at + (index << PAGE_CACHE.entryBytesLog2);
    this.#view.setUint32(at + PAGE_CACHE.tag, ((lo & 0xfffff000) | (context << 2)) >>> 0, true);
    this.#view.setUint32(at + PAGE_CACHE.tag + 4, hi >>> 0, true);
    this.#view.setUint32(at + PAGE_CACHE.record, page.records, true);
  }

  /** Forgets which virtual pages lead where: needed when translations change. Records stay. */
  flushPageCache(): void {
    const start = this.#state + PAGE_CACHE.at;
    // All ones is no page's tag: the context field never has all bits set.
    this.#memory.fill(0xff, start, start + (1 << (PAGE_CACHE.entriesLog2 + PAGE_CACHE.entryBytesLog2)));
    this.flushJumpCache();
  }

  /** Forgets which addresses start regions. */
  flushJumpCache(): void {
    const start = this.#state + JUMP_CACHE.at;
    this.#memory.fill(0xff, start, start + (1 << (JUMP_CACHE.entriesLog2 + JUMP_CACHE.entryBytesLog2)));
  }
}
