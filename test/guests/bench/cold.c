/*
 * Cold code: the guest writes 60,000 distinct basic blocks into its memory and runs each 1 to 50 times, as a boot does.
 * A function is a chain of blocks laid out in scrambled order. Which way a branch goes is known to the generator
 * (x16 is 0, x17 is 1) and to nobody else, so every block runs at every call. Three generations with seeds of their own
 * are timed; generating is not. `generations=N` makes more of them, in four regions that take turns: what eviction and
 * rewritten code cost over time. `each=N` runs every block N times instead, so that all of them get translated.
 */
#include "bench.h"

enum { BLOCKS = 60000, UNITS_MAX = 16, WINDOW = 64, DATA_WORDS = 64, CODE_BYTES = BLOCKS * 4 * 16 };
static u32 random;
static u32 *at;                                       /* where the next instruction goes */
static u64 data[DATA_WORDS];
static u32 blocks, leaf_count;
static u32 *leaves[8];
static struct {
  void (*run)(u64 *);
  u32 times, blocks, instructions;
} functions[BLOCKS / 4];

static u32 below(u32 n) { return (random_next(&random) >> 8) % n; }

/* A random computation on x1-x15 and the data area at x0. */
static u32 operation(void) {
  u32 d = 1 + below(15), n = 1 + below(15), m = 1 + below(15);
  switch (below(10)) {
    case 0: return 0x8b000000 | m << 16 | below(63) << 10 | n << 5 | d;        /* add xd, xn, xm, lsl */
    case 1: return 0xca400000 | m << 16 | (1 + below(62)) << 10 | n << 5 | d;  /* eor xd, xn, xm, lsr */
    case 2: return 0x4b000000 | m << 16 | n << 5 | d;                          /* sub wd, wn, wm */
    case 3: return 0xf9400000 | below(DATA_WORDS) << 10 | d;                   /* ldr xd, [x0, #imm] */
    case 4: return 0xf9000000 | below(DATA_WORDS) << 10 | d;                   /* str xd, [x0, #imm] */
    case 5: return 0x9b000000 | m << 16 | (1 + below(15)) << 10 | n << 5 | d;  /* madd xd, xn, xm, xa */
    case 6: return 0xd3400000 | below(32) << 16 | (32 + below(32)) << 10 | n << 5 | d; /* ubfm xd, xn */
    case 7: return 0xf2800000 | below(4) << 21 | below(65536) << 5 | d;        /* movk xd, #imm, lsl */
    case 8: return 0x91000000 | below(4096) << 10 | n << 5 | d;                /* add xd, xn, #imm */
    default: return 0x9a800400 | m << 16 | 2 << 12 | n << 5 | d;               /* csinc xd, xn, xm, cs */
  }
}

/* A branch that is taken to `distance` instructions ahead (or back) at each run. */
static u32 taken(i32 distance) {
  u32 imm19 = ((u32)distance & 0x7ffff) << 5;
  switch (below(4)) {
    case 0: return 0xb4000000 | imm19 | 16;                                    /* cbz x16 */
    case 1: return 0x35000000 | imm19 | 17;                                    /* cbnz w17 */
    case 2: return 0x37000000 | ((u32)distance & 0x3fff) << 5 | 17;            /* tbnz w17, #0 */
    default: return 0x14000000 | ((u32)distance & 0x3ffffff);                  /* b */
  }
}

static void leaf(void) {
  leaves[leaf_count++ % 8] = at;
  for (u32 n = 2 + below(5); n; n--) *at++ = operation();
  *at++ = 0xd65f03c0;                                                          /* ret */
}

