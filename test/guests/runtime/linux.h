/* What Linux programs without a C library share: system calls, and a line of text to print. */
#pragma once
typedef unsigned long u64;
typedef long i64;

static i64 call(i64 n, i64 a, i64 b, i64 c, i64 d, i64 e) {
  register i64 x8 __asm__("x8") = n;
  register i64 x0 __asm__("x0") = a;
  register i64 x1 __asm__("x1") = b;
  register i64 x2 __asm__("x2") = c;
  register i64 x3 __asm__("x3") = d;
  register i64 x4 __asm__("x4") = e;
  __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4) : "memory");
  return x0;
}

static char line[256];
static int length;
static void text(const char *s) { while (*s) line[length++] = *s++; }
static void number(u64 n) {
  char digits[24];
  int count = 0;
  do digits[count++] = (char)('0' + n % 10); while (n /= 10);
  while (count) line[length++] = digits[--count];
}
