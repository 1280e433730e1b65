/**
 * Emits one WebAssembly function body. Every operation writes its result to a temporary local at once, so semantics are
 * written as straight code over values; the engine's optimiser turns locals back into plain data flow. Temporaries are
 * reused from instruction to instruction (`resetTemporaries`), named locals are not. What is read once and at once never gets a local
 * (temporaries.ts).
 */
import { assert } from '../../bus/assert.js';
import { ByteSink, TYPE_CODE, type ValueType } from './module.js';
import { WASM_OPS, type WasmOp } from './opcodes.js';
import { LOCALS_MAX, Temporaries } from './temporaries.js';

/** A value during emission: a local, or a constant not yet emitted (bigint for i64, number otherwise). */
export interface Val {
  readonly type: ValueType;
  /** Local index, or that of a temporary beyond all locals, or -1 for a constant. */
  readonly local: number;
  /** The constant; meaningless when `local >= 0`. */
  readonly constant: number | bigint;
}

/** An i32 constant. */
export const i32 = (value: number): Val => ({ type: 'i32', local: -1, constant: value | 0 });
/** An i64 constant. */
export const i64 = (value: bigint | number): Val => ({
  type: 'i64',
  local: -1,
  constant: BigInt.asIntN(64, BigInt(value)),
});
/** Whether `value` is a constant. */
export const isConstant = (value: Val): boolean => value.local < 0;

const SIGNATURE_TYPE: Readonly<Record<string, ValueType>> = { i: 'i32', l: 'i64', f: 'f32', d: 'f64', v: 'v128' };

/** Operators whose operands may change places: a temporary comes first, since its value may lie on the stack already. */
const COMMUTATIVE: ReadonlySet<string> = new Set<WasmOp>([
  ...(['i32.add', 'i32.mul', 'i32.and', 'i32.or', 'i32.xor', 'i32.eq', 'i32.ne'] as const),
  ...(['i64.add', 'i64.mul', 'i64.and', 'i64.or', 'i64.xor', 'i64.eq', 'i64.ne'] as const),
]);

/** Operators of one byte that may trap: divisions, and truncations of floats. */
const mayTrap = (code: number): boolean =>
  (code >= 0x6d && code <= 0x70) || (code >= 0x7f && code <= 0x82) || (code >= 0xa8 && code <= 0xb1);

interface OpShape {
  readonly code: number;
  /** It only makes a value: where nobody reads that it need not be there. */
  readonly isPure: boolean;
  readonly commutes: boolean;
  readonly result: ValueType;
  readonly lane: boolean;
}
const SHAPES = new Map<string, OpShape>(
  Object.entries(WASM_OPS).map(([name, [code, signature]]) => {
    const result = SIGNATURE_TYPE[signature.slice(signature.indexOf(':') + 1, signature.indexOf(':') + 2)];
    assert(result !== undefined, `operator ${name} has a result type`);
    const isPure = code <= 0xc4 && !mayTrap(code);
    return [name, { code, isPure, result, lane: signature.endsWith('#'), commutes: COMMUTATIVE.has(name) }];
  }),
);

const BLOCK_VOID = 0x40;

/** Whether `a` is a temporary and `b` is none. */
const comesFirst = (a: Val, b: Val): boolean => a.local >= LOCALS_MAX && b.local < LOCALS_MAX;

/** One function body under construction. */
export class FunctionBody {
  readonly code = new ByteSink();
  readonly #params: number;
  readonly #localTypes: ValueType[] = [];
  readonly #pools: Record<ValueType, Val[]> = { i32: [], i64: [], f32: [], f64: [], v128: [] };
  readonly #used: Record<ValueType, number> = { i32: 0, i64: 0, f32: 0, f64: 0, v128: 0 };
  readonly #temporaries = new Temporaries();
  readonly #temporaryTypes: ValueType[] = [];
  /** Locals for temporaries, of which the first are taken. */
  readonly #locals: Record<ValueType, number[]> = { i32: [], i64: [], f32: [], f64: [], v128: [] };
  readonly #taken: Record<ValueType, number> = { i32: 0, i64: 0, f32: 0, f64: 0, v128: 0 };
  /** Where the last `local.set` was written and of which local, for turning set+get into tee. */
  #lastSetAt = -1;
  #lastSetLocal = -1;
  /** Nesting depth of open blocks; labels are counted from here. */
  depth = 0;

