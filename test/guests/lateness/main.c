/*
 * How late timer interrupts are for a guest that waits in WFI: from CNTV_CVAL to the handler's first instruction, over
 * sleeps of 1 to 5 ms. Boot argument `rounds=N` (default 1,000, at most 20,000). Prints `lateness rounds N early E p50 A
 * p99 B max C` (nanoseconds) and powers off. `early` counts interrupts before their time, of which there must be none.
 */
#include "guest.h"
#include "gic.h"

enum { ROUNDS_MAX = 20000, VIRTUAL_TIMER = 27, IRQ_FROM_SELF = 5 };
static i64 late[ROUNDS_MAX];
static volatile u64 taken;
static u64 early;

static void hook(struct cpu *cpu, struct frame *frame, u64 vector) {
  (void)cpu; (void)frame;
  i64 ticks = (i64)(READ_SYSREG(cntvct_el0) - READ_SYSREG(cntv_cval_el0));
  if (vector != IRQ_FROM_SELF) panic("unexpected exception");
  u64 intid = READ_SYSREG(ICC_IAR1);
  WRITE_SYSREG(cntv_ctl_el0, 0);
  ISB();
  WRITE_SYSREG(ICC_EOIR1, intid);
  if (intid != VIRTUAL_TIMER) return;
  if (ticks < 0) early++;
  late[taken] = ticks;
  taken++;
}

/* Shell sort. */
static void sort(i64 *values, u64 count) {
  for (u64 gap = count / 2; gap > 0; gap /= 2)
    for (u64 i = gap; i < count; i++) {
      i64 value = values[i];
      u64 j = i;
      for (; j >= gap && values[j - gap] > value; j -= gap) values[j] = values[j - gap];
      values[j] = value;
    }
}

void guest_main(void) {
  static char number[16];
  u64 rounds = 0;
  if (boot_option("rounds", number, sizeof number))
    for (const char *c = number; *c >= '0' && *c <= '9'; c++) rounds = rounds * 10 + (u64)(*c - '0');
  if (rounds == 0) rounds = 1000;
  if (rounds > ROUNDS_MAX) rounds = ROUNDS_MAX;
  gic_start();
  gic_enable(VIRTUAL_TIMER, 0x80);
  this_cpu()->hook = hook;
  u64 hz = READ_SYSREG(cntfrq_el0), random = 0x2545f4914f6cdd1d;
  while (taken < rounds) {
    u64 seen = taken;
    random ^= random << 13; random ^= random >> 7; random ^= random << 17;
    u64 ticks = hz / 1000 + random % (hz / 250);
    __asm__ volatile("msr daifset, #2" : : : "memory");
    WRITE_SYSREG(cntv_cval_el0, READ_SYSREG(cntvct_el0) + ticks);
    WRITE_SYSREG(cntv_ctl_el0, 1);
    ISB();
    while (taken == seen) {
      __asm__ volatile("wfi" : : : "memory");
      __asm__ volatile("msr daifclr, #2\n isb\n msr daifset, #2" : : : "memory");
    }
  }
  sort(late, rounds);
  print("lateness rounds %lu early %lu p50 %lu p99 %lu max %lu\n", rounds, early, ticks_to_ns((u64)late[rounds / 2]),
        ticks_to_ns((u64)late[rounds * 99 / 100]), ticks_to_ns((u64)late[rounds - 1]));
}
