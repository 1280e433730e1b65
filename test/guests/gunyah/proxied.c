/*
 * vcpu_run: the primary VM runs the vCPU of the second one, which spins, waits, and touches devices that are not there, so
 * that every exit state comes up (gunyah.md 2.9). Device addresses lie in the range below 1 GiB that RM makes an owner's.
 */
#include "gunyah.h"

enum { READY, EXPECTS_WAKEUP, POWERED_OFF, BLOCKED, VMMIO_READ, VMMIO_WRITE, SYSTEM_RESET = 0x100 };
enum { DEVICE = 0x10000000 };

/* ---- the second VM ---- */

static u64 aborts;
static void skip_abort(struct cpu *cpu, struct frame *frame, u64 vector) {
  (void)cpu;
  (void)vector;
  if (frame->esr >> 26 != 0x25) panic("not a data abort");
  aborts++;
  frame->elr += 4;
}

static u64 device_accesses(void) {
  volatile u8 *device = (volatile u8 *)(u64)DEVICE;
  u64 sum = *(volatile u32 *)(device + 0x40);
  *(volatile u64 *)(device + 0x48) = sum + 1;
  sum += *(volatile u16 *)(device + 0x50);
  sum += *(volatile u8 *)(device + 0x53);
  *(volatile u16 *)(device + 0x54) = 0xbeef;
  sum += *(volatile u64 *)(device + 0x58);
  u64 a = 0, b = 0;
  exception_hook *before = this_cpu()->hook;
  aborts = 0;
  this_cpu()->hook = skip_abort;
  __asm__ volatile("ldp %0, %1, [%2]" : "=&r"(a), "=&r"(b) : "r"(device + 0x80) : "memory");
  __asm__ volatile("ldr %0, [%1], #8" : "=&r"(a), "+r"(device) : : "memory");
  device = (volatile u8 *)0x3fffffff;
  __asm__ volatile("ldrb %w0, [%1]" : "=&r"(a) : "r"(device) : "memory");
  this_cpu()->hook = before;
  return sum + a;
}

int proxied_message(const u8 *message, u64 size, const struct queues *q) {
  if (size == 4 && !memcmp(message, "mmio", 4)) {
    u64 answer[2] = {device_accesses(), aborts};
    queue_send(q, answer, sizeof answer, 1);
  } else if (size == 4 && !memcmp(message, "spin", 4)) {
    u64 end = ticks_now() + READ_SYSREG(cntfrq_el0) / 5;
    while (ticks_now() < end) {}
    queue_send(q, "spun", 4, 1);
  } else if (size == 4 && !memcmp(message, "nap!", 4)) {
    WRITE_SYSREG(cntv_tval_el0, READ_SYSREG(cntfrq_el0) / 4);   /* on a busy host it takes a while to get to sleep */
    WRITE_SYSREG(cntv_ctl_el0, 1);
    ISB();
    u64 answer = hvc(0xc4000001, 0x42, 0, 0);             /* CPU_SUSPEND */
    WRITE_SYSREG(cntv_ctl_el0, 0);
    queue_send(q, &answer, sizeof answer, 1);
  } else if (size == 5 && !memcmp(message, "reset", 5)) {
    hvc(0x84000009, 0, 0, 0);
  } else return 0;
  return 1;
}

/* ---- the first one ---- */

static const struct vcpu *second;
static u64 states_seen;                               /* bit n: state n */

/* In both call forms by turns. */
static struct answer run(u64 resume) {
  static int native;
  struct answer a = (native ^= 1) ? HVC_NATIVE(VCPU_RUN, second->capability, resume, 0, 0)
                                  : smccc_hvc(SMCCC_CALL(VCPU_RUN), second->capability, resume, 0, 0);
  if (a.x[0] == OK && a.x[1] < 64) states_seen |= 1ull << a.x[1];
  return a;
}

/* Runs it until it waits, and then waits for whatever comes first, its wake-up interrupt or a message. */
static void run_while_waiting(void) {
  struct answer a = run(0);
  if (a.x[0] == OK && a.x[1] == EXPECTS_WAKEUP) doze();
}

/* Runs it until it exits with `state`, within some seconds. */
static struct answer run_until(u64 state, u64 resume) {
  struct answer a = run(resume);
  for (int tries = 0; tries < 5000 && a.x[0] == OK && a.x[1] != state; tries++) {
    if (a.x[1] == EXPECTS_WAKEUP) doze();
    if (a.x[1] >= VMMIO_READ) break;
    a = run(0);
  }
  return a;
}

static void check_access(const char *name, u64 state, u64 resume, u64 at, u64 size, u64 value) {
  struct answer a = run_until(state, resume);
  int good = a.x[0] == OK && a.x[1] == state && a.x[2] == DEVICE + at && a.x[3] == size && a.x[4] == value;
  if (!good) print("# error %lx state %lx at %lx size %lx value %lx\n", a.x[0], a.x[1], a.x[2], a.x[3], a.x[4]);
  check(name, good);
}

