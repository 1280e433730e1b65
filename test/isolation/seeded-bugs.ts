/**
 * Emitter bugs, seeded on purpose: each replaces RegionOps.hostAddress by a version with one mistake. `none` is the
 * correct version, to show that it is the mistake that is refused.
 */
import { RegionOps, type RememberedLocals } from '../../cpu/jit/region-ops.js';
import type { Rule } from '../../cpu/jit/scanner/refusal.js';
import type { AccessOptions } from '../../cpu/ops.js';
import { EXIT, STATE, TLB } from '../../cpu/state.js';
import { i32, i64, type Val } from '../../cpu/wasm/body.js';

interface Access {
  readonly k: RegionOps;
  readonly va: Val;
  readonly bytes: number;
  readonly write: boolean;
}
type Step<T> = (access: Access) => T;

/** The parts of the access sequence; a bug replaces one. */
interface Sequence {
  readonly tlb: Step<Val>;
  readonly index: Step<Val>;
  readonly entry: (access: Access, tlb: Val, index: Val) => Val;
  readonly page: Step<Val>;
  readonly tag: (access: Access, entry: Val) => Val;
  readonly check: (access: Access, page: Val, tag: Val) => void;
  readonly addend: (access: Access, entry: Val) => Val;
  readonly host: (access: Access, addend: Val) => Val;
}

const INDEX_MASK = (1 << TLB.entriesLog2) - 1;
const indexOf = (k: RegionOps, va: Val): Val => k.and(k.wrap(k.shrU(va, i64(12))), i32(INDEX_MASK));
const leaveIf = (k: RegionOps, condition: Val): void => {
  k.body.openIf(condition);
  k.leaveTo(0, EXIT.step);
  k.body.end();
};
const addendOf = (k: RegionOps, entry: Val): Val => k.body.load(0x28, 'i32', 2, entry, TLB.addend);
const pageOfLast = ({ k, va }: Access, bytes: number): Val => k.and(k.add(va, i64(bytes - 1)), i64(~0xfffn));
const step = (k: RegionOps, argument: Val): void => {
  k.body.call(0, [argument], 'i32');
};

const CORRECT: Sequence = {
  tlb: ({ k }) => k.stateLoad('u32', STATE.tlb),
  index: ({ k, va }) => indexOf(k, va),
  entry: ({ k }, tlb, index) => k.add(tlb, k.shl(index, i32(TLB.entryBytesLog2))),
  page: (access) => pageOfLast(access, access.bytes),
  tag: ({ k, write }, entry) => k.body.load(0x29, 'i64', 3, entry, write ? TLB.writeTag : TLB.readTag),
  check: ({ k }, page, tag) => leaveIf(k, k.eqz(k.eq(page, tag))),
  addend: ({ k }, entry) => addendOf(k, entry),
  host: ({ k, va }, addend) => k.add(k.wrap(va), addend),
};

/** A bug: what it replaces, and the rule that must refuse it (loads and stores alike unless `only` says otherwise). */
interface Bug {
  readonly replace: Partial<Sequence>;
  readonly rule: Rule | undefined;
  readonly only?: 'store';
}

