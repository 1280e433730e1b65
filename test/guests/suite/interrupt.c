/* Generic timer, GICv3 CPU interface, SGIs and PPIs, WFI and WFE. */
#include "suite.h"

enum { SGI_LOW = 3, SGI_HIGH = 4, LOW = 0xa0, HIGH = 0x40 };
static volatile u64 taken, ids[4], priorities[4], nested;

static void irqs_on(void) { __asm__ volatile("msr daifclr, #2\n isb" : : : "memory"); }
static void irqs_off(void) { __asm__ volatile("msr daifset, #2\n isb" : : : "memory"); }
static void wait_ns(u64 ns) {
  for (u64 start = ticks_now(); ticks_to_ns(ticks_now() - start) < ns;) {}
}

/* Until `count` interrupts were taken, at most 200 ms: a busy host may be late. */
static void wait_taken(u64 count) {
  for (u64 start = ticks_now(); taken < count && ticks_to_ns(ticks_now() - start) < 200000000;) {}
}

/* Until the CPU interface signals `intid`, at most 200 ms: sending is not yet arriving. */
static void wait_pending(u64 intid) {
  for (u64 start = ticks_now(); READ_SYSREG(ICC_HPPIR1) != intid && ticks_to_ns(ticks_now() - start) < 200000000;) {}
}

static void acknowledge(struct frame *frame) {
  (void)frame;
  u64 id = READ_SYSREG(ICC_IAR1);
  if (taken < 4) {
    ids[taken] = id;
    priorities[taken] = READ_SYSREG(ICC_RPR);
  }
  taken++;
  if (id == INTID_CNTV) WRITE_SYSREG(cntv_ctl_el0, 0);
  if (id == INTID_CNTP) WRITE_SYSREG(cntp_ctl_el0, 0);
  if (id < 1020) WRITE_SYSREG(ICC_EOIR1, id);
}

static void fresh(void (*handler)(struct frame *)) {
  taken = nested = 0;
  irq_handler = handler;
  WRITE_SYSREG(ICC_PMR, 0xff);
  WRITE_SYSREG(ICC_CTLR, 0);
  WRITE_SYSREG(ICC_BPR1, 0);
  gic_enable(SGI_LOW, LOW);
  gic_enable(SGI_HIGH, HIGH);
}

static void timer_conditions(void) {
  expect_true("CNTFRQ_EL0", READ_SYSREG(cntfrq_el0) >= 1000000);
  u64 now = ticks_now();
  expect_true("the counter counts", ticks_now() >= now);
  WRITE_SYSREG(cntv_cval_el0, ticks_now() + (1ull << 40));
  WRITE_SYSREG(cntv_ctl_el0, 1);
  ISB();
  expect("compare in the future", READ_SYSREG(cntv_ctl_el0), 1);
  WRITE_SYSREG(cntv_cval_el0, ticks_now() - 1);
  ISB();
  expect("compare in the past", READ_SYSREG(cntv_ctl_el0), 5);
  WRITE_SYSREG(cntv_ctl_el0, 3);
  ISB();
  expect("IMASK leaves ISTATUS", READ_SYSREG(cntv_ctl_el0), 7);
  WRITE_SYSREG(cntp_tval_el0, (u64)-5);
  WRITE_SYSREG(cntp_ctl_el0, 3);
  ISB();
  expect("physical timer, TVAL -5", READ_SYSREG(cntp_ctl_el0), 7);
  WRITE_SYSREG(cntp_tval_el0, 0x7fffffff);
  ISB();
  expect("physical timer, TVAL maximal", READ_SYSREG(cntp_ctl_el0), 3);
  u64 difference = READ_SYSREG(cntp_cval_el0) - READ_SYSREG(cntpct_el0);
  expect_true("CVAL = count + TVAL", difference <= 0x7fffffff && difference > 0x70000000);
  u64 tval = READ_SYSREG(cntp_tval_el0);
  expect_true("TVAL = CVAL - count", tval <= 0x7fffffff && tval > 0x70000000);
  WRITE_SYSREG(cntp_cval_el0, READ_SYSREG(cntpct_el0) - 1000);
  expect("TVAL of the past is negative, in 32 bits", READ_SYSREG(cntp_tval_el0) >> 31, 1);
  WRITE_SYSREG(cntv_ctl_el0, 0);
  WRITE_SYSREG(cntp_ctl_el0, 0);
}

