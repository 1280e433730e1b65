/*
 * A root VM: it puts VMs together by hypercalls alone, out of an address space, memory, an interrupt controller, queues and
 * vCPUs, lets them run by themselves or runs them, and takes them apart again. Its second VM is a copy of this image, which finds
 * what it was given in a page behind it. Prints `ok N name` or `not ok N name` per check and at last `N passed, N failed`.
 */
#include "../gunyah/gunyah.h"

static int number, failures;
void check(const char *name, int good) {
  print("%s %d %s\n", good ? "ok" : "not ok", ++number, name);
  failures += !good;
}
void check_is(const char *name, u64 got, u64 want) {
  if (got != want) print("# got %lx, want %lx\n", got, want);
  check(name, got == want);
}

enum { RAM_BYTES = 8 << 20, TREE_AT = 6 << 20, GIVEN_AT = RAM_BYTES - 4096, IMAGE_BASE = 0x40200000, WINDOW = 0x50000000, PAGE = 4096 };
/* Where the second VM's interrupt controller is put beside where every VM has it: as virtual machine monitors do. */
enum { MOVED_GICD = 0x3fff0000, MOVED_GICR = 0x3ff00000, PIDR2 = 0xffe8, ARCH_3 = 0x3b, TYPER_LAST = 0x10 };
enum { E_IDLE = 32, E_DENIED = 30, E_NOT_OWNER = 111, E_STATE = 33, E_CONFIG = 34, MAGIC = 0x726f6f74, EXTERNAL = 0x10 };
enum { VIRQ_RX = 970, VIRQ_WAKE, VIRQ_HALT, SECOND_RX = 40, SECOND_TX = 41 };
extern char __bss_start[];

/* What the second VM is given: its ends of the queues. */
struct given {
  u32 magic, cpus;
  struct queues q;
};

/* ---- the second VM ---- */

static u64 faults, fault_status;
static void skip_fault(struct cpu *cpu, struct frame *frame, u64 vector) {
  (void)cpu;
  (void)vector;
  if (frame->esr >> 26 != 0x25) panic("not a data abort");
  faults++;
  fault_status = frame->esr & 0x3f;
  frame->elr += 4;
}

static void set_word(void *at) { *(volatile u32 *)at = (u32)READ_SYSREG(mpidr_el1) + 1; }

/* Reads or writes the window: what was read, how many aborts there were, their status. */
static void window(const struct queues *q, int writes) {
  volatile u64 *at = (volatile u64 *)(u64)WINDOW;
  exception_hook *before = this_cpu()->hook;
  u64 answer[3] = {0, 0, 0}, value = 0;
  faults = fault_status = 0;
  this_cpu()->hook = skip_fault;
  if (writes) __asm__ volatile("str %0, [%1]" : : "r"(0x600dull), "r"(at) : "memory");
  else __asm__ volatile("ldr %0, [%1]" : "+r"(value) : "r"(at) : "memory");
  this_cpu()->hook = before;
  answer[0] = value;
  answer[1] = faults;
  answer[2] = fault_status;
  queue_send(q, answer, sizeof answer, 1);
}

/* Reads a register: what was read, how many aborts there were, their status. */
static void peek(const struct queues *q, u64 address) {
  exception_hook *before = this_cpu()->hook;
  u64 answer[3] = {0, 0, 0};
  u32 value = 0;
  faults = fault_status = 0;
  this_cpu()->hook = skip_fault;
  __asm__ volatile("ldr %w0, [%1]" : "+r"(value) : "r"(address) : "memory");
  this_cpu()->hook = before;
  answer[0] = value;
  answer[1] = faults;
  answer[2] = fault_status;
  queue_send(q, answer, sizeof answer, 1);
}

