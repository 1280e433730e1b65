/* PSCI, and two CPUs: start and stop, SGIs, atomics, ordering, broadcast TLB maintenance, code written by the other. */
#include "suite.h"

enum { ON = 0, OFF = 1 };
#define RETURN(value) ((u64)(i64)(value))
static volatile u64 shared[8] ALIGNED(64);
static volatile u64 go, finished, sgi_taken;

static int alone(void) {
  if (hvc(PSCI_AFFINITY_INFO, 1, 0, 0) != RETURN(-2)) return 0;
  skip("the machine has one CPU");
  return 1;
}

static void psci_calls(void) {
  u64 version = hvc(PSCI_VERSION, 0, 0, 0);
  expect_true("version 0.2 or later", version >= 2 && version < 0x20000);
  if (version >= 0x10000) {
    expect("FEATURES(CPU_ON)", hvc(PSCI_FEATURES, PSCI_CPU_ON, 0, 0), 0);
    expect("FEATURES(SYSTEM_OFF)", hvc(PSCI_FEATURES, PSCI_SYSTEM_OFF, 0, 0), 0);
    expect("FEATURES(unknown)", hvc(PSCI_FEATURES, 0x8400ffff, 0, 0), RETURN(-1));
  }
  expect("AFFINITY_INFO of this CPU", hvc(PSCI_AFFINITY_INFO, 0, 0, 0), ON);
  expect("AFFINITY_INFO of no CPU", hvc(PSCI_AFFINITY_INFO, 0x123400, 0, 0), RETURN(-2));
  expect("CPU_ON of this CPU", hvc(PSCI_CPU_ON, 0, 0x40200000, 0), RETURN(-4));
  expect("CPU_ON of no CPU", hvc(PSCI_CPU_ON, 0x123400, 0x40200000, 0), RETURN(-2));
}

static void hello(void *arg) {
  shared[0] = (u64)arg;
  shared[1] = READ_SYSREG(mpidr_el1) & 0xffffff;
  shared[2] = READ_SYSREG(CurrentEL);
  shared[3] = READ_SYSREG(daif);
  DSB();
  finished = 1;
  while (!go) __asm__ volatile("yield");
}

static void start_and_stop(void) {
  if (alone()) return;
  for (u64 round = 1; round <= 3; round++) {
    go = finished = 0;
    expect("off before", hvc(PSCI_AFFINITY_INFO, 1, 0, 0), OFF);
    expect("CPU_ON", (u64)cpu_start(1, hello, (void *)(round * 1111)), 0);
    while (!finished) {}
    expect("argument", shared[0], round * 1111);
    expect("MPIDR", shared[1], 1);
    expect("CurrentEL", shared[2], 4);
    expect("DAIF", shared[3], 0x3c0);
    expect("on", hvc(PSCI_AFFINITY_INFO, 1, 0, 0), ON);
    expect("CPU_ON again", (u64)cpu_start(1, hello, 0), RETURN(-4));
    go = 1;
    cpu_wait_off(1);
  }
}

/* Runs `second` on CPU 1 and `first` here until both end. */
static void both(void (*first)(void *), void (*second)(void *), void *arg) {
  go = finished = 0;
  expect("CPU_ON", (u64)cpu_start(1, second, arg), 0);
  first(arg);
  cpu_wait_off(1);
}

static void meet(volatile u64 *flag) {
  __atomic_fetch_add(flag, 1, __ATOMIC_SEQ_CST);
  while (*flag < 2) {}
}

static void count_exclusive(void *arg) {
  (void)arg;
  meet(&go);
  for (int i = 0; i < 20000; i++) {
    u64 value;
    u32 status;
    __asm__ volatile("1: ldxr %0, [%2]\n add %0, %0, #1\n stxr %w1, %0, [%2]\n cbnz %w1, 1b" : "=&r"(value), "=&r"(status) : "r"(&shared[0]) : "memory");
  }
}

static void count_atomic(void *arg) {
  (void)arg;
  meet(&go);
  for (u64 i = 0; i < 20000; i++) {
    u64 old;
    __asm__ volatile(".arch_extension lse\n ldadd %1, %0, [%2]" : "=&r"(old) : "r"(1ull), "r"(&shared[0]) : "memory");
  }
}

