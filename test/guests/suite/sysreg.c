/* System registers: what traps, with which syndrome, and what registers hold. */
#include "suite.h"

void probe_unallocated_read(void), probe_unallocated_write(void), probe_write_midr(void), probe_fp(void), probe_simd(void);
void probe_unallocated_el3(void), probe_unallocated_el2(void);
void user_read_sctlr(void), user_write_vbar(void), user_read_ctr(void), user_read_daif(void), user_set_daif(void), user_read_counter(void);
void user_read_timer(void), user_read_physical(void), user_fp(void), user_wfi(void), user_zero(void), user_ivau(void), user_cvac(void);
void user_tlbi(void), user_spsel(void), user_id(void), user_svc(void);

/* EC 0x18: ISS = op0, op2, op1, CRn, Rt, CRm, direction (Arm ARM, ESR_ELx). */
static u64 trapped(u64 op0, u64 op1, u64 n, u64 m, u64 op2, u64 rt, u64 read) {
  return 0x62000000 | op0 << 20 | op2 << 17 | op1 << 14 | n << 10 | rt << 5 | m << 1 | read;
}

static void undefined_registers(void) {
  static void (*const probes[])(void) = {probe_unallocated_read, probe_unallocated_write, probe_write_midr, probe_unallocated_el3, probe_unallocated_el2};
  static const char *const names[] = {"read of S3_0_C5_C4_7", "write of S3_0_C5_C4_7", "write of MIDR_EL1", "EL3 register", "EL2 register"};
  for (int i = 0; i < 5; i++) {
    trap_reset();
    probes[i]();
    expect_trap(names[i], FROM_EL1, ESR_UNDEFINED, (u64)probes[i]);
  }
}

static void privileged_registers(void) {
  static void (*const programs[])(void) = {user_read_sctlr, user_write_vbar, user_tlbi, user_spsel};
  static const char *const names[] = {"SCTLR_EL1", "VBAR_EL1", "TLBI", "SPSel"};
  for (int i = 0; i < 4; i++) {
    user_run(programs[i], 0, 0);
    expect_trap(names[i], FROM_EL0, ESR_UNDEFINED, user_address(programs[i]));
  }
  u64 idst = READ_SYSREG(S3_0_C0_C7_2) >> 36 & 15;    /* FEAT_IDST reports the access of an ID register */
  user_run(user_id, 0, 0);
  expect_trap("ID register", FROM_EL0, idst ? trapped(3, 0, 0, 4, 0, 3, 1) : ESR_UNDEFINED, user_address(user_id));
}

/* Every encoding of the ID space S3_0_C0_C1..C7_0..7 can be read; reserved ones as zero. */
static void id_space(void) {
  trap_reset();
  u64 sum = 0, v;
#define ROW(m) ONE(m, 0) ONE(m, 1) ONE(m, 2) ONE(m, 3) ONE(m, 4) ONE(m, 5) ONE(m, 6) ONE(m, 7)
#define ONE(m, op) __asm__ volatile("mrs %0, S3_0_C0_C" #m "_" #op : "=r"(v)); sum |= v;
  ROW(1) ROW(2) ROW(3) ROW(4) ROW(5) ROW(6) ROW(7)
  expect_no_trap("ID registers");
  expect_true("some ID register is not zero", sum != 0);
  u64 pfr0 = READ_SYSREG(id_aa64pfr0_el1);
  expect_true("EL0 and EL1 have AArch64", (pfr0 & 15) && (pfr0 >> 4 & 15));
  expect("FP present", pfr0 >> 16 & 15, pfr0 >> 20 & 15);
  expect("MPIDR_EL1: RES1, Aff0", READ_SYSREG(mpidr_el1) & 0x800000ff, 0x80000000);
  expect("REVIDR or MIDR: implementer", READ_SYSREG(midr_el1) >> 16 & 15, 15);
}

static void with_sctlr(u64 clear, u64 set) {
  WRITE_SYSREG(sctlr_el1, (sctlr_default & ~clear) | set);
  ISB();
}

static void traps_of_el0(void) {
  with_sctlr(1 << 15, 0);                            /* UCT */
  user_run(user_read_ctr, 0, 0);
  expect_trap("CTR_EL0", FROM_EL0, trapped(3, 3, 0, 0, 1, 3, 1), user_address(user_read_ctr));
  with_sctlr(1 << 14, 0);                            /* DZE */
  user_run(user_zero, USER_STACK, 0);
  expect_trap("DC ZVA", FROM_EL0, trapped(1, 3, 7, 4, 1, 0, 0), user_address(user_zero));
  with_sctlr(1 << 26, 0);                            /* UCI */
  user_run(user_ivau, USER_CODE, 0);
  expect_trap("IC IVAU", FROM_EL0, trapped(1, 3, 7, 5, 1, 0, 0), user_address(user_ivau));
  user_run(user_cvac, USER_CODE, 0);
  expect_trap("DC CVAC", FROM_EL0, trapped(1, 3, 7, 10, 1, 0, 0), user_address(user_cvac));
  with_sctlr(1 << 16, 0);                            /* nTWI */
  user_run(user_wfi, 0, 0);
  expect_trap("WFI", FROM_EL0, 0x07e00000, user_address(user_wfi));
  with_sctlr(0, 0);                                  /* UMA is clear */
  user_run(user_read_daif, 0, 0);
  expect_trap("MRS DAIF", FROM_EL0, trapped(3, 3, 4, 2, 1, 3, 1), user_address(user_read_daif));
  with_sctlr(0, 1 << 9);                             /* UMA */
  user_run(user_set_daif, 0, 0);
  expect("DAIFSet with UMA", trap.spsr & 0x3c0, 0x080);
  expect("no trap with UMA", trap.esr, 0x56000000);
  with_sctlr(0, 0);
  user_run(user_read_ctr, 0, 0);
  expect("CTR_EL0 with UCT", trap.x3, READ_SYSREG(ctr_el0));
}

