/**
 * The exact operations against arithmetic that is right for other reasons: the host's doubles and Math.fround, half
 * precision computed in doubles (innocuous double rounding), bigint integers, and the manual's own corner cases.
 * The instruction-by-instruction comparison with QEMU is fp.integration.ts.
 */
import * as assert from 'uvu/assert';
import { nastyInteger, nastyOperand, TestRandom } from '../../test/drivers/fp-operands.js';
import { spec } from '../../test/harness/spec.js';
import { fpAbs, fpAdd, fpDiv, fpMul, fpMulX, fpNeg, fpSqrt, fpSub } from './arithmetic.js';
import { fpCompare, fpCompareEQ, fpCompareGE, fpCompareGT, fpMax, fpMaxNum, fpMin, fpMinNum } from './compare.js';
import { fixedToFp, fpConvert, fpRoundInt, fpToFixed, fpToFixedJS } from './convert.js';
import { fpRecipEstimate, fpRecpX, fpRSqrtEstimate, unsignedRecipEstimate, unsignedRSqrtEstimate } from './estimate.js';
import { F16, F32, F64, type FloatFormat, FPCR, FPSR, type FpContext, ROUNDING, type Rounding } from './format.js';
import { fpMulAdd, fpMulAddH, fpRecipStepFused, fpRSqrtStepFused } from './fused.js';
import { bitLength } from './real.js';

const CASES = 200_000;

const f64 = new Float64Array(1);
const u64 = new BigUint64Array(f64.buffer);
const f32 = new Float32Array(1);
const u32 = new Uint32Array(f32.buffer);

/** A half-precision pattern's value, from the definition of the format. */
function halfToNumber(bits: number): number {
  const sign = bits >>> 15 === 0 ? 1 : -1;
  const exponent = (bits >>> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0x1f) return fraction === 0 ? sign * Infinity : Number.NaN;
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1024 + fraction) * 2 ** (exponent - 25);
}

function toNumber(format: FloatFormat, bits: bigint): number {
  if (format === F16) return halfToNumber(Number(bits));
  if (format === F32) {
    u32[0] = Number(bits);
    return f32[0] ?? 0;
  }
  u64[0] = bits;
  return f64[0] ?? 0;
}

function doubleBits(value: number): bigint {
  f64[0] = value;
  return u64[0] ?? 0n;
}

function singleBits(value: number): bigint {
  f32[0] = value;
  return BigInt(u32[0] ?? 0);
}

/** `value`, a double, rounded to the nearest half by plain scaling: an independent model of FCVT for halves. */
function halfBits(value: number): bigint {
  const magnitude = Math.abs(value);
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  if (magnitude >= 65520) return BigInt(sign | 0x7c00);
  const exponent = Math.max(-14, Number((doubleBits(magnitude) >> 52n) & 0x7ffn) - 1023);
  const units = magnitude / 2 ** (exponent - 10); // exact: a power of two
  const floor = Math.floor(units);
  const rest = units - floor;
  const rounded = floor + (rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? 1 : 0);
  return BigInt(sign | (((exponent + 14) << 10) + rounded)); // the leading unit counts as one exponent step
}

function fromNumber(format: FloatFormat, value: number): bigint {
  return format === F16 ? halfBits(value) : format === F32 ? singleBits(value) : doubleBits(value);
}

function context(fpcr = 0): FpContext {
  return { fpcr, fpsr: 0 };
}

/** Compares `ours` with `expected` as numbers of `format`: NaN with NaN, everything else by bits. */
function same(format: FloatFormat, ours: bigint, expected: number, where: () => string): void {
  const value = toNumber(format, ours);
  if (Number.isNaN(expected) ? Number.isNaN(value) : ours === fromNumber(format, expected)) return;
  assert.unreachable(`${where()}: 0x${ours.toString(16)} (${value}), expected ${expected}`);
}

const test = spec('exact floating point');

