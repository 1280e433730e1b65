/* Memory accesses: alignment, page crossing, exclusives, atomics, DC ZVA, and code that changes. */
#include "suite.h"

void probe_sp_unaligned(void), user_ldxr(void);
extern char probe_sp_unaligned_at[], probe_store_quad_at[];
void user_zero(void), user_store_pair(void), user_store_byte(void);

static void alignment_of_exclusives(void) {
  u64 va = fresh_page(PAGE_USER, 0);
  trap_reset();
  probe_load_exclusive(va + 4);
  expect_fault("LDXR", FROM_EL1, ESR_DATA_EL1 | 0x21, va + 4, (u64)probe_load_exclusive);
  probe_load_exclusive(va + 8);
  expect_no_trap("aligned LDXR");
  user_run(user_ldxr, va + 1, 0);
  expect_fault("LDXR at EL0", FROM_EL0, ESR_DATA_EL0 | 0x21, va + 1, user_address(user_ldxr));
}

static void alignment_of_acquire(void) {
  u64 va = fresh_page(PAGE_KERNEL, 0);
  if ((READ_SYSREG(id_aa64mmfr2_el1) >> 32 & 15) != 0) {
    skip("FEAT_LSE2 relaxes it");
    return;
  }
  probe_load_acquire(va + 4);
  expect_fault("LDAR", FROM_EL1, ESR_DATA_EL1 | 0x21, va + 4, (u64)probe_load_acquire);
  probe_store_release(va + 4, 1);
  expect_fault("STLR", FROM_EL1, ESR_DATA_EL1 | ESR_WRITE | 0x21, va + 4, (u64)probe_store_release);
}

static void alignment_check(void) {
  u64 va = fresh_page(PAGE_USER, 0);
  WRITE_SYSREG(sctlr_el1, sctlr_default | 2);
  ISB();
  trap_reset();
  probe_load(va + 1);
  expect_fault("load", FROM_EL1, ESR_DATA_EL1 | 0x21, va + 1, (u64)probe_load);
  probe_store(va + 2, 1);
  expect_fault("store", FROM_EL1, ESR_DATA_EL1 | ESR_WRITE | 0x21, va + 2, (u64)probe_store);
  probe_load_byte(va + 3);
  probe_store_pair(va + 8, 1);
  expect_no_trap("byte load, pair at its element's alignment");
  probe_store_pair(va + 12, 1);
  expect_fault("pair", FROM_EL1, ESR_DATA_EL1 | ESR_WRITE | 0x21, va + 12, (u64)probe_store_pair);
  user_run(user_load, va + 4, 0);
  expect_fault("EL0", FROM_EL0, ESR_DATA_EL0 | 0x21, va + 4, user_address(user_load));
  WRITE_SYSREG(sctlr_el1, sctlr_default);
  ISB();
}

static void alignment_of_sp(void) {
  if (deviates("sp-alignment")) return;
  probe_sp_unaligned();
  expect_trap("load by a misaligned SP", FROM_EL1_SP0, 0x9a000000, (u64)probe_sp_unaligned_at);
}

static void alignment_of_device_memory(void) {
  if (deviates("device-alignment")) return;
  u64 *page = page_new(), va = fresh_region();
  map_page(space, va, (u64)page, PTE_TABLE | PTE_ATTR(0) | PTE_AF | PTE_UXN | PTE_PXN);
  probe_load(va + 8);
  expect_no_trap("aligned load of device memory");
  probe_load(va + 4);
  expect_fault("load of device memory", FROM_EL1, ESR_DATA_EL1 | 0x21, va + 4, (u64)probe_load);
}

static void alignment_of_pc(void) {
  u64 va = fresh_page(PTE_TABLE | PTE_RAM, 0);
  trap_reset();
  probe_execute(va + 2);
  expect_fault("EL1", FROM_EL1, 0x8a000000, va + 2, va + 2);
  user_run(user_jump, va + 1, 0);
  expect_fault("EL0", FROM_EL0, 0x8a000000, va + 1, va + 1);
}

static void unaligned(void) {
  u8 *page;
  u64 va = fresh_page(PAGE_KERNEL, (u64 **)(void *)&page);
  for (int i = 0; i < 64; i++) page[i] = (u8)(i * 3 + 1);
  for (u64 offset = 0; offset < 24; offset++) {
    u64 want = 0, pair = 0;
    for (u64 i = 0; i < 8; i++) want |= (u64)page[offset + i] << 8 * i, pair |= (u64)page[offset + 8 + i] << 8 * i;
    expect("load", probe_load(va + offset), want);
    expect("pair", probe_load_pair(va + offset), want + pair);
    expect("quad", probe_load_quad(va + offset), want + pair);
  }
  expect_no_trap("unaligned");
}

