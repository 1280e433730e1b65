/**
 * The fast path against the exact operations: where it answers, it answers the same bits and no flag but IXC, and its
 * inexactness checks equal that flag. WURLEY_FP_CASES multiplies the cases (used for the long runs).
 */
import * as assert from 'uvu/assert';
import { nastyOperand, TestRandom } from '../../test/drivers/fp-operands.js';
import { spec } from '../../test/harness/spec.js';
import { fpAdd, fpDiv, fpMul, fpSqrt } from './arithmetic.js';
import { fpConvert } from './convert.js';
import * as fast from './fast-path.js';
import { F32, F64, type FloatFormat, FPSR, type FpContext, ROUNDING } from './format.js';
import { fpMulAdd } from './fused.js';

const CASES = Number(process.env['WURLEY_FP_CASES'] ?? 300_000);
const DEADLINE = { deadlineMs: 250_000 };

const f64 = new Float64Array(1);
const u64 = new BigUint64Array(f64.buffer);
const f32 = new Float32Array(1);
const u32 = new Uint32Array(f32.buffer);

/** The number `bits` stands for. NaNs lose their payload, which the fast path never vouches for. */
function toNumber(format: FloatFormat, bits: bigint): number {
  if (format === F64) {
    u64[0] = bits;
    return f64[0] ?? 0;
  }
  u32[0] = Number(bits);
  return f32[0] ?? 0;
}

function toBits(format: FloatFormat, value: number): bigint {
  if (format === F64) {
    f64[0] = value;
    return u64[0] ?? 0n;
  }
  f32[0] = value;
  return BigInt(u32[0] ?? 0);
}

/** An ordinary operand, exponent within `span` of zero: what programs compute with, where the fast path must answer. */
function ordinary(format: FloatFormat, span: number, random: TestRandom): bigint {
  const exponent = BigInt(1 - format.exponentMin + random.below(2 * span) - span);
  const sign = (random.u32() & 1) === 0 ? 0n : format.signBit;
  let fraction = random.u64() & format.fractionMask;
  if (random.below(3) === 0) fraction &= ~((1n << BigInt(random.below(format.fractionBits))) - 1n);
  return sign | (exponent << format.fractionBitsBig) | fraction;
}

/** Three operands whose product has one bit more than the format, a tie, and an addend far below that decides it. */
function decidedTie(format: FloatFormat, random: TestRandom): [bigint, bigint, bigint] {
  // Odd factors of k and p + 1 - k (or p + 2 - k) bits make odd products of p + 1 bits or one more or less.
  const significant = format.fractionBits + 1;
  const first = 2 + random.below(significant - 3);
  const factor = (bits: number): bigint => {
    const drop = BigInt(format.fractionBits - (bits - 1));
    return ((ordinary(format, 4, random) >> drop) | 1n) << drop;
  };
  const a = factor(first);
  const b = factor(Math.min(significant, significant + 1 + random.below(2) - first));
  const below = BigInt(format.fractionBits + random.below(60));
  const exponent = BigInt(1 - format.exponentMin) - below;
  const sign = (random.u32() & 1) === 0 ? 0n : format.signBit;
  return [a, b, sign | (exponent << format.fractionBitsBig) | (random.u64() & format.fractionMask)];
}

interface Operation {
  readonly name: string;
  readonly operands: 1 | 2 | 3;
  readonly from: FloatFormat;
  readonly to: FloatFormat;
  readonly exact: (a: bigint, b: bigint, c: bigint, context: FpContext) => bigint;
  readonly fast: (a: number, b: number, c: number) => number | undefined;
  readonly inexact: (a: number, b: number, c: number, result: number) => boolean | undefined;
  /** The least share of ordinary operands that must not fall out of the fast path. */
  readonly shareMin: number;
}

/** Runs `count` cases, nasty, ordinary and nearly cancelling by turns. */
function check(op: Operation, count: number, seed: number): void {
  const random = new TestRandom(seed);
  let ordinaryCount = 0;
  let answered = 0;
  for (let i = 0; i < count; i++) {
    const isOrdinary = (i & 3) !== 0;
    const operand = (): bigint => (isOrdinary ? ordinary(op.from, 20, random) : nastyOperand(op.from, random));
    let [a, b, c] = [operand(), operand(), operand()];
    if (op.operands === 3 && (i & 7) === 5) {
      [a, b, c] = decidedTie(op.from, random);
    } else if (op.operands === 3 && (i & 7) >= 6) {
      const product = fpMul(op.from, a, b, { fpcr: 0, fpsr: 0 });
      c = BigInt.asUintN(op.from.width, (product ^ op.from.signBit) + BigInt(random.below(5) - 2));
    }
    const [x, y, z] = [toNumber(op.from, a), toNumber(op.from, b), toNumber(op.from, c)];
    const result = op.fast(x, y, z);
    if (isOrdinary) ordinaryCount += 1;
    if (result === undefined) continue;
    if (isOrdinary) answered += 1;
    const context: FpContext = { fpcr: 0, fpsr: 0 };
    const exact = op.exact(a, b, c, context);
    const where = (): string =>
      `${op.name}(${x}, ${y}, ${z}): 0x${a.toString(16)} 0x${b.toString(16)} 0x${c.toString(16)}`;
    if (toBits(op.to, result) !== exact) assert.unreachable(`${where()} gives ${result}, not 0x${exact.toString(16)}`);
    if ((context.fpsr & ~FPSR.ixc) !== 0) assert.unreachable(`${where()} must set FPSR 0x${context.fpsr.toString(16)}`);
    const isInexact = op.inexact(x, y, z, result);
    if (isInexact !== undefined && isInexact !== (context.fpsr !== 0)) {
      assert.unreachable(`${where()}: inexact is ${isInexact}`);
    }
    if (isOrdinary && isInexact === undefined) {
      assert.unreachable(`${where()}: the inexactness check gave up on ordinary operands`);
    }
  }
  assert.ok(answered >= ordinaryCount * op.shareMin, `${op.name} answered ${answered} of ${ordinaryCount}`);
}