for (const format of [F16, F32, F64]) {
  test(`${format.width}-bit arithmetic in round-to-nearest equals the host's`, () => {
    const random = new TestRandom(format.width);
    const rounded = (value: number): number =>
      Number.isNaN(value) ? value : toNumber(format, fromNumber(format, value));
    for (let i = 0; i < CASES; i++) {
      const a = nastyOperand(format, random);
      const b = nastyOperand(format, random);
      const [x, y] = [toNumber(format, a), toNumber(format, b)];
      const where = (): string => `0x${a.toString(16)} (${x}), 0x${b.toString(16)} (${y})`;
      same(format, fpAdd(format, a, b, context()), rounded(x + y), where);
      same(format, fpSub(format, a, b, context()), rounded(x - y), where);
      same(format, fpMul(format, a, b, context()), rounded(x * y), where);
      same(format, fpDiv(format, a, b, context()), rounded(x / y), where);
      same(format, fpSqrt(format, a, context()), rounded(Math.sqrt(x)), where);
      same(format, fpMax(format, a, b, context()), Math.max(x, y), where);
      same(format, fpMin(format, a, b, context()), Math.min(x, y), where);
      same(format, fpRoundInt(format, a, ROUNDING.minusInfinity, true, context()), Math.floor(x), where);
      same(format, fpRoundInt(format, a, ROUNDING.plusInfinity, true, context()), Math.ceil(x), where);
      same(format, fpRoundInt(format, a, ROUNDING.zero, false, context()), Math.trunc(x), where);
      const nzcv = x < y ? 0b1000 : x > y ? 0b0010 : x === y ? 0b0110 : 0b0011;
      assert.is(fpCompare(format, a, b, false, context()), nzcv, where());
      assert.is(fpCompareEQ(format, a, b, context()), x === y);
      assert.is(fpCompareGE(format, a, b, context()), x >= y);
      assert.is(fpCompareGT(format, a, b, context()), x > y);
    }
  });

  test(`${format.width}-bit integer conversions equal bigint arithmetic`, () => {
    const random = new TestRandom(format.width + 1);
    for (let i = 0; i < CASES / 2; i++) {
      const a = nastyOperand(format, random);
      const x = toNumber(format, a);
      const isNumber = Number.isFinite(x);
      const truncated = isNumber ? BigInt(Math.trunc(x)) : x > 0 ? 1n << 80n : x < 0 ? -(1n << 80n) : 0n;
      for (const width of [16, 32, 64] as const) {
        const limit = 1n << BigInt(width - 1);
        const signed = truncated >= limit ? limit - 1n : truncated < -limit ? -limit : truncated;
        const unsigned = truncated >= limit * 2n ? limit * 2n - 1n : truncated < 0n ? 0n : truncated;
        const s = context();
        assert.is(fpToFixed(format, a, width, 0, false, ROUNDING.zero, s), BigInt.asUintN(width, signed));
        const isInvalid = signed !== truncated || Number.isNaN(x);
        assert.is(s.fpsr, isInvalid ? FPSR.ioc : isNumber && Math.trunc(x) !== x ? FPSR.ixc : 0, `${x} to ${width}`);
        assert.is(fpToFixed(format, a, width, 0, true, ROUNDING.zero, context()), unsigned);
      }
      const integer = nastyInteger(random);
      if (format === F64) {
        const nearest = ROUNDING.tieEven;
        assert.is(fixedToFp(F64, integer, 64, 0, true, nearest, context()), doubleBits(Number(integer)));
        const negative = Number(BigInt.asIntN(64, integer));
        assert.is(fixedToFp(F64, integer, 64, 0, false, nearest, context()), doubleBits(negative));
        assert.is(fixedToFp(F64, integer, 64, 20, false, nearest, context()), doubleBits(negative * 2 ** -20));
        const js = fpToFixedJS(a, context());
        assert.is(js.bits, BigInt((x | 0) >>> 0));
        assert.is(js.z === 1, Object.is(x | 0, x), `FJCVTZS Z of ${x}`);
      }
    }
  });
}

