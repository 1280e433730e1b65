/* Stage 1 faults: translation, access flag, permission, address size; every level, both privileges. */
#include "suite.h"

enum { TRANSLATION = 0x04, ACCESS = 0x08, PERMISSION = 0x0c, SIZE = 0x00 };

static void load_faults(const char *what, u64 va, u64 status) {
  trap_reset();
  probe_load(va);
  expect_fault(what, FROM_EL1, ESR_DATA_EL1 | status, va, (u64)probe_load);
}

static void store_faults(const char *what, u64 va, u64 status) {
  trap_reset();
  probe_store(va, 1);
  expect_fault(what, FROM_EL1, ESR_DATA_EL1 | ESR_WRITE | status, va, (u64)probe_store);
}

static void fetch_faults(const char *what, u64 va, u64 status) {
  trap_reset();
  probe_execute(va);
  expect_fault(what, FROM_EL1, ESR_FETCH_EL1 | status, va, va);
}

static void user_load_faults(const char *what, u64 va, u64 status) {
  user_run(user_load, va, 0);
  expect_fault(what, FROM_EL0, ESR_DATA_EL0 | status, va, user_address(user_load));
}

static void user_store_faults(const char *what, u64 va, u64 status) {
  user_run(user_store, va, 1);
  expect_fault(what, FROM_EL0, ESR_DATA_EL0 | ESR_WRITE | status, va, user_address(user_store));
}

static void user_fetch_faults(const char *what, u64 va, u64 status) {
  user_run(user_jump, va, 0);
  expect_fault(what, FROM_EL0, ESR_FETCH_EL0 | status, va, va);
}

static void all_fault(const char *what, u64 va, u64 status) {
  load_faults(what, va, status);
  store_faults(what, va, status);
  fetch_faults(what, va, status);
  user_load_faults(what, va, status);
  user_store_faults(what, va, status);
  user_fetch_faults(what, va, status);
}

static void translation_levels(void) {
  u64 region = fresh_region();
  all_fault("level 0", 0xff0012345678ull, TRANSLATION + 0);
  entry_of(space, region, 1);
  all_fault("level 1", region + 0x345678, TRANSLATION + 1);
  entry_of(space, region, 2);
  all_fault("level 2", region + 0x345678, TRANSLATION + 2);
  entry_of(space, region, 3);
  all_fault("level 3", region + 0x5678, TRANSLATION + 3);
  entry_set(entry_of(space, region + 0x6000, 3), (u64)page_new() | PTE_RAM | PTE_VALID); /* a block is reserved at level 3 */
  load_faults("block at level 3", region + 0x6008, TRANSLATION + 3);
}

static void block_at_level_0(void) {
  if (deviates("level-0-block")) return;
  u64 *l0 = entry_of(space, 0xfe0000000000ull, 0);
  entry_set(l0, PTE_VALID | PTE_RAM);                /* reserved with 48-bit addresses */
  load_faults("block at level 0", 0xfe0000000008ull, TRANSLATION + 0);
  entry_set(l0, 0);
  tlb_flush_all();
}

static void outside_the_ranges(void) {
  load_faults("between the halves", 0x0001000000000000ull, TRANSLATION + 0);
  load_faults("below the upper half", 0xfffe000000001000ull, TRANSLATION + 0);
  store_faults("non-canonical", 0x5a00000040200000ull, TRANSLATION + 0);
  fetch_faults("fetch between the halves", 0x0001000000000000ull, TRANSLATION + 0);
}

