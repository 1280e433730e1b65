/**
 * Proves one function body: a single pass that executes it on values instead of numbers (values.ts) and refuses the
 * first operator it cannot vouch for. How control flow is treated, and why that is sound:
 *  - What a scope (block, loop, arm of an if) assigned is forgotten when it ends; at a loop's start everything that the
 *    loop may assign is, or every local if the loop is long. So a local's value is known only where its last assignment
 *    dominates.
 *  - A fact ("these bytes may be read, or written") is made where a failed comparison has left, and ends with its scope.
 *  - A call may change the TLB, and so may the earlier rounds of a long loop: both start a new epoch, in which earlier facts,
 *    tags and addends no longer count.
 *  - Adoption: behind `if (addend != local) local := addend` the local holds that addend, whichever way control came.
 *  - Pages remembered across rounds of a loop outlive all that: remembered.ts has their invariant.
 * Types are not checked: the engine validates the module, and every mistake that validation would find only makes this
 * pass see another program than the engine refuses.
 */

import { STATE, STATE_BYTES, TLB } from '../../state.js';
import { ACT, ACTION, arithmetic } from './arithmetic.js';
import { ACCESS, type Access, Facts } from './facts.js';
import {
  ACCESS_BYTES,
  ATOMIC_BYTES,
  FIRST_ATOMIC,
  FIRST_LANE_STORE,
  FIRST_STORE,
  isFusedOperator,
  VECTOR_LANE_BYTES,
  VECTOR_LANE_OPERANDS,
  VECTOR_LOAD_BYTES,
  VECTOR_OPERANDS,
} from './operators.js';
import { Reader } from './reader.js';
import type { Rule } from './refusal.js';
import { Remembered } from './remembered.js';
import { newScope, type Scope } from './scope.js';
import { assignedInShortLoop } from './short-loop.js';
import { mayStoreToState } from './state-fields.js';
import { KIND, provesIfFalse, provesIfTrue, STATE_BASE, Values, ZERO } from './values.js';

/** Locals of one function, parameters included, at most. */
const LOCALS_MAX = 8192;
/** Operands on the stack at once, at most. */
const STACK_MAX = 4096;
/** Nested blocks, at most. */
const DEPTH_MAX = 4096;

/** An imported function that generated code may call. */
export interface Callee {
  readonly params: number;
  readonly results: number;
}

/** See the head of this file. One scanner serves all functions of all modules: its tables are large, its start is not. */
export class FunctionScanner {
  #reader = new Reader(new Uint8Array(0));
  #callees: readonly Callee[] = [];
  readonly #values = new Values();
  #refused: Rule | undefined;

  readonly #stack = new Int32Array(STACK_MAX);
  #height = 0;
  /** Stack height, and id, of the innermost scope. */
  #floor = 0;
  #scope = 0;

  readonly #scopes: Scope[] = [];
  #depth = 0;
  /** Whether the innermost scope is the first arm of an if on an addend that differs. */
  #adopting = false;
  #nextScope = 0;
  #reachable = true;
  /** By scope id: 1 while open. */
  #open = new Uint8Array(1024);
  #loopFloor = 0;

  // Locals: value, scope and time of the last assignment.
  readonly #localValue = new Int32Array(LOCALS_MAX);
  readonly #localScope = new Int32Array(LOCALS_MAX);
  readonly #localTime = new Int32Array(LOCALS_MAX);
  /** 0: never assigned; 1: only TLB bank addresses so far, first at the outermost level; 2: that, and relied on; 3: anything. */
  readonly #localUse = new Uint8Array(LOCALS_MAX);
  #locals = 0;
  #time = 0;

  /** Advances whenever the TLB may have changed. */
  #epoch = 0;
  #epochTime = 0;
  readonly #remembered = new Remembered(LOCALS_MAX);

  readonly #facts = new Facts(this.#values);

