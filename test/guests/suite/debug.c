/* Software step, hardware breakpoints and watchpoints. */
#include "suite.h"

void user_step(void), user_store_byte(void);
enum { SS = 1 << 0, KDE = 1 << 13, MDE = 1 << 15 };

static void debug_set(u64 mdscr) {
  WRITE_SYSREG(oslar_el1, 0);
  WRITE_SYSREG(mdscr_el1, mdscr);
  ISB();
}

static void step(void) {
  u64 at = user_address(user_step);
  debug_set(SS);
  user_run_with(at, USER_STACK, 0, 1 << 21);
  expect_trap("one instruction", FROM_EL0, 0xcb000022, at + 4);
  user_run_with(at + 4, USER_STACK, 0, 1 << 21);
  expect_trap("a load-exclusive sets EX", FROM_EL0, 0xcb000062, at + 8);
  user_run_with(at, USER_STACK, 0, 0);
  expect_trap("with SPSR.SS clear, before the first", FROM_EL0, 0xca000022, at);
  debug_set(0);
  user_run_with(at, USER_STACK, 0, 1 << 21);
  expect("without MDSCR.SS nothing steps", trap.esr, 0x56000000);
}

/* A branch in a loop: each step is one instruction. */
static void step_sequence(void) {
  u32 *page;
  u64 va = fresh_page(PAGE_USER_CODE, (u64 **)(void *)&page), pc = va, spsr = 1 << 21, x0 = 2, steps = 0;
  page[0] = 0xf1000400;                              /* subs x0, x0, #1 */
  page[1] = 0x54ffffe1;                              /* b.ne -4 */
  page[2] = 0xd4000001;                              /* svc #0 */
  sync_code(page, 12);
  static const u64 path[] = {4, 0, 4, 8};
  debug_set(SS);
  for (; steps < 4; steps++) {
    user_run_with(pc, x0, 0, spsr);
    expect("step", trap.elr - va, path[steps]);
    expect("ESR", trap.esr, 0xcb000022);
    pc = trap.elr;
    x0 = trap.x0;
    spsr = (trap.spsr & 0xf0000000) | 1 << 21;
  }
  debug_set(0);
}

static void breakpoint(void) {
  u64 at = user_address(user_step);
  WRITE_SYSREG(dbgbvr0_el1, at + 8);
  WRITE_SYSREG(dbgbcr0_el1, 1 | 2 << 1 | 15 << 5);   /* enabled at EL0, all bytes */
  debug_set(MDE);
  user_run(user_step, USER_STACK, 0);
  expect_trap("EL0", FROM_EL0, 0xc2000022, at + 8);
  WRITE_SYSREG(dbgbcr0_el1, 1 | 1 << 1 | 15 << 5);   /* EL1 only */
  ISB();
  user_run(user_step, USER_STACK, 0);
  expect("an EL1 breakpoint does not stop EL0", trap.esr, 0x56000000);
  WRITE_SYSREG(dbgbvr0_el1, (u64)probe_load);
  debug_set(MDE | KDE);
  u64 word = 5;
  trap_reset();
  probe_load((u64)&word);
  expect("masked by PSTATE.D", trap.count, 0);
  __asm__ volatile("msr daifclr, #8");
  probe_load((u64)&word);
  __asm__ volatile("msr daifset, #8");
  expect("EL1: traps", trap.count, 1);
  expect("EL1: ESR", trap.esr, 0xc6000022);
  expect("EL1: ELR", trap.elr, (u64)probe_load);
  WRITE_SYSREG(dbgbcr0_el1, 0);
  debug_set(0);
  trap_reset();
}

static void watchpoint(void) {
  u64 at = USER_STACK + 0x100;
  WRITE_SYSREG(dbgwvr0_el1, at);
  WRITE_SYSREG(dbgwcr0_el1, 1 | 2 << 1 | 3 << 3 | 0xf0 << 5); /* EL0, loads and stores, bytes 4 to 7 */
  debug_set(MDE);
  user_run(user_store_byte, at + 5, 1);
  expect_fault("store", FROM_EL0, 0xd2000062, at + 5, user_address(user_store_byte));
  user_run(user_store_byte, at + 3, 1);
  expect("a byte that is not watched", trap.esr, 0x56000000);
  WRITE_SYSREG(dbgwcr0_el1, 1 | 2 << 1 | 1 << 3 | 0xff << 5); /* loads only */
  ISB();
  user_run(user_store_byte, at + 5, 1);
  expect("a store with loads watched", trap.esr, 0x56000000);
  user_run(user_load, at, 0);
  expect_fault("load", FROM_EL0, 0xd2000022, at, user_address(user_load));
  WRITE_SYSREG(dbgwcr0_el1, 1 | 1 << 1 | 2 << 3 | 0xff << 5); /* EL1 stores */
  debug_set(MDE | KDE);
  trap_reset();
  __asm__ volatile("msr daifclr, #8");
  probe_store(at, 1);
  probe_load(at);
  __asm__ volatile("msr daifset, #8");
  expect("EL1: traps", trap.count, 1);
  expect("EL1: ESR", trap.esr, 0xd6000062);
  expect("EL1: FAR", trap.far, at);
  expect("EL1: ELR", trap.elr, (u64)probe_store);
  WRITE_SYSREG(dbgwcr0_el1, 0);
  debug_set(0);
  trap_reset();
}

const struct test debug_tests[] = {
  {"debug: software step", step}, {"debug: stepping through a loop", step_sequence}, {"debug: hardware breakpoint", breakpoint},
  {"debug: watchpoint", watchpoint},
  {0},
};
