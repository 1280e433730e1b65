/* What an operating system asks of the machine: calls, switches, faults, TLB maintenance, interrupts, hypercalls. */
#include "bench.h"
#include "gic.h"
#include "mmu.h"

enum { ROUNDS = 1000, PAGES = 64, SPACES = 4, TOUCHED = 8, SGI = 5 };
#define CODE TEST_BASE
#define DATA (TEST_BASE + 0x200000)
#define HOLES (TEST_BASE + 0x400000)
extern char bench_vectors[], vectors[];
void user_svc(void), user_svc_frame(void), user_switch(void), user_touch(void);

static u64 *spaces[SPACES];
static u64 *hole_entries, *hole_page;
static u64 result, calls;
static volatile u64 interrupts;

static u64 space_register(int i) { return (u64)(i + 1) << 48 | (u64)spaces[i]; }

/* svc #1 leaves EL0, svc #2 is a counted call, a data abort in the holes maps a page, an interrupt is acknowledged. */
static void hook(struct cpu *cpu, struct frame *frame, u64 vector) {
  if ((vector & 3) == 1) {
    u64 intid = READ_SYSREG(ICC_IAR1);
    if (intid == INTID_CNTV) WRITE_SYSREG(cntv_ctl_el0, 0);
    interrupts++;
    WRITE_SYSREG(ICC_EOIR1, intid);
    return;
  }
  u32 class = frame->esr >> 26 & 63;
  if (vector == 8 && class == 0x15 && (frame->esr & 0xffff) == 1) {
    result = frame->x[3];
    cpu->el0_leave = 1;
  } else if (vector == 8 && class == 0x15) {
    calls++;
  } else if (vector == 8 && class == 0x24 && frame->far - HOLES < PAGES * 4096) {
    entry_set(&hole_entries[(frame->far - HOLES) >> 12], (u64)hole_page | PAGE_USER);
  } else {
    cpu->hook = 0;
    print("esr %lx far %lx elr %lx\n", frame->esr, frame->far, frame->elr);
    panic("unexpected exception in a system benchmark");
  }
}

static void prepare(void) {
  if (!spaces[0]) {
    for (int i = 0; i < SPACES; i++) {
      spaces[i] = space_new();
      for (u64 at = 0; __user_start + at < __user_end; at += 4096) map_page(spaces[i], CODE + at, (u64)__user_start + at, PAGE_USER_CODE);
      for (int p = 0; p < PAGES; p++) {
        u64 *page = page_new();
        page[0] = (u64)(i * 1000 + p);
        map_page(spaces[i], DATA + (u64)p * 4096, (u64)page, PAGE_USER);
      }
    }
    hole_page = page_new();
    hole_page[0] = 7;
    hole_entries = entry_of(spaces[0], HOLES, 3);
  }
  this_cpu()->hook = hook;
  WRITE_SYSREG(vbar_el1, (u64)bench_vectors);
  WRITE_SYSREG(ttbr0_el1, space_register(0));
  WRITE_SYSREG(tpidrro_el0, space_register(1));
  ISB();
  tlb_flush_all();
}

static void finish(void) {
  WRITE_SYSREG(vbar_el1, (u64)vectors);
  WRITE_SYSREG(ttbr0_el1, (u64)kernel_l0);
  ISB();
  tlb_flush_all();
  this_cpu()->hook = 0;
}

static u64 run_user(void (*program)(void), u64 rounds, u64 first, u64 pages) {
  struct frame in = {.x = {rounds, first, pages}, .elr = CODE + ((u64)program - (u64)__user_start)};
  result = 0;
  el0_run(&in);
  return result;
}

static u64 call_bare(void) {
  run_user(user_svc, ROUNDS, 0, 0);
  return ROUNDS;
}

static u64 call_frame(void) {
  calls = 0;
  run_user(user_svc_frame, ROUNDS, 0, 0);
  return calls;
}

/* Two processes at the same addresses with different pages; an even number of switches ends where it began. */
static u64 process_switch(void) { return run_user(user_switch, ROUNDS, DATA, TOUCHED); }

/* The same without EL0: four address spaces in turn. */
static u64 asid_switch(void) {
  u64 sum = 0;
  for (int i = 1; i <= ROUNDS; i++) {
    WRITE_SYSREG(ttbr0_el1, space_register(i % SPACES));
    ISB();
    for (int p = 0; p < TOUCHED; p++) sum += *(volatile u64 *)(DATA + (u64)p * 4096);
  }
  return sum;
}

/* Faults on 64 pages that the handler maps; then they are unmapped and flushed one by one. */
static u64 page_fault(void) {
  u64 sum = run_user(user_touch, 0, HOLES, PAGES);
  for (u64 p = 0; p < PAGES; p++) {
    entry_set(&hole_entries[p], 0);
    __asm__ volatile("tlbi vae1is, %0" : : "r"(1ull << 48 | ((HOLES >> 12) + p)) : "memory");
  }
  __asm__ volatile("dsb ish\n isb" : : : "memory");
  return sum;
}

