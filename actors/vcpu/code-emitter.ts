/** What the functions that generated code calls in place of the shell are written with: words of shared memory, plain and atomic. */
import { FunctionBody, i32, type Val } from '../../cpu/wasm/body.js';
import type { WasmOp } from '../../cpu/wasm/opcodes.js';

/** Operators of 32-bit atomic accesses. */
export const ATOMIC = {
  ...{ load: 0xfe00_0010, store: 0xfe00_0017, exchange: 0xfe00_0041, compareExchange: 0xfe00_0048 },
} as const;
/** Operators of plain accesses. */
export const PLAIN = { load: 0x28, store: 0x36, load64: 0x29, store64: 0x37, load8: 0x2d, store8: 0x3a } as const;

/** Emits with names for what these functions need. */
export class Emitter {
  readonly body: FunctionBody;
  constructor(params: number) {
    this.body = new FunctionBody(new Array<'i32'>(params).fill('i32'));
  }
  op(name: WasmOp, a: Val, b: Val): Val {
    return this.body.op(name, a, b);
  }
  not(a: Val): Val {
    return this.body.op('i32.eqz', a);
  }
  add(a: Val, b: Val): Val {
    return this.op('i32.add', a, b);
  }
  and(a: Val, mask: number): Val {
    return this.op('i32.and', a, i32(mask));
  }
  /** A named local that holds `value`. */
  keep(value: Val): Val {
    const local = this.body.local('i32');
    this.body.assign(local, value);
    return local;
  }
  /** A word that other threads change. */
  shared(address: Val, offset: number): Val {
    return this.body.load(ATOMIC.load, 'i32', 2, this.add(address, i32(offset)), 0);
  }
  load(address: Val, offset: number): Val {
    return this.body.load(PLAIN.load, 'i32', 2, address, offset);
  }
  store(address: Val, value: Val, offset: number): void {
    this.body.store(PLAIN.store, 2, address, value, offset);
  }
  publish(address: Val, value: Val, offset: number): void {
    this.body.store(ATOMIC.store, 2, this.add(address, i32(offset)), value, 0);
  }
  /** Replaces a word; what was there. */
  exchange(address: Val, value: Val): Val {
    this.body.push(address);
    this.body.push(value);
    this.body.memory(ATOMIC.exchange, 2, 0);
    return this.body.result('i32');
  }
  /** Replaces a word if it is `expected`; what was there. */
  compareExchange(address: Val, expected: Val, value: Val): Val {
    this.body.push(address);
    this.body.push(expected);
    this.body.push(value);
    this.body.memory(ATOMIC.compareExchange, 2, 0);
    return this.body.result('i32');
  }
  /** Sets a general register. */
  result(state: Val, register: number, value: Val): void {
    this.body.store(PLAIN.store64, 3, state, this.body.op('i64.extend_i32_u', value), register * 8);
  }
  /** Sets a general register to 64 bits. */
  wideResult(state: Val, register: number, low: Val, high: Val): void {
    this.store(state, low, register * 8);
    this.store(state, high, register * 8 + 4);
  }
  when(condition: Val, then: () => void): void {
    this.body.openIf(condition);
    then();
    this.body.end();
  }
}
