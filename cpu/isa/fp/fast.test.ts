/** The fast path as emitted: where it vouches for a result, the result is the exact operation's, and no flag but IXC is due. */
import { setFlagsFromString } from 'node:v8';
import * as assert from 'uvu/assert';
import { nastyOperand, TestRandom } from '../../../test/drivers/fp-operands.js';
import { spec } from '../../../test/harness/spec.js';
import { fpAdd, fpDiv, fpMul, fpNeg, fpSqrt, fpSub } from '../../fp/arithmetic.js';
import { F32, F64, type FloatFormat, FPSR, type FpContext } from '../../fp/format.js';
import { fpMulAdd } from '../../fp/fused.js';
import { HandlerOps } from '../../interpreter/handler-ops.js';
import type { Ops } from '../../ops.js';
import { STATE } from '../../state.js';
import { FunctionBody, type Val } from '../../wasm/body.js';
import { detectFeatures, features } from '../../wasm/features.js';
import { ModuleBuilder } from '../../wasm/module.js';
import {
  checkFused,
  type Fast,
  fastFusedDouble,
  fastFusedSingle,
  fastFusedVector,
  fastProduct,
  fastQuotient,
  fastRoot,
  fastSum,
  stands,
} from './fast.js';
import type { Scalar } from './slow.js';

const test = spec('cpu/isa/fp/fast');
const PER_OPERATION = 40_000;
const HANDLER = ['i32', 'i32', 'i64'] as const;

type Compute = (k: Ops, type: Scalar, a: Val, b: Val, c: Val) => Fast;

/** A compiled fast path: result bits, or undefined where it does not vouch for them. */
type Compiled = (a: bigint, b: bigint, c: bigint) => bigint | undefined;

/** Compiles `compute` into a function over operands at the beginning of a memory. */
function compile(format: FloatFormat, compute: Compute): Compiled {
  const type = format === F64 ? 'f64' : 'f32';
  const bytes = format.width / 8;
  const body = new FunctionBody(HANDLER);
  const k = new HandlerOps(body, () => 0);
  const operands = [0, 1, 2].map((i) => k.stateLoad(type, STATE.operands + 16 * i));
  const [a, b, c] = operands;
  if (a === undefined || b === undefined || c === undefined) throw new Error('three operands');
  const fast = compute(k, type, a, b, c);
  k.stateStore(type, STATE.scratch, fast.value);
  body.return(
    stands(k, fast, (ok) =>
      ok.type === 'v128' ? k.and(k.op('i32x4.bitmask', ok), k.i32(format === F64 ? 3 : 1)) : ok,
    ),
  );
  body.unreachable();
  const module = new ModuleBuilder();
  const index = module.declare(module.type(HANDLER, ['i32']));
  module.setBody(index, body.finish());
  module.exportFunction('run', index);
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
  const instance = new WebAssembly.Instance(new WebAssembly.Module(module.build()), { env: { memory } });
  const run = instance.exports['run'] as (state: number, record: number, pc: bigint) => number;
  const view = new DataView(memory.buffer);
  return (...values) => {
    values.forEach((value, i) => {
      const at = STATE.operands + 16 * i;
      if (bytes === 8) view.setBigUint64(at, value, true);
      else view.setUint32(at, Number(value), true);
    });
    if (run(0, 0, 0n) === 0) return undefined;
    return bytes === 8 ? view.getBigUint64(STATE.scratch, true) : BigInt(view.getUint32(STATE.scratch, true));
  };
}

type Exact = (f: FloatFormat, a: bigint, b: bigint, c: bigint, x: FpContext) => bigint;

/** An operand that often meets others at nearby exponents with few significant bits: ties and cancellations. */
function closeOperand(format: FloatFormat, random: TestRandom): bigint {
  const one = BigInt(1 - format.exponentMin) << format.fractionBitsBig;
  const exponent = BigInt(random.below(60) - 30) << format.fractionBitsBig;
  const keep = BigInt(random.below(format.fractionBits));
  const fraction = (random.u64() & format.fractionMask & ~((1n << keep) - 1n)) | BigInt(random.below(2));
  return (one + exponent + fraction) | (random.below(2) === 0 ? 0n : format.signBit);
}

