/**
 * Value numbering for one function body: every value on the abstract operand stack or in a local is a number; the same
 * number means the same run-time value. Only what address arithmetic is made of has structure, all else is opaque.
 *
 * The rules of construction below are the arithmetic half of the proof. Notation: va is any 64-bit value, low(v) its
 * low 32 bits; all i32 and i64 arithmetic wraps.
 */
import { TLB } from '../../state.js';

/** What a value is known to be; `a` and `b` are its parts. */
export const KIND = {
  opaque: 0,
  /** The state block's address: parameter 0. */
  state: 1,
  /** i32 constant a. */
  constant: 2,
  /** i64: value a plus b (int32). A constant is the base {@link ZERO} plus b. */
  sum: 3,
  /** i64: va a shifted right by b, logically. */
  shifted: 4,
  /** i32: low(a). */
  low: 5,
  /** i32 whose low 32 - b bits are bits b..31 of va a. (Never compared for equality: two such values may differ above.) */
  lowShifted: 6,
  /** i32: TLB index of va a. */
  index: 7,
  /** i32: byte offset in a TLB bank of the entry for va a. */
  entryOffset: 8,
  /** i32: a TLB bank's address. */
  tlb: 9,
  /** i32: address of the entry for va a in the TLB bank whose address is value b. */
  entry: 10,
  /** i64: tag of entry a; b: 2 * epoch + (1 for the write tag). */
  tag: 11,
  /** i32: addend of entry a, loaded in epoch b. */
  addend: 12,
  /** i64: va a with bits 11..log2(b) cleared (b bytes from a on lie in one page if the bits below are clear too). */
  page: 13,
  /** i32: low(va a) + b, an addend or a local value. */
  host: 14,
  /** i64: va a minus page value b. */
  pageOffset: 15,
  /** What local a held at time b (scan-function.ts), and where it was read: nothing else is known. Each is another value. */
  local: 24,
  /** i64: va a minus local value b. */
  localOffset: 25,
  /** i32: not zero exactly if addend a differs from value b. Proves nothing by itself: see scan-function.ts, adoption. */
  differs: 26,
  // Conditions (i32), each followed by its negation.
  /** Non-zero exactly if page value a equals tag b. */
  hit: 16,
  miss: 17,
  /** Non-zero exactly if page offset a is below b, unsigned. */
  within: 18,
  outside: 19,
  /** Non-zero exactly if page values a and b are equal. */
  samePage: 20,
  otherPage: 21,
  /** Non-zero exactly if local offset a is below local value b, unsigned. */
  near: 22,
  far: 23,
} as const;
const FIRST_CONDITION = KIND.hit;
const LAST_CONDITION = KIND.far;

/** Whether a value of `kind` is a condition that proves something where it holds. */
export const provesIfTrue = (kind: number): boolean =>
  kind >= FIRST_CONDITION && kind <= LAST_CONDITION && (kind & 1) === 0;
/** Whether a value of `kind` is a condition that proves something where it fails. */
export const provesIfFalse = (kind: number): boolean =>
  kind >= FIRST_CONDITION && kind <= LAST_CONDITION && (kind & 1) === 1;

/** The base of constants. */
export const ZERO = 0;
/** The state block's address. */
export const STATE_BASE = 1;

const PAGE_LOG2 = 12;
/** Bytes of a TLB entry's page. */
export const PAGE_BYTES = 1 << PAGE_LOG2;
/** Bytes that `x - page < room` vouches for (remembered.ts). */
export const REMEMBERED_BYTES = 32;
const INDEX_MASK = (1 << TLB.entriesLog2) - 1;
/** Shift and mask that give the entry's offset without the shift left. */
const DIRECT_SHIFT = PAGE_LOG2 - TLB.entryBytesLog2;
const DIRECT_MASK = INDEX_MASK << TLB.entryBytesLog2;
/** Largest alignment a page comparison may include. Below 4096, so that no such value is the all-ones tag of an empty entry. */
const ALIGNED_MAX = 2048;

/** See the head of this file. */
export class Values {
  kind = new Uint8Array(0);
  a = new Int32Array(0);
  b = new Int32Array(0);
  count = 0;
  /** Hash table of values with structure. Slot s is in use exactly if it holds an id below `count` whose #slotOf is s, so it needs no clearing. */
  #slots = new Int32Array(0);
  #slotOf = new Int32Array(0);
  #slotMask = 0;

  /** Forgets everything and makes room for `most` values. */
  reset(most: number): void {
    if (this.kind.length < most) {
      let size = 4096;
      while (size < most) size *= 2;
      this.kind = new Uint8Array(size);
      this.a = new Int32Array(size);
      this.b = new Int32Array(size);
      this.#slotOf = new Int32Array(size);
      this.#slots = new Int32Array(size);
      this.#slotMask = size - 1;
    }
    this.#slotOf[ZERO] = this.#slotOf[STATE_BASE] = -1;
    this.kind[ZERO] = KIND.opaque;
    this.kind[STATE_BASE] = KIND.state;
    this.count = 2;
  }

