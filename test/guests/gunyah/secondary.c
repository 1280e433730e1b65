/*
 * The second VM: no console, only queues. Echoes what it receives with every byte one higher; "end" makes it leave by
 * VM_EXIT, "off" by PSCI, "rst2" by SYSTEM_RESET2; "fuzz" makes it hostile for a while.
 */
#include "gunyah.h"

static u64 random_state = 0x9e3779b97f4a7c15ull;
static u64 random_next(void) {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  random_state ^= random_state << 17;
  return random_state;
}

/* Values that name something, point somewhere, or mean nothing. */
static u64 random_argument(void *scratch) {
  u64 r = random_next();
  switch (r & 7) {
  case 0: return (u64)scratch + (r >> 8 & 0xfff);
  case 1: return r;
  case 2: return r >> 32;
  case 3: return ~0ull << (r >> 8 & 63);
  default: return r >> 8 & 15;
  }
}

/* Hypercalls with random numbers and registers; the two pages at scratch are what may be written to. */
static void fuzz(u32 calls) {
  static u8 scratch[8192] ALIGNED(4096);
  for (u32 n = 0; n < calls; n++) {
    u64 r = random_next();
    u64 function = SMCCC_CALL(r % 0x6d);
    if ((r >> 32 & 15) == 0) function = 0x86000000 | (r >> 40 & 0xffff);
    if ((r >> 32 & 15) == 1) function = 0xc6000000 | (r >> 40 & 0xffffff);
    u64 a[4];
    for (int i = 0; i < 4; i++) a[i] = random_argument(scratch);
    if (r >> 63) smccc_hvc(function, a[0], a[1], a[2], a[3]);
    else smccc_smc(function, a[0], a[1], a[2], a[3]);
  }
}

/* Never waits, until something is sent; how far it came. */
static u64 busy(const struct queues *q) {
  static u8 in[240];
  for (u64 count = 0;; count++) {
    for (volatile u32 n = 0; n < 2000; n++) {}
    if (HVC_NATIVE(QUEUE_RECEIVE, q->rx, in, sizeof in, 0).x[0] == OK) return count;
  }
}

void secondary_main(const u8 *tree) {
  static u8 message[240];
  struct queues echo, rm;
  if (!tree_find_queues(tree, "gunyah-resource-manager", &rm)) power_off();
  if (!tree_find_queues(tree, "echo", &echo)) power_off();
  gic_start();
  gic_enable(INTID_CNTV, 0x80);
  rm_start(&rm);
  queue_listen(&echo);
  for (;;) {
    u64 size = queue_wait(&echo, message, sizeof message, 1000);
    if (!size) continue;
    if (size == 3 && !memcmp(message, "end", 3)) {
      static const u8 exit[4] = {1, 0, 3, 0};
      rm_call(0x56000085, exit, 4, 0, 0);
      for (;;) __asm__ volatile("wfi");
    }
    if (size == 3 && !memcmp(message, "off", 3)) power_off();
    if (size == 4 && !memcmp(message, "rst2", 4)) hvc(0xc4000012, 0x80000007, 0x1122334455667788, 0);
    if (watchdog_message(message, size, &echo)) continue;
    if (size == 12 && !memcmp(message, "fuzz", 4)) {     /* number of calls, seed */
      u32 words[2];
      memcpy(words, message + 4, 8);
      random_state = 0x9e3779b97f4a7c15ull ^ words[1];
      fuzz(words[0]);
      queue_send(&echo, "done", 4, 1);
      continue;
    }
    if (size == 4 && !memcmp(message, "busy", 4)) {
      u64 count = busy(&echo);
      queue_send(&echo, &count, sizeof count, 1);
      continue;
    }
    if (virtio_message(message, size, &echo, tree)) continue;
    if (proxied_message(message, size, &echo)) continue;
    for (u64 n = 0; n < size; n++) message[n]++;
    queue_send(&echo, message, size, 0);
  }
}
