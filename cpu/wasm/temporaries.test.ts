/** Random programs with temporaries do the same as with a local for each value. */
import * as assert from 'uvu/assert';
import { seededRandom } from '../../test/harness/mutations.js';
import { spec } from '../../test/harness/spec.js';
import { FunctionBody, i32, type Val } from './body.js';
import { ModuleBuilder } from './module.js';
import type { WasmOp } from './opcodes.js';

const test = spec('temporaries');
const BINARY = ['i32.add', 'i32.sub', 'i32.mul', 'i32.xor', 'i32.lt_u', 'i32.shl', 'i32.eq'] as const;
const NAMED = 4;
const LOAD = 0x28;
const STORE = 0x36;

/** Writes one random program. `keep` is given every value it makes. */
class Program {
  readonly body = new FunctionBody(['i32', 'i32']);
  readonly #random: () => number;
  readonly #keep: (body: FunctionBody, value: Val) => Val;
  readonly #named: Val[];
  #values: Val[] = [];
  #blocks = 0;

  constructor(seed: number, keep: (body: FunctionBody, value: Val) => Val) {
    this.#random = seededRandom(seed);
    this.#keep = keep;
    this.#named = Array.from({ length: NAMED }, () => this.body.local('i32'));
  }

  #below(n: number): number {
    return Math.floor(this.#random() * n);
  }

  /** Mostly one of the last values, so that many are read in the order they were made. */
  #operand(): Val {
    const kind = this.#below(8);
    if (kind === 0) return i32(this.#below(100));
    if (kind <= 2) return this.#named[this.#below(NAMED)]!;
    if (kind === 3 || this.#values.length === 0) return this.body.param(this.#below(2), 'i32');
    return this.#values[Math.max(0, this.#values.length - 1 - this.#below(4))]!;
  }

  #make(value: Val): Val {
    const kept = this.#keep(this.body, value);
    this.#values.push(kept);
    return kept;
  }