static void upper_half(void) {
  u64 *table = page_new(), *page = page_new(), before = READ_SYSREG(ttbr1_el1), va = 0xffff800000200000ull;
  map_page(table, va, (u64)page, PAGE_KERNEL);
  page[3] = 77;
  WRITE_SYSREG(ttbr1_el1, (u64)table);
  ISB();
  tlb_flush_all();
  expect("load through TTBR1", probe_load(va + 24), 77);
  expect_no_trap("TTBR1 page");
  load_faults("unmapped in TTBR1", va + 0x1000, TRANSLATION + 3);
  user_load_faults("kernel half from EL0", va, PERMISSION + 3);
  WRITE_SYSREG(tcr_el1, tcr_default | 1 << 23);      /* EPD1: no walks by TTBR1 */
  ISB();
  tlb_flush_all();
  load_faults("EPD1", va, TRANSLATION + 0);
  WRITE_SYSREG(tcr_el1, tcr_default);
  WRITE_SYSREG(ttbr1_el1, before);
  ISB();
  tlb_flush_all();
}

/* 39-bit upper half: walks begin at level 1; addresses outside report level 0. */
static void smaller_range(void) {
  u64 *l1 = page_new(), before = READ_SYSREG(ttbr1_el1);
  l1[2] = 0x40000000ull | PTE_VALID | PTE_RAM | PTE_UXN | PTE_PXN;
  WRITE_SYSREG(ttbr1_el1, (u64)l1);
  WRITE_SYSREG(tcr_el1, (tcr_default & ~(63ull << 16)) | 25ull << 16);
  ISB();
  tlb_flush_all();
  expect("1 GiB block", probe_load(0xffffff8080200000ull), *(u64 *)0x40200000);
  expect_no_trap("39-bit range");
  load_faults("level 1 of 39 bits", 0xffffff80c0000000ull, TRANSLATION + 1);
  load_faults("below 39 bits", 0xffffff0000000000ull, TRANSLATION + 0);
  WRITE_SYSREG(ttbr1_el1, before);
  WRITE_SYSREG(tcr_el1, tcr_default);
  ISB();
  tlb_flush_all();
}

static void top_byte_ignore(void) {
  u64 *page, va = fresh_page(PAGE_KERNEL, &page);
  page[0] = 99;
  WRITE_SYSREG(tcr_el1, tcr_default | 1ull << 37);
  ISB();
  tlb_flush_all();
  expect("tagged load", probe_load(va | 0xab00000000000000ull), 99);
  expect_no_trap("TBI0");
  load_faults("tagged unmapped", (va + 0x1000) | 0xab00000000000000ull, TRANSLATION + 3);
  WRITE_SYSREG(tcr_el1, tcr_default);
  ISB();
  tlb_flush_all();
}

static void access_flag(void) {
  u64 region = fresh_region(), user = PAGE_USER & ~PTE_AF;
  entry_set(entry_of(space, region, 3), (u64)page_new() | user);
  all_fault("level 3", region + 8, ACCESS + 3);
  region = fresh_region();
  entry_set(entry_of(space, region, 2), 0x40000000ull | (user & ~2ull));
  all_fault("level 2", region + 0x1238, ACCESS + 2);
  region = fresh_region();
  entry_set(entry_of(space, region, 1), 0x40000000ull | (user & ~2ull));
  all_fault("level 1", region + 0x1238, ACCESS + 1);
}

static const u64 *level_names_attributes(u64 attributes, u64 out[3]) {
  u64 region = fresh_region();
  entry_set(entry_of(space, region, 1), 0x40000000ull | (attributes & ~2ull));
  out[0] = region + 0x200000;
  region = fresh_region();
  entry_set(entry_of(space, region, 2), 0x40200000ull | (attributes & ~2ull));
  out[1] = region;
  out[2] = fresh_page(attributes, 0);
  return out;
}

static void permission_levels(void) {
  u64 va[3];
  level_names_attributes(PAGE_KERNEL | PTE_READONLY, va);
  for (u64 i = 0; i < 3; i++) {
    trap_reset();
    probe_load(va[i]);
    expect_no_trap("read-only page is readable");
    store_faults("write to read-only", va[i], PERMISSION + 1 + i);
    fetch_faults("fetch with PXN", va[i], PERMISSION + 1 + i);
    user_load_faults("kernel page from EL0", va[i], PERMISSION + 1 + i);
    user_store_faults("kernel page written from EL0", va[i], PERMISSION + 1 + i);
    user_fetch_faults("fetch with UXN", va[i], PERMISSION + 1 + i);
  }
  level_names_attributes(PAGE_USER | PTE_READONLY, va);
  for (u64 i = 0; i < 3; i++) {
    user_run(user_load, va[i], 0);
    expect("EL0 reads a read-only user page", trap.esr, 0x56000000);
    user_store_faults("EL0 writes a read-only user page", va[i], PERMISSION + 1 + i);
    store_faults("EL1 writes a read-only user page", va[i], PERMISSION + 1 + i);
  }
}