  /** A value nothing is known of. */
  opaque(): number {
    const id = this.count++;
    this.kind[id] = KIND.opaque;
    this.#slotOf[id] = -1;
    return id;
  }

  /** What local `index` holds at `time`. */
  local(index: number, time: number): number {
    const id = this.opaque();
    this.kind[id] = KIND.local;
    this.a[id] = index;
    this.b[id] = time;
    return id;
  }

  /** The address of a TLB bank; which one is not known, so each call answers another value. */
  tlb(): number {
    const id = this.count++;
    this.kind[id] = KIND.tlb;
    this.#slotOf[id] = -1;
    return id;
  }

  /** The value of kind `kind` with parts `a` and `b`. */
  make(kind: number, a: number, b: number): number {
    let slot = (Math.imul(a, 0x9e3779b1) ^ Math.imul(b, 0x85ebca6b) ^ Math.imul(kind, 0xc2b2ae35)) >>> 0;
    slot = (slot ^ (slot >>> 15)) & this.#slotMask;
    for (;;) {
      const id = this.#slots[slot]!;
      if (id >= this.count || this.#slotOf[id] !== slot) break;
      if (this.kind[id] === kind && this.a[id] === a && this.b[id] === b) return id;
      slot = (slot + 1) & this.#slotMask;
    }
    const id = this.count++;
    this.#slots[slot] = id;
    this.#slotOf[id] = slot;
    this.kind[id] = kind;
    this.a[id] = a;
    this.b[id] = b;
    return id;
  }

  /** i64 constant high:low; opaque unless it fits 32 bits, signed. */
  constant64(low: number, high: number): number {
    return high === low >> 31 ? this.make(KIND.sum, ZERO, low) : this.opaque();
  }

  /** A 64-bit value is base + displacement. */
  base(id: number): number {
    return this.kind[id] === KIND.sum ? this.a[id]! : id;
  }
  /** See {@link base}. */
  displacement(id: number): number {
    return this.kind[id] === KIND.sum ? this.b[id]! : 0;
  }

  /** Value of the i64 constant `id` if it is known and not negative, else -1. */
  constantOf(id: number): number {
    return this.#isConstant64(id) ? Math.max(this.b[id]!, -1) : -1;
  }

  #isConstant64(id: number): boolean {
    return this.kind[id] === KIND.sum && this.a[id] === ZERO;
  }

  /** i64 `id` + `by`. */
  plus(id: number, by: number): number {
    if (by === 0) return id;
    const sum = this.displacement(id) + by;
    if (sum !== (sum | 0)) return this.opaque();
    const base = this.base(id);
    return sum === 0 && base !== ZERO ? base : this.make(KIND.sum, base, sum);
  }

