/* Hypercalls by function identifier, queues, waiting. */
#include "gunyah.h"

#define CALL(instruction) \
  register u64 x0 __asm__("x0") = function; register u64 x1 __asm__("x1") = a1; register u64 x2 __asm__("x2") = a2; \
  register u64 x3 __asm__("x3") = a3; register u64 x4 __asm__("x4") = a4; \
  __asm__ volatile(instruction : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3), "+r"(x4) : : "x5", "x6", "x7", "x8", "x9", \
                   "x10", "x11", "x12", "x13", "x14", "x15", "x16", "x17", "memory"); \
  return (struct answer){{x0, x1, x2, x3, x4}}

struct answer smccc_hvc(u64 function, u64 a1, u64 a2, u64 a3, u64 a4) { CALL("hvc #0"); }
struct answer smccc_smc(u64 function, u64 a1, u64 a2, u64 a3, u64 a4) { CALL("smc #0"); }

/* Takes and ends every interrupt that is pending: they only have to end WFI. */
static void drain_interrupts(void) {
  for (;;) {
    u64 intid = READ_SYSREG(ICC_IAR1);
    if ((intid & 0xffffff) >= 1020) return;
    WRITE_SYSREG(ICC_EOIR1, intid);
    ISB();
  }
}

void irq_listen(u32 intid) {
  ((volatile u8 *)GICD)[0x400 + intid] = 0x80;
  GICD[(0x80 + intid / 32 * 4) / 4] |= 1u << (intid & 31);      /* group 1 */
  GICD[(0xc00 + intid / 16 * 4) / 4] |= 2u << (intid % 16 * 2); /* edge */
  GICD[(0x6000 + intid * 8) / 4] = 0;                           /* to CPU 0 */
  GICD[(0x100 + intid / 32 * 4) / 4] = 1u << (intid & 31);
  DSB();
}

void queue_listen(const struct queues *q) {
  irq_listen(q->tx_irq);
  irq_listen(q->rx_irq);
}

static u64 ms_now(void) { return ticks_to_ns(ticks_now()) / 1000000; }

/* WFI with a timer, so that what never comes is noticed. */
void doze(void) {
  WRITE_SYSREG(cntv_tval_el0, READ_SYSREG(cntfrq_el0) / 50);
  WRITE_SYSREG(cntv_ctl_el0, 1);
  ISB();
  __asm__ volatile("wfi");
  WRITE_SYSREG(cntv_ctl_el0, 0);
  drain_interrupts();
}

void (*while_waiting)(void) = doze;

u64 queue_send(const struct queues *q, const void *data, u64 size, int push) {
  for (;;) {
    struct answer a = smccc_hvc(SMCCC_CALL(QUEUE_SEND), q->tx, size, (u64)data, push);
    if (a.x[0] != E_FULL) return a.x[0];
    while_waiting();
  }
}

u64 queue_wait(const struct queues *q, void *into, u64 room, u64 ms) {
  u64 end = ms_now() + ms;
  for (;;) {
    struct answer a = HVC_NATIVE(QUEUE_RECEIVE, q->rx, into, room, 0);
    if (a.x[0] == OK) return a.x[1];
    if (a.x[0] != E_EMPTY || ms_now() >= end) return 0;
    while_waiting();
  }
}