/* Two neighbouring pages on distant frames. */
static void crossing(void) {
  u8 *first = (u8 *)page_new(), *gap = (u8 *)page_new(), *second = (u8 *)page_new();
  u64 va = fresh_region();
  gap[0] = 0xee;
  map_page(space, va, (u64)second, PAGE_KERNEL);     /* the order of frames is the reverse */
  map_page(space, va + 4096, (u64)first, PAGE_KERNEL);
  for (u64 offset = 4096 - 15; offset < 4096; offset++) {
    memset(first, 0, 64);
    memset(second + 4096 - 64, 0, 64);
    probe_store(va + offset, 0x1122334455667788ull);
    u64 got = 0;
    for (u64 i = 0; i < 8; i++) got |= (u64)(offset + i < 4096 ? second[offset + i] : first[offset + i - 4096]) << 8 * i;
    expect("store", got, 0x1122334455667788ull);
    expect("load", probe_load(va + offset), 0x1122334455667788ull);
    probe_store_pair(va + offset, 0x0102030405060708ull);
    expect("pair", probe_load_pair(va + offset), 0x020406080a0c0e10ull);
    probe_store_quad(va + offset, 0x0102030405060708ull);
    expect("quad", probe_load_quad(va + offset), 0x020406080a0c0e10ull);
    expect("high half", probe_load(va + offset + 8), 0x0102030405060708ull);
  }
  expect_no_trap("crossing");
  expect("the frame between is untouched", gap[0], 0xee);
}

static void crossing_into_a_hole(void) {
  u64 va = fresh_page(PAGE_USER, 0), edge = va + 4096;
  trap_reset();
  probe_load(edge - 4);
  expect_fault("load", FROM_EL1, ESR_DATA_EL1 | 7, edge, (u64)probe_load);
  probe_store(edge - 1, 1);
  expect_fault("store", FROM_EL1, ESR_DATA_EL1 | ESR_WRITE | 7, edge, (u64)probe_store);
  probe_load_pair(edge - 8);
  expect_fault("pair", FROM_EL1, ESR_DATA_EL1 | 7, edge, (u64)probe_load_pair);
  probe_load_quad(edge - 8);
  expect_fault("quad", FROM_EL1, ESR_DATA_EL1 | 7, edge, (u64)probe_load_quad);
  probe_store_quad(edge - 15, 1);
  expect_fault("quad store", FROM_EL1, ESR_DATA_EL1 | ESR_WRITE | 7, edge, (u64)probe_store_quad_at);
  user_run(user_store_pair, edge - 8, 1);
  expect_fault("EL0 pair", FROM_EL0, ESR_DATA_EL0 | ESR_WRITE | 7, edge, user_address(user_store_pair));
  u64 hole = fresh_region();
  map_page(space, hole + 4096, (u64)page_new(), PAGE_USER);
  probe_load(hole + 4092);
  expect_fault("out of a hole", FROM_EL1, ESR_DATA_EL1 | 7, hole + 4092, (u64)probe_load);
}

static void exclusives(void) {
  u64 word = 5, old, status, low, high;
  __asm__ volatile("1: ldxr %0, [%3]\n add %0, %0, #1\n stxr %w1, %0, [%3]\n cbnz %w1, 1b\n ldr %2, [%3]"
                   : "=&r"(old), "=&r"(status), "=&r"(low) : "r"(&word) : "memory");
  expect("LDXR, STXR", word, 6);
  __asm__ volatile("ldxr %0, [%2]\n clrex\n stxr %w1, xzr, [%2]" : "=&r"(old), "=&r"(status) : "r"(&word) : "memory");
  expect("STXR after CLREX", status, 1);
  expect("the word stays", word, 6);
  __asm__ volatile("stxr %w0, xzr, [%1]" : "=&r"(status) : "r"(&word) : "memory");
  expect("STXR without LDXR", status, 1);
  __asm__ volatile("ldxr %0, [%2]\n svc #3\n stxr %w1, xzr, [%2]" : "=&r"(old), "=&r"(status) : "r"(&word) : "memory");
  expect("STXR after an exception return", status, 1);
  trap_reset();
  __asm__ volatile("ldaxr %0, [%2]\n stlxr %w1, xzr, [%2]\n stxr %w0, xzr, [%2]" : "=&r"(old), "=&r"(status) : "r"(&word) : "memory");
  expect("STLXR", status, 0);
  expect("a second STXR", old, 1);
  static u64 pair[2] ALIGNED(16) = {1, 2};
  __asm__ volatile("1: ldxp %0, %1, [%3]\n stxp %w2, %1, %0, [%3]\n cbnz %w2, 1b" : "=&r"(low), "=&r"(high), "=&r"(status) : "r"(pair) : "memory");
  expect("LDXP, STXP", pair[0] * 10 + pair[1], 21);
  static u32 bytes = 0x11223344;
  __asm__ volatile("1: ldxrb %w0, [%2]\n add %w0, %w0, #1\n stxrb %w1, %w0, [%2]\n cbnz %w1, 1b" : "=&r"(old), "=&r"(status) : "r"(&bytes) : "memory");
  expect("LDXRB, STXRB", bytes, 0x11223345);
}

