/*
 * Random sequences of GICv3 accesses on one CPU, whose interrupts stay masked: priorities, groups, enables, pending and active
 * state, acknowledging and ending in both modes, preemption by binary points and mask, SGIs. Prints a digest per program of everything
 * that was read, which must be QEMU's. Boot arguments: seed=N (first program), programs=N, show=1 (every access and what it gave).
 *
 * Programs keep to what is defined: interrupts are ended in the order of their priorities' drop, only with the register of their group; group and priority
 * of an interrupt that is active do not change, nor the binary points, the mode of ending or the enables of the distributor while one is.
 */
#include "gic.h"

#define ICC_IAR0 S3_0_C12_C8_0
#define ICC_EOIR0 S3_0_C12_C8_1
#define ICC_HPPIR0 S3_0_C12_C8_2
#define ICC_BPR0 S3_0_C12_C8_3
#define ICC_AP0R0 S3_0_C12_C8_4
#define ICC_AP1R0 S3_0_C12_C9_0
#define ICC_IGRPEN0 S3_0_C12_C12_6
#define ICC_SGI0R S3_0_C12_C11_7

enum { STEPS = 160, INTERRUPTS_USED = 12, SPURIOUS_FROM = 1020 };
/* SGIs, PPIs without a device behind them, SPIs without one. */
static const u32 used[INTERRUPTS_USED] = {0, 3, 9, 15, 20, 21, 24, 100, 101, 127, 128, 200};

static u64 state, digest;
static u32 seed;
static int shows;
static u32 next(u32 below) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return (u32)((state >> 20) % below);
}
static void saw(const char *what, u64 which, u64 value) {
  digest = (digest ^ value) * 0x100000001b3ull;
  digest ^= digest >> 29;
  if (shows) print("  %s %lx = %lx\n", what, which, value);
}

static struct running {
  u32 intid, group;
} active[64];
static u32 nested;                                     /* priorities that have not been dropped */
static u32 split[64], splits;                          /* dropped, and still active */

/* An interrupt's registers: SGIs and PPIs are the redistributor's. */
static volatile u32 *bank(u32 at, u32 intid) { return (intid < 32 ? GICR_SGI(0) + at / 4 : GICD + at / 4 + intid / 32); }
static u32 bit(u32 intid) { return 1u << (intid & 31); }
static volatile u8 *priority_of(u32 intid) { return (volatile u8 *)(intid < 32 ? GICR_SGI(0) : GICD) + 0x400 + intid; }
static int is_active(u32 intid) { return (*bank(0x300, intid) & bit(intid)) != 0; }

/* Both: QEMU has an interrupt of a group that only the CPU interface disables stand in front of those of the other group. */
static void group_enables(u32 on) {
  WRITE_SYSREG(ICC_IGRPEN0, on);
  WRITE_SYSREG(ICC_IGRPEN1, on);
}

static void reset(void) {
  static const u32 words[] = {0, 32, 64, 96, 128, 160, 192, 224};
  WRITE_SYSREG(ICC_IGRPEN1, 0);
  WRITE_SYSREG(ICC_IGRPEN0, 0);
  WRITE_SYSREG(ICC_AP1R0, 0);
  WRITE_SYSREG(ICC_AP0R0, 0);
  WRITE_SYSREG(ICC_CTLR, 0);
  GICD[0] = 0;
  for (u32 n = 0; n < sizeof words / 4; n++) {
    u32 intid = words[n];
    *bank(0x180, intid) = ~0u;
    *bank(0x280, intid) = ~0u;
    *bank(0x380, intid) = ~0u;
    *bank(0x80, intid) = 0;
  }
  for (u32 n = 0; n < INTERRUPTS_USED; n++) {
    *priority_of(used[n]) = (u8)(next(32) << 3);
    if (next(4)) *bank(0x100, used[n]) = bit(used[n]);
    if (next(3)) *bank(0x80, used[n]) |= bit(used[n]);
    if (used[n] >= 32) *(volatile u64 *)((volatile u8 *)GICD + 0x6000 + used[n] * 8) = next(8) ? 0 : 1ull << 31;
  }
  WRITE_SYSREG(ICC_BPR0, next(8));
  WRITE_SYSREG(ICC_BPR1, next(8));
  WRITE_SYSREG(ICC_CTLR, next(4));
  WRITE_SYSREG(ICC_PMR, next(4) ? 0xff : next(256));
  group_enables(next(5) != 0);
  GICD[0] = 1 << 4 | (next(6) ? 3 : next(4));
  ISB();
  nested = splits = 0;
}

static void acknowledge(u32 group) {
  u64 intid = group ? READ_SYSREG(ICC_IAR1) : READ_SYSREG(ICC_IAR0);
  saw("IAR", group, intid);
  if (intid < SPURIOUS_FROM && nested < 64) active[nested++] = (struct running){(u32)intid, group};
}