/** All bugs by name. */
export const BUGS: Readonly<Record<string, Bug>> = {
  none: { replace: {}, rule: undefined },
  'index mask dropped': { replace: { index: ({ k, va }) => k.wrap(k.shrU(va, i64(12))) }, rule: 'address' },
  'index mask one bit too wide': {
    replace: { index: ({ k, va }) => k.and(k.wrap(k.shrU(va, i64(12))), i32(2 * INDEX_MASK + 1)) },
    rule: 'address',
  },
  'index from the wrong bits': {
    replace: { index: ({ k, va }) => k.and(k.wrap(k.shrU(va, i64(13))), i32(INDEX_MASK)) },
    rule: 'address',
  },
  'index not scaled': { replace: { entry: ({ k }, tlb, index) => k.add(tlb, index) }, rule: 'address' },
  'comparison dropped': { replace: { check: () => undefined }, rule: 'unchecked' },
  'comparison inverted': { replace: { check: ({ k }, page, tag) => leaveIf(k, k.eq(page, tag)) }, rule: 'unchecked' },
  'comparison of low halves only': {
    replace: { check: ({ k }, page, tag) => leaveIf(k, k.ne(k.wrap(page), k.wrap(tag))) },
    rule: 'unchecked',
  },
  'side exit forgotten': {
    replace: {
      check: ({ k }, page, tag) => {
        k.body.openIf(k.ne(page, tag));
        k.body.end();
      },
    },
    rule: 'unchecked',
  },
  'side exit goes to the access': {
    replace: {
      check: ({ k }, page, tag) => {
        const label = k.body.openIf(k.ne(page, tag));
        k.body.branch(label);
        k.body.end();
      },
    },
    rule: 'unchecked',
  },
  'side exit only sometimes': {
    replace: {
      check: ({ k, va }, page, tag) => {
        k.body.openIf(k.ne(page, tag));
        leaveIf(k, k.wrap(va));
        k.body.end();
      },
    },
    rule: 'unchecked',
  },
  'check inside a branch not always taken': {
    replace: {
      check: ({ k, va }, page, tag) => {
        k.body.openIf(k.wrap(va));
        leaveIf(k, k.ne(page, tag));
        k.body.end();
      },
    },
    rule: 'unchecked',
  },
  'read tag for a store': {
    replace: { tag: ({ k }, entry) => k.body.load(0x29, 'i64', 3, entry, TLB.readTag) },
    rule: 'tag',
    only: 'store',
  },
  'addend as tag': {
    replace: { tag: ({ k }, entry) => k.body.load(0x29, 'i64', 3, entry, TLB.addend) },
    rule: 'tlbField',
  },
  'tag narrowed': {
    replace: { tag: ({ k }, entry) => k.body.load(0x35, 'i64', 2, entry, TLB.readTag) },
    rule: 'tlbField',
  },
  'one byte too few checked': { replace: { page: (access) => pageOfLast(access, access.bytes - 1) }, rule: 'range' },
  'only the first byte checked': { replace: { page: (access) => pageOfLast(access, 1) }, rule: 'range' },
  'page mask too narrow': {
    replace: { page: ({ k, va, bytes }) => k.and(k.add(va, i64(bytes - 1)), i64(~0x1fffn)) },
    rule: 'unchecked',
  },
  'aligned mask with a hole': {
    replace: { page: ({ k, va }) => k.and(va, i64(~0xfffn | 5n)) },
    rule: 'unchecked',
  },
  'alignment smaller than the access': {
    replace: { page: ({ k, va }) => k.and(va, i64(~0xfffn | 3n)) },
    rule: 'range',
  },
  'page of another address': {
    replace: { page: ({ k, va, bytes }) => k.and(k.add(va, i64(8192 + bytes)), i64(~0xfffn)) },
    rule: 'unchecked',
  },
  'page of another register': { replace: { page: ({ k }) => k.and(k.page, i64(~0xfffn)) }, rule: 'unchecked' },
  'entry of another address': {
    replace: { index: ({ k, va }) => indexOf(k, k.add(va, i64(8192))) },
    rule: 'unchecked',
  },
  'addend of another entry': {
    replace: {
      addend: ({ k, va }) => {
        const index = indexOf(k, k.add(va, i64(4096)));
        return addendOf(k, k.add(k.stateLoad('u32', STATE.tlb), k.shl(index, i32(TLB.entryBytesLog2))));
      },
    },
    rule: 'unchecked',
  },
  'addend of another bank': {
    replace: {
      addend: ({ k, va }) =>
        addendOf(k, k.add(k.stateLoad('u32', STATE.tlbUser), k.shl(indexOf(k, va), i32(TLB.entryBytesLog2)))),
    },
    rule: 'unchecked',
  },
  'addend dropped': { replace: { host: ({ k, va }) => k.wrap(va) }, rule: 'address' },
  'addend added twice': {
    replace: { host: ({ k, va }, addend) => k.add(k.add(k.wrap(va), addend), addend) },
    rule: 'address',
  },
  'address beyond the page': {
    replace: { host: ({ k, va }, addend) => k.add(k.wrap(k.add(va, i64(4096))), addend) },
    rule: 'range',
  },
  'address before the page': {
    replace: { host: ({ k, va }, addend) => k.add(k.add(k.wrap(va), addend), i32(-4096)) },
    rule: 'range',
  },
  'address one byte on': {
    replace: { host: ({ k, va }, addend) => k.add(k.add(k.wrap(va), addend), i32(1)) },
    rule: 'range',
  },
  'call between check and access': {
    replace: {
      host: ({ k, va }, addend) => {
        step(k, k.state);
        return k.add(k.wrap(va), addend);
      },
    },
    rule: 'stale',
  },
  'call between check and load of the addend': {
    replace: {
      addend: ({ k }, entry) => {
        step(k, k.state);
        return addendOf(k, entry);
      },
    },
    rule: 'stale',
  },
  'call that happens sometimes': {
    replace: {
      host: ({ k, va }, addend) => {
        k.body.openIf(k.wrap(va));
        step(k, k.state);
        k.body.end();
        return k.add(k.wrap(va), addend);
      },
    },
    rule: 'stale',
  },
  'helper called with another state block': {
    replace: {
      tlb: ({ k }) => {
        step(k, k.add(k.state, i32(64)));
        return k.stateLoad('u32', STATE.tlb);
      },
    },
    rule: 'callArgument',
  },
  'TLB bank moved on': {
    replace: { tlb: ({ k }) => k.add(k.stateLoad('u32', STATE.tlb), i32(32768)) },
    rule: 'address',
  },
  'TLB bank from another field': { replace: { tlb: ({ k }) => k.stateLoad('u32', STATE.context) }, rule: 'address' },
  'TLB bank loaded in part': { replace: { tlb: ({ k }) => k.stateLoad('u16', STATE.tlb) }, rule: 'address' },
  'store to the TLB bank pointer': {
    replace: {
      tlb: ({ k }) => {
        k.stateStore('u32', STATE.tlb, i32(0));
        return k.stateLoad('u32', STATE.tlb);
      },
    },
    rule: 'stateStore',
  },
  'store that reaches into a forbidden field': {
    replace: {
      tlb: ({ k }) => {
        k.stateStore('u64', STATE.budget, i64(0));
        return k.stateLoad('u32', STATE.tlb);
      },
    },
    rule: 'stateStore',
  },
  'load beyond the state block': {
    replace: {
      tlb: ({ k }) => {
        k.stateLoad('u64', 4092);
        return k.stateLoad('u32', STATE.tlb);
      },
    },
    rule: 'stateLoad',
  },
  'store to a TLB entry': {
    replace: {
      tag: ({ k }, entry) => {
        k.body.store(0x37, 3, entry, i64(0), TLB.readTag);
        return k.body.load(0x29, 'i64', 3, entry, TLB.readTag);
      },
    },
    rule: 'tlbField',
  },
  'state block pointer assigned': {
    replace: {
      tlb: ({ k }) => {
        k.assign(k.state, i32(4096));
        return k.stateLoad('u32', STATE.tlb);
      },
    },
    rule: 'stateAssigned',
  },
  'memory grown': {
    replace: {
      tlb: ({ k }) => {
        k.body.push(i32(1));
        k.body.rawOp(0x40);
        k.body.code.byte(0);
        k.body.result('i32');
        return k.stateLoad('u32', STATE.tlb);
      },
    },
    rule: 'operator',
  },
  'memory filled': {
    replace: {
      tlb: ({ k }) => {
        for (let i = 0; i < 3; i++) k.body.push(i32(1));
        k.body.rawOp(0xfc0b);
        k.body.code.byte(0);
        return k.stateLoad('u32', STATE.tlb);
      },
    },
    rule: 'operator',
  },
  'indirect call': {
    replace: { tlb: ({ k }) => k.body.callIndirect(0, 0, i32(0), [k.state], 'i32') },
    rule: 'operator',
  },
};

