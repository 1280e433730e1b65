/* TLB maintenance with break-before-make, ASIDs, global and contiguous entries, and the other granules. */
#include "suite.h"

enum form { VAE1, VALE1, VAAE1, VAALE1, ASIDE1, VMALLE1, VAE1IS, VALE1IS, VAAE1IS, VAALE1IS, ASIDE1IS, VMALLE1IS, FORMS };
static const char *const form_names[FORMS] = {"VAE1", "VALE1", "VAAE1", "VAALE1", "ASIDE1", "VMALLE1",
                                              "VAE1IS", "VALE1IS", "VAAE1IS", "VAALE1IS", "ASIDE1IS", "VMALLE1IS"};

static void invalidate(enum form form, u64 va, u64 asid) {
  u64 page = asid << 48 | (va >> 12 & 0xfffffffffffull), all = va >> 12 & 0xfffffffffffull;
#define TLBI(op, value) __asm__ volatile("dsb ish\n tlbi " op ", %0\n dsb ish\n isb" : : "r"(value) : "memory"); break
  switch (form) {
    case VAE1: TLBI("vae1", page);
    case VALE1: TLBI("vale1", page);
    case VAAE1: TLBI("vaae1", all);
    case VAALE1: TLBI("vaale1", all);
    case ASIDE1: TLBI("aside1", asid << 48);
    case VAE1IS: TLBI("vae1is", page);
    case VALE1IS: TLBI("vale1is", page);
    case VAAE1IS: TLBI("vaae1is", all);
    case VAALE1IS: TLBI("vaale1is", all);
    case ASIDE1IS: TLBI("aside1is", asid << 48);
    case VMALLE1: __asm__ volatile("dsb ish\n tlbi vmalle1\n dsb ish\n isb" : : : "memory"); break;
    default: __asm__ volatile("dsb ish\n tlbi vmalle1is\n dsb ish\n isb" : : : "memory"); break;
  }
}

/* Break: the old page must be gone. Make: the new one must appear. For each form, on global and non-global pages. */
static void break_before_make(void) {
  for (int global = 0; global < 2; global++)
    for (int form = 0; form < FORMS; form++) {
      if (global && (form == ASIDE1 || form == ASIDE1IS)) continue;
      u64 *old, *new = page_new(), va = fresh_page(global ? PAGE_KERNEL : PAGE_USER, &old), *entry = entry_of(space, va, 3);
      old[1] = 1;
      new[1] = 2;
      const char *name = form_names[form];
      trap_reset();
      expect(name, probe_load(va + 8), 1);
      *(volatile u64 *)entry = 0;
      invalidate(form, va, SPACE_ASID);
      expect_no_trap(name);
      probe_load(va + 8);
      expect_fault(name, FROM_EL1, ESR_DATA_EL1 | 7, va + 8, (u64)probe_load);
      entry_set(entry, (u64)new | (global ? PAGE_KERNEL : PAGE_USER));
      expect(name, probe_load(va + 8), 2);
      probe_store(va + 16, 3);
      expect(name, new[2], 3);
      expect_no_trap(name);
    }
}

/* Taking write permission away and giving it back. */
static void permission_change(void) {
  u64 va = fresh_page(PAGE_USER, 0), *entry = entry_of(space, va, 3), value = *entry;
  probe_store(va, 1);
  expect_no_trap("writable");
  *(volatile u64 *)entry = value | PTE_READONLY;
  invalidate(VALE1IS, va, SPACE_ASID);
  probe_store(va, 2);
  expect_fault("read-only", FROM_EL1, ESR_DATA_EL1 | ESR_WRITE | 15, va, (u64)probe_store);
  *(volatile u64 *)entry = value;
  invalidate(VAE1, va, SPACE_ASID);
  probe_store(va, 3);
  expect_no_trap("writable again");
  expect("value", probe_load(va), 3);
}

/* One address inside a block removes the whole block; a table pointer is removed with what lies below it. */
static void blocks_and_tables(void) {
  u64 region = fresh_region(), *block = entry_of(space, region, 2), far_in_block = region + 0x1ff000;
  *block = 0x40200000 | (PAGE_KERNEL & ~2ull);
  DSB();
  ISB();
  expect("block", probe_load(far_in_block), *(u64 *)(0x40200000 + 0x1ff000));
  expect_no_trap("block");
  *(volatile u64 *)block = 0;
  invalidate(VAE1IS, region + 0x100000, SPACE_ASID);
  probe_load(far_in_block);
  expect_fault("removed block", FROM_EL1, ESR_DATA_EL1 | 6, far_in_block, (u64)probe_load);
  u64 *table = page_new(), *page = page_new();
  page[0] = 11;
  table[5] = (u64)page | PAGE_KERNEL;
  entry_set(block, (u64)table | PTE_TABLE);
  expect("page below a table", probe_load(region + 0x5000), 11);
  *(volatile u64 *)block = 0;
  invalidate(VAE1, region + 0x5000, SPACE_ASID);
  expect_no_trap("page below a table");
  probe_load(region + 0x5000);
  expect_fault("removed table", FROM_EL1, ESR_DATA_EL1 | 6, region + 0x5000, (u64)probe_load);
}

