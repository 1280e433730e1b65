/*
 * The guest suite: prints `ok N name`, `not ok N name` or `ok N name # SKIP reason` per test, details of failures in
 * lines with #, and at last `N passed, N failed`. Boot arguments: `only=TEXT` runs the tests whose name contains it;
 * `deviations=a,b` names architectural behaviour the platform is known to lack (see README.md).
 */
#include "suite.h"

volatile struct trap trap;
void (*irq_handler)(struct frame *frame);
int (*fault_handler)(struct frame *frame);
u64 *space;
static int failures;
static const char *skipped;
static char deviations[256], only[64];

void trap_reset(void) {
  trap.count = 0;
  trap.esr = trap.elr = trap.far = trap.spsr = trap.vector = trap.x0 = trap.x3 = 0;
}

/* Records, then goes on: past the instruction, at the caller for a failed fetch, or out of EL0. */
static void hook(struct cpu *cpu, struct frame *frame, u64 vector) {
  if ((vector & 3) == 1 && irq_handler) {
    irq_handler(frame);
    return;
  }
  if ((vector & 3) == 0 && fault_handler && fault_handler(frame)) return;
  if (trap.count++ == 0) {
    trap.vector = vector;
    trap.esr = frame->esr;
    trap.far = frame->far;
    trap.elr = frame->elr;
    trap.spsr = frame->spsr;
    trap.x0 = frame->x[0];
    trap.x3 = frame->x[3];
  } else if (trap.count > 100) {
    cpu->hook = 0;
    print("# esr %lx far %lx elr %lx\n", frame->esr, frame->far, frame->elr);
    panic("an exception repeats");
  }
  if (vector >= 8 && cpu->el0_saved_sp) {
    cpu->el0_leave = 1;
    return;
  }
  if (vector >= 8) {                                 /* EL0 by mistake: an illegal return was not refused */
    frame->elr = frame->x[30];
    frame->spsr = 0x3c5;
    return;
  }
  if ((vector & 3) != 0) {
    frame->spsr |= 0x3c0;
    return;
  }
  switch (frame->esr >> 26 & 63) {
    case 0x15: case 0x16: case 0x17: break;                        /* SVC, HVC, SMC: ELR is the next instruction */
    case 0x20: case 0x21: case 0x22: frame->elr = frame->x[30]; break;
    case 0x0e: frame->spsr &= ~(1ull << 20); break;                /* illegal state */
    case 0x32: case 0x33: frame->spsr &= ~(1ull << 21); break;     /* step */
    default: frame->elr += 4;
  }
}

void expect(const char *what, u64 got, u64 want) {
  if (got == want) return;
  failures++;
  print("# %s: got 0x%lx, want 0x%lx\n", what, got, want);
}

void expect_true(const char *what, int condition) {
  if (condition) return;
  failures++;
  print("# %s\n", what);
}

void skip(const char *reason) { skipped = reason; }

static int has_word(const char *list, const char *word) {
  size_t n = strlen(word);
  for (const char *at = list; *at; at++)
    if ((at == list || at[-1] == ',') && !memcmp(at, word, n) && (at[n] == 0 || at[n] == ',')) return 1;
  return 0;
}

int deviates(const char *name) {
  if (!has_word(deviations, name)) return 0;
  skip("known deviation of this platform");
  return 1;
}

void expect_trap(const char *what, u64 vector, u64 esr, u64 elr) {
  if (trap.count == 1 && trap.vector == vector && trap.esr == esr && trap.elr == elr) {
    /* SP_EL1 or SP_EL0 mode with everything masked, or EL0 with nothing masked: how the suite runs. */
    expect(what, trap.spsr & 0x3003ff, vector == FROM_EL1 ? 0x3c5 : vector == FROM_EL0 ? 0 : 0x3c4);
    return;
  }
  failures++;
  print("# %s: %lu traps, vector %lu (want %lu), esr 0x%lx (want 0x%lx), elr 0x%lx (want 0x%lx), far 0x%lx\n", what, trap.count,
        trap.vector, vector, trap.esr, esr, trap.elr, elr, trap.far);
}

void expect_fault(const char *what, u64 vector, u64 esr, u64 far, u64 elr) {
  expect_trap(what, vector, esr, elr);
  if (trap.count) expect(what, trap.far, far);
  trap_reset();
}

void expect_no_trap(const char *what) {
  if (trap.count) {
    failures++;
    print("# %s: unexpected trap, vector %lu esr 0x%lx far 0x%lx elr 0x%lx\n", what, trap.vector, trap.esr, trap.far, trap.elr);
  }
  trap_reset();
}

void space_use(u64 *l0, u64 asid) {
  WRITE_SYSREG(ttbr0_el1, asid << 48 | (u64)l0);
  ISB();
}

u64 fresh_region(void) {
  static u64 next = TEST_BASE;
  next += 1ull << 30;
  if (next >= USER_STACK) panic("out of test addresses");
  return next - (1ull << 30);
}

u64 fresh_page(u64 attributes, u64 **pa_out) {
  u64 va = fresh_region(), *page = page_new();
  map_page(space, va, (u64)page, attributes);
  if (pa_out) *pa_out = page;
  return va;
}

void user_run_with(u64 pc, u64 x0, u64 x1, u64 spsr) {
  struct frame in = {.x = {x0, x1}, .elr = pc, .spsr = spsr, .sp_el0 = USER_STACK + 4096};
  trap_reset();
  el0_run(&in);
}

void user_run(void (*program)(void), u64 x0, u64 x1) { user_run_with(user_address(program), x0, x1, 0); }

static int contains(const char *text, const char *part) {
  for (size_t n = strlen(part); *text || !n; text++)
    if (!memcmp(text, part, n)) return 1;
    else if (!*text) break;
  return 0;
}

void guest_main(void) {
  static const struct test *const groups[] = {exception_tests, translation_tests, tlb_tests, access_tests, sysreg_tests, debug_tests,
                                              interrupt_tests, precise_tests, smp_tests};
  boot_option("deviations", deviations, sizeof deviations);
  boot_option("only", only, sizeof only);
  space = space_new();
  for (u64 at = 0; __user_start + at < __user_end; at += 4096) map_page(space, USER_CODE + at, (u64)__user_start + at, PAGE_USER_CODE);
  map_page(space, USER_STACK, (u64)page_new(), PAGE_USER);
  space_use(space, SPACE_ASID);
  WRITE_SYSREG(ttbr1_el1, (u64)page_new());
  ISB();
  tlb_flush_all();
  this_cpu()->hook = hook;
  gic_start();
  u64 number = 0, passed = 0, failed = 0;
  for (size_t g = 0; g < sizeof groups / sizeof *groups; g++)
    for (const struct test *t = groups[g]; t->run; t++) {
      if (*only && !contains(t->name, only)) continue;
      failures = 0;
      skipped = 0;
      irq_handler = 0;
      fault_handler = 0;
      trap_reset();
      t->run();
      number++;
      if (failures) failed++;
      else passed++;
      print("%s %lu %s%s%s\n", failures ? "not ok" : "ok", number, t->name, skipped ? " # SKIP " : "", skipped ? skipped : "");
    }
  print("1..%lu\n%lu passed, %lu failed\n", number, passed, failed);
}