static void timer_interrupts(void) {
  static const u32 intids[2] = {INTID_CNTV, INTID_CNTP};
  for (int physical = 0; physical < 2; physical++) {
    u32 intid = intids[physical];
    fresh(acknowledge);
    gic_enable(intid, 0x80);
    irqs_on();
    u64 start = ticks_now(), delay = READ_SYSREG(cntfrq_el0) / 500; /* 2 ms */
    if (physical) {
      WRITE_SYSREG(cntp_cval_el0, start + delay);
      WRITE_SYSREG(cntp_ctl_el0, 1);
    } else {
      WRITE_SYSREG(cntv_cval_el0, start + delay);
      WRITE_SYSREG(cntv_ctl_el0, 1);
    }
    ISB();
    while (!taken && ticks_to_ns(ticks_now() - start) < 2000000000) {}
    u64 end = ticks_now();
    irqs_off();
    expect("taken", taken, 1);
    expect("INTID", ids[0], intid);
    expect("running priority", priorities[0], 0x80);
    expect_true("not early", end - start >= delay);
    expect_true("within a second", ticks_to_ns(end - start) < 1000000000);
    gic_disable(intid);
  }
}

/* The timer's interrupt is a level: pending while the condition holds and is not masked. */
static void timer_level(void) {
  fresh(acknowledge);
  gic_set_priority(INTID_CNTV, 0x80);
  WRITE_SYSREG(cntv_cval_el0, 0);
  WRITE_SYSREG(cntv_ctl_el0, 3);
  ISB();
  expect("masked", (u64)gic_pending(INTID_CNTV), 0);
  WRITE_SYSREG(cntv_ctl_el0, 1);
  ISB();
  expect("unmasked", (u64)gic_pending(INTID_CNTV), 1);
  gic_enable(INTID_CNTV, 0x80);
  wait_pending(INTID_CNTV);
  expect("ISR_EL1.I", READ_SYSREG(isr_el1) >> 7 & 1, 1);
  expect("HPPIR", READ_SYSREG(ICC_HPPIR1), INTID_CNTV);
  WRITE_SYSREG(cntv_cval_el0, ~0ull);
  ISB();
  expect("condition gone", (u64)gic_pending(INTID_CNTV), 0);
  expect("ISR_EL1.I without it", READ_SYSREG(isr_el1) >> 7 & 1, 0);
  expect("HPPIR without it", READ_SYSREG(ICC_HPPIR1), 1023);
  expect("spurious acknowledge", READ_SYSREG(ICC_IAR1), 1023);
  WRITE_SYSREG(cntv_ctl_el0, 0);
  gic_disable(INTID_CNTV);
}

static void sgi_to_self(void) {
  fresh(acknowledge);
  expect("idle priority", READ_SYSREG(ICC_RPR), 0xff);
  gic_send(SGI_LOW, 0);
  wait_ns(100000);
  expect("masked by PSTATE.I", taken, 0);
  expect("pending", (u64)gic_pending(SGI_LOW), 1);
  irqs_on();
  wait_taken(1);
  irqs_off();
  expect("taken", taken, 1);
  expect("INTID", ids[0], SGI_LOW);
  expect("running priority", priorities[0], LOW);
  expect("idle again", READ_SYSREG(ICC_RPR), 0xff);
  expect("not pending", (u64)gic_pending(SGI_LOW), 0);
  expect("not active", (u64)gic_active(SGI_LOW), 0);
}

static void from_el0(void) {
  fresh(0);
  gic_send(SGI_LOW, 0);
  wait_pending(SGI_LOW);
  user_run(user_svc, 0, 0);
  expect("vector", trap.vector, 9);
  expect("ELR", trap.elr, user_address(user_svc));
  expect("INTID", READ_SYSREG(ICC_IAR1), SGI_LOW);
  WRITE_SYSREG(ICC_EOIR1, SGI_LOW);
  trap_reset();
}

