/* Exception entry and return: vectors, syndromes, stack selection, masks, illegal returns. */
#include "suite.h"

void probe_svc(void), probe_brk(void), probe_undefined(void), probe_undefined_2(void), probe_svc_sp0(void);
u64 probe_svc_flags(void), probe_eret(u64 spsr);
void user_brk(void), user_undefined(void), user_hvc(void), user_smc(void), user_eret(void), user_stack(void);
extern char probe_svc_sp0_at[];

static void svc_el1(void) {
  probe_svc();
  expect_trap("svc #0x1234", FROM_EL1, 0x56001234, (u64)probe_svc + 4);
}

static void svc_el0(void) {
  WRITE_SYSREG(tpidr_el0, 1000);
  user_run(user_stack, 42, 43);
  expect_trap("svc #0x55", FROM_EL0, 0x56000055, user_address(user_stack) + 20);
  expect("stack and tpidr_el0", trap.x3, 1042);
  expect("x0", trap.x0, 42);
}

static void svc_sp0(void) {
  u64 before = READ_SYSREG(sp_el0);
  WRITE_SYSREG(sp_el0, (u64)page_new() + 4096);
  probe_svc_sp0();
  expect_trap("svc with SPSel 0", FROM_EL1_SP0, 0x56000007, (u64)probe_svc_sp0_at + 4);
  WRITE_SYSREG(sp_el0, before);
}

static void flags_survive(void) {
  u64 flags = probe_svc_flags();
  expect("nzcv after the exception", flags, 0xf0000000);
  expect("nzcv in SPSR", trap.spsr & 0xf0000000, 0xf0000000);
}

static void breakpoint_instruction(void) {
  probe_brk();
  expect_trap("brk at EL1", FROM_EL1, 0xf2005a5a, (u64)probe_brk);
  user_run(user_brk, 0, 0);
  expect_trap("brk at EL0", FROM_EL0, 0xf2000077, user_address(user_brk));
}

static void undefined(void) {
  probe_undefined();
  expect_trap("0x00000000 at EL1", FROM_EL1, ESR_UNDEFINED, (u64)probe_undefined);
  trap_reset();
  probe_undefined_2();
  expect_trap("0xffffffff at EL1", FROM_EL1, ESR_UNDEFINED, (u64)probe_undefined_2);
  user_run(user_undefined, 0, 0);
  expect_trap("0x00000000 at EL0", FROM_EL0, ESR_UNDEFINED, user_address(user_undefined));
}

static void hvc_unknown(void) {
  expect("unknown PSCI function", hvc(0x8400ffff, 0, 0, 0) & 0xffffffff, 0xffffffff);
  expect("unknown vendor function", hvc(0xc600ff77, 0, 0, 0) & 0xffffffff, 0xffffffff);
  expect_no_trap("hvc at EL1");
}

static void calls_from_el0(void) {
  user_run(user_hvc, 0, 0);
  expect_trap("hvc at EL0", FROM_EL0, ESR_UNDEFINED, user_address(user_hvc));
  user_run(user_smc, 0, 0);
  expect_trap("smc at EL0", FROM_EL0, ESR_UNDEFINED, user_address(user_smc));
  user_run(user_eret, 0, 0);
  expect_trap("eret at EL0", FROM_EL0, ESR_UNDEFINED, user_address(user_eret));
}

static void state_registers(void) {
  expect("CurrentEL", READ_SYSREG(CurrentEL), 4);
  expect("SPSel", READ_SYSREG(SPSel), 1);
  expect("DAIF", READ_SYSREG(daif), 0x3c0);
  __asm__ volatile("msr daifclr, #4");
  expect("DAIF after daifclr #4", READ_SYSREG(daif), 0x2c0 | 0x40);
  __asm__ volatile("msr daifclr, #8");
  expect("DAIF after daifclr #8", READ_SYSREG(daif), 0x0c0);
  __asm__ volatile("msr daifset, #15");
  expect("DAIF after daifset #15", READ_SYSREG(daif), 0x3c0);
  WRITE_SYSREG(daif, 0x100);
  expect("DAIF after msr", READ_SYSREG(daif), 0x100);
  WRITE_SYSREG(daif, 0x3c0);
  WRITE_SYSREG(nzcv, 0xa0000000);
  expect("NZCV", READ_SYSREG(nzcv), 0xa0000000);
}

/* DAIF of the interrupted state is saved, all is masked in the handler, and what SPSR says comes back. */
static void mask_on_entry(void) {
  __asm__ volatile("msr daifclr, #8");
  probe_svc();
  expect("SPSR.DAIF", trap.spsr & 0x3ff, 0x1c5);
  expect("DAIF after return", READ_SYSREG(daif), 0x1c0);
  __asm__ volatile("msr daifset, #8");
}

static void illegal_return(void) {
  /* EL2h without EL2, EL3h, and the two reserved stack selections. */
  static const u64 modes[] = {0x3c9, 0x3cd, 0x3c1, 0x3c2, 0x3c6};
  for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
    trap_reset();
    probe_eret(modes[i]);
    expect("traps", trap.count, 1);
    expect("vector", trap.vector, FROM_EL1);
    expect("ESR", trap.esr, 0x3a000000);
    expect("SPSR: IL, mode unchanged", trap.spsr & 0x1003ff, 0x1003c5);
  }
  trap_reset();
  probe_eret(0x1003c5);                              /* IL in SPSR of a legal return is restored as it is */
  expect("ESR of SPSR.IL", trap.esr, 0x3a000000);
}

static void return_to_flags(void) {
  WRITE_SYSREG(nzcv, 0);
  probe_eret(0x600003c5);
  expect("NZCV from SPSR", READ_SYSREG(nzcv), 0x60000000);
  expect_no_trap("legal return");
}

const struct test exception_tests[] = {
  {"exception: SVC from EL1", svc_el1}, {"exception: SVC from EL0", svc_el0}, {"exception: SVC with SP_EL0 selected", svc_sp0},
  {"exception: flags survive", flags_survive}, {"exception: BRK", breakpoint_instruction}, {"exception: undefined instructions", undefined},
  {"exception: HVC with an unknown function", hvc_unknown}, {"exception: HVC, SMC and ERET at EL0 are undefined", calls_from_el0},
  {"exception: CurrentEL, SPSel, DAIF, NZCV", state_registers}, {"exception: masks on entry and return", mask_on_entry},
  {"exception: illegal return sets PSTATE.IL", illegal_return}, {"exception: return restores the flags", return_to_flags},
  {0},
};
