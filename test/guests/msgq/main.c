/*
 * Measures Gunyah's message queues and doorbells from inside: two VMs of this image, `one` and `two`, are told on the console
 * what to do, a line a job, and answer with samples in nanoseconds and a line `end`. Links by the names of their nodes: `loop`
 * (a VM with itself), `short` and `long` (queues between the two), `there` and `back` (doorbells).
 *
 *   psci N          one   so many samples of a PSCI_VERSION call
 *   self BYTES N    one   msgqueue_send and msgqueue_receive on `loop`, which is empty before and after
 *   kept BYTES N    one   the same while another message stays in the queue, so that no interrupt is asserted
 *   taken BYTES N   one   the same, and each message's interrupt is taken before the message is received
 *   ask BYTES N US  one   round trips over `short`, US microseconds of WFI before each
 *   echo            two   answers them, until a message of one byte comes
 *   send LINK N     one   so many messages of 240 bytes over `short` or `long`
 *   take LINK N     two   receives them and says how long they took
 *   ring N US       one   rings `there` and waits for `back`, never in WFI, US microseconds before each
 *   answer N        two   rings `back` from the interrupt handler, never in WFI
 *   beat US         any   sends a message over `loop` and prints a dot when it has come back, every US microseconds, for ever
 */
#include "../gunyah/gunyah.h"

enum { BATCH = 50, SAMPLES_MAX = 8192, STREAM_BYTES = 240, TRIES = 200, BELL_RECEIVE = 0x13 };

static const u8 *const tree = (const u8 *)0x40000000;
static u64 samples[SAMPLES_MAX];
static u8 out[1024] ALIGNED(64), in[1024] ALIGNED(64);
static volatile u32 rang;
static u32 bell_irq;
static u64 bell_to, bell_from;
static int answers;

/* ---- interrupts: taken as exceptions, as an operating system does ---- */

static void take_interrupt(struct cpu *cpu, struct frame *frame, u64 vector) {
  (void)cpu;
  if (vector != 5) {
    print("vector %lu esr %lx elr %lx far %lx\n", vector, frame->esr, frame->elr, frame->far);
    power_off();
  }
  for (;;) {
    u64 intid = READ_SYSREG(ICC_IAR1) & 0xffffff;
    if (intid >= 1020) return;
    if (intid == INTID_CNTV) WRITE_SYSREG(cntv_ctl_el0, 0);
    WRITE_SYSREG(ICC_EOIR1, intid);
    ISB();
    if (intid != bell_irq || !bell_irq) continue;
    (void)HVC_NATIVE(BELL_RECEIVE, bell_from, ~0ull, 0, 0);
    if (answers) (void)HVC_NATIVE(BELL_SEND, bell_to, 1, 0, 0);
    rang++;
  }
}

static void mask(void) { __asm__ volatile("msr daifset, #2" : : : "memory"); }
static void unmask(void) { __asm__ volatile("msr daifclr, #2\n isb" : : : "memory"); }

/* Interrupts are masked: waits for one, and takes it. */
static void wait(void) {
  __asm__ volatile("wfi" : : : "memory");
  unmask();
  mask();
}

/* At least so long in WFI. */
static void pause_us(u64 us) {
  u64 end = ticks_now() + us * (READ_SYSREG(cntfrq_el0) / 1000000);
  while (ticks_now() < end) {
    WRITE_SYSREG(cntv_cval_el0, end);
    WRITE_SYSREG(cntv_ctl_el0, 1);
    ISB();
    wait();
  }
}
static void spin_us(u64 us) {
  u64 end = ticks_now() + us * (READ_SYSREG(cntfrq_el0) / 1000000);
  while (ticks_now() < end) {}
}

/* ---- the console ---- */

#define UART ((volatile u32 *)0x09000000)

static void read_line(char *line, u32 room) {
  for (u32 n = 0;;) {
    while (UART[0x18 / 4] & 1 << 4) pause_us(2000);     /* FR.RXFE */
    char c = (char)UART[0];
    if (c == '\n') {
      line[n] = 0;
      return;
    }
    if (n + 1 < room) line[n++] = c;
  }
}

/* Ten samples a line, as the whole of one does not fit the console's buffer at once. */
static void show(u32 count) {
  for (u32 n = 0; n < count; n++) print(n % 10 == 9 || n + 1 == count ? "%lu\n" : "%lu ", samples[n]);
}

/* ---- the jobs ---- */