static void priority_mask(void) {
  fresh(acknowledge);
  WRITE_SYSREG(ICC_PMR, 0x80);
  irqs_on();
  gic_send(SGI_LOW, 0);
  wait_ns(100000);
  expect("masked by PMR", taken, 0);
  gic_send(SGI_HIGH, 0);
  wait_taken(1);
  expect("a higher one passes", taken, 1);
  expect("its INTID", ids[0], SGI_HIGH);
  WRITE_SYSREG(ICC_PMR, 0xff);
  ISB();
  wait_taken(2);
  irqs_off();
  expect("after raising PMR", taken, 2);
  expect("the other INTID", ids[1], SGI_LOW);
}

static void order_by_priority(void) {
  fresh(acknowledge);
  gic_send(SGI_LOW, 0);
  gic_send(SGI_HIGH, 0);
  wait_pending(SGI_HIGH);
  expect("HPPIR", READ_SYSREG(ICC_HPPIR1), SGI_HIGH);
  irqs_on();
  wait_taken(2);
  irqs_off();
  expect("taken", taken, 2);
  expect("first", ids[0], SGI_HIGH);
  expect("second", ids[1], SGI_LOW);
}

/* The handler of the lower one lets the higher one in; the reverse does not happen. */
static void nesting_handler(struct frame *frame) {
  u64 id = READ_SYSREG(ICC_IAR1), elr = frame->elr, spsr = frame->spsr;
  u64 depth = taken;
  if (depth < 4) {
    ids[depth] = id;
    priorities[depth] = READ_SYSREG(ICC_RPR);
  }
  taken++;
  gic_send(id == SGI_LOW ? SGI_HIGH : SGI_LOW, 0);
  irqs_on();
  if (id == SGI_LOW) wait_taken(2);
  else wait_ns(100000);
  irqs_off();
  nested = nested * 10 + id;                         /* the order in which handlers end */
  if (taken >= 3) gic_disable(SGI_HIGH);
  WRITE_SYSREG(ICC_EOIR1, id);
  frame->elr = elr;
  frame->spsr = spsr;
  if (taken >= 2) gic_disable(SGI_LOW);
}

static void preemption(void) {
  fresh(nesting_handler);
  irqs_on();
  gic_send(SGI_LOW, 0);
  wait_taken(2);
  irqs_off();
  expect("first", ids[0], SGI_LOW);
  expect("preempted by", ids[1], SGI_HIGH);
  expect("running priority when nested", priorities[1], HIGH);
  expect("the higher one ends first", nested, SGI_HIGH * 10 + SGI_LOW);
  expect("idle priority", READ_SYSREG(ICC_RPR), 0xff);
  gic_start();
}

static void split_end_of_interrupt(void) {
  fresh(0);
  WRITE_SYSREG(ICC_CTLR, 2);                         /* EOImode 1 */
  ISB();
  gic_send(SGI_LOW, 0);
  wait_pending(SGI_LOW);
  expect("acknowledged", READ_SYSREG(ICC_IAR1), SGI_LOW);
  expect("running priority", READ_SYSREG(ICC_RPR), LOW);
  expect("active", (u64)gic_active(SGI_LOW), 1);
  WRITE_SYSREG(ICC_EOIR1, SGI_LOW);
  ISB();
  expect("EOIR drops the priority", READ_SYSREG(ICC_RPR), 0xff);
  expect("and leaves it active", (u64)gic_active(SGI_LOW), 1);
  gic_send(SGI_LOW, 0);
  expect("an active interrupt is not signalled again", READ_SYSREG(ICC_IAR1), 1023);
  WRITE_SYSREG(ICC_DIR, SGI_LOW);
  ISB();
  wait_pending(SGI_LOW);
  expect("DIR deactivates", (u64)gic_active(SGI_LOW), 0);
  expect("and the pending one comes", READ_SYSREG(ICC_IAR1), SGI_LOW);
  WRITE_SYSREG(ICC_EOIR1, SGI_LOW);
  WRITE_SYSREG(ICC_DIR, SGI_LOW);
  WRITE_SYSREG(ICC_CTLR, 0);
  ISB();
}

static void group_enable(void) {
  fresh(acknowledge);
  WRITE_SYSREG(ICC_IGRPEN1, 0);
  ISB();
  irqs_on();
  gic_send(SGI_LOW, 0);
  wait_ns(100000);
  expect("group 1 off", taken, 0);
  WRITE_SYSREG(ICC_IGRPEN1, 1);
  ISB();
  wait_taken(1);
  irqs_off();
  expect("group 1 on", taken, 1);
}