static void second_main(const struct given *given) {
  static u8 message[240];
  const struct queues *q = &given->q;
  gic_start();
  gic_enable(INTID_CNTV, 0x80);
  queue_listen(q);
  for (;;) {
    u64 size = queue_wait(q, message, sizeof message, 1000);
    if (!size) continue;
    if (size == 3 && !memcmp(message, "off", 3)) power_off();
    if (proxied_message(message, size, q)) continue;
    if (size == 4 && !memcmp(message, "read", 4)) window(q, 0);
    else if (size == 4 && !memcmp(message, "wrt!", 4)) window(q, 1);
    else if (size == 12 && !memcmp(message, "peek", 4)) {
      u64 address;
      memcpy(&address, message + 4, 8);
      peek(q, address);
    } else if (size == 4 && !memcmp(message, "cpus", 4)) {
      static volatile u32 word;
      u64 answer = (u64)cpu_start(1, set_word, (void *)&word);
      if (!answer) cpu_wait_off(1);
      answer = answer << 32 | (word & 0xffffff);
      queue_send(q, &answer, sizeof answer, 1);
    } else if (size == 4 && !memcmp(message, "busy", 4)) {
      for (;;) {}
    } else {
      for (u64 n = 0; n < size; n++) message[n]++;
      queue_send(q, message, size, 0);
    }
  }
}

/* ---- the root VM ---- */

/* What the hypervisor node tells a root VM. */
static struct root {
  u64 partition, cspace, addrspace, vic;
} root;

/* Everything a VM is made of. */
struct vm {
  u64 cspace, vic, group, addrspace, memory, page, thread[2], to, from;
  struct queues q;
};

#define CALL(n, a, b, c, d) (HVC_NATIVE(n, a, b, c, d).x[0])
enum {
  CREATE_CSPACE = 2, CREATE_ADDRSPACE, CREATE_MEMEXTENT, CREATE_THREAD, CREATE_QUEUE = 7, CREATE_VIC = 10, CREATE_GROUP, ACTIVATE,
  BIND_SEND = 0x17, BIND_RECEIVE, UNBIND_RECEIVE = 0x1a, CONFIGURE_QUEUE = 0x21, DELETE, COPY, CONFIGURE_CSPACE = 0x25, CONFIGURE_VIC = 0x28, ATTACH_VIC,
  ATTACH_ADDRSPACE, MAP, UNMAP, UPDATE_ACCESS, CONFIGURE_ADDRSPACE, CONFIGURE_MEMEXTENT = 0x31, POWER_ON = 0x38, KILL = 0x3a,
  ATTACH_GROUP = 0x3c, ATTACH_CSPACE = 0x3e, SET_PRIORITY = 0x46, REVOKE = 0x59, BIND_VCPU = 0x5c, VMMIO = 0x60, WRITE_REGISTER = 0x64
};

/* addrspace_attach_vdevice, which has six arguments. */
static u64 attach_device(u64 addrspace, u64 vic, u64 index, u64 base, u64 size, u64 flags) {
  register u64 x0_ __asm__("x0") = addrspace;
  register u64 x1_ __asm__("x1") = vic;
  register u64 x2_ __asm__("x2") = index;
  register u64 x3_ __asm__("x3") = base;
  register u64 x4_ __asm__("x4") = size;
  register u64 x5_ __asm__("x5") = flags;
  __asm__ volatile("hvc %6" : "+r"(x0_), "+r"(x1_), "+r"(x2_), "+r"(x3_), "+r"(x4_), "+r"(x5_) : "i"(0x6000 + 0x62)
    : "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15", "x16", "x17", "memory");
  return x0_;
}

static u64 errors;                                     /* of the calls that must not fail */
static u64 must(u64 error, const char *what) {
  if (error) print("# %s: %u\n", what, (u32)error);
  errors += error != 0;
  return error;
}
#define CREATE(n) ({ struct answer a_ = HVC_NATIVE(n, root.partition, root.cspace, 0, 0); must(a_.x[0], #n); a_.x[1]; })
#define MUST(n, a, b, c, d) must(CALL(n, a, b, c, d), #n)

