/** Scalar floating-point comparison, conditional comparison and selection (Arm ARM C4.1.96). */
import { FP_CODE, fpShape } from '../../fp/helper-codes.js';
import type { Ops } from '../../ops.js';
import { i32, i64, type Val } from '../../wasm/body.js';
import { type Instruction, instruction } from '../instruction.js';
import type { Reg } from '../operand.js';
import { constant, float } from './fast.js';
import { callExact, doubtful, type Scalar, scalarType } from './slow.js';

/** The three relations of a comparison, i32 each. */
interface Relations {
  readonly less: Val;
  readonly notLess: Val;
  readonly isOrdered: Val;
}

function relate(k: Ops, type: Scalar, a: Val, b: Val): Relations {
  const less = float(k, type, 'lt', a, b);
  const notLess = float(k, type, 'ge', a, b);
  return { less, notLess, isOrdered: k.or(less, notLess) };
}

/** NZCV in bits 3..0 by the exact comparison; `second` absent means zero. */
function exactCompare(k: Ops, t: number, signalling: boolean, first: Reg, second: Reg | undefined): Val {
  const zero: Val = { type: 'v128', local: -1, constant: 0 };
  const exact = { code: FP_CODE.compare, shape: fpShape(t + 2, 1), extra: signalling ? 1 : 0 };
  return callExact(k, exact, [k.vreg(first), second === undefined ? zero : k.vreg(second)]);
}

/** FCMP, FCMPE with a register or with zero. */
function compare(name: string, opcode2: string, withZero: boolean, signalling: boolean): Instruction {
  return instruction(name, `000 11110 0 t:1 1 vm:5 00 1000 vn:5 ${opcode2} 000`, { variant: ['t'] }, (op, k) => {
    const type = scalarType(op.t);
    const a = k.vscalar(op.vn, type);
    const b = withZero ? constant(k, type, 0) : k.vscalar(op.vm, type);
    const { less, notLess, isOrdered } = relate(k, type, a, b);
    const n = k.variable('i64', k.shl(k.extendU(less), i64(63)));
    const z = k.variable('i64', k.extendU(float(k, type, 'ne', a, b)));
    const c = k.variable('i32', notLess);
    const v = k.variable('i64', i64(0));
    k.slowIf(doubtful(k, 'no-flush', isOrdered), () => {
      const nzcv = exactCompare(k, op.t, signalling, op.vn, withZero ? undefined : op.vm);
      const wide = k.extendU(nzcv);
      k.assign(n, k.shl(wide, i64(60)));
      k.assign(z, k.extendU(k.eqz(k.and(nzcv, i32(4)))));
      k.assign(c, k.and(k.shrU(nzcv, i32(1)), i32(1)));
      k.assign(v, k.shl(wide, i64(63)));
    });
    k.setFlag('flagN', n);
    k.setFlag('flagZ', z);
    k.setFlag('flagC', c);
    k.setFlag('flagV', v);
    k.noteFloatCompare(a, b);
  });
}

/** FCCMP, FCCMPE: the comparison's flags if the condition holds, else the immediate's. */
function conditionalCompare(name: string, bit: '0' | '1'): Instruction {
  return instruction(
    name,
    `000 11110 0 t:1 1 vm:5 cond:4 01 vn:5 ${bit} nzcv:4`,
    { variant: ['t', 'cond'], imm: { flags: (f) => f.nzcv } },
    (op, k) => {
      const type = scalarType(op.t);
      const [a, b] = [k.vscalar(op.vn, type), k.vscalar(op.vm, type)];
      const { less, notLess, isOrdered } = relate(k, type, a, b);
      const condition = k.copy(k.condition(op.cond));
      const ordered = k.or(
        k.shl(less, i32(3)),
        k.or(k.shl(float(k, type, 'eq', a, b), i32(2)), k.shl(notLess, i32(1))),
      );
      const nzcv = k.variable('i32', k.select(condition, ordered, k.wrap(op.flags)));
      k.slowIf(k.select(condition, doubtful(k, 'no-flush', isOrdered), i32(0)), () =>
        k.assign(nzcv, exactCompare(k, op.t, bit === '1', op.vn, op.vm)),
      );
      k.unpackNzcv(k.shl(nzcv, i32(28)));
    },
  );
}

/** Instructions of this chapter. */
export const FP_COMPARE: readonly Instruction[] = [
  compare('FCMP', '00', false, false),
  compare('FCMP (zero)', '01', true, false),
  compare('FCMPE', '10', false, true),
  compare('FCMPE (zero)', '11', true, true),
  conditionalCompare('FCCMP', '0'),
  conditionalCompare('FCCMPE', '1'),
  instruction('FCSEL', '000 11110 0 t:1 1 vm:5 cond:4 11 vn:5 vd:5', { variant: ['t', 'cond'] }, (op, k) => {
    const type = op.t === 1 ? 'i64' : 'i32';
    k.setVscalar(op.vd, k.select(k.condition(op.cond), k.vscalar(op.vn, type), k.vscalar(op.vm, type)));
  }),
];