static void trap_of_daifset(void) {
  if (deviates("daifset-syndrome")) return;
  user_run(user_set_daif, 0, 0);
  expect_trap("MSR DAIFSet", FROM_EL0, trapped(0, 3, 4, 2, 6, 31, 0), user_address(user_set_daif));
}

static void timer_traps_of_el0(void) {
  u64 before = READ_SYSREG(cntkctl_el1);
  WRITE_SYSREG(cntkctl_el1, 0);
  ISB();
  user_run(user_read_counter, 0, 0);
  expect_trap("CNTVCT_EL0", FROM_EL0, trapped(3, 3, 14, 0, 2, 3, 1), user_address(user_read_counter));
  user_run(user_read_physical, 0, 0);
  expect_trap("CNTPCT_EL0", FROM_EL0, trapped(3, 3, 14, 0, 1, 3, 1), user_address(user_read_physical));
  user_run(user_read_timer, 0, 0);
  expect_trap("CNTV_CTL_EL0", FROM_EL0, trapped(3, 3, 14, 3, 1, 3, 1), user_address(user_read_timer));
  WRITE_SYSREG(cntkctl_el1, 0x303);
  ISB();
  u64 start = READ_SYSREG(cntvct_el0);
  user_run(user_read_counter, 0, 0);
  expect_true("CNTVCT_EL0 with EL0VCTEN", trap.esr == 0x56000000 && trap.x3 >= start && trap.x3 <= READ_SYSREG(cntvct_el0));
  WRITE_SYSREG(cntkctl_el1, before);
}

static void fp_traps(void) {
  WRITE_SYSREG(cpacr_el1, 0);
  ISB();
  trap_reset();
  probe_fp();
  u64 count = trap.count, esr = trap.esr, elr = trap.elr;
  trap_reset();
  probe_simd();
  u64 simd = trap.esr;
  WRITE_SYSREG(cpacr_el1, 1 << 20);                  /* EL0 only */
  ISB();
  trap_reset();
  probe_fp();
  u64 allowed = trap.count;
  WRITE_SYSREG(cpacr_el1, 3 << 20);                  /* el0_run itself keeps d8-d15 */
  ISB();
  user_run(user_fp, 0, 0);
  u64 user_allowed = trap.esr;
  expect("traps with FPEN 0", count, 1);
  expect("ESR", esr, 0x1fe00000);
  expect("ELR", elr, (u64)probe_fp);
  expect("SIMD", simd, 0x1fe00000);
  expect("traps at EL1 with FPEN 1", allowed, 0);
  expect("FP at EL0 with FPEN 3", user_allowed, 0x56000000);
  trap_reset();
}

#define HOLDS(reg, value, mask) ({ u64 before_ = READ_SYSREG(reg); WRITE_SYSREG(reg, value); ISB(); \
  u64 got_ = READ_SYSREG(reg); WRITE_SYSREG(reg, before_); ISB(); expect(#reg, got_ & (mask), (value) & (mask)); })

static void plain_registers(void) {
  const u64 a = 0x123456789abcdef0ull, all = ~0ull;
  HOLDS(tpidr_el0, a, all);
  HOLDS(tpidrro_el0, a, all);
  HOLDS(contextidr_el1, 0x89abcdef, 0xffffffff);
  HOLDS(sp_el0, a, all);
  HOLDS(elr_el1, 0x0000123456789abcull, all);
  HOLDS(far_el1, a, all);
  HOLDS(esr_el1, 0x56001234, 0xffffffff);
  HOLDS(par_el1, 0x1001, 0x1001);
  HOLDS(vbar_el1, 0xffff000040201800ull & ~0x7ffull, ~0x7ffull);
  HOLDS(csselr_el1, 0, all);
  HOLDS(fpcr, 3 << 22 | 1 << 24 | 1 << 25, 0x03c00000);
  HOLDS(fpsr, 0x0800009f, 0x0800009f);
  HOLDS(cntv_cval_el0, a, all);
  HOLDS(cntp_cval_el0, a, all);
  HOLDS(mdscr_el1, 1 << 12, 1 << 12);
  expect_no_trap("plain registers");
}

const struct test sysreg_tests[] = {
  {"sysreg: unallocated ones are undefined", undefined_registers}, {"sysreg: EL1 registers at EL0 are undefined", privileged_registers},
  {"sysreg: the ID space", id_space}, {"sysreg: traps of EL0 by SCTLR_EL1", traps_of_el0}, {"sysreg: trap of MSR DAIFSet at EL0", trap_of_daifset}, {"sysreg: traps of EL0 by CNTKCTL_EL1", timer_traps_of_el0},
  {"sysreg: FP and SIMD traps by CPACR_EL1", fp_traps}, {"sysreg: registers hold what is written", plain_registers},
  {0},
};
