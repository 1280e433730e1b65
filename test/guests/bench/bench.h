/*
 * A kernel does one fixed piece of work and returns its checksum, the same at every call on every machine. `ops` is
 * how many operations a call counts as in the printed `iterations`, so that T / iterations is the time of one operation.
 */
#ifndef BENCH_H
#define BENCH_H
#include "guest.h"
struct kernel {
  const char *group, *name;
  u64 (*run)(void);
  u64 ops;
  void (*prepare)(void);                              /* once, before the first call; may be 0 */
  void (*finish)(void);                               /* once, after the last; may be 0 */
};
extern const struct kernel integer_kernels[], fp_kernels[], simd_kernels[], crypto_kernels[], system_kernels[], hvc_kernels[];
/* Prints one result line. */
void bench_report(const char *name, u64 iterations, u64 ns, u64 checksum);
/* Groups that measure in their own way. */
void latency_run(void);
void cold_run(void);
void smp_run(void);
extern u64 measure_ns;                                /* shortest time of one measurement */
static inline u32 random_next(u32 *state) {           /* xorshift32; state is never 0 */
  u32 x = *state;
  x ^= x << 13;
  x ^= x >> 17;
  x ^= x << 5;
  return *state = x;
}
static inline u64 mix(u64 hash, u64 value) { return (hash ^ value) * 0x9e3779b97f4a7c15ull + (hash >> 29); }
#endif
