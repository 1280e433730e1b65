/*
 * A virtio-mmio device whose driver is in the second VM and whose other side is here (gunyah.md 2.10): features, one queue, notifications and
 * interrupts both ways, a reset. The registers are memory that the driver's VM may only read: its stores are the hypervisor's to carry out.
 */
#include "gunyah.h"

enum {
  MAGIC = 0x00, DEVICE_FEATURES = 0x10, DEVICE_SELECT = 0x14, DRIVER_FEATURES = 0x20, DRIVER_SELECT = 0x24, QUEUE_SELECT = 0x30,
  QUEUE_MAX = 0x34, QUEUE_NUM = 0x38, QUEUE_READY = 0x44, NOTIFY = 0x50, INTERRUPT = 0x60, ACKNOWLEDGE = 0x64, STATUS = 0x70,
  QUEUE_DESC = 0x80, CONFIG = 0x100
};
enum { ASSERT = 0x4e, SET_FEATURES = 0x4f, SET_MAX = 0x50, GET_FEATURES = 0x51, GET_QUEUE = 0x52, GET_NOTIFICATION = 0x53, ACK_RESET = 0x54 };
enum { NEW_BUFFER = 1, RESET = 2, DRIVER_OK = 8 };
enum { MAGIC_VALUE = 0x74726976, DESC_AT = 0x40001000 };

static u32 get(u64 base, u32 offset) { return *(volatile u32 *)(base + offset); }
static void set(u64 base, u32 offset, u32 value) { *(volatile u32 *)(base + offset) = value; }

/* Waits until the driver has told all of `wanted`; the queues it named, or ~0 after five seconds. */
static u64 told(u64 device, u64 wanted) {
  u64 queues = 0, reasons = 0;
  for (u32 tries = 0; tries < 1000; tries++) {
    struct answer a = HVC_NATIVE(GET_NOTIFICATION, device, 0, 0, 0);
    if (a.x[0] != OK) return ~0ull;
    queues |= a.x[1];
    reasons |= a.x[2];
    if ((reasons & wanted) == wanted) return queues;
    while_waiting();
  }
  return ~0ull;
}

void virtio_checks(const struct virtio *v, const struct queues *q) {
  u64 answer[4] = {0};
  check("virtio: a device of the second VM, its page and its interrupt", v->base == 0x0b800000 && v->irq >= 960);
  irq_listen(v->irq);
  set(v->base, MAGIC, MAGIC_VALUE);
  check_is("virtio: features without VERSION_1 are refused", HVC_NATIVE(SET_FEATURES, v->capability, 1, 2, 0).x[0], 30);
  check_is("virtio: features", HVC_NATIVE(SET_FEATURES, v->capability, 1, 3, 0).x[0] | HVC_NATIVE(SET_FEATURES, v->capability, 0, 0x21, 0).x[0], OK);
  check_is("virtio: a queue of 128", HVC_NATIVE(SET_MAX, v->capability, 0, 128, 0).x[0], OK);
  check_is("virtio: there is one queue", HVC_NATIVE(SET_MAX, v->capability, 1, 128, 0).x[0], E_ARGUMENT_INVALID);
  queue_send(q, "virt", 4, 1);
  check_is("virtio: the driver is ready and names its queue", told(v->capability, DRIVER_OK | NEW_BUFFER), 1);
  check_is("virtio: the features it took", HVC_NATIVE(GET_FEATURES, v->capability, 0, 0, 0).x[1], 0x20);
  struct answer queue = HVC_NATIVE(GET_QUEUE, v->capability, 0, 0, 0);
  check("virtio: its queue", queue.x[0] == OK && queue.x[1] == 64 && queue.x[2] == 1 && queue.x[3] == DESC_AT);
  check_is("virtio: its byte of configuration space", get(v->base, CONFIG), 0x5a);
  check_is("virtio: the driver's interrupt", HVC_NATIVE(ASSERT, v->capability, 1, 0, 0).x[0], OK);
  check_is("virtio: it asks for a reset", told(v->capability, RESET), 0);
  check_is("virtio: no interrupt before the reset is over", HVC_NATIVE(ASSERT, v->capability, 1, 0, 0).x[0], 30);
  check_is("virtio: the reset is over", HVC_NATIVE(ACK_RESET, v->capability, 0, 0, 0).x[0], OK);
  queue_wait(q, answer, sizeof answer, 20000);
  check("virtio: what the driver read", answer[0] == MAGIC_VALUE && answer[1] == 0x21 && answer[2] == 128 && answer[3] == 1);
  check_is("virtio: nothing is left of it", get(v->base, INTERRUPT) | get(v->base, STATUS) | get(v->base, QUEUE_READY), 0);
}

int virtio_message(const u8 *message, u64 size, const struct queues *q, const u8 *tree) {
  if (size != 4 || memcmp(message, "virt", 4)) return 0;
  u64 base = 0, answer[4] = {0};
  u32 irq = tree_find_virtio(tree, &base);
  if (!irq) return 1;
  irq_listen(irq);
  answer[0] = get(base, MAGIC);
  set(base, STATUS, 0);
  set(base, STATUS, 3);
  set(base, DEVICE_SELECT, 0);
  answer[1] = get(base, DEVICE_FEATURES);
  set(base, DRIVER_SELECT, 0);
  set(base, DRIVER_FEATURES, 0x20);
  set(base, QUEUE_SELECT, 0);
  answer[2] = get(base, QUEUE_MAX);
  set(base, QUEUE_NUM, 64);
  set(base, QUEUE_DESC, DESC_AT);
  set(base, QUEUE_READY, 1);
  *(volatile u8 *)(base + CONFIG) = 0x5a;
  set(base, STATUS, 7);
  set(base, NOTIFY, 0);
  for (u32 tries = 0; tries < 1000 && !get(base, INTERRUPT); tries++) doze();
  answer[3] = get(base, INTERRUPT);
  set(base, ACKNOWLEDGE, 1);
  set(base, STATUS, 0);
  for (u32 tries = 0; tries < 1000 && get(base, STATUS); tries++) doze();
  queue_send(q, answer, sizeof answer, 1);
  return 1;
}
