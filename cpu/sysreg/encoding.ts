/**
 * Names of system registers and operations as numbers. The key is the encoding placed as in the syndrome of a trapped
 * MSR, MRS or SYS (ESR_EL1 with EC 0x18, Arm ARM D17.2.37) with Rt and direction zero, so one number serves for look-up
 * and for the trap.
 */

/** Key of the encoding op0, op1, CRn, CRm, op2. */
export function sysregKey(op0: number, op1: number, crn: number, crm: number, op2: number): number {
  return (op0 << 20) | (op2 << 17) | (op1 << 14) | (crn << 10) | (crm << 1);
}

/** Bits of the syndrome beside the key. */
export const ISS = { rtShift: 5, read: 1, keyMask: 0x3ffc1e } as const;

/** The fields of a key, for messages: S<op0>_<op1>_C<CRn>_C<CRm>_<op2>. */
export function sysregName(key: number): string {
  return `S${(key >> 20) & 3}_${(key >> 14) & 7}_C${(key >> 10) & 15}_C${(key >> 1) & 15}_${(key >> 17) & 7}`;
}