/** Runs `emit` with the bug `name` in the emitter. */
export function withBug<T>(name: string, emit: () => T): T {
  const sequence: Sequence = { ...CORRECT, ...BUGS[name]?.replace };
  const original = RegionOps.prototype.hostAddress;
  RegionOps.prototype.hostAddress = function (this: RegionOps, va, bytes, write, _options?: AccessOptions): Val {
    const access: Access = { k: this, va, bytes, write };
    const tlb = sequence.tlb(access);
    const entry = sequence.entry(access, tlb, sequence.index(access));
    sequence.check(access, sequence.page(access), sequence.tag(access, entry));
    return sequence.host(access, sequence.addend(access, entry));
  };
  try {
    return emit();
  } finally {
    RegionOps.prototype.hostAddress = original;
  }
}

type LoopSteps = Pick<RegionOps, 'isRemembered' | 'checkedEntry' | 'remember' | 'forgetPages'>;

/** Bugs of what remembers pages across iterations, by name: the steps replaced, and the rule that must refuse it. */
export const LOOP_BUGS: Readonly<
  Record<string, { readonly replace: Partial<LoopSteps>; readonly rule: Rule | undefined }>
> = {
  none: { replace: {}, rule: undefined },
  'not forgotten after a call': { replace: { forgetPages: () => undefined }, rule: 'remembered' },
  'forgotten only sometimes': {
    replace: {
      forgetPages(this: RegionOps) {
        this.body.openIf(this.wrap(this.page));
        forgetPages.call(this);
        this.body.end();
      },
    },
    rule: 'remembered',
  },
  'no page by an address instead of no room': {
    replace: {
      isRemembered(this: RegionOps, va, locals) {
        return this.ltU(this.sub(va, locals.page), i64(4065));
      },
    },
    rule: 'address',
  },
  'size not subtracted from the room': { replace: { remember: rememberAs({ room: 4096 }) }, rule: 'remembered' },
  'room left open': { replace: { remember: rememberAs({ room: -1 }) }, rule: 'remembered' },
  'page of another address': { replace: { remember: rememberAs({ pageOff: 4096 }) }, rule: 'remembered' },
  'page with low bits': { replace: { remember: rememberAs({ mask: ~0xffen }) }, rule: 'remembered' },
  'addend of the next entry': { replace: { remember: rememberAs({ nextEntry: true }) }, rule: 'unchecked' },
  'room set before the addend': {
    replace: {
      remember(this: RegionOps, va, entry, locals) {
        if (locals.room !== undefined) this.assign(locals.room, i64(4065));
        this.assign(locals.page, this.and(va, i64(~0xfffn)));
        this.assign(locals.addend, addendOf(this, entry));
      },
    },
    rule: 'remembered',
  },
  'page alone remembered': {
    replace: {
      remember(this: RegionOps, va, entry, locals) {
        this.assign(locals.page, this.and(va, i64(~0xfffn)));
        if (locals.room === undefined) this.assign(locals.addend, addendOf(this, entry));
        else this.assign(locals.room, i64(4065));
      },
    },
    rule: 'address',
  },
  'remembered without a check': {
    replace: {
      checkedEntry(this: RegionOps, va) {
        return entryOf(this, va);
      },
    },
    rule: 'unchecked',
  },
  'checked for reading, remembered for writing': {
    replace: {
      checkedEntry(this: RegionOps, va, bytes) {
        return checkedEntry.call(this, va, bytes, false);
      },
    },
    rule: 'tag',
  },
  'comparison the other way round': {
    replace: {
      isRemembered(this: RegionOps, va, locals) {
        return this.ltU(locals.room, this.sub(va, locals.page));
      },
    },
    rule: 'address',
  },
  'signed comparison': {
    replace: {
      isRemembered(this: RegionOps, va, locals) {
        return this.ltS(this.sub(va, locals.page), locals.room);
      },
    },
    rule: 'address',
  },
};

