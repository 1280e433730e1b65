/**
 * The helper's own short cut: the host's arithmetic with the checks of fast-path.ts, flags included. It serves programs
 * whose results have all been exact so far, which generated code must hand over because FPSR.IXC is still clear.
 */
import {
  addF32Fast,
  addF32Inexact,
  addF64Fast,
  addF64Inexact,
  divF32Fast,
  divF32Inexact,
  divF64Fast,
  divF64Inexact,
  fmaF32Fast,
  fmaF32Inexact,
  fmaF64Fast,
  fmaF64Inexact,
  mulF32Fast,
  mulF32Inexact,
  mulF64Fast,
  mulF64Inexact,
} from './fast-path.js';
import { FP_CODE } from './helper-codes.js';

/** A vouched-for result, and whether it is inexact (undefined: not known). */
interface Quick {
  readonly result: (a: number, b: number, c: number) => number | undefined;
  readonly inexact: (a: number, b: number, c: number, result: number) => boolean | undefined;
}

const withOperands = ({ result, inexact }: Quick, a: 1 | -1, b: 1 | -1, c: 1 | -1): Quick => ({
  result: (x, y, z) => result(a * x, b * y, c * z),
  inexact: (x, y, z, r) => inexact(a * x, b * y, c * z, r),
});

/** The operations by code, for one format. */
function table(add: Quick, mul: Quick, div: Quick, fma: Quick): readonly (Quick | undefined)[] {
  const list: (Quick | undefined)[] = [];
  list[FP_CODE.add] = add;
  list[FP_CODE.sub] = withOperands(add, 1, -1, 1);
  list[FP_CODE.mul] = mul;
  list[FP_CODE.div] = div;
  list[FP_CODE.madd] = fma;
  list[FP_CODE.msub] = withOperands(fma, -1, 1, 1);
  list[FP_CODE.nmadd] = withOperands(fma, -1, 1, -1);
  list[FP_CODE.nmsub] = withOperands(fma, 1, 1, -1);
  return list;
}

const SINGLE = table(
  { result: addF32Fast, inexact: (a, b, _c, r) => addF32Inexact(a, b, r) },
  { result: mulF32Fast, inexact: (a, b, _c, r) => mulF32Inexact(a, b, r) },
  { result: divF32Fast, inexact: (a, b, _c, r) => divF32Inexact(a, b, r) },
  { result: fmaF32Fast, inexact: fmaF32Inexact },
);
const DOUBLE = table(
  { result: addF64Fast, inexact: (a, b, _c, r) => addF64Inexact(a, b, r) },
  { result: mulF64Fast, inexact: (a, b, _c, r) => mulF64Inexact(a, b, r) },
  { result: divF64Fast, inexact: (a, b, _c, r) => divF64Inexact(a, b, r) },
  { result: fmaF64Fast, inexact: fmaF64Inexact },
);

const results = [0, 0, 0, 0];

/**
 * Computes `lanes` lanes of 2^`log2` bytes at `base` (operands 16 bytes apart), rounding to nearest without flushing. On
 * success the results replace the first operands, the rest of the vector is zero, and the answer tells whether any is
 * inexact. Undefined, and nothing written, if some lane needs the exact operation.
 */
export function quickLanes(
  view: DataView,
  base: number,
  code: number,
  log2: number,
  lanes: number,
): boolean | undefined {
  const quick = (log2 === 3 ? DOUBLE : log2 === 2 ? SINGLE : [])[code];
  if (quick === undefined) return undefined;
  const read = (at: number): number => (log2 === 3 ? view.getFloat64(at, true) : view.getFloat32(at, true));
  let isInexact = false;
  for (let lane = 0; lane < lanes; lane++) {
    const at = base + (lane << log2);
    const [a, b, c] = [read(at), read(at + 16), read(at + 32)];
    const result = quick.result(a, b, c);
    if (result === undefined) return undefined;
    const inexact = quick.inexact(a, b, c, result);
    if (inexact === undefined) return undefined;
    isInexact ||= inexact;
    results[lane] = result;
  }
  view.setBigUint64(base, 0n, true);
  view.setBigUint64(base + 8, 0n, true);
  for (let lane = 0; lane < lanes; lane++) {
    const result = results[lane] ?? 0;
    if (log2 === 3) view.setFloat64(base + lane * 8, result, true);
    else view.setFloat32(base + lane * 4, result, true);
  }
  return isInexact;
}