  add64(x: number, y: number): number {
    if (this.#isConstant64(y)) return this.plus(x, this.b[y]!);
    if (this.#isConstant64(x)) return this.plus(y, this.b[x]!);
    return this.opaque();
  }

  sub64(x: number, y: number): number {
    if (this.#isConstant64(y)) return this.plus(x, -this.b[y]!);
    if (this.kind[y] === KIND.local) return this.make(KIND.localOffset, x, y);
    return this.kind[y] === KIND.page ? this.make(KIND.pageOffset, x, y) : this.opaque();
  }

  shrU64(x: number, y: number): number {
    if (!this.#isConstant64(y)) return this.opaque();
    const by = this.b[y]!;
    return by === PAGE_LOG2 || by === DIRECT_SHIFT ? this.make(KIND.shifted, x, by) : this.opaque();
  }

  and64(x: number, y: number): number {
    return this.#masked(x, y) ?? this.#masked(y, x) ?? this.opaque();
  }
  #masked(x: number, y: number): number | undefined {
    if (!this.#isConstant64(y)) return undefined;
    const mask = this.b[y]!; // sign-extended to 64 bits
    const aligned = (mask & (PAGE_BYTES - 1)) + 1;
    const keepsPage = mask >> PAGE_LOG2 === -1;
    if (!keepsPage || aligned > ALIGNED_MAX || (aligned & (aligned - 1)) !== 0) return undefined;
    return this.make(KIND.page, x, aligned);
  }

  wrap(x: number): number {
    return this.kind[x] === KIND.shifted
      ? this.make(KIND.lowShifted, this.a[x]!, this.b[x]!)
      : this.make(KIND.low, x, 0);
  }

  shrU32(x: number, y: number): number {
    if (this.kind[x] !== KIND.low || this.kind[y] !== KIND.constant) return this.opaque();
    const by = this.a[y]!;
    return by === PAGE_LOG2 || by === DIRECT_SHIFT ? this.make(KIND.lowShifted, this.a[x]!, by) : this.opaque();
  }

  and32(x: number, y: number): number {
    if (this.kind[x] === KIND.lowShifted) return this.#entryBits(x, y);
    return this.kind[y] === KIND.lowShifted ? this.#entryBits(y, x) : this.opaque();
  }
  #entryBits(x: number, y: number): number {
    if (this.kind[y] !== KIND.constant) return this.opaque();
    const mask = this.a[y]!;
    if (this.b[x] === PAGE_LOG2 && mask === INDEX_MASK) return this.make(KIND.index, this.a[x]!, 0);
    if (this.b[x] === DIRECT_SHIFT && mask === DIRECT_MASK) return this.make(KIND.entryOffset, this.a[x]!, 0);
    return this.opaque();
  }

  shl32(x: number, y: number): number {
    const isOffset = this.kind[x] === KIND.index && this.kind[y] === KIND.constant && this.a[y] === TLB.entryBytesLog2;
    return isOffset ? this.make(KIND.entryOffset, this.a[x]!, 0) : this.opaque();
  }

  add32(x: number, y: number): number {
    return this.#sum32(x, y) ?? this.#sum32(y, x) ?? this.opaque();
  }
  #sum32(x: number, y: number): number | undefined {
    switch (this.kind[x]) {
      case KIND.tlb:
        return this.kind[y] === KIND.entryOffset ? this.make(KIND.entry, this.a[y]!, x) : undefined;
      case KIND.addend:
        // low(va) + addend. A constant c is low(0 + c).
        if (this.kind[y] === KIND.low) return this.make(KIND.host, this.a[y]!, x);
        if (this.kind[y] === KIND.constant)
          return this.make(KIND.host, this.constant64(this.a[y]!, this.a[y]! >> 31), x);
        return undefined;
      case KIND.local: // may be the addend of a remembered page
        return this.kind[y] === KIND.low ? this.make(KIND.host, this.a[y]!, x) : undefined;
      case KIND.low: // low(va) + c = low(va + c)
        return this.kind[y] === KIND.constant ? this.make(KIND.low, this.plus(this.a[x]!, this.a[y]!), 0) : undefined;
      case KIND.host: // low(va) + addend + c = low(va + c) + addend
        if (this.kind[y] !== KIND.constant) return undefined;
        return this.make(KIND.host, this.plus(this.a[x]!, this.a[y]!), this.b[x]!);
      default:
        return undefined;
    }
  }

  /** i64 equality, or inequality if `negated` is 1. */
  equal64(negated: 0 | 1, x: number, y: number): number {
    if (this.kind[y] === KIND.tag) return this.#compareTag(negated, x, y);
    if (this.kind[x] === KIND.tag) return this.#compareTag(negated, y, x);
    const arePages = this.kind[x] === KIND.page && this.kind[y] === KIND.page;
    return arePages ? this.make(KIND.samePage + negated, x, y) : this.opaque();
  }
  #compareTag(negated: 0 | 1, x: number, tag: number): number {
    if (this.kind[x] === KIND.page) return this.make(KIND.hit + negated, x, tag);
    // A constant page address: the emitter has folded the masking, and all of the page is known to lie behind it.
    const isPage = this.#isConstant64(x) && (this.b[x]! & (PAGE_BYTES - 1)) === 0;
    return isPage ? this.make(KIND.hit + negated, this.make(KIND.page, x, PAGE_BYTES), tag) : this.opaque();
  }

  /** i64 unsigned x < y, or x >= y if `negated` is 1. */
  below64(negated: 0 | 1, x: number, y: number): number {
    const areLocals = this.kind[x] === KIND.localOffset && this.kind[y] === KIND.local;
    if (areLocals) return this.make(KIND.near + negated, x, y);
    if (this.kind[x] !== KIND.pageOffset || !this.#isConstant64(y)) return this.opaque();
    const limit = this.b[y]!;
    return limit > 0 && limit <= PAGE_BYTES ? this.make(KIND.within + negated, x, limit) : this.opaque();
  }

  /** i32 inequality. */
  notEqual32(x: number, y: number): number {
    if (this.kind[x] === KIND.addend) return this.make(KIND.differs, x, y);
    return this.kind[y] === KIND.addend ? this.make(KIND.differs, y, x) : this.opaque();
  }

  eqz32(x: number): number {
    const kind = this.kind[x]!;
    return kind >= FIRST_CONDITION && kind <= LAST_CONDITION
      ? this.make(kind ^ 1, this.a[x]!, this.b[x]!)
      : this.opaque();
  }
}
