/** What the hypervisor says it is (gunyah.md 1.3, 1.4), by ABI profile. */

/**
 * Generations of the Linux driver series differ in what they accept: P6 is v1 to v10, P14 is v11 to v14 and Android 14, P17
 * is v15 and later. A VM has one profile; P17 is the default.
 */
export const PROFILES = ['P6', 'P14', 'P17'] as const;
/** An ABI profile. */
export type Profile = (typeof PROFILES)[number];

/** API version 1, 64-bit, variant 0x51 (the default of the public build). */
export const API_INFO = { lo: 0x8001, hi: 0x5100_0000 } as const;

/** Features (flags0). */
const FEATURE = {
  partitionCspace: 1 << 0,
  doorbell: 1 << 1,
  messageQueue: 1 << 2,
  vic: 1 << 3,
  vpm: 1 << 4,
  vcpu: 1 << 5,
  memextent: 1 << 6,
  traceControl: 1 << 7,
  watchdog: 1 << 8,
  virtioMmio: 1 << 9,
  prng: 1 << 10,
  vcpuRun: 1 << 11,
  roundRobin: 1 << 28,
} as const;
/** X1 of hypervisor_identify. */
export const FLAGS0: number = Object.values(FEATURE).reduce((all, bit) => all | bit, 0);

/** X0..X3 of CALL_UID, unsigned. v6 compares raw words in the order of its own table; later drivers compare a UUID. */
export const UID_WORDS: Readonly<Record<Profile, readonly [number, number, number, number]>> = {
  P6: [0x673d_5f14, 0x9265_ce36, 0xa453_5fdb, 0xc1d5_8fcd],
  P14: [0xcd8f_d5c1, 0xdb5f_53a4, 0x36ce_6592, 0x145f_3d67],
  P17: [0xcd8f_d5c1, 0xdb5f_53a4, 0x36ce_6592, 0x145f_3d67],
};