/* A lock of LDAXR and STLR around plain updates of two words. */
static void count_locked(void *arg) {
  (void)arg;
  meet(&go);
  for (int i = 0; i < 1000; i++) {
    u64 value;
    u32 status;
    __asm__ volatile("1: ldaxr %0, [%2]\n cbnz %0, 1b\n mov %0, #1\n stxr %w1, %0, [%2]\n cbnz %w1, 1b" : "=&r"(value), "=&r"(status) : "r"(&shared[4]) : "memory");
    shared[0]++;
    shared[1] += 2;
    __asm__ volatile("stlr xzr, [%0]" : : "r"(&shared[4]) : "memory");
  }
}

static void counters(void) {
  if (alone()) return;
  shared[0] = 0;
  both(count_exclusive, count_exclusive, 0);
  expect("LDXR, STXR", shared[0], 40000);
  shared[0] = shared[1] = shared[4] = 0;
  both(count_locked, count_locked, 0);
  expect("LDAXR, STLR lock", shared[0] * 2 + shared[1], 8000);
  if ((READ_SYSREG(id_aa64isar0_el1) >> 20 & 15) < 2) return;
  shared[0] = 0;
  both(count_atomic, count_atomic, 0);
  expect("LDADD", shared[0], 40000);
}

static void producer(void *arg) {
  (void)arg;
  for (u64 i = 1; i <= 300; i++) {
    shared[0] = i;
    shared[1] = i * 3;
    __asm__ volatile("stlr %0, [%1]" : : "r"(i), "r"(&shared[2]) : "memory");
    while (shared[3] != i) {}
  }
}

static void consumer(void *arg) {
  (void)arg;
  u64 wrong = 0;
  for (u64 i = 1; i <= 300; i++) {
    u64 seen;
    do __asm__ volatile("ldar %0, [%1]" : "=r"(seen) : "r"(&shared[2]) : "memory");
    while (seen != i);
    wrong += shared[0] != i || shared[1] != i * 3;
    __asm__ volatile("stlr %0, [%1]" : : "r"(i), "r"(&shared[3]) : "memory");
  }
  shared[5] = wrong;
}

static void message_passing(void) {
  if (alone()) return;
  for (int i = 0; i < 8; i++) shared[i] = 0;
  both(producer, consumer, 0);
  expect("messages out of order", shared[5], 0);
}

static void sgi_hook(struct cpu *cpu, struct frame *frame, u64 vector) {
  (void)cpu;
  (void)frame;
  if (vector != 5) panic("unexpected exception on the second CPU");
  u64 id = READ_SYSREG(ICC_IAR1);
  sgi_taken = sgi_taken * 16 + id;
  WRITE_SYSREG(ICC_EOIR1, id);
}

static void sgi_receiver(void *arg) {
  (void)arg;
  this_cpu()->hook = sgi_hook;
  gic_cpu_start();
  gic_enable(6, 0x80);
  gic_enable(7, 0x80);
  finished = 1;
  while (sgi_taken != 0x676) __asm__ volatile("wfi\n msr daifclr, #2\n isb\n msr daifset, #2" : : : "memory");
  this_cpu()->hook = 0;
}

static void sgi_sender(void *arg) {
  (void)arg;
  while (!finished) {}
  gic_send(6, 1);
  while (sgi_taken != 6) {}
  gic_send(7, 1);
  while (sgi_taken != 0x67) {}
  WRITE_SYSREG(ICC_SGI1R, 1ull << 40 | 6ull << 24);  /* IRM: all but this one */
  while (sgi_taken != 0x676) {}
}

static void sgi_to_another(void) {
  if (alone()) return;
  sgi_taken = 0;
  both(sgi_sender, sgi_receiver, 0);
  expect("SGIs in order", sgi_taken, 0x676);
}

static void event_waiter(void *arg) {
  (void)arg;
  finished = 1;
  while (!go) __asm__ volatile("wfe");
  shared[0] = 1;
}