static u64 new_queue(void) {
  u64 queue = CREATE(CREATE_QUEUE);
  MUST(CONFIGURE_QUEUE, queue, 8 | 240 << 16, 0, 0);
  MUST(ACTIVATE, queue, 0, 0, 0);
  return queue;
}
static u64 give(const struct vm *vm, u64 capability, u32 rights) {
  struct answer a = HVC_NATIVE(COPY, root.cspace, capability, vm->cspace, rights);
  must(a.x[0], "COPY");
  return a.x[1];
}
static u64 new_extent(u64 base, u64 bytes) {
  u64 extent = CREATE(CREATE_MEMEXTENT);
  MUST(CONFIGURE_MEMEXTENT, extent, base, bytes, 7);
  MUST(ACTIVATE, extent, 0, 0, 0);
  return extent;
}
enum { RWX_NORMAL = 15 << 16 | 7 << 4 | 7, RO = 4 << 4 | 4, RW_NORMAL = 15 << 16 | 6 << 4 | 6 };

/* Puts a VM together over `memory` and starts it. */
static void build(struct vm *vm, u8 *memory, u64 vmid, int proxied) {
  errors = 0;
  vm->cspace = CREATE(CREATE_CSPACE);
  MUST(CONFIGURE_CSPACE, vm->cspace, 16, 0, 0);
  MUST(ACTIVATE, vm->cspace, 0, 0, 0);
  vm->vic = CREATE(CREATE_VIC);
  MUST(CONFIGURE_VIC, vm->vic, 2, 64, 0);
  MUST(ACTIVATE, vm->vic, 0, 0, 0);
  vm->group = CREATE(CREATE_GROUP);
  MUST(ACTIVATE, vm->group, 0, 0, 0);
  vm->addrspace = CREATE(CREATE_ADDRSPACE);
  MUST(CONFIGURE_ADDRSPACE, vm->addrspace, vmid, 0, 0);
  u64 active = CALL(ACTIVATE, vm->addrspace, 0, 0, 0);
  for (int tries = 0; tries < 500 && active == E_BUSY; tries++) {      /* the VMID of a VM that is not quite gone */
    doze();
    active = CALL(ACTIVATE, vm->addrspace, 0, 0, 0);
  }
  must(active, "ACTIVATE");
  MUST(VMMIO, vm->addrspace, 0x10000000, 0x30000000, 0);
  vm->to = new_queue();
  vm->from = new_queue();
  MUST(BIND_RECEIVE, vm->from, root.vic, VIRQ_RX, 0);
  MUST(BIND_RECEIVE, vm->to, vm->vic, SECOND_RX, 0);
  MUST(BIND_SEND, vm->from, vm->vic, SECOND_TX, 0);
  vm->q = (struct queues){vm->to, vm->from, VIRQ_HALT, VIRQ_RX};

  memset(memory, 0, RAM_BYTES);
  memcpy(memory, (void *)IMAGE_BASE, (u64)__bss_start - IMAGE_BASE);
  tree_write(memory + TREE_AT, IMAGE_BASE, RAM_BYTES, 0);
  struct given *given = (struct given *)(memory + GIVEN_AT);
  given->magic = MAGIC;
  given->q = (struct queues){give(vm, vm->from, 1), give(vm, vm->to, 2), SECOND_TX, SECOND_RX};
  vm->memory = new_extent((u64)memory, RAM_BYTES);
  MUST(MAP, vm->addrspace, vm->memory, IMAGE_BASE, RWX_NORMAL);

  for (u64 n = 0; n < 2; n++) {
    u64 thread = vm->thread[n] = CREATE(CREATE_THREAD);
    MUST(SET_PRIORITY, thread, 30, 0, 0);
    MUST(ATTACH_CSPACE, vm->cspace, thread, 0, 0);
    MUST(ATTACH_ADDRSPACE, vm->addrspace, thread, 0, 0);
    MUST(ATTACH_VIC, vm->vic, thread, n, 0);
    MUST(ATTACH_GROUP, vm->group, thread, n, 0);
    MUST(ACTIVATE, thread, 0, 0, 0);
  }
  GICD[(0x280 + VIRQ_HALT / 32 * 4) / 4] = 1u << (VIRQ_HALT & 31);   /* of the last VM */
  MUST(BIND_VCPU, vm->thread[0], root.vic, VIRQ_HALT, 0);
  if (proxied) MUST(BIND_VCPU, vm->thread[0], root.vic, VIRQ_WAKE, 1);
  MUST(POWER_ON, vm->thread[0], IMAGE_BASE, IMAGE_BASE + TREE_AT, 0);
  check_is("a VM is put together by hypercalls", errors, 0);
}