  /** Scans the body that starts at `reader`'s position and ends at `end`; answers the rule it breaks. */
  scan(reader: Reader, end: number, callees: readonly Callee[]): Rule | undefined {
    this.#reader = reader;
    this.#callees = callees;
    // An operator takes at least as many bytes as it makes values, or almost: what exceeds this is refused below.
    const capacity = end - reader.position + 64;
    this.#values.reset(capacity);
    this.#refused = undefined;
    this.#height = this.#depth = this.#nextScope = this.#loopFloor = this.#time = this.#facts.count = 0;
    this.#epoch++;
    this.#epochTime = 0;
    if (!this.#declareLocals()) return this.#refused ?? 'malformed';
    this.#openScope(false, ZERO);
    return this.#run(end, capacity - 8);
  }

  /**
   * The main loop. The operators that make up most of any body are handled here on local variables, because this loop
   * decides what scanning costs; all others, and all that is delicate, by #operator.
   */
  #run(end: number, valuesMax: number): Rule | undefined {
    const reader = this.#reader;
    const values = this.#values;
    const stack = this.#stack;
    const { bytes } = reader;
    let position = reader.position;
    let height = this.#height;
    let floor = this.#floor;
    while (this.#depth > 0) {
      this.#at = position;
      if (position >= end) return 'malformed';
      if (values.count > valuesMax) return 'size';
      const code = bytes[position++]!;
      const action = ACTION[code]!;
      if (action === ACT.other) {
        reader.position = position;
        this.#height = height;
        this.#operator(code);
        if (reader.failed) return 'malformed';
        position = reader.position;
        height = this.#height;
        floor = this.#floor;
      } else if (action <= ACT.tee) {
        let index = bytes[position++]!;
        if (index > 0x7f) {
          const high = bytes[position++]!;
          if (high > 0x7f) return 'index'; // needs no third byte: there are not that many locals
          index = (index & 0x7f) | (high << 7);
        }
        if (action === ACT.get) {
          if (height >= STACK_MAX) return 'size';
          stack[height++] = this.#get(index);
        } else {
          if (height <= floor) return 'stack';
          this.#set(index, stack[height - 1]!);
          if (action === ACT.set) height--;
        }
      } else if (action === ACT.arithmetic) {
        if (height - 2 < floor) return 'stack';
        height--;
        stack[height - 1] = arithmetic(this.#values, code, stack[height - 1]!, stack[height]!);
      } else {
        // ACT.compute + number of operands
        const operands = action - ACT.compute;
        if (height - operands < floor) return 'stack';
        height += 1 - operands;
        stack[height - 1] = values.opaque();
      }
      if (this.#refused !== undefined) return this.#refused;
    }
    return position === end ? this.#remembered.broken() : 'malformed';
  }

  /** Offset of the operator last looked at. */
  get at(): number {
    return this.#at;
  }
  #at = 0;

  #refuse(rule: Rule): number {
    this.#refused ??= rule;
    return ZERO;
  }

  // ---- locals ----

  #declareLocals(): boolean {
    const reader = this.#reader;
    this.#at = reader.position;
    this.#locals = 1;
    for (let groups = reader.u32(); groups > 0 && !reader.failed; groups--) {
      const count = reader.u32();
      const type = reader.byte();
      if (type < 0x7b || type > 0x7f) reader.failed = true;
      if (this.#locals + count > LOCALS_MAX) {
        this.#refuse('size');
        return false;
      }
      this.#locals += count;
    }
    this.#localScope.fill(0, 0, this.#locals); // no scope has id 0
    this.#localUse.fill(0, 0, this.#locals);
    this.#remembered.reset(this.#locals);
    return !reader.failed;
  }

  #get(index: number): number {
    if (index === 0) return STATE_BASE;
    if (index >= this.#locals) return this.#refuse('index');
    const known = this.#open[this.#localScope[index]!] === 1 && this.#localTime[index]! >= this.#loopFloor;
    if (!known) return this.#forgotten(index);
    const value = this.#localValue[index]!;
    // Read again behind a call or a long loop: of a remembered page only what was read since then counts.
    const isOld = this.#values.kind[value] === KIND.local && this.#values.b[value]! <= this.#epochTime;
    return isOld ? this.#forgotten(index) : value;
  }

