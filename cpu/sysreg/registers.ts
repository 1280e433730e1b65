/**
 * The table of system registers: name, encoding, where the value lives, who may access it and what a write does. An
 * encoding that is not here is undefined. Field masks and reset values follow the Arm ARM (D17.2 to D17.8) for the
 * features that id-registers.ts advertises.
 */
import { assert } from '../../bus/assert.js';
import { STATE } from '../state.js';
import { sysregKey } from './encoding.js';
import { BREAKPOINTS, ID_VALUES, WATCHPOINTS } from './id-registers.js';

/**
 * What a register's value or a write to it is connected with:
 *  - `none`: storage only;
 *  - `context`: TTBRs, and TCR.AS and A1: which address space is current;
 *  - `mmu`: every translation may change;
 *  - `fp`: traps of SIMD&FP instructions;
 *  - `debug`: which addresses are watched, software step;
 *  - `external`: the register is the machine's (SystemPeripherals);
 *  - `timer`: external, and its EL0 access is controlled by CNTKCTL_EL1;
 *  - `pmu`: performance monitor, EL0 access by PMUSERENR_EL0;
 *  - `special`: computed by access.ts.
 */
export type SysregEffect = 'none' | 'context' | 'mmu' | 'fp' | 'debug' | 'external' | 'timer' | 'pmu' | 'special';

/** Who may read or write: the lowest exception level, or nobody. */
export type SysregAccess = 0 | 1 | 'never';

/** One row of the table. */
export interface SystemRegister {
  readonly name: string;
  readonly key: number;
  readonly read: SysregAccess;
  readonly write: SysregAccess;
  /** Byte offset of its 8 bytes in the state block, or -1 when the value is constant or computed. */
  readonly at: number;
  /** Bits a write changes. */
  readonly writable: bigint;
  /** Bits that are always one. */
  readonly ones: bigint;
  readonly reset: bigint;
  readonly effect: SysregEffect;
  /** A plain register: read and written inline by generated code, with nothing checked but the exception level. */
  readonly plain: boolean;
}

type Encoding = readonly [op0: number, op1: number, crn: number, crm: number, op2: number];
interface Options {
  readonly read?: SysregAccess;
  readonly write?: SysregAccess;
  readonly writable?: bigint;
  readonly ones?: bigint;
  readonly reset?: bigint;
  readonly effect?: SysregEffect;
  readonly plain?: boolean;
}

const ALL = 2n ** 64n - 1n;
const LOW32 = 0xffffffffn;
let nextSlot: number = STATE.sysregs;

function slot(): number {
  const at = nextSlot;
  nextSlot += 8;
  assert(nextSlot <= STATE.sysregsEnd, 'the system registers fit the state block');
  return at;
}

/** A register with storage. */
function stored(name: string, encoding: Encoding, options: Options = {}): SystemRegister {
  return {
    name,
    key: sysregKey(...encoding),
    read: options.read ?? 1,
    write: options.write ?? 1,
    at: slot(),
    writable: options.writable ?? ALL,
    ones: options.ones ?? 0n,
    reset: (options.reset ?? 0n) | (options.ones ?? 0n),
    effect: options.effect ?? 'none',
    plain: options.plain ?? false,
  };
}

/** A read-only register with a fixed value. */
function constant(name: string, encoding: Encoding, value: bigint, read: SysregAccess = 1): SystemRegister {
  const key = sysregKey(...encoding);
  const base = { name, key, read, write: 'never', at: -1, writable: 0n, ones: 0n, plain: false } as const;
  return { ...base, reset: value, effect: 'none' };
}

/** A register whose value is computed or belongs to the machine. */
function computed(
  name: string,
  encoding: Encoding,
  effect: SysregEffect,
  read: SysregAccess = 1,
  write: SysregAccess = 1,
): SystemRegister {
  const base = { at: -1, writable: ALL, ones: 0n, reset: 0n, plain: false } as const;
  return { name, key: sysregKey(...encoding), read, write, effect, ...base };
}

const PLAIN: Options = { plain: true };

/** Bits set from `hi` down to `lo`. */
const bits = (hi: number, lo: number): bigint => (2n ** BigInt(hi - lo + 1) - 1n) << BigInt(lo);