void proxied_checks(const struct vcpu *vcpu, const struct queues *q) {
  static u8 in[240];
  second = vcpu;
  struct answer a = run_until(EXPECTS_WAKEUP, 0);
  check("vcpu_run: EXPECTS_WAKEUP, by WFI", a.x[0] == OK && a.x[1] == EXPECTS_WAKEUP && a.x[2] == 0 && a.x[3] == 1);
  check_is("vcpu_run: an action that is none", HVC_NATIVE(VCPU_RUN, second->capability, 0, 3, 0).x[0], E_ARGUMENT_INVALID);
  while_waiting = run_while_waiting;
  u64 good = 0;
  for (u32 n = 0; n < 50; n++) {
    u8 out[8] = {(u8)n, 1, 2, 3, 4, 5, 6, 7};
    if (queue_send(q, out, 8, 0) == OK && queue_wait(q, in, sizeof in, 20000) == 8 && in[0] == (u8)(n + 1)) good++;
  }
  check_is("50 messages come back from a vCPU that is run", good, 50);

  queue_send(q, "spin", 4, 1);
  u64 ready = 0;
  do {
    a = run(0);
    ready += a.x[0] == OK && a.x[1] == READY;
    if (a.x[1] == EXPECTS_WAKEUP) doze();
  } while (a.x[0] == OK && queue_wait(q, in, sizeof in, 0) != 4);
  check("vcpu_run: READY while it spins, more than once", ready >= 2);

  queue_send(q, "mmio", 4, 1);
  check_access("vcpu_run: VMMIO_READ of 4 bytes", VMMIO_READ, 0, 0x40, 4, 0);
  check_access("vcpu_run: VMMIO_WRITE of what was read, and 1", VMMIO_WRITE, 0xffffffff12345678, 0x48, 8, 0x12345679);
  check_access("vcpu_run: VMMIO_READ of 2 bytes", VMMIO_READ, 0, 0x50, 2, 0);
  check_access("vcpu_run: VMMIO_READ of a byte", VMMIO_READ, 0x1ffff, 0x53, 1, 0);
  check_access("vcpu_run: VMMIO_WRITE of 2 bytes", VMMIO_WRITE, 0x80, 0x54, 2, 0xbeef);
  check_access("vcpu_run: VMMIO_READ of 8 bytes", VMMIO_READ, 0, 0x58, 8, 0);
  a = run(0x1000000000000000);
  /* The pair and the one with write-back are the guest's own aborts; the next exit is the byte at the end of the range. */
  for (int tries = 0; tries < 1000 && a.x[0] == OK && a.x[1] == READY; tries++) a = run(0);
  check("vcpu_run: the last byte of the range", a.x[0] == OK && a.x[1] == VMMIO_READ && a.x[2] == 0x3fffffff && a.x[3] == 1);
  a = run(7);
  u64 answer[2] = {0, 0};
  check_is("the accesses gave what was answered", queue_wait(q, answer, sizeof answer, 20000), 16);
  check_is("... with every width", answer[0], 0x1000000000000000 + 0x12345678 + 0xffff + 0x80 + 7);
  check_is("a pair and a write-back are aborts of the guest", answer[1], 2);

  /* P17: the action says what becomes of the access. */
  queue_send(q, "mmio", 4, 1);
  a = run_until(VMMIO_READ, 0);
  a = HVC_NATIVE(VCPU_RUN, second->capability, 1, 1, 0);
  for (int tries = 0; tries < 1000 && a.x[0] == OK && a.x[1] == READY; tries++) a = run(0);
  check("vcpu_run: retry asks again", a.x[0] == OK && a.x[1] == VMMIO_READ && a.x[2] == DEVICE + 0x40);
  static const u64 rest[] = {1, 0, 2, 3, 0, 4, 5};
  for (u32 n = 0; n < 7; n++) {
    a = run(rest[n]);
    for (int tries = 0; tries < 1000 && a.x[0] == OK && a.x[1] == READY; tries++) a = run(0);
  }
  check("... and then goes on", queue_wait(q, answer, sizeof answer, 20000) == 16 && answer[0] == 1 + 2 + 3 + 4 + 5);

  queue_send(q, "nap!", 4, 1);
  for (int tries = 0; tries < 1000; tries++) {
    a = run(0);
    if (a.x[0] != OK || (a.x[1] == EXPECTS_WAKEUP && a.x[3] == 2)) break;
    if (a.x[1] == EXPECTS_WAKEUP) doze();
  }
  check("vcpu_run: EXPECTS_WAKEUP with the state of CPU_SUSPEND", a.x[0] == OK && a.x[1] == EXPECTS_WAKEUP && a.x[2] == 0x42 && a.x[3] == 2);
  u64 slept = ~0ull;
  check("its timer wakes it up", queue_wait(q, &slept, sizeof slept, 20000) == 8 && slept == 0);
  while_waiting = doze;

  queue_send(q, "reset", 5, 1);
  a = run_until(SYSTEM_RESET, 0);
  check("vcpu_run: PSCI_SYSTEM_RESET", a.x[0] == OK && a.x[1] == SYSTEM_RESET && a.x[2] == 1ull << 63);
  check("vcpu_run: these states came up", (states_seen & 0x33) == 0x33);
}

/* Another VM that is run resets itself with a type and a cookie, in the 64-bit form, which bit 62 tells. */
void proxied_reset2(const struct vcpu *vcpu, const struct queues *q) {
  second = vcpu;
  queue_send(q, "rst2", 4, 1);
  struct answer a = run_until(SYSTEM_RESET, 0);
  check("vcpu_run: PSCI_SYSTEM_RESET by SYSTEM_RESET2", a.x[0] == OK && a.x[1] == SYSTEM_RESET);
  check_is("... its type, and that it was the 64-bit form", a.x[2], 1ull << 62 | 0x80000007);
  check_is("... its cookie", a.x[3], 0x1122334455667788);
}
