/**
 * Pages remembered across loop rounds: three locals (page, addend, room) of which the whole function keeps the invariant
 *
 *     room is 0, or else room <= ROOM_MAX, page is a page's address, and the TLB leads from that page by `addend`,
 *     for the accesses that every check behind these locals was good for.
 *
 * It holds at the start (locals are zero) and at every point but two kinds of window, in which nothing joins, branches
 * or uses the locals:
 *  - a group: `page := y & ~0xfff; addend := entry.addend; room := constant`, straight on, under a fact that y is in the
 *    entry's page. Nothing else assigns the three, except `room := 0`;
 *  - from a call, which may change the TLB, to the `room := 0` that must follow it straight on.
 * So wherever the three locals were read, with no assignment of them, call or start of a loop that assigns them between,
 * `x - page < room` (unsigned) means: room is not 0; x = page + d (mod 2^64) with d < room <= ROOM_MAX; and, since page
 * is a multiple of 4096, the REMEMBERED_BYTES bytes from x on lie in that page without wrapping around. No page address stands
 * for "nothing remembered": each is one that a guest may use as an address, so that some address would match it.
 *
 * One pass meets uses before it has seen all assignments. So a use is only noted, and `holds` decides at the end.
 */
import { ACCESS, type Access } from './facts.js';
import { PAGE_BYTES, REMEMBERED_BYTES } from './values.js';

const ROOM_MAX = PAGE_BYTES + 1 - REMEMBERED_BYTES;

/** What is known of the locals of one function; times are the scan's, which only advance. */
export class Remembered {
  /** By local: time and number of its assignments; in a loop looked through ahead, the time of the loop's start too. */
  readonly #assignedAt: Int32Array;
  readonly #assigned: Int32Array;
  // By local that is a `room`:
  /** Assignments of 0, and of those the ones that follow a call. */
  readonly #zeroed: Int32Array;
  readonly #zeroedAfterCall: Int32Array;
  readonly #lastZeroed: Int32Array;
  /** Its page and addend, 0 while not known; groups that assigned these three. */
  readonly #page: Int32Array;
  readonly #addend: Int32Array;
  readonly #groups: Int32Array;
  /** The least that the checks of its groups were good for, and the most that a use needs. */
  readonly #good: Uint8Array;
  readonly #needed: Uint8Array;
  readonly #used: number[] = [];

  /** Last assignment of a page's address, and of an addend: local and value; local 0 if none in this straight line. */
  #pageLocal = 0;
  #pageValue = 0;
  #addendLocal = 0;
  #addendValue = 0;

  #calls = 0;
  /** Time of the last call, until something joins or branches; else 0. */
  #openCall = 0;

  constructor(locals: number) {
    this.#assignedAt = new Int32Array(locals);
    this.#assigned = new Int32Array(locals);
    this.#zeroed = new Int32Array(locals);
    this.#zeroedAfterCall = new Int32Array(locals);
    this.#lastZeroed = new Int32Array(locals);
    this.#page = new Int32Array(locals);
    this.#addend = new Int32Array(locals);
    this.#groups = new Int32Array(locals);
    this.#good = new Uint8Array(locals);
    this.#needed = new Uint8Array(locals);
  }

  /** Begins a function with `locals` locals. */
  reset(locals: number): void {
    for (const table of [this.#assignedAt, this.#assigned, this.#zeroed, this.#zeroedAfterCall, this.#lastZeroed]) {
      table.fill(0, 0, locals);
    }
    for (const table of [this.#page, this.#addend, this.#groups]) table.fill(0, 0, locals);
    this.#good.fill(ACCESS.write, 0, locals);
    this.#needed.fill(ACCESS.read, 0, locals);
    this.#used.length = this.#calls = this.#openCall = 0;
    this.endStraightLine();
  }

  /** Control may branch or join here: no window may be open. */
  endStraightLine(): void {
    this.#pageLocal = this.#addendLocal = this.#openCall = 0;
  }

  /** A call: all rooms must be set to 0 before control branches or joins. */
  call(time: number): void {
    this.endStraightLine();
    this.#calls++;
    this.#openCall = time;
  }

  /** Whether a call may have broken the invariant just before: what is read of the locals then means nothing. */
  get inCallWindow(): boolean {
    return this.#openCall !== 0;
  }

  /** Any assignment of `local`. */
  assign(local: number, time: number): void {
    this.#assigned[local]!++;
    this.#assignedAt[local] = time;
  }

  /** `local` may be assigned later in the loop that starts here. */
  assignedInLoop(local: number, time: number): void {
    this.#assignedAt[local] = time;
  }

  /** After {@link assign}: its value is the page value `value`. */
  assignPage(local: number, value: number): void {
    this.#pageLocal = local;
    this.#pageValue = value;
  }

  /** After {@link assign}: its value is the addend value `value`. */
  assignAddend(local: number, value: number): void {
    this.#addendLocal = local;
    this.#addendValue = value;
  }

  /** After {@link assign}: its value is 0. */
  assignZero(local: number, time: number): void {
    this.#zeroed[local]!++;
    if (this.#openCall !== 0 && this.#lastZeroed[local]! < this.#openCall) this.#zeroedAfterCall[local]!++;
    this.#lastZeroed[local] = time;
  }

  /**
   * After {@link assign}: its value is the positive constant `limit`. `check` answers for what a page value is known to
   * be reached by an addend value, or undefined. Whatever is not right leaves this assignment out of the count.
   */
  assignRoom(room: number, limit: number, check: (page: number, addend: number) => Access | undefined): void {
    const page = this.#pageLocal;
    const addend = this.#addendLocal;
    this.#pageLocal = this.#addendLocal = 0;
    if (limit > ROOM_MAX || page === 0 || addend === 0) return;
    const good = check(this.#pageValue, this.#addendValue);
    if (good === undefined || !this.#belong(room, page, addend)) return;
    this.#groups[room]!++;
    if (good < this.#good[room]!) this.#good[room] = good;
  }

  #belong(room: number, page: number, addend: number): boolean {
    if (this.#page[room] === 0) {
      this.#page[room] = page;
      this.#addend[room] = addend;
    }
    return this.#page[room] === page && this.#addend[room] === addend;
  }

  /**
   * An access by locals that were all read after `since`. False if one was assigned since, so that they need not fit
   * together; otherwise the rest is seen to by {@link holds}.
   */
  use(page: number, addend: number, room: number, since: number, access: Access): boolean {
    for (const local of [page, addend, room]) if (this.#assignedAt[local]! >= since) return false;
    if (!this.#belong(room, page, addend)) return false;
    if (!this.#used.includes(room)) this.#used.push(room);
    if (access > this.#needed[room]!) this.#needed[room] = access;
    return true;
  }

  /** At the function's end: what breaks the invariant of locals that were used, or undefined. */
  broken(): 'remembered' | 'tag' | undefined {
    for (const room of this.#used) {
      const groups = this.#groups[room]!;
      // Equal numbers mean that no assignment was anything else; a local in two roles is counted in one and assigned in both.
      if (this.#assigned[room] !== groups + this.#zeroed[room]!) return 'remembered';
      if (this.#assigned[this.#page[room]!] !== groups || this.#assigned[this.#addend[room]!] !== groups)
        return 'remembered';
      if (groups > 0 && this.#zeroedAfterCall[room] !== this.#calls) return 'remembered';
      if (this.#good[room]! < this.#needed[room]!) return 'tag';
    }
    return undefined;
  }
}
