/** Which operators compute addresses, and what they do to values (values.ts); all others yield values nobody can vouch for. */
import { OPERANDS } from './operators.js';
import type { Values } from './values.js';

/** How the main loop treats an operator (by its first byte). */
export const ACT = { other: 0, get: 1, set: 2, tee: 3, arithmetic: 4, compute: 5 } as const;
/** Operators of address arithmetic: i32 ne, add, and, shl, shr_u; i64 eq, ne, lt_u, ge_u, add, sub, and, shr_u. */
const ADDRESS_ARITHMETIC = [0x47, 0x6a, 0x71, 0x74, 0x76, 0x51, 0x52, 0x54, 0x5a, 0x7c, 0x7d, 0x83, 0x88];
/** The {@link ACT} of each operator. */
export const ACTION = ((): Uint8Array => {
  const action = OPERANDS.map((operands) => (operands === 0 ? ACT.other : ACT.compute + operands));
  for (const code of ADDRESS_ARITHMETIC) action[code] = ACT.arithmetic;
  action[0x20] = ACT.get;
  action[0x21] = ACT.set;
  action[0x22] = ACT.tee;
  action[0x45] = action[0xa7] = ACT.other; // i32.eqz and i32.wrap_i64 mean something
  return action;
})();

/** The value of address arithmetic operator `code` on `x` and `y`. */
export function arithmetic(values: Values, code: number, x: number, y: number): number {
  switch (code) {
    case 0x47:
      return values.notEqual32(x, y);
    case 0x6a:
      return values.add32(x, y);
    case 0x71:
      return values.and32(x, y);
    case 0x74:
      return values.shl32(x, y);
    case 0x76:
      return values.shrU32(x, y);
    case 0x51:
      return values.equal64(0, x, y);
    case 0x52:
      return values.equal64(1, x, y);
    case 0x54:
      return values.below64(0, x, y);
    case 0x5a:
      return values.below64(1, x, y);
    case 0x7c:
      return values.add64(x, y);
    case 0x7d:
      return values.sub64(x, y);
    case 0x83:
      return values.and64(x, y);
    default:
      return values.shrU64(x, y);
  }
}
