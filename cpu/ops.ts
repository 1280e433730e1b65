/**
 * The operations that instruction semantics are written in. Semantics run once per translation and emit WebAssembly
 * through this interface; the interpreter generator and the JIT are its two implementations (interpreter/, jit/). They
 * differ only in the abstract members below: where operands come from, how flags and registers are kept, what happens
 * on a TLB miss, and how control moves. Everything else is shared here, so the two cannot disagree about arithmetic.
 *
 * A `Val` is a value computed at guest run time; it stays valid until the end of the instruction.
 */
import { assert } from '../bus/assert.js';
import type { FastBounds } from './isa/fp/fast-bounds.js';
import type { Reg } from './isa/operand.js';
import { MEMORY_KINDS, type MemoryKind } from './memory-kinds.js';
import { type ExitReason, STATE } from './state.js';
import { type FunctionBody, i32, i64, isConstant, type Val } from './wasm/body.js';
import type { ValueType } from './wasm/module.js';
import type { WasmOp } from './wasm/opcodes.js';

/**
 * Access modifiers: `user` translates as EL0 would (LDTR, STTR); `aligned` demands natural alignment; `ordered` adds
 * acquire or release; `modify`: a write that reads first;
 * `element`: log2 of the bytes that must be aligned together, where that is not the whole access (i32).
 */
export interface AccessOptions {
  readonly user?: boolean;
  readonly aligned?: boolean;
  readonly ordered?: boolean;
  readonly modify?: boolean;
  readonly element?: Val;
}

const isZero = (value: Val): boolean => isConstant(value) && BigInt(value.constant) === 0n;

/** Names of functions outside generated code; see helpers.ts for what each does. */
export type HelperName = string;

/** Split condition flags; see state.ts. */
export type FlagName = 'flagN' | 'flagZ' | 'flagC' | 'flagV';

const FOLD: Readonly<Record<string, (a: bigint, b: bigint, bits: bigint) => bigint>> = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  and: (a, b) => a & b,
  or: (a, b) => a | b,
  xor: (a, b) => a ^ b,
  mul: (a, b) => a * b,
  shl: (a, b, bits) => a << (b & (bits - 1n)),
};

/** Atomic read-modify-write operations WebAssembly has; opcodes of the i32 form, the others follow at fixed distances. */
const ATOMIC_RMW = { add: 0x1e, sub: 0x25, and: 0x2c, or: 0x33, xor: 0x3a, xchg: 0x41 } as const;
/** Name of an atomic read-modify-write operation. */
export type AtomicOp = keyof typeof ATOMIC_RMW;

/** Lanes of a vector of each scalar type. */
const LANE_SHAPE = { i32: 'i32x4', i64: 'i64x2', f32: 'f32x4', f64: 'f64x2' } as const;

/** See the head of this file. */
export abstract class Ops {
  readonly body: FunctionBody;
  /** Whether control has left the instruction on every path emitted so far. */
  protected left = false;

  constructor(body: FunctionBody) {
    this.body = body;
  }

  // ---- what the two readers implement ----