static u64 flush_page(void) {
  u64 sum = 0;
  for (u64 i = 0; i < ROUNDS; i++) {
    u64 va = DATA + i % PAGES * 4096;
    __asm__ volatile("tlbi vae1is, %0\n dsb ish\n isb" : : "r"(1ull << 48 | va >> 12) : "memory");
    sum += *(volatile u64 *)va;
  }
  return sum;
}

static u64 flush_all(void) {
  u64 sum = 0;
  for (u64 i = 0; i < 100; i++) {
    __asm__ volatile("tlbi vmalle1is\n dsb ish\n isb" : : : "memory");
    for (u64 p = 0; p < PAGES; p++) sum += *(volatile u64 *)(DATA + p * 4096);
  }
  return sum;
}

static void interrupts_prepare(void) {
  prepare();
  gic_start();
  gic_enable(INTID_CNTV, 0x80);
  gic_enable(SGI, 0x80);
  __asm__ volatile("msr daifclr, #2");
}

static void interrupts_finish(void) {
  __asm__ volatile("msr daifset, #2");
  gic_disable(INTID_CNTV);
  gic_disable(SGI);
  finish();
}

static u64 timer_interrupt(void) {
  u64 before = interrupts;
  for (u64 i = 1; i <= ROUNDS; i++) {
    WRITE_SYSREG(cntv_cval_el0, 0);
    WRITE_SYSREG(cntv_ctl_el0, 1);
    ISB();
    while (interrupts != before + i) {}
  }
  return interrupts - before;
}

static u64 software_interrupt(void) {
  u64 before = interrupts;
  for (u64 i = 1; i <= ROUNDS; i++) {
    gic_send(SGI, 0);
    while (interrupts != before + i) {}
  }
  return interrupts - before;
}

/*
 * How late the timer interrupt is in a loop of nothing but arithmetic: 1,000 times from CNTV_CVAL to the handler. The
 * line's T is the sum of the delays.
 */
static u64 late_sum, late_max, late_end;

static void late_hook(struct cpu *cpu, struct frame *frame, u64 vector) {
  (void)cpu;
  if (vector != 5) panic("unexpected exception in the latency benchmark");
  u64 late = READ_SYSREG(cntvct_el0) - READ_SYSREG(cntv_cval_el0), intid = READ_SYSREG(ICC_IAR1);
  WRITE_SYSREG(cntv_ctl_el0, 0);
  WRITE_SYSREG(ICC_EOIR1, intid);
  late_sum += late;
  if (late > late_max) late_max = late;
  frame->elr = late_end;
}

static NOINLINE void late_wait(void) {
  u64 a = 1;
  __asm__ volatile("adr %0, 2f\n str %0, [%1]\n msr cntv_ctl_el0, %2\n isb\n"
                   "1: add %0, %0, #3\n eor %0, %0, %0, lsl #7\n cbnz %0, 1b\n b 1b\n2:"
                   : "+&r"(a) : "r"(&late_end), "r"(1ull) : "memory");
}

void latency_run(void) {
  enum { TIMES = 1000 };
  interrupts_prepare();
  this_cpu()->hook = late_hook;
  late_sum = late_max = 0;
  for (int i = 0; i < TIMES; i++) {
    WRITE_SYSREG(cntv_cval_el0, ticks_now() + READ_SYSREG(cntfrq_el0) / 10000);
    late_wait();
  }
  interrupts_finish();
  print("# timer-latency: longest %lu ns\n", ticks_to_ns(late_max));
  bench_report("timer-latency", TIMES, ticks_to_ns(late_sum), TIMES);
}

static u64 psci_version(void) {
  u64 sum = 0;
  for (int i = 0; i < ROUNDS; i++) sum += hvc(PSCI_VERSION, 0, 0, 0) >> 16;
  return sum;
}

#define KERNEL(name, run, ops) {"cpu.system", name, run, ops, prepare, finish}
#define INTERRUPT(name, run) {"cpu.system", name, run, ROUNDS, interrupts_prepare, interrupts_finish}
const struct kernel system_kernels[] = {
  KERNEL("call-bare", call_bare, ROUNDS), KERNEL("call-frame", call_frame, ROUNDS), KERNEL("process-switch", process_switch, ROUNDS),
  KERNEL("asid-switch", asid_switch, ROUNDS), KERNEL("page-fault", page_fault, PAGES), KERNEL("tlbi-page", flush_page, ROUNDS),
  KERNEL("tlbi-all", flush_all, 100), INTERRUPT("timer-interrupt", timer_interrupt), INTERRUPT("sgi", software_interrupt),
  {0},
};
const struct kernel hvc_kernels[] = {{"cpu.hvc", "psci-version", psci_version, ROUNDS, 0, 0}, {0}};
