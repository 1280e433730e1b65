/**
 * What a function body has proved so far. A fact says: these bytes, relative to a base value, lie in the page that this
 * TLB entry describes (and may be read, or read and written). The scan decides when a fact begins and ends.
 */
import type { Rule } from './refusal.js';
import { KIND, PAGE_BYTES, REMEMBERED_BYTES, type Values, ZERO } from './values.js';

/** How far the address compared may lie from the address whose entry it is compared with: see #establishHit. */
const COMPARE_DISTANCE_MAX = 4096;

/** What an access does to memory. Reading is allowed by any fact, writing by one from the write tag. */
export const ACCESS = { read: 0, write: 1 } as const;
/** A value of {@link ACCESS}. */
export type Access = (typeof ACCESS)[keyof typeof ACCESS];

/** The facts in force, newest last. */
export class Facts {
  readonly #values: Values;
  /** How many there are; setting it to an earlier value drops those made since. */
  count = 0;
  /** The entry; or for a remembered page, the local values `page` and (in #room) `room`; else #room is ZERO. */
  readonly #entry: number[] = [];
  readonly #room: number[] = [];
  /** Bytes base + [from, to). */
  readonly #base: number[] = [];
  readonly #from: number[] = [];
  readonly #to: number[] = [];
  /** 2 * epoch + (1 for the write tag), as in a tag value. */
  readonly #tag: number[] = [];

  constructor(values: Values) {
    this.#values = values;
  }

  /** Draws the conclusions of a condition (or the negation of one) that is known to have come out the good way. */
  establish(condition: number, epoch: number): void {
    const { kind, a, b } = this.#values;
    const x = a[condition]!;
    const y = b[condition]!;
    switch (kind[condition]! & ~1) {
      case KIND.hit:
        this.#establishHit(x, y);
        return;
      case KIND.within: // va - page < y: from va on, as many bytes as are left of the page
        this.#establishSamePage(b[x]!, a[x]!, PAGE_BYTES + 1 - y, epoch);
        return;
      case KIND.near: {
        // va - page < room: what that vouches for (remembered.ts), if the access finds that the locals fit together.
        const va = a[x]!;
        const from = this.#values.displacement(va);
        this.#addFact(b[x]!, (epoch << 1) | 1, this.#values.base(va), from, from + REMEMBERED_BYTES, y);
        return;
      }
      default:
        this.#establishSamePage(y, a[x]!, b[x]!, epoch);
        this.#establishSamePage(x, a[y]!, b[y]!, epoch);
    }
  }

  /**
   * Page value `page` (of address x) equals the tag of the entry for va. TLB entries hold, as tags, only page addresses
   * whose index is the entry's own, or all ones (which no page value is). So x's page has va's index; and as x and va
   * differ by at most 4096, their pages differ by at most one, which with equal indexes means that they are the same
   * page. Hence it holds every byte from the lower of va and x to the higher, and as many from x on as x is aligned to.
   */
  #establishHit(page: number, tag: number): void {
    const { kind, a, b } = this.#values;
    const entry = a[tag]!;
    if (kind[page] !== KIND.page || kind[entry] !== KIND.entry) return;
    const va = a[entry]!;
    const x = a[page]!;
    const base = this.#values.base(va);
    if (this.#values.base(x) !== base) return;
    const vaAt = this.#values.displacement(va);
    const xAt = this.#values.displacement(x);
    if (Math.abs(xAt - vaAt) > COMPARE_DISTANCE_MAX) return;
    this.#addFact(entry, b[tag]!, base, Math.min(vaAt, xAt), Math.max(vaAt + 1, xAt + b[page]!));
  }