test('conversions between formats equal Math.fround and the half format’s definition', () => {
  const random = new TestRandom(9);
  const nearest = ROUNDING.tieEven;
  for (let i = 0; i < CASES; i++) {
    const a = nastyOperand(F64, random);
    const x = toNumber(F64, a);
    const where = (): string => `0x${a.toString(16)} (${x})`;
    same(F32, fpConvert(F64, F32, a, nearest, context()), Math.fround(x), where);
    const half = Number.isNaN(x) ? x : halfToNumber(Number(halfBits(x)));
    same(F16, fpConvert(F64, F16, a, nearest, context()), half, where);
  }
  for (let bits = 0; bits < 0x10000; bits++) {
    const widened = fpConvert(F16, F64, BigInt(bits), nearest, context());
    same(F64, widened, halfToNumber(bits), () => `half 0x${bits.toString(16)}`);
    if (!Number.isNaN(halfToNumber(bits))) {
      assert.is(fpConvert(F64, F16, widened, nearest, context()), BigInt(bits));
      const alternative = fpConvert(F16, F32, BigInt(bits), nearest, context(FPCR.ahp));
      assert.is(fpConvert(F32, F16, alternative, nearest, context(FPCR.ahp)), BigInt(bits));
    }
  }
});

test('directed rounding brackets the exact result and nearest is one of the brackets', () => {
  const random = new TestRandom(10);
  const withMode = (mode: Rounding): FpContext => context(mode << FPCR.rmodeShift);
  for (let i = 0; i < CASES / 4; i++) {
    const [a, b, c] = [nastyOperand(F32, random), nastyOperand(F32, random), nastyOperand(F32, random)];
    const results = [ROUNDING.tieEven, ROUNDING.plusInfinity, ROUNDING.minusInfinity, ROUNDING.zero].map((mode) => {
      const x = withMode(mode);
      return { value: toNumber(F32, fpMulAdd(F32, a, b, c, x)), fpsr: x.fpsr };
    });
    const [near, up, down, zero] = results;
    if (near === undefined || up === undefined || down === undefined || zero === undefined) continue;
    if (Number.isNaN(near.value)) continue;
    assert.ok(down.value <= near.value && near.value <= up.value);
    assert.ok(near.value === down.value || near.value === up.value);
    assert.is(zero.value, Math.abs(down.value) < Math.abs(up.value) ? down.value : up.value);
    assert.is((near.fpsr & FPSR.ixc) !== 0, down.value !== up.value);
  }
});

test('underflow is detected before rounding, and a flushed result is not inexact', () => {
  const min = 0x0010000000000000n;
  const belowOne = doubleBits(1 - 2 ** -53);
  const plain = context();
  assert.is(fpMul(F64, min, belowOne, plain), min); // rounds up to the smallest normal number
  assert.is(plain.fpsr, FPSR.ufc | FPSR.ixc);
  const exact = context();
  assert.is(fpMul(F64, min, doubleBits(0.5), exact), min >> 1n);
  assert.is(exact.fpsr, 0); // tiny but exact
  const flushing = context(FPCR.fz);
  assert.is(fpMul(F64, min, belowOne, flushing), 0n);
  assert.is(flushing.fpsr, FPSR.ufc);
  const flushedOperand = context(FPCR.fz);
  assert.is(fpAdd(F64, 1n, F64.signBit | 1n, flushedOperand), 0n);
  assert.is(flushedOperand.fpsr, FPSR.idc);
  const half = context(FPCR.fz16);
  assert.is(fpAdd(F16, 1n, 1n, half), 0n);
  assert.is(half.fpsr, 0); // half precision sets no IDC
  const halfIgnoresFz = context(FPCR.fz);
  assert.is(fpAdd(F16, 1n, 1n, halfIgnoresFz), 2n);
});

