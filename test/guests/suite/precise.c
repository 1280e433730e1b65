/* Exactness: state after a fault, retried accesses, interrupts in any loop, returns to what the CPU does not have. */
#include "suite.h"

void user_load_post(void), user_load_pre(void), user_load_self(void), user_pair_self(void), user_pair_first(void), user_pair_post(void);
void user_word_pair(void), user_store_pre(void), user_store_pair_post(void), user_load_many(void), user_load_structures(void);
void user_store_many(void), user_store_structures(void), user_load_quads(void), user_sum(void), user_spin(void), user_count(void);
void user_sum_structures(void), probe_spin(void);
u64 probe_eret(u64 spsr);

struct form {
  const char *name;
  void (*program)(void);
  i64 offset;                                         /* from x0 to the first byte */
  u64 bytes, write;
};
static const struct form forms[] = {
  {"ldr, post-index", user_load_post, 0, 8, 0}, {"ldr, pre-index", user_load_pre, 8, 8, 0}, {"ldr into its base", user_load_self, 0, 8, 0},
  {"ldp, base first", user_pair_self, 0, 16, 0}, {"ldp, base second", user_pair_first, 0, 16, 0}, {"ldp, post-index", user_pair_post, 0, 16, 0},
  {"ldpsw into its base", user_word_pair, 0, 8, 0}, {"str, pre-index", user_store_pre, -8, 8, ESR_WRITE},
  {"stp, post-index", user_store_pair_post, 0, 16, ESR_WRITE}, {"ld1, four registers", user_load_many, 0, 64, 0},
  {"ld4", user_load_structures, 0, 64, 0}, {"st1, four registers", user_store_many, 0, 64, ESR_WRITE},
  {"st4", user_store_structures, 0, 64, ESR_WRITE}, {"ldp of quads", user_load_quads, 0, 32, 0},
};

/* Each form wholly in a hole, and with its second half only: x0 and x3 are as before. */
static void registers_survive(void) {
  u64 hole = fresh_region() + 0x10000, edge = fresh_page(PAGE_USER, 0) + 4096;
  for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
    const struct form *f = &forms[i];
    u64 esr = ESR_DATA_EL0 | f->write;
    user_run(f->program, hole - (u64)f->offset, 1);
    expect(f->name, trap.x0, hole - (u64)f->offset);
    expect(f->name, trap.x3, 0);
    expect_fault(f->name, FROM_EL0, esr | 5, hole, user_address(f->program));
    u64 at = edge - f->bytes / 2;
    user_run(f->program, at - (u64)f->offset, 1);
    expect(f->name, trap.x0, at - (u64)f->offset);
    expect(f->name, trap.x3, 0);
    expect_fault(f->name, FROM_EL0, esr | 7, edge, user_address(f->program));
  }
}

static u64 paged_base, paged_count;

/* Demand paging: maps the page that was asked for, with its number in the first word. */
static int map_on_demand(struct frame *frame) {
  u64 class = frame->esr >> 26 & 63, status = frame->esr & 63;
  if ((class != 0x24 && class != 0x25) || (status & 0x3c) != 4 || frame->far - paged_base >= 64 * 4096) return 0;
  u64 *page = page_new();
  page[0] = (frame->far - paged_base) >> 12;
  map_page(space, frame->far & ~4095ull, (u64)page, PAGE_USER);
  paged_count++;
  return 1;
}

static void demand_paging(void) {
  fault_handler = map_on_demand;
  paged_count = 0;
  paged_base = fresh_region();
  user_run(user_sum, paged_base, 64);
  expect("sum at EL0", trap.x3, 63 * 64 / 2);
  expect("faults", paged_count, 64);
  trap_reset();
  paged_base = fresh_region();
  paged_count = 0;
  u64 sum = 0;
  for (u64 i = 0; i < 64; i++) sum += probe_load(paged_base + (i * 37 % 64) * 4096);
  expect("sum at EL1", sum, 63 * 64 / 2);
  probe_store(paged_base + 4096 * 5 + 4092, ~0ull);  /* both pages are there by now */
  expect("crossing store", probe_load(paged_base + 4096 * 6) & 0xffffffff, 0xffffffff);
  expect("faults", paged_count, 64);
  paged_base = fresh_region();
  paged_count = 0;
  probe_store(paged_base + 4092, 0x1122334455667788ull); /* faults twice, once per page, and is then done once */
  expect("store over two holes", probe_load(paged_base + 4092), 0x1122334455667788ull);
  expect("faults of the crossing store", paged_count, 2);
  expect_no_trap("demand paging");
}

static u64 code_va, *code_frame, code_faults;

static int map_code(struct frame *frame) {
  if ((frame->esr >> 26 & 63) != 0x20 || frame->far >> 12 != code_va >> 12) return 0;
  code_faults++;
  map_page(space, code_va, (u64)code_frame, PAGE_USER_CODE);
  return 1;
}

