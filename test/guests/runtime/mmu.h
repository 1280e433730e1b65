/*
 * Stage 1 tables. The low half (TTBR0) is an identity map of 2 MiB blocks: device memory below 1 GiB, normal
 * write-back RAM from 1 to 2 GiB, all global. Programs map 4 KiB pages from TEST_BASE (level-0 entry 1) on.
 */
#ifndef MMU_H
#define MMU_H
#include "guest.h"
#define TEST_BASE 0x8000000000ull
/* Descriptor bits (Arm ARM D8.3). */
#define PTE_VALID 1ull
#define PTE_TABLE 3ull                 /* levels 0-2: table; level 3: page */
#define PTE_ATTR(n) ((u64)(n) << 2)    /* MAIR index: 0 device, 1 normal write-back, 2 normal non-cacheable */
#define PTE_USER (1ull << 6)
#define PTE_READONLY (1ull << 7)
#define PTE_SHARED (3ull << 8)
#define PTE_AF (1ull << 10)
#define PTE_NG (1ull << 11)
#define PTE_CONT (1ull << 52)
#define PTE_PXN (1ull << 53)
#define PTE_UXN (1ull << 54)
#define PTE_ADDRESS 0x0000fffffffff000ull
#define PTE_RAM (PTE_ATTR(1) | PTE_SHARED | PTE_AF)
#define PAGE_KERNEL (PTE_TABLE | PTE_RAM | PTE_UXN | PTE_PXN)
#define PAGE_USER (PTE_TABLE | PTE_RAM | PTE_USER | PTE_UXN | PTE_PXN | PTE_NG)
#define PAGE_USER_CODE (PTE_TABLE | PTE_RAM | PTE_USER | PTE_READONLY | PTE_PXN | PTE_NG)

extern u64 kernel_l0[512];
extern u64 tcr_default, sctlr_default;
/* A zeroed 4 KiB table or page. */
u64 *page_new(void);
/* A fresh level-0 table sharing the identity map. */
u64 *space_new(void);
/* The descriptor of va at level (0-3) below the level-0 table, making tables on the way; with make = 0 it may be 0. */
u64 *entry_of(u64 *l0, u64 va, int level);
/* Writes a descriptor with the barriers a new (formerly invalid) entry needs. */
void entry_set(u64 *entry, u64 value);
void map_page(u64 *l0, u64 va, u64 pa, u64 attributes);
void tlb_flush_all(void);
void mmu_build(void);
void mmu_enable(void);
#endif
