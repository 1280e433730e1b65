/* Device tree, time, PSCI and what happens to an exception nobody expects. */
#include "guest.h"

struct cpu cpus[CPUS_MAX];
static char arguments[1024];                           /* a copy: the tree may lie where the heap will grow */
const char *const bootargs = arguments;
u64 ram_bytes = 128ull << 20;
static u64 frequency;

static u32 be32(const void *at) {
  const u8 *b = at;
  return (u32)b[0] << 24 | (u32)b[1] << 16 | (u32)b[2] << 8 | b[3];
}

/* Finds /chosen/bootargs and the first /memory reg (two address cells, two size cells as virt has them). */
static void read_tree(const u8 *tree) {
  const u8 *at = tree + be32(tree + 8);
  const char *names = (const char *)tree + be32(tree + 12);
  int depth = 0;
  const char *node = "";
  for (;;) {
    u32 token = be32(at);
    at += 4;
    if (token == 1) {                                 /* begin node */
      if (++depth == 2) node = (const char *)at;
      at += (strlen((const char *)at) + 4) & ~3ul;
    } else if (token == 2) {                          /* end node */
      depth--;
    } else if (token == 3) {                          /* property: length, name, value */
      u32 size = be32(at);
      const char *name = names + be32(at + 4);
      at += 8;
      if (depth == 2 && !strcmp(node, "chosen") && !strcmp(name, "bootargs"))
        for (u32 i = 0; i < size && i + 1 < sizeof arguments; i++) arguments[i] = (char)at[i];
      if (depth == 2 && !memcmp(node, "memory@", 7) && !strcmp(name, "reg") && size >= 16)
        ram_bytes = (u64)be32(at + 8) << 32 | be32(at + 12);
      at += (size + 3) & ~3u;
    } else if (token != 4) {                          /* end of tree, or nonsense */
      return;
    }
  }
}

/* x0 of the entry: QEMU passes 0 to ELF images and leaves the tree at the start of RAM. */
void platform_start(u64 tree) {
  frequency = READ_SYSREG(cntfrq_el0);
  for (u64 i = 0; i < CPUS_MAX; i++) cpus[i].index = i;
  if (tree < 0x40000000ull || tree >= 0x80000000ull || be32((u8 *)tree) != 0xd00dfeed) tree = 0x40000000;
  if (be32((u8 *)tree) == 0xd00dfeed) read_tree((u8 *)tree);
  if (ram_bytes > 1ull << 30) ram_bytes = 1ull << 30; /* what the identity map covers */
}

int boot_option(const char *key, char *out, size_t size) {
  size_t length = strlen(key);
  for (const char *at = bootargs; *at; at++) {
    if ((at == bootargs || at[-1] == ' ') && !memcmp(at, key, length) && at[length] == '=') {
      size_t n = 0;
      for (at += length + 1; *at && *at != ' ' && n + 1 < size; at++) out[n++] = *at;
      out[n] = 0;
      return 1;
    }
  }
  return 0;
}

u64 ticks_now(void) {
  ISB();
  return READ_SYSREG(cntvct_el0);
}

u64 ticks_to_ns(u64 ticks) { return ticks / frequency * 1000000000ull + ticks % frequency * 1000000000ull / frequency; }

u64 hvc(u64 function, u64 a, u64 b, u64 c) {
  register u64 x0 __asm__("x0") = function;
  register u64 x1 __asm__("x1") = a;
  register u64 x2 __asm__("x2") = b;
  register u64 x3 __asm__("x3") = c;
  __asm__ volatile("hvc #0" : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3) : : "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11",
                   "x12", "x13", "x14", "x15", "x16", "x17", "memory");
  return x0;
}

void power_off(void) {
  hvc(PSCI_SYSTEM_OFF, 0, 0, 0);
  for (;;) __asm__ volatile("wfi");
}

void panic(const char *why) {
  print("panic: %s\n", why);
  power_off();
}

void exception(struct frame *frame, u64 vector) {
  struct cpu *cpu = this_cpu();
  if (cpu->hook) {
    cpu->hook(cpu, frame, vector);
    return;
  }
  print("cpu %lu vector %lu esr %lx far %lx elr %lx spsr %lx lr %lx\n", cpu->index, vector, frame->esr, frame->far,
        frame->elr, frame->spsr, frame->x[30]);
  panic("unexpected exception");
}

extern char secondary_start[], __stacks[];
static struct {
  u64 stack;
  void (*entry)(void *);
  void *arg;
  struct cpu *cpu;
} starts[CPUS_MAX] ALIGNED(64);

i64 cpu_start(u64 index, void (*entry)(void *), void *arg) {
  if (index >= CPUS_MAX) return -2;
  starts[index].stack = (u64)__stacks + (index + 1) * 65536;
  starts[index].entry = entry;
  starts[index].arg = arg;
  starts[index].cpu = &cpus[index];
  __asm__ volatile("dc civac, %0\n dsb sy" : : "r"(&starts[index]) : "memory");
  return (i64)hvc(PSCI_CPU_ON, index, (u64)secondary_start, (u64)&starts[index]);
}

void cpu_wait_off(u64 index) {
  while (hvc(PSCI_AFFINITY_INFO, index, 0, 0) != 1) __asm__ volatile("yield");
}