static void asids(void) {
  u64 *a = space_new(), *b = space_new(), *pa = page_new(), *pb = page_new(), *shared = page_new(), va = fresh_region();
  pa[0] = 100;
  pb[0] = 200;
  shared[0] = 300;
  map_page(a, va, (u64)pa, PAGE_USER);
  map_page(b, va, (u64)pb, PAGE_USER);
  map_page(a, va + 4096, (u64)shared, PAGE_KERNEL);  /* global, in both spaces */
  map_page(b, va + 4096, (u64)shared, PAGE_KERNEL);
  for (int i = 0; i < 10; i++) {
    space_use(a, 2);
    expect("ASID 2", probe_load(va), 100);
    probe_store(va + 8, (u64)i);
    expect("global in ASID 2", probe_load(va + 4096), 300);
    space_use(b, 3);
    expect("ASID 3", probe_load(va), 200);
    expect("ASID 3 does not see ASID 2", probe_load(va + 8), 0);
    expect("global in ASID 3", probe_load(va + 4096), 300);
  }
  expect_no_trap("switching");
  /* TLBI ASIDE1 of ASID 2 with its page changed; ASID 3 stays right. */
  entry_set(entry_of(a, va, 3), 0);
  invalidate(ASIDE1, 0, 2);
  expect("ASID 3 after ASIDE1 of 2", probe_load(va), 200);
  space_use(a, 2);
  probe_load(va);
  expect_fault("ASID 2 after ASIDE1", FROM_EL1, ESR_DATA_EL1 | 7, va, (u64)probe_load);
  space_use(space, SPACE_ASID);
  tlb_flush_all();
}

/* TCR_EL1.A1: the ASID comes from TTBR1_EL1. */
static void asid_from_ttbr1(void) {
  u64 *a = space_new(), *pa = page_new(), *pb = page_new(), va = fresh_region(), ttbr1 = READ_SYSREG(ttbr1_el1);
  pa[0] = 1;
  pb[0] = 2;
  map_page(a, va, (u64)pa, PAGE_USER);
  space_use(a, 0);
  WRITE_SYSREG(tcr_el1, tcr_default | 1 << 22);
  WRITE_SYSREG(ttbr1_el1, ttbr1 | 7ull << 48);
  ISB();
  tlb_flush_all();
  expect("ASID 7", probe_load(va), 1);
  WRITE_SYSREG(ttbr1_el1, ttbr1 | 8ull << 48);
  ISB();
  entry_set(entry_of(a, va, 3), (u64)pb | PAGE_USER); /* ASID 8 has never seen the page */
  expect("ASID 8", probe_load(va), 2);
  invalidate(ASIDE1IS, 0, 7);
  WRITE_SYSREG(ttbr1_el1, ttbr1 | 7ull << 48);
  ISB();
  expect("ASID 7 after ASIDE1IS", probe_load(va), 2);
  expect_no_trap("A1");
  WRITE_SYSREG(tcr_el1, tcr_default);
  WRITE_SYSREG(ttbr1_el1, ttbr1);
  space_use(space, SPACE_ASID);
  tlb_flush_all();
}

static void asid_size(void) {
  u64 wide = (READ_SYSREG(id_aa64mmfr0_el1) >> 4 & 15) == 2;
  space_use(space, 0xab01);
  expect("ASID bits held", READ_SYSREG(ttbr0_el1) >> 48 & (wide ? 0xffff : 0xff), wide ? 0xab01 : 0x01);
  space_use(space, SPACE_ASID);
  tlb_flush_all();
}

static void contiguous(void) {
  u64 region = fresh_region(), *pages = allocate(16 * 4096, 65536);
  for (u64 i = 0; i < 16; i++) {
    pages[i * 512] = i + 1;
    map_page(space, region + i * 4096, (u64)pages + i * 4096, PAGE_USER | PTE_CONT);
  }
  for (u64 i = 0; i < 16; i++) expect("contiguous page", probe_load(region + (i * 7 % 16) * 4096), i * 7 % 16 + 1);
  expect_no_trap("contiguous pages");
  for (u64 i = 0; i < 16; i++) *(volatile u64 *)entry_of(space, region + i * 4096, 3) = 0;
  for (u64 i = 0; i < 16; i++) invalidate(VAE1IS, region + i * 4096, SPACE_ASID);
  for (u64 i = 0; i < 16; i++) {
    probe_load(region + i * 4096);
    expect_fault("removed contiguous page", FROM_EL1, ESR_DATA_EL1 | 7, region + i * 4096, (u64)probe_load);
  }
}

