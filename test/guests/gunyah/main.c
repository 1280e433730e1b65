/*
 * The Gunyah guest. As primary VM it prints `ok N name` or `not ok N name` per check and at last `N passed, N failed`; as
 * the second VM, which it starts itself from a copy of its image, it echoes messages (secondary.c).
 */
#include "gunyah.h"

static int number, failures;
void check(const char *name, int good) {
  print("%s %d %s\n", good ? "ok" : "not ok", ++number, name);
  failures += !good;
}
void check_is(const char *name, u64 got, u64 want) {
  if (got != want) print("# got %lx, want %lx\n", got, want);
  check(name, got == want);
}

enum {
  MEM_LEND = 0x51000012, MEM_RECLAIM = 0x51000015, VM_ALLOCATE = 0x56000001, VM_DEALLOCATE, VM_START = 0x56000004, VM_STOP,
  VM_RESET, VM_CONFIG_IMAGE = 0x56000009, VM_AUTH_IMAGE, VM_INIT, VM_GET_STATE = 0x56000017, VM_GET_HYP_RESOURCES = 0x56000020,
  VM_GET_VMID = 0x56000024, HOST_GET_TYPE = 0x560000a0, VM_EXITED = 0x56100001
};
/* How a second VM is started: it runs by itself, its owner runs it, or as a platform's VM, which has a watchdog. */
enum { BY_ITSELF, PROXIED, PLATFORM, WITH_VIRTIO };
static struct virtio virtio;
enum { CANARY_BYTES = 1 << 20, LEND_BYTES = 8 << 20, TREE_AT = 6 << 20, IMAGE_BASE = 0x40200000 };
extern char __bss_start[];

static void identification(void) {
  struct answer native = HVC_NATIVE(IDENTIFY, 0, 0, 0, 0), smccc = smccc_hvc(SMCCC_CALL(IDENTIFY), 0, 0, 0, 0);
  check_is("identify: API version 1, 64-bit", native.x[0] & 0xffff, 0x8001);
  check("identify: both forms agree", native.x[0] == smccc.x[0] && native.x[1] == smccc.x[1] && native.x[2] == smccc.x[2]);
  check("identify: message queues, doorbells, vCPUs", (native.x[1] & 0x26) == 0x26);
  struct answer uid = smccc_hvc(0x8600ff01, 0, 0, 0, 0), by_smc = smccc_smc(0x8600ff01, 0, 0, 0, 0);
  check("UID: c1d58fcd-a453-5fdb-9265-ce36673d5f14",
        uid.x[0] == 0xcd8fd5c1 && uid.x[1] == 0xdb5f53a4 && uid.x[2] == 0x36ce6592 && uid.x[3] == 0x145f3d67);
  check_is("SMC answers like HVC", by_smc.x[0], uid.x[0]);
  check_is("SMCCC 1.3", smccc_hvc(0x80000000, 0, 0, 0, 0).x[0], 0x10003);
  check_is("an unknown hypercall answers -1", HVC_NATIVE(0x1f0, 0, 0, 0, 0).x[0], ~0ull);
  check_is("reserved bits of the identifier answer -1", smccc_hvc(SMCCC_CALL(0) | 1 << 20, 0, 0, 0, 0).x[0], ~0ull);
  check_is("an unclaimed SMC answers -1", smccc_smc(0x86003f01, 0, 0, 0, 0).x[0], ~0ull);
  check_is("a capability nobody has", HVC_NATIVE(QUEUE_SEND, 99, 4, native.x, 0).x[0], E_CAP_NULL);
  struct answer random = HVC_NATIVE(ENTROPY, 16, 0, 0, 0);
  check("entropy: four words", random.x[0] == OK && (random.x[1] | random.x[2] | random.x[3] | random.x[4]) >> 32 == 0);
  check_is("entropy: 17 bytes are refused", HVC_NATIVE(ENTROPY, 17, 0, 0, 0).x[0], E_ARGUMENT_SIZE);
  check_is("a slow call: no such capability space", HVC_NATIVE(0x22, 0, 5, 0, 0).x[0], 52);
}

static u64 vmid_call(u32 message, u16 vmid) {
  u16 payload[2] = {vmid, 0};
  return (u64)rm_call(message, payload, 4, 0, 0);
}

static u64 state_of(u16 vmid) {
  u16 payload[2] = {vmid, 0};
  u8 reply[4] = {0};
  u64 size = 4;
  return rm_call(VM_GET_STATE, payload, 4, reply, &size) ? ~0ull : reply[0];
}

