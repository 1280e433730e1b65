/* Software SHA-256 (FIPS 180-4) and table-based AES-128 (FIPS 197); tables and constants are computed, not listed. */
#include "bench.h"

enum { MESSAGE = 16384 };
static u8 message[MESSAGE];
static u32 sha_k[64], sha_h[8];

/* The first 32 bits of the fraction of the square (power 2) or cube root of n, by bisection on integers. */
static u32 root_fraction(u64 n, int power) {
  u64 low = 0, high = 20ull << 32;                     /* 32.32 fixed point; the cubes fit in 128 bits */
  while (high - low > 1) {
    unsigned __int128 middle = (low + high) / 2, target = n;
    int above = power == 2 ? middle * middle > target << 64 : middle * middle * middle > target << 96;
    if (above) high = (u64)middle;
    else low = (u64)middle;
  }
  return (u32)low;
}

static void sha_block(u32 h[8], const u8 *p) {
#define ROR(x, n) ((x) >> (n) | (x) << (32 - (n)))
  u32 w[64];
  for (int i = 0; i < 16; i++) w[i] = (u32)p[4 * i] << 24 | (u32)p[4 * i + 1] << 16 | (u32)p[4 * i + 2] << 8 | p[4 * i + 3];
  for (int i = 16; i < 64; i++) {
    u32 s0 = ROR(w[i - 15], 7) ^ ROR(w[i - 15], 18) ^ w[i - 15] >> 3, s1 = ROR(w[i - 2], 17) ^ ROR(w[i - 2], 19) ^ w[i - 2] >> 10;
    w[i] = w[i - 16] + s0 + w[i - 7] + s1;
  }
  u32 a = h[0], b = h[1], c = h[2], d = h[3], e = h[4], f = h[5], g = h[6], z = h[7];
  for (int i = 0; i < 64; i++) {
    u32 t1 = z + (ROR(e, 6) ^ ROR(e, 11) ^ ROR(e, 25)) + ((e & f) ^ (~e & g)) + sha_k[i] + w[i];
    u32 t2 = (ROR(a, 2) ^ ROR(a, 13) ^ ROR(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
    z = g, g = f, f = e, e = d + t1, d = c, c = b, b = a, a = t1 + t2;
  }
  h[0] += a, h[1] += b, h[2] += c, h[3] += d, h[4] += e, h[5] += f, h[6] += g, h[7] += z;
}

static void sha_prepare(void) {
  int count = 0;
  for (u32 n = 2; count < 64; n++) {
    int prime = 1;
    for (u32 d = 2; d * d <= n; d++) prime &= n % d != 0;
    if (!prime) continue;
    sha_k[count] = root_fraction(n, 3);
    if (count < 8) sha_h[count] = root_fraction(n, 2);
    count++;
  }
  for (int i = 0; i < MESSAGE; i++) message[i] = (u8)(i * 31 + (i >> 8));
  u8 block[64] = {'a', 'b', 'c', 0x80};                /* the standard's first example */
  block[63] = 24;
  u32 h[8];
  memcpy(h, sha_h, sizeof h);
  sha_block(h, block);
  if (h[0] != 0xba7816bfu || h[7] != 0xf20015adu) panic("SHA-256 self-check failed");
}

static u64 sha256(void) {
  u32 h[8];
  memcpy(h, sha_h, sizeof h);
  for (int i = 0; i < MESSAGE; i += 64) sha_block(h, message + i);
  return (u64)h[0] << 32 | h[7];
}

static u8 sbox[256];
static u32 te[4][256], round_keys[44];

static u8 times2(u8 x) { return (u8)(x << 1 ^ (x >> 7) * 0x1b); }

static void aes_encrypt(u32 s[4]) {
  u32 t[4];
  for (int i = 0; i < 4; i++) s[i] ^= round_keys[i];
  for (int round = 1; round < 10; round++) {
    for (int i = 0; i < 4; i++)
      t[i] = te[0][s[i] >> 24] ^ te[1][s[(i + 1) & 3] >> 16 & 255] ^ te[2][s[(i + 2) & 3] >> 8 & 255] ^ te[3][s[(i + 3) & 3] & 255] ^
             round_keys[4 * round + i];
    for (int i = 0; i < 4; i++) s[i] = t[i];
  }
  for (int i = 0; i < 4; i++)
    t[i] = ((u32)sbox[s[i] >> 24] << 24 | (u32)sbox[s[(i + 1) & 3] >> 16 & 255] << 16 | (u32)sbox[s[(i + 2) & 3] >> 8 & 255] << 8 |
            sbox[s[(i + 3) & 3] & 255]) ^ round_keys[40 + i];
  for (int i = 0; i < 4; i++) s[i] = t[i];
}

static void aes_prepare(void) {
  u8 p = 1, q = 1;
  do {                                                 /* p runs through the field by 3, q through the inverses */
    p ^= times2(p);
    q ^= (u8)(q << 1);
    q ^= (u8)(q << 2);
    q ^= (u8)(q << 4);
    if (q & 0x80) q ^= 0x09;
    sbox[p] = (u8)(q ^ (u8)(q << 1 | q >> 7) ^ (u8)(q << 2 | q >> 6) ^ (u8)(q << 3 | q >> 5) ^ (u8)(q << 4 | q >> 4) ^ 0x63);
  } while (p != 1);
  sbox[0] = 0x63;
  for (int i = 0; i < 256; i++) {
    u8 s = sbox[i], d = times2(s);
    u32 word = (u32)d << 24 | (u32)s << 16 | (u32)s << 8 | (u8)(d ^ s);
    for (int k = 0; k < 4; k++) te[k][i] = k ? word >> 8 * k | word << (32 - 8 * k) : word;
  }
  u8 constant = 1;
  for (u32 i = 0; i < 44; i++) {                       /* the standard's example key 00 01 ... 0f */
    if (i < 4) {
      round_keys[i] = 0x00010203u + 0x04040404u * i;
      continue;
    }
    u32 w = round_keys[i - 1];
    if (i % 4 == 0) {
      w = (u32)sbox[w >> 16 & 255] << 24 | (u32)sbox[w >> 8 & 255] << 16 | (u32)sbox[w & 255] << 8 | sbox[w >> 24];
      w ^= (u32)constant << 24;
      constant = times2(constant);
    }
    round_keys[i] = round_keys[i - 4] ^ w;
  }
  u32 s[4] = {0x00112233, 0x44556677, 0x8899aabb, 0xccddeeff};
  aes_encrypt(s);
  if (s[0] != 0x69c4e0d8u || s[3] != 0x70b4c55au) panic("AES-128 self-check failed");
}

/* 16 KiB in counter mode. */
static u64 aes128(void) {
  u64 hash = 0;
  for (u32 i = 0; i < MESSAGE / 16; i++) {
    u32 s[4] = {0xf0f1f2f3, 0xf4f5f6f7, 0xf8f9fafb, i};
    aes_encrypt(s);
    const u8 *p = message + 16 * i;
    for (int k = 0; k < 4; k++) hash = hash * 31 + (s[k] ^ p[4 * k]);
  }
  return hash;
}

const struct kernel crypto_kernels[] = {{"cpu.crypto", "sha256", sha256, 1, sha_prepare, 0}, {"cpu.crypto", "aes128", aes128, 1, aes_prepare, 0}, {0}};
