/**
 * The interpreter's reading of the semantics, as a function per handler: `(state, record, pc) -> exit reason`. Register
 * slots and immediates come from the pre-decoded record, registers and flags live in the state block.
 */
import { assert } from '../../bus/assert.js';
import type { Instruction } from '../isa/instruction.js';
import type { Reg } from '../isa/operand.js';
import { mayStoreToState } from '../jit/scanner/state-fields.js';
import { MEMORY_KINDS, type MemoryKind } from '../memory-kinds.js';
import { type AccessOptions, type FlagName, type HelperName, Ops } from '../ops.js';
import { EXIT, EXIT_AFTER, type ExitReason, SLOT_SP, STATE, TLB } from '../state.js';
import { type FunctionBody, i32, i64, type Val } from '../wasm/body.js';
import { FLAGS, type FlagOperation, flagSource } from './flag-sources.js';
import { RECORD, registerOffset } from './record.js';

const SCALAR_KIND = { i32: 'u32', i64: 'u64', f32: 'f32', f64: 'f64' } as const;

/** Looks up the function index of an imported helper. */
export type HelperIndex = (name: HelperName) => number;

/** Bits of the `access` argument of the slow-path helpers. */
export const ACCESS = {
  sizeLog2Mask: 7,
  write: 8,
  user: 16,
  aligned: 32,
  ordered: 64,
  modify: 128,
  elementShift: 8,
  element: 1 << 10,
} as const;

/** Packs an access description for the slow-path helpers. */
export function accessBits(bytes: number, write: boolean, options: AccessOptions | undefined): number {
  return (
    Math.log2(bytes) |
    (write ? ACCESS.write : 0) |
    (options?.user === true ? ACCESS.user : 0) |
    (options?.aligned === true ? ACCESS.aligned : 0) |
    (options?.ordered === true ? ACCESS.ordered : 0) |
    (options?.modify === true ? ACCESS.modify : 0) |
    (options?.element === undefined ? 0 : ACCESS.element)
  );
}

/**
 * Emits the look-up of `va` in a TLB bank. Leaves the TLB entry's address in `entry` and returns the i32 condition "the
 * access may be done directly". An access that crosses a page, or is unaligned where it must not be, does not match.
 */
export function emitTlbLookup(
  k: Ops,
  va: Val,
  bytes: number,
  write: boolean,
  options: AccessOptions | undefined,
  tlb: Val,
): { readonly hit: Val; readonly entry: Val } {
  // Page number times entry size with a single shift: the mask cuts the page offset's bits off.
  const index = k.wrap(k.shrU(va, i64(12 - TLB.entryBytesLog2)));
  const entry = k.add(tlb, k.and(index, i32(((1 << TLB.entriesLog2) - 1) << TLB.entryBytesLog2)));
  let page: Val;
  if (options?.aligned === true || bytes === 1) page = k.and(va, i64(~0xfffn | BigInt(bytes - 1)));
  else page = k.and(k.add(va, i64(bytes - 1)), i64(~0xfffn));
  const tag = k.body.load(0x29, 'i64', 3, entry, write ? TLB.writeTag : TLB.readTag);
  return { hit: k.eq(page, tag), entry };
}

/** Host address of a TLB hit. */
export function emitHostAddress(k: Ops, va: Val, entry: Val): Val {
  return k.add(k.wrap(va), k.body.load(0x28, 'i32', 2, entry, TLB.addend));
}

/** See the head of this file. Parameters of the function: state, record, pc. */
export class HandlerOps extends Ops {
  readonly state: Val;
  readonly record: Val;
  readonly #pc: Val;
  readonly #helperIndex: HelperIndex;
  /** Record offsets of the register operands read so far in this instruction. */
  readonly readRegisters = new Set<number>();
  /** Record offsets of the register operands written in this instruction. */
  readonly writtenRegisters = new Set<number>();
  /** Record offsets of those that are written on some ways through it only. */
  readonly conditionalRegisters = new Set<number>();
  /** Whether this instruction may leave generated code as completed before its end. */
  exitsAfter = false;
  /** Largest `plus` of a vector register access in this instruction. */
  vectorPlus = 0;
  /** Whether this instruction writes X30 as its link register. */
  writesLink = false;
  /** Whether compiled code leaves this instruction to its handler: it calls a helper on every path, or writes what only handlers may. */
  alwaysHelps = false;
  /** Record offset of the register operand used as the base of an address, or -1. */
  baseRegister = -1;
  /** Whether this instruction writes guest memory by `store` or `storePair`. */
  storesMemory = false;
  /** Bit n: this instruction sets the condition flags, as generated regions keep them (flag-sources.ts), to kind n. */
  flagSources = 0;
  /** Whether this instruction reads the condition flags. */
  readsFlags = false;