static void put_code(u64 *page) {
  static const u32 code[2] = CODE_RETURN_42;
  memcpy(page, code, sizeof code);
  sync_code(page, 8);
}

static void execute_permissions(void) {
  u64 *page, va;
  va = fresh_page(PTE_TABLE | PTE_RAM | PTE_UXN, &page);
  put_code(page);
  expect("EL1 executes without PXN", probe_execute(va), 42);
  expect_no_trap("EL1 code");
  user_fetch_faults("EL0 fetches EL1 code", va, PERMISSION + 3);
  va = fresh_page(PTE_TABLE | PTE_RAM | PTE_USER, &page);    /* writable at EL0: never executable at EL1 */
  put_code(page);
  fetch_faults("EL1 fetches from an EL0-writable page", va, PERMISSION + 3);
  va = fresh_page(PTE_TABLE | PTE_RAM | PTE_USER | PTE_READONLY, &page);
  put_code(page);
  expect("EL1 executes a read-only user page without PXN", probe_execute(va), 42);
  expect_no_trap("shared code");
  /* At EL0 execute-only: UXN clear on a kernel page lets EL0 fetch but not read. */
  va = fresh_page(PTE_TABLE | PTE_RAM | PTE_PXN, &page);
  *(u32 *)page = 0xd4000121;                         /* svc #9 */
  sync_code(page, 4);
  user_run_with(va, 0, 0, 0);
  expect_trap("EL0 executes an execute-only page", FROM_EL0, 0x56000009, va + 4);
  user_load_faults("EL0 reads an execute-only page", va, PERMISSION + 3);
}

/* APTable, PXNTable and UXNTable in a table descriptor limit what lies below. */
static void hierarchical(void) {
  u64 region = fresh_region(), *page = page_new();
  map_page(space, region, (u64)page, PTE_TABLE | PTE_RAM | PTE_USER | PTE_NG);
  u64 *table = entry_of(space, region, 2), plain = *table;
  static const u64 bits[] = {1ull << 62, 1ull << 61, 1ull << 60, 1ull << 59};
  for (int i = 0; i < 4; i++) {
    entry_set(table, plain | bits[i]);
    tlb_flush_all();
    trap_reset();
    if (i == 0) store_faults("APTable[1] makes read-only", region, PERMISSION + 3);
    if (i == 1) user_load_faults("APTable[0] shuts EL0 out", region, PERMISSION + 3);
    if (i == 2) user_fetch_faults("UXNTable", region, PERMISSION + 3);
    if (i == 3) {
      entry_set(entry_of(space, region, 3), (u64)page | PTE_TABLE | PTE_RAM | PTE_UXN);
      tlb_flush_all();
      fetch_faults("PXNTable", region, PERMISSION + 3);
    }
  }
}

