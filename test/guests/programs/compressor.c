/* A byte-oriented LZ77 with a hash of three bytes; compresses, expands, compares. */
#include "programs.h"

enum { SIZE = 40000, WINDOW = 4095, LONGEST = 18 };
static u8 input[SIZE], packed[SIZE * 2], output[SIZE];
static i32 heads[4096];

static size_t compress(const u8 *in, size_t n, u8 *out) {
  size_t at = 0, o = 0;
  for (int i = 0; i < 4096; i++) heads[i] = -1;
  while (at < n) {
    size_t flags = o++;
    out[flags] = 0;
    for (int bit = 0; bit < 8 && at < n; bit++) {
      size_t best = 0, from = 0;
      if (at + 3 <= n) {
        u32 h = ((u32)in[at] << 7 ^ (u32)in[at + 1] << 4 ^ in[at + 2]) & 4095;
        i32 candidate = heads[h];
        heads[h] = (i32)at;
        if (candidate >= 0 && at - (size_t)candidate <= WINDOW) {
          from = (size_t)candidate;
          while (best < LONGEST && at + best < n && in[from + best] == in[at + best]) best++;
        }
      }
      if (best >= 3) {
        size_t distance = at - from;
        out[flags] |= (u8)(1 << bit);
        out[o++] = (u8)distance;
        out[o++] = (u8)(distance >> 8 << 4 | (best - 3));
        at += best;
      } else {
        out[o++] = in[at++];
      }
    }
  }
  return o;
}

static size_t expand(const u8 *in, size_t n, u8 *out) {
  size_t at = 0, o = 0;
  while (at < n) {
    u8 flags = in[at++];
    for (int bit = 0; bit < 8 && at < n; bit++) {
      if (flags >> bit & 1) {
        size_t distance = in[at] | (size_t)(in[at + 1] >> 4) << 8, length = (in[at + 1] & 15) + 3u;
        at += 2;
        while (length--) out[o] = out[o - distance], o++;
      } else {
        out[o++] = in[at++];
      }
    }
  }
  return o;
}

void compressor(void) {
  static const char *const words[] = {"queue ", "doorbell ", "the ", "a ", "guest ", "page ", "of ", "is ", "mapped ", "and ", "then ", "\n"};
  u32 seed = 7;
  for (size_t n = 0; n < SIZE;) {
    const char *word = words[next(&seed) >> 20 & 7 ? next(&seed) >> 24 & 3 : (next(&seed) >> 16) % 12];
    while (*word && n < SIZE) input[n++] = (u8)*word++;
  }
  size_t size = compress(input, SIZE, packed), back = expand(packed, size, output);
  u32 hash = 0;
  for (size_t i = 0; i < size; i++) hash = fold(hash, packed[i]);
  print("compressor %lu to %lu to %lu, %s, hash %08x\n", (u64)SIZE, size, back, memcmp(input, output, SIZE) ? "different" : "equal", hash);
}