  #forgotten(index: number): number {
    const isTlb = this.#localUse[index] === 1 || this.#localUse[index] === 2;
    if (isTlb) this.#localUse[index] = 2;
    let value: number;
    if (isTlb) value = this.#values.tlb();
    else if (this.#remembered.inCallWindow) value = this.#values.opaque();
    else value = this.#values.local(index, this.#time + 1);
    this.#remember(index, value);
    return value;
  }

  #set(index: number, value: number): void {
    if (index === 0) {
      this.#refuse('stateAssigned');
      return;
    }
    if (index >= this.#locals) {
      this.#refuse('index');
      return;
    }
    const use = this.#localUse[index]!;
    if (use !== 3) {
      // The first assignment must dominate everything after it, or the local might still be zero there.
      const holdsTlb = this.#values.kind[value] === KIND.tlb && (use !== 0 || (this.#depth === 1 && this.#reachable));
      if (!holdsTlb && use === 2) this.#refuse('tlbLocal');
      this.#localUse[index] = holdsTlb ? Math.max(use, 1) : 3;
    }
    if (this.#adopting) this.#noteAdopter(index);
    this.#remember(index, value);
    this.#noteAssignment(index, value);
  }

  #noteAdopter(index: number): void {
    const scope = this.#scopes[this.#depth - 1]!;
    const known = this.#open[this.#localScope[index]!] === 1 && this.#localTime[index]! >= this.#loopFloor;
    scope.assignments++;
    scope.adopter = index;
    scope.before = known ? this.#localValue[index]! : ZERO;
  }

  /**
   * At the end of an if without a second arm whose condition is "addend X differs from Y". If all its arm assigned was X
   * to a local that held Y before, the local holds X now: by that assignment, or because it held Y and Y equals X.
   */
  #adopt(scope: Scope): void {
    const { condition, adopter } = scope;
    const addend = this.#values.a[condition]!;
    if (scope.inElse || scope.targeted || scope.assignments !== 1) return;
    if (scope.before !== this.#values.b[condition] || scope.before === ZERO) return;
    if (this.#localScope[adopter] === scope.id && this.#localValue[adopter] === addend) this.#remember(adopter, addend);
  }

  #noteAssignment(index: number, value: number): void {
    const remembered = this.#remembered;
    remembered.assign(index, this.#time);
    switch (this.#values.kind[value]) {
      case KIND.page:
        remembered.assignPage(index, value);
        return;
      case KIND.addend:
        remembered.assignAddend(index, value);
        return;
      case KIND.sum: {
        const constant = this.#values.constantOf(value);
        if (constant === 0) remembered.assignZero(index, this.#time);
        else if (constant > 0) remembered.assignRoom(index, constant, this.#pageAllows);
        return;
      }
      default:
    }
  }
  readonly #pageAllows = (page: number, addend: number): Access | undefined =>
    this.#facts.pageAllows(page, addend, this.#epoch);

  #remember(index: number, value: number): void {
    this.#localValue[index] = value;
    this.#localScope[index] = this.#scope;
    this.#localTime[index] = ++this.#time;
  }

  // ---- operand stack ----

  #push(value: number): void {
    if (this.#height >= this.#stack.length) this.#refuse('size');
    else this.#stack[this.#height++] = value;
  }

  #pop(): number {
    if (this.#height <= this.#floor) return this.#refuse('stack');
    return this.#stack[--this.#height]!;
  }

  // ---- scopes ----

  #openScope(isLoop: boolean, condition: number): void {
    if (this.#depth >= DEPTH_MAX) {
      this.#refuse('size');
      return;
    }
    let scope = this.#scopes[this.#depth];
    if (scope === undefined) {
      scope = newScope();
      this.#scopes.push(scope);
    }
    this.#depth++;
    scope.isLoop = isLoop;
    scope.condition = condition;
    scope.inElse = scope.thenFallsOut = scope.targeted = false;
    scope.assignments = 0;
    scope.height = this.#height;
    scope.facts = this.#facts.count;
    scope.loopFloor = this.#loopFloor;
    this.#enter(scope);
    if (isLoop) this.#forgetForLoop();
  }

  /** At a loop's start: what its earlier rounds may have changed is forgotten, which is everything if it is long. */
  #forgetForLoop(): void {
    const assigned = assignedInShortLoop(this.#reader);
    if (assigned === undefined) {
      this.#epoch++;
      this.#loopFloor = this.#epochTime = ++this.#time;
      return;
    }
    this.#time++;
    for (const index of assigned) {
      if (index >= this.#locals) continue;
      this.#localScope[index] = 0;
      this.#remembered.assignedInLoop(index, this.#time);
    }
  }

  #enter(scope: Scope): void {
    scope.id = ++this.#nextScope;
    if (scope.id >= this.#open.length) {
      const larger = new Uint8Array(this.#open.length * 2);
      larger.set(this.#open);
      this.#open = larger;
    }
    this.#open[scope.id] = 1;
    this.#scope = scope.id;
    this.#floor = scope.height;
    this.#reachable = true;
    this.#adopting = this.#values.kind[scope.condition] === KIND.differs;
  }

  #leave(scope: Scope): void {
    this.#open[scope.id] = 0;
    this.#height = scope.height;
    this.#facts.count = scope.facts;
    this.#loopFloor = scope.loopFloor;
  }

  #openBlock(isLoop: boolean, condition: number): void {
    if (this.#reader.byte() !== 0x40) this.#refuse('blockType');
    else this.#openScope(isLoop, condition);
  }

  #if(): void {
    const condition = this.#pop();
    this.#openBlock(false, condition);
    if (provesIfTrue(this.#values.kind[condition]!)) this.#facts.establish(condition, this.#epoch);
    // An opaque condition is never ZERO, so a scope knows whether it is an if.
  }

  #else(): void {
    const scope = this.#scopes[this.#depth - 1]!;
    if (scope.condition === ZERO || scope.inElse) {
      this.#refuse('malformed');
      return;
    }
    scope.thenFallsOut = this.#reachable;
    scope.inElse = true;
    this.#leave(scope);
    this.#enter(scope);
    if (provesIfFalse(this.#values.kind[scope.condition]!)) this.#facts.establish(scope.condition, this.#epoch);
  }

  #end(): void {
    const scope = this.#scopes[this.#depth - 1]!;
    const elseFallsOut = !scope.inElse || this.#reachable;
    const thenFallsOut = scope.inElse ? scope.thenFallsOut : this.#reachable;
    this.#leave(scope);
    this.#depth--;
    this.#reachable = true;
    if (this.#depth === 0) return;
    const outer = this.#scopes[this.#depth - 1]!;
    this.#scope = outer.id;
    this.#floor = outer.height;
    if (this.#adopting) this.#adopt(scope);
    this.#adopting = this.#values.kind[outer.condition] === KIND.differs;
    if (scope.condition === ZERO || scope.targeted) return;
    // What comes behind an if of which one arm never arrives there knows that the other one was taken.
    const kind = this.#values.kind[scope.condition]!;
    if (provesIfFalse(kind) && !thenFallsOut) this.#facts.establish(scope.condition, this.#epoch);
    if (provesIfTrue(kind) && !elseFallsOut) this.#facts.establish(scope.condition, this.#epoch);
  }

  #branch(label: number): void {
    const scope = this.#scopes[this.#depth - 1 - label];
    if (scope === undefined || label >= this.#depth) this.#refuse('index');
    else scope.targeted = true;
  }

  // ---- memory ----

  /** Checks an access of `bytes` at `address` and reads its memory argument. Answers the value a load gives. */
  #access(address: number, bytes: number, access: Access, code: number): number {
    const reader = this.#reader;
    const align = reader.u32();
    const offset = reader.u32();
    if (align > 4) return this.#refuse('malformed'); // larger ones select another memory
    switch (this.#values.kind[address]) {
      case KIND.state:
        return this.#accessState(offset, bytes, access, code);
      case KIND.entry:
        return this.#loadEntry(address, offset, access, code);
      case KIND.host:
        this.#accessGuest(address, offset, bytes, access);
        return this.#values.opaque();
      default:
        return this.#refuse('address');
    }
  }

  #accessGuest(host: number, offset: number, bytes: number, access: Access): void {
    const { kind, a, b } = this.#values;
    const addend = b[host]!;
    if (kind[addend] !== KIND.local) {
      this.#refused ??= this.#facts.refusal(host, offset, bytes, access, this.#epoch);
      return;
    }
    const found = this.#facts.rememberedFor(host, offset, bytes, this.#epoch);
    if (typeof found === 'string') {
      this.#refuse(found);
      return;
    }
    const [page, room] = found;
    const since = Math.min(b[page]!, b[addend]!, b[room]!);
    if (since <= this.#epochTime) this.#refuse('stale');
    else if (!this.#remembered.use(a[page]!, a[addend]!, a[room]!, since, access)) this.#refuse('remembered');
  }

  #accessState(offset: number, bytes: number, access: Access, code: number): number {
    if (access === ACCESS.write) {
      if (offset + bytes > STATE_BYTES || !mayStoreToState(offset, bytes)) this.#refuse('stateStore');
    } else if (offset + bytes > STATE_BYTES) this.#refuse('stateLoad');
    const isTlb = code === 0x28 && (offset === STATE.tlb || offset === STATE.tlbUser);
    return isTlb ? this.#values.tlb() : this.#values.opaque();
  }

  #loadEntry(entry: number, offset: number, access: Access, code: number): number {
    if (access === ACCESS.write) return this.#refuse('tlbField');
    if (code === 0x29 && offset === TLB.readTag) return this.#values.make(KIND.tag, entry, this.#epoch << 1);
    if (code === 0x29 && offset === TLB.writeTag) return this.#values.make(KIND.tag, entry, (this.#epoch << 1) | 1);
    if (code === 0x28 && offset === TLB.addend) return this.#values.make(KIND.addend, entry, this.#epoch);
    return this.#refuse('tlbField');
  }

  // ---- operators ----

  #operator(code: number): void {
    const reader = this.#reader;
    const values = this.#values;
    switch (code) {
      case 0x41: // i32.const
        this.#push(values.make(KIND.constant, reader.s32(), 0));
        return;
      case 0x42: {
        // i64.const
        const low = reader.s64();
        this.#push(values.constant64(low, reader.high));
        return;
      }
      case 0x45: // i32.eqz
        this.#push(values.eqz32(this.#pop()));
        return;
      case 0xa7: // i32.wrap_i64
        this.#push(values.wrap(this.#pop()));
        return;
      case 0xfc:
      case 0xfd:
      case 0xfe:
        this.#prefixed(code, reader.u32());
        return;
      default:
        if (ACCESS_BYTES[code] !== 0) this.#plainAccess(code);
        else this.#control(code);
    }
  }

  #compute(operands: number): void {
    for (let i = 0; i < operands; i++) this.#pop();
    this.#push(this.#values.opaque());
  }

  #plainAccess(code: number): void {
    const bytes = ACCESS_BYTES[code]!;
    if (code < FIRST_STORE) {
      this.#push(this.#access(this.#pop(), bytes, ACCESS.read, code));
      return;
    }
    this.#pop();
    this.#access(this.#pop(), bytes, ACCESS.write, code);
  }

  #control(code: number): void {
    const reader = this.#reader;
    if (code <= 0x0f) this.#remembered.endStraightLine(); // blocks, branches and their like
    switch (code) {
      case 0x00: // unreachable
        this.#reachable = false;
        return;
      case 0x01: // nop
        return;
      case 0x02:
        this.#openBlock(false, ZERO);
        return;
      case 0x03:
        this.#openBlock(true, ZERO);
        return;
      case 0x04:
        this.#if();
        return;
      case 0x05:
        this.#else();
        return;
      case 0x0b:
        this.#end();
        return;
      case 0x0c: // br
        this.#branch(reader.u32());
        this.#reachable = false;
        return;
      case 0x0d: {
        // br_if
        const condition = this.#pop();
        this.#branch(reader.u32());
        if (provesIfFalse(this.#values.kind[condition]!)) this.#facts.establish(condition, this.#epoch);
        return;
      }
      case 0x0e: // br_table
        this.#pop();
        for (let labels = reader.u32() + 1; labels > 0 && !reader.failed; labels--) this.#branch(reader.u32());
        this.#reachable = false;
        return;
      case 0x0f: // return
        this.#reachable = false;
        return;
      case 0x10:
        this.#call(reader.u32());
        return;
      case 0x1a: // drop
        this.#pop();
        return;
      case 0x1b: // select
        this.#compute(3);
        return;
      case 0x43: // f32.const
        reader.skip(4);
        this.#push(this.#values.opaque());
        return;
      case 0x44: // f64.const
        reader.skip(8);
        this.#push(this.#values.opaque());
        return;
      default:
        this.#refuse('operator');
    }
  }

  #call(index: number): void {
    const callee = this.#callees[index];
    if (callee === undefined) {
      this.#refuse('callTarget');
      return;
    }
    for (let i = 1; i < callee.params; i++) this.#pop();
    if (this.#pop() !== STATE_BASE) this.#refuse('callArgument');
    for (let i = 0; i < callee.results; i++) this.#push(this.#values.opaque());
    this.#epoch++;
    this.#epochTime = ++this.#time;
    this.#remembered.call(this.#time);
  }

  #prefixed(prefix: number, sub: number): void {
    if (prefix === 0xfc && sub <= 7)
      this.#compute(1); // saturating truncations
    else if (prefix === 0xfd && sub <= 0xff) this.#vector(sub);
    else if (prefix === 0xfd && isFusedOperator(sub)) this.#compute(3);
    else if (prefix === 0xfe && sub <= 0x4e) this.#atomic(sub);
    else this.#refuse('operator');
  }

  #vector(sub: number): void {
    const reader = this.#reader;
    if (VECTOR_OPERANDS[sub] !== 0) this.#compute(VECTOR_OPERANDS[sub]!);
    else if (VECTOR_LANE_OPERANDS[sub] !== 0) {
      reader.byte();
      this.#compute(VECTOR_LANE_OPERANDS[sub]!);
    } else if (VECTOR_LOAD_BYTES[sub] !== 0) {
      this.#push(this.#access(this.#pop(), VECTOR_LOAD_BYTES[sub]!, ACCESS.read, -1));
    } else if (VECTOR_LANE_BYTES[sub] !== 0) {
      this.#pop();
      const access = sub >= FIRST_LANE_STORE ? ACCESS.write : ACCESS.read;
      const value = this.#access(this.#pop(), VECTOR_LANE_BYTES[sub]!, access, -1);
      reader.byte();
      if (access === ACCESS.read) this.#push(value);
    } else if (sub === 11) {
      // v128.store
      this.#pop();
      this.#access(this.#pop(), 16, ACCESS.write, -1);
    } else if (sub === 12 || sub === 13) {
      // v128.const, i8x16.shuffle
      reader.skip(16);
      this.#compute(sub === 12 ? 0 : 2);
    } else this.#refuse('operator');
  }

  #atomic(sub: number): void {
    const bytes = ATOMIC_BYTES[sub]!;
    if (sub === 3)
      this.#reader.byte(); // fence
    else if (bytes === 0) this.#refuse('operator');
    else if (sub < FIRST_ATOMIC.store) this.#push(this.#access(this.#pop(), bytes, ACCESS.read, -1));
    else {
      if (sub >= FIRST_ATOMIC.compareExchange) this.#pop();
      this.#pop();
      const value = this.#access(this.#pop(), bytes, ACCESS.write, -1);
      if (sub >= FIRST_ATOMIC.readModifyWrite) this.#push(value);
    }
  }
}
