/**
 * What a vCPU would have liked to have had compiled from the start: pages of guest code with the entry points that were
 * reached often. Kept for the translation cache, which compiles them after the machine has ended, for the next one.
 */
import type { CodePage } from '../code-pages.js';

/** A page's content as it was, with byte offsets of entry points. */
export interface JournalPage {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Reached often. */
  readonly warm: Uint16Array<ArrayBuffer>;
  /** Reached so often that they were compiled. */
  readonly hot: Uint16Array<ArrayBuffer>;
}

/** Pages kept at most; further ones are not noted. A boot of a Debian root and its compiler have some 8,000. */
const PAGES_MAX = 12_288;
const PAGE_BYTES = 4096;

interface Noted {
  readonly warm: Set<number>;
  readonly hot: Set<number>;
}

/** See the head of this file. */
export class CodeJournal {
  readonly #memory: Uint8Array;
  readonly #live = new Map<CodePage, Noted>();
  readonly #done: JournalPage[] = [];

  /** Where what is known of instruction words is to be left besides (MEMO_BYTES of state.ts). */
  readonly words: SharedArrayBuffer | undefined;

  /** `memory`: the whole machine's. */
  constructor(memory: ArrayBufferLike, words?: SharedArrayBuffer) {
    this.#memory = new Uint8Array(memory);
    this.words = words;
  }

  /** Byte `offset` of `page` was reached often. */
  note(page: CodePage, offset: number, heat: keyof Noted): void {
    let noted = this.#live.get(page);
    if (noted === undefined) {
      if (this.#live.size + this.#done.length >= PAGES_MAX) return;
      noted = { warm: new Set(), hot: new Set() };
      this.#live.set(page, noted);
    }
    noted[heat].add(offset);
  }

  /** The page is about to be forgotten, or has just been written: it is kept as it is now. */
  drop(page: CodePage): void {
    const noted = this.#live.get(page);
    if (noted === undefined) return;
    this.#live.delete(page);
    const bytes = this.#memory.slice(page.host, page.host + PAGE_BYTES);
    this.#done.push({ bytes, warm: Uint16Array.from(noted.warm), hot: Uint16Array.from(noted.hot) });
  }

  /** Everything noted; the journal is empty then. */
  take(): JournalPage[] {
    for (const page of [...this.#live.keys()]) this.drop(page);
    return this.#done.splice(0);
  }
}