/* Lends a copy of this image with a tree of its own, and starts it. The pair of queues goes to *q. */
static u16 start_second(u8 *memory, u32 *parcel, struct queues *q, struct vcpu *vcpu, int how) {
  int proxied = how == PROXIED;
  u32 vmid = 0;
  u64 size = 4;
  u32 any = 0;
  check_is("RM: allocate", (u64)rm_call(VM_ALLOCATE, &any, 4, &vmid, &size), 0);
  check("RM: a dynamic VMID", vmid >= 0x80 && vmid < 0xbf);
  memcpy(memory, (void *)IMAGE_BASE, (u64)__bss_start - IMAGE_BASE);
  u64 tree_bytes = tree_write(memory + TREE_AT, IMAGE_BASE, LEND_BYTES, proxied ? TREE_PROXIED : how == WITH_VIRTIO ? TREE_VIRTIO : 0);
  memory[TREE_AT + tree_bytes] = 0;
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
  check_is("RM: lend", (u64)rm_call(MEM_LEND, &lend, sizeof lend, parcel, &size), 0);
  struct {
    u16 vmid, auth;
    u32 parcel;
    u64 image_offset, image_bytes, tree_offset, tree_bytes;
  } config = {(u16)vmid, how == PLATFORM, *parcel, 0, 0, TREE_AT, 16384};
  check_is("RM: configure", (u64)rm_call(VM_CONFIG_IMAGE, &config, sizeof config, 0, 0), 0);
  if (how == PLATFORM) check_is("RM: authenticate", vmid_call(VM_AUTH_IMAGE, (u16)vmid), 0);
  check_is("RM: start too early", vmid_call(VM_START, (u16)vmid), 0x14);
  check_is("RM: initialise", vmid_call(VM_INIT, (u16)vmid), 0);
  static u8 resources[4 + 44 * 8];
  u16 asked[2] = {(u16)vmid, 0};
  size = sizeof resources;
  check_is("RM: resources", (u64)rm_call(VM_GET_HYP_RESOURCES, asked, 4, resources, &size), 0);
  u64 lines = how == WITH_VIRTIO ? 4 : 3;
  check_is("RM: resources of 44 bytes", size, 4 + lines * 44);
  for (u64 n = 0; n < lines; n++) {
    const u8 *line = resources + 4 + 44 * n;
    u64 capability;
    u32 virq;
    memcpy(&capability, line + 0xc, 8);
    memcpy(&virq, line + 0x18, 4);
    if (line[0] == 2) q->tx = capability, q->tx_irq = virq;
    if (line[0] == 3) q->rx = capability, q->rx_irq = virq;
    if (line[0] == 6) {
      virtio.capability = capability, virtio.irq = virq;
      memcpy(&virtio.base, line + 0x1c, 8);
    }
    if (line[0] == 4) vcpu->capability = capability, vcpu->wakeup = virq;
  }
  queue_listen(q);
  check("RM: a vCPU that is run by proxy has a wake-up interrupt", proxied ? vcpu->wakeup >= 960 : !vcpu->wakeup);
  if (proxied) irq_listen(vcpu->wakeup);
  else check_is("vcpu_run: not for one that runs by itself", HVC_NATIVE(VCPU_RUN, vcpu->capability, 0, 0, 0).x[0], E_BUSY);
  check_is("vcpu_run_check: not with its owner's rights", HVC_NATIVE(0x68, vcpu->capability, 0, 0, 0).x[0], E_NO_RIGHT);
  check_is("RM: start", vmid_call(VM_START, (u16)vmid), 0);
  return (u16)vmid;
}

static u64 echoes(const struct queues *q, u32 count, u32 size) {
  static u8 out[240], in[240];
  u64 good = 0;
  for (u32 n = 0; n < count; n++) {
    for (u32 i = 0; i < size; i++) out[i] = (u8)(n + i);
    if (queue_send(q, out, size, 0) != OK) break;
    if (queue_wait(q, in, sizeof in, 30000) != size) break;
    u32 same = 0;
    for (u32 i = 0; i < size; i++) same += in[i] == (u8)(out[i] + 1);
    good += same == size;
  }
  return good;
}

/* The second VM makes random hypercalls and says "done"; what else it sent meanwhile is taken and dropped. */
static void ask_fuzz(const struct queues *q, u32 calls, u32 seed) {
  u8 message[12] = "fuzz";
  memcpy(message + 4, &calls, 4);
  memcpy(message + 8, &seed, 4);
  queue_send(q, message, sizeof message, 1);
}
static int survives_fuzz(const struct queues *q) {
  static u8 in[240];
  for (u32 waits = 0; waits < 60;) {
    u64 size = queue_wait(q, in, sizeof in, 60000);
    if (!size) waits++;
    if (size == 4 && !memcmp(in, "done", 4)) return 1;
  }
  return 0;
}