  constructor(body: FunctionBody, helperIndex: HelperIndex) {
    super(body);
    this.#helperIndex = helperIndex;
    this.state = body.param(0, 'i32');
    this.record = body.param(1, 'i32');
    this.#pc = body.param(2, 'i64');
  }

  /** Emits one instruction, operands taken from the record, ending with the step to the next one. */
  runInstruction(entry: Instruction, variants: Readonly<Record<string, number>>): void {
    this.left = false;
    this.readRegisters.clear();
    this.writtenRegisters.clear();
    this.conditionalRegisters.clear();
    this.exitsAfter = false;
    this.vectorPlus = 0;
    this.writesLink = false;
    this.alwaysHelps = false;
    this.baseRegister = -1;
    this.storesMemory = false;
    this.flagSources = 0;
    this.readsFlags = false;
    if (entry.fp) {
      this.if(this.stateLoad('u32', STATE.fpTrap), () => this.exit(EXIT.fpTrap));
    }
    const operands: Record<string, number | Reg | Val> = { ...variants };
    entry.registers.forEach(({ name, kind }, i) => {
      operands[name] = { kind, at: registerOffset(i) };
    });
    const [first, second] = entry.immediates;
    if (first !== undefined) {
      operands[first.name] = this.#immediate(second === undefined ? 0x29 : 0x34, RECORD.immediate);
    }
    if (second !== undefined) operands[second.name] = this.#immediate(0x34, RECORD.immediate + 4);
    // WHY: `run` was declared with exactly these operand names; instruction() checked them against the pattern.
    entry.run(operands as never, this);
    this.finishInstruction();
  }

  /** Emits the step to the next instruction. */
  protected finishInstruction(): void {
    if (!this.left) this.body.return(i32(EXIT.next));
    else this.body.unreachable();
  }

