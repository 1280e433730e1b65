/* Builds and enables the identity map; built with -mstrict-align because it also runs with the MMU off. */
#include "mmu.h"

u64 kernel_l0[512] ALIGNED(4096);
static u64 kernel_l1[512] ALIGNED(4096);
static u64 l2_device[512] ALIGNED(4096);
static u64 l2_ram[512] ALIGNED(4096);
u64 tcr_default, sctlr_default;

void mmu_build(void) {
  for (u64 i = 0; i < 512; i++) {
    l2_device[i] = i << 21 | PTE_VALID | PTE_ATTR(0) | PTE_AF | PTE_UXN | PTE_PXN;
    l2_ram[i] = (0x40000000ull + (i << 21)) | PTE_VALID | PTE_RAM | PTE_UXN;
  }
  kernel_l1[0] = (u64)l2_device | PTE_TABLE;
  kernel_l1[1] = (u64)l2_ram | PTE_TABLE;
  kernel_l0[0] = (u64)kernel_l1 | PTE_TABLE;
  u64 pa_range = READ_SYSREG(id_aa64mmfr0_el1) & 15;
  if (pa_range > 5) pa_range = 5;                     /* 48 bits are enough and need no FEAT_LPA */
  u64 asid16 = (READ_SYSREG(id_aa64mmfr0_el1) >> 4 & 15) == 2;
  /* 48-bit halves, 4 KiB granules, write-back inner shareable walks. */
  tcr_default = 16 | 1 << 8 | 1 << 10 | 3 << 12 | 16 << 16 | 1 << 24 | 1 << 26 | 3u << 28 | 2ull << 30 | pa_range << 32 | asid16 << 36;
  /* RES1 bits, UCI, nTWE, nTWI, UCT, DZE, I, SA0, SA, C, M. */
  sctlr_default = 0x30d00800ull | 1 << 26 | 1 << 18 | 1 << 16 | 1 << 15 | 1 << 14 | 1 << 12 | 1 << 4 | 1 << 3 | 1 << 2 | 1;
}

void mmu_enable(void) {
  WRITE_SYSREG(mair_el1, 0x44ff00);
  WRITE_SYSREG(tcr_el1, tcr_default);
  WRITE_SYSREG(ttbr0_el1, (u64)kernel_l0);
  WRITE_SYSREG(ttbr1_el1, (u64)kernel_l0);            /* replaced by tests; the low entries alias the identity map */
  ISB();
  __asm__ volatile("tlbi vmalle1\n dsb nsh\n isb" : : : "memory");
  WRITE_SYSREG(sctlr_el1, sctlr_default);
  ISB();
}

u64 *page_new(void) {
  u64 *page = allocate(4096, 4096);
  memset(page, 0, 4096);
  return page;
}

u64 *space_new(void) {
  u64 *l0 = page_new();
  l0[0] = kernel_l0[0];
  return l0;
}

u64 *entry_of(u64 *l0, u64 va, int level) {
  u64 *table = l0;
  for (int l = 0; l < level; l++) {
    u64 *entry = &table[va >> (39 - 9 * l) & 511];
    if (!(*entry & PTE_VALID)) entry_set(entry, (u64)page_new() | PTE_TABLE);
    table = (u64 *)(*entry & PTE_ADDRESS);
  }
  return &table[va >> (39 - 9 * level) & 511];
}

void entry_set(u64 *entry, u64 value) {
  *(volatile u64 *)entry = value;
  __asm__ volatile("dsb ishst\n isb" : : : "memory");
}

void map_page(u64 *l0, u64 va, u64 pa, u64 attributes) { entry_set(entry_of(l0, va, 3), pa | attributes); }

void tlb_flush_all(void) { __asm__ volatile("dsb ish\n tlbi vmalle1\n dsb ish\n isb" : : : "memory"); }