static void end(void) {
  if (!nested) return;
  struct running r = active[--nested];
  if (r.group) WRITE_SYSREG(ICC_EOIR1, r.intid);
  else WRITE_SYSREG(ICC_EOIR0, r.intid);
  ISB();
  if ((READ_SYSREG(ICC_CTLR) & 2) && splits < 64) split[splits++] = r.intid;
}

static void deactivate(void) {
  if (!splits) return;
  u32 at = next(splits);
  WRITE_SYSREG(ICC_DIR, split[at]);
  ISB();
  split[at] = split[--splits];
}

static void look(void) {
  saw("ISR", 0, READ_SYSREG(isr_el1) & 0xc0);
  saw("HPPIR", 0, READ_SYSREG(ICC_HPPIR0));
  saw("HPPIR", 1, READ_SYSREG(ICC_HPPIR1));
  saw("RPR", 0, READ_SYSREG(ICC_RPR));
}

static void read_one(u32 intid) {
  switch (next(8)) {
  case 0: saw("enabled", intid, *bank(0x100, intid)); break;
  case 1: saw("pending", intid, *bank(0x200, intid)); break;
  case 2: saw("active", intid, *bank(0x380, intid)); break;
  case 3: saw("group", intid, *bank(0x80, intid)); break;
  case 4: saw("priority", intid, *priority_of(intid)); break;
  case 5: saw("priorities", intid, *(volatile u32 *)priority_of(intid & ~3u)); break;
  case 6: saw("PMR", 0, READ_SYSREG(ICC_PMR)); break;
  default:
    saw("AP0R0", 0, READ_SYSREG(ICC_AP0R0));
    saw("AP1R0", 0, READ_SYSREG(ICC_AP1R0));
  }
}

static void configure(u32 intid) {
  switch (next(6)) {
  case 0: *bank(0x100, intid) = bit(intid); break;
  case 1: *bank(0x180, intid) = bit(intid); break;
  case 2:
    if (!is_active(intid)) *priority_of(intid) = (u8)(next(32) << 3);
    saw("priority", intid, *priority_of(intid));
    break;
  case 3:
    if (!is_active(intid)) *bank(0x80, intid) ^= bit(intid);
    saw("group", intid, *bank(0x80, intid));
    break;
  case 4: WRITE_SYSREG(ICC_PMR, next(3) ? 0xff : next(256)); break;
  default:
    if (nested || splits) break;
    if (next(2)) WRITE_SYSREG(ICC_BPR0, next(8));
    else WRITE_SYSREG(ICC_BPR1, next(8));
    WRITE_SYSREG(ICC_CTLR, next(4));
    if (!next(4)) group_enables(next(3) != 0);
    ISB();
    saw("BPR0", 0, READ_SYSREG(ICC_BPR0));
    saw("BPR1", 0, READ_SYSREG(ICC_BPR1));
    saw("CTLR", 0, READ_SYSREG(ICC_CTLR) & 3);
    saw("IGRPEN", 0, READ_SYSREG(ICC_IGRPEN0) | READ_SYSREG(ICC_IGRPEN1) << 1);
  }
  ISB();
}

static void send_sgi(u32 intid) {
  u64 value = (u64)(intid & 15) << 24 | (next(8) ? 1 : next(65536)) | (next(16) ? 0 : 1ull << 40);
  if (next(2)) WRITE_SYSREG(ICC_SGI1R, value);
  else WRITE_SYSREG(ICC_SGI0R, value);
  ISB();
}

static void step(void) {
  u32 intid = used[next(INTERRUPTS_USED)];
  switch (next(12)) {
  case 0: case 1: *bank(0x200, intid) = bit(intid); break;
  case 2: *bank(0x280, intid) = bit(intid); break;
  case 3: send_sgi(intid); break;
  case 4: case 5: acknowledge(next(4) != 0); break;
  case 6: case 7: end(); break;
  case 8: deactivate(); break;
  case 9: configure(intid); break;
  default: read_one(intid);
  }
  DSB();
  look();
}

static u32 number_option(const char *name, u32 otherwise) {
  char text[12];
  if (!boot_option(name, text, sizeof text)) return otherwise;
  u32 value = 0;
  for (const char *at = text; *at; at++) value = value * 10 + (u32)(*at - '0');
  return value;
}

void guest_main(void) {
  u32 first = number_option("seed", 1), count = number_option("programs", 1000);
  shows = (int)number_option("show", 0);
  gic_start();
  for (u32 n = 0; n < count; n++) {
    seed = first + n;
    state = 0x9e3779b97f4a7c15ull * (seed + 1);
    for (int warm = 0; warm < 8; warm++) next(2);
    digest = seed;
    reset();
    look();
    for (u32 at = 0; at < STEPS; at++) step();
    print("%u %lx\n", seed, digest);
  }
  print("done\n");
}