  #immediate(code: number, offset: number): Val {
    return this.body.load(code, 'i64', code === 0x29 ? 3 : 2, this.record, offset);
  }

  /** Byte address (state + slot * size) of a register operand. */
  #slot(r: Reg, log2: number, plus = 0): Val {
    let slot = this.body.load(0x2d, 'i32', 0, this.record, r.at);
    if (plus !== 0) slot = this.and(this.add(slot, i32(plus)), i32(31));
    return this.add(this.state, this.shl(slot, i32(log2)));
  }

  reg(r: Reg): Val {
    this.readRegisters.add(r.at);
    return this.body.load(0x29, 'i64', 3, this.#slot(r, 3), 0);
  }
  base(r: Reg): Val {
    this.baseRegister = r.at;
    const value = this.reg(r);
    if (r.kind !== 'xsp') return value;
    const isSp = this.eq(this.body.load(0x2d, 'i32', 0, this.record, r.at), i32(SLOT_SP));
    const misaligned = this.and(this.wrap(value), i32(15));
    this.if(this.select(isSp, misaligned, i32(0)), () => this.#faulting('checkSpAlignment', [this.state]));
    return value;
  }
  setReg(r: Reg, value: Val): void {
    this.#noteWrite(r);
    this.body.store(0x37, 3, this.#slot(r, 3), value, 0);
    // An operand both read and written is given the zero slot for number 31, so the slot must be zero again.
    if (r.kind === 'x' && this.readRegisters.has(r.at)) this.stateStore('u64', STATE.zero, i64(0));
  }
  #noteWrite(r: Reg): void {
    this.writtenRegisters.add(r.at);
    if (this.body.depth > 0) this.conditionalRegisters.add(r.at);
  }
  vreg(r: Reg, plus = 0): Val {
    this.readRegisters.add(r.at);
    this.vectorPlus = Math.max(this.vectorPlus, plus);
    return this.body.load(0xfd0000, 'v128', 4, this.#slot(r, 4, plus), STATE.v);
  }
  override vscalar(r: Reg, type: 'i32' | 'i64' | 'f32' | 'f64'): Val {
    this.readRegisters.add(r.at);
    const { load } = MEMORY_KINDS[SCALAR_KIND[type]];
    return this.body.load(load, type, 2, this.#slot(r, 4), STATE.v);
  }
  setVreg(r: Reg, value: Val, plus = 0): void {
    this.#noteWrite(r);
    this.vectorPlus = Math.max(this.vectorPlus, plus);
    this.body.store(0xfd000b, 4, this.#slot(r, 4, plus), value, STATE.v);
  }
  setLink(value: Val): void {
    this.writesLink = true;
    this.stateStore('u64', 30 * 8, value);
  }
  pc(): Val {
    return this.#pc;
  }
  flag(name: FlagName): Val {
    this.readsFlags = true;
    return this.stateLoad(name === 'flagC' ? 'u32' : 'u64', STATE[name]);
  }
  setFlag(name: FlagName, value: Val): void {
    this.flagSources |= 1 << FLAGS.split;
    this.stateStore(name === 'flagC' ? 'u32' : 'u64', STATE[name], value);
  }

  // The flags are the same as without these overrides: they only note where they come from.
  override addSetFlags(a: Val, b: Val): Val {
    return this.#flagsFrom('add', a, () => super.addSetFlags(a, b));
  }
  override subSetFlags(a: Val, b: Val): Val {
    return this.#flagsFrom('sub', a, () => super.subSetFlags(a, b));
  }
  override setLogicFlags(result: Val): void {
    this.#flagsFrom('logic', result, () => super.setLogicFlags(result));
  }
  override compareIf(condition: Val, subtract: boolean, a: Val, b: Val, nzcv: Val): void {
    this.#flagsFrom(subtract ? 'sub' : 'add', a, () => super.compareIf(condition, subtract, a, b, nzcv));
    this.flagSources |= 1 << FLAGS.packed;
  }
  #flagsFrom<T>(operation: FlagOperation, operand: Val, emit: () => T): T {
    const before = this.flagSources;
    const result = emit();
    this.flagSources = before | (1 << flagSource(operation, operand.type));
    return result;
  }

  /** Calls a helper and leaves with an exception if it reports one. */
  #faulting(name: HelperName, args: readonly Val[]): void {
    const status = this.body.call(this.#helperIndex(name), args, 'i32');
    this.body.openIf(status);
    this.leave(EXIT.exception);
    this.body.end();
  }

  #tlbBank(options: AccessOptions | undefined): Val {
    return this.stateLoad('u32', options?.user === true ? STATE.tlbUser : STATE.tlb);
  }

  hostAddress(va: Val, bytes: number, write: boolean, options?: AccessOptions): Val {
    const address = this.variable('i32');
    const { hit, entry } = emitTlbLookup(this, va, bytes, write, options, this.#tlbBank(options));
    this.if(
      hit,
      () => this.assign(address, emitHostAddress(this, va, entry)),
      () => {
        this.#slowCall('probe', va, accessBits(bytes, write, options));
        this.assign(address, this.scratch('u32'));
      },
    );
    return address;
  }

  #slowCall(name: HelperName, va: Val, access: number, element?: Val): void {
    const high = this.wrap(this.shrU(va, i64(32)));
    const bits =
      element === undefined ? i32(access) : this.or(i32(access), this.shl(element, i32(ACCESS.elementShift)));
    this.#faulting(name, [this.state, this.wrap(va), high, bits]);
  }

  load(kind: MemoryKind, va: Val, options?: AccessOptions): Val {
    const { load, type, bytes, alignLog2 } = MEMORY_KINDS[kind];
    const value = this.variable(type);
    const { hit, entry } = emitTlbLookup(this, va, bytes, false, options, this.#tlbBank(options));
    this.if(
      hit,
      () => {
        const address = emitHostAddress(this, va, entry);
        if (options?.ordered === true) this.assign(value, this.atomicLoadAs(kind, address));
        else this.assign(value, this.body.load(load, type, alignLog2, address, 0));
      },
      () => {
        this.#slowCall('loadSlow', va, accessBits(bytes, false, options), options?.element);
        this.assign(value, this.scratch(kind));
      },
    );
    return value;
  }

  store(kind: MemoryKind, va: Val, value: Val, options?: AccessOptions): void {
    this.storesMemory = true;
    const { store, bytes, alignLog2 } = MEMORY_KINDS[kind];
    const { hit, entry } = emitTlbLookup(this, va, bytes, true, options, this.#tlbBank(options));
    this.if(
      hit,
      () => {
        const address = emitHostAddress(this, va, entry);
        if (options?.ordered === true) this.atomicStore(Math.log2(bytes), address, value);
        else this.body.store(store, alignLog2, address, value, 0);
      },
      () => {
        this.stateStore(kind, STATE.scratch, value);
        this.#slowCall('storeSlow', va, accessBits(bytes, true, options), options?.element);
      },
    );
  }

  loadPair(kind: MemoryKind, va: Val, options?: AccessOptions): readonly [Val, Val] {
    const { load, type, bytes, alignLog2 } = MEMORY_KINDS[kind];
    const first = this.variable(type);
    const second = this.variable(type);
    const { hit, entry } = emitTlbLookup(this, va, bytes * 2, false, options, this.#tlbBank(options));
    this.if(
      hit,
      () => {
        const address = emitHostAddress(this, va, entry);
        this.assign(first, this.body.load(load, type, alignLog2, address, 0));
        this.assign(second, this.body.load(load, type, alignLog2, address, bytes));
      },
      () => {
        this.#slowCall('loadSlow', va, accessBits(bytes, false, options));
        this.assign(first, this.scratch(kind));
        this.#slowCall('loadSlow', this.add(va, i64(bytes)), accessBits(bytes, false, options));
        this.assign(second, this.scratch(kind));
      },
    );
    return [first, second];
  }

  storePair(kind: MemoryKind, va: Val, first: Val, second: Val, options?: AccessOptions): void {
    this.storesMemory = true;
    const { store, bytes, alignLog2 } = MEMORY_KINDS[kind];
    const { hit, entry } = emitTlbLookup(this, va, bytes * 2, true, options, this.#tlbBank(options));
    this.if(
      hit,
      () => {
        const address = emitHostAddress(this, va, entry);
        this.body.store(store, alignLog2, address, first, 0);
        this.body.store(store, alignLog2, address, second, bytes);
      },
      () => {
        this.#slowCall('checkStorePair', va, accessBits(bytes, true, options)); // nothing is written if either half faults
        this.stateStore(kind, STATE.scratch, first);
        this.#slowCall('storeSlow', va, accessBits(bytes, true, options));
        this.stateStore(kind, STATE.scratch, second);
        this.#slowCall('storeSlow', this.add(va, i64(bytes)), accessBits(bytes, true, options));
      },
    );
  }

  /** Leaves for `reason`; STATE.pc already holds what it should, or the caller of the handler stores it. */
  protected leave(reason: ExitReason): void {
    this.body.return(i32(reason));
  }

  jump(offset: Val): void {
    this.jumpTo(this.add(this.pc(), offset), 'jump');
  }
  branchIf(condition: Val, offset: Val): void {
    this.if(condition, () => this.jump(offset));
  }
  call(offset: Val): void {
    const here = this.pc();
    this.setLink(this.add(here, i64(4)));
    this.jump(offset);
  }
  jumpTo(target: Val, _role: 'jump' | 'call' | 'return'): void {
    this.stateStore('u64', STATE.pc, target);
    this.leave(EXIT.jumped);
    this.left = true;
  }
  exit(reason: ExitReason, info?: Val): void {
    if (info !== undefined) this.stateStore('u64', STATE.exitInfo, info);
    this.leave(reason);
    this.left = true;
  }
  exitAfter(reason: ExitReason): void {
    assert(reason >= EXIT_AFTER, 'exitAfter takes a reason that leaves pc at the next instruction');
    this.exitsAfter = true;
    this.stateStore('u64', STATE.pc, this.add(this.pc(), i64(4)));
    this.exit(reason);
  }
  helper(name: HelperName, args: readonly Val[], mayFault = false): Val {
    if (this.body.depth === 0) this.alwaysHelps = true;
    if (mayFault) {
      this.#faulting(name, [this.state, ...args]);
      return i32(0);
    }
    return this.body.call(this.#helperIndex(name), [this.state, ...args], 'i32');
  }
  /** Fields that decide what the guest may reach are written by handlers alone: the scanner accepts no other code that does. */
  override stateStore(kind: MemoryKind, offset: number, value: Val): void {
    if (!mayStoreToState(offset, MEMORY_KINDS[kind].bytes)) this.alwaysHelps = true;
    super.stateStore(kind, offset, value);
  }
  pairLock(): Val {
    this.alwaysHelps = true;
    return this.stateLoad('u32', STATE.pairLock);
  }
  slowIf(condition: Val, slow: () => void): void {
    this.if(condition, slow);
  }
}
