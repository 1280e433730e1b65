/**
 * Identification registers: they advertise exactly what works. Fields are named as in the Arm ARM (D17.2); a field not
 * listed is zero, which for these registers means "not implemented" (or the Armv8.0 behaviour).
 */

/** A register value from named fields: [lowest bit, value]. */
function fields(...parts: readonly (readonly [name: string, lsb: number, value: number])[]): bigint {
  return parts.reduce((sum, [, lsb, value]) => sum | (BigInt(value) << BigInt(lsb)), 0n);
}

/** Output address size of stage 1 in bits, and its code in ID_AA64MMFR0_EL1.PARange. */
export const PHYSICAL_BITS = 40;
const PA_RANGE = 2;

/** Number of hardware breakpoints and watchpoints. */
export const BREAKPOINTS = 6;
export const WATCHPOINTS = 4;

/** Values of the constant registers by name. */
export const ID_VALUES = {
  // Implementer 0 is reserved for software use; architecture 0xf: features are in the ID registers. Part 0x570: ours.
  MIDR_EL1: fields(
    ['Implementer', 24, 0],
    ['Variant', 20, 0],
    ['Architecture', 16, 15],
    ['PartNum', 4, 0x570],
    ['Revision', 0, 0],
  ),
  // Caches do not exist, so data written is visible to instruction fetch without cleaning (IDC); instruction caches
  // must be invalidated (DIC = 0): IC IVAU is how we learn of changed code.
  CTR_EL0: fields(
    ['IminLine', 0, 4],
    ['L1Ip', 14, 3],
    ['DminLine', 16, 4],
    ['ERG', 20, 4],
    ['CWG', 24, 4],
    ['IDC', 28, 1],
    ['DIC', 29, 0],
    ['RES1', 31, 1],
  ),
  CLIDR_EL1: fields(['Ctype1', 0, 3], ['Ctype2', 3, 4], ['LoUIS', 21, 0], ['LoC', 24, 2], ['LoUU', 27, 0]),
  ID_AA64PFR0_EL1: fields(
    ['EL0', 0, 1],
    ['EL1', 4, 1],
    ['FP', 16, 0],
    ['AdvSIMD', 20, 0],
    ['GIC', 24, 1],
    ['CSV2', 56, 1],
    ['CSV3', 60, 1],
  ),
  ID_AA64DFR0_EL1: fields(
    ['DebugVer', 0, 6],
    ['PMUVer', 8, 1],
    ['BRPs', 12, BREAKPOINTS - 1],
    ['WRPs', 20, WATCHPOINTS - 1],
    ['CTX_CMPs', 28, 0],
  ),
  ID_AA64ISAR0_EL1: fields(['CRC32', 16, 1], ['Atomic', 20, 2], ['RDM', 28, 1], ['DP', 44, 1]),
  ID_AA64ISAR1_EL1: fields(['JSCVT', 12, 1], ['LRCPC', 20, 1]),
  ID_AA64MMFR0_EL1: fields(
    ['PARange', 0, PA_RANGE],
    ['ASIDBits', 4, 2],
    ['TGran16', 20, 1],
    ['TGran64', 24, 0],
    ['TGran4', 28, 0],
  ),
  ID_AA64MMFR1_EL1: fields(['HPDS', 12, 1], ['PAN', 20, 2]),
  ID_AA64MMFR2_EL1: fields(['UAO', 4, 1], ['E0PD', 60, 1]),
} as const;

/** CCSIDR_EL1 by CSSELR_EL1: 32 KiB 4-way data, 32 KiB 2-way instruction, 512 KiB 16-way unified; 64-byte lines. */
export function cacheSizeId(selection: number): number {
  const size = (ways: number, sets: number): number => 2 | ((ways - 1) << 3) | ((sets - 1) << 13);
  switch (selection & 15) {
    case 0:
      return size(4, 128);
    case 1:
      return size(2, 256);
    case 2:
      return size(16, 512);
    default:
      return 0;
  }
}