static void generate_function(u32 index) {
  u32 count = 4 + below(UNITS_MAX - 4), order[UNITS_MAX], place[UNITS_MAX], offset[UNITS_MAX + 1], call[UNITS_MAX], length[UNITS_MAX];
  for (u32 i = 0; i < count; i++) order[i] = i;
  for (u32 i = count - 1; i > 1; i--) {                                        /* the first stays: it is the entry */
    u32 j = 1 + below(i), swap = order[i];
    order[i] = order[j];
    order[j] = swap;
  }
  u32 size = 0;
  for (u32 p = 0; p < count; p++) {                                            /* order[place] = position in the chain */
    u32 u = order[p];
    place[u] = p;
    offset[u] = size;
    length[u] = 2 + below(6);
    call[u] = below(12) == 0;
    size += length[u] + call[u] + (u == 0 ? 3 : 0) + (u == count - 1 ? 2 : 1);
  }
  u32 *base = at;
  for (u32 p = 0; p < count; p++) {
    u32 u = order[p];
    if (u == 0) {
      *at++ = 0xf81f0ffe;                                                      /* str x30, [sp, #-16]! */
      *at++ = 0xd2800010;                                                      /* mov x16, #0 */
      *at++ = 0xd2800031;                                                      /* mov x17, #1 */
    }
    for (u32 i = 0; i < length[u]; i++) {
      *at++ = operation();
      if (call[u] && i == length[u] / 2) {
        i32 distance = (i32)(leaves[below(8)] - at);
        *at++ = 0x94000000 | ((u32)distance & 0x3ffffff);                      /* bl */
        blocks++;
      }
    }
    blocks++;
    if (u == count - 1) {
      *at++ = 0xf84107fe;                                                      /* ldr x30, [sp], #16 */
      *at++ = 0xd65f03c0;                                                      /* ret */
    } else if (place[u + 1] == p + 1) {
      *at = 0xb5000000 | ((u32)(i32)(base + offset[below(count)] - at) & 0x7ffff) << 5 | 16; /* cbnz x16: never */
      at++;
    } else {
      i32 distance = (i32)(base + offset[u + 1] - at);
      *at++ = taken(distance);
    }
  }
  u32 r = below(1024);
  functions[index].run = (void (*)(u64 *))(u64)base;
  functions[index].times = 1 + (u32)((u64)r * r * r * 50 >> 30);
  functions[index].instructions = (u32)(at - base);
}

/* Sets x1-x15 so that a run depends on the data alone. */
static void call(void (*run)(u64 *)) {
  register u64 x0 __asm__("x0") = (u64)data;
  register u64 x18 __asm__("x19") = (u64)run;
  __asm__ volatile(
    "mov x1, x0\n mov x2, #3\n mov x3, #5\n mov x4, #7\n mov x5, #11\n mov x6, #13\n mov x7, #17\n mov x8, #19\n mov x9, #23\n"
    "mov x10, #29\n mov x11, #31\n mov x12, #37\n mov x13, #41\n mov x14, #43\n mov x15, #47\n mov x1, #2\n cmp xzr, xzr\n blr %1"
    : "+r"(x0) : "r"(x18) : "x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15", "x16",
      "x17", "x30", "cc", "memory");
}

void cold_run(void) {
  static char number[16];
  static u32 *regions[4];
  u32 generations = 0;
  u32 each = 0;
  boot_option("generations", number, sizeof number);
  for (const char *c = number; *c >= '0' && *c <= '9'; c++) generations = generations * 10 + (u32)(*c - '0');
  number[0] = 0;
  boot_option("each", number, sizeof number);
  for (const char *c = number; *c >= '0' && *c <= '9'; c++) each = each * 10 + (u32)(*c - '0');
  if (generations < 3) generations = 3;
  u64 best = ~0ull, checksum = 0, executed = 0, instructions = 0, count_first = 0;
  for (u32 generation = 0; generation < generations; generation++) {
    random = 362436069u + generation * 0x1000193u;
    if (!regions[generation % 4]) regions[generation % 4] = allocate(CODE_BYTES, 4096);
    u32 *code = regions[generation % 4], function_count = 0;
    at = code;
    blocks = leaf_count = 0;
    for (u32 i = 0; i < 8; i++) leaf();
    u32 leaf_blocks = 8;
    u64 runs = 0, words = 0;
    while (blocks + leaf_blocks < BLOCKS) {
      if (function_count % 32 == 31) leaf(), leaf_blocks++;
      u32 before = blocks;
      generate_function(function_count);
      functions[function_count].blocks = blocks - before;
      if (each) functions[function_count].times = each;
      runs += (u64)functions[function_count].times * (blocks - before);
      words += (u64)functions[function_count].times * functions[function_count].instructions;
      function_count++;
    }
    sync_code(code, (size_t)(at - code) * 4);
    for (u32 i = 0; i < DATA_WORDS; i++) data[i] = i * 0x9e3779b97f4a7c15ull;
    u64 start = ticks_now();
    for (u32 first = 0; first < function_count; first += WINDOW)               /* calls of 64 functions interleave */
      for (u32 turn = 0; turn < (each ? each : 50); turn++)
        for (u32 f = first; f < first + WINDOW && f < function_count; f++)
          if (turn < functions[f].times) call(functions[f].run);
    u64 ns = ticks_to_ns(ticks_now() - start);
    for (u32 i = 0; i < DATA_WORDS && generation < 3; i++) checksum = mix(checksum, data[i]);
    print("# cold: generation %u ns %lu\n", generation, ns);
    if (ns < best) best = ns, executed = runs, instructions = words, count_first = blocks + leaf_blocks;
  }
  print("# cold: %lu blocks, %lu block executions, about %lu instructions, best of %u generations\n", count_first, executed, instructions, generations);
  bench_report("cold-blocks", count_first, best, checksum);
}
