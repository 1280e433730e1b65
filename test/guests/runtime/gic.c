#include "gic.h"

void gic_start(void) {
  GICD[0] = 1 << 4 | 1 << 1;                          /* CTLR: ARE_NS, EnableGrp1 */
  while (GICD[0] & 1u << 31) {}                       /* RWP */
  gic_cpu_start();
}

void gic_cpu_start(void) {
  u64 cpu = this_cpu()->index;
  volatile u32 *rd = GICR_SGI(cpu) - 0x10000 / 4;
  rd[0x14 / 4] &= ~2u;                                /* WAKER.ProcessorSleep */
  while (rd[0x14 / 4] & 4) {}
  volatile u32 *sgi = GICR_SGI(cpu);
  sgi[0x80 / 4] = 0xffffffff;                         /* IGROUPR0: group 1 */
  sgi[0x180 / 4] = 0xffffffff;                        /* ICENABLER0 */
  sgi[0x280 / 4] = 0xffffffff;                        /* ICPENDR0 */
  sgi[0x380 / 4] = 0xffffffff;                        /* ICACTIVER0 */
  while (rd[0] & 1u << 3) {}                          /* CTLR.RWP */
  WRITE_SYSREG(ICC_SRE, 7);
  ISB();
  WRITE_SYSREG(ICC_CTLR, 0);
  WRITE_SYSREG(ICC_BPR1, 0);
  WRITE_SYSREG(ICC_PMR, 0xff);
  WRITE_SYSREG(ICC_IGRPEN1, 1);
  ISB();
}

void gic_set_priority(u32 intid, u8 priority) {
  ((volatile u8 *)GICR_SGI(this_cpu()->index))[0x400 + intid] = priority;
}

void gic_enable(u32 intid, u8 priority) {
  gic_set_priority(intid, priority);
  GICR_SGI(this_cpu()->index)[0x100 / 4] = 1u << intid;
  DSB();
}

void gic_disable(u32 intid) {
  GICR_SGI(this_cpu()->index)[0x180 / 4] = 1u << intid;
  DSB();
}

void gic_send(u32 intid, u64 target) {
  DSB();
  WRITE_SYSREG(ICC_SGI1R, (u64)intid << 24 | 1ull << target);
  ISB();
}

int gic_pending(u32 intid) { return GICR_SGI(this_cpu()->index)[0x200 / 4] >> intid & 1; }
int gic_active(u32 intid) { return GICR_SGI(this_cpu()->index)[0x300 / 4] >> intid & 1; }