const operations: readonly Operation[] = [
  {
    name: 'fmaF32Fast',
    operands: 3,
    from: F32,
    to: F32,
    exact: (a, b, c, x) => fpMulAdd(F32, c, a, b, x),
    fast: fast.fmaF32Fast,
    inexact: fast.fmaF32Inexact,
    shareMin: 0.999,
  },
  {
    name: 'fmaF64Fast',
    operands: 3,
    from: F64,
    to: F64,
    exact: (a, b, c, x) => fpMulAdd(F64, c, a, b, x),
    fast: fast.fmaF64Fast,
    inexact: fast.fmaF64Inexact,
    shareMin: 0.999,
  },
  ...([F32, F64] as const).flatMap((format): Operation[] => {
    const is32 = format === F32;
    const shared = { from: format, to: format, shareMin: 0.999 } as const;
    return [
      {
        ...shared,
        name: is32 ? 'addF32Fast' : 'addF64Fast',
        operands: 2,
        exact: (a, b, _c, x) => fpAdd(format, a, b, x),
        fast: is32 ? fast.addF32Fast : fast.addF64Fast,
        inexact: (a, b, _c, r) => (is32 ? fast.addF32Inexact(a, b, r) : fast.addF64Inexact(a, b, r)),
      },
      {
        ...shared,
        name: is32 ? 'mulF32Fast' : 'mulF64Fast',
        operands: 2,
        exact: (a, b, _c, x) => fpMul(format, a, b, x),
        fast: is32 ? fast.mulF32Fast : fast.mulF64Fast,
        inexact: (a, b, _c, r) => (is32 ? fast.mulF32Inexact(a, b, r) : fast.mulF64Inexact(a, b, r)),
      },
      {
        ...shared,
        name: is32 ? 'divF32Fast' : 'divF64Fast',
        operands: 2,
        exact: (a, b, _c, x) => fpDiv(format, a, b, x),
        fast: is32 ? fast.divF32Fast : fast.divF64Fast,
        inexact: (a, b, _c, r) => (is32 ? fast.divF32Inexact(a, b, r) : fast.divF64Inexact(a, b, r)),
      },
      {
        ...shared,
        name: is32 ? 'sqrtF32Fast' : 'sqrtF64Fast',
        operands: 1,
        exact: (a, _b, _c, x) => fpSqrt(format, a, x),
        fast: is32 ? fast.sqrtF32Fast : fast.sqrtF64Fast,
        inexact: (a, _b, _c, r) => (is32 ? fast.sqrtF32Inexact(a, r) : fast.sqrtF64Inexact(a, r)),
        shareMin: 0.49, // half of the operands are negative
      },
    ];
  }),
  {
    name: 'narrowFast',
    operands: 1,
    from: F64,
    to: F32,
    exact: (a, _b, _c, x) => fpConvert(F64, F32, a, ROUNDING.tieEven, x),
    fast: fast.narrowFast,
    inexact: (a, _b, _c, r) => a !== r,
    shareMin: 0.999,
  },
];

const test = spec('floating-point fast path');

operations.forEach((op, index) => {
  test(`${op.name} answers only what the exact operation gives`, () => check(op, CASES, 0xfa57 + index), DEADLINE);
});

test('fmaF32Fast breaks the tie that a double sum hides', () => {
  const a = 1 + 2 ** -12;
  // a * a = 1 + 2^-11 + 2^-24: exactly halfway between two singles
  assert.is(fast.fmaF32Fast(a, a, 2 ** -100), 1 + 2 ** -11 + 2 ** -23);
  assert.is(fast.fmaF32Fast(a, a, -(2 ** -100)), 1 + 2 ** -11);
  assert.is(fast.fmaF32Fast(a, a, 0), 1 + 2 ** -11);
});

test('fmaF64Fast breaks ties by what lies far below the product', () => {
  const a = 1 + 2 ** -27; // a * a = 1 + 2^-26 + 2^-54
  const c = 2 ** -53 + 2 ** -54; // the sum is 1 + 2^-26 + 2^-52
  assert.is(fast.fmaF64Fast(a, a, c), 1 + 2 ** -26 + 2 ** -52);
  assert.is(fast.fmaF64Fast(a, a, 2 ** -54), 1 + 2 ** -26); // exactly halfway: to even
  assert.is(fast.fmaF64Fast(a, a, 2 ** -54 + 2 ** -106), 1 + 2 ** -26 + 2 ** -52);
});

test('what may set a flag other than IXC is left to the exact operation', () => {
  assert.is(fast.mulF64Fast(2 ** -600, 2 ** -600), undefined);
  assert.is(fast.mulF64Fast(2 ** -1022, 1 - 2 ** -53), undefined); // rounds up to the smallest normal number: UFC
  assert.is(fast.divF64Fast(1, 0), undefined);
  assert.is(fast.divF64Fast(0, 5), 0);
  assert.is(fast.mulF64Fast(2 ** 600, 2 ** 600), undefined);
  assert.is(fast.addF64Fast(Number.NaN, 1), undefined);
  assert.is(fast.sqrtF64Fast(-1), undefined);
  assert.is(fast.fmaF64Fast(2 ** -500, 2 ** -500, 1), undefined);
  assert.is(fast.fmaF32Fast(2 ** -70, 2 ** -70, 0), undefined);
});

test.run();
