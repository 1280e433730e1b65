/**
 * Which frames are registers of virtio-mmio devices, for the threads whose guests store to them. The core writes the list, which
 * lies behind the run tokens of its object table; a reader takes an entry for good only while its object is in the life it was
 * made in.
 */
import { RUN_TOKENS_BYTES, runTokensAt } from '../scheduler/run-tokens.js';
import type { ObjectTable } from './object-table.js';

/** Devices of one core at most. */
export const VIRTIO_DEVICES_MAX = 256;
const WORD = { end: 0, entries: 4 } as const;
const ENTRY = { page: 0, object: 1, generation: 2 } as const;
const ENTRY_WORDS = 4;
/** Bytes of the list. */
export const VIRTIO_PAGES_BYTES = (WORD.entries + VIRTIO_DEVICES_MAX * ENTRY_WORDS) * 4;

/** One thread's view. */
export class VirtioPages {
  readonly #words: Int32Array;
  readonly #objects: ObjectTable;

  /** The list of the core whose object table is `objects`. */
  constructor(memory: ArrayBufferLike, objects: ObjectTable) {
    this.#words = new Int32Array(memory, runTokensAt(objects.at) + RUN_TOKENS_BYTES, VIRTIO_PAGES_BYTES / 4);
    this.#objects = objects;
  }

  #at(entry: number, word: number): number {
    return WORD.entries + entry * ENTRY_WORDS + word;
  }
  #get(entry: number, word: number): number {
    return Atomics.load(this.#words, this.#at(entry, word));
  }
  /** Entries from here on were never used. */
  get #end(): number {
    return Atomics.load(this.#words, WORD.end);
  }

  /** The active device whose registers are the frame at byte `page`; 0: none. */
  deviceAt(page: number): number {
    const end = this.#end;
    for (let entry = 0; entry < end; entry++) {
      if (this.#get(entry, ENTRY.page) >>> 0 !== page) continue;
      const object = this.#get(entry, ENTRY.object);
      const isAlive = this.#objects.generation(object) === this.#get(entry, ENTRY.generation);
      if (isAlive && this.#objects.state(object) === 'active') return object;
    }
    return 0;
  }

  // ---- the core ----

  /** Makes the frame at byte `page` the registers of `object`; `taken`: it is another's. */
  add(page: number, object: number): 'added' | 'taken' | 'full' {
    const [words, end] = [this.#words, this.#end];
    let free = end;
    for (let entry = end - 1; entry >= 0; entry--) {
      const known = this.#get(entry, ENTRY.page) >>> 0;
      if (known === page) return 'taken';
      if (known === 0) free = entry;
    }
    if (free === VIRTIO_DEVICES_MAX) return 'full';
    Atomics.store(words, this.#at(free, ENTRY.object), object);
    Atomics.store(words, this.#at(free, ENTRY.generation), this.#objects.generation(object));
    Atomics.store(words, this.#at(free, ENTRY.page), page);
    if (free === end) Atomics.store(words, WORD.end, end + 1);
    return 'added';
  }
  /** The registers of `object` are memory like any other from here on. */
  remove(object: number): void {
    for (let entry = 0; entry < this.#end; entry++) {
      if (this.#get(entry, ENTRY.object) !== object) continue;
      Atomics.store(this.#words, this.#at(entry, ENTRY.page), 0);
      Atomics.store(this.#words, this.#at(entry, ENTRY.object), 0);
    }
  }
}
