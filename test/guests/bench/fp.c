/* Scalar double kernels, -O2 with gcc's default contraction (so FMADD appears, as in real programs). */
#include "bench.h"

static double square_root(double x) {
  double r;
  __asm__("fsqrt %d0, %d1" : "=w"(r) : "w"(x));
  return r;
}

static u64 bits_of(double x) {
  union {
    double d;
    u64 u;
  } both = {x};
  return both.u;
}

struct body {
  double x[3], v[3], mass;
};

/* Five bodies of made-up masses around a heavy one, symplectic steps. */
static u64 n_body(void) {
  struct body b[5];
  for (int i = 0; i < 5; i++) {
    double r = i * 1.75 + (i ? 0.5 : 0), s = i ? 6.2 / square_root(r) : 0;
    b[i] = (struct body){{r, 0.1 * i, -0.05 * i * i}, {0.01 * i, s, 0.02 * i}, i ? 0.037 / i : 39.5};
  }
  for (int step = 0; step < 1000; step++) {
    for (int i = 0; i < 5; i++)
      for (int j = i + 1; j < 5; j++) {
        double d[3], distance2 = 0;
        for (int k = 0; k < 3; k++) d[k] = b[i].x[k] - b[j].x[k], distance2 += d[k] * d[k];
        double scale = 0.001 / (distance2 * square_root(distance2));
        for (int k = 0; k < 3; k++) b[i].v[k] -= d[k] * b[j].mass * scale, b[j].v[k] += d[k] * b[i].mass * scale;
      }
    for (int i = 0; i < 5; i++)
      for (int k = 0; k < 3; k++) b[i].x[k] += 0.001 * b[i].v[k];
  }
  u64 hash = 0;
  for (int i = 0; i < 5; i++) hash = mix(hash, bits_of(b[i].x[0]) ^ bits_of(b[i].v[1]));
  return hash;
}

enum { N = 200 };

/* LU factorisation with partial pivoting. */
static u64 lu(void) {
  static double a[N][N];
  u32 random = 521288629u;
  for (int i = 0; i < N; i++)
    for (int j = 0; j < N; j++) a[i][j] = (double)(i32)random_next(&random) * 0x1p-31;
  u64 hash = 0;
  for (int k = 0; k < N; k++) {
    int pivot = k;
    for (int i = k + 1; i < N; i++) {
      double x = a[i][k] < 0 ? -a[i][k] : a[i][k], y = a[pivot][k] < 0 ? -a[pivot][k] : a[pivot][k];
      if (x > y) pivot = i;
    }
    if (pivot != k)
      for (int j = 0; j < N; j++) {
        double swap = a[k][j];
        a[k][j] = a[pivot][j];
        a[pivot][j] = swap;
      }
    double inverse = 1.0 / a[k][k];
    for (int i = k + 1; i < N; i++) {
      double factor = a[i][k] *= inverse;
      for (int j = k + 1; j < N; j++) a[i][j] -= factor * a[k][j];
    }
    hash = mix(hash, bits_of(a[k][k]) + (u64)pivot);
  }
  return hash;
}

const struct kernel fp_kernels[] = {{"cpu.fp", "n-body", n_body, 1, 0, 0}, {"cpu.fp", "lu-200", lu, 1, 0, 0}, {0}};