const { forgetPages, checkedEntry } = RegionOps.prototype;
const entryOf = (k: RegionOps, va: Val): Val =>
  k.add(k.stateLoad('u32', STATE.tlb), k.shl(indexOf(k, va), i32(TLB.entryBytesLog2)));

/** A version of `remember` that differs as described. Pages kept within a block only (no room) are right. */
function rememberAs(wrong: {
  room?: number;
  pageOff?: number;
  mask?: bigint;
  nextEntry?: boolean;
}): LoopSteps['remember'] {
  return function (
    this: RegionOps,
    va,
    entry,
    locals: Partial<RememberedLocals> & Pick<RememberedLocals, 'page' | 'addend'>,
  ) {
    const { room = 4065, pageOff = 0, mask = ~0xfffn, nextEntry = false } = locals.room === undefined ? {} : wrong;
    this.assign(locals.page, this.and(pageOff === 0 ? va : this.add(va, i64(pageOff)), i64(mask)));
    const other = nextEntry ? entryOf(this, this.add(va, i64(4096))) : entry;
    this.assign(locals.addend, addendOf(this, other));
    if (locals.room !== undefined) this.assign(locals.room, i64(room));
  };
}

/** Runs `emit` with the bug `name` of {@link LOOP_BUGS} in the emitter. */
export function withLoopBug<T>(name: string, emit: () => T): T {
  const original: LoopSteps = { ...pickSteps(RegionOps.prototype) };
  Object.assign(RegionOps.prototype, LOOP_BUGS[name]?.replace);
  try {
    return emit();
  } finally {
    Object.assign(RegionOps.prototype, original);
  }
}