static void code_on_demand(void) {
  fault_handler = map_code;
  code_va = fresh_region();
  code_frame = page_new();
  code_faults = 0;
  ((u32 *)code_frame)[1] = 0xd28000a3;               /* mov x3, #5 */
  ((u32 *)code_frame)[2] = 0xd4000041;               /* svc #2 */
  sync_code(code_frame, 16);
  user_run(user_jump, code_va + 4, 0);
  expect_trap("runs when mapped", FROM_EL0, 0x56000002, code_va + 12);
  expect("x3", trap.x3, 5);
  expect("fetch faults", code_faults, 1);
}

static void structures_over_an_edge(void) {
  u64 va = fresh_region(), *first = page_new(), *second = page_new();
  map_page(space, va, (u64)first, PAGE_USER);
  map_page(space, va + 4096, (u64)second, PAGE_USER);
  for (u64 offset = 4096 - 63; offset < 4096; offset += 3) {
    for (u64 i = 0; i < 64; i++) ((u8 *)(offset + i < 4096 ? first : second))[(offset + i) & 4095] = (u8)(i % 4 ? 0 : i + 1);
    u32 want = 0;                                     /* lane n has words 16n+1, +5, +9, +13 */
    for (u32 n = 0; n < 4; n++) want += (16 * n + 1 + 16 * n + 13) * (16 * n + 5 + 16 * n + 9);
    user_run(user_sum_structures, va + offset, 0);
    expect("ld4 over the edge", trap.x3, want);
  }
  trap_reset();
}

static u64 spins;

/* The interrupt may come before the loop is reached; then it comes again. */
static void leave_loop(struct frame *frame) {
  u64 id = READ_SYSREG(ICC_IAR1), inside = frame->elr == (u64)probe_spin;
  if (inside) WRITE_SYSREG(cntv_ctl_el0, 0);
  else WRITE_SYSREG(cntv_cval_el0, ticks_now() + READ_SYSREG(cntfrq_el0) / 2000);
  ISB();
  WRITE_SYSREG(ICC_EOIR1, id);
  spins += inside;
  if (inside) frame->elr += 4;
}

static void timer_soon(void) {
  gic_enable(INTID_CNTV, 0x80);
  WRITE_SYSREG(cntv_cval_el0, ticks_now() + READ_SYSREG(cntfrq_el0) / 2000);
  WRITE_SYSREG(cntv_ctl_el0, 1);
  ISB();
}

static void interrupts_in_loops(void) {
  irq_handler = leave_loop;
  spins = 0;
  for (u64 i = 1; i <= 5; i++) {
    timer_soon();
    __asm__ volatile("msr daifclr, #2");
    probe_spin();                                     /* b . */
    __asm__ volatile("msr daifset, #2");
    expect("a branch to itself at EL1 is left", spins, i);
  }
  irq_handler = 0;
  static void (*const loops[])(void) = {user_spin, user_count};
  for (int i = 0; i < 2; i++) {
    timer_soon();
    user_run(loops[i], 0, 0);
    expect("vector", trap.vector, 9);
    expect("INTID", READ_SYSREG(ICC_IAR1), INTID_CNTV);
    WRITE_SYSREG(cntv_ctl_el0, 0);
    WRITE_SYSREG(ICC_EOIR1, INTID_CNTV);
    expect_true("ELR is in the loop", trap.elr - user_address(loops[i]) < (i ? 12 : 4));
  }
  trap_reset();
  gic_disable(INTID_CNTV);
}

static void return_to_aarch32(void) {
  if ((READ_SYSREG(id_aa64pfr0_el1) & 15) == 2) {
    skip("EL0 has AArch32");
    return;
  }
  if (deviates("aarch32-return")) return;
  probe_eret(0x3d0);
  expect("traps", trap.count, 1);
  expect("ESR", trap.esr, 0x3a000000);
  expect("SPSR: still EL1h, IL", trap.spsr & 0x10001f, 0x100005);
}

static void cycle_counter(void) {
  u64 version = READ_SYSREG(id_aa64dfr0_el1) >> 8 & 15;
  if (version == 0 || version == 15) {
    skip("no PMUv3");
    return;
  }
  WRITE_SYSREG(pmcr_el0, READ_SYSREG(pmcr_el0) | 1 | 4); /* enable, reset the cycle counter */
  WRITE_SYSREG(pmccfiltr_el0, 0);
  WRITE_SYSREG(pmcntenset_el0, 1u << 31);
  ISB();
  u64 before = READ_SYSREG(pmccntr_el0);
  for (volatile int i = 0; i < 1000; i++) {}
  u64 after = READ_SYSREG(pmccntr_el0);
  expect_true("cycles pass", after > before);
  WRITE_SYSREG(pmcntenclr_el0, 1u << 31);
  ISB();
  before = READ_SYSREG(pmccntr_el0);
  for (volatile int i = 0; i < 1000; i++) {}
  expect("stopped", READ_SYSREG(pmccntr_el0), before);
  expect_no_trap("PMU registers");
}

const struct test precise_tests[] = {
  {"precise: registers survive faults", registers_survive}, {"precise: demand paging", demand_paging}, {"precise: code mapped on demand", code_on_demand},
  {"precise: structure loads over a page edge", structures_over_an_edge}, {"precise: interrupts in tight loops", interrupts_in_loops},
  {"precise: return to AArch32", return_to_aarch32}, {"precise: PMU cycle counter", cycle_counter},
  {0},
};
