/**
 * Names of virtual-processor registers as the Hyper-V interface numbers them (HV_REGISTER_NAME; hyperv-tlfs 6.1), for those
 * a processor of ours has. `register` is what the architecture calls it; a value is 128 bits on the wire, zero-extended.
 */

/** One register: its number, the architecture's name, and whether a VMM may set it. */
export interface VpRegisterName {
  readonly code: number;
  readonly register: string;
  readonly access: 'rw' | 'r';
}

const GENERAL = 0x20000;
const VECTOR = 0x30000;
const row = (code: number, register: string, access: 'rw' | 'r' = 'rw'): VpRegisterName => ({ code, register, access });

/** Codes a machine builder uses by name. */
export const VP_REGISTER = { x0: GENERAL, pc: 0x20022, pstate: 0x20023 } as const;

/** Registers of the hypervisor's own scheduling; setting them through the register verbs is refused (mshv section 2.4). */
export const SUSPEND_REGISTERS: ReadonlySet<number> = new Set([0x0, 0x1]);

/** The table. */
export const VP_REGISTER_NAMES: readonly VpRegisterName[] = [
  ...Array.from({ length: 31 }, (_, n) => row(GENERAL + n, `X${n}`)),
  row(0x2001f, 'SP'),
  row(0x20020, 'SP_EL0'),
  row(0x20021, 'SP_EL1'),
  row(VP_REGISTER.pc, 'PC'),
  row(VP_REGISTER.pstate, 'PSTATE'),
  row(0x21003, 'CurrentEL', 'r'),
  row(0x21004, 'DAIF'),
  row(0x21006, 'NZCV'),
  row(0x21007, 'PAN'),
  row(0x21008, 'SPSel'),
  row(0x2100b, 'UAO'),
  row(0x22000, 'MIDR_EL1', 'r'),
  row(0x22005, 'MPIDR_EL1', 'r'),
  row(0x22020, 'ID_AA64PFR0_EL1', 'r'),
  row(0x22028, 'ID_AA64DFR0_EL1', 'r'),
  row(0x22030, 'ID_AA64ISAR0_EL1', 'r'),
  row(0x22031, 'ID_AA64ISAR1_EL1', 'r'),
  row(0x22038, 'ID_AA64MMFR0_EL1', 'r'),
  row(0x22039, 'ID_AA64MMFR1_EL1', 'r'),
  row(0x2203a, 'ID_AA64MMFR2_EL1', 'r'),
  row(0x2fffe, 'XZR', 'r'),
  ...Array.from({ length: 32 }, (_, n) => row(VECTOR + n, `Q${n}`)),
  row(0x40001, 'MPIDR_EL1', 'r'),
  row(0x40002, 'SCTLR_EL1'),
  row(0x40003, 'ACTLR_EL1'),
  row(0x40004, 'CPACR_EL1'),
  row(0x40005, 'TTBR0_EL1'),
  row(0x40006, 'TTBR1_EL1'),
  row(0x40007, 'TCR_EL1'),
  row(0x40008, 'ESR_EL1'),
  row(0x40009, 'FAR_EL1'),
  row(0x4000a, 'PAR_EL1'),
  row(0x4000b, 'MAIR_EL1'),
  row(0x4000c, 'VBAR_EL1'),
  row(0x4000d, 'CONTEXTIDR_EL1'),
  row(0x4000e, 'TPIDR_EL1'),
  row(0x40010, 'TPIDRRO_EL0'),
  row(0x40011, 'TPIDR_EL0'),
  row(0x40012, 'FPCR'),
  row(0x40013, 'FPSR'),
  row(0x40014, 'SPSR_EL1'),
  row(0x40015, 'ELR_EL1'),
  row(0x40016, 'AFSR0_EL1'),
  row(0x40017, 'AFSR1_EL1'),
  row(0x40018, 'AMAIR_EL1'),
  row(0x40051, 'MIDR_EL1', 'r'),
  row(0x58000, 'CNTFRQ_EL0', 'r'),
  row(0x58008, 'CNTKCTL_EL1'),
  row(0x58009, 'CNTP_CTL_EL0'),
  row(0x5800a, 'CNTP_CVAL_EL0'),
  row(0x5800b, 'CNTP_TVAL_EL0'),
  row(0x5800c, 'CNTPCT_EL0', 'r'),
  row(0x5800e, 'CNTV_CTL_EL0'),
  row(0x5800f, 'CNTV_CVAL_EL0'),
  row(0x58010, 'CNTV_TVAL_EL0'),
  row(0x58011, 'CNTVCT_EL0', 'r'),
];
