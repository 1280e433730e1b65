/**
 * The JIT's reading of the semantics: guest registers and flags are WebAssembly locals, operands are constants, a TLB
 * miss leaves the region with the instruction still to do. Control flow is recorded as the block's terminator for the
 * region emitter.
 */
import { assert } from '../../bus/assert.js';
import { emitHostAddress, emitTlbLookup } from '../interpreter/handler-ops.js';
import type { FastBounds } from '../isa/fp/fast-bounds.js';
import type { Reg } from '../isa/operand.js';
import { MEMORY_KINDS, type MemoryKind } from '../memory-kinds.js';
import { type AccessOptions, type FlagName, type HelperName, Ops } from '../ops.js';
import { EXIT, EXIT_AFTER, type ExitReason, STATE, TLB } from '../state.js';
import { type FunctionBody, i32, i64, isConstant, type Val } from '../wasm/body.js';
import { baseRegisterOf, type LoopGuesses, type RememberedBases } from './loop-guesses.js';
import type { RegionInstruction } from './region.js';
import { type KnownFlags, RegionFlags } from './region-flags.js';
import { RegionFp } from './region-fp.js';
import { NO_REGISTERS, type RegisterSet } from './register-flow.js';
import type { SharedAddress } from './same-address.js';

/** How a block ends, as its last instruction's semantics said. Targets are page offsets. */
export type Terminator =
  | { readonly kind: 'next' }
  | { readonly kind: 'jump'; readonly target: number }
  | { readonly kind: 'branch'; readonly condition: Val; readonly target: number }
  | { readonly kind: 'indirect'; readonly target: Val }
  | { readonly kind: 'left' };

/** Accesses of more bytes than this (a pair of vectors) are not made through a remembered page. */
const REMEMBERED_BYTES_MAX = 32;
/** Offsets in a page at which an access of any size up to that may begin: value of `room` while a page is remembered. */
const ROOM = 4097 - REMEMBERED_BYTES_MAX;

/**
 * Locals of a page that is remembered across iterations. `room` is 0 while none is: `va - page < room` then holds for
 * no address whatever, which no choice of `page` alone could achieve, as any 64-bit address may be a guest's.
 */
export interface RememberedLocals {
  readonly page: Val;
  readonly addend: Val;
  readonly room: Val;
}

/** Which registers a region uses and writes: bit n of x for general registers (31: stack pointer), of v for vectors. */
export interface RegionRegisters {
  x: number;
  xWritten: number;
  v: number;
  vWritten: number;
  /** Bit n: the region sets the condition flags to kind n of flag-sources.ts. */
  flagSources: number;
}

/** Function index of the imported `step` in generated modules. */
export const STEP_IMPORT = 0;