/* Deletes what a VM is made of; its memory is free for another extent soon afterwards. */
static void take_apart(struct vm *vm, u8 *memory) {
  errors = 0;
  MUST(UNBIND_RECEIVE, vm->from, 0, 0, 0);
  for (u64 n = 0; n < 2; n++) MUST(DELETE, root.cspace, vm->thread[n], 0, 0);
  u64 parts[] = {vm->group, vm->vic, vm->addrspace, vm->cspace, vm->to, vm->from, vm->memory};
  for (u64 n = 0; n < sizeof parts / 8; n++) MUST(DELETE, root.cspace, parts[n], 0, 0);
  check_is("a VM is taken apart", errors, 0);
  u64 extent = CREATE(CREATE_MEMEXTENT), error = ~0ull;
  for (int tries = 0; tries < 500 && error; tries++) {
    error = CALL(CONFIGURE_MEMEXTENT, extent, (u64)memory, RAM_BYTES, 7);
    if (error) doze();
  }
  check_is("its memory is its owner's again", error, 0);
  MUST(DELETE, root.cspace, extent, 0, 0);
}

static u64 echoes(const struct queues *q, u32 count, u32 size) {
  static u8 out[240], in[240];
  u64 good = 0;
  for (u32 n = 0; n < count; n++) {
    for (u32 i = 0; i < size; i++) out[i] = (u8)(n + i);
    if (queue_send(q, out, size, 0) != OK || queue_wait(q, in, sizeof in, 30000) != size) break;
    u32 same = 0;
    for (u32 i = 0; i < size; i++) same += in[i] == (u8)(out[i] + 1);
    good += same == size;
  }
  return good;
}

/* What the second VM finds in its window. */
static void ask_window(const struct vm *vm, const char *how, u64 answer[3]) {
  answer[1] = 99;
  queue_send(&vm->q, how, 4, 1);
  queue_wait(&vm->q, answer, 24, 20000);
}

static int is_pending(u32 intid) { return GICD[(0x200 + intid / 32 * 4) / 4] >> (intid & 31) & 1; }

/* Memory comes and goes while the VM runs. */
static void windows(struct vm *vm) {
  u64 *page = allocate(PAGE, PAGE);
  u64 answer[3] = {0};
  page[0] = 0x1234567;
  vm->page = new_extent((u64)page, PAGE);
  ask_window(vm, "read", answer);
  check("an address that nothing is mapped at", answer[1] == 1 && answer[2] == EXTERNAL);
  check_is("map", CALL(MAP, vm->addrspace, vm->page, WINDOW, RW_NORMAL), OK);
  ask_window(vm, "read", answer);
  check("... is there when it was mapped", answer[1] == 0 && answer[0] == 0x1234567);
  ask_window(vm, "wrt!", answer);
  check("... and may be written", answer[1] == 0 && page[0] == 0x600d);
  check_is("update_access", CALL(UPDATE_ACCESS, vm->addrspace, vm->page, WINDOW, RO), OK);
  page[0] = 7;
  ask_window(vm, "wrt!", answer);
  check("... may not be written any more", answer[1] == 1 && answer[2] == EXTERNAL && page[0] == 7);
  check_is("unmap", CALL(UNMAP, vm->addrspace, vm->page, WINDOW, 0), OK);
  ask_window(vm, "read", answer);
  check("... is not there any more", answer[1] == 1 && answer[2] == EXTERNAL);
  check_is("map again, for the end", CALL(MAP, vm->addrspace, vm->page, WINDOW, RW_NORMAL), OK);
  MUST(DELETE, root.cspace, vm->page, 0, 0);
}

/* What the second VM reads of a register. */
static void ask_register(const struct vm *vm, u64 address, u64 answer[3]) {
  u8 message[12] = "peek";
  memcpy(message + 4, &address, 8);
  answer[1] = 99;
  queue_send(&vm->q, message, sizeof message, 1);
  queue_wait(&vm->q, answer, 24, 20000);
}