static void event_sender(void *arg) {
  (void)arg;
  while (!finished) {}
  for (u64 start = ticks_now(); ticks_to_ns(ticks_now() - start) < 1000000;) {}
  go = 1;
  __asm__ volatile("dsb ish\n sev" : : : "memory");
}

static void events(void) {
  if (alone()) return;
  shared[0] = 0;
  both(event_sender, event_waiter, 0);
  expect("woken", shared[0], 1);
}

static u64 *tlb_old, *tlb_new, *tlb_entry, tlb_va;

/* CPU 1 reads the page over and over and counts the first value that is neither, or an old one after the flush ended. */
static void reader(void *arg) {
  (void)arg;
  WRITE_SYSREG(ttbr0_el1, (u64)SPACE_ASID << 48 | (u64)space);
  ISB();
  finished = 1;
  u64 wrong = 0;
  for (;;) {
    u64 flushed = __atomic_load_n(&go, __ATOMIC_ACQUIRE);
    u64 value = *(volatile u64 *)tlb_va;
    if (value != 1 && value != 2) wrong++;
    if (flushed == 1 && value == 1) wrong++;
    if (flushed) break;
  }
  shared[0] = wrong;
}

/* Changes a live entry, without the break that a kernel would put before: what counts is what CPU 1 sees after the DSB. */
static void remapper(void *arg) {
  (void)arg;
  while (!finished) {}
  for (u64 start = ticks_now(); ticks_to_ns(ticks_now() - start) < 500000;) {}
  *(volatile u64 *)tlb_entry = (u64)tlb_new | PAGE_USER | PTE_READONLY;
  __asm__ volatile("dsb ish\n tlbi vae1is, %0\n dsb ish\n isb" : : "r"((u64)SPACE_ASID << 48 | tlb_va >> 12) : "memory");
  __atomic_store_n(&go, 1, __ATOMIC_RELEASE);
}

static void broadcast_tlbi(void) {
  if (alone()) return;
  for (int round = 0; round < 5; round++) {
    tlb_va = fresh_page(PAGE_USER | PTE_READONLY, &tlb_old);
    tlb_new = page_new();
    tlb_entry = entry_of(space, tlb_va, 3);
    tlb_old[0] = 1;
    tlb_new[0] = 2;
    both(remapper, reader, 0);
    expect("stale reads after TLBI VAE1IS and DSB", shared[0], 0);
  }
}

static u32 *code_page;

static void code_runner(void *arg) {
  (void)arg;
  u64 wrong = 0;
  for (u64 i = 1; i <= 100; i++) {
    while (__atomic_load_n(&shared[2], __ATOMIC_ACQUIRE) != i) {}
    ISB();
    wrong += ((u64(*)(void))(u64)code_page)() != i;
    __atomic_store_n(&shared[3], i, __ATOMIC_RELEASE);
  }
  shared[5] = wrong;
}

static void code_writer(void *arg) {
  (void)arg;
  for (u64 i = 1; i <= 100; i++) {
    code_page[0] = 0xd2800000 | (u32)i << 5;
    code_page[1] = 0xd65f03c0;
    sync_code(code_page, 8);
    __atomic_store_n(&shared[2], i, __ATOMIC_RELEASE);
    while (__atomic_load_n(&shared[3], __ATOMIC_ACQUIRE) != i) {}
  }
}

static void code_by_another(void) {
  if (alone()) return;
  code_page = (u32 *)page_new();
  for (int i = 0; i < 8; i++) shared[i] = 0;
  both(code_writer, code_runner, 0);
  expect("old code run after IC IVAU", shared[5], 0);
}

const struct test smp_tests[] = {
  {"psci: calls and their errors", psci_calls}, {"psci: CPU_ON, AFFINITY_INFO, CPU_OFF", start_and_stop}, {"smp: counters", counters},
  {"smp: message passing", message_passing}, {"smp: SGIs", sgi_to_another}, {"smp: WFE and SEV", events}, {"smp: broadcast TLBI", broadcast_tlbi},
  {"smp: code written by another CPU", code_by_another},
  {0},
};
