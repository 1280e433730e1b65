/* The guest suite's frame: tests, expectations, and traps that are recorded and stepped over. */
#ifndef SUITE_H
#define SUITE_H
#include "gic.h"
#include "guest.h"
#include "mmu.h"

struct test {
  const char *name;
  void (*run)(void);
};
extern const struct test exception_tests[], translation_tests[], tlb_tests[], access_tests[], sysreg_tests[], debug_tests[], interrupt_tests[],
  precise_tests[], smp_tests[];

/* The first exception since trap_reset(), and how many there were. */
struct trap {
  u64 count, vector, esr, far, elr, spsr, x0, x3;
};
extern volatile struct trap trap;
void trap_reset(void);
/* Called for IRQs with the exception's frame; 0: an IRQ is recorded as a trap and masked in the interrupted state. */
extern void (*irq_handler)(struct frame *frame);
/* Called for synchronous exceptions first; 1: handled, the access is retried. */
extern int (*fault_handler)(struct frame *frame);

/* Fails the running test unless got == want; prints both. */
void expect(const char *what, u64 got, u64 want);
void expect_true(const char *what, int condition);
/* Ends up as `ok N name # SKIP reason`; the test returns right after. */
void skip(const char *reason);
/* Whether the boot argument `deviations=a,b` names a known deviation of the platform under test; the test is then skipped. */
int deviates(const char *name);
/* The trap was the only one and has these values; SPSR is compared in mode, DAIF, IL and SS. */
void expect_trap(const char *what, u64 vector, u64 esr, u64 elr);
void expect_fault(const char *what, u64 vector, u64 esr, u64 far, u64 elr);
void expect_no_trap(const char *what);
enum { FROM_EL1_SP0 = 0, FROM_EL1 = 4, FROM_EL0 = 8 };
/* ESR_EL1 of aborts without the fault status: exception class and IL. */
#define ESR_DATA_EL1 0x96000000ull
#define ESR_DATA_EL0 0x92000000ull
#define ESR_FETCH_EL1 0x86000000ull
#define ESR_FETCH_EL0 0x82000000ull
#define ESR_WRITE (1ull << 6)
#define ESR_UNDEFINED 0x02000000ull

/* The suite's own address space (TTBR0, ASID 1): identity map plus test pages. */
extern u64 *space;
#define SPACE_ASID 1
void space_use(u64 *l0, u64 asid);
/* An unused, 1 GiB aligned region of addresses at TEST_BASE and above. */
u64 fresh_region(void);
/* A fresh page mapped at a fresh address; *pa_out (may be 0) is the page. */
u64 fresh_page(u64 attributes, u64 **pa_out);

/* Runs an EL0 program of the .user section with x0-x2; it ends with its first exception, which is in `trap`. */
#define USER_CODE (TEST_BASE + 0x7f00000000ull)
#define USER_STACK (TEST_BASE + 0x7e00000000ull)
static inline u64 user_address(void (*program)(void)) { return USER_CODE + ((u64)program - (u64)__user_start); }
void user_run(void (*program)(void), u64 x0, u64 x1);
void user_run_with(u64 pc, u64 x0, u64 x1, u64 spsr);

/* Probes: the instruction under test is the first one; a trap skips it. x0 = address. */
u64 probe_load(u64 va), probe_load_byte(u64 va), probe_load_pair(u64 va), probe_load_exclusive(u64 va), probe_load_acquire(u64 va);
u64 probe_load_unprivileged(u64 va), probe_load_quad(u64 va);
void probe_store(u64 va, u64 value), probe_store_pair(u64 va, u64 value), probe_store_unprivileged(u64 va, u64 value);
void probe_store_quad(u64 va, u64 value), probe_zero(u64 va), probe_store_release(u64 va, u64 value);
u64 probe_execute(u64 va);
void user_load(void), user_store(void), user_jump(void), user_svc(void);
/* Code that returns 42 in x0: `mov x0, #42; ret`. */
#define CODE_RETURN_42 {0xd2800540, 0xd65f03c0}
#endif