  /**
   * `bytes` bytes from `x` on are in the page whose address is `page` = y & ~0xfff: whatever is known of the page of y
   * holds for them.
   */
  #establishSamePage(page: number, x: number, bytes: number, epoch: number): void {
    const values = this.#values;
    if (values.b[page] !== 1) return; // includes low bits of y: not known to be the page's address
    const yBase = values.base(values.a[page]!);
    const yAt = values.displacement(values.a[page]!);
    const base = values.base(x);
    const from = values.displacement(x);
    for (let i = this.count - 1; i >= 0; i--) {
      if (this.#room[i] !== ZERO) continue;
      if (this.#base[i] !== yBase || yAt < this.#from[i]! || yAt >= this.#to[i]!) continue;
      if (this.#tag[i]! >> 1 === epoch) {
        this.#addFact(this.#entry[i]!, this.#tag[i]!, base, from, from + bytes);
      }
    }
  }

  /** What the bytes from y on in `page` (y & ~0xfff) may be accessed for by `addend`; undefined if that is not known. */
  pageAllows(page: number, addend: number, epoch: number): Access | undefined {
    const { kind, a, b } = this.#values;
    if (kind[page] !== KIND.page || b[page] !== 1 || kind[addend] !== KIND.addend || b[addend] !== epoch)
      return undefined;
    const yBase = this.#values.base(a[page]!);
    const yAt = this.#values.displacement(a[page]!);
    let allowed: Access | undefined;
    for (let i = this.count - 1; i >= 0; i--) {
      if (this.#room[i] !== ZERO || this.#entry[i] !== a[addend] || this.#base[i] !== yBase) continue;
      if (yAt < this.#from[i]! || yAt >= this.#to[i]! || this.#tag[i]! >> 1 !== epoch) continue;
      allowed = (this.#tag[i]! & 1) === 1 || allowed === ACCESS.write ? ACCESS.write : ACCESS.read;
    }
    return allowed;
  }

  /**
   * For an access of `bytes` at low(va) + `local` + `offset`, `local` being a local value: a fact of a remembered page
   * that covers it, as [page, room] for the caller to see whether the three fit together; or the rule it breaks.
   */
  rememberedFor(host: number, offset: number, bytes: number, epoch: number): Rule | readonly [number, number] {
    const va = this.#values.a[host]!;
    const base = this.#values.base(va);
    const from = this.#values.displacement(va);
    let rule: Rule = 'address';
    for (let i = this.count - 1; i >= 0; i--) {
      if (this.#room[i] === ZERO || this.#base[i] !== base) continue;
      if (this.#tag[i]! >> 1 !== epoch) rule = 'stale';
      else if (from < this.#from[i]! || from + offset + bytes > this.#to[i]!) rule = 'range';
      else return [this.#entry[i]!, this.#room[i]!];
    }
    return rule;
  }

  #addFact(entry: number, tag: number, base: number, from: number, to: number, room = ZERO): void {
    const i = this.count++;
    this.#room[i] = room;
    this.#entry[i] = entry;
    this.#tag[i] = tag;
    this.#base[i] = base;
    this.#from[i] = from;
    this.#to[i] = to;
  }

  /** The rule that an access of `bytes` at host address value `host` + `offset` breaks; undefined if a fact allows it. */
  refusal(host: number, offset: number, bytes: number, access: Access, epoch: number): Rule | undefined {
    const { a, b } = this.#values;
    const va = a[host]!;
    const addend = b[host]!;
    const entry = a[addend]!;
    const base = this.#values.base(va);
    const from = this.#values.displacement(va);
    const to = from + offset + bytes;
    let rule: Rule = 'unchecked';
    for (let i = this.count - 1; i >= 0; i--) {
      if (this.#room[i] !== ZERO || this.#entry[i] !== entry || this.#base[i] !== base) continue;
      const tag = this.#tag[i]!;
      if (tag >> 1 !== epoch || b[addend] !== epoch) rule = 'stale';
      else if ((tag & 1) < access)
        rule = 'tag'; // what may be written may be read
      else if (from < this.#from[i]! || to > this.#to[i]!) rule = 'range';
      else return undefined;
    }
    return rule;
  }
}
