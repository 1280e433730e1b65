/** System instructions: PSTATE, system registers, cache and TLB operations (Arm ARM C4.1.93, "System"). */
import type { Ops } from '../ops.js';
import { EXIT, STATE, TLB_BANK_BYTES } from '../state.js';
import { ISS, sysregKey } from '../sysreg/encoding.js';
import { ID_VALUES } from '../sysreg/id-registers.js';
import { REGISTER_BY_KEY, SLOT, type SystemRegister } from '../sysreg/registers.js';
import { isConstant, type Val } from '../wasm/body.js';
import { instruction } from './instruction.js';

/** Fields of MSR, MRS (o0) and SYS. */
interface Encoding {
  readonly op1: number;
  readonly crn: number;
  readonly crm: number;
  readonly op2: number;
  readonly rt: number;
}
type RegisterEncoding = Encoding & { readonly o0: number };

const keyOf = (f: RegisterEncoding): number => sysregKey(2 + f.o0, f.op1, f.crn, f.crm, f.op2);
const registerOf = (f: RegisterEncoding): SystemRegister | undefined => REGISTER_BY_KEY.get(keyOf(f));
/** The syndrome of a trapped MRS or MSR. */
const issOf = (f: RegisterEncoding, direction: number): number => keyOf(f) | (f.rt << ISS.rtShift) | direction;

const SP_EL0 = sysregKey(3, 0, 4, 1, 0);
const CURRENT_EL = sysregKey(3, 0, 4, 2, 2);
const NZCV = sysregKey(3, 3, 4, 2, 0);
const DAIF = sysregKey(3, 3, 4, 2, 1);
const FPCR = sysregKey(3, 3, 4, 4, 0);
const FPSR = sysregKey(3, 3, 4, 4, 1);
const CTR = sysregKey(3, 3, 0, 0, 1);
const DCZID = sysregKey(3, 3, 0, 0, 7);
/** Registers with instructions of their own below. */
const OWN = new Set([SP_EL0, CURRENT_EL, NZCV, DAIF, FPCR, FPSR, CTR, DCZID]);

/** SCTLR_EL1.UCT and DZE: EL0 may read CTR_EL0, and use DC ZVA. */
const UCT = 1 << 15;
const DZE = 1 << 14;
/** Cache maintenance by address that may do nothing: IC IVAU, DC CVAC, CVAU, CIVAC. */
const BY_ADDRESS = new Set([5, 10, 11, 14].map((crm) => sysregKey(1, 3, 7, crm, 1)));
const operationOf = (f: Encoding): number => sysregKey(1, f.op1, f.crn, f.crm, f.op2);

/** Effects of a write after which nothing of the context has changed but perhaps an interrupt line. */
const QUIET: ReadonlySet<string> = new Set(['none', 'external', 'timer', 'pmu']);

const plainAt = (f: RegisterEncoding): number => registerOf(f)?.at ?? 0;
const isPlain = (f: RegisterEncoding, access: 'read' | 'write', level: number): boolean => {
  const row = registerOf(f);
  return row?.plain === true && row[access] === level;
};
/** Whether a write of this register (or of no register) may be followed without leaving generated code. */
const isQuiet = (f: RegisterEncoding): boolean => QUIET.has(registerOf(f)?.effect ?? 'none');
const isGeneral = (f: RegisterEncoding, access: 'read' | 'write'): boolean =>
  !OWN.has(keyOf(f)) && !isPlain(f, access, 0) && !isPlain(f, access, 1) && !(access === 'read' && isFixed(f));
/** Whether the register has one value for ever, and only EL0 may not read it. */
const isFixed = (f: RegisterEncoding): boolean => {
  const row = registerOf(f);
  return row?.effect === 'none' && row.at < 0 && row.read === 1;
};

