/* The primary VM: makes echo, serves the client, takes its memory back. */
#include "lab.h"

static struct queues rm, echo, chat;
static u64 answered, passed_on;

static void must(const char *what, u64 error) {
  if (!error) return;
  print("%s failed: %lx\n", what, error);
  hvc(0x84000009, 0, 0, 0); /* SYSTEM_RESET: the lab sees a failure */
}

static u64 vmid_call(u32 message, u16 vmid) {
  u16 payload[2] = {vmid, 0};
  return (u64)rm_call(message, payload, 4, 0, 0);
}

/* What echo has written on its console, line by line behind its name. */
static void show_echo(void) {
  static struct {
    u16 from, count;
    char text[224];
  } chars;
  while (rm_notification(CONSOLE_CHARS, &chars, sizeof chars, 0) >= 4) {
    print("[echo] ");
    for (u32 n = 0; n < chars.count && n < sizeof chars.text; n++) put_char(chars.text[n]);
    print("\n");
  }
}

static u16 make_echo(u8 *memory, u32 *parcel) {
  u32 vmid = 0, any = 0;
  u64 size = 4;
  must("allocate", (u64)rm_call(VM_ALLOCATE, &any, 4, &vmid, &size));
  extern char __bss_start[];
  memcpy(memory, (void *)IMAGE_BASE, (u64)__bss_start - IMAGE_BASE);
  tree_write(memory + TREE_AT, IMAGE_BASE, LEND_BYTES, 0);
  struct {
    u8 type, zero, flags, zero2;
    u32 label;
    u16 acl_count, acl_zero, vmid;
    u8 rights, acl_pad;
    u16 sgl_count, sgl_zero;
    u32 ipa[2], bytes[2];
    u16 attr_count, attr_zero;
  } lend = {0, 0, 0, 0, 1, 1, 0, (u16)vmid, 7, 0, 1, 0, {(u32)(u64)memory, 0}, {LEND_BYTES, 0}, 0, 0};
  size = 4;
  must("lend", (u64)rm_call(MEM_LEND, &lend, sizeof lend, parcel, &size));
  print("lent %u MiB to VM %u\n", LEND_BYTES >> 20, vmid);
  struct {
    u16 vmid, auth;
    u32 parcel;
    u64 image_offset, image_bytes, tree_offset, tree_bytes;
  } config = {(u16)vmid, 0, *parcel, 0, 0, TREE_AT, 16384};
  must("configure", (u64)rm_call(VM_CONFIG_IMAGE, &config, sizeof config, 0, 0));
  must("initialise", vmid_call(VM_INIT, (u16)vmid));
  must("console", vmid_call(CONSOLE_OPEN, (u16)vmid));
  static u8 resources[4 + 44 * 8];
  u16 asked[2] = {(u16)vmid, 0};
  size = sizeof resources;
  must("resources", (u64)rm_call(VM_GET_HYP_RESOURCES, asked, 4, resources, &size));
  u32 entries;
  memcpy(&entries, resources, 4);
  for (u32 n = 0; n < entries; n++) {
    const u8 *line = resources + 4 + 44 * n;
    u64 capability;
    u32 virq;
    memcpy(&capability, line + 0xc, 8);
    memcpy(&virq, line + 0x18, 4);
    if (line[0] == 2) echo.tx = capability, echo.tx_irq = virq;
    if (line[0] == 3) echo.rx = capability, echo.rx_irq = virq;
  }
  queue_listen(&echo);
  must("start", vmid_call(VM_START, (u16)vmid));
  print("started it as \"echo\"\n");
  return (u16)vmid;
}

static u64 state_of(u16 vmid) {
  u16 payload[2] = {vmid, 0};
  u8 reply[4] = {0};
  u64 size = 4;
  return rm_call(VM_GET_STATE, payload, 4, reply, &size) ? ~0ull : reply[0];
}

/* Tells echo to leave, and takes everything back. */
static void end_echo(u16 vmid, u32 parcel, const u8 *memory) {
  u8 exited[12];
  queue_send(&echo, "end", 3, 1);
  must("exit", !rm_notification(VM_EXITED, exited, sizeof exited, 20000));
  show_echo();
  must("reset", vmid_call(VM_RESET, vmid));
  for (int tries = 0; tries < 500 && state_of(vmid) != 11; tries++) rest();
  struct {
    u32 handle, flags;
  } reclaim = {parcel, 0};
  must("reclaim", (u64)rm_call(MEM_RECLAIM, &reclaim, 8, 0, 0));
  must("deallocate", vmid_call(VM_DEALLOCATE, vmid));
  print("echo has ended; its %u MiB are mine again (first word %x)\n", LEND_BYTES >> 20, *(volatile u32 *)memory);
}

void primary_main(const u8 *tree) {
  if (!tree_find_queues(tree, "gunyah-resource-manager", &rm)) panic("no resource manager in the device tree");
  if (!tree_find_queues(tree, "chat", &chat)) panic("no link chat in the device tree");
  rm_start(&rm);
  u8 *memory = allocate(LEND_BYTES, 2 << 20);
  u32 parcel = 0;
  u16 vmid = make_echo(memory, &parcel);
  queue_listen(&chat);
  for (int serving = 1; serving;) {
    static struct note note;
    int idle = 1;
    if (queue_poll(&chat, &note, sizeof note)) {
      idle = 0;
      if (note.to == 'p') {
        answer(&note);
        answered++;
        queue_send(&chat, &note, sizeof note, 0);
      } else if (note.to == 'e') {
        queue_send(&echo, &note, sizeof note, 0);
      } else {
        serving = 0;
      }
    }
    if (queue_poll(&echo, &note, sizeof note)) {
      idle = 0;
      passed_on++;
      queue_send(&chat, &note, sizeof note, 0);
    }
    if (!idle) continue;
    show_echo();
    rest();
  }
  print("answered %lu messages, passed %lu on to echo\n", answered, passed_on);
  end_echo(vmid, parcel, memory);
  power_off();
}