test('NaN results take the first signalling operand, then the first quiet one, or the default NaN', () => {
  const s1 = 0x7f800001n;
  const s2 = 0xff800002n;
  const q1 = 0x7fc00003n;
  const q2 = 0xffc00004n;
  const x = context();
  assert.is(fpAdd(F32, q1, q2, x), q1);
  assert.is(x.fpsr, 0);
  assert.is(fpAdd(F32, q1, s2, x), 0xffc00002n);
  assert.is(x.fpsr, FPSR.ioc);
  assert.is(fpAdd(F32, s1, s2, x), 0x7fc00001n);
  assert.is(fpSub(F32, 0n, q2, x), q2); // subtraction does not negate a NaN
  assert.is(fpMul(F32, q2, s1, context(FPCR.dn)), F32.defaultNaN);
  assert.is(fpMulAdd(F32, q1, s1, s2, x), 0x7fc00001n);
  assert.is(fpMulAdd(F32, q1, q2, 0n, x), q1);
  assert.is(fpMulAdd(F32, s2, s1, 0n, x), 0xffc00002n);
  const invalidProduct = context();
  assert.is(fpMulAdd(F32, q1, F32.infinity, 0n, invalidProduct), F32.defaultNaN);
  assert.is(invalidProduct.fpsr, FPSR.ioc);
  assert.is(fpMulAddH(0n, 0xfe01n, 0n, context()), 0xffc02000n);
  assert.is(fpMaxNum(F32, q1, 5n, context()), 5n);
  assert.is(fpMinNum(F32, 5n, q1, context()), 5n);
  assert.is(fpMaxNum(F32, q1, q2, context()), q1);
  assert.is(fpMinNum(F32, 5n, s1, context()), 0x7fc00001n);
  assert.is(fpNeg(F32, s1), 0xff800001n);
  assert.is(fpAbs(F32, s2), 0x7f800002n);
  assert.is(fpConvert(F64, F32, 0x7ff4000000000000n, ROUNDING.zero, context()), 0x7fe00000n);
});

test('special cases of multiplication, division, steps and estimates are the manual’s', () => {
  const two = 0x40000000n;
  assert.is(fpMulX(F32, F32.infinity, F32.signBit, context()), two | F32.signBit);
  assert.is(fpMul(F32, F32.infinity, 0n, context()), F32.defaultNaN);
  const division = context();
  assert.is(fpDiv(F32, two, F32.signBit, division), F32.infinity | F32.signBit);
  assert.is(division.fpsr, FPSR.dzc);
  assert.is(fpRecipStepFused(F32, F32.infinity, 0n, context()), two);
  assert.is(fpRSqrtStepFused(F32, F32.infinity, 0n, context()), 0x3fc00000n);
  assert.is(fpRecipEstimate(F32, 0x3f800000n, context()), 0x3f7f8000n);
  assert.is(fpRSqrtEstimate(F32, 0x3f800000n, context()), 0x3f7f8000n);
  assert.is(fpRecpX(F32, 0n, context()), 0x7f000000n);
  assert.is(unsignedRecipEstimate(0x80000000), 0xff800000);
  assert.is(unsignedRSqrtEstimate(0x40000000), 0xff800000);
  assert.is(unsignedRecipEstimate(0x7fffffff), 0xffffffff);
});

test('estimates are within 2^-8 of the true reciprocal or reciprocal root, for every half', () => {
  for (let bits = 1; bits < 0x7c00; bits++) {
    const x = halfToNumber(bits);
    const root = toNumber(F16, fpRSqrtEstimate(F16, BigInt(bits), context()));
    assert.ok(Math.abs(root * Math.sqrt(x) - 1) <= 2 ** -8, `FRSQRTE of half 0x${bits.toString(16)}`);
    const flags = context();
    const reciprocal = toNumber(F16, fpRecipEstimate(F16, BigInt(bits), flags));
    if (x < 2 ** -16) {
      assert.is(reciprocal, Infinity);
      assert.is(flags.fpsr, FPSR.ofc | FPSR.ixc);
    } else {
      assert.is(flags.fpsr, 0);
      assert.ok(Math.abs(reciprocal * x - 1) <= 2 ** -8, `FRECPE of half 0x${bits.toString(16)}`);
    }
  }
});