function pickSteps({ isRemembered, checkedEntry, remember, forgetPages }: LoopSteps): LoopSteps {
  return { isRemembered, checkedEntry, remember, forgetPages };
}

type Guess = (this: RegionOps, entry: Val) => Val;

/** A version of `guessAddend` with the condition and the arm given; a local of its own holds the guess. */
const guessAs = (
  condition: (k: RegionOps, addend: Val, guess: Val) => Val,
  arm: (k: RegionOps, addend: Val, guess: Val) => void = (k, addend, guess) => k.assign(guess, addend),
): Guess =>
  function (this: RegionOps, entry) {
    const guess = this.body.local('i32');
    const addend = addendOf(this, entry);
    this.body.openIf(condition(this, addend, guess));
    arm(this, addend, guess);
    this.body.end();
    return guess;
  };
const differs = (k: RegionOps, addend: Val, guess: Val): Val => k.ne(addend, guess);

/** Bugs of what guesses the addend of a pointer that a loop loads. All must be refused but `none`. */
export const GUESS_BUGS: Readonly<Record<string, Guess>> = {
  none: guessAs(differs),
  'no comparison': function () {
    return this.body.local('i32');
  },
  'comparison the other way round': guessAs((k, addend, guess) => k.eq(addend, guess)),
  'comparison of low bits': guessAs((k, addend, guess) => k.ne(k.and(addend, i32(255)), k.and(guess, i32(255)))),
  'another local compared': guessAs((k, addend, guess) => {
    k.copy(guess);
    return k.ne(addend, k.body.local('i32'));
  }),
  'another local compared, and copied before it is adopted': function (entry) {
    const [guess, other] = [this.body.local('i32'), this.body.local('i32')];
    const addend = addendOf(this, entry);
    this.body.openIf(this.ne(addend, other));
    this.assign(guess, other);
    this.assign(guess, addend);
    this.body.end();
    return guess;
  },
  'nothing adopted': guessAs(differs, () => undefined),
  'a constant adopted': guessAs(differs, (k, _addend, guess) => k.assign(guess, i32(64))),
  'adopted and changed': guessAs(differs, (k, addend, guess) => {
    k.assign(guess, addend);
    k.assign(guess, k.add(guess, i32(8)));
  }),
  'changed before it is adopted': guessAs(differs, (k, addend, guess) => {
    const other = k.body.local('i32');
    k.assign(guess, other);
    k.assign(guess, addend);
  }),
  'adopted only sometimes': guessAs(differs, (k, addend, guess) => {
    k.body.openIf(k.budget);
    k.assign(guess, addend);
    k.body.end();
  }),
  'adoption jumped over': guessAs(differs, (k, addend, guess) => {
    k.body.branchIf(k.budget, k.body.depth);
    k.assign(guess, addend);
  }),
  'adopted in the other arm': guessAs(differs, (k, addend, guess) => {
    k.body.openElse();
    k.assign(guess, addend);
  }),
  'addend of another entry': function (entry) {
    return guessAddend.call(this, this.add(entry, i32(1 << TLB.entryBytesLog2)));
  },
  'call after the comparison': function (entry) {
    const guess = guessAddend.call(this, entry);
    step(this, this.state);
    return guess;
  },
};
const { guessAddend } = RegionOps.prototype;

/** Runs `emit` with the bug `name` of {@link GUESS_BUGS} in the emitter. */
export function withGuessBug<T>(name: string, emit: () => T): T {
  const correct = RegionOps.prototype.guessAddend;
  RegionOps.prototype.guessAddend = GUESS_BUGS[name] ?? correct;
  try {
    return emit();
  } finally {
    RegionOps.prototype.guessAddend = correct;
  }
}
