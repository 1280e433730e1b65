/* The same independent integer work on one CPU and on two at once; each CPU has its own data. */
#include "bench.h"

enum { WORDS = 2048 };
struct worker {
  u32 numbers[WORDS];
  u32 table[256];
  volatile u64 go, done, calls, checksum, quit;
} ALIGNED(4096);
static struct worker workers[2];

static void heap_sort(u32 *a, u32 n) {
  for (u32 i = 1; i < n; i++)
    for (u32 c = i; c && a[(c - 1) / 2] < a[c]; c = (c - 1) / 2) {
      u32 swap = a[c];
      a[c] = a[(c - 1) / 2];
      a[(c - 1) / 2] = swap;
    }
  for (u32 end = n - 1; end; end--) {
    u32 swap = a[0];
    a[0] = a[end];
    a[end] = swap;
    for (u32 p = 0, c; (c = 2 * p + 1) < end; p = c) {
      if (c + 1 < end && a[c + 1] > a[c]) c++;
      if (a[p] >= a[c]) break;
      swap = a[p];
      a[p] = a[c];
      a[c] = swap;
    }
  }
}

static u64 work(struct worker *w) {
  u32 random = 2463534242u;
  for (u32 i = 0; i < 256; i++) {
    u32 c = i;
    for (int k = 0; k < 8; k++) c = c >> 1 ^ (0xedb88320u & -(c & 1));
    w->table[i] = c;
  }
  for (u32 i = 0; i < WORDS; i++) w->numbers[i] = random_next(&random);
  heap_sort(w->numbers, WORDS);
  u32 c = ~0u;
  const u8 *bytes = (const u8 *)w->numbers;
  for (u32 i = 0; i < WORDS * 4; i++) c = c >> 8 ^ w->table[(c ^ bytes[i]) & 255];
  u64 a = c, b = 0x9e3779b97f4a7c15ull;
  for (u64 i = 1; i < 20000; i++) {
    a = (a << 9 | a >> 55) + b * i;
    b ^= a >> 7;
  }
  return a ^ b;
}

static void work_often(struct worker *w) {
  u64 sum = 0;
  for (u64 i = 0; i < w->calls; i++) sum ^= work(w) + i;
  w->checksum = sum;
}

static void second_cpu(void *arg) {
  struct worker *w = arg;
  for (u64 turn = 1;; turn++) {
    while (w->go != turn && !w->quit) __asm__ volatile("yield");
    if (w->quit) return;
    work_often(w);
    DSB();
    w->done = turn;
  }
}

void smp_run(void) {
  struct worker *one = &workers[0], *two = &workers[1];
  u64 ns, best_one, best_two = ~0ull;
  one->calls = 1;
  for (;;) {                                                                   /* as in main.c */
    best_one = ~0ull;
    for (int i = 0; i < 3; i++) {
      u64 start = ticks_now();
      work_often(one);
      ns = ticks_to_ns(ticks_now() - start);
      if (ns < best_one) best_one = ns;
    }
    if (best_one >= measure_ns) break;
    u64 wanted = one->calls * (measure_ns + measure_ns / 8) / (best_one + 1) + 1;
    one->calls = wanted > one->calls * 64 ? one->calls * 64 : wanted;
  }
  two->calls = one->calls;
  u64 expected = one->checksum, single = work(one);
  bench_report("smp-one", one->calls, best_one, single);
  i64 status = cpu_start(1, second_cpu, two);
  if (status) {
    print("# smp-two skipped: CPU_ON answers %ld (the machine has one CPU)\n", status);
    return;
  }
  for (u64 turn = 1; turn <= 4; turn++) {                                      /* the first turn warms the second CPU */
    u64 start = ticks_now();
    two->go = turn;
    work_often(one);
    while (two->done != turn) __asm__ volatile("yield");
    ns = ticks_to_ns(ticks_now() - start);
    if (turn > 1 && ns < best_two) best_two = ns;
    if (one->checksum != expected || two->checksum != expected) panic("smp: checksums differ");
  }
  two->quit = 1;
  cpu_wait_off(1);
  bench_report("smp-two", one->calls * 2, best_two, single);
}