static void atomics(void) {
  if ((READ_SYSREG(id_aa64isar0_el1) >> 20 & 15) < 2) {
    skip("no FEAT_LSE");
    return;
  }
  u64 word, got;
  static u64 pair[2] ALIGNED(16);
#define ATOMIC(op, initial, operand, want) \
  word = initial; \
  __asm__ volatile(".arch_extension lse\n " op " %1, %0, [%2]" : "=&r"(got) : "r"((u64)(operand)), "r"(&word) : "memory"); \
  expect(op ": old value", got, initial); \
  expect(op ": new value", word, want)
  ATOMIC("ldadd", 10, 5, 15);
  ATOMIC("ldaddal", ~0ull, 1, 0);
  ATOMIC("ldclr", 0xff, 0x0f, 0xf0);
  ATOMIC("ldset", 0xf0, 0x0f, 0xff);
  ATOMIC("ldeor", 0xff, 0x3c, 0xc3);
  ATOMIC("ldsmax", (u64)-5, 3, 3);
  ATOMIC("ldsmin", (u64)-5, 3, (u64)-5);
  ATOMIC("ldumax", (u64)-5, 3, (u64)-5);
  ATOMIC("ldumin", (u64)-5, 3, 3);
  ATOMIC("swpal", 1, 2, 2);
  word = 7;
  got = 7;
  __asm__ volatile(".arch_extension lse\n casal %0, %1, [%2]" : "+r"(got) : "r"(9ull), "r"(&word) : "memory");
  expect("casal, equal", word * 100 + got, 907);
  got = 1;
  __asm__ volatile(".arch_extension lse\n casal %0, %1, [%2]" : "+r"(got) : "r"(5ull), "r"(&word) : "memory");
  expect("casal, different", word * 100 + got, 909);
  pair[0] = 1, pair[1] = 2;
  register u64 a __asm__("x4") = 1, b __asm__("x5") = 2, c __asm__("x6") = 3, d __asm__("x7") = 4;
  __asm__ volatile(".arch_extension lse\n caspal x4, x5, x6, x7, [%4]" : "+r"(a), "+r"(b) : "r"(c), "r"(d), "r"(pair) : "memory");
  expect("caspal", pair[0] * 10 + pair[1], 34);
}

static void big_endian(void) {
  if ((READ_SYSREG(id_aa64mmfr0_el1) >> 8 & 15) == 0) {
    skip("no mixed-endian support");
    return;
  }
  u64 *page, va = fresh_page(PAGE_USER, &page);
  page[0] = 0x0102030405060708ull;
  WRITE_SYSREG(sctlr_el1, sctlr_default | 1 << 24);  /* E0E */
  ISB();
  user_run(user_load, va, 0);
  expect("load", trap.x3, 0x0807060504030201ull);
  user_run(user_store, va + 8, 0x1122334455667788ull);
  expect("store", page[1], 0x8877665544332211ull);
  WRITE_SYSREG(sctlr_el1, sctlr_default);
  ISB();
  user_run(user_load, va, 0);
  expect("little-endian again", trap.x3, 0x0102030405060708ull);
  trap_reset();
}

static void zero_block(void) {
  u64 id = READ_SYSREG(dczid_el0);
  if (id & 16) {
    skip("DCZID_EL0.DZP: DC ZVA is prohibited");
    return;
  }
  u64 size = 4ull << (id & 15);
  u8 *page;
  u64 va = fresh_page(PAGE_USER, (u64 **)(void *)&page), at = size > 1024 ? 0 : 2 * size;
  memset(page, 0xaa, 4096);
  probe_zero(va + at + size / 2 + 1);
  expect_no_trap("DC ZVA");
  u64 zeros = 0;
  for (u64 i = 0; i < 4096; i++) zeros += page[i] == 0;
  expect("bytes cleared", zeros, size);
  expect("first", page[at], 0);
  expect("last", page[at + size - 1], 0);
  *(volatile u64 *)entry_of(space, va, 3) |= PTE_READONLY;
  tlb_flush_all();
  probe_zero(va + at + 8);
  expect_fault("read-only", FROM_EL1, ESR_DATA_EL1 | ESR_WRITE | 15, va + at + 8, (u64)probe_zero);
  u64 hole = fresh_region();
  user_run(user_zero, hole + 0x48, 0);
  expect_trap("unmapped, EL0", FROM_EL0, ESR_DATA_EL0 | ESR_WRITE | 5, user_address(user_zero));
}

