/*
 * The benchmark guest. Boot arguments: `run=NAME[,NAME...]` (groups such as cpu.integer, or single kernels; default
 * all), `ms=N` (shortest measurement, default 300). Prints `bench NAME iterations N ns T checksum X` per kernel and ends
 * with `bench done`.
 */
#include "bench.h"

u64 measure_ns = 300000000;

void bench_report(const char *name, u64 iterations, u64 ns, u64 checksum) {
  print("bench %s iterations %lu ns %lu checksum %016lx\n", name, iterations, ns, checksum);
}

static u64 timed(const struct kernel *kernel, u64 calls, u64 expected) {
  u64 start = ticks_now();
  for (u64 i = 0; i < calls; i++) {
    u64 checksum = kernel->run();
    if (checksum != expected) {
      print("bench %s checksum %016lx differs from %016lx\n", kernel->name, checksum, expected);
      panic("a kernel is not deterministic");
    }
  }
  return ticks_to_ns(ticks_now() - start);
}

/*
 * Warms up for one measurement's length, then measures three times with enough calls that the best of the three is long
 * enough; a measurement that a pause of the host has lengthened is thereby found out and repeated with more calls.
 */
static void run_kernel(const struct kernel *kernel) {
  if (kernel->prepare) kernel->prepare();
  u64 expected = kernel->run(), calls = 1, best;
  for (u64 warm = 0; warm < measure_ns;) warm += timed(kernel, 1, expected) + 1;
  for (;;) {
    best = ~0ull;
    for (int i = 0; i < 3; i++) {
      u64 ns = timed(kernel, calls, expected);
      if (ns < best) best = ns;
      if (ns < measure_ns / 8) break;                  /* far too short: no need for all three */
    }
    if (best >= measure_ns) break;
    u64 wanted = calls * (measure_ns + measure_ns / 8) / (best + 1) + 1;
    calls = wanted > calls * 64 ? calls * 64 : wanted;
  }
  if (kernel->finish) kernel->finish();
  bench_report(kernel->name, calls * kernel->ops, best, expected);
}

/* Whether `name` is one of the comma-separated words of `list`; an empty list holds every name. */
static int selected(const char *list, const char *name) {
  size_t length = strlen(name);
  for (const char *at = list; *at; at++)
    if ((at == list || at[-1] == ',') && !memcmp(at, name, length) && (at[length] == 0 || at[length] == ',')) return 1;
  return !*list;
}

void guest_main(void) {
  static char list[512], number[16];
  boot_option("run", list, sizeof list);
  if (boot_option("ms", number, sizeof number)) {
    u64 ms = 0;
    for (const char *c = number; *c >= '0' && *c <= '9'; c++) ms = ms * 10 + (u64)(*c - '0');
    if (ms) measure_ns = ms * 1000000;
  }
  static const struct kernel *const groups[] = {integer_kernels, fp_kernels, simd_kernels, crypto_kernels, system_kernels, hvc_kernels};
  for (size_t g = 0; g < sizeof groups / sizeof *groups; g++)
    for (const struct kernel *k = groups[g]; k->run; k++)
      if (selected(list, k->group) || selected(list, k->name)) run_kernel(k);
  if (selected(list, "cpu.system") || selected(list, "timer-latency")) latency_run();
  if (selected(list, "cpu.cold")) cold_run();
  if (selected(list, "cpu.smp")) smp_run();
  print("bench done\n");
}