  /** Base address of the vCPU's state block, as an i32 value. */
  abstract readonly state: Val;
  /** The 64-bit value of a general register (or zero, or the stack pointer, by the operand's kind). */
  abstract reg(r: Reg): Val;
  /** Whether two operands are known to be the same register while code is emitted. */
  areSame(_a: Reg, _b: Reg): boolean {
    return false;
  }
  /** A register as the base of an address: as {@link reg}, and a misaligned stack pointer is an exception (Arm ARM D1.8.2). */
  abstract base(r: Reg): Val;
  /** Writes a general register; `value` is i64. */
  abstract setReg(r: Reg, value: Val): void;
  /** The 128-bit value of SIMD&FP register number r + `plus` (modulo 32). */
  abstract vreg(r: Reg, plus?: number): Val;
  /** Writes all 128 bits of SIMD&FP register r + `plus` (modulo 32). */
  abstract setVreg(r: Reg, value: Val, plus?: number): void;
  /** The lowest lane of SIMD&FP register r as a scalar of `type`. */
  vscalar(r: Reg, type: 'i32' | 'i64' | 'f32' | 'f64'): Val {
    return this.body.lane(`${LANE_SHAPE[type]}.extract_lane`, 0, this.vreg(r));
  }
  /** Writes a scalar to the lowest lane of SIMD&FP register r and zero to the rest. */
  setVscalar(r: Reg, value: Val): void {
    assert(value.type !== 'v128', 'a scalar is not a vector');
    const zero: Val = { type: 'v128', local: -1, constant: 0 };
    this.setVreg(r, this.body.lane(`${LANE_SHAPE[value.type]}.replace_lane`, 0, zero, value));
  }
  /** Writes X30. */
  abstract setLink(value: Val): void;
  /** Address of this instruction, i64. */
  abstract pc(): Val;
  /** Reads one split flag (flagC is i32, the others i64). */
  abstract flag(name: FlagName): Val;
  /** Writes one split flag. */
  abstract setFlag(name: FlagName, value: Val): void;
  /** Tells that the flags just set describe a comparison of `a` with `b`, floats that are not NaN in generated regions. */
  noteFloatCompare(_a: Val, _b: Val): void {}
  /** Evaluates condition code 0..15 (Arm ARM C1.2.4) as i32 0 or 1. */
  condition(code: number): Val {
    return this.conditionFromFlags(code);
  }
  /** Address in the shared memory of a guest access that may be done there directly; otherwise does not continue. */
  abstract hostAddress(va: Val, bytes: number, write: boolean, options?: AccessOptions): Val;
  /** Reads guest memory. The result has the kind's type. */
  abstract load(kind: MemoryKind, va: Val, options?: AccessOptions): Val;
  /** Writes guest memory. */
  abstract store(kind: MemoryKind, va: Val, value: Val, options?: AccessOptions): void;
  /** Reads two adjacent elements of the same kind; both are read before either is written anywhere. */
  abstract loadPair(kind: MemoryKind, va: Val, options?: AccessOptions): readonly [Val, Val];
  /** Writes two adjacent elements of the same kind. */
  abstract storePair(kind: MemoryKind, va: Val, first: Val, second: Val, options?: AccessOptions): void;
  /** Continues at pc + offset. */
  abstract jump(offset: Val): void;
  /** Continues at pc + offset if `condition` (i32) is not zero, else at the next instruction. */
  abstract branchIf(condition: Val, offset: Val): void;
  /** Continues at pc + offset after setting X30: a call. */
  abstract call(offset: Val): void;
  /** Continues at address `target`. `role` steers return prediction only. */
  abstract jumpTo(target: Val, role: 'jump' | 'call' | 'return'): void;
  /** Leaves generated code for `reason` with `pc` at this instruction; `info` goes to STATE.exitInfo. */
  abstract exit(reason: ExitReason, info?: Val): void;
  /** Leaves generated code after this instruction (`pc` at the next one), because the context may have changed. */
  abstract exitAfter(reason: ExitReason): void;
  /**
   * Calls a function outside generated code. The interpreter calls it; generated regions leave the instruction to the
   * interpreter instead, so nothing guest-visible may have changed before. Arguments and result are i32; wider values
   * pass through STATE.scratch. If `mayFault`, a non-zero result means an exception was recorded, and does not return.
   */
  abstract helper(name: HelperName, args: readonly Val[], mayFault?: boolean): Val;
  /**
   * Address of the lock word for 16-byte atomic accesses, shared by all vCPUs that share memory. An instruction that
   * takes it is always executed by its interpreter handler.
   */
  abstract pairLock(): Val;
  /** Where `condition` (i32) holds, runs `slow` in the interpreter; generated regions leave the instruction to it. */
  abstract slowIf(condition: Val, slow: () => void): void;

  // ---- emission shared by both ----

  /** Applies a WebAssembly operator. */
  op(name: WasmOp, ...args: readonly Val[]): Val {
    return this.body.op(name, ...args);
  }
  /** Applies a lane operator with its lane index. */
  lane(name: WasmOp, lane: number, ...args: readonly Val[]): Val {
    return this.body.lane(name, lane, ...args);
  }
  /** i8x16.shuffle with a constant pattern. */
  shuffle(a: Val, b: Val, lanes: readonly number[]): Val {
    return this.body.shuffle(a, b, lanes);
  }
  /** A v128 constant of 16 bytes. */
  v128(bytes: ArrayLike<number>): Val {
    return this.body.v128Const(bytes);
  }
  /** An i32 constant. */
  i32(value: number): Val {
    return i32(value);
  }
  /** An i64 constant. */
  i64(value: bigint | number): Val {
    return i64(value);
  }
  /** A constant of the integer type of `like`. */
  like(like: Val, value: bigint | number): Val {
    return like.type === 'i64' ? i64(value) : i32(Number(BigInt.asIntN(32, BigInt(value))));
  }

