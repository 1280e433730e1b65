/* What gcc -O3 vectorises, and the string functions of string.S, which have the shape of a libc's. */
#include "bench.h"

enum { N = 4096, SIDE = 48, BYTES = 16384 };
static float xs[N], ys[N];
static i32 is[N], js[N];
static u8 us[BYTES], vs[BYTES], ws[BYTES];

static void prepare(void) {
  u32 random = 123456789u;
  for (int i = 0; i < N; i++) {
    xs[i] = (float)(i32)(random_next(&random) >> 8);
    is[i] = (i32)random_next(&random);
    js[i] = (i32)random_next(&random);
  }
  for (int i = 0; i < BYTES; i++) us[i] = (u8)random_next(&random), vs[i] = (u8)random_next(&random);
}

static NOINLINE void saxpy_pass(float *restrict y, const float *restrict x, float a) {
  for (int i = 0; i < N; i++) y[i] = a * x[i] + y[i];
}

static u64 float_bits(float x) {
  union {
    float f;
    u32 u;
  } both = {x};
  return both.u;
}

static u64 saxpy(void) {
  for (int i = 0; i < N; i++) ys[i] = (float)i;
  for (int pass = 0; pass < 16; pass++) saxpy_pass(ys, xs, 0.25f + (float)pass);
  u64 hash = 0;
  for (int i = 0; i < N; i += 61) hash = mix(hash, float_bits(ys[i]));
  return hash;
}

static NOINLINE i32 dot_pass(const i32 *restrict a, const i32 *restrict b) {
  i32 sum = 0;
  for (int i = 0; i < N; i++) sum = (i32)((u32)sum + (u32)a[i] * (u32)b[i]);
  return sum;
}

static u64 integer_dot(void) {
  u64 hash = 0;
  for (int pass = 0; pass < 16; pass++) {
    is[pass] ^= 1;
    hash = mix(hash, (u32)dot_pass(is, js));
    is[pass] ^= 1;
  }
  return hash;
}

static NOINLINE void maximum_pass(u8 *restrict to, const u8 *restrict a, const u8 *restrict b) {
  for (int i = 0; i < BYTES; i++) to[i] = a[i] > b[i] ? a[i] : b[i];
}

static NOINLINE u32 difference_pass(const u8 *restrict a, const u8 *restrict b) {
  u32 sum = 0;
  for (int i = 0; i < BYTES; i++) sum += (u32)(a[i] > b[i] ? a[i] - b[i] : b[i] - a[i]);
  return sum;
}

static u64 bytes_maximum(void) {
  u64 hash = 0;
  for (int pass = 0; pass < 8; pass++) {
    maximum_pass(ws, pass & 1 ? us : vs, pass & 1 ? vs : us);
    hash = mix(hash, ws[pass * 997]);
  }
  return hash;
}

static u64 bytes_difference(void) {
  u64 hash = 0;
  for (int pass = 0; pass < 8; pass++) {
    us[pass] ^= 255;
    hash = mix(hash, difference_pass(us, vs));
    us[pass] ^= 255;
  }
  return hash;
}

static float fa[SIDE][SIDE], fb[SIDE][SIDE], fc[SIDE][SIDE];

static u64 float_matrix(void) {
  for (int i = 0; i < SIDE; i++)
    for (int j = 0; j < SIDE; j++) fa[i][j] = (float)(i - j) * 0.5f, fb[i][j] = (float)(i * 3 + j) * 0.125f, fc[i][j] = 0;
  for (int i = 0; i < SIDE; i++)
    for (int k = 0; k < SIDE; k++) {
      float a = fa[i][k];
      for (int j = 0; j < SIDE; j++) fc[i][j] += a * fb[k][j];
    }
  u64 hash = 0;
  for (int i = 0; i < SIDE; i++) hash = mix(hash, float_bits(fc[i][SIDE - 1 - i]));
  return hash;
}

void *neon_memcpy(void *to, const void *from, size_t n);
void *neon_memset(void *to, int value, size_t n);
size_t neon_strlen(const char *s);

/* Copies of 1 byte to 4 KiB at all alignments, as programs ask for them: mostly short. */
static u64 string_copy(void) {
  u64 hash = 0;
  for (u32 i = 0; i < 512; i++) {
    size_t n = i & 7 ? 1 + i * 37 % 200 : 1024 + i * 6;
    neon_memcpy(ws + i % 61, us + i * 7 % 97, n);
    hash = mix(hash, ws[i % 61 + n - 1]);
  }
  return hash;
}

static u64 string_set(void) {
  u64 hash = 0;
  for (u32 i = 0; i < 512; i++) {
    size_t n = i & 7 ? 1 + i * 37 % 200 : 1024 + i * 6;
    neon_memset(ws + i % 61, (int)i, n);
    hash = mix(hash, ws[i % 61 + n / 2]);
  }
  return hash;
}

static u64 string_length(void) {
  u64 total = 0;
  neon_memset(ws, 'x', BYTES);
  for (u32 i = 0; i < 512; i++) {
    size_t start = i % 61, n = i & 7 ? i * 37 % 200 : 1024 + i * 6;
    ws[start + n] = 0;
    total = mix(total, neon_strlen((char *)ws + start));
    ws[start + n] = 'x';
  }
  return total;
}

#define KERNEL(name, run) {"cpu.simd", name, run, 1, prepare, 0}
const struct kernel simd_kernels[] = {
  KERNEL("saxpy", saxpy), KERNEL("integer-dot", integer_dot), KERNEL("bytes-maximum", bytes_maximum), KERNEL("bytes-difference", bytes_difference),
  KERNEL("float-matrix", float_matrix), KERNEL("memcpy", string_copy), KERNEL("memset", string_set), KERNEL("strlen", string_length),
  {0},
};
