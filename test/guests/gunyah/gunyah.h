/*
 * A guest of Gunyah: hypercalls in both forms, the device tree, the resource manager's RPC. The primary VM's part lends
 * memory to a second VM, which runs this same image, and exchanges messages with it.
 */
#ifndef GUNYAH_H
#define GUNYAH_H
#include "gic.h"
#include "guest.h"

/* X0 to X4 after a call. */
struct answer {
  u64 x[5];
};
/* Native form: the immediate names the call, so it is part of the instruction. */
#define HVC_NATIVE(n, a0, a1, a2, a3) ({ \
  register u64 x0_ __asm__("x0") = (u64)(a0); register u64 x1_ __asm__("x1") = (u64)(a1); \
  register u64 x2_ __asm__("x2") = (u64)(a2); register u64 x3_ __asm__("x3") = (u64)(a3); \
  register u64 x4_ __asm__("x4") = 0; \
  __asm__ volatile("hvc %5" : "+r"(x0_), "+r"(x1_), "+r"(x2_), "+r"(x3_), "+r"(x4_) : "i"(0x6000 + (n)) \
    : "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15", "x16", "x17", "memory"); \
  (struct answer){{x0_, x1_, x2_, x3_, x4_}}; })
/* SMCCC form of any function, by HVC or SMC. */
struct answer smccc_hvc(u64 function, u64 a1, u64 a2, u64 a3, u64 a4);
struct answer smccc_smc(u64 function, u64 a1, u64 a2, u64 a3, u64 a4);
#define SMCCC_CALL(n) (0xC6008000ull | (n))

enum { IDENTIFY = 0, BELL_SEND = 0x12, QUEUE_SEND = 0x1b, QUEUE_RECEIVE = 0x1c, YIELD = 0x3b, ENTROPY = 0x57, VCPU_RUN = 0x65 };
enum { OK = 0, E_ARGUMENT_INVALID = 1, E_ARGUMENT_SIZE = 2, E_BUSY = 31, E_CAP_NULL = 50, E_NO_RIGHT = 53, E_EMPTY = 60, E_FULL = 61 };

/* One end of a pair of queues: capabilities and interrupts. */
struct queues {
  u64 tx, rx;
  u32 tx_irq, rx_irq;
};
/* Sends a message, waiting while the queue is full. The error otherwise. */
u64 queue_send(const struct queues *q, const void *data, u64 size, int push);
/* The next message; waits for its interrupt. Its size, or 0 after `ms` without one. */
u64 queue_wait(const struct queues *q, void *into, u64 room, u64 ms);
/* Lets the interrupts of both queues end WFI. */
void queue_listen(const struct queues *q);

/* Lets one interrupt end WFI. */
void irq_listen(u32 intid);
/* WFI for at most 20 ms; pending interrupts are taken and ended. */
void doze(void);
/* What queue_send and queue_wait do while they wait: doze, unless something else is set. */
extern void (*while_waiting)(void);

/* Device tree. The first pair of queues below /hypervisor whose node is called, or compatible with, `name`. */
int tree_find_queues(const u8 *tree, const char *name, struct queues *out);
/* The doorbell whose node is called `name`: its capability goes to out->tx, at the target's end its interrupt to out->rx_irq. */
int tree_find_bell(const u8 *tree, const char *name, struct queues *out);
/* The interrupt of /hypervisor/qcom,gh-watchdog, or 0. */
u64 tree_watchdog_irq(const u8 *tree);
/* A cell of /hypervisor/qcom,gunyah-vm, or ~0. */
u64 tree_vm_cell(const u8 *tree, const char *property);
/* The interrupt of the virtio-mmio device below /vsoc, whose registers are at *base; 0: there is none. */
u32 tree_find_virtio(const u8 *tree, u64 *base);
/* What a root VM has below /hypervisor/root: four capabilities. 0: it is none. */
int tree_find_root(const u8 *tree, u64 capabilities[4]);
/* Writes the second VM's tree; its size. How its vCPU runs, and whether it drives a virtio-mmio device. */
enum { TREE_PROXIED = 1, TREE_VIRTIO = 2 };
u64 tree_write(u8 *at, u64 base, u64 bytes, int how);

/* The resource manager. Content after the error word goes to `reply`; the error is returned, or -1 when none came. */
i64 rm_call(u32 message, const void *payload, u64 size, void *reply, u64 *reply_size);
void rm_start(const struct queues *q);
/* The last notification of this kind since the previous call; its content. 0: none. */
u64 rm_notification(u32 message, void *into, u64 room, u64 ms);

/* A vCPU of a VM that this one owns. */
struct vcpu {
  u64 capability;
  u32 wakeup;
};
void check(const char *name, int good);
void check_is(const char *name, u64 got, u64 want);
/* A virtio-mmio device that a VM of this one's drives. */
struct virtio {
  u64 capability, base;
  u32 irq;
};
/* Both sides of it; the second VM's is 0 when the message is none of it. */
void virtio_checks(const struct virtio *v, const struct queues *q);
int virtio_message(const u8 *message, u64 size, const struct queues *q, const u8 *tree);
/* The primary VM's watchdog, in a minute at most. */
void watchdog_checks(const u8 *tree);
/* Starts the watchdog and waits for its end. */
void watchdog_bites(void) __attribute__((noreturn));
/* The second VM's part: "dog?" asks whether it has one, "dog!" and "dog*" make it bite, waiting or spinning. */
int watchdog_message(const u8 *message, u64 size, const struct queues *q);
/* Everything that vcpu_run can answer, with the second VM behind q as the one that is run. */
void proxied_checks(const struct vcpu *vcpu, const struct queues *q);
void proxied_reset2(const struct vcpu *vcpu, const struct queues *q);
/* The second VM's part of them; 0 when the message is none of theirs. */
int proxied_message(const u8 *message, u64 size, const struct queues *q);

void secondary_main(const u8 *tree);
#endif