const PSTATE_PAN = 22;
const PSTATE_UAO = 23;
const FPCR_MASK = 0x07c00000;
const FPSR_MASK = 0x0800009f;
const MRS = '1101010100 1 1 o0:1 op1:3 crn:4 crm:4 op2:3 rt:5';
const MSR = '1101010100 0 1 o0:1 op1:3 crn:4 crm:4 op2:3 rt:5';
const SYS = '1101010100 0 01 op1:3 crn:4 crm:4 op2:3 rt:5';
const DC_ZVA = sysregKey(1, 3, 7, 4, 1);

/** Undefined at EL0. */
function privileged(k: Ops): void {
  k.if(k.eqz(k.stateLoad('u32', STATE.el)), () => k.exit(EXIT.undefined));
}

/** Reads the state block's 8 bytes at `at` (i64, an immediate: a constant in compiled code). */
function slotLoad(k: Ops, at: Val): Val {
  if (isConstant(at)) return k.stateLoad('u64', Number(at.constant));
  return k.body.load(0x29, 'i64', 3, k.add(k.state, k.wrap(at)), 0);
}

/** Writes the state block's 8 bytes at `at`. */
function slotStore(k: Ops, at: Val, value: Val): void {
  if (isConstant(at)) k.stateStore('u64', Number(at.constant), value);
  else k.body.store(0x37, 3, k.add(k.state, k.wrap(at)), value, 0);
}

/** Leaves generated code if an interrupt that PSTATE lets through is pending, so that the core takes it. */
function takePending(k: Ops): void {
  const open = k.and(k.stateLoad('u32', STATE.interrupts), k.not(k.stateLoad('u32', STATE.daif)));
  k.if(k.and(open, k.i32(0x3c0)), () => k.exitAfter(EXIT.context));
}

/** Recomputes STATE.fpFast, see sysreg/access.ts. */
function updateFpFast(k: Ops): void {
  const inexact = k.and(k.shrU(k.stateLoad('u32', STATE.fpsr), k.i32(4)), k.i32(1));
  k.stateStore('u32', STATE.fpFast, k.and(k.eqz(k.stateLoad('u32', STATE.fpcr)), inexact));
}

