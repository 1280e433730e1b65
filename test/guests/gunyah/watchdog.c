/* The watchdog (gunyah.md 1.6): its calls, its bark, and its bite, which ends the VM that does not ping. */
#include "gunyah.h"

enum { CONTROL = 0x86000005, STATUS, PING, SET_TIME };
enum { ENABLE = 3, DISABLE = 2 };

static u64 call(u32 function, u64 a, u64 b) { return smccc_smc(function, a, b, 0, 0).x[0]; }

static int is_pending(u64 intid) { return GICD[(0x200 + intid / 32 * 4) / 4] >> (intid & 31) & 1; }

void watchdog_checks(const u8 *tree) {
  check_is("watchdog: STATUS", call(STATUS, 0, 0), OK);
  check_is("watchdog: HVC does as well", smccc_hvc(STATUS, 0, 0, 0, 0).x[0], OK);
  check_is("watchdog: an unknown function", call(0x86000009, 0, 0), ~0ull);
  check_is("watchdog: bit 1 of CONTROL is set", call(CONTROL, 1, 0), E_ARGUMENT_INVALID);
  check_is("watchdog: other bits are not", call(CONTROL, 7, 0), E_ARGUMENT_INVALID);
  check_is("watchdog: stopping a stopped one is no error", call(CONTROL, DISABLE, 0), OK);
  check_is("watchdog: no time to bite", call(SET_TIME, 0, 0), E_ARGUMENT_INVALID);
  check_is("watchdog: SET_TIME", call(SET_TIME, 100, 600000), OK);
  check_is("watchdog: start", call(CONTROL, ENABLE, 0), OK);
  u64 bark = tree_watchdog_irq(tree), end = ticks_now() + READ_SYSREG(cntfrq_el0) * 60;
  while (!is_pending(bark) && ticks_now() < end) doze();
  check("watchdog: it barks", bark >= 32 && is_pending(bark));
  check("watchdog: ... not before its time", smccc_smc(STATUS, 0, 0, 0, 0).x[2] >= 100);
  u64 before = smccc_smc(STATUS, 0, 0, 0, 0).x[2];
  check_is("watchdog: PING", call(PING, 0, 0), OK);
  check("watchdog: the count begins anew", smccc_smc(STATUS, 0, 0, 0, 0).x[2] < before);
  check_is("watchdog: stop", call(CONTROL, DISABLE, 0), OK);
}

void watchdog_bites(void) {
  call(SET_TIME, 50, 50);
  call(CONTROL, ENABLE, 0);
  for (;;) __asm__ volatile("wfi");
}

/* The second VM: tells whether it has one, or does not ping it. */
int watchdog_message(const u8 *message, u64 size, const struct queues *q) {
  if (size != 4 || memcmp(message, "dog", 3)) return 0;
  if (message[3] == '?') {
    u64 answer[2] = {call(STATUS, 0, 0), 0};
    queue_send(q, answer, sizeof answer, 1);
    return 1;
  }
  call(SET_TIME, 20, 40);
  call(CONTROL, ENABLE, 0);
  for (;;) if (message[3] == '!') __asm__ volatile("wfi");
}