function agrees(name: string, compute: Compute, exact: Exact, answersAtLeast: number): void {
  for (const format of [F32, F64]) {
    test(`${name} of ${format.width} bits is exact wherever it answers`, () => {
      const fast = compile(format, compute);
      const random = new TestRandom(format.width);
      let answers = 0;
      let close = 0;
      for (let i = 0; i < PER_OPERATION; i++) {
        const isClose = (i & 1) === 1;
        const draw = isClose ? closeOperand : nastyOperand;
        const [a, b] = [draw(format, random), draw(format, random)];
        let c = draw(format, random);
        // A quarter of the addends nearly cancel the product.
        if (random.below(4) === 0)
          c = fpNeg(format, fpMul(format, a, b, { fpcr: 0, fpsr: 0 })) ^ BigInt(random.below(3));
        const result = fast(a, b, c);
        if (isClose) close++;
        if (result === undefined) continue;
        if (isClose) answers++;
        const context = { fpcr: 0, fpsr: 0 };
        const expected = exact(format, a, b, c, context);
        const words = [a, b, c, result].map((value) => value.toString(16)).join(' ');
        assert.is(result, expected, words);
        assert.is(context.fpsr & ~FPSR.ixc, 0, words);
      }
      assert.ok(answers >= close * answersAtLeast, `answered ${answers} of ${close} ordinary cases`);
    });
  }
}

agrees(
  'a + b',
  (k, t, a, b) => fastSum(k, t, 'add', a, b),
  (f, a, b, _c, x) => fpAdd(f, a, b, x),
  0.99,
);
agrees(
  'a - b',
  (k, t, a, b) => fastSum(k, t, 'sub', a, b),
  (f, a, b, _c, x) => fpSub(f, a, b, x),
  0.99,
);
agrees(
  'a * b',
  (k, t, a, b) => fastProduct(k, t, a, b),
  (f, a, b, _c, x) => fpMul(f, a, b, x),
  0.99,
);
agrees(
  'a / b',
  (k, t, a, b) => fastQuotient(k, t, a, b),
  (f, a, b, _c, x) => fpDiv(f, a, b, x),
  0.99,
);
agrees(
  'the root of a',
  (k, t, a) => fastRoot(k, t, a),
  (f, a, _b, _c, x) => fpSqrt(f, a, x),
  0.4,
);
agrees(
  'a * b + c without a fused operator',
  (k, t, a, b, c) => (t === 'f64' ? fastFusedDouble(k, 'f64', a, b, c) : fastFusedSingle(k, a, b, c)),
  (f, a, b, c, x) => fpMulAdd(f, c, a, b, x),
  0.97,
);
const fusedVector = (k: Ops, t: Scalar, a: Val, b: Val, c: Val, negate = false): Fast => {
  const splat = (x: Val): Val => k.op(t === 'f64' ? 'f64x2.splat' : 'f32x4.splat', x);
  const fast = fastFusedVector(k, t === 'f64' ? 'f64x2' : 'f32x4', 1, negate, splat(a), splat(b), splat(c));
  return {
    value: k.lane(t === 'f64' ? 'f64x2.extract_lane' : 'f32x4.extract_lane', 0, fast.value),
    ok: fast.ok,
    ...(fast.reconsider === undefined ? {} : { reconsider: fast.reconsider }),
  };
};
agrees('a * b + c of vectors without a fused operator', fusedVector, (f, a, b, c, x) => fpMulAdd(f, c, a, b, x), 0.97);

setFlagsFromString('--experimental-wasm-relaxed-simd');
detectFeatures();
const hasFused = features.fusedMadd;
features.fusedMadd = false; // tests are emitted when they run: each sets what it needs
if (!hasFused) test.skip('a * b + c by the host', 'the engine or the processor does not fuse');
else {
  const byHost =
    (negate: boolean): Compute =>
    (k, t, a, b, c) => {
      features.fusedMadd = true;
      const fast = fusedVector(k, t, a, b, c, negate);
      features.fusedMadd = false;
      return fast;
    };
  agrees('c + a * b by the host', byHost(false), (f, a, b, c, x) => fpMulAdd(f, c, a, b, x), 0.97);
  agrees('c - a * b by the host', byHost(true), (f, a, b, c, x) => fpMulAdd(f, c, fpNeg(f, a), b, x), 0.97);
}

test('a sum that is zero counts as exact only if the product is large or zero', () => {
  const check = compile(F64, (k, t, a, b, c) => checkFused(k, t, c, a, b));
  const bits = (value: number): bigint => {
    const view = new DataView(new ArrayBuffer(8));
    view.setFloat64(0, value);
    return view.getBigUint64(0);
  };
  assert.is(check(bits(2), bits(3), 0n), 0n);
  assert.is(check(bits(0), bits(3), 0n), 0n);
  assert.is(check(bits(2 ** -600), bits(2 ** -600), 0n), undefined);
  assert.is(check(bits(1), bits(1), bits(2 ** -1022)), undefined);
});

test.run();
