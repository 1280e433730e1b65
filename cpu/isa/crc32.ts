/**
 * CRC32 and CRC32C steps without a table. A step is linear over GF(2): the new checksum is the exclusive or of one
 * constant for each set bit of `checksum ^ value`. Four bits are handled by one vector mask, so a 64-bit step takes 16
 * rounds of three vector operations.
 */
import type { Ops } from '../ops.js';
import type { Val } from '../wasm/body.js';

/** Polynomials, bit-reversed (Arm ARM C6.2.73 CRC32: 0x04C11DB7; CRC32C: 0x1EDC6F41). */
const POLYNOMIAL = { crc32: 0xedb88320, crc32c: 0x82f63b78 } as const;

/** What bit `bit` of `checksum ^ value` contributes to the new checksum, after `bits` steps of the shift register. */
function contribution(bit: number, bits: number, polynomial: number): number {
  let register = bit < 32 ? (1 << bit) >>> 0 : 0;
  for (let step = 0; step < bits; step++) {
    // A bit above 31 is not in the register at first: it falls out of the shift register at the step of its number.
    const low = bit >= 32 && step === bit ? 1 : register & 1;
    register >>>= 1;
    if (low === 1) register = (register ^ polynomial) >>> 0;
  }
  return register;
}

/** The new checksum (i32) after `value`'s low 8 << `sizeLog2` bits; `value` is i64, `checksum` i32. */
export function emitCrc32(k: Ops, castagnoli: boolean, sizeLog2: number, checksum: Val, value: Val): Val {
  const polynomial = castagnoli ? POLYNOMIAL.crc32c : POLYNOMIAL.crc32;
  const bits = 8 << sizeLog2;
  const input = k.xor(value, k.extendU(checksum));
  let sum: Val | undefined;
  const words = bits === 64 ? [k.wrap(input), k.wrap(k.shrU(input, k.i64(32)))] : [k.wrap(input)];
  words.forEach((word, w) => {
    const lanes = k.op('i32x4.splat', word);
    for (let at = 0; at < Math.min(bits, 32); at += 4) {
      const select = new Uint32Array(4);
      const terms = new Uint32Array(4);
      for (let lane = 0; lane < 4; lane++) {
        select[lane] = 1 << (at + lane);
        terms[lane] = contribution(w * 32 + at + lane, bits, polynomial);
      }
      const mask = k.v128(new Uint8Array(select.buffer));
      const set = k.op('i32x4.eq', k.op('v128.and', lanes, mask), mask);
      const term = k.op('v128.and', set, k.v128(new Uint8Array(terms.buffer)));
      sum = sum === undefined ? term : k.op('v128.xor', sum, term);
    }
  });
  const total = sum ?? k.v128(new Uint8Array(16));
  const half = k.op('v128.xor', total, k.shuffle(total, total, [8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7]));
  const both = k.lane('i64x2.extract_lane', 0, half);
  const folded = k.xor(k.wrap(both), k.wrap(k.shrU(both, k.i64(32))));
  // Bits of the checksum above a short value have only moved down.
  return bits < 32 ? k.xor(folded, k.shrU(checksum, k.i32(bits))) : folded;
}