  #op(name: WasmOp, ...operands: Val[]): Val {
    return this.#make(this.body.op(name, ...operands));
  }

  #step(): void {
    const { body } = this;
    const kind = this.#below(15);
    if (kind < 7) this.#op(BINARY[this.#below(BINARY.length)]!, this.#operand(), this.#operand());
    else if (kind === 7) body.assign(this.#named[this.#below(NAMED)]!, this.#operand());
    else if (kind === 8) this.#make(body.load(LOAD, 'i32', 2, this.#op('i32.and', this.#operand(), i32(0xfc)), 0));
    else if (kind === 9) {
      const address = this.#op('i32.and', this.#operand(), i32(0xfc));
      body.store(STORE, 2, address, this.#operand(), 0);
    } else if (kind === 10) this.#make(body.call(0, [this.#operand()], 'i32'));
    else if (kind === 11) {
      for (const value of [this.#operand(), this.#operand(), this.#operand()]) body.push(value);
      body.rawOp(0x1b);
      this.#make(body.result('i32'));
    } else if (kind === 12 && this.#blocks < 3) this.#inBlock();
    else if (kind === 13 && this.#blocks === 0) {
      body.resetTemporaries();
      this.#values = [];
    }
  }

  #inBlock(): void {
    const { body } = this;
    const before = this.#values;
    const arm = (): void => {
      this.#values = [...before];
      this.steps(this.#below(6));
    };
    this.#blocks++;
    if (this.#below(2) === 0) {
      body.openIf(this.#operand());
      arm();
      if (this.#below(2) === 0) {
        body.openElse();
        arm();
      }
      body.end();
    } else {
      const left = body.local('i32');
      body.assign(left, i32(3));
      const top = body.loop();
      arm();
      body.assign(left, body.op('i32.sub', left, i32(1)));
      body.branchIf(left, top);
      body.end();
    }
    this.#blocks--;
    this.#values = before;
  }

  steps(count: number): void {
    for (let n = 0; n < count; n++) this.#step();
  }

  finish(): Uint8Array {
    const { body } = this;
    let sum: Val = this.#operand();
    for (const value of this.#named) sum = body.op('i32.xor', sum, body.op('i32.mul', value, i32(31)));
    body.return(sum);
    body.unreachable();
    return body.finish();
  }
}

/** What the program answers, what it leaves in memory, and what it told `note`. */
function run(code: Uint8Array, a: number, b: number): string {
  const module = new ModuleBuilder();
  module.importFunction('note', ['i32'], ['i32']);
  const index = module.declare(module.type(['i32', 'i32'], ['i32']));
  module.setBody(index, code);
  module.exportFunction('f', index);
  const memory = new WebAssembly.Memory({ initial: 65_536, maximum: 65_536, shared: true });
  const noted: number[] = [];
  const note = (value: number): number => noted.push(value) * 7 + value;
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(module.build()), { env: { memory, note } });
  const f = exports['f'];
  assert.ok(typeof f === 'function');
  const answer: unknown = f(a, b);
  return JSON.stringify([answer, noted, [...new Uint32Array(memory.buffer, 0, 64)]]);
}

function compare(from: number, to: number): { readonly bytes: number; readonly bytesWithLocals: number } {
  let bytes = 0;
  let bytesWithLocals = 0;
  for (let seed = from; seed < to; seed++) {
    const asIs = new Program(seed, (_body, value) => value);
    const withLocals = new Program(seed, (body, value) => {
      const local = body.local('i32');
      body.assign(local, value);
      return local;
    });
    const [code, expected] = [asIs, withLocals].map((program) => {
      program.steps(60);
      return program.finish();
    });
    assert.ok(code !== undefined && expected !== undefined);
    bytes += code.length;
    bytesWithLocals += expected.length;
    assert.is(run(code, seed * 77, ~seed), run(expected, seed * 77, ~seed), `seed ${seed}`);
  }
  return { bytes, bytesWithLocals };
}

test('random programs do the same as with a local for each value, and are smaller', () => {
  const { bytes, bytesWithLocals } = compare(1, 400);
  assert.ok(bytes < bytesWithLocals * 0.85, `${bytes} instead of ${bytesWithLocals} bytes`);
});

test('values taken in the order they were made need no local', () => {
  const body = new FunctionBody(['i32', 'i32']);
  const [a, b] = [body.param(0, 'i32'), body.param(1, 'i32')];
  const sum = body.op('i32.add', a, b);
  const difference = body.op('i32.sub', a, b);
  body.return(body.op('i32.mul', sum, difference));
  assert.equal([...body.finish()], [0, 0x20, 0, 0x20, 1, 0x6a, 0x20, 0, 0x20, 1, 0x6b, 0x6c, 0x0f, 0x0b]);
});

test('a value that is read twice, or out of order, has one', () => {
  const body = new FunctionBody(['i32']);
  const a = body.param(0, 'i32');
  const sum = body.op('i32.add', a, a);
  const twice = body.op('i32.sub', sum, sum);
  const other = body.op('i32.eqz', a);
  body.return(body.op('i32.shl', other, twice));
  const code = [...body.finish()];
  assert.equal(code.slice(0, 3), [1, 2, 0x7f]);
  // sum: tee and get; twice: set and get, since `other` was made behind it and is taken before it.
  assert.equal(code.slice(3, 14), [0x20, 0, 0x20, 0, 0x6a, 0x22, 1, 0x20, 1, 0x6b, 0x21]);
});

test('what only makes a value that nobody reads is left out, and what that was made from', () => {
  const body = new FunctionBody(['i32']);
  const a = body.param(0, 'i32');
  const dead = body.op('i32.eqz', body.op('i32.add', a, i32(3)));
  body.op('i32.sub', dead, body.op('i32.mul', a, a));
  body.return(i32(1));
  assert.equal([...body.finish()], [0, 0x41, 1, 0x0f, 0x0b]);
});

test('what may do more is done, and its value dropped', () => {
  const body = new FunctionBody(['i32']);
  body.op('i32.div_u', body.param(0, 'i32'), i32(0));
  body.return(i32(1));
  assert.equal([...body.finish()], [0, 0x20, 0, 0x41, 0, 0x6e, 0x1a, 0x41, 1, 0x0f, 0x0b]);
});

test.run();
