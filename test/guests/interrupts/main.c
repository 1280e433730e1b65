/*
 * How long an interrupt waits for a guest that is busy in a loop (loops.S), from being raised to the vector's first
 * instruction: SGIs of another CPU, and the CPU's own timer. Boot argument `rounds=N` (default 300, at most 50,000) interrupts for each
 * loop and source. Prints `irq LOOP SOURCE rounds N p50 A p99 B max C late D` (nanoseconds; D: how many waited longer than 50 us) for each and
 * powers off. `warm=N`: each loop and source has had N interrupts (source `...-start`) before the first is measured, default 20 right before it.
 * `late=N`: `late TICKS TICKS` says when an interrupt that waited longer than N microseconds was raised and taken. `only=LOOP`: that loop alone.
 * The other CPU sleeps until it raises one; `busy=1`: it counts in a loop.
 */
#include "guest.h"
#include "gic.h"
#include "mmu.h"

enum { ROUNDS_MAX = 50000, SGI = 3, SYNC_FROM_SELF = 4, IRQ_FROM_SELF = 5, SUPERVISOR_CALL = 0x15, DATA_ABORT = 0x25 };
enum { DATA_BYTES = 256 << 10, RING_BYTES = 32 << 20, NODE_BYTES = 4160, CODE_WORDS = 65536, START_ROUNDS = 20, REHEARSALS = 4000, LATE_NS = 50000 };
extern char vectors_noting[];
extern void loop_run(void (*loop)(void), void *data, void *ring, void *code, u64 unmapped), loop_end(void);
#define LOOPS(X) X(self) X(alu) X(divide) X(copy) X(chase) X(exact) X(counter) X(exclusive) X(zero) X(call) X(fault) \
  X(tlbi) X(wfe) X(event) X(cold) X(pace)
#define DECLARE(name) void loop_##name(void);
LOOPS(DECLARE)
#define ROW(name) {#name, loop_##name},
static const struct { const char *name; void (*run)(void); } loops[] = {LOOPS(ROW)};

static u64 waited[ROUNDS_MAX], taken_at[ROUNDS_MAX];
static u64 rounds;
static volatile u64 taken, raised_at, sending;
static u64 hz, random_state = 0x2545f4914f6cdd1d;
static int by_timer, is_busy;

static u64 next_random(void) {
  random_state ^= random_state << 13; random_state ^= random_state >> 7; random_state ^= random_state << 17;
  return random_state;
}

static void arm(void) { WRITE_SYSREG(cntv_cval_el0, READ_SYSREG(cntvct_el0) + hz / 5000 + next_random() % (hz / 2000)); }

static void hook(struct cpu *cpu, struct frame *frame, u64 vector) {
  (void)cpu;
  u64 now = READ_SYSREG(tpidrro_el0);
  if (vector == SYNC_FROM_SELF) {
    u64 class = frame->esr >> 26;
    if (class == DATA_ABORT) frame->elr += 4;
    else if (class != SUPERVISOR_CALL) panic("unexpected exception");
    return;
  }
  if (vector != IRQ_FROM_SELF) panic("unexpected exception");
  u64 intid = READ_SYSREG(ICC_IAR1);
  if (intid == INTID_CNTV) {
    waited[taken] = now - READ_SYSREG(cntv_cval_el0);
    taken_at[taken] = now;
    arm();
    ISB();
  } else if (intid == SGI) {
    waited[taken] = now - raised_at;
    taken_at[taken] = now;
  }
  WRITE_SYSREG(ICC_EOIR1, intid);
  if (intid != INTID_CNTV && intid != SGI) return;
  taken = taken + 1;
  if (taken == rounds) {
    WRITE_SYSREG(cntv_ctl_el0, 0);
    frame->elr = (u64)loop_end;
  }
}

/* The other CPU passes `ticks`, in which nothing may interrupt it. */
static void pass(u64 ticks) {
  u64 from = READ_SYSREG(cntvct_el0);
  if (is_busy) {
    while (READ_SYSREG(cntvct_el0) - from < ticks) {}
    return;
  }
  WRITE_SYSREG(cntv_cval_el0, from + ticks);
  WRITE_SYSREG(cntv_ctl_el0, 1);
  ISB();
  while ((READ_SYSREG(cntv_ctl_el0) & 4) == 0) __asm__ volatile("wfi" : : : "memory");
  WRITE_SYSREG(cntv_ctl_el0, 0);
  ISB();
}

/* The other CPU: an SGI some 200 to 700 microseconds after the one before was taken. */
static void raiser(void *arg) {
  (void)arg;
  gic_cpu_start();
  gic_enable(INTID_CNTV, 0x80);
  for (;;) {
    while (!sending) pass(hz / 1000);
    pass(hz / 5000 + next_random() % (hz / 2000));
    if (!sending) continue;
    u64 seen = taken;
    raised_at = READ_SYSREG(cntvct_el0);
    DSB();
    gic_send(SGI, 0);
    while (taken == seen && sending) {}
  }
}

/* Shell sort. */
static void sort(u64 *values, u64 count) {
  for (u64 gap = count / 2; gap > 0; gap /= 2)
    for (u64 i = gap; i < count; i++) {
      u64 value = values[i], j = i;
      for (; j >= gap && values[j - gap] > value; j -= gap) values[j] = values[j - gap];
      values[j] = value;
    }
}