const CONTROL = [
  stored('SCTLR_EL1', [3, 0, 1, 0, 0], {
    // M A C SA SA0, UMA, I, DZE, UCT, nTWI, nTWE, WXN, SPAN, UCI
    writable: 0x0408d21fn | (1n << 16n) | (1n << 18n) | (1n << 23n),
    ones: 0x30500980n, // bits 29, 28, 22 (EIS), 20 (TSCXT), 11 (EOS), 8 (SED), 7 (ITD)
    reset: 1n << 23n,
    effect: 'mmu',
  }),
  constant('ACTLR_EL1', [3, 0, 1, 0, 1], 0n),
  stored('CPACR_EL1', [3, 0, 1, 0, 2], { writable: 0x300000n, effect: 'fp' }),
  stored('TTBR0_EL1', [3, 0, 2, 0, 0], { writable: ALL & ~1n, effect: 'context' }),
  stored('TTBR1_EL1', [3, 0, 2, 0, 1], { writable: ALL & ~1n, effect: 'context' }),
  stored('TCR_EL1', [3, 0, 2, 0, 2], {
    // all of Armv8.0, HPD0/1, E0PD0/1
    writable: bits(38, 36) | bits(34, 32) | bits(31, 7) | bits(5, 0) | bits(42, 41) | bits(56, 55),
    effect: 'mmu',
  }),
  stored('SPSR_EL1', [3, 0, 4, 0, 0], PLAIN),
  stored('ELR_EL1', [3, 0, 4, 0, 1], PLAIN),
  computed('SP_EL0', [3, 0, 4, 1, 0], 'special'),
  computed('SPSel', [3, 0, 4, 2, 0], 'special'),
  computed('CurrentEL', [3, 0, 4, 2, 2], 'special', 1, 'never'),
  computed('PAN', [3, 0, 4, 2, 3], 'special'),
  computed('UAO', [3, 0, 4, 2, 4], 'special'),
  computed('NZCV', [3, 3, 4, 2, 0], 'special', 0, 0),
  computed('DAIF', [3, 3, 4, 2, 1], 'special', 0, 0),
  computed('FPCR', [3, 3, 4, 4, 0], 'special', 0, 0),
  computed('FPSR', [3, 3, 4, 4, 1], 'special', 0, 0),
  constant('AFSR0_EL1', [3, 0, 5, 1, 0], 0n),
  constant('AFSR1_EL1', [3, 0, 5, 1, 1], 0n),
  stored('ESR_EL1', [3, 0, 5, 2, 0], PLAIN),
  stored('FAR_EL1', [3, 0, 6, 0, 0], PLAIN),
  stored('PAR_EL1', [3, 0, 7, 4, 0], PLAIN),
  stored('MAIR_EL1', [3, 0, 10, 2, 0], { effect: 'mmu' }),
  constant('AMAIR_EL1', [3, 0, 10, 3, 0], 0n),
  stored('VBAR_EL1', [3, 0, 12, 0, 0], { writable: ALL & ~0x7ffn }),
  computed('ISR_EL1', [3, 0, 12, 1, 0], 'special', 1, 'never'),
  stored('CONTEXTIDR_EL1', [3, 0, 13, 0, 1], { writable: LOW32 }),
  stored('TPIDR_EL1', [3, 0, 13, 0, 4], PLAIN),
  stored('TPIDR_EL0', [3, 3, 13, 0, 2], { read: 0, write: 0, plain: true }),
  stored('TPIDRRO_EL0', [3, 3, 13, 0, 3], { read: 0, plain: true }),
  stored('CNTKCTL_EL1', [3, 0, 14, 1, 0], { writable: 0x3ffn }),
  stored('CSSELR_EL1', [3, 2, 0, 0, 0], { writable: 0xfn }),
  computed('CCSIDR_EL1', [3, 1, 0, 0, 0], 'special', 1, 'never'),
];

/** AFSR and AMAIR are read-as-zero and ignore writes; so does ACTLR. Their rows above refuse writes, so correct that. */
const IGNORED = new Set(['ACTLR_EL1', 'AFSR0_EL1', 'AFSR1_EL1', 'AMAIR_EL1']);
const CONTROL_ROWS = CONTROL.map((row): SystemRegister => (IGNORED.has(row.name) ? { ...row, write: 1 } : row));

