/* The memory functions gcc expects, the image's bump allocator and instruction-cache maintenance. */
#include "guest.h"

/* Word-wise where both sides allow it: small and independent of SIMD, so it is usable while FP traps. */
void *memcpy(void *to, const void *from, size_t n) {
  u8 *t = to;
  const u8 *f = from;
  if ((((u64)t | (u64)f) & 7) == 0)
    for (; n >= 8; n -= 8, t += 8, f += 8) *(u64 *)t = *(const u64 *)f;
  while (n--) *t++ = *f++;
  return to;
}

void *memmove(void *to, const void *from, size_t n) {
  if (to <= from) return memcpy(to, from, n);
  while (n--) ((u8 *)to)[n] = ((const u8 *)from)[n];
  return to;
}

void *memset(void *to, int value, size_t n) {
  u8 *t = to;
  u64 word = 0x0101010101010101ull * (u8)value;
  if (((u64)t & 7) == 0)
    for (; n >= 8; n -= 8, t += 8) *(u64 *)t = word;
  while (n--) *t++ = (u8)value;
  return to;
}

int memcmp(const void *a, const void *b, size_t n) {
  const u8 *x = a, *y = b;
  for (; n; n--, x++, y++)
    if (*x != *y) return *x - *y;
  return 0;
}

size_t strlen(const char *s) {
  size_t n = 0;
  while (s[n]) n++;
  return n;
}

int strcmp(const char *a, const char *b) {
  while (*a && *a == *b) a++, b++;
  return (u8)*a - (u8)*b;
}

static u64 heap_at;

void *allocate(size_t bytes, size_t align) {
  if (!heap_at) heap_at = (u64)__heap_start;
  u64 at = (heap_at + align - 1) & ~(u64)(align - 1);
  heap_at = at + bytes;
  if (heap_at > 0x40000000ull + ram_bytes) panic("out of memory");
  return (void *)at;
}

void sync_code(const void *at, size_t bytes) {
  u64 ctr = READ_SYSREG(ctr_el0), end = (u64)at + bytes;
  u64 d_line = 4ull << (ctr >> 16 & 15), i_line = 4ull << (ctr & 15);
  for (u64 a = (u64)at & ~(d_line - 1); a < end; a += d_line) __asm__ volatile("dc cvau, %0" : : "r"(a) : "memory");
  __asm__ volatile("dsb ish" : : : "memory");
  for (u64 a = (u64)at & ~(i_line - 1); a < end; a += i_line) __asm__ volatile("ic ivau, %0" : : "r"(a) : "memory");
  __asm__ volatile("dsb ish\n isb" : : : "memory");
}