static void changing_code(void) {
  u32 *page = (u32 *)page_new();
  for (u32 round = 0; round < 200; round++) {
    page[0] = 0xd2800000 | (round * 7 & 0xffff) << 5; /* mov x0, #round * 7 */
    page[1] = 0xd65f03c0;
    sync_code(page, 8);
    expect("new code", ((u64(*)(void))(u64)page)(), round * 7);
    if (round == 50) *(volatile u32 *)(page + 8) = 1; /* data beside the code changes nothing */
  }
}

/* A loop that is hot before one of its instructions is replaced. */
static void changing_hot_code(void) {
  u32 *page = (u32 *)page_new();
  static const u32 loop[] = {0xd2800002, 0x91000442, 0xf1000400, 0x54ffffc1, 0xaa0203e0, 0xd65f03c0};
  /* mov x2, #0; 1: add x2, x2, #1; subs x0, x0, #1; b.ne 1b; mov x0, x2; ret */
  memcpy(page, loop, sizeof loop);
  sync_code(page, sizeof loop);
  u64 (*run)(u64) = (u64(*)(u64))(u64)page;
  for (u64 step = 1; step <= 4; step++) {
    page[1] = 0x91000042 | (u32)step << 10;
    sync_code(page + 1, 4);
    expect("sum", run(100000), 100000 * step);
  }
}

/* Written through one address, executed through another; and EL0 code changed by EL1. */
static void changing_code_by_alias(void) {
  u32 *page = (u32 *)page_new();
  u64 execute = fresh_region(), user = fresh_region();
  map_page(space, execute, (u64)page, PTE_TABLE | PTE_RAM | PTE_READONLY | PTE_UXN);
  map_page(space, user, (u64)page, PAGE_USER_CODE);
  for (u32 round = 0; round < 20; round++) {
    page[0] = 0xd2800000 | (round + 5) << 5;
    page[1] = 0xd65f03c0;
    page[4] = 0xd4000001 | round << 5;               /* svc #round */
    sync_code(page, 32);
    expect("EL1 alias", probe_execute(execute), round + 5);
    expect_no_trap("EL1 alias");
    user_run_with(user + 16, 0, 0, 0);
    expect("EL0 alias", trap.esr, 0x56000000 | round);
    trap_reset();
  }
}

/* The same virtual address gets other code by a change of mapping, without cache maintenance of the frames. */
static void remapped_code(void) {
  u64 va = fresh_region(), *entry = entry_of(space, va, 3), *frames[2] = {page_new(), page_new()};
  for (u32 i = 0; i < 2; i++) {
    ((u32 *)frames[i])[0] = 0xd2800000 | (i + 1) << 5;
    ((u32 *)frames[i])[1] = 0xd65f03c0;
    sync_code(frames[i], 8);
  }
  for (u64 round = 0; round < 20; round++) {
    *(volatile u64 *)entry = 0;
    tlb_flush_all();
    entry_set(entry, (u64)frames[round & 1] | PTE_TABLE | PTE_RAM | PTE_READONLY | PTE_UXN);
    expect("code of the mapped frame", probe_execute(va), (round & 1) + 1);
  }
  expect_no_trap("remapped code");
}

/* Straight-line code and a branch over a page edge, with the second page missing at first. */
static void code_over_a_page_edge(void) {
  u64 va = fresh_region(), *first = page_new(), *second = page_new();
  ((u32 *)first)[1022] = 0xd2800540;                 /* mov x0, #42 */
  ((u32 *)first)[1023] = 0x91000400;                 /* add x0, x0, #1 */
  ((u32 *)second)[0] = 0x91000800;                   /* add x0, x0, #2 */
  ((u32 *)second)[1] = 0xd65f03c0;
  sync_code(first, 4096);
  sync_code(second, 4096);
  map_page(space, va, (u64)first, PTE_TABLE | PTE_RAM | PTE_UXN);
  trap_reset();
  probe_execute(va + 4088);
  expect_fault("second page missing", FROM_EL1, ESR_FETCH_EL1 | 7, va + 4096, va + 4096);
  map_page(space, va + 4096, (u64)second, PTE_TABLE | PTE_RAM | PTE_UXN);
  expect("over the edge", probe_execute(va + 4088), 45);
  expect_no_trap("over the edge");
}