const IDENTIFICATION = ((): SystemRegister[] => {
  const rows = [
    constant('MIDR_EL1', [3, 0, 0, 0, 0], ID_VALUES.MIDR_EL1),
    { ...stored('MPIDR_EL1', [3, 0, 0, 0, 5], { reset: 1n << 31n }), write: 'never' as const },
    constant('REVIDR_EL1', [3, 0, 0, 0, 6], 0n),
    constant('CLIDR_EL1', [3, 1, 0, 0, 1], ID_VALUES.CLIDR_EL1),
    constant('AIDR_EL1', [3, 1, 0, 0, 7], 0n),
    // Readable at EL0, with a trap of its own: see access.ts.
    constant('CTR_EL0', [3, 3, 0, 0, 1], ID_VALUES.CTR_EL0, 0),
    computed('DCZID_EL0', [3, 3, 0, 0, 7], 'special', 0, 'never'),
  ];
  const known: Readonly<Record<string, readonly [string, bigint]>> = {
    '4 0': ['ID_AA64PFR0_EL1', ID_VALUES.ID_AA64PFR0_EL1],
    '5 0': ['ID_AA64DFR0_EL1', ID_VALUES.ID_AA64DFR0_EL1],
    '6 0': ['ID_AA64ISAR0_EL1', ID_VALUES.ID_AA64ISAR0_EL1],
    '6 1': ['ID_AA64ISAR1_EL1', ID_VALUES.ID_AA64ISAR1_EL1],
    '7 0': ['ID_AA64MMFR0_EL1', ID_VALUES.ID_AA64MMFR0_EL1],
    '7 1': ['ID_AA64MMFR1_EL1', ID_VALUES.ID_AA64MMFR1_EL1],
    '7 2': ['ID_AA64MMFR2_EL1', ID_VALUES.ID_AA64MMFR2_EL1],
  };
  // The whole ID space reads; what is not allocated reads as zero (Arm ARM D17.1.1).
  for (let crm = 1; crm < 8; crm++) {
    for (let op2 = 0; op2 < 8; op2++) {
      const [name, value] = known[`${crm} ${op2}`] ?? [`S3_0_C0_C${crm}_${op2}`, 0n];
      rows.push(constant(name, [3, 0, 0, crm, op2], value));
    }
  }
  return rows;
})();

const TIMERS = [
  computed('CNTFRQ_EL0', [3, 3, 14, 0, 0], 'timer', 0, 'never'),
  computed('CNTPCT_EL0', [3, 3, 14, 0, 1], 'timer', 0, 'never'),
  computed('CNTVCT_EL0', [3, 3, 14, 0, 2], 'timer', 0, 'never'),
  computed('CNTP_TVAL_EL0', [3, 3, 14, 2, 0], 'timer', 0, 0),
  computed('CNTP_CTL_EL0', [3, 3, 14, 2, 1], 'timer', 0, 0),
  computed('CNTP_CVAL_EL0', [3, 3, 14, 2, 2], 'timer', 0, 0),
  computed('CNTV_TVAL_EL0', [3, 3, 14, 3, 0], 'timer', 0, 0),
  computed('CNTV_CTL_EL0', [3, 3, 14, 3, 1], 'timer', 0, 0),
  computed('CNTV_CVAL_EL0', [3, 3, 14, 3, 2], 'timer', 0, 0),
];

const external = (
  name: string,
  crn: number,
  crm: number,
  op2: number,
  read: SysregAccess,
  write: SysregAccess,
): SystemRegister => computed(name, [3, 0, crn, crm, op2], 'external', read, write);

const INTERRUPT_CONTROLLER = [
  external('ICC_PMR_EL1', 4, 6, 0, 1, 1),
  external('ICC_IAR0_EL1', 12, 8, 0, 1, 'never'),
  external('ICC_EOIR0_EL1', 12, 8, 1, 'never', 1),
  external('ICC_HPPIR0_EL1', 12, 8, 2, 1, 'never'),
  external('ICC_BPR0_EL1', 12, 8, 3, 1, 1),
  ...[0, 1, 2, 3].map((n) => external(`ICC_AP0R${n}_EL1`, 12, 8, 4 + n, 1, 1)),
  ...[0, 1, 2, 3].map((n) => external(`ICC_AP1R${n}_EL1`, 12, 9, n, 1, 1)),
  external('ICC_DIR_EL1', 12, 11, 1, 'never', 1),
  external('ICC_RPR_EL1', 12, 11, 3, 1, 'never'),
  external('ICC_SGI1R_EL1', 12, 11, 5, 'never', 1),
  external('ICC_ASGI1R_EL1', 12, 11, 6, 'never', 1),
  external('ICC_SGI0R_EL1', 12, 11, 7, 'never', 1),
  external('ICC_IAR1_EL1', 12, 12, 0, 1, 'never'),
  external('ICC_EOIR1_EL1', 12, 12, 1, 'never', 1),
  external('ICC_HPPIR1_EL1', 12, 12, 2, 1, 'never'),
  external('ICC_BPR1_EL1', 12, 12, 3, 1, 1),
  external('ICC_CTLR_EL1', 12, 12, 4, 1, 1),
  external('ICC_SRE_EL1', 12, 12, 5, 1, 1),
  external('ICC_IGRPEN0_EL1', 12, 12, 6, 1, 1),
  external('ICC_IGRPEN1_EL1', 12, 12, 7, 1, 1),
];