static u64 words[4];
static u32 bounded(u64 count) { return count < SAMPLES_MAX ? (u32)count : SAMPLES_MAX; }

static void must(const char *what, u64 error) {
  if (!error) return;
  print("%s answers %lx\n", what, error);
  power_off();
}

/* What is asserted before it is an edge would be lost: all interrupts are listened to before anybody is told that we are ready. */
static void listen(int is_one) {
  static const char *const names[] = {"loop", "short", "long"};
  struct queues q;
  for (u32 n = 0; n < 3; n++)
    if (tree_find_queues(tree, names[n], &q)) queue_listen(&q);
  if (tree_find_bell(tree, is_one ? "there" : "back", &q)) bell_to = q.tx;
  if (!tree_find_bell(tree, is_one ? "back" : "there", &q)) return;
  bell_from = q.tx;
  bell_irq = q.rx_irq;
  irq_listen(bell_irq);
}

static void queue_of(const char *name, struct queues *q) {
  if (!tree_find_queues(tree, name, q)) {
    print("no link %s\n", name);
    power_off();
  }
}

static void psci(void) {
  u32 count = bounded(words[0]);
  for (u32 n = 0; n < count; n++) {
    u64 from = ticks_now();
    for (u32 i = 0; i < BATCH; i++) (void)hvc(PSCI_VERSION, 0, 0, 0);
    samples[n] = ticks_to_ns(ticks_now() - from) / BATCH;
  }
  show(count);
}

/* `kept` messages wait in the queue beside the one that is sent and received. */
static void self(u32 kept) {
  struct queues q;
  queue_of("loop", &q);
  u64 size = words[0];
  u32 count = bounded(words[1]);
  for (u32 n = 0; n < kept; n++) must("send", HVC_NATIVE(QUEUE_SEND, q.tx, size, out, 0).x[0]);
  for (u32 n = 0; n < count; n++) {
    u64 errors = 0;
    out[0]++;
    u64 from = ticks_now();
    for (u32 i = 0; i < BATCH; i++) {
      errors |= HVC_NATIVE(QUEUE_SEND, q.tx, size, out, 0).x[0];
      errors |= HVC_NATIVE(QUEUE_RECEIVE, q.rx, in, sizeof in, 0).x[0];
    }
    samples[n] = ticks_to_ns(ticks_now() - from) / BATCH;
    must("a queue of its own", errors);
    if (memcmp(in, out, size)) must("compare", 1);
  }
  for (u32 n = 0; n < kept; n++) must("receive", HVC_NATIVE(QUEUE_RECEIVE, q.rx, in, sizeof in, 0).x[0]);
  show(count);
}

static void taken(void) {
  struct queues q;
  queue_of("loop", &q);
  u64 size = words[0];
  u32 count = bounded(words[1]);
  for (u32 n = 0; n < count; n++) {
    u64 errors = 0;
    u64 from = ticks_now();
    for (u32 i = 0; i < BATCH; i++) {
      errors |= HVC_NATIVE(QUEUE_SEND, q.tx, size, out, 0).x[0];
      wait();
      errors |= HVC_NATIVE(QUEUE_RECEIVE, q.rx, in, sizeof in, 0).x[0];
    }
    samples[n] = ticks_to_ns(ticks_now() - from) / BATCH;
    must("a queue of its own", errors);
  }
  show(count);
}

/* The next message; in WFI until it is there. Its size. */
static u64 take(const struct queues *q) {
  for (;;) {
    struct answer a = HVC_NATIVE(QUEUE_RECEIVE, q->rx, in, sizeof in, 0);
    if (a.x[0] == OK) return a.x[1];
    if (a.x[0] != E_EMPTY) must("receive", a.x[0]);
    wait();
  }
}

static void ask(void) {
  struct queues q;
  queue_of("short", &q);
  u64 size = words[0];
  u32 count = bounded(words[1]);
  for (u32 n = 0; n < count; n++) {
    out[0]++;
    if (words[2]) pause_us(words[2]);
    u64 from = ticks_now();
    must("send", HVC_NATIVE(QUEUE_SEND, q.tx, size, out, 0).x[0]);
    u64 got = take(&q);
    samples[n] = ticks_to_ns(ticks_now() - from);
    must("size", got != size);
    must("compare", (u64)memcmp(in, out, size));
  }
  must("send", HVC_NATIVE(QUEUE_SEND, q.tx, 1, out, 0).x[0]);
  show(count);
}