test('estimates treat zeros, infinities, NaNs, negatives and overflow as the manual says', () => {
  const outcome = (run: (x: FpContext) => bigint, fpcr = 0): [bigint, number] => {
    const x = context(fpcr);
    return [run(x), x.fpsr];
  };
  const minus = F64.signBit;
  assert.equal(
    outcome((x) => fpRecipEstimate(F64, minus, x)),
    [F64.infinity | minus, FPSR.dzc],
  );
  assert.equal(
    outcome((x) => fpRSqrtEstimate(F64, minus, x)),
    [F64.infinity | minus, FPSR.dzc],
  );
  assert.equal(
    outcome((x) => fpRecipEstimate(F64, F64.infinity | minus, x)),
    [minus, 0],
  );
  assert.equal(
    outcome((x) => fpRSqrtEstimate(F64, F64.infinity, x)),
    [0n, 0],
  );
  assert.equal(
    outcome((x) => fpRSqrtEstimate(F64, doubleBits(-4), x)),
    [F64.defaultNaN, FPSR.ioc],
  );
  const signalling = F64.infinity | 1n;
  for (const estimate of [fpRecipEstimate, fpRSqrtEstimate, fpRecpX]) {
    assert.equal(
      outcome((x) => estimate(F64, signalling, x)),
      [signalling | F64.quietBit, FPSR.ioc],
    );
  }
  const towardsZero = ROUNDING.zero << FPCR.rmodeShift;
  assert.equal(
    outcome((x) => fpRecipEstimate(F64, 1n, x), towardsZero),
    [F64.maxNormal, FPSR.ofc | FPSR.ixc],
  );
  assert.equal(
    outcome((x) => fpRecipEstimate(F64, F64.maxNormal, x), FPCR.fz),
    [0n, FPSR.ufc],
  );
});

test('terms too far apart to align still round as if exact', () => {
  const up = ROUNDING.plusInfinity << FPCR.rmodeShift;
  const one = doubleBits(1);
  const next = one + 1n;
  for (const [a, b] of [
    [one, 1n],
    [1n, one],
  ] as const) {
    assert.is(fpAdd(F64, a, b, context(up)), next);
    assert.is(fpAdd(F64, a, b, context()), one);
  }
  const down = ROUNDING.minusInfinity << FPCR.rmodeShift;
  assert.is(fpSub(F64, one, 1n, context(down)), doubleBits(1 - 2 ** -53));
  assert.is(fpRecipStepFused(F32, F32.infinity, 0x3f800000n, context()), F32.infinity | F32.signBit);
  assert.is(fpMulAdd(F64, 0n, 0n, F64.signBit, context(down)), F64.signBit);
});

test('alternative half precision saturates with IOC instead of infinities and NaNs', () => {
  const x = context(FPCR.ahp);
  assert.is(fpConvert(F32, F16, F32.infinity | F32.signBit, ROUNDING.tieEven, x), 0xffffn);
  assert.is(x.fpsr, FPSR.ioc);
  const nan = context(FPCR.ahp);
  assert.is(fpConvert(F32, F16, F32.defaultNaN | F32.signBit, ROUNDING.tieEven, nan), 0x8000n);
  assert.is(nan.fpsr, FPSR.ioc);
  const large = context(FPCR.ahp);
  assert.is(fpConvert(F64, F16, doubleBits(2 ** 17), ROUNDING.tieEven, large), 0x7fffn);
  assert.is(large.fpsr, FPSR.ioc);
  assert.is(fpConvert(F16, F64, 0x7fffn, ROUNDING.tieEven, context(FPCR.ahp)), doubleBits(131008));
});

test('round to odd never lands on a midpoint and overflows to the largest number', () => {
  const x = context();
  assert.is(fpConvert(F64, F32, F64.maxNormal, ROUNDING.odd, x), F32.maxNormal);
  assert.is(x.fpsr, FPSR.ofc | FPSR.ixc);
  assert.is(fpConvert(F64, F32, doubleBits(1 + 2 ** -40), ROUNDING.odd, context()), 0x3f800001n);
  assert.is(fpConvert(F64, F32, doubleBits(1), ROUNDING.odd, context()), 0x3f800000n);
});

test('bitLength is exact next to powers of two, where a conversion to double rounds', () => {
  for (let bits = 1; bits < 700; bits++) {
    const power = 1n << BigInt(bits);
    assert.is(bitLength(power), bits + 1);
    assert.is(bitLength(power - 1n), bits);
    assert.is(bitLength(power + 1n), bits + 1);
  }
});

test.run();