const DEBUG = [
  stored('MDSCR_EL1', [2, 0, 0, 2, 2], {
    // SS, ERR, TDCC, KDE, HDE, MDE, RAZ/WI[19], TXU, RXO, TXfull, RXfull
    writable: 0x6c00f041n,
    effect: 'debug',
  }),
  stored('MDCCINT_EL1', [2, 0, 0, 2, 0], { writable: 0x60000000n }),
  stored('OSDTRRX_EL1', [2, 0, 0, 0, 2], { writable: LOW32 }),
  stored('OSDTRTX_EL1', [2, 0, 0, 3, 2], { writable: LOW32 }),
  stored('OSECCR_EL1', [2, 0, 0, 6, 2], { writable: LOW32 }),
  constant('MDRAR_EL1', [2, 0, 1, 0, 0], 0n),
  computed('OSLAR_EL1', [2, 0, 1, 0, 4], 'special', 'never', 1),
  // OSLM = 2 (bit 3): the lock exists; OSLK (bit 1): locked at reset.
  { ...stored('OSLSR_EL1', [2, 0, 1, 1, 4], { reset: 0xan }), write: 'never' as const },
  stored('OSDLR_EL1', [2, 0, 1, 3, 4], { writable: 1n }),
  stored('DBGPRCR_EL1', [2, 0, 1, 4, 4], { writable: 1n }),
  computed('DBGCLAIMSET_EL1', [2, 0, 7, 8, 6], 'special'),
  stored('DBGCLAIMCLR_EL1', [2, 0, 7, 9, 6], { effect: 'special' }),
  constant('DBGAUTHSTATUS_EL1', [2, 0, 7, 14, 6], 0xaan),
  constant('MDCCSR_EL0', [2, 3, 0, 1, 0], 0n, 0),
  stored('DBGDTR_EL0', [2, 3, 0, 4, 0], { read: 0, write: 0 }),
  stored('DBGDTRRX_EL0', [2, 3, 0, 5, 0], { read: 0, write: 0, writable: LOW32 }),
  ...Array.from({ length: BREAKPOINTS }, (_, n) => [
    stored(`DBGBVR${n}_EL1`, [2, 0, 0, n, 4], { writable: ALL & ~3n, effect: 'debug' }),
    stored(`DBGBCR${n}_EL1`, [2, 0, 0, n, 5], { writable: 0xffe1e7n, effect: 'debug' }),
  ]).flat(),
  ...Array.from({ length: WATCHPOINTS }, (_, n) => [
    stored(`DBGWVR${n}_EL1`, [2, 0, 0, n, 6], { writable: ALL & ~3n, effect: 'debug' }),
    stored(`DBGWCR${n}_EL1`, [2, 0, 0, n, 7], { writable: 0x1f1fffffn, effect: 'debug' }),
  ]).flat(),
];