static void echo(void) {
  struct queues q;
  queue_of("short", &q);
  for (;;) {
    u64 size = take(&q);
    if (size == 1) return;
    must("send", HVC_NATIVE(QUEUE_SEND, q.tx, size, in, 0).x[0]);
  }
}

static const char *link_name;

static void stream_out(void) {
  struct queues q;
  queue_of(link_name, &q);
  for (u64 n = 0; n < words[1]; n++) {
    *(u64 *)out = n;
    for (u32 tries = 0;; tries++) {
      u64 error = HVC_NATIVE(QUEUE_SEND, q.tx, STREAM_BYTES, out, 0).x[0];
      if (error == OK) break;
      if (error != E_FULL) must("send", error);
      if (tries >= TRIES) wait();
    }
  }
}

static void stream_in(void) {
  struct queues q;
  queue_of(link_name, &q);
  u64 from = 0;
  for (u64 n = 0; n < words[1]; n++) {
    for (u32 tries = 0;; tries++) {
      u64 error = HVC_NATIVE(QUEUE_RECEIVE, q.rx, in, sizeof in, 0).x[0];
      if (error == OK) break;
      if (error != E_EMPTY) must("receive", error);
      if (tries >= TRIES || !n) wait();
    }
    if (*(u64 *)in != n) must("order", 1);
    if (!n) from = ticks_now();
  }
  samples[0] = ticks_to_ns(ticks_now() - from);
  show(1);
}

static void ring(void) {
  u32 count = bounded(words[0]), before = rang;
  unmask();
  for (u32 n = 0; n < count; n++) {
    if (words[1]) spin_us(words[1]);
    u64 from = ticks_now();
    must("ring", HVC_NATIVE(BELL_SEND, bell_to, 1, 0, 0).x[0]);
    while (rang - before == n) {}
    samples[n] = ticks_to_ns(ticks_now() - from) / 2;
  }
  mask();
  show(count);
}

static void answer(void) {
  static u32 before;
  answers = 1;
  /* One that came before we were told to answer. */
  if (rang != before) (void)HVC_NATIVE(BELL_SEND, bell_to, 1, 0, 0);
  unmask();
  while (rang - before < words[0]) {}
  mask();
  answers = 0;
  before = rang;
}

static void beat(void) {
  struct queues q;
  queue_of("loop", &q);
  for (;;) {
    must("send", HVC_NATIVE(QUEUE_SEND, q.tx, STREAM_BYTES, out, 0).x[0]);
    must("size", take(&q) != STREAM_BYTES);
    put_char('.');
    pause_us(words[0]);
  }
}

static u64 number(const char **at) {
  u64 value = 0;
  while (**at == ' ') ++*at;
  for (; **at >= '0' && **at <= '9'; ++*at) value = value * 10 + (u64)(**at - '0');
  return value;
}

static void job(const char *line) {
  static const struct {
    const char *name;
    void (*run)(void);
  } jobs[] = {{"psci ", psci}, {"taken ", taken}, {"ask ", ask}, {"echo", echo}, {"send ", stream_out}, {"take ", stream_in},
              {"ring ", ring}, {"answer ", answer}, {"beat ", beat}};
  const char *at = line;
  while (*at && *at != ' ') at++;
  link_name = !memcmp(at, " long", 5) ? "long" : "short";
  if (!memcmp(at, " long", 5)) at += 5;
  else if (!memcmp(at, " short", 6)) at += 6;
  u32 first = line[0] == 's' && line[1] == 'e' && line[2] == 'n' ? 1 : !memcmp(line, "take ", 5);
  for (u32 n = first; n < 4; n++) words[n] = number(&at);
  if (!memcmp(line, "self ", 5)) self(0);
  else if (!memcmp(line, "kept ", 5)) self(1);
  else
    for (u32 n = 0; n < sizeof jobs / sizeof jobs[0]; n++)
      if (!memcmp(line, jobs[n].name, strlen(jobs[n].name))) jobs[n].run();
  print("end\n");
}

void guest_main(void) {
  static char line[64];
  gic_start();
  gic_enable(INTID_CNTV, 0x80);
  this_cpu()->hook = take_interrupt;
  struct queues q;
  listen(tree_find_bell(tree, "back", &q) && q.rx_irq);
  char started[16];
  if (boot_option("beat", started, sizeof started)) {
    const char *at = started;
    words[0] = number(&at);
    beat();
  }
  print("ready\n");
  for (;;) {
    read_line(line, sizeof line);
    job(line);
  }
}
