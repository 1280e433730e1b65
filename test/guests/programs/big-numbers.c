/* Arbitrary precision: factorial, Fibonacci, square root of two by Newton on integers, modular power. */
#include "programs.h"

enum { LIMBS = 64 };
struct big {
  u32 limb[LIMBS];                                    /* little-endian */
};

static void small(struct big *a, u32 value) {
  memset(a, 0, sizeof *a);
  a->limb[0] = value;
}

static void add(struct big *to, const struct big *b) {
  u64 carry = 0;
  for (int i = 0; i < LIMBS; i++) {
    carry += (u64)to->limb[i] + b->limb[i];
    to->limb[i] = (u32)carry;
    carry >>= 32;
  }
}

static void subtract(struct big *to, const struct big *b) {
  i64 borrow = 0;
  for (int i = 0; i < LIMBS; i++) {
    borrow += (i64)to->limb[i] - b->limb[i];
    to->limb[i] = (u32)borrow;
    borrow >>= 32;
  }
}

static void times_small(struct big *a, u32 factor) {
  u64 carry = 0;
  for (int i = 0; i < LIMBS; i++) {
    carry += (u64)a->limb[i] * factor;
    a->limb[i] = (u32)carry;
    carry >>= 32;
  }
}

static u32 divide_small(struct big *a, u32 divisor) {
  u64 rest = 0;
  for (int i = LIMBS - 1; i >= 0; i--) {
    rest = rest << 32 | a->limb[i];
    a->limb[i] = (u32)(rest / divisor);
    rest %= divisor;
  }
  return (u32)rest;
}

static int compare(const struct big *a, const struct big *b) {
  for (int i = LIMBS - 1; i >= 0; i--)
    if (a->limb[i] != b->limb[i]) return a->limb[i] < b->limb[i] ? -1 : 1;
  return 0;
}

static void multiply(struct big *to, const struct big *a, const struct big *b) {
  struct big r;
  small(&r, 0);
  for (int i = 0; i < LIMBS; i++) {
    u64 carry = 0;
    for (int j = 0; i + j < LIMBS; j++) {
      carry += (u64)a->limb[i] * b->limb[j] + r.limb[i + j];
      r.limb[i + j] = (u32)carry;
      carry >>= 32;
    }
  }
  *to = r;
}

static void shift_left_1(struct big *a) {
  for (int i = LIMBS - 1; i > 0; i--) a->limb[i] = a->limb[i] << 1 | a->limb[i - 1] >> 31;
  a->limb[0] <<= 1;
}

/* a mod m by shift and subtract; a has up to LIMBS limbs. */
static void modulo(struct big *a, const struct big *m) {
  struct big r;
  small(&r, 0);
  for (int i = LIMBS * 32 - 1; i >= 0; i--) {
    shift_left_1(&r);
    r.limb[0] |= a->limb[i / 32] >> (i % 32) & 1;
    if (compare(&r, m) >= 0) subtract(&r, m);
  }
  *a = r;
}

static void show(const char *what, struct big a) {
  char digits[LIMBS * 10 + 1];
  size_t n = sizeof digits - 1;
  digits[n] = 0;
  int zero;
  do {
    digits[--n] = (char)('0' + divide_small(&a, 10));
    zero = 1;
    for (int i = 0; i < LIMBS; i++) zero &= a.limb[i] == 0;
  } while (!zero && n);
  print("big-numbers %s %s\n", what, digits + n);
}

void big_numbers(void) {
  struct big a, b, c;
  small(&a, 1);
  for (u32 i = 2; i <= 150; i++) times_small(&a, i);
  show("150!", a);
  small(&a, 0);
  small(&b, 1);
  for (int i = 0; i < 1000; i++) {
    c = a;
    add(&c, &b);
    a = b;
    b = c;
  }
  show("fibonacci(1000)", a);
  small(&b, 3);                                       /* 3^e mod 2^127 - 1 by square and multiply */
  small(&a, 1);
  small(&c, 0);
  c.limb[0] = c.limb[1] = c.limb[2] = ~0u;
  c.limb[3] = 0x7fffffff;
  for (u32 e = 0x1234567; e; e >>= 1) {
    if (e & 1) multiply(&a, &a, &b), modulo(&a, &c);
    multiply(&b, &b, &b);
    modulo(&b, &c);
  }
  show("3^19088743 mod M127", a);
}