/* The registers of its interrupt controller are put elsewhere too while the VM runs. */
static void controller(const struct vm *vm) {
  u64 answer[3] = {0};
  ask_register(vm, MOVED_GICD + PIDR2, answer);
  check("no controller where none was put", answer[1] == 1 && answer[2] == EXTERNAL);
  check_is("attach_vdevice: an interface there is not", attach_device(vm->addrspace, vm->vic, 3, MOVED_GICD, 0x10000, 0), E_ARGUMENT_INVALID);
  check_is("attach_vdevice: the distributor", attach_device(vm->addrspace, vm->vic, 0, MOVED_GICD, 0x10000, 0), OK);
  ask_register(vm, MOVED_GICD + PIDR2, answer);
  check("... is there", answer[1] == 0 && answer[0] == ARCH_3);
  check_is("attach_vdevice: once", attach_device(vm->addrspace, vm->vic, 0, 0x3ffe0000, 0x10000, 0), E_BUSY);
  check_is("attach_vdevice: where another is", attach_device(vm->addrspace, vm->vic, 1, MOVED_GICD + 0xf000, 0x20000, 0), E_BUSY);
  check_is("attach_vdevice: a redistributor, said not to be the last", attach_device(vm->addrspace, vm->vic, 2, MOVED_GICR + 0x20000, 0x20000, 1), OK);
  ask_register(vm, MOVED_GICR + 0x20000 + 8, answer);
  check("... is there, and says so", answer[1] == 0 && (answer[0] >> 8 & 0xffff) == 1 && !(answer[0] & TYPER_LAST));
  ask_register(vm, 0x8000000 + PIDR2, answer);
  check("the platform's addresses are as before", answer[1] == 0 && answer[0] == ARCH_3);
  check_is("attach_vdevice: another VM's controller", attach_device(vm->addrspace, root.vic, 0, 0x3ffd0000, 0x10000, 0), E_DENIED);
}

static void runs_by_itself(u8 *memory) {
  struct vm vm = {0};
  u64 answer = 0;
  build(&vm, memory, 7, 0);
  check_is("100 messages come back", echoes(&vm.q, 100, 24), 100);
  check_is("full-size messages come back", echoes(&vm.q, 20, 240), 20);
  check_is("vcpu_poweron: it is on", CALL(POWER_ON, vm.thread[0], IMAGE_BASE, 0, 0), E_BUSY);
  check_is("vcpu_run: not for one that runs by itself", CALL(VCPU_RUN, vm.thread[0], 0, 0, 0), E_BUSY);
  check_is("vpm_group_get_state: running", HVC_NATIVE(0x45, vm.group, 0, 0, 0).x[1], 1);
  queue_send(&vm.q, "cpus", 4, 1);
  check("its second vCPU is turned on by PSCI, and off", queue_wait(&vm.q, &answer, 8, 20000) == 8 && answer == 2);
  windows(&vm);
  controller(&vm);
  u64 other = CREATE(CREATE_THREAD);
  MUST(ATTACH_ADDRSPACE, vm.addrspace, other, 0, 0);
  check_is("a vCPU of it without its vic", CALL(ACTIVATE, other, 0, 0, 0), E_DENIED);
  MUST(DELETE, root.cspace, other, 0, 0);
  check("nobody has halted", !is_pending(VIRQ_HALT));
  queue_send(&vm.q, "off", 3, 1);
  int halted = 0;
  for (int tries = 0; tries < 500 && !(halted = is_pending(VIRQ_HALT)); tries++) {
    WRITE_SYSREG(cntv_tval_el0, READ_SYSREG(cntfrq_el0) / 50);
    for (volatile int n = 0; n < 100000; n++) {}
  }
  check("its halt is announced", halted);
  check_is("vpm_group_get_state: off", HVC_NATIVE(0x45, vm.group, 0, 0, 0).x[0], OK);
  take_apart(&vm, memory);
}

static void is_run(u8 *memory) {
  struct vm vm = {0};
  build(&vm, memory, 8, 1);
  struct vcpu vcpu = {vm.thread[0], VIRQ_WAKE};
  irq_listen(VIRQ_WAKE);
  proxied_checks(&vcpu, &vm.q);
  take_apart(&vm, memory);
}