/* EXITED {u16 vmid, u16 type, u32 size, word0}. */
static void check_exit(const char *name, u16 vmid, u16 type, u32 word0) {
  struct {
    u16 vmid, type;
    u32 size, word0;
  } exited = {0};
  u64 got = rm_notification(VM_EXITED, &exited, sizeof exited, 20000);
  check(name, got == 12 && exited.vmid == vmid && exited.type == type && exited.size == 4 && exited.word0 == word0);
}

/* The exits of type 3 tell the reset's type and cookie. */
static void check_exit_reset2(u16 vmid) {
  struct {
    u16 vmid, type;
    u32 size, words[4];
  } exited = {0};
  u64 got = rm_notification(VM_EXITED, &exited, sizeof exited, 20000);
  check("RM: the exit by SYSTEM_RESET2", got == 24 && exited.vmid == vmid && exited.type == 3 && exited.size == 16);
  check_is("RM: its word 0 says SMC64", exited.words[0], 0x8000);
  check_is("RM: its reset type", exited.words[1], 0x80000007);
  check_is("RM: its cookie", exited.words[2] | (u64)exited.words[3] << 32, 0x1122334455667788);
}

static void take_back(u16 vmid, u32 parcel, u8 *memory) {
  struct {
    u32 handle, flags;
  } reclaim = {parcel, 0};
  check_is("RM: reclaim while it is held", (u64)rm_call(MEM_RECLAIM, &reclaim, 8, 0, 0), 0xb);
  check_is("RM: reset", vmid_call(VM_RESET, vmid), 0);
  for (int tries = 0; tries < 500 && state_of(vmid) != 11; tries++) {}
  check_is("RM: state is RESET", state_of(vmid), 11);
  check_is("RM: reclaim", (u64)rm_call(MEM_RECLAIM, &reclaim, 8, 0, 0), 0);
  check_is("RM: deallocate", vmid_call(VM_DEALLOCATE, vmid), 0);
  volatile u32 *first = (volatile u32 *)memory;
  check("the lent memory is ours again", *first == *(u32 *)IMAGE_BASE);
}

/* Three VMs that never wait and one that answers: more vCPUs than the host may run at once. */
static void sharing(u8 *first, const u8 *canary) {
  enum { VMS = 4 };
  struct queues q[VMS];
  struct vcpu vcpu;
  u8 *memory[VMS];
  u16 vmid[VMS];
  u32 parcel[VMS];
  for (u32 n = 0; n < VMS; n++) {
    memory[n] = n ? allocate(LEND_BYTES, 2 << 20) : first;
    vmid[n] = start_second(memory[n], &parcel[n], &q[n], &vcpu, 0);
  }
  check_is("all four answer", echoes(&q[0], 1, 8) + echoes(&q[1], 1, 8) + echoes(&q[2], 1, 8) + echoes(&q[3], 1, 8), 4);
  for (u32 n = 0; n < 3; n++) queue_send(&q[n], "busy", 4, 1);
  u64 from = ticks_now();
  check_is("100 messages come back beside three VMs that never wait", echoes(&q[3], 100, 24), 100);
  while (ticks_now() - from < READ_SYSREG(cntfrq_el0)) (void)HVC_NATIVE(YIELD, 0, 0, 0, 0);
  u64 least = ~0ull, most = 0;
  for (u32 n = 0; n < 3; n++) queue_send(&q[n], "stop", 4, 1);
  for (u32 n = 0; n < 3; n++) {
    u64 count = 0;
    queue_wait(&q[n], &count, sizeof count, 60000);
    if (count < least) least = count;
    if (count > most) most = count;
  }
  print("# sharing: least %u most %u rounds\n", (u32)least, (u32)most);
  /* How far each comes is the host's kernel's doing too: that nobody starves is what holds on a busy one. */
  check("each of the three came some way", least > 0);
  char text[16];
  u32 calls = 0, intact = 0;
  if (boot_option("fuzz", text, sizeof text)) for (const char *at = text; *at; at++) calls = calls * 10 + (u32)(*at - '0');
  if (!calls) calls = 10000;
  for (u32 n = 0; n < VMS; n++) ask_fuzz(&q[n], calls, 1000 + n);
  u64 survived = 0;
  for (u32 n = 0; n < VMS; n++) survived += (u64)survives_fuzz(&q[n]);
  print("# fuzz: %u random hypercalls of each of four VMs at once\n", calls);
  check_is("random hypercalls of four VMs at once", survived, VMS);
  for (u32 i = 0; i < CANARY_BYTES; i++) intact += canary[i] == (u8)(i * 7 + (i >> 8));
  check_is("this VM's memory is as it was after them", intact, CANARY_BYTES);
  for (u32 n = 0; n < VMS; n++) {
    u32 stop[2] = {vmid[n] | 1 << 16, 3};
    check_is("RM: forced stop", (u64)rm_call(VM_STOP, stop, 8, 0, 0), 0);
    take_back(vmid[n], parcel[n], memory[n]);
  }
}