/** Performance monitor with the cycle counter only (PMCR_EL0.N = 0). */
const PMU = [
  stored('PMCR_EL0', [3, 3, 9, 12, 0], { read: 0, write: 0, writable: 0x39n, ones: 0x40n, effect: 'pmu' }),
  computed('PMCNTENSET_EL0', [3, 3, 9, 12, 1], 'pmu', 0, 0),
  computed('PMCNTENCLR_EL0', [3, 3, 9, 12, 2], 'pmu', 0, 0),
  computed('PMOVSCLR_EL0', [3, 3, 9, 12, 3], 'pmu', 0, 0),
  computed('PMSWINC_EL0', [3, 3, 9, 12, 4], 'pmu', 'never', 0),
  stored('PMSELR_EL0', [3, 3, 9, 12, 5], { read: 0, write: 0, writable: 31n, effect: 'pmu' }),
  computed('PMCEID0_EL0', [3, 3, 9, 12, 6], 'pmu', 0, 'never'),
  computed('PMCEID1_EL0', [3, 3, 9, 12, 7], 'pmu', 0, 'never'),
  computed('PMCCNTR_EL0', [3, 3, 9, 13, 0], 'pmu', 0, 0),
  computed('PMXEVTYPER_EL0', [3, 3, 9, 13, 1], 'pmu', 0, 0),
  computed('PMXEVCNTR_EL0', [3, 3, 9, 13, 2], 'pmu', 0, 0),
  stored('PMUSERENR_EL0', [3, 3, 9, 14, 0], { read: 0, write: 1, writable: 15n }),
  computed('PMINTENSET_EL1', [3, 0, 9, 14, 1], 'pmu'),
  computed('PMINTENCLR_EL1', [3, 0, 9, 14, 2], 'pmu'),
  computed('PMOVSSET_EL0', [3, 3, 9, 14, 3], 'pmu', 0, 0),
  stored('PMCCFILTR_EL0', [3, 3, 14, 15, 7], { read: 0, write: 0, writable: 0xfc000000n, effect: 'pmu' }),
];

/** All rows. */
export const SYSTEM_REGISTERS: readonly SystemRegister[] = [
  ...CONTROL_ROWS,
  ...IDENTIFICATION,
  ...TIMERS,
  ...INTERRUPT_CONTROLLER,
  ...DEBUG,
  ...PMU,
];

/** Rows by key. */
export const REGISTER_BY_KEY: ReadonlyMap<number, SystemRegister> = new Map(
  SYSTEM_REGISTERS.map((row) => [row.key, row]),
);

/** Byte offset in the state block of the stored register `name`. */
export function sysregSlot(name: string): number {
  const row = SYSTEM_REGISTERS.find((r) => r.name === name);
  assert(row !== undefined && row.at >= 0, `${name} is a stored system register`);
  return row.at;
}

/** Encoding key of the register `name`. */
export function sysregKeyOf(name: string): number {
  const row = SYSTEM_REGISTERS.find((r) => r.name === name);
  assert(row !== undefined, `${name} is a system register`);
  return row.key;
}

/** Offsets of the registers that other parts of the CPU read or write directly. */
export const SLOT = {
  sctlr: sysregSlot('SCTLR_EL1'),
  cpacr: sysregSlot('CPACR_EL1'),
  ttbr0: sysregSlot('TTBR0_EL1'),
  ttbr1: sysregSlot('TTBR1_EL1'),
  tcr: sysregSlot('TCR_EL1'),
  mair: sysregSlot('MAIR_EL1'),
  spsr: sysregSlot('SPSR_EL1'),
  elr: sysregSlot('ELR_EL1'),
  esr: sysregSlot('ESR_EL1'),
  far: sysregSlot('FAR_EL1'),
  par: sysregSlot('PAR_EL1'),
  vbar: sysregSlot('VBAR_EL1'),
  mpidr: sysregSlot('MPIDR_EL1'),
  cntkctl: sysregSlot('CNTKCTL_EL1'),
  mdscr: sysregSlot('MDSCR_EL1'),
  oslsr: sysregSlot('OSLSR_EL1'),
  osdlr: sysregSlot('OSDLR_EL1'),
  claim: sysregSlot('DBGCLAIMCLR_EL1'),
  csselr: sysregSlot('CSSELR_EL1'),
  pmcr: sysregSlot('PMCR_EL0'),
  pmselr: sysregSlot('PMSELR_EL0'),
  pmuserenr: sysregSlot('PMUSERENR_EL0'),
  pmccfiltr: sysregSlot('PMCCFILTR_EL0'),
  breakpoints: sysregSlot('DBGBVR0_EL1'),
  watchpoints: sysregSlot('DBGWVR0_EL1'),
  /** Banked stack pointers: valid while not selected (the selected one is STATE.sp). */
  spEl0: slot(),
  spEl1: slot(),
  /** Performance monitor: enables, overflow, interrupt enables, and the cycle counter's offset. */
  pmcnten: slot(),
  pmovs: slot(),
  pminten: slot(),
  pmccntr: slot(),
} as const;
