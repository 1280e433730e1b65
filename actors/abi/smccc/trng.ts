/**
 * The True Random Number Generator firmware interface 1.0 (Arm DEN0098): entropy of the host for the guest's kernel, which
 * seeds its own generator with it. Calls take registers x1 to x3 for results, so they answer all four.
 */

/** The functions. Those with bit 30 are the 64-bit form. */
const TRNG = {
  version: 0x8400_0050,
  features: 0x8400_0051,
  getUuid: 0x8400_0052,
  random32: 0x8400_0053,
  random64: 0xc400_0053,
} as const;
const NAMES: Readonly<Record<number, string>> = {
  [TRNG.version]: 'TRNG_VERSION',
  [TRNG.features]: 'TRNG_FEATURES',
  [TRNG.getUuid]: 'TRNG_GET_UUID',
  [TRNG.random32]: 'TRNG_RND32',
  [TRNG.random64]: 'TRNG_RND64',
};
const VERSION_1_0 = 0x1_0000n;
const NOT_SUPPORTED = -1n;
const INVALID_PARAMETERS = -2n;
const NO_ENTROPY = -3n;
/** Identifies this back end, as four 32-bit words: "Wurley host TRNG". */
const UUID = [0x6c72_7557n, 0x6820_7965n, 0x2074_736fn, 0x474e_5254n] as const;

/** x0 to x3 after a call. */
export type TrngAnswer = readonly [x0: bigint, x1: bigint, x2: bigint, x3: bigint];
/** Fills the bytes with the host's entropy; false when there is none just now. */
export type Entropy = (into: Uint8Array) => boolean;

/** The name of a function of this interface, or undefined. */
export function trngName(id: number): string | undefined {
  return NAMES[id];
}

const status = (code: bigint): TrngAnswer => [code, 0n, 0n, 0n];

/** Carries out function `id`, which has a name, with x1 = `argument`. */
export function trngCall(id: number, argument: bigint, entropy: Entropy): TrngAnswer {
  switch (id) {
    case TRNG.version:
      return status(VERSION_1_0);
    case TRNG.features:
      return status(trngName(Number(BigInt.asUintN(32, argument))) === undefined ? NOT_SUPPORTED : 0n);
    case TRNG.getUuid:
      return UUID;
    case TRNG.random32:
      return random(BigInt.asUintN(32, argument), 32, entropy);
    default:
      return random(argument, 64, entropy);
  }
}

/** `bits` bits in three registers of `width` bits, the lowest in x3; the rest is zero (DEN0098, 2.5). */
function random(bits: bigint, width: 32 | 64, entropy: Entropy): TrngAnswer {
  if (bits < 1n || bits > BigInt(3 * width)) return status(INVALID_PARAMETERS);
  const bytes = new Uint8Array(24);
  if (!entropy(bytes)) return status(NO_ENTROPY);
  const view = new DataView(bytes.buffer);
  let value = 0n;
  for (let word = 0; word < 3; word++) value = (value << 64n) | view.getBigUint64(word * 8, true);
  value = BigInt.asUintN(Number(bits), value);
  const part = (index: number): bigint => BigInt.asUintN(width, value >> BigInt(index * width));
  return [0n, part(2), part(1), part(0)];
}
