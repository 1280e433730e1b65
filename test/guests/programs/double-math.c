/* Elementary functions by series, linear algebra, conversions and special values, printed as bits. */
#include "programs.h"

static u64 bits(double x) {
  union {
    double d;
    u64 u;
  } both = {x};
  return both.u;
}

static double square_root(double x) {
  __asm__("fsqrt %d0, %d0" : "+w"(x));
  return x;
}

static double exponential(double x) {
  double sum = 1, term = 1;
  int halvings = 0;
  for (; x > 0.5 || x < -0.5; halvings++) x /= 2;
  for (int n = 1; n < 20; n++) sum += term *= x / n;
  while (halvings--) sum *= sum;
  return sum;
}

static double sine(double x) {
  double sum = x, term = x;
  for (int n = 1; n < 16; n++) sum += term *= -x * x / ((2 * n) * (2 * n + 1));
  return sum;
}

static double logarithm(double x) {
  double y = 0;
  for (int i = 0; i < 40; i++) y += 2 * (x - exponential(y)) / (x + exponential(y));
  return y;
}

static float single(float x) {
  float sum = 0;
  for (int i = 1; i <= 1000; i++) sum += x / (float)(i * i) - (float)i * 1e-7f;
  return sum;
}

static void special(void) {
  static const double values[] = {0.0, -0.0, 1.0, -1.5, 1e308, -1e308, 4.9e-324, 2.2250738585072014e-308, 1e19, -1e19, 0.5, 2.5, 9007199254740993.0};
  double infinity = 1e308 * 10 * values[2], nan = infinity - infinity;
  enum { COUNT = sizeof values / sizeof *values };
  u32 hash = 0;
  for (int i = 0; i < COUNT + 2; i++)
    for (int j = 0; j < COUNT + 2; j++) {
      double x = i < COUNT ? values[i] : i == COUNT ? infinity : nan, y = j < COUNT ? values[j] : j == COUNT ? infinity : nan;
      double results[] = {x + y, x - y, x * y, x / y, square_root(x), (double)(float)x, (double)(i64)x, (double)(u64)y, (double)(i32)x};
      for (size_t k = 0; k < sizeof results / sizeof *results; k++) hash = fold(hash, (u32)(bits(results[k]) ^ bits(results[k]) >> 32));
      hash = fold(hash, (u32)((x < y) | (x <= y) << 1 | (x == y) << 2 | (x != y) << 3 | (x > y) << 4));
    }
  print("double-math special values %08x\n", hash);
}

static void invert(void) {
  enum { N = 10 };
  double a[N][2 * N];
  for (int i = 0; i < N; i++)
    for (int j = 0; j < 2 * N; j++) a[i][j] = j < N ? 1.0 / (i + j + 1) + (i == j) * 0.01 : (double)(j - N == i);
  for (int k = 0; k < N; k++)
    for (int i = 0; i < N; i++) {
      double factor = a[i][k] / a[k][k];
      for (int j = 0; j < 2 * N; j++) a[i][j] = i == k ? a[i][j] : a[i][j] - factor * a[k][j];
    }
  double trace = 0;
  for (int i = 0; i < N; i++) trace += a[i][N + i] / a[i][i];
  print("double-math trace of the inverse %016lx\n", bits(trace));
}

void double_math(void) {
  for (int i = -3; i <= 3; i++) {
    double x = i * 1.37;
    print("double-math x %016lx exp %016lx sin %016lx log %016lx\n", bits(x), bits(exponential(x)), bits(sine(x)), bits(logarithm(x * x + 0.5)));
  }
  print("double-math single %016lx\n", bits((double)single(3.25f)));
  double logistic = 0.4;
  for (int i = 0; i < 10000; i++) logistic = 3.99 * (logistic - logistic * logistic);
  print("double-math logistic map %016lx\n", bits(logistic));
  invert();
  special();
}
