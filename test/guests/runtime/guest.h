/*
 * The bare-metal runtime that every guest program of this folder is linked with: console, time, CPUs, exceptions and
 * the C memory functions. The platform is QEMU `virt`: RAM at 0x4000_0000, PL011 at 0x0900_0000, GICv3, PSCI via HVC.
 */
#ifndef GUEST_H
#define GUEST_H
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef int32_t i32;
typedef uint64_t u64;
typedef int64_t i64;

#define CPUS_MAX 8
#define NOINLINE __attribute__((noinline))
#define ALIGNED(n) __attribute__((aligned(n)))

#define STR_(x) #x
#define STR(x) STR_(x)
/* `reg` is a register name or an S<op0>_<op1>_C<n>_C<m>_<op2> encoding. */
#define READ_SYSREG(reg) ({ u64 v_; __asm__ volatile("mrs %0, " STR(reg) : "=r"(v_) : : "memory"); v_; })
#define WRITE_SYSREG(reg, value) do { u64 v_ = (value); __asm__ volatile("msr " STR(reg) ", %0" : : "r"(v_) : "memory"); } while (0)
#define ISB() __asm__ volatile("isb" : : : "memory")
#define DSB() __asm__ volatile("dsb sy" : : : "memory")

/* What the vectors save; start.S knows the offsets. */
struct frame {
  u64 x[31];
  u64 sp_el0, elr, spsr, esr, far;
};
enum { FRAME_BYTES = 36 * 8 };

/* Vector number: 0-3 current EL with SP_EL0, 4-7 current EL with SP_ELx, 8-11 lower EL; each sync, IRQ, FIQ, SError. */
struct cpu;
typedef void exception_hook(struct cpu *cpu, struct frame *frame, u64 vector);
struct cpu {
  u64 el0_saved_sp;      /* offset 0: the kernel stack of a running el0_run(), else 0 */
  u64 el0_leave;         /* offset 8: set by a hook: the exception ends el0_run() */
  exception_hook *hook;  /* called for every exception; without one the guest reports and powers off */
  u64 index;
};
extern struct cpu cpus[CPUS_MAX];
static inline struct cpu *this_cpu(void) { return (struct cpu *)READ_SYSREG(tpidr_el1); }

/* Enters EL0 with x0-x7 and pc, sp, spsr of `in`; returns when a hook sets el0_leave. */
void el0_run(const struct frame *in);

/* Console. Formats: %c %s %d %u %x with optional 0-padding, width and l. */
void put_char(char c);
void print(const char *format, ...) __attribute__((format(printf, 1, 2)));
void print_to(char *out, size_t size, const char *format, va_list args);

/* Platform. */
extern const char *const bootargs;             /* /chosen/bootargs of the device tree, "" without */
extern u64 ram_bytes;                          /* of the first memory node; 128 MiB if the tree has none */
/* The text after `key=` among the boot arguments, up to a space, copied into out (cut at size); 0 if absent. */
int boot_option(const char *key, char *out, size_t size);
u64 ticks_now(void);
u64 ticks_to_ns(u64 ticks);
u64 hvc(u64 function, u64 a, u64 b, u64 c);
void power_off(void) __attribute__((noreturn));
void panic(const char *why) __attribute__((noreturn));
#define PSCI_VERSION 0x84000000u
#define PSCI_CPU_OFF 0x84000002u
#define PSCI_CPU_ON 0xC4000003u
#define PSCI_AFFINITY_INFO 0xC4000004u
#define PSCI_SYSTEM_OFF 0x84000008u
#define PSCI_FEATURES 0x8400000Au
/* Starts CPU `index` (MPIDR Aff0) in entry(arg) with MMU and vectors on; returns PSCI's answer. It ends in CPU_OFF. */
i64 cpu_start(u64 index, void (*entry)(void *), void *arg);
void cpu_wait_off(u64 index);

/* Memory. */
void *memcpy(void *to, const void *from, size_t n);
void *memmove(void *to, const void *from, size_t n);
void *memset(void *to, int value, size_t n);
int memcmp(const void *a, const void *b, size_t n);
size_t strlen(const char *s);
int strcmp(const char *a, const char *b);
/* Bump allocation from the end of the image, `align` a power of two, never freed; panics when RAM ends. */
void *allocate(size_t bytes, size_t align);
/* Makes instructions written at [at, at + bytes) visible to this CPU's fetches. */
void sync_code(const void *at, size_t bytes);

/* What a program defines. */
void guest_main(void);
extern char __heap_start[], __user_start[], __user_end[];
#endif