/* A VM that never waits goes at once, whatever it is doing; what it could name is revoked before. */
static void is_killed(u8 *memory) {
  struct vm vm = {0};
  u64 value = 0;
  build(&vm, memory, 7, 0);
  check_is("another VM of the same VMID works", echoes(&vm.q, 10, 24), 10);
  check_is("registers of a vCPU that is on", CALL(WRITE_REGISTER, vm.thread[0], 0, 0, 1), E_STATE);
  check_is("registers of one that is off", CALL(WRITE_REGISTER, vm.thread[1], 0, 5, 1), OK);
  queue_send(&vm.q, "busy", 4, 1);
  for (volatile int n = 0; n < 1000000; n++) {}
  check_is("vcpu_kill", CALL(KILL, vm.thread[0], 0, 0, 0), OK);
  check_is("vcpu_kill: once", CALL(KILL, vm.thread[0], 0, 0, 0), E_STATE);
  check_is("vcpu_poweron: it was killed", CALL(POWER_ON, vm.thread[0], IMAGE_BASE, 0, 0), E_STATE);
  check_is("nothing more comes from it", queue_wait(&vm.q, &value, 8, 50), 0);
  take_apart(&vm, memory);
}

/* Only its own partition's memory, and only what it has not given away. */
static void refusals(u8 *memory) {
  u64 extent = CREATE(CREATE_MEMEXTENT);
  check_is("memory that nobody has", CALL(CONFIGURE_MEMEXTENT, extent, 0x100000000, PAGE, 7), E_NOT_OWNER);
  MUST(CONFIGURE_MEMEXTENT, extent, (u64)memory, PAGE, 7);
  u64 same = CREATE(CREATE_MEMEXTENT);
  check_is("memory in another extent", CALL(CONFIGURE_MEMEXTENT, same, (u64)memory, PAGE, 7), E_NOT_OWNER);
  MUST(DELETE, root.cspace, same, 0, 0);
  MUST(DELETE, root.cspace, extent, 0, 0);
  u64 addrspace = CREATE(CREATE_ADDRSPACE);
  check_is("an address space without a VMID", CALL(ACTIVATE, addrspace, 0, 0, 0), E_CONFIG);
  MUST(DELETE, root.cspace, addrspace, 0, 0);
  u64 vic = CREATE(CREATE_VIC);
  MUST(CONFIGURE_VIC, vic, 2, 64, 0);
  MUST(ACTIVATE, vic, 0, 0, 0);
  check_is("attach_vdevice: the redistributor of no vCPU", attach_device(root.addrspace, vic, 1, MOVED_GICR, 0x20000, 0), E_IDLE);
  MUST(DELETE, root.cspace, vic, 0, 0);
  u64 thread = CREATE(CREATE_THREAD);
  check_is("a thread without an address space", CALL(ACTIVATE, thread, 0, 0, 0), E_CONFIG);
  MUST(DELETE, root.cspace, thread, 0, 0);
}

void guest_main(void) {
  const struct given *given = (const struct given *)(u64)(IMAGE_BASE + GIVEN_AT);
  if (given->magic == MAGIC) second_main(given);
  const u8 *tree = (const u8 *)0x40000000;
  gic_start();
  gic_enable(INTID_CNTV, 0x80);
  u64 capabilities[4] = {0};
  u64 found = tree_find_root(tree, capabilities);
  root = (struct root){capabilities[0], capabilities[1], capabilities[2], capabilities[3]};
  check("tree: this VM may put others together", found);
  if (found) {
    GICD[(0xc00 + VIRQ_HALT / 16 * 4) / 4] |= 2u << (VIRQ_HALT % 16 * 2);
    irq_listen(VIRQ_RX);
    u8 *memory = allocate(RAM_BYTES, 2 << 20);
    char leave[4];
    if (boot_option("leave", leave, sizeof leave)) {    /* a VM that runs when this one ends */
      struct vm vm = {0};
      build(&vm, memory, 9, 0);
      check_is("it runs", echoes(&vm.q, 10, 24), 10);
      power_off();
    }
    refusals(memory);
    for (int round = 0; round < 3; round++) {
      runs_by_itself(memory);
      is_run(memory);
      is_killed(memory);
    }
  }
  print("%d passed, %d failed\n", number - failures, failures);
}
