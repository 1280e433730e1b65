/* GICv3 as the virt machine has it: distributor at 0x0800_0000, redistributors at 0x080A_0000 with a 128 KiB stride. */
#ifndef GIC_H
#define GIC_H
#include "guest.h"
#define ICC_PMR S3_0_C4_C6_0
#define ICC_IAR1 S3_0_C12_C12_0
#define ICC_EOIR1 S3_0_C12_C12_1
#define ICC_HPPIR1 S3_0_C12_C12_2
#define ICC_BPR1 S3_0_C12_C12_3
#define ICC_DIR S3_0_C12_C11_1
#define ICC_RPR S3_0_C12_C11_3
#define ICC_SGI1R S3_0_C12_C11_5
#define ICC_CTLR S3_0_C12_C12_4
#define ICC_SRE S3_0_C12_C12_5
#define ICC_IGRPEN1 S3_0_C12_C12_7
#define GICD ((volatile u32 *)0x08000000)
/* The SGI frame of a CPU's redistributor. */
#define GICR_SGI(cpu) ((volatile u32 *)(0x080B0000 + (u64)(cpu) * 0x20000))
#define INTID_CNTV 27
#define INTID_CNTP 30
/* Distributor with affinity routing and group 1; then this CPU's redistributor and interface, all SGIs and PPIs off. */
void gic_start(void);
void gic_cpu_start(void);
/* Enables an SGI or PPI of this CPU at a priority (0 highest). */
void gic_enable(u32 intid, u8 priority);
void gic_disable(u32 intid);
void gic_set_priority(u32 intid, u8 priority);
/* Sends SGI `intid` to CPU Aff0 `target`. */
void gic_send(u32 intid, u64 target);
/* Whether an SGI or PPI of this CPU is pending / active. */
int gic_pending(u32 intid);
int gic_active(u32 intid);
#endif