/* With WXN a writable page is not executable. The kernel's own text becomes read-only for the time of the test. */
static void write_implies_execute_never(void) {
  u64 *l0 = space_new(), *l1 = page_new(), *l2 = page_new(), *l3 = page_new(), *page = page_new(), va = fresh_region();
  memcpy(l1, (void *)(kernel_l0[0] & PTE_ADDRESS), 4096);
  memcpy(l2, (void *)(l1[1] & PTE_ADDRESS), 4096);
  for (u64 i = 0; i < 512; i++) {
    u64 pa = 0x40200000ull + i * 4096;
    l3[i] = pa | PTE_TABLE | PTE_RAM | PTE_UXN | (pa < (u64)__user_end ? PTE_READONLY : 0);
  }
  l2[1] = (u64)l3 | PTE_TABLE;
  l1[1] = (u64)l2 | PTE_TABLE;
  l0[0] = (u64)l1 | PTE_TABLE;
  put_code(page);
  map_page(l0, va, (u64)page, PTE_TABLE | PTE_RAM | PTE_UXN);
  map_page(l0, va + 4096, (u64)page, PTE_TABLE | PTE_RAM | PTE_UXN | PTE_READONLY);
  space_use(l0, SPACE_ASID);
  tlb_flush_all();
  expect("writable code runs without WXN", probe_execute(va), 42);
  WRITE_SYSREG(sctlr_el1, sctlr_default | 1 << 19);
  ISB();
  tlb_flush_all();
  fetch_faults("writable page under WXN", va, PERMISSION + 3);
  expect("read-only page under WXN", probe_execute(va + 4096), 42);
  expect_no_trap("read-only page under WXN");
  WRITE_SYSREG(sctlr_el1, sctlr_default);
  space_use(space, SPACE_ASID);
  tlb_flush_all();
}

/* With a 36-bit output size, descriptors that name bit 40 fault at their own level. */
static void address_size(void) {
  u64 high = 1ull << 40, region = fresh_region(), *l0 = space_new();
  WRITE_SYSREG(tcr_el1, (tcr_default & ~(7ull << 32)) | 1ull << 32);
  ISB();
  space_use(l0, SPACE_ASID);
  tlb_flush_all();
  map_page(l0, region, high, PAGE_USER);
  load_faults("page", region + 8, SIZE + 3);
  store_faults("page", region + 8, SIZE + 3);
  fetch_faults("page", region, SIZE + 3);
  entry_set(entry_of(l0, region + 0x200000, 2), high | (PAGE_USER & ~2ull));
  load_faults("level 2 block", region + 0x200008, SIZE + 2);
  entry_set(entry_of(l0, region + 0x400000, 2), high | PTE_TABLE);
  load_faults("table named at level 2", region + 0x400008, SIZE + 2);
  entry_set(entry_of(l0, region + 0x40000000, 1), high | (PAGE_USER & ~2ull));
  load_faults("level 1 block", region + 0x40000008, SIZE + 1);
  entry_set(entry_of(l0, region + 0x80000000, 1), high | PTE_TABLE);
  load_faults("table named at level 1", region + 0x80000008, SIZE + 1);
  entry_set(entry_of(l0, 0xfd0000000000ull, 0), high | PTE_TABLE);
  load_faults("table named at level 0", 0xfd0000000008ull, SIZE + 0);
  WRITE_SYSREG(tcr_el1, tcr_default);
  space_use(space, SPACE_ASID);
  tlb_flush_all();
}

/* The order of checks within one access: translation before access flag before permission. */
static void fault_priority(void) {
  u64 region = fresh_region();
  entry_set(entry_of(space, region, 3), (u64)page_new() | ((PAGE_KERNEL | PTE_READONLY) & ~PTE_AF));
  store_faults("access flag before permission", region, ACCESS + 3);
}

static void privileged_never_access(void) {
  if ((READ_SYSREG(id_aa64mmfr1_el1) >> 20 & 15) == 0) {
    skip("no FEAT_PAN");
    return;
  }
  u64 *page, va = fresh_page(PAGE_USER, &page), kernel = fresh_page(PAGE_KERNEL, 0);
  page[0] = 5;
  __asm__ volatile(".inst 0xd500419f");              /* msr pan, #1 */
  trap_reset();
  u64 got = probe_load(va), esr = trap.esr, spsr = trap.spsr, count = trap.count;
  trap_reset();
  u64 unprivileged = probe_load_unprivileged(va), other = trap.count;
  probe_load(kernel);
  other += trap.count;
  __asm__ volatile(".inst 0xd500409f");              /* msr pan, #0 */
  (void)got;
  expect("traps", count, 1);
  expect("ESR", esr, ESR_DATA_EL1 | (PERMISSION + 3));
  expect("SPSR.PAN", spsr >> 22 & 1, 1);
  expect("LDTR is not subject to PAN", unprivileged, 5);
  expect("other traps", other, 0);
  trap_reset();
  expect("load with PAN clear", probe_load(va), 5);
  expect_no_trap("PAN clear");
}

