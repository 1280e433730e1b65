/*
 * Two VMs at the ends of two doorbells and two regions of shared memory, as a lab links them: `role=ping` counts, rings "go" and
 * waits for "back"; `role=pong` answers three times the number. Both may write "board"; "notice" is for ping to write and for pong to read.
 */
#include "../gunyah/gunyah.h"
#include "../runtime/mmu.h"

enum { ROUNDS = 200, BELL_RECEIVE = 0x13, SECONDS_MAX = 120, NAP_SECONDS = 10 };
enum { LINK_PAGE = PTE_VALID | PTE_RAM | PTE_UXN | PTE_PXN };
static struct queues go, back;
static volatile u64 *board, *notice;
static u64 aborts;

/* Skips the instruction that was refused. */
static void on_abort(struct cpu *cpu, struct frame *frame, u64 vector) {
  (void)cpu;
  if (vector != 4 || frame->esr >> 26 != 0x25) panic("an exception that is no data abort");
  aborts++;
  frame->elr += 4;
}

/* Shared memory lies above RAM: a block of 2 MiB where the tree says. */
static volatile u64 *region(const u8 *tree, const char *name) {
  struct queues at;
  if (!tree_find_bell(tree, name, &at)) panic("a region is not in the device tree");
  entry_set(entry_of(kernel_l0, at.tx, 2), at.tx | LINK_PAGE);
  return (volatile u64 *)at.tx;
}

/* WFI that only an interrupt of the doorbell ends soon; whether the timer had to. */
static int nap(void) {
  u64 from = ticks_now(), most = NAP_SECONDS * READ_SYSREG(cntfrq_el0);
  WRITE_SYSREG(cntv_tval_el0, most);
  WRITE_SYSREG(cntv_ctl_el0, 1);
  ISB();
  __asm__ volatile("wfi");
  WRITE_SYSREG(cntv_ctl_el0, 0);
  for (;;) {
    u64 intid = READ_SYSREG(ICC_IAR1);
    if ((intid & 0xffffff) >= 1020) break;
    WRITE_SYSREG(ICC_EOIR1, intid);
    ISB();
  }
  return ticks_now() - from >= most;
}

/* Waits until *word is `value`; the doorbell's flags are taken every time. How often no interrupt
   came for long. */
static u64 wait_for(const struct queues *bell, volatile u64 *word, u64 value, u64 *flags) {
  u64 late = 0, end = ticks_now() + SECONDS_MAX * READ_SYSREG(cntfrq_el0);
  for (;;) {
    struct answer a = HVC_NATIVE(BELL_RECEIVE, bell->tx, ~0ull, 0, 0);
    if (a.x[0] != OK) panic("a doorbell that cannot be received from");
    *flags |= a.x[1];
    DSB();
    if (*word == value) return late;
    if (ticks_now() > end) panic("the other VM does not answer");
    late += (u64)nap();
  }
}

static void ring(const struct queues *bell, u64 flags) {
  DSB();
  if (HVC_NATIVE(BELL_SEND, bell->tx, flags, 0, 0).x[0] != OK) panic("a doorbell that cannot be rung");
}

static void ping(void) {
  u64 flags = 0, good = 0, late = 0;
  notice[0] = 0x6e6f74696365;
  for (u64 n = 1; n <= ROUNDS; n++) {
    board[0] = n;
    ring(&go, 1);
    u64 waited = wait_for(&back, &board[1], n, &flags);
    if (n > 1) late += waited; /* the other one is up */
    good += board[2] == 3 * n;
  }
  print("%lu of %u answers right, %lu late, flags %lx, receiving at the wrong end %lu\n", good, ROUNDS, late, flags,
        HVC_NATIVE(BELL_RECEIVE, go.tx, 1, 0, 0).x[0]);
}

static void pong(void) {
  u64 flags = 0;
  for (u64 n = 1; n <= ROUNDS; n++) {
    wait_for(&go, &board[0], n, &flags);
    if (n == 1) {
      u64 said = notice[0];
      this_cpu()->hook = on_abort;
      notice[0] = 0;
      this_cpu()->hook = 0;
      print("the notice %s, writing to it %lu aborts\n", said == 0x6e6f74696365 && notice[0] == said ? "stays" : "is gone", aborts);
    }
    board[2] = 3 * n;
    DSB();
    board[1] = n;
    ring(&back, 4);
  }
  print("answered, flags %lx\n", flags);
}

void guest_main(void) {
  const u8 *tree = (const u8 *)0x40000000;
  char role[8];
  gic_start();
  gic_enable(INTID_CNTV, 0x80);
  if (!boot_option("role", role, sizeof role) || !tree_find_bell(tree, "go", &go) || !tree_find_bell(tree, "back", &back))
    panic("no role, or no doorbells in the device tree");
  board = region(tree, "board");
  notice = region(tree, "notice");
  const struct queues *mine = role[1] == 'i' ? &back : &go;
  if (!mine->rx_irq) panic("the target of a doorbell has no interrupt");
  irq_listen(mine->rx_irq);
  if (mine == &back) ping();
  else pong();
  power_off();
}