/* A granule in the upper half: a page, a block, and faults at each level that the granule has. */
static void granule(u64 page_shift, u64 tg1) {
  u64 index_bits = page_shift - 3, size = 1ull << page_shift, ttbr1 = READ_SYSREG(ttbr1_el1), va = 0xffff000000000000ull;
  int start = page_shift == 14 ? 0 : 1;
  u64 *tables[4] = {0}, *page = allocate(size, size);
  for (int level = start; level < 4; level++) {
    tables[level] = allocate(size, size);
    memset(tables[level], 0, size);
    if (level > start) tables[level - 1][0] = (u64)tables[level] | PTE_TABLE;
  }
  memset(page, 0, size);
  page[size / 8 - 1] = 4242;
  tables[3][1] = (u64)page | PAGE_KERNEL;
  u64 block_bytes = size << index_bits;              /* level 2 block: 32 MiB or 512 MiB */
  tables[2][1] = 0x40000000ull | (PAGE_KERNEL & ~2ull);
  tables[2][2] = 0x40000000ull | ((PAGE_KERNEL & ~2ull) & ~PTE_AF);
  tables[3][3] = (u64)page | PAGE_KERNEL | PTE_READONLY;
  DSB();
  WRITE_SYSREG(tcr_el1, (tcr_default & ~(3ull << 30)) | tg1 << 30);
  WRITE_SYSREG(ttbr1_el1, (u64)tables[start]);
  ISB();
  tlb_flush_all();
  expect("page", probe_load(va + 2 * size - 8), 4242);
  expect("block", probe_load(va + block_bytes + 0x200000), *(u64 *)0x40200000);
  expect_no_trap("granule");
  probe_load(va + 2 * size + 8);
  expect_fault("level 3", FROM_EL1, ESR_DATA_EL1 | 7, va + 2 * size + 8, (u64)probe_load);
  probe_load(va + 3 * block_bytes);
  expect_fault("level 2", FROM_EL1, ESR_DATA_EL1 | 6, va + 3 * block_bytes, (u64)probe_load);
  u64 next = block_bytes << index_bits;
  probe_load(va + next);
  expect_fault("level 1", FROM_EL1, ESR_DATA_EL1 | 5, va + next, (u64)probe_load);
  if (start == 0) {
    probe_load(va | 1ull << 47);
    expect_fault("level 0", FROM_EL1, ESR_DATA_EL1 | 4, va | 1ull << 47, (u64)probe_load);
  }
  probe_store(va + 3 * size, 1);
  expect_fault("read-only page", FROM_EL1, ESR_DATA_EL1 | ESR_WRITE | 15, va + 3 * size, (u64)probe_store);
  probe_load(va + 2 * block_bytes);
  expect_fault("block without access flag", FROM_EL1, ESR_DATA_EL1 | 10, va + 2 * block_bytes, (u64)probe_load);
  WRITE_SYSREG(tcr_el1, tcr_default);
  WRITE_SYSREG(ttbr1_el1, ttbr1);
  ISB();
  tlb_flush_all();
}

static void granule_16k(void) {
  u64 field = READ_SYSREG(id_aa64mmfr0_el1) >> 20 & 15;
  if (field == 0) skip("the CPU has no 16 KiB granule");
  else granule(14, 1);
}

static void granule_64k(void) {
  u64 field = READ_SYSREG(id_aa64mmfr0_el1) >> 24 & 15;
  if (field == 15) skip("the CPU has no 64 KiB granule");
  else granule(16, 3);
}

/* Mapping many pages to few frames keeps every alias coherent. */
static void aliases(void) {
  u64 region = fresh_region(), *page = page_new();
  for (u64 i = 0; i < 64; i++) map_page(space, region + i * 4096, (u64)page, PAGE_KERNEL);
  for (u64 i = 0; i < 64; i++) {
    probe_store(region + i * 4096 + 8, i);
    expect("alias", probe_load(region + (63 - i) * 4096 + 8), i);
  }
  expect_no_trap("aliases");
}

const struct test tlb_tests[] = {
  {"tlb: break-before-make with every TLBI form", break_before_make}, {"tlb: permission changes", permission_change},
  {"tlb: blocks and tables", blocks_and_tables}, {"tlb: ASIDs and global pages", asids}, {"tlb: ASID from TTBR1", asid_from_ttbr1},
  {"tlb: ASID size", asid_size}, {"tlb: contiguous pages", contiguous}, {"tlb: 16 KiB granule", granule_16k},
  {"tlb: 64 KiB granule", granule_64k}, {"tlb: aliases", aliases},
  {0},
};
