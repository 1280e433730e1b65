/*
 * The guest of the embedded lab: one image, three parts. The primary VM makes a second VM, "echo", from memory that it lends it,
 * and answers or passes on what a third VM, the client, sends it. Built on the runtime and the RPC of test/guests.
 */
#ifndef LAB_H
#define LAB_H
#include "../../../test/guests/gunyah/gunyah.h"

enum {
  MEM_LEND = 0x51000012, MEM_RECLAIM = 0x51000015, VM_ALLOCATE = 0x56000001, VM_DEALLOCATE, VM_START = 0x56000004,
  VM_RESET = 0x56000006, VM_CONFIG_IMAGE = 0x56000009, VM_INIT = 0x5600000b, VM_GET_STATE = 0x56000017,
  VM_GET_HYP_RESOURCES = 0x56000020, CONSOLE_OPEN = 0x56000081, CONSOLE_WRITE = 0x56000083, VM_EXIT = 0x56000085,
  VM_EXITED = 0x56100001, CONSOLE_CHARS = 0x56100080
};
enum { LEND_BYTES = 8 << 20, TREE_AT = 6 << 20, IMAGE_BASE = 0x40200000 };

/* A message between client, primary and echo. */
struct note {
  u32 number;
  u8 to;           /* 'p': the primary answers, 'e': echo does, 'x': the client has done */
  u8 pad[3];
  u64 words[6];    /* come back with every word one higher */
};

void primary_main(const u8 *tree) __attribute__((noreturn));
void echo_main(const u8 *tree) __attribute__((noreturn));
void client_main(const u8 *tree) __attribute__((noreturn));

/* The next message if there is one: its size, or 0. */
u64 queue_poll(const struct queues *q, void *into, u64 room);
/* Waits for an interrupt, at most 20 ms. */
void rest(void);
static inline void answer(struct note *n) { for (int i = 0; i < 6; i++) n->words[i]++; }
#endif
