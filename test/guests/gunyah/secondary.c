/*
 * The second VM: no console, only queues. Echoes what it receives with every byte one higher; "end" makes it leave by
 * VM_EXIT, "off" by PSCI, "spin" never again receive.
 */
#include "gunyah.h"

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
    if (size == 4 && !memcmp(message, "spin", 4)) for (;;) __asm__ volatile("wfi");
    for (u64 n = 0; n < size; n++) message[n]++;
    queue_send(&echo, message, size, 0);
  }
}