/* A shared peripheral interrupt made pending by software, routed here by affinity. */
static void shared_peripheral(void) {
  enum { SPI = 60 };
  volatile u32 *d = GICD;
  fresh(acknowledge);
  d[0x080 / 4 + SPI / 32] |= 1u << SPI % 32;         /* group 1 */
  ((volatile u8 *)d)[0x400 + SPI] = 0x60;
  ((volatile u64 *)d)[0x6000 / 8 + SPI] = 0;         /* IROUTER: affinity 0.0.0.0 */
  d[0xc00 / 4 + SPI / 16] |= 2u << SPI % 16 * 2;     /* edge-triggered */
  irqs_on();
  d[0x200 / 4 + SPI / 32] = 1u << SPI % 32;          /* pending while disabled */
  wait_ns(100000);
  expect("disabled", taken, 0);
  expect("pending", d[0x200 / 4 + SPI / 32] >> SPI % 32 & 1, 1);
  d[0x100 / 4 + SPI / 32] = 1u << SPI % 32;
  wait_taken(1);
  irqs_off();
  expect("taken", taken, 1);
  expect("INTID", ids[0], SPI);
  expect("running priority", priorities[0], 0x60);
  d[0x200 / 4 + SPI / 32] = 1u << SPI % 32;
  wait_pending(SPI);
  expect("HPPIR", READ_SYSREG(ICC_HPPIR1), SPI);
  d[0x280 / 4 + SPI / 32] = 1u << SPI % 32;
  expect("cleared", READ_SYSREG(ICC_HPPIR1), 1023);
  d[0x180 / 4 + SPI / 32] = 1u << SPI % 32;
}

static void identification(void) {
  expect("GICD_PIDR2: architecture", ((volatile u32 *)0x0800ffe8)[0] >> 4 & 15, 3);
  u64 bytes = READ_SYSREG(ICC_CTLR) >> 8 & 7;
  WRITE_SYSREG(ICC_PMR, 0xff);
  u64 mask = READ_SYSREG(ICC_PMR);
  expect("PMR holds the implemented priority bits", mask, 0xff & ~((1ull << (7 - bytes)) - 1));
  expect_true("the redistributor's affinity is this CPU's", ((volatile u32 *)0x080a000c)[0] == (READ_SYSREG(mpidr_el1) & 0xffffff));
  expect("SRE", READ_SYSREG(ICC_SRE) & 1, 1);
}

static void wait_for_interrupt(void) {
  fresh(acknowledge);
  gic_enable(INTID_CNTV, 0x80);
  u64 start = ticks_now(), delay = READ_SYSREG(cntfrq_el0) / 200; /* 5 ms */
  WRITE_SYSREG(cntv_cval_el0, start + delay);
  WRITE_SYSREG(cntv_ctl_el0, 1);
  ISB();
  u64 wakes = 0;
  while (READ_SYSREG(cntv_ctl_el0) != 5 && wakes++ < 100000) __asm__ volatile("dsb sy\n wfi" : : : "memory");
  expect_true("WFI wakes for a masked interrupt", ticks_now() - start >= delay);
  expect("not taken", taken, 0);
  expect_true("WFI waits", wakes < 10000);
  irqs_on();
  ISB();
  irqs_off();
  expect("taken when unmasked", taken, 1);
  gic_disable(INTID_CNTV);
}

static void wait_for_event(void) {
  for (int i = 0; i < 100; i++) __asm__ volatile("sevl\n wfe\n sev\n wfe" : : : "memory");
  __asm__ volatile("yield\n nop\n hint #20\n hint #127" : : : "memory");
  expect_no_trap("hints");
}

const struct test interrupt_tests[] = {
  {"timer: conditions", timer_conditions}, {"timer: interrupts", timer_interrupts}, {"timer: the interrupt is a level", timer_level},
  {"gic: identification", identification}, {"gic: SGI to itself", sgi_to_self}, {"gic: SGI at EL0", from_el0}, {"gic: priority mask", priority_mask},
  {"gic: order by priority", order_by_priority}, {"gic: preemption", preemption}, {"gic: EOImode 1", split_end_of_interrupt},
  {"gic: group enable", group_enable}, {"gic: shared peripheral interrupt", shared_peripheral}, {"wait: WFI", wait_for_interrupt}, {"wait: WFE, SEV and hints", wait_for_event},
  {0},
};