  constructor(params: readonly ValueType[]) {
    this.#params = params.length;
  }

  /** Parameter `index` as a value. */
  param(index: number, type: ValueType): Val {
    return { type, local: index, constant: 0 };
  }

  /** A new named local. */
  local(type: ValueType): Val {
    const local = this.#params + this.#localTypes.push(type) - 1;
    assert(local < LOCALS_MAX, 'a function has few locals');
    return { type, local, constant: 0 };
  }

  /** A temporary, free again after {@link resetTemporaries}. */
  temporary(type: ValueType): Val {
    const pool = this.#pools[type];
    const index = this.#used[type]++;
    return pool[index] ?? (pool[index] = this.#newTemporary(type));
  }

  #newTemporary(type: ValueType): Val {
    this.#temporaryTypes.push(type);
    return { type, local: LOCALS_MAX + this.#temporaries.add(), constant: 0 };
  }

  /** A local for a temporary, until all are free. */
  readonly #takeLocal = (temporary: number): number => {
    const type = this.#temporaryTypes[temporary]!;
    const pool = this.#locals[type];
    const index = this.#taken[type]++;
    return pool[index] ?? (pool[index] = this.local(type).local);
  };

  #settle(): void {
    this.#temporaries.settle(this.code, this.#takeLocal);
    this.#taken.i32 = this.#taken.i64 = this.#taken.f32 = this.#taken.f64 = this.#taken.v128 = 0;
  }

  /** Frees all temporaries: call between guest instructions. */
  resetTemporaries(): void {
    this.#used.i32 = this.#used.i64 = this.#used.f32 = this.#used.f64 = this.#used.v128 = 0;
    this.#lastSetAt = -1;
    this.#settle();
  }

  /** Puts `value` on the operand stack. */
  push(value: Val): void {
    const code = this.code;
    if (value.local >= LOCALS_MAX) {
      this.#temporaries.get(value.local - LOCALS_MAX, code);
      this.#lastSetAt = -1;
      return;
    }
    this.#temporaries.push();
    if (value.local >= 0) {
      if (this.#lastSetLocal === value.local && this.#lastSetAt >= 0) {
        code.bytes[this.#lastSetAt] = 0x22; // local.set followed by local.get of the same local is local.tee
        this.#lastSetAt = -1;
        return;
      }
      code.byte(0x20);
      code.u32(value.local);
    } else if (value.type === 'i32') {
      code.byte(0x41);
      code.s32(Number(value.constant));
    } else if (value.type === 'i64') {
      code.byte(0x42);
      code.s64(BigInt(value.constant));
    } else if (value.type === 'f64' || value.type === 'f32') {
      const wide = value.type === 'f64';
      code.byte(wide ? 0x44 : 0x43);
      const view = new DataView(new ArrayBuffer(8));
      if (wide) view.setFloat64(0, Number(value.constant), true);
      else view.setFloat32(0, Number(value.constant), true);
      for (let i = 0; i < (wide ? 8 : 4); i++) code.byte(view.getUint8(i));
    } else {
      assert(value.constant === 0, 'v128 constants are built with v128Const');
      this.#prefixed(0xfd, 0x0c);
      for (let i = 0; i < 16; i++) code.byte(0);
    }
    this.#lastSetAt = -1;
  }

  /** Pops the operand stack into `target`. */
  pop(target: Val): void {
    assert(target.local >= 0, 'only a local can be assigned');
    if (target.local >= LOCALS_MAX) {
      this.#temporaries.set(target.local - LOCALS_MAX, this.code, -1);
      this.#lastSetAt = -1;
      return;
    }
    this.#temporaries.take();
    this.#lastSetAt = this.code.length;
    this.#lastSetLocal = target.local;
    this.code.byte(0x21);
    this.code.u32(target.local);
    // A tee can replace the set only when nothing was emitted since, which push() checks through #lastSetAt.
  }

  /** Copies `value` into the local `target`. */
  assign(target: Val, value: Val): void {
    if (target.local === value.local && target.local >= 0) return;
    this.push(value);
    this.pop(target);
    this.#lastSetAt = -1;
  }

  #prefixed(prefix: number, sub: number): void {
    this.code.byte(prefix);
    this.code.u32(sub);
  }

  /** Writes the raw operator `code` (see WASM_OPS for the encoding of prefixed ones). */
  rawOp(code: number): void {
    this.#lastSetAt = -1;
    this.#temporaries.take();
    if (code > 0xffffff)
      this.#prefixed(0xfe, code & 0xffff); // 0xfe0000NN: atomics
    else if (code >= 0xfd0000) this.#prefixed(0xfd, code & 0xffff);
    else if (code >= 0xfc00) this.#prefixed(0xfc, code & 0xff);
    else this.code.byte(code);
  }

  /** Applies operator `name` to `args`; the result is a temporary. */
  op(name: WasmOp, ...args: readonly Val[]): Val {
    const shape = SHAPES.get(name);
    assert(shape !== undefined && !shape.lane, `operator ${name} exists and takes no lane`);
    const from = shape.isPure ? this.code.length : -1;
    const first = args[0];
    const second = args[1];
    if (second !== undefined && first !== undefined && shape.commutes && comesFirst(second, first)) {
      this.push(second);
      this.push(first);
    } else for (let n = 0; n < args.length; n++) this.push(args[n]!);
    this.rawOp(shape.code);
    return this.result(shape.result, from);
  }

  /** Applies a lane operator (extract_lane, replace_lane) with its lane index. */
  lane(name: WasmOp, lane: number, ...args: readonly Val[]): Val {
    const shape = SHAPES.get(name);
    assert(shape?.lane === true, `operator ${name} takes a lane`);
    for (const arg of args) this.push(arg);
    this.rawOp(shape.code);
    this.code.byte(lane);
    return this.result(shape.result);
  }

  /** i8x16.shuffle with a constant 16-byte pattern (indices 0..31). */
  shuffle(a: Val, b: Val, lanes: readonly number[]): Val {
    this.push(a);
    this.push(b);
    this.rawOp(0xfd0000 + 0x0d);
    for (let i = 0; i < 16; i++) this.code.byte(lanes[i] ?? 0);
    return this.result('v128');
  }

  /** A v128 constant from 16 bytes. */
  v128Const(bytes: ArrayLike<number>): Val {
    this.rawOp(0xfd0000 + 0x0c);
    for (let i = 0; i < 16; i++) this.code.byte(bytes[i] ?? 0);
    return this.result('v128');
  }

  /** Pops the operand stack into a new temporary. `from`: see {@link Temporaries.set}. */
  result(type: ValueType, from = -1): Val {
    const value = this.temporary(type);
    this.#temporaries.set(value.local - LOCALS_MAX, this.code, from);
    this.#lastSetAt = -1;
    return value;
  }

  /** Ends any pending peephole: what follows is a join point. */
  barrier(): void {
    this.#lastSetAt = -1;
    this.#temporaries.barrier();
  }

  /** Opens a block; returns its depth, for {@link branch}. */
  block(): number {
    this.barrier();
    this.code.byte(0x02);
    this.code.byte(BLOCK_VOID);
    return ++this.depth;
  }

  /** Opens a loop; returns its depth. */
  loop(): number {
    this.barrier();
    this.code.byte(0x03);
    this.code.byte(BLOCK_VOID);
    return ++this.depth;
  }

  /** Opens an `if` on `condition` (i32); returns its depth. */
  openIf(condition: Val): number {
    this.push(condition);
    this.barrier();
    this.code.byte(0x04);
    this.code.byte(BLOCK_VOID);
    return ++this.depth;
  }

  /** Starts the else arm of the innermost `if`. */
  openElse(): void {
    this.barrier();
    this.code.byte(0x05);
  }

  /** Closes the innermost block, loop or if. */
  end(): void {
    this.barrier();
    this.code.byte(0x0b);
    this.depth--;
  }

  /** Branches to the block or loop of depth `target`. */
  branch(target: number): void {
    this.barrier();
    this.code.byte(0x0c);
    this.code.u32(this.depth - target);
  }

  /** Branches to depth `target` if `condition` (i32) is not zero. */
  branchIf(condition: Val, target: number): void {
    this.push(condition);
    this.barrier();
    this.code.byte(0x0d);
    this.code.u32(this.depth - target);
  }

  /** Branches by `index` to `targets[index]` (depths), or to `otherwise`. */
  branchTable(index: Val, targets: readonly number[], otherwise: number): void {
    this.push(index);
    this.barrier();
    this.code.byte(0x0e);
    this.code.u32(targets.length);
    for (const target of targets) this.code.u32(this.depth - target);
    this.code.u32(this.depth - otherwise);
  }

  /** Calls function `index`; a result of type `result` becomes a temporary. */
  call(index: number, args: readonly Val[], result?: ValueType): Val {
    for (const arg of args) this.push(arg);
    this.barrier();
    this.code.byte(0x10);
    this.code.u32(index);
    return result === undefined ? i32(0) : this.result(result);
  }

  /** The value of global `index`, of type i32, as a temporary. */
  global(index: number): Val {
    this.barrier();
    this.code.byte(0x23);
    this.code.u32(index);
    return this.result('i32');
  }

  /** Calls through table `table` at slot `slot` with function type index `type`. */
  callIndirect(type: number, table: number, slot: Val, args: readonly Val[], result: ValueType): Val {
    for (const arg of args) this.push(arg);
    this.push(slot);
    this.barrier();
    this.code.byte(0x11);
    this.code.u32(type);
    this.code.u32(table);
    return this.result(result);
  }

  /** Returns `value` from the function. */
  return(value: Val): void {
    this.push(value);
    this.barrier();
    this.code.byte(0x0f);
  }

  /** Marks the point as never reached. */
  unreachable(): void {
    this.barrier();
    this.code.byte(0x00);
  }

  /** Emits a memory access operator: `code` (rawOp encoding), alignment exponent and constant offset. */
  memory(code: number, alignLog2: number, offset: number): void {
    this.rawOp(code);
    this.code.u32(alignLog2);
    this.code.u32(offset);
  }

  /** Loads from `address` (i32) + `offset` with a plain or atomic load operator. */
  load(code: number, type: ValueType, alignLog2: number, address: Val, offset: number): Val {
    this.push(address);
    this.memory(code, alignLog2, offset);
    return this.result(type);
  }

  /** Stores `value` to `address` (i32) + `offset`. */
  store(code: number, alignLog2: number, address: Val, value: Val, offset: number): void {
    this.push(address);
    this.push(value);
    this.memory(code, alignLog2, offset);
  }

  /** The finished body: local declarations, code, `end`. */
  finish(): Uint8Array {
    this.#settle();
    const out = new ByteSink();
    const groups: { type: ValueType; count: number }[] = [];
    for (const type of this.#localTypes) {
      const last = groups.at(-1);
      if (last !== undefined && last.type === type) last.count++;
      else groups.push({ type, count: 1 });
    }
    out.u32(groups.length);
    for (const { type, count } of groups) {
      out.u32(count);
      out.byte(TYPE_CODE[type]);
    }
    out.append(this.code.bytes, this.code.length);
    out.byte(0x0b);
    return out.toBytes();
  }
}
