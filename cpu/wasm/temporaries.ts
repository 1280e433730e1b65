/**
 * Which temporaries of a function body need no local. Code is written as "operands, operator, set a temporary"; most temporaries
 * are read once, soon, and in the order they were made, so their values can as well stay on the operand stack. The engine's optimiser does not
 * care, but its baseline compiler cannot know that a local is dead: it keeps or spills each of them and carries them to every branch.
 *
 * Every set and read of a temporary is noted. When all of them are free again, those that are not needed are cut out of the code, and the others get
 * locals: no value is worked out earlier or later than it was written.
 */
import type { ByteSink } from './module.js';

const SET = 0;
const GET = 1;
const BARRIER = 2;
/** Bit of a note's first word: to be cut out. The lowest bits say what it is, those above, of a read, the number of the operand. */
const IS_CUT = 1 << 30;
/** Of a set: the operator that made the value goes as well, from the first operand on. */
const IS_DEAD = 1 << 29;
const WHAT_BITS = 2;
const WHAT = (1 << WHAT_BITS) - 1;
const FIRST_OPERAND = GET;

/** Words of a note: see {@link IS_CUT}; of which temporary; where in the code; of a set, where the first operand begins if the operator does nothing else, or -1. */
const WHICH = 1;
const AT = 2;
const FROM = 3;
const NOTE_WORDS = 4;

/** How often a temporary is set and read, in one number. */
const ONE_SET = 1;
const ONE_GET = 1 << 16;

const LOCAL_GET = 0x20;
const LOCAL_SET = 0x21;
const LOCAL_TEE = 0x22;
const DROP = 0x1a;
/** Bytes that a read or a set takes until it is known which local it is of. */
const PLACE_BYTES = 3;
/** Locals have numbers below this: two bytes of LEB128. */
export const LOCALS_MAX = 1 << 14;

/** `list` with twice the room. */
function larger(list: Int32Array): Int32Array<ArrayBuffer> {
  const copy = new Int32Array(list.length * 2);
  copy.set(list);
  return copy;
}

/** See the head of this file. */
export class Temporaries {
  #notes = new Int32Array(64 * NOTE_WORDS);
  #end = 0;
  #count = 0;
  /** How often each temporary is set and read since all were free. */
  #uses = new Int32Array(64);
  /** The local of each where it has one, plus 1. */
  #locals = new Int32Array(64);
  /** Notes of values that lie on the operand stack as far as is known. */
  #stacked = new Int32Array(64);
  #height = 0;
  /** Operands put on the stack for the next operator. */
  #operands = 0;

  /** A new temporary, by its number. */
  add(): number {
    if (this.#count === this.#uses.length) {
      this.#uses = larger(this.#uses);
      this.#locals = larger(this.#locals);
    }
    return this.#count++;
  }

  /** A value that is no temporary's is put on the operand stack. */
  push(): void {
    this.#operands++;
  }

  /** What was put on the operand stack is taken. */
  take(): void {
    this.#operands = 0;
  }

  /**
   * Takes a value off the operand stack into `temporary`. `from`: where the operands of the operator that made it begin in the code, if that does
   * nothing else and need not be done where nobody reads the value; or -1.
   */
  set(temporary: number, code: ByteSink, from: number): void {
    this.#operands = 0;
    this.#note(SET, temporary, code.skip(PLACE_BYTES), from);
    this.#uses[temporary]! += ONE_SET;
  }

  /** Puts the value of `temporary` on the operand stack. */
  get(temporary: number, code: ByteSink): void {
    this.#note(GET | (this.#operands++ << WHAT_BITS), temporary, code.skip(PLACE_BYTES), -1);
    this.#uses[temporary]! += ONE_GET;
  }

  /** Control joins or leaves here: values on the operand stack are not to be used beyond. */
  barrier(): void {
    this.#operands = 0;
    if (this.#end > 0 && this.#notes[this.#end - NOTE_WORDS] !== BARRIER) this.#note(BARRIER, 0, 0, -1);
  }

  #note(what: number, temporary: number, at: number, from: number): void {
    if (this.#end === this.#notes.length) this.#notes = larger(this.#notes);
    const n = this.#end;
    const notes = this.#notes;
    notes[n] = what;
    notes[n + WHICH] = temporary;
    notes[n + AT] = at;
    notes[n + FROM] = from;
    this.#end = n + NOTE_WORDS;
  }

  /** All temporaries are free: cuts what is not needed out of `code`. `takeLocal` answers a local for one that has to have it. */
  settle(code: ByteSink, takeLocal: (temporary: number) => number): void {
    if (this.#end === 0) return;
    this.#findDead();
    this.#choose();
    this.#cut(code, takeLocal);
    this.#uses.fill(0, 0, this.#count);
    this.#locals.fill(0, 0, this.#count);
    this.#end = 0;
  }

  /** Finds values that nobody reads, and then those that only they were made from. */
  #findDead(): void {
    const notes = this.#notes;
    const uses = this.#uses;
    for (let n = this.#end - NOTE_WORDS; n >= 0; n -= NOTE_WORDS) {
      if (notes[n] !== SET || notes[n + FROM]! < 0 || uses[notes[n + WHICH]!]! >= ONE_GET) continue;
      const from = notes[n + FROM]!;
      notes[n] = SET | IS_DEAD;
      for (let m = n - NOTE_WORDS; m >= 0 && (notes[m]! & WHAT) === GET && notes[m + AT]! >= from; m -= NOTE_WORDS) {
        notes[m]! |= IS_CUT;
        uses[notes[m + WHICH]!]! -= ONE_GET;
        notes[n + FROM]! += PLACE_BYTES; // so many bytes fewer are there by then
      }
    }
  }

  /** Finds the temporaries that can stay on the stack: set once, and read once, when they are what lies on top. */
  #choose(): void {
    const notes = this.#notes;
    const uses = this.#uses;
    const end = this.#end;
    this.#height = 0;
    for (let n = 0; n < end; n += NOTE_WORDS) {
      const what = notes[n]!;
      if (what === BARRIER) this.#height = 0;
      else if (what >= IS_DEAD) continue;
      else if (uses[notes[n + WHICH]!] === ONE_SET + ONE_GET) {
        if (what === SET) this.#stack(n);
        else if (what === FIRST_OPERAND) n = this.#chooseOperands(n);
        else this.#unstack(notes[n + WHICH]!);
      }
    }
  }