/* Where the tree is: the second VM's where the first one put it, the primary's at the start of RAM. */
static const u8 *find_tree(void) {
  const u8 *at = (const u8 *)(u64)(IMAGE_BASE + TREE_AT);
  return at[0] == 0xd0 && at[1] == 0x0d && at[2] == 0xfe && at[3] == 0xed ? at : (const u8 *)0x40000000;
}

void guest_main(void) {
  const u8 *guest_tree = find_tree();
  char bite[8];
  if (boot_option("bite", bite, sizeof bite)) watchdog_bites();
  if (tree_vm_cell(guest_tree, "qcom,owner-vmid") != ~0ull) secondary_main(guest_tree);
  identification();
  struct queues rm;
  check_is("tree: this is VMID 3", tree_vm_cell(guest_tree, "qcom,vmid"), 3);
  check("tree: the resource manager's queues", tree_find_queues(guest_tree, "gunyah-resource-manager", &rm));
  gic_start();
  gic_enable(INTID_CNTV, 0x80);
  rm_start(&rm);
  watchdog_checks(guest_tree);
  check_is("rights: the send queue cannot be received from", HVC_NATIVE(QUEUE_RECEIVE, rm.tx, guest_tree, 8, 0).x[0], E_NO_RIGHT);
  u32 word = 0;
  u64 size = 4;
  check_is("RM: own VMID", (u64)rm_call(VM_GET_VMID, 0, 0, &word, &size), 0);
  check_is("RM: it is 3", word, 3);
  check_is("RM: host type", rm_call(HOST_GET_TYPE, 0, 0, &word, &size) ? 0 : word, 0x01000164);
  check_is("RM: an unknown message", (u64)rm_call(0x56000099, 0, 0, 0, 0), 0xffffffff);
  check_is("RM: a malformed one", (u64)rm_call(VM_ALLOCATE, &word, 3, 0, 0), 4);
  u8 *memory = allocate(LEND_BYTES, 2 << 20);
  static const char *const ways[] = {"end", "off", "stop", "fuzz", "proxied", "rst2", "dog!", "dog*", "proxied"};
  u8 *canary = allocate(CANARY_BYTES, 4096);
  for (u32 i = 0; i < CANARY_BYTES; i++) canary[i] = (u8)(i * 7 + (i >> 8));
  for (int way = 0; way < 9; way++) {
    u32 parcel = 0;
    struct queues echo = {0};
    struct vcpu vcpu = {0};
    int how = way == 4 || way == 8 ? PROXIED : way > 5 ? PLATFORM : way ? BY_ITSELF : WITH_VIRTIO;
    u16 vmid = start_second(memory, &parcel, &echo, &vcpu, how);
    if (how == PROXIED) {
      if (way == 4) proxied_checks(&vcpu, &echo);
      else proxied_reset2(&vcpu, &echo);
      if (way == 4) check_exit("RM: the exit is announced", vmid, 2, 0);
      else check_exit_reset2(vmid);
      take_back(vmid, parcel, memory);
      continue;
    }
    if (way > 4) {
      u64 answer[2] = {1, 0};
      queue_send(&echo, "dog?", 4, 1);
      queue_wait(&echo, answer, sizeof answer, 20000);
      check_is("the second VM's watchdog", answer[0], way == 5 ? ~0ull : OK);
      queue_send(&echo, ways[way], 4, 1);
      if (way == 5) check_exit_reset2(vmid);
      else check_exit("RM: the watchdog's bite is announced", vmid, 4, 0);
      take_back(vmid, parcel, memory);
      continue;
    }
    check_is("100 messages come back", echoes(&echo, 100, 24), 100);
    check_is("full-size messages come back", echoes(&echo, 20, 240), 20);
    if (way == 0) virtio_checks(&virtio, &echo);
    if (way == 3) {
      ask_fuzz(&echo, 20000, 1);
      check("20,000 random hypercalls of the other VM", survives_fuzz(&echo));
      u32 intact = 0;
      for (u32 i = 0; i < CANARY_BYTES; i++) intact += canary[i] == (u8)(i * 7 + (i >> 8));
      check_is("a megabyte of this VM's memory is as it was", intact, CANARY_BYTES);
    }
    if (way < 2) queue_send(&echo, ways[way], 3, 0);
    else {
      u32 stop[2] = {vmid | 1 << 16, 3};
      check_is("RM: forced stop", (u64)rm_call(VM_STOP, stop, 8, 0, 0), 0);
    }
    static const u16 types[] = {0, 1, 7, 7};
    check_exit("RM: the exit is announced", vmid, types[way], way == 0 ? 1 | 3 << 16 : 0);
    take_back(vmid, parcel, memory);
  }
  sharing(memory, canary);
  print("%d passed, %d failed\n", number - failures, failures);
}