  #binary(name: string, a: Val, b: Val): Val {
    if (isConstant(a) && isConstant(b)) {
      const fold = FOLD[name];
      if (fold !== undefined)
        return this.like(a, fold(BigInt(a.constant), BigInt(b.constant), a.type === 'i64' ? 64n : 32n));
    }
    assert(a.type === b.type, `${name}: operands are ${a.type} and ${b.type}`);
    return this.body.op(`${a.type}.${name}` as WasmOp, a, b); // WHY: the table check in FunctionBody.op refuses unknown names
  }
  /** a + b. */
  add(a: Val, b: Val): Val {
    if (isZero(b)) return a;
    // Not of 32 bits: a host address stays a sum, whatever the guest's address is.
    if (a.type === 'i64' && isZero(a)) return b;
    return this.#binary('add', a, b);
  }
  /** a - b. */
  sub(a: Val, b: Val): Val {
    if (isZero(b)) return a;
    return this.#binary('sub', a, b);
  }
  /** a * b, low half. */
  mul(a: Val, b: Val): Val {
    return this.#binary('mul', a, b);
  }
  /** Bitwise and. */
  and(a: Val, b: Val): Val {
    return this.#binary('and', a, b);
  }
  /** Bitwise or. */
  or(a: Val, b: Val): Val {
    if (isZero(a)) return b;
    if (isZero(b)) return a;
    return this.#binary('or', a, b);
  }
  /** Bitwise exclusive or. */
  xor(a: Val, b: Val): Val {
    if (isZero(b)) return a;
    return this.#binary('xor', a, b);
  }
  /** Shift left, amount modulo the width. */
  shl(a: Val, b: Val): Val {
    if (isZero(b)) return a;
    return this.#binary('shl', a, b);
  }
  /** Logical shift right. */
  shrU(a: Val, b: Val): Val {
    if (isZero(b)) return a;
    return this.#binary('shr_u', a, b);
  }
  /** Arithmetic shift right. */
  shrS(a: Val, b: Val): Val {
    if (isZero(b)) return a;
    return this.#binary('shr_s', a, b);
  }
  /** Rotate right. */
  rotr(a: Val, b: Val): Val {
    return this.#binary('rotr', a, b);
  }
  /** Bitwise complement. */
  not(a: Val): Val {
    return this.xor(a, this.like(a, -1n));
  }
  /** 0 - a. */
  neg(a: Val): Val {
    return this.sub(this.like(a, 0), a);
  }
  /** Count of leading zeros. */
  clz(a: Val): Val {
    return this.body.op(a.type === 'i64' ? 'i64.clz' : 'i32.clz', a);
  }
  /** a == 0, as i32. */
  eqz(a: Val): Val {
    return this.body.op(a.type === 'i64' ? 'i64.eqz' : 'i32.eqz', a);
  }
  /** a == b, as i32. */
  eq(a: Val, b: Val): Val {
    return this.#binary('eq', a, b);
  }
  /** a != b, as i32. */
  ne(a: Val, b: Val): Val {
    return this.#binary('ne', a, b);
  }
  /** a < b unsigned, as i32. */
  ltU(a: Val, b: Val): Val {
    return this.#binary('lt_u', a, b);
  }
  /** a < b signed, as i32. */
  ltS(a: Val, b: Val): Val {
    return this.#binary('lt_s', a, b);
  }
  /** a >= b unsigned, as i32. */
  geU(a: Val, b: Val): Val {
    return this.#binary('ge_u', a, b);
  }
  /** a >= b signed, as i32. */
  geS(a: Val, b: Val): Val {
    return this.#binary('ge_s', a, b);
  }
  /** condition ? a : b, without a branch. */
  select(condition: Val, a: Val, b: Val): Val {
    if (a.type === 'v128') {
      const result = this.variable('v128', b);
      this.if(condition, () => this.assign(result, a));
      return result;
    }
    this.body.push(a);
    this.body.push(b);
    this.body.push(condition);
    this.body.rawOp(0x1b);
    return this.body.result(a.type);
  }
  /** Low 32 bits of an i64 (an i32 passes unchanged). */
  wrap(a: Val): Val {
    if (a.type === 'i32') return a;
    if (isConstant(a)) return i32(Number(BigInt.asIntN(32, BigInt(a.constant))));
    return this.body.op('i32.wrap_i64', a);
  }
  /** Zero-extends an i32 to i64 (an i64 passes unchanged). */
  extendU(a: Val): Val {
    if (a.type === 'i64') return a;
    if (isConstant(a)) return i64(BigInt.asUintN(32, BigInt(a.constant)));
    return this.body.op('i64.extend_i32_u', a);
  }
  /** Sign-extends an i32 to i64 (an i64 passes unchanged). */
  extendS(a: Val): Val {
    if (a.type === 'i64') return a;
    if (isConstant(a)) return i64(BigInt(a.constant));
    return this.body.op('i64.extend_i32_s', a);
  }
  /** A register operand at instruction width `sf` (1: i64, 0: its low half as i32). */
  regW(sf: number, r: Reg): Val {
    const value = this.reg(r);
    return sf === 1 ? value : this.wrap(value);
  }
  /** An immediate (i64) at width `sf`. */
  immW(sf: number, imm: Val): Val {
    return sf === 1 ? imm : this.wrap(imm);
  }
  /** Writes a register from a value of either width; a 32-bit value clears the upper half. */
  setRegW(r: Reg, value: Val): void {
    this.setReg(r, this.extendU(value));
  }

  /** A variable for use across `if`: assign with {@link assign}. */
  variable(type: ValueType, initial?: Val): Val {
    const target = this.body.temporary(type);
    if (initial !== undefined) this.body.assign(target, initial);
    return target;
  }
  /** Assigns to a variable. */
  assign(target: Val, value: Val): void {
    this.body.assign(target, value);
  }
  /** Copies a value so that a later change of its source does not show. */
  copy(value: Val): Val {
    return this.variable(value.type, value);
  }
  /** Emits a conditional; values made in an arm are valid only there. */
  if(condition: Val, then: () => void, otherwise?: () => void): void {
    const leftBefore = this.left;
    this.body.openIf(condition);
    then();
    const thenLeft = this.left;
    this.left = leftBefore;
    if (otherwise !== undefined) {
      this.body.openElse();
      otherwise();
    }
    this.body.end();
    this.left = leftBefore || (thenLeft && this.left);
  }
  /** Emits a loop that repeats `step` while the i32 it returns is not zero. */
  repeatWhile(step: () => Val): void {
    const top = this.body.loop();
    this.body.branchIf(step(), top);
    this.body.end();
  }

  // ---- flags ----

  /** Z, N from `result` at its own width (32-bit results are sign-extended first). */
  setNZ(result: Val): void {
    const wide = this.extendS(result);
    this.setFlag('flagN', wide);
    this.setFlag('flagZ', wide);
  }
  /** Flags of a logical operation: N and Z from the result, C and V clear. */
  setLogicFlags(result: Val): void {
    this.setNZ(result);
    this.setFlag('flagC', i32(0));
    this.setFlag('flagV', i64(0));
  }
  /** a + b, setting all flags. */
  addSetFlags(a: Val, b: Val): Val {
    const result = this.add(a, b);
    const copied = isZero(a) || isZero(b) ? this.copy(result) : result;
    const overflow = this.and(this.xor(a, copied), this.xor(b, copied));
    const carry = this.ltU(copied, a);
    this.setNZ(copied);
    this.setFlag('flagC', carry);
    this.setFlag('flagV', this.extendS(overflow));
    return copied;
  }
  /** a - b, setting all flags. */
  subSetFlags(a: Val, b: Val): Val {
    const result = this.sub(a, b);
    const overflow = this.and(this.xor(a, b), this.xor(a, result));
    const carry = this.geU(a, b);
    this.setNZ(result);
    this.setFlag('flagC', carry);
    this.setFlag('flagV', this.extendS(overflow));
    return result;
  }
  /** a + b + C; with `set`, sets all flags (AddWithCarry, Arm ARM shared/functions/integer). */
  addWithCarry(a: Val, b: Val, set: boolean): Val {
    const carryIn = this.flag('flagC');
    const wideCarry = a.type === 'i64' ? this.extendU(carryIn) : carryIn;
    const partial = this.add(a, b);
    const result = this.add(partial, wideCarry);
    if (set) {
      const carry = this.body.op('i32.or', this.ltU(partial, a), this.ltU(result, partial));
      const overflow = this.and(this.xor(a, result), this.xor(b, result));
      this.setNZ(result);
      this.setFlag('flagC', carry);
      this.setFlag('flagV', this.extendS(overflow));
    }
    return result;
  }
  /** NZCV packed in bits 31..28 of an i32. */
  packNzcv(): Val {
    const n = this.wrap(this.shrU(this.flag('flagN'), i64(63)));
    const z = this.eqz(this.flag('flagZ'));
    const v = this.wrap(this.shrU(this.flag('flagV'), i64(63)));
    const nz = this.or(this.shl(n, i32(31)), this.shl(z, i32(30)));
    return this.or(nz, this.or(this.shl(this.flag('flagC'), i32(29)), this.shl(v, i32(28))));
  }
  /** Sets the flags from NZCV packed in bits 31..28 of an i32. */
  unpackNzcv(packed: Val): void {
    this.setFlag('flagN', this.extendS(packed));
    this.setFlag('flagZ', this.extendU(this.eqz(this.and(packed, i32(1 << 30)))));
    this.setFlag('flagC', this.and(this.shrU(packed, i32(29)), i32(1)));
    this.setFlag('flagV', this.extendS(this.shl(packed, i32(3))));
  }
  /** Evaluates a condition from the split flags. */
  conditionFromFlags(code: number): Val {
    const positive = ((): Val => {
      switch (code >> 1) {
        case 0:
          return this.eqz(this.flag('flagZ'));
        case 1:
          return this.flag('flagC');
        case 2:
          return this.ltS(this.flag('flagN'), i64(0));
        case 3:
          return this.ltS(this.flag('flagV'), i64(0));
        case 4:
          return this.and(this.flag('flagC'), this.ne(this.flag('flagZ'), i64(0)));
        case 5:
          return this.geS(this.xor(this.flag('flagN'), this.flag('flagV')), i64(0));
        case 6:
          return this.and(
            this.geS(this.xor(this.flag('flagN'), this.flag('flagV')), i64(0)),
            this.ne(this.flag('flagZ'), i64(0)),
          );
        default:
          return i32(1);
      }
    })();
    return (code & 1) === 1 && code !== 15 ? this.eqz(positive) : positive;
  }

  /**
   * Evaluates a condition code that is a value (an immediate field): in generated regions it is a constant and costs
   * what {@link condition} costs, in the interpreter it is looked up among all eight conditions at run time.
   */
  conditionOf(code: Val): Val {
    if (isConstant(code)) return this.condition(Number(code.constant));
    const at = this.wrap(code);
    const n = this.wrap(this.shrU(this.flag('flagN'), i64(63)));
    const v = this.wrap(this.shrU(this.flag('flagV'), i64(63)));
    const nonzero = this.ne(this.flag('flagZ'), i64(0));
    const c = this.flag('flagC');
    const ge = this.eq(n, v);
    // Bit code >> 1 of `holds`: EQ, CS, MI, VS, HI, GE, GT, AL.
    let holds = this.or(this.eqz(nonzero), i32(0x80));
    [c, n, v, this.and(c, nonzero), ge, this.and(ge, nonzero)].forEach((bit, i) => {
      holds = this.or(holds, this.shl(bit, i32(i + 1)));
    });
    const positive = this.and(this.shrU(holds, this.shrU(at, i32(1))), i32(1));
    return this.xor(positive, this.and(at, this.ne(at, i32(15)))); // the odd code is the opposite, but 15 is AL too
  }
  /**
   * CCMP and CCMN: where `condition` (i32) holds, the flags describe `a - b` (`subtract`) or `a + b`; elsewhere they are
   * those in bits 31..28 of `nzcv` (i32). No flag is written inside a branch, so flags kept in locals stay simple.
   */
  compareIf(condition: Val, subtract: boolean, a: Val, b: Val, nzcv: Val): void {
    const holds = this.copy(condition); // it may be the carry flag itself
    const result = this.copy(subtract ? this.sub(a, b) : this.add(a, b));
    const carry = subtract ? this.geU(a, b) : this.ltU(result, a);
    const overflow = this.and(this.xor(a, subtract ? b : result), this.xor(subtract ? a : b, result));
    const wide = this.extendS(result);
    const notZero = this.extendU(this.eqz(this.and(nzcv, i32(1 << 30))));
    this.setFlag('flagN', this.select(holds, wide, this.extendS(nzcv)));
    this.setFlag('flagZ', this.select(holds, wide, notZero));
    this.setFlag('flagC', this.select(holds, carry, this.and(this.shrU(nzcv, i32(29)), i32(1))));
    this.setFlag('flagV', this.select(holds, this.extendS(overflow), this.extendS(this.shl(nzcv, i32(3)))));
  }

  // ---- state block and atomics ----

  /** Reads a field of the state block. */
  stateLoad(kind: MemoryKind, offset: number): Val {
    const { load, type, alignLog2 } = MEMORY_KINDS[kind];
    return this.body.load(load, type, alignLog2, this.state, offset);
  }
  /** Where they are at hand. */
  fastBounds(): FastBounds | undefined {
    return undefined;
  }
  /** Writes a field of the state block. */
  stateStore(kind: MemoryKind, offset: number, value: Val): void {
    const { store, alignLog2 } = MEMORY_KINDS[kind];
    this.body.store(store, alignLog2, this.state, value, offset);
  }
  /** Reads STATE.scratch, where helpers leave wide results. */
  scratch(kind: MemoryKind): Val {
    return this.stateLoad(kind, STATE.scratch);
  }
  /** Orders all earlier memory accesses before all later ones. */
  fence(): void {
    this.body.rawOp(0xfe000003);
    this.body.code.byte(0);
  }
  /** Atomic read-modify-write of 2^`log2` bytes at a host address; returns the old value (i64 for 8 bytes, else i32). */
  atomicRmw(op: AtomicOp, log2: number, address: Val, value: Val): Val {
    const code = ATOMIC_RMW[op] + [2, 3, 0, 1][log2]!;
    const operand = log2 === 3 ? value : this.wrap(value);
    this.body.push(address);
    this.body.push(operand);
    this.body.memory(0xfe000000 + code, log2, 0);
    return this.body.result(log2 === 3 ? 'i64' : 'i32');
  }
  /** Atomic compare-exchange of 2^`log2` bytes; returns the old value (i64 for 8 bytes, else i32). */
  atomicCompareExchange(log2: number, address: Val, expected: Val, value: Val): Val {
    const code = 0x48 + [2, 3, 0, 1][log2]!;
    const operands = log2 === 3 ? [expected, value] : [this.wrap(expected), this.wrap(value)];
    this.body.push(address);
    for (const operand of operands) this.body.push(operand);
    this.body.memory(0xfe000000 + code, log2, 0);
    return this.body.result(log2 === 3 ? 'i64' : 'i32');
  }
  /** Atomic (sequentially consistent) load of 2^`log2` bytes at a host address, zero-extended. */
  atomicLoad(log2: number, address: Val): Val {
    const code = [0x12, 0x13, 0x10, 0x11][log2]!;
    return this.body.load(0xfe000000 + code, log2 === 3 ? 'i64' : 'i32', log2, address, 0);
  }
  /** As {@link atomicLoad}, with the type of an (unsigned) access kind. */
  atomicLoadAs(kind: MemoryKind, address: Val): Val {
    const { bytes, type } = MEMORY_KINDS[kind];
    const value = this.atomicLoad(Math.log2(bytes), address);
    return type === 'i64' ? this.extendU(value) : value;
  }
  /** Atomic (sequentially consistent) store of 2^`log2` bytes at a host address. */
  atomicStore(log2: number, address: Val, value: Val): void {
    const code = [0x19, 0x1a, 0x17, 0x18][log2]!;
    this.body.store(0xfe000000 + code, log2, address, log2 === 3 ? value : this.wrap(value), 0);
  }
}