  #stack(n: number): void {
    if (this.#height === this.#stacked.length) this.#stacked = larger(this.#stacked);
    this.#stacked[this.#height++] = n;
  }

  /** Looks at the temporaries that one operator takes as its first operands, from note `first` on; answers the last of them. */
  #chooseOperands(first: number): number {
    const notes = this.#notes;
    let size = 1;
    // What stands side by side has no operator in between.
    for (let n = first + NOTE_WORDS; n < this.#end; n += NOTE_WORDS, size++) {
      if ((notes[n]! & WHAT) !== GET || notes[n + AT] !== notes[first + AT]! + size * PLACE_BYTES) break;
    }
    let both = Math.min(size, this.#height);
    while (both > 0 && !this.#areOnTop(first, both)) both--;
    this.#height -= both;
    for (let n = 0; n < both; n++) {
      notes[this.#stacked[this.#height + n]!]! |= IS_CUT;
      notes[first + n * NOTE_WORDS]! |= IS_CUT;
    }
    for (let n = both; n < size; n++) this.#unstack(notes[first + n * NOTE_WORDS + WHICH]!);
    return first + (size - 1) * NOTE_WORDS;
  }

  /** Whether the `size` topmost values are those that notes from `first` on read, in their order. */
  #areOnTop(first: number, size: number): boolean {
    const notes = this.#notes;
    const from = this.#height - size;
    for (let n = 0; n < size; n++) {
      if (notes[this.#stacked[from + n]! + WHICH] !== notes[first + n * NOTE_WORDS + WHICH]) return false;
    }
    return true;
  }

  /** The value of `temporary` is wanted where it does not lie on top: it goes by a local. */
  #unstack(temporary: number): void {
    const stacked = this.#stacked;
    for (let n = this.#height - 1; n >= 0; n--) {
      if (this.#notes[stacked[n]! + WHICH] !== temporary) continue;
      stacked.copyWithin(n, n + 1, this.#height--);
      return;
    }
  }

  /** Closes the gaps, and gives what stays the locals that `takeLocal` answers. */
  #cut(code: ByteSink, takeLocal: (temporary: number) => number): void {
    const { bytes } = code;
    const notes = this.#notes;
    const end = this.#end;
    let from = notes[AT]!;
    let to = from;
    /** The last set that was left there: of what, where it is, and where it ends. */
    let last = -1;
    let lastAt = 0;
    let lastEnd = 0;
    for (let n = 0; n < end; n += NOTE_WORDS) {
      const what = notes[n]!;
      if (what === BARRIER) continue;
      const at = notes[n + AT]!;
      while (from < at) bytes[to++] = bytes[from++]!;
      from += PLACE_BYTES;
      if (what >= IS_CUT) continue;
      if (what >= IS_DEAD) {
        to -= at - notes[n + FROM]!;
        continue;
      }
      const temporary = notes[n + WHICH]!;
      if (what === SET && this.#uses[temporary]! < ONE_GET) {
        bytes[to++] = DROP;
        continue;
      }
      if (what !== SET && last === temporary && lastEnd === to) {
        bytes[lastAt] = LOCAL_TEE;
        last = -1;
        continue;
      }
      const local = this.#localOf(temporary, takeLocal);
      const start = to;
      bytes[to++] = what === SET ? LOCAL_SET : LOCAL_GET;
      if (local > 0x7f) bytes[to++] = (local & 0x7f) | 0x80;
      bytes[to++] = local > 0x7f ? local >> 7 : local;
      if (what === SET) {
        last = temporary;
        lastAt = start;
        lastEnd = to;
      }
    }
    while (from < code.length) bytes[to++] = bytes[from++]!;
    code.length = to;
  }

  #localOf(temporary: number, takeLocal: (temporary: number) => number): number {
    const known = this.#locals[temporary]!;
    if (known > 0) return known - 1;
    const local = takeLocal(temporary);
    this.#locals[temporary] = local + 1;
    return local;
  }
}
