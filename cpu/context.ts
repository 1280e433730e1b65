/**
 * Context keys: what, besides its virtual address, decides which code an address leads to. A key tags entries of the page cache and of
 * the jump cache; it is a number below 1,023.
 *
 * EL0 has a key for each address-space slot (mmu/tlb.ts), that is for each ASID. EL1 has one for all of them: what it executes is mapped
 * global (nG = 0) by nearly every system, and such a translation is every ASID's. Once EL1 is about to execute what is not, it has a key for each
 * slot as well, until all translations are dropped. What belonged to a slot is forgotten by giving it new keys: nothing has to be
 * emptied, and entries with keys that nobody has any more are never found.
 *
 * Everything else that could matter is handled otherwise: a change of SCTLR, TCR or MAIR drops every translation, traps
 * of SIMD&FP instructions are tested when a region is entered (STATE.fpTrap), and PAN, UAO and LDTR choose TLB banks.
 */
import { SLOTS } from './mmu/tlb.js';

/** EL1's key in all address spaces. */
export const SHARED_CONTEXT = 1;
const FIRST = 2;
/** All ones in the ten bits of a page cache's tag is no key: entries that are empty have it. */
const LAST = 1022;
const NONE = 0;

/** The keys of one vCPU. */
export class Contexts {
  readonly #users = new Int32Array(SLOTS).fill(NONE);
  /** EL1's, where it has several. */
  readonly #kernels = new Int32Array(SLOTS).fill(NONE);
  #next = FIRST;
  #isApart = false;
  readonly #onRestart: () => void;

  /** @param onRestart keys begin anew: every entry with one must go */
  constructor(onRestart: () => void) {
    this.#onRestart = onRestart;
  }

  /** Whether EL1 has a key for each slot. */
  get isApart(): boolean {
    return this.#isApart;
  }

  /** EL1 has keys of its own for each slot from now on. */
  setApart(): void {
    this.#isApart = true;
  }

  /** EL1 has one key again. Only when nothing with a key is left. */
  setShared(): void {
    this.#isApart = false;
  }

  /** The keys of `slot`, by exception level. They stay until it is renewed, or keys begin anew. */
  keysOf(slot: number): readonly [el0: number, el1: number] {
    const isComplete = this.#users[slot] !== NONE && (!this.#isApart || this.#kernels[slot] !== NONE);
    if (!isComplete && this.#next + 1 > LAST) this.#restart();
    return [this.#keyIn(this.#users, slot), this.#isApart ? this.#keyIn(this.#kernels, slot) : SHARED_CONTEXT];
  }

  #keyIn(keys: Int32Array, slot: number): number {
    if (keys[slot] === NONE) keys[slot] = this.#next++;
    return keys[slot]!;
  }

  #restart(): void {
    this.#users.fill(NONE);
    this.#kernels.fill(NONE);
    this.#next = FIRST;
    this.#onRestart();
  }

  /** Nothing that was entered with the keys of `slot` is found any more. */
  renew(slot: number): void {
    this.#users[slot] = NONE;
    this.#kernels[slot] = NONE;
  }

  /** Whose key it is: 0 for {@link SHARED_CONTEXT}, n + 1 for slot n, or -1 when nobody has it. */
  placeOf(key: number): number {
    if (key === SHARED_CONTEXT) return 0;
    if (key === NONE) return -1;
    const user = this.#users.indexOf(key);
    return (user >= 0 ? user : this.#kernels.indexOf(key)) + 1 || -1;
  }

  /** The keys at a place that {@link placeOf} tells. */
  *keysAt(place: number): Generator<number> {
    if (place === 0) yield SHARED_CONTEXT;
    else for (const key of [this.#users[place - 1]!, this.#kernels[place - 1]!]) if (key !== NONE) yield key;
  }
}

/** Places of {@link Contexts.placeOf}. */
export const CONTEXT_PLACES = SLOTS + 1;