static void unprivileged_access(void) {
  u64 *page, user = fresh_page(PAGE_USER, &page), kernel = fresh_page(PAGE_KERNEL, 0);
  page[0] = 8;
  expect("LDTR of a user page", probe_load_unprivileged(user), 8);
  expect_no_trap("LDTR");
  probe_load_unprivileged(kernel);
  expect_fault("LDTR of a kernel page", FROM_EL1, ESR_DATA_EL1 | (PERMISSION + 3), kernel, (u64)probe_load_unprivileged);
  probe_store_unprivileged(kernel, 0);
  expect_fault("STTR to a kernel page", FROM_EL1, ESR_DATA_EL1 | ESR_WRITE | (PERMISSION + 3), kernel, (u64)probe_store_unprivileged);
}

#define AT(op, va) ({ __asm__ volatile("at " op ", %0\n isb" : : "r"((u64)(va)) : "memory"); READ_SYSREG(par_el1); })

static void address_translate(void) {
  u64 *page, va = fresh_page(PAGE_USER | PTE_READONLY, &page), kernel = fresh_page(PAGE_KERNEL, 0), device = 0x09000000;
  u64 par = AT("s1e1r", va + 0x123);
  expect("S1E1R: F and address", par & 0x0000fffffffff001ull, (u64)page);
  expect("S1E1R: attributes", par >> 56, 0xff);
  expect("S1E1R: shareability", par >> 7 & 3, 3);
  expect("S1E1R of a device: attributes", AT("s1e1r", device) >> 56, 0);
  expect("S1E0R", AT("s1e0r", va) & 0x0000fffffffff001ull, (u64)page);
  expect("S1E1W to read-only", AT("s1e1w", va) & 0x7f, (PERMISSION + 3) << 1 | 1);
  expect("S1E0W to read-only", AT("s1e0w", va) & 0x7f, (PERMISSION + 3) << 1 | 1);
  expect("S1E1W to kernel", AT("s1e1w", kernel) & 1, 0);
  expect("S1E0R of kernel", AT("s1e0r", kernel) & 0x7f, (PERMISSION + 3) << 1 | 1);
  expect("S1E1R unmapped, level 3", AT("s1e1r", va + 0x1000) & 0x7f, (TRANSLATION + 3) << 1 | 1);
  expect("S1E1R unmapped, level 0", AT("s1e1r", 0xff0000000000ull) & 0x7f, (TRANSLATION + 0) << 1 | 1);
  expect("RES1", AT("s1e1r", va + 0x1000) >> 11 & 1, 1);
  expect_no_trap("AT never traps");
}

const struct test translation_tests[] = {
  {"fault: translation at levels 0 to 3", translation_levels}, {"fault: block descriptor at level 0", block_at_level_0}, {"fault: addresses outside both ranges", outside_the_ranges},
  {"fault: TTBR1 half and EPD1", upper_half}, {"fault: 39-bit range", smaller_range}, {"fault: top byte ignored", top_byte_ignore},
  {"fault: access flag at levels 1 to 3", access_flag}, {"fault: permission at levels 1 to 3", permission_levels},
  {"fault: execute permissions", execute_permissions}, {"fault: APTable, UXNTable, PXNTable", hierarchical},
  {"fault: SCTLR.WXN", write_implies_execute_never}, {"fault: address size at levels 0 to 3", address_size},
  {"fault: priority", fault_priority}, {"fault: PAN", privileged_never_access}, {"fault: LDTR and STTR", unprivileged_access},
  {"translation: AT and PAR_EL1", address_translate},
  {0},
};
