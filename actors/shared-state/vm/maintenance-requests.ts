/**
 * Maintenance that the processors of a VM ask of each other and have not done yet: for each processor a list of frames whose code
 * changed, and a list of everything else. A list that is full says so, and stands for everything of its sort: translations are
 * found again soon, but compiled code is dear. So the list of code is long, and joins frames that follow each other.
 *
 * Plain words; whoever reads or writes those of a processor holds that processor's lock (vm-block.ts).
 */
import { HYP_PAGE_BYTES } from '../../../bus/units.js';

/** Kinds of maintenance, as numbers in the list; the names are those of cpu/sysreg/peripherals.ts, `stage2`, and
 * `quiesce`, which only wants to be acknowledged (a thread in the middle of a hypercall does not). */
const REQUESTS = ['tlbi-all', 'tlbi-asid', 'tlbi-va', 'tlbi-va-last', 'code', 'stage2', 'quiesce'] as const;
/** A kind of maintenance. */
export type Request = (typeof REQUESTS)[number];
/** Carries out a request; lo and hi as in RemoteCpus.request. */
export type Act = (kind: Request, lo: number, hi: number) => void;

/** Second argument of `code` that asks for all of it, as in RemoteCpus.request. */
const ALL_CODE = -1;
const OTHERS_MAX = 250;
const OTHER_WORDS = 3;
/** Runs of frames: the first one's host address, and how many follow. */
const CODES_MAX = 1000;
const CODE_WORDS = 2;
/** Words of a processor's area: both counts, what was lost, then the lists. */
const AREA = { others: 0, codes: 1, isTranslationLost: 2, isCodeLost: 3, firstOther: 4, firstCode: 768 } as const;
const AREA_WORDS = 2816;
/** Length of the lists of `cpus` processors. */
export const maintenanceBytes = (cpus: number): number => cpus * AREA_WORDS * 4;

/** See the head of this file. */
export class MaintenanceRequests {
  readonly #words: Int32Array;

  /** The lists at byte `at` of `memory`; all zero is empty. */
  constructor(memory: ArrayBufferLike, at: number, cpus: number) {
    this.#words = new Int32Array(memory, at, cpus * AREA_WORDS);
  }

  /** Asks `cpu`. Returns whether that made one of its lists half full: it should come soon, and is told so once. */
  add(cpu: number, kind: Request, lo: number, hi: number): boolean {
    const area = cpu * AREA_WORDS;
    if (kind === 'code') {
      const codes = this.#at(area + AREA.codes);
      if (hi === ALL_CODE || !this.#addCode(area, lo, hi)) this.#words[area + AREA.isCodeLost] = 1;
      return codes === CODES_MAX / 2 && this.#at(area + AREA.codes) > codes;
    }
    const others = this.#at(area + AREA.others);
    if (others === OTHERS_MAX) this.#words[area + AREA.isTranslationLost] = 1;
    else {
      this.#words.set([REQUESTS.indexOf(kind), lo, hi], area + AREA.firstOther + others * OTHER_WORDS);
      this.#words[area + AREA.others] = others + 1;
    }
    return others === OTHERS_MAX / 2;
  }

  #at(index: number): number {
    return this.#words[index] ?? 0;
  }

  #addCode(area: number, frame: number, behind: number): boolean {
    const codes = this.#at(area + AREA.codes);
    const next = area + AREA.firstCode + codes * CODE_WORDS;
    if (codes > 0) {
      const last = next - CODE_WORDS;
      const distance = ((frame >>> 0) - (this.#at(last) >>> 0)) / HYP_PAGE_BYTES;
      const more = this.#at(last + 1);
      if (distance >= 0 && distance <= more + 1) {
        this.#words[last + 1] = Math.max(more, distance + behind);
        return true;
      }
    }
    if (codes === CODES_MAX) return false;
    this.#words[next] = frame;
    this.#words[next + 1] = behind;
    this.#words[area + AREA.codes] = codes + 1;
    return true;
  }

  /** Has everything that was asked of `cpu` done, and empties its lists. */
  take(cpu: number, act: Act): void {
    const area = cpu * AREA_WORDS;
    for (let n = 0; n < this.#at(area + AREA.others); n++) {
      const at = area + AREA.firstOther + n * OTHER_WORDS;
      const kind = REQUESTS[this.#at(at)];
      if (kind !== undefined) act(kind, this.#at(at + 1), this.#at(at + 2));
    }
    if (this.#at(area + AREA.isTranslationLost) !== 0) act('stage2', 0, 0);
    if (this.#at(area + AREA.isCodeLost) !== 0) act('code', 0, ALL_CODE);
    else {
      for (let n = 0; n < this.#at(area + AREA.codes); n++) {
        const at = area + AREA.firstCode + n * CODE_WORDS;
        act('code', this.#at(at), this.#at(at + 1));
      }
    }
    this.#words.fill(0, area, area + AREA.firstOther);
  }
}