/* A ring through all nodes in an order that no prefetcher guesses. */
static void *ring_new(void) {
  u64 count = RING_BYTES / NODE_BYTES;
  char *memory = allocate(RING_BYTES, 4096);
  u32 *order = allocate(count * sizeof *order, 64);
  for (u64 i = 0; i < count; i++) order[i] = (u32)i;
  for (u64 i = count - 1; i > 0; i--) {
    u64 j = next_random() % (i + 1);
    u32 other = order[i]; order[i] = order[j]; order[j] = other;
  }
  for (u64 i = 0; i < count; i++) *(void **)(memory + order[i] * NODE_BYTES) = memory + order[(i + 1) % count] * NODE_BYTES;
  return memory;
}

static u32 *code_new(void) {
  u32 *code = allocate(CODE_WORDS * sizeof *code, 4096);
  for (u64 i = 0; i < CODE_WORDS; i++) code[i] = 0xd2800001u | (u32)(next_random() & 0xffff) << 5 | (1 + (u32)i % 15); /* MOVZ */
  code[CODE_WORDS - 1] = 0xd61f0000; /* BR X0 */
  sync_code(code, CODE_WORDS * sizeof *code);
  return code;
}

static u64 number_option(const char *name, u64 otherwise) {
  static char text[16];
  u64 value = 0;
  if (!boot_option(name, text, sizeof text)) return otherwise;
  for (const char *c = text; *c >= '0' && *c <= '9'; c++) value = value * 10 + (u64)(*c - '0');
  return value;
}
static u64 at_most(u64 value, u64 bound) { return value < bound ? value : bound; }

static void line_to(char *out, size_t size, const char *format, ...) {
  va_list args;
  va_start(args, format);
  print_to(out, size, format, args);
  va_end(args);
}
/* What comes between two loops, until every host has translated it: not to be at work on it while the next loop is measured. */
static void rehearse(void) {
  static char line[160];
  for (u64 n = 0; n < REHEARSALS; n++) {
    u64 i = n % ROUNDS_MAX;
    waited[i] = next_random();
    line_to(line, sizeof line, "irq %s %s%s rounds %lu p50 %lu p99 %lu max %lu\n", loops[n % 16].name, "timer", "-start", n,
            ticks_to_ns(waited[i] >> 32), ticks_to_ns(waited[n / 2 % ROUNDS_MAX] >> 32), ticks_to_ns(waited[0] >> 32));
    if (n % 64 == 0) sort(waited, i < 300 ? i : 300);
  }
}

struct memories { void *data, *ring; u32 *code; };

/* `count` interrupts in one loop, and what they had to wait. */
static void measure(u64 n, int timer, u64 count, u64 late, const char *suffix, const struct memories *in) {
  by_timer = timer;
  rounds = count;
  taken = 0;
  DSB();
  if (by_timer) {
    arm();
    WRITE_SYSREG(cntv_ctl_el0, 1);
  } else sending = 1;
  loop_run(loops[n].run, in->data, in->ring, in->code, TEST_BASE);
  sending = 0;
  WRITE_SYSREG(fpcr, 0);
  for (u64 i = 0; late && i < rounds; i++)
    if (ticks_to_ns(waited[i]) > late * 1000) print("late %lu %lu\n", taken_at[i] - waited[i], taken_at[i]);
  sort(waited, rounds);
  u64 on_time = 0;
  while (on_time < rounds && ticks_to_ns(waited[on_time]) <= LATE_NS) on_time++;
  print("irq %s %s%s rounds %lu p50 %lu p99 %lu max %lu late %lu\n", loops[n].name, by_timer ? "timer" : "sgi", suffix,
        rounds, ticks_to_ns(waited[rounds / 2]), ticks_to_ns(waited[rounds * 99 / 100]), ticks_to_ns(waited[rounds - 1]), rounds - on_time);
}

void guest_main(void) {
  static char only[16];
  u64 wanted = at_most(number_option("rounds", 300), ROUNDS_MAX), warm = at_most(number_option("warm", 0), ROUNDS_MAX);
  u64 late = number_option("late", 0);
  is_busy = number_option("busy", 0) != 0;
  if (wanted == 0) wanted = 300;
  int all = !boot_option("only", only, sizeof only);
  hz = READ_SYSREG(cntfrq_el0);
  gic_start();
  gic_enable(SGI, 0x80);
  gic_enable(INTID_CNTV, 0x80);
  this_cpu()->hook = hook;
  WRITE_SYSREG(vbar_el1, (u64)vectors_noting);
  ISB();
  const struct memories in = {allocate(DATA_BYTES, 4096), ring_new(), code_new()};
  rehearse();
  int has_other = cpu_start(1, raiser, 0) == 0;
  /* The first interrupts come while the loop is still being translated: they are told apart. */
  for (int pass = warm ? 0 : 1; pass < 2; pass++)
    for (u64 n = 0; n < sizeof loops / sizeof loops[0]; n++) {
      if (!all && strcmp(only, loops[n].name) != 0) continue;
      for (int timer = has_other ? 0 : 1; timer < 2; timer++) {
        if (pass == 0) measure(n, timer, warm, 0, "-start", &in);
        else {
          if (!warm) measure(n, timer, START_ROUNDS, 0, "-start", &in);
          measure(n, timer, wanted, late, "", &in);
        }
      }
    }
}