/* One address, other code in each address space, both hot, without any flush in between. */
static void code_by_asid(void) {
  u64 va = fresh_region(), sums[2] = {0};
  u64 *spaces[2] = {space_new(), space_new()};
  for (u32 i = 0; i < 2; i++) {
    u32 *page = (u32 *)page_new();
    page[0] = 0xd2800003;                            /* mov x3, #0 */
    page[1] = 0x91000463 + (i << 10);                /* 1: add x3, x3, #1 or #2 */
    page[2] = 0xf1000400;                            /* subs x0, x0, #1 */
    page[3] = 0x54ffffc1;                            /* b.ne 1b */
    page[4] = 0xd4000001;                            /* svc #0 */
    sync_code(page, 20);
    map_page(spaces[i], va, (u64)page, PAGE_USER_CODE);
    map_page(spaces[i], USER_STACK, (u64)page_new(), PAGE_USER);
  }
  for (u64 round = 0; round < 40; round++) {
    space_use(spaces[round & 1], 10 + (round & 1));
    user_run_with(va, 1000, 0, 0);
    sums[round & 1] += trap.x3;
  }
  expect("ASID 10", sums[0], 20000);
  expect("ASID 11", sums[1], 40000);
  space_use(space, SPACE_ASID);
  tlb_flush_all();
  trap_reset();
}

/* One page of code, hot at EL1, then run at EL0: privilege is the CPU's, not the page's. */
static void code_at_both_levels(void) {
  u32 *page;
  u64 va = fresh_page(PTE_TABLE | PTE_RAM | PTE_USER | PTE_READONLY, (u64 **)(void *)&page);
  page[0] = 0xd5384243;                              /* mrs x3, CurrentEL */
  page[1] = 0xaa0303e0;                              /* mov x0, x3 */
  page[2] = 0xd65f03c0;
  sync_code(page, 12);
  for (int i = 0; i < 2000; i++) expect("CurrentEL at EL1", probe_execute(va), 4);
  for (int i = 0; i < 3; i++) {
    user_run_with(va, 0, 0, 0);
    expect_trap("CurrentEL at EL0", FROM_EL0, ESR_UNDEFINED, va);
    trap_reset();
    expect("CurrentEL at EL1 again", probe_execute(va), 4);
  }
  expect_no_trap("EL1");
}

/* A loop that counts in a word of its own page: writes beside code need no maintenance and do not disturb it. */
static void code_with_its_data(void) {
  u32 *page = (u32 *)page_new();
  static const u32 code[] = {0x10000201, 0xf9400022, 0x91000442, 0xf9000022, 0xf1000400, 0x54ffff81, 0xaa0203e0, 0xd65f03c0};
  /* adr x1, +64; 1: ldr x2, [x1]; add x2, x2, #1; str x2, [x1]; subs x0, x0, #1; b.ne 1b; mov x0, x2; ret */
  memcpy(page, code, sizeof code);
  sync_code(page, sizeof code);
  u64 (*run)(u64) = (u64(*)(u64))(u64)page;
  expect("first", run(10000), 10000);
  expect("second", run(10000), 20000);
  expect("the word", *(u64 *)(page + 16), 20000);
}

const struct test access_tests[] = {
  {"access: alignment of exclusives", alignment_of_exclusives}, {"access: alignment of acquire and release", alignment_of_acquire},
  {"access: SCTLR.A", alignment_check}, {"access: SP alignment", alignment_of_sp}, {"access: device memory alignment", alignment_of_device_memory},
  {"access: PC alignment", alignment_of_pc}, {"access: unaligned", unaligned}, {"access: crossing pages", crossing},
  {"access: crossing into a hole", crossing_into_a_hole}, {"access: exclusives", exclusives}, {"access: LSE atomics", atomics},
  {"access: big-endian EL0", big_endian}, {"access: DC ZVA", zero_block}, {"code: rewritten", changing_code}, {"code: rewritten while hot", changing_hot_code},
  {"code: rewritten through an alias", changing_code_by_alias}, {"code: remapped", remapped_code}, {"code: over a page edge", code_over_a_page_edge},
  {"code: other code by ASID", code_by_asid}, {"code: the same page at EL1 and EL0", code_at_both_levels}, {"code: counts in its own page", code_with_its_data},
  {0},
};