/** See the head of this file. */
export class RegionOps extends Ops {
  readonly state: Val;
  /** Virtual address of the page, i64. */
  readonly page: Val;
  readonly budget: Val;
  readonly #tlb: Val;
  /** Only where there are vector registers. */
  readonly #fp: RegionFp | undefined;
  readonly #exitPc: Val;
  readonly #exitReason: Val;
  /** i32: the registers to store when the region is left by its slow exit, as masks. */
  readonly #exitX: Val;
  readonly #exitV: Val;
  /** What of the registers may differ from the state block here. */
  written: RegisterSet = NO_REGISTERS;
  readonly #x: (Val | undefined)[] = [];
  readonly #v: (Val | undefined)[] = [];
  readonly #flags: RegionFlags;
  readonly #registers: RegionRegisters;
  /** Locals of guest registers are the range [first, end). */
  readonly #firstRegister: number;
  readonly #endOfRegisters: number;
  /** By base register: locals that hold the page and addend of an access already checked in this block. */
  readonly #checkedLocals: ({ readonly page: Val; readonly addend: Val } | undefined)[] = [];
  /** By base register: whether its locals are set in this block, and for writing too. */
  readonly #checked: ('no' | 'read' | 'write')[] = new Array<'no' | 'read' | 'write'>(32).fill('no');
  /** The bases whose locals live across iterations of the loop that is being emitted. */
  #remembered: RememberedBases | undefined;
  /** Accesses of this loop that wait for a load of the round before. */
  #chain: ReadonlySet<RegionInstruction> | undefined;
  /** By base register of such an access, i32: the addend of its last one, most often that of the next one too. */
  readonly #addendGuesses: Val[] = [];
  #shared: ReadonlyMap<RegionInstruction, SharedAddress> | undefined;
  /** By strength and base register: a page checked for reading must never serve a store of another loop. */
  readonly #rememberedLocals = {
    read: new Map<number, RememberedLocals>(),
    write: new Map<number, RememberedLocals>(),
  };
  /** Temporary that holds an address, and the base register it was computed from. */
  #addressBase: { readonly local: number; readonly register: number } | undefined;
  #exitLabel = 0;
  #slowExitLabel = 0;
  #instruction: RegionInstruction | undefined;
  #instructionDepth = 0;
  /** What may have been written behind it. */
  #writtenBehind: RegisterSet | undefined;
  #pending: { readonly target: Val; readonly value: Val }[] = [];
  #terminator: Terminator = { kind: 'next' };

  constructor(body: FunctionBody, registers: RegionRegisters) {
    super(body);
    this.state = body.param(0, 'i32');
    this.#registers = registers;
    this.page = body.local('i64');
    this.budget = body.local('i32');
    this.#tlb = body.local('i32');
    this.#fp = registers.v === 0 ? undefined : new RegionFp(body);
    this.#exitPc = body.local('i64');
    this.#exitReason = body.local('i32');
    this.#exitX = body.local('i32');
    this.#exitV = body.local('i32');
    this.#firstRegister = this.#exitV.local + 1;
    for (let n = 0; n < 32; n++) {
      this.#x.push(((registers.x >>> n) & 1) === 1 ? body.local('i64') : undefined);
    }
    for (let n = 0; n < 32; n++) {
      this.#v.push(((registers.v >>> n) & 1) === 1 ? body.local('v128') : undefined);
    }
    this.#flags = new RegionFlags(this, body, registers.flagSources);
    this.#endOfRegisters = this.#firstRegister + this.#x.concat(this.#v).filter((local) => local !== undefined).length;
  }

  // ---- frame of the function ----

  /** Emits the entry, registers apart, and opens the blocks whose ends are the slow exit and the common one. */
  emitEntry(usesFp: boolean, loops: Iterable<LoopGuesses>, work: number): void {
    const { body } = this;
    this.assign(this.page, this.and(this.stateLoad('u64', STATE.pc), i64(~0xfffn)));
    this.assign(this.budget, this.add(this.stateLoad('u32', STATE.budget), i32(-work)));
    if (usesFp) {
      this.body.openIf(this.stateLoad('u32', STATE.fpTrap));
      body.return(i32(EXIT.step));
      body.end();
    }
    this.#reload();
    for (const { remembered } of loops) {
      for (const [base, strength] of remembered) this.#declareRemembered(base, strength);
    }
    this.#exitLabel = body.block();
    this.#slowExitLabel = body.block();
  }

  /** Loads `registers` from the state block. */
  loadRegisters(registers: RegisterSet): void {
    this.#x.forEach((local, n) => {
      if (local !== undefined && ((registers.x >>> n) & 1) === 1) this.assign(local, this.stateLoad('u64', n * 8));
    });
    this.#v.forEach((local, n) => {
      if (local === undefined || ((registers.v >>> n) & 1) === 0) return;
      this.assign(local, this.stateLoad('v128', STATE.v + n * 16));
    });
  }

  /** Byte offset in the page at which the region was entered, i32; before anything is executed. */
  entryOffset(): Val {
    const offset = this.body.local('i32');
    this.assign(offset, this.and(super.stateLoad('u32', STATE.pc), i32(0xfff)));
    return offset;
  }

  #reload(): void {
    this.assign(this.#tlb, super.stateLoad('u32', STATE.tlb));
    this.#fp?.reload(this, (offset) => super.stateLoad('u32', offset));
    this.#flags.setMemory();
  }

  /** Stores what may have been written of the registers in `registers`, each only where `condition`, if given, answers not zero. */
  #store(registers: RegisterSet, condition?: (mask: 'x' | 'v', n: number) => Val): void {
    const store = (file: 'x' | 'v', n: number, local: Val): void => {
      if (condition !== undefined) this.body.openIf(condition(file, n));
      if (file === 'x') this.stateStore('u64', n * 8, local);
      else this.stateStore('v128', STATE.v + n * 16, local);
      if (condition !== undefined) this.body.end();
    };
    this.#x.forEach((local, n) => {
      if (local !== undefined && ((registers.x >>> n) & 1) === 1) store('x', n, local);
    });
    this.#v.forEach((local, n) => {
      if (local !== undefined && ((registers.v >>> n) & 1) === 1) store('v', n, local);
    });
  }

  /** Emits the exits, one of which every path out of the region reaches. */
  emitExit(): void {
    this.body.end();
    const { xWritten, vWritten } = this.#registers;
    const mask = { x: this.#exitX, v: this.#exitV };
    this.#store({ x: xWritten, v: vWritten }, (file, n) => {
      this.body.resetTemporaries();
      return this.and(mask[file], i32(1 << n));
    });
    this.body.end();
    this.body.resetTemporaries();
    this.stateStore('u64', STATE.pc, this.#exitPc);
    this.#flags.store();
    this.stateStore('u32', STATE.budget, this.budget);
    this.body.return(this.#exitReason);
    this.body.unreachable();
  }

  /** Leaves the region for page offset `offset`: seldom, or for something slow. */
  leaveTo(offset: number, reason: ExitReason): void {
    const { x, v } = this.written;
    if (x !== 0) this.assign(this.#exitX, i32(x));
    if (v !== 0) this.assign(this.#exitV, i32(v));
    this.assign(this.#exitPc, this.add(this.page, i64(offset)));
    this.assign(this.#exitReason, i32(reason));
    this.body.branch(this.#slowExitLabel);
  }

  /** Goes on at `pc` outside of the region. */
  #goOnAt(pc: Val): void {
    this.#store(this.written);
    this.assign(this.#exitPc, pc);
    this.assign(this.#exitReason, i32(EXIT.next));
    this.body.branch(this.#exitLabel);
  }

  /** Goes on at page offset `offset`, outside of the region. */
  leaveFor(offset: number): void {
    this.#goOnAt(this.add(this.page, i64(offset)));
  }

  /** Takes `work` off the budget before a backward branch to `offset`; leaves when it is used up. */
  emitBudget(offset: number, work: number): void {
    this.assign(this.budget, this.add(this.budget, i32(-work)));
    this.body.openIf(this.op('i32.le_s', this.budget, i32(0)));
    this.leaveTo(offset, EXIT.pause);
    this.body.end();
  }

  /** Emits the computed exit of an indirect branch. */
  leaveIndirect(target: Val): void {
    this.#goOnAt(target);
  }

  /** What is known of the condition flags here. */
  get knownFlags(): KnownFlags | undefined {
    return this.#flags.known;
  }

  /** Begins a block at which every arrival has these flags (undefined: they may come from several places), and registers may have been written. */
  startBlock(
    guesses: LoopGuesses | undefined,
    flags: KnownFlags | undefined,
    written: RegisterSet,
    shared: ReadonlyMap<RegionInstruction, SharedAddress>,
  ): void {
    this.written = written;
    this.#shared = shared;
    this.#flags.known = flags;
    this.#remembered = guesses?.remembered;
    this.#chain = guesses?.chain;
    this.#forgetChecks();
  }

  /** All of them are declared at the entry, so that every call of a handler can forget them; they begin as zero. */
  #declareRemembered(base: number, strength: 'read' | 'write'): void {
    if (this.#rememberedLocals[strength].has(base)) return;
    const { body } = this;
    const locals = { page: body.local('i64'), addend: body.local('i32'), room: body.local('i64') };
    this.#rememberedLocals[strength].set(base, locals);
  }

  /** Forgets remembered pages: the TLB may have changed. Nothing may come between the call that did it and this. */
  forgetPages(): void {
    for (const strength of ['read', 'write'] as const) {
      for (const { room } of this.#rememberedLocals[strength].values()) this.assign(room, i64(0));
    }
  }

  #forgetChecks(): void {
    this.#checked.fill('no');
  }

  // ---- one instruction ----

  /** Emits one instruction, behind which `written` may have been written, and returns how control goes on. */
  runInstruction(instruction: RegionInstruction, written: RegisterSet): Terminator {
    this.#instruction = instruction;
    this.#writtenBehind = written;
    this.#instructionDepth = this.body.depth;
    this.#terminator = { kind: 'next' };
    this.#addressBase = undefined;
    this.left = false;
    const { entry, fields } = instruction;
    const operands: Record<string, number | Reg | Val> = {};
    for (const variant of entry.variants) operands[variant.name] = fields[variant.name] ?? 0;
    for (const { name, kind, number } of entry.registers) operands[name] = { kind, at: number(fields) };
    for (const { name, compute } of entry.immediates) operands[name] = i64(compute(fields));
    // WHY: `run` was declared with exactly these operand names; instruction() checked them against the pattern.
    entry.run(operands as never, this);
    for (const { target, value } of this.#pending) this.assign(target, value);
    this.#pending = [];
    this.written = written;
    return this.left ? { kind: 'left' } : this.#terminator;
  }

  #offset(): number {
    return this.#instruction?.offset ?? 0;
  }

  reg(r: Reg): Val {
    if (r.at === 31 && r.kind === 'x') return i64(0);
    const local = this.#x[r.at];
    assert(local !== undefined, 'the register is in the region’s set');
    return local;
  }
  override areSame(a: Reg, b: Reg): boolean {
    return a.kind === b.kind && a.at === b.at;
  }
  base(r: Reg): Val {
    const value = this.reg(r);
    if (r.kind === 'xsp' && r.at === 31) this.slowIf(this.and(this.wrap(value), i32(15)), () => undefined);
    return value;
  }
  setReg(r: Reg, value: Val): void {
    if (r.at === 31 && r.kind === 'x') return;
    this.#write(this.#x[r.at], value);
  }
  /**
   * Register writes wait until the instruction's end, so that values read from registers stay what they were; inside
   * a conditional arm they must happen at once.
   */
  #write(target: Val | undefined, value: Val): void {
    assert(target !== undefined, 'the register is in the region’s set');
    if (this.body.depth === this.#instructionDepth) {
      // A value that is itself a register's local would show an earlier pending write of that register.
      const isRegister =
        (value.local >= this.#firstRegister && value.local < this.#endOfRegisters) || this.#flags.holds(value.local);
      this.#pending.push({ target, value: isRegister ? this.copy(value) : value });
    } else this.assign(target, value);
  }
  vreg(r: Reg, plus = 0): Val {
    const local = this.#v[(r.at + plus) & 31];
    assert(local !== undefined, 'the register is in the region’s set');
    return local;
  }
  setVreg(r: Reg, value: Val, plus = 0): void {
    this.#write(this.#v[(r.at + plus) & 31], value);
  }
  setLink(value: Val): void {
    this.#write(this.#x[30], value);
  }
  pc(): Val {
    return this.add(this.page, i64(this.#offset()));
  }
  flag(name: FlagName): Val {
    assert(this.body.depth === this.#instructionDepth, 'flags are read outside conditional arms');
    return this.#flags.get(name);
  }
  setFlag(name: FlagName, value: Val): void {
    this.#flags.setSplit(name, value);
  }
  override addSetFlags(a: Val, b: Val): Val {
    const result = this.add(a, b);
    this.#flags.set('add', a, b);
    return result;
  }
  override subSetFlags(a: Val, b: Val): Val {
    const result = this.sub(a, b);
    this.#flags.set('sub', a, b);
    return result;
  }
  override setLogicFlags(result: Val): void {
    this.#flags.set('logic', result, result);
  }
  override compareIf(condition: Val, subtract: boolean, a: Val, b: Val, nzcv: Val): void {
    assert(isConstant(nzcv), 'the flags of a conditional comparison are an immediate');
    this.#flags.setIf(condition, subtract ? 'sub' : 'add', a, b, Number(nzcv.constant));
  }
  override noteFloatCompare(a: Val, b: Val): void {
    this.#flags.noteFloat(a, b);
  }
  override condition(code: number): Val {
    return this.#flags.condition(code) ?? super.condition(code);
  }

  override stateLoad(kind: MemoryKind, offset: number): Val {
    return (kind === 'u32' ? this.#fp?.field(offset) : undefined) ?? super.stateLoad(kind, offset);
  }
  override fastBounds(): FastBounds | undefined {
    return this.#fp?.bounds;
  }

  // ---- memory ----

  /** Checks an access and returns its host address; a miss leaves the region before the instruction. */
  hostAddress(va: Val, bytes: number, write: boolean, options?: AccessOptions): Val {
    const tlb = options?.user === true ? this.stateLoad('u32', STATE.tlbUser) : this.#tlb;
    const { hit, entry } = emitTlbLookup(this, va, bytes, write, options, tlb);
    this.body.openIf(this.eqz(hit));
    this.leaveTo(this.#offset(), EXIT.step);
    this.body.end();
    return emitHostAddress(this, va, entry);
  }
  /** Notes which base register an address is made from, so that accesses off the same base share a check. */
  override add(a: Val, b: Val): Val {
    const sum = super.add(a, b);
    const register = this.#registerOf(a);
    if (register >= 0 && isConstant(b) && sum.local >= 0) this.#addressBase = { local: sum.local, register };
    return sum;
  }

  /** General register number whose local `value` is, or -1. */
  #registerOf(value: Val): number {
    return value.local >= 0 && value.type === 'i64' ? this.#x.findIndex((x) => x?.local === value.local) : -1;
  }

  /** Base register of an address: itself, or what a constant was added to; -1 for anything else. */
  #baseOf(va: Val): number {
    if (this.#addressBase !== undefined && this.#addressBase.local === va.local) return this.#addressBase.register;
    return this.#registerOf(va);
  }

  /**
   * Emits `access` with the host address of a guest access of `bytes` bytes. The first access off a base register in a
   * block is looked up in the TLB and its page kept in locals; later ones off the same base compare with that first,
   * which takes the TLB's loads out of their way. The comparison proves the whole access; the base is only a guess.
   */
  #access(
    va: Val,
    bytes: number,
    write: boolean,
    options: AccessOptions | undefined,
    access: (host: Val) => void,
  ): void {
    const base = options === undefined && this.body.depth === this.#instructionDepth ? this.#baseOf(va) : -1;
    const isChained = this.#instruction !== undefined && this.#chain?.has(this.#instruction) === true;
    if (base < 0) {
      const shared = this.#instruction === undefined ? undefined : this.#shared?.get(this.#instruction);
      if (options !== undefined || this.body.depth !== this.#instructionDepth || (shared === undefined && !isChained))
        access(this.hostAddress(va, bytes, write, options));
      else if (shared !== undefined) access(this.#sharedHost(shared, va, bytes));
      else access(this.add(this.wrap(va), this.guessAddend(this.checkedEntry(va, bytes, write))));
      return;
    }
    const strength = this.#remembered?.get(base);
    const remembered = strength === undefined ? undefined : this.#rememberedLocals[strength].get(base);
    if (remembered !== undefined && bytes <= REMEMBERED_BYTES_MAX && !(write && strength === 'read')) {
      this.if(
        this.isRemembered(va, remembered),
        () => access(this.add(this.wrap(va), remembered.addend)),
        () => {
          if (strength === 'write' && !write) access(this.hostAddress(va, bytes, false));
          else access(this.#checkAndRemember(va, bytes, write, remembered));
        },
      );
      return;
    }
    const locals = this.#localsOf(base);
    const known = this.#checked[base];
    if (known === 'write' || (known === 'read' && !write)) {
      // Both ends must lie in the page: comparing the last byte's page would let an access begin in the page before.
      this.if(
        this.ltU(this.sub(va, locals.page), i64(4097 - bytes)),
        () => access(this.add(this.wrap(va), locals.addend)),
        () => access(this.hostAddress(va, bytes, write)),
      );
      return;
    }
    this.#checked[base] = write ? 'write' : 'read';
    this.remember(va, this.checkedEntry(va, bytes, write), locals, isChained);
    access(this.add(this.wrap(va), locals.addend));
  }

  #sharedHost(shared: SharedAddress, va: Val, bytes: number): Val {
    if (shared.host !== undefined) return shared.host;
    shared.host = this.body.local('i32');
    this.assign(shared.host, emitHostAddress(this, va, this.checkedEntry(va, bytes, shared.writes)));
    return shared.host;
  }

  #localsOf(base: number): { readonly page: Val; readonly addend: Val } {
    const locals = this.#checkedLocals[base] ?? { page: this.body.local('i64'), addend: this.body.local('i32') };
    this.#checkedLocals[base] = locals;
    return locals;
  }

  /** Looks an access up in the TLB, keeps its page and addend in `locals`, and returns its host address. */
  #checkAndRemember(
    va: Val,
    bytes: number,
    write: boolean,
    locals: { readonly page: Val; readonly addend: Val; readonly room?: Val },
  ): Val {
    this.remember(va, this.checkedEntry(va, bytes, write), locals);
    return this.add(this.wrap(va), locals.addend);
  }

  // The steps of remembering are methods that test/isolation can replace by wrong ones.

  /** Whether an access of up to REMEMBERED_BYTES_MAX at `va` lies in the page in `locals`: false while there is none. */
  isRemembered(va: Val, locals: RememberedLocals): Val {
    return this.ltU(this.sub(va, locals.page), locals.room);
  }

  /** Address of the TLB entry that allows the access; a miss leaves the region before the instruction. */
  checkedEntry(va: Val, bytes: number, write: boolean): Val {
    const { hit, entry } = emitTlbLookup(this, va, bytes, write, undefined, this.#tlb);
    this.body.openIf(this.eqz(hit));
    this.leaveTo(this.#offset(), EXIT.step);
    this.body.end();
    return entry;
  }

  /** Keeps page and addend of a checked access; `guess`: the access itself need not wait for the addend. */
  remember(
    va: Val,
    entry: Val,
    locals: { readonly page: Val; readonly addend: Val; readonly room?: Val },
    guess = false,
  ): void {
    this.assign(locals.page, this.and(va, i64(~0xfffn)));
    this.assign(locals.addend, guess ? this.guessAddend(entry) : this.body.load(0x28, 'i32', 2, entry, TLB.addend));
    if (locals.room !== undefined) this.assign(locals.room, i64(ROOM));
  }

  /**
   * The addend of `entry` in a local that already holds it, most often: the processor goes on with that while the entry's
   * arrives for the comparison. A chain of pointers is otherwise as slow as two loads in a row.
   */
  guessAddend(entry: Val): Val {
    const base = this.#instruction === undefined ? 0 : baseRegisterOf(this.#instruction);
    const guess = this.#addendGuesses[base] ?? this.body.local('i32');
    this.#addendGuesses[base] = guess;
    const addend = this.body.load(0x28, 'i32', 2, entry, TLB.addend);
    this.body.openIf(this.ne(addend, guess));
    this.assign(guess, addend);
    this.body.end();
    return guess;
  }

  load(kind: MemoryKind, va: Val, options?: AccessOptions): Val {
    const { load, type, bytes, alignLog2 } = MEMORY_KINDS[kind];
    if (options?.ordered === true) return this.atomicLoadAs(kind, this.hostAddress(va, bytes, false, options));
    const value = this.variable(type);
    this.#access(va, bytes, false, options, (host) => {
      this.assign(value, this.body.load(load, type, alignLog2, host, 0));
    });
    return value;
  }
  store(kind: MemoryKind, va: Val, value: Val, options?: AccessOptions): void {
    const { store, bytes, alignLog2 } = MEMORY_KINDS[kind];
    if (options?.ordered === true) {
      this.atomicStore(Math.log2(bytes), this.hostAddress(va, bytes, true, options), value);
      return;
    }
    this.#access(va, bytes, true, options, (host) => this.body.store(store, alignLog2, host, value, 0));
  }
  loadPair(kind: MemoryKind, va: Val, options?: AccessOptions): readonly [Val, Val] {
    const { load, type, bytes, alignLog2 } = MEMORY_KINDS[kind];
    const first = this.variable(type);
    const second = this.variable(type);
    this.#access(va, bytes * 2, false, options, (host) => {
      this.assign(first, this.body.load(load, type, alignLog2, host, 0));
      this.assign(second, this.body.load(load, type, alignLog2, host, bytes));
    });
    return [first, second];
  }
  storePair(kind: MemoryKind, va: Val, first: Val, second: Val, options?: AccessOptions): void {
    const { store, bytes, alignLog2 } = MEMORY_KINDS[kind];
    this.#access(va, bytes * 2, true, options, (host) => {
      this.body.store(store, alignLog2, host, first, 0);
      this.body.store(store, alignLog2, host, second, bytes);
    });
  }

  // ---- control ----

  jump(offset: Val): void {
    this.#terminator = { kind: 'jump', target: this.#target(offset) };
  }
  branchIf(condition: Val, offset: Val): void {
    this.#terminator = { kind: 'branch', condition, target: this.#target(offset) };
  }
  call(offset: Val): void {
    this.setLink(this.add(this.pc(), i64(4)));
    this.jump(offset);
  }
  jumpTo(target: Val, _role: 'jump' | 'call' | 'return'): void {
    this.#terminator = { kind: 'indirect', target: this.copy(target) };
  }
  #target(offset: Val): number {
    assert(isConstant(offset), 'the offset of a direct branch is an immediate');
    return this.#offset() + Number(offset.constant);
  }
  exit(reason: ExitReason, info?: Val): void {
    if (info !== undefined) this.stateStore('u64', STATE.exitInfo, info);
    this.leaveTo(this.#offset(), reason);
    this.left = true;
  }
  exitAfter(reason: ExitReason): void {
    assert(reason >= EXIT_AFTER, 'exitAfter takes a reason that leaves pc at the next instruction');
    for (const { target, value } of this.#pending) this.assign(target, value);
    // Inside a conditional arm the writes are still to be done on the other path.
    if (this.body.depth === this.#instructionDepth) this.#pending = [];
    const before = this.written;
    this.written = this.#writtenBehind ?? before;
    this.leaveTo(this.#offset() + 4, reason);
    this.written = before;
    this.left = true;
  }

  /** On a path that needs a helper the instruction is left to its handler. What semantics emit after this is unreachable. */
  helper(_name: HelperName, _args: readonly Val[], _mayFault?: boolean): Val {
    this.leaveTo(this.#offset(), EXIT.step);
    this.left = true;
    return i32(0);
  }
  pairLock(): Val {
    return this.helper('pairLock', []);
  }
  slowIf(condition: Val, _slow: () => void): void {
    this.body.openIf(condition);
    this.leaveTo(this.#offset(), EXIT.step);
    this.body.end();
  }

  /** Emits an instruction as a call of its handler and goes on behind it, where `needed` is needed. */
  emitByHandler(offset: number, needed: RegisterSet): void {
    this.stateStore('u64', STATE.pc, this.add(this.page, i64(offset)));
    this.#store(this.written);
    this.#flags.store();
    this.stateStore('u32', STATE.budget, this.budget);
    this.written = NO_REGISTERS;
    const reason = this.body.call(STEP_IMPORT, [this.state], 'i32');
    this.forgetPages();
    this.body.openIf(reason);
    this.body.return(reason);
    this.body.end();
    this.#reload();
    this.loadRegisters(needed);
    // The handler may have taken long.
    this.assign(this.budget, super.stateLoad('u32', STATE.budget));
    this.#forgetChecks();
  }
}
