/* The second VM: owns no memory and no device; its console is the resource manager's. */
#include "lab.h"

static void say(const char *text, u64 number) {
  static struct {
    u16 target, count;
    char text[96];
  } line;
  char *at = line.text;
  for (; *text; text++) {
    if (*text != '#') {
      *at++ = *text;
      continue;
    }
    char digits[20];
    int n = 0;
    do digits[n++] = (char)('0' + number % 10);
    while (number /= 10);
    while (n) *at++ = digits[--n];
  }
  line.count = (u16)(at - line.text);
  rm_call(CONSOLE_WRITE, &line, 4 + line.count, 0, 0);
}

void echo_main(const u8 *tree) {
  static struct note note;
  struct queues echo, rm;
  if (!tree_find_queues(tree, "gunyah-resource-manager", &rm) || !tree_find_queues(tree, "echo", &echo)) power_off();
  rm_start(&rm);
  queue_listen(&echo);
  static const u8 own[4];
  rm_call(CONSOLE_OPEN, own, 4, 0, 0);
  say("up on # MiB that are lent to me", LEND_BYTES >> 20);
  for (u64 count = 0;;) {
    u64 size = queue_poll(&echo, &note, sizeof note);
    if (!size) {
      rest();
    } else if (size == 3) {
      static const u8 exit[4] = {0, 0, 0, 0};
      say("# messages answered; leaving", count);
      rm_call(VM_EXIT, exit, 4, 0, 0);
      for (;;) __asm__ volatile("wfi");
    } else {
      answer(&note);
      count++;
      queue_send(&echo, &note, size, 0);
    }
  }
}