/** Instructions of this chapter. */
export const SYSTEM = [
  // ---- PSTATE ----
  instruction(
    'MSR (DAIFSet)',
    '1101010100000 011 0100 crm:4 110 11111',
    {
      imm: { mask: (f) => f.crm << 6, iss: (f) => sysregKey(0, 3, 4, f.crm, 6) | (31 << ISS.rtShift) },
      untested: true,
    },
    (op, k) => {
      k.if(
        k.stateLoad('u32', STATE.el),
        () => k.stateStore('u32', STATE.daif, k.or(k.stateLoad('u32', STATE.daif), k.wrap(op.mask))),
        () => k.helper('pstateWrite', [k.wrap(op.iss)], true),
      );
    },
  ),
  instruction(
    'MSR (DAIFClr)',
    '1101010100000 011 0100 crm:4 111 11111',
    {
      imm: { mask: (f) => ~(f.crm << 6), iss: (f) => sysregKey(0, 3, 4, f.crm, 7) | (31 << ISS.rtShift) },
      untested: true,
    },
    (op, k) => {
      k.if(
        k.stateLoad('u32', STATE.el),
        () => k.stateStore('u32', STATE.daif, k.and(k.stateLoad('u32', STATE.daif), k.wrap(op.mask))),
        () => k.helper('pstateWrite', [k.wrap(op.iss)], true),
      );
      takePending(k);
    },
  ),
  instruction(
    'MSR (PAN)',
    '1101010100000 000 0100 crm:4 100 11111',
    { imm: { pan: (f) => f.crm & 1 }, flow: 'exit', untested: true },
    (op, k) => {
      privileged(k);
      const pan = k.wrap(op.pan);
      const others = k.and(k.stateLoad('u32', STATE.pstate), k.i32(~(1 << PSTATE_PAN)));
      k.stateStore('u32', STATE.pstate, k.or(others, k.shl(pan, k.i32(PSTATE_PAN))));
      // The banks of a space are EL1, EL0, EL1 with PAN clear: see mmu/tlb.ts.
      const space = k.stateLoad('u32', STATE.tlbSpace);
      const bank = k.add(space, k.mul(k.sub(k.i32(1), pan), k.i32(2 * TLB_BANK_BYTES)));
      k.stateStore('u32', STATE.tlb, bank);
      const override = k.and(others, k.i32(1 << PSTATE_UAO));
      k.stateStore('u32', STATE.tlbUser, k.select(override, bank, k.add(space, k.i32(TLB_BANK_BYTES))));
      k.exitAfter(EXIT.resume);
    },
  ),
  instruction(
    'MSR (SPSel, UAO)',
    '1101010100000 000 0100 crm:4 op2:3 11111',
    {
      when: (f) => f.op2 === 3 || f.op2 === 5,
      imm: { iss: (f) => sysregKey(0, 0, 4, f.crm, f.op2) | (31 << ISS.rtShift) },
      flow: 'exit',
      untested: true,
    },
    (op, k) => {
      k.helper('pstateWrite', [k.wrap(op.iss)], true);
      k.exitAfter(EXIT.resume);
    },
  ),

  // ---- system registers with a place in the state block ----
  instruction(
    'MRS (plain, EL0)',
    MRS,
    { when: (f) => isPlain(f, 'read', 0), imm: { at: plainAt }, untested: true },
    (op, k) => k.setReg(op.rt, slotLoad(k, op.at)),
  ),
  instruction(
    'MRS (plain, EL1)',
    MRS,
    { when: (f) => isPlain(f, 'read', 1), imm: { at: plainAt }, untested: true },
    (op, k) => {
      privileged(k);
      k.setReg(op.rt, slotLoad(k, op.at));
    },
  ),
  instruction(
    'MSR (plain, EL0)',
    MSR,
    { when: (f) => isPlain(f, 'write', 0), imm: { at: plainAt }, untested: true },
    (op, k) => slotStore(k, op.at, k.reg(op.rt)),
  ),
  instruction(
    'MSR (plain, EL1)',
    MSR,
    { when: (f) => isPlain(f, 'write', 1), imm: { at: plainAt }, untested: true },
    (op, k) => {
      privileged(k);
      slotStore(k, op.at, k.reg(op.rt));
    },
  ),
  instruction('MRS SP_EL0', '110101010011 1 000 0100 0001 000 rt:5', { untested: true }, (op, k) => {
    undefinedUnlessHandler(k);
    k.setReg(op.rt, k.stateLoad('u64', SLOT.spEl0));
  }),
  instruction('MSR SP_EL0', '110101010001 1 000 0100 0001 000 rt:5', { untested: true }, (op, k) => {
    undefinedUnlessHandler(k);
    k.stateStore('u64', SLOT.spEl0, k.reg(op.rt));
  }),
  instruction('MRS CurrentEL', '110101010011 1 000 0100 0010 010 rt:5', { untested: true }, (op, k) => {
    privileged(k);
    k.setReg(op.rt, k.extendU(k.shl(k.stateLoad('u32', STATE.el), k.i32(2))));
  }),
  instruction('MRS NZCV', '110101010011 1 011 0100 0010 000 rt:5', {}, (op, k) =>
    k.setReg(op.rt, k.extendU(k.packNzcv())),
  ),
  instruction('MSR NZCV', '110101010001 1 011 0100 0010 000 rt:5', {}, (op, k) => k.unpackNzcv(k.wrap(k.reg(op.rt)))),
  instruction(
    'MRS DAIF',
    '110101010011 1 011 0100 0010 001 rt:5',
    { imm: { iss: (f) => DAIF | (f.rt << ISS.rtShift) | ISS.read }, untested: true },
    (op, k) => {
      const value = k.variable('i64');
      k.if(
        k.stateLoad('u32', STATE.el),
        () => k.assign(value, k.stateLoad('u32x', STATE.daif)),
        () => {
          k.helper('sysregRead', [k.wrap(op.iss)], true);
          k.assign(value, k.scratch('u64'));
        },
      );
      k.setReg(op.rt, value);
    },
  ),
  instruction(
    'MSR DAIF',
    '110101010001 1 011 0100 0010 001 rt:5',
    { imm: { iss: (f) => DAIF | (f.rt << ISS.rtShift) }, untested: true },
    (op, k) => {
      const value = k.reg(op.rt);
      k.if(
        k.stateLoad('u32', STATE.el),
        () => k.stateStore('u32', STATE.daif, k.and(k.wrap(value), k.i32(0x3c0))),
        () => {
          k.stateStore('u64', STATE.scratch, value);
          k.helper('sysregWrite', [k.wrap(op.iss)], true);
        },
      );
      takePending(k);
    },
  ),
  instruction('MRS FPCR', '110101010011 1 011 0100 0100 000 rt:5', { fp: true }, (op, k) =>
    k.setReg(op.rt, k.stateLoad('u32x', STATE.fpcr)),
  ),
  instruction('MRS FPSR', '110101010011 1 011 0100 0100 001 rt:5', { fp: true }, (op, k) =>
    k.setReg(op.rt, k.stateLoad('u32x', STATE.fpsr)),
  ),
  instruction('MSR FPCR', '110101010001 1 011 0100 0100 000 rt:5', { fp: true, flow: 'exit' }, (op, k) => {
    k.stateStore('u32', STATE.fpcr, k.and(k.wrap(k.reg(op.rt)), k.i32(FPCR_MASK)));
    updateFpFast(k);
    k.exitAfter(EXIT.resume); // regions may have been entered on the strength of fpFast
  }),
  instruction('MSR FPSR', '110101010001 1 011 0100 0100 001 rt:5', { fp: true, flow: 'exit' }, (op, k) => {
    k.stateStore('u32', STATE.fpsr, k.and(k.wrap(k.reg(op.rt)), k.i32(FPSR_MASK)));
    updateFpFast(k);
    k.exitAfter(EXIT.resume);
  }),

  instruction(
    'MRS CTR_EL0',
    '110101010011 1 011 0000 0000 001 rt:5',
    { imm: { iss: (f) => CTR | (f.rt << ISS.rtShift) | ISS.read }, untested: true },
    (op, k) => {
      const open = k.and(k.stateLoad('u32', SLOT.sctlr), k.i32(UCT));
      k.slowIf(k.eqz(k.or(open, k.stateLoad('u32', STATE.el))), () => k.helper('sysregRead', [k.wrap(op.iss)], true));
      k.setReg(op.rt, k.i64(ID_VALUES.CTR_EL0));
    },
  ),
  instruction('MRS DCZID_EL0', '110101010011 1 011 0000 0000 111 rt:5', { untested: true }, (op, k) => {
    // Blocks of 64 bytes (2^4 words); DZP where DC ZVA would trap.
    const open = k.or(k.and(k.stateLoad('u32', SLOT.sctlr), k.i32(DZE)), k.stateLoad('u32', STATE.el));
    k.setReg(op.rt, k.extendU(k.or(k.shl(k.eqz(open), k.i32(4)), k.i32(4))));
  }),
  instruction(
    'MRS (fixed)',
    MRS,
    {
      when: (f) => !OWN.has(keyOf(f)) && isFixed(f),
      imm: { value: (f) => registerOf(f)?.reset ?? 0n },
      untested: true,
    },
    (op, k) => {
      privileged(k);
      k.setReg(op.rt, op.value);
    },
  ),

  // ---- all other system registers ----
  instruction(
    'MRS',
    MRS,
    { when: (f) => isGeneral(f, 'read'), imm: { iss: (f) => issOf(f, ISS.read) }, untested: true },
    (op, k) => {
      k.helper('sysregRead', [k.wrap(op.iss)], true);
      k.setReg(op.rt, k.scratch('u64'));
    },
  ),
  instruction(
    'MSR (quiet)',
    MSR,
    { when: (f) => isGeneral(f, 'write') && isQuiet(f), imm: { iss: (f) => issOf(f, 0) }, untested: true },
    (op, k) => {
      k.stateStore('u64', STATE.scratch, k.reg(op.rt));
      k.helper('sysregWrite', [k.wrap(op.iss)], true);
      takePending(k);
    },
  ),
  instruction(
    'MSR (context)',
    MSR,
    {
      when: (f) => isGeneral(f, 'write') && registerOf(f)?.effect === 'context',
      imm: { iss: (f) => issOf(f, 0) },
      flow: 'exit',
      untested: true,
    },
    (op, k) => {
      k.stateStore('u64', STATE.scratch, k.reg(op.rt));
      k.helper('sysregWrite', [k.wrap(op.iss)], true);
      k.exitAfter(EXIT.resume);
    },
  ),
  instruction(
    'MSR (with effects)',
    MSR,
    {
      when: (f) => isGeneral(f, 'write') && !isQuiet(f) && registerOf(f)?.effect !== 'context',
      imm: { iss: (f) => issOf(f, 0) },
      flow: 'exit',
      untested: true,
    },
    (op, k) => {
      k.stateStore('u64', STATE.scratch, k.reg(op.rt));
      k.helper('sysregWrite', [k.wrap(op.iss)], true);
      k.exitAfter(EXIT.context);
    },
  ),

  // ---- operations ----
  instruction(
    'DC ZVA',
    '1101010100 0 01 011 0111 0100 001 rt:5',
    { imm: { iss: (f) => sysregKey(1, 3, 7, 4, 1) | (f.rt << ISS.rtShift) }, untested: true },
    (op, k) => {
      const dze = k.and(k.stateLoad('u32', SLOT.sctlr), k.i32(DZE));
      const closed = k.eqz(k.or(dze, k.stateLoad('u32', STATE.el)));
      k.slowIf(closed, () => k.helper('zeroTrap', [k.wrap(op.iss)], true));
      const va = k.reg(op.rt);
      k.hostAddress(va, 1, true); // a fault names the address given, not the block's
      const host = k.hostAddress(k.and(va, k.i64(~63n)), 64, true);
      const zero = k.v128(new Uint8Array(16));
      for (let at = 0; at < 64; at += 16) k.body.store(0xfd000b, 4, host, zero, at);
    },
  ),
  instruction(
    'SYS (cache, by address)',
    SYS,
    {
      when: (f) => BY_ADDRESS.has(operationOf(f)),
      imm: { iss: (f) => operationOf(f) | (f.rt << ISS.rtShift) },
      untested: true,
    },
    (op, k) => {
      k.stateStore('u64', STATE.scratch, k.reg(op.rt));
      k.helper('system', [k.wrap(op.iss)], true);
      k.if(k.stateLoad('u32', STATE.scratch), () => k.exitAfter(EXIT.context));
    },
  ),
  instruction(
    'SYS',
    SYS,
    {
      when: (f) => operationOf(f) !== DC_ZVA && !BY_ADDRESS.has(operationOf(f)),
      imm: { iss: (f) => operationOf(f) | (f.rt << ISS.rtShift) },
      flow: 'exit',
      untested: true,
    },
    (op, k) => {
      k.stateStore('u64', STATE.scratch, k.reg(op.rt));
      k.helper('system', [k.wrap(op.iss)], true);
      k.exitAfter(EXIT.context);
    },
  ),
];

/** Undefined at EL0, and at EL1 while SP_EL0 is the current stack pointer. */
function undefinedUnlessHandler(k: Ops): void {
  const selected = k.and(k.stateLoad('u32', STATE.pstate), k.stateLoad('u32', STATE.el));
  k.if(k.eqz(k.and(selected, k.i32(1))), () => k.exit(EXIT.undefined));
}
