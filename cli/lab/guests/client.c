/* The third VM: sends bursts of messages, to the primary and through it to echo, and measures how long answers take. */
#include "lab.h"

enum { BURST = 4, SECONDS_DEFAULT = 5, BUCKETS = 400 };
static struct queues chat;

/* Times by sixteenths of a doubling of 256 ns. */
static struct times {
  u64 count, worst;
  u32 buckets[BUCKETS];
} to_primary, to_echo;

static void add(struct times *t, u64 ns) {
  u64 scaled = ns < 256 ? 256 : ns;
  u32 doublings = 63 - (u32)__builtin_clzll(scaled);
  u32 bucket = (doublings - 8) * 16 + (u32)(scaled >> (doublings - 4) & 15);
  t->buckets[bucket < BUCKETS ? bucket : BUCKETS - 1]++;
  t->count++;
  if (ns > t->worst) t->worst = ns;
}

static u64 percentile(const struct times *t, u64 hundredths) {
  u64 left = (t->count * hundredths + 9999) / 10000;
  for (u32 n = 0; n < BUCKETS; n++) {
    if (left <= t->buckets[n]) return (16ull + n % 16 + 1) << (n / 16 + 4);
    left -= t->buckets[n];
  }
  return t->worst;
}

static void report(const char *name, const struct times *t) {
  if (!t->count) return;
  u64 p50 = percentile(t, 5000), p99 = percentile(t, 9900);
  print("%s %7lu answers, round trip p50 %lu.%lu us, p99 %lu.%lu us\n", name, t->count, p50 / 1000, p50 / 100 % 10,
        p99 / 1000, p99 / 100 % 10);
}

static u64 number_option(const char *key, u64 otherwise) {
  char text[8];
  if (!boot_option(key, text, sizeof text)) return otherwise;
  u64 value = 0;
  for (const char *at = text; *at >= '0' && *at <= '9'; at++) value = value * 10 + (u64)(*at - '0');
  return value;
}

/* A burst of messages out and all of their answers back; wrong ones. */
static u64 burst(u32 *number) {
  static struct note out, in;
  static u64 sent_at[BURST];
  u64 wrong = 0;
  for (int n = 0; n < BURST; n++) {
    out.number = *number + (u32)n;
    out.to = n & 1 ? 'e' : 'p';
    for (int i = 0; i < 6; i++) out.words[i] = (u64)out.number * 6 + (u64)i;
    sent_at[n] = ticks_now();
    queue_send(&chat, &out, sizeof out, 0);
  }
  for (int n = 0; n < BURST; n++) {
    if (queue_wait(&chat, &in, sizeof in, 30000) != sizeof in) return ~0ull;
    u32 index = in.number - *number;
    if (index >= BURST) return ~0ull;
    add(index & 1 ? &to_echo : &to_primary, ticks_to_ns(ticks_now() - sent_at[index]));
    for (int i = 0; i < 6; i++) wrong += in.words[i] != (u64)in.number * 6 + (u64)i + 1;
  }
  *number += BURST;
  return wrong;
}

void client_main(const u8 *tree) {
  if (!tree_find_queues(tree, "chat", &chat)) panic("no link chat in the device tree");
  queue_listen(&chat);
  u64 seconds = number_option("seconds", SECONDS_DEFAULT), wrong = 0;
  u32 number = 0;
  print("sending bursts of %u for %lu s\n", BURST, seconds);
  wrong = burst(&number); /* the others are up when its answers are here */
  u64 start = ticks_now(), said = 0;
  to_primary = to_echo = (struct times){0, 0, {0}};
  while (wrong == 0) {
    u64 passed = ticks_to_ns(ticks_now() - start) / 1000000000;
    if (passed >= seconds) break;
    if (passed > said) print("%lu s: %u messages\n", said = passed, number);
    wrong = burst(&number);
  }
  struct note bye = {.to = 'x'};
  queue_send(&chat, &bye, sizeof bye, 1);
  report("primary", &to_primary);
  report("echo   ", &to_echo);
  if (wrong) {
    print("an answer was wrong or did not come\n");
    hvc(0x84000009, 0, 0, 0);
  }
  print("%u messages, every answer right\n", number);
  power_off();
}
