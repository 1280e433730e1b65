/** A ring in C between two threads: what the machine can do without JavaScript. Compiled when there is a C compiler. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const SOURCE = `
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
enum { SLOTS = 1024, BYTES = 240, TRIPS = 300000, COUNT = 5000000 };
struct ring { _Alignas(128) atomic_uint tail; _Alignas(128) atomic_uint head; _Alignas(128) unsigned char slot[SLOTS][256]; };
static struct ring there, back;
static void put(struct ring *r, unsigned *tail, unsigned *head, const void *m, size_t n) {
  while (*tail - *head == SLOTS) *head = atomic_load_explicit(&r->head, memory_order_acquire);
  memcpy(r->slot[*tail % SLOTS], m, n);
  atomic_store_explicit(&r->tail, ++*tail, memory_order_release);
}
static void get(struct ring *r, unsigned *head, unsigned *tail, void *m, size_t n) {
  while (*tail == *head) *tail = atomic_load_explicit(&r->tail, memory_order_acquire);
  memcpy(m, r->slot[*head % SLOTS], n);
  atomic_store_explicit(&r->head, ++*head, memory_order_release);
}
static void *other(void *unused) {
  unsigned char m[BYTES]; unsigned h = 0, ts = 0, t = 0, hs = 0;
  for (int i = 0; i < TRIPS; i++) { get(&there, &h, &ts, m, 64); put(&back, &t, &hs, m, 64); }
  for (int i = 0; i < COUNT; i++) get(&there, &h, &ts, m, BYTES);
  return unused;
}
static double now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec + t.tv_nsec / 1e9; }
int main(void) {
  pthread_t thread; unsigned char m[BYTES] = {7}; unsigned t = 0, hs = 0, h = 0, ts = 0;
  pthread_create(&thread, 0, other, 0);
  double a = now();
  for (int i = 0; i < TRIPS; i++) { put(&there, &t, &hs, m, 64); get(&back, &h, &ts, m, 64); }
  double b = now();
  for (int i = 0; i < COUNT; i++) put(&there, &t, &hs, m, BYTES);
  pthread_join(thread, 0);
  printf("%f %f\\n", (b - a) / TRIPS * 1e6, COUNT / (now() - b));
}
`;

/** Microseconds a round trip (64 bytes, mean) and messages per second (240 bytes), or why there is no figure. */
export function measureCRing(): { readonly roundTripUs: number; readonly perSecond: number } | string {
  const folder = mkdtempSync(join(tmpdir(), 'wurley-c-ring-'));
  try {
    writeFileSync(join(folder, 'ring.c'), SOURCE);
    const compiler = spawnSync('gcc', ['-O2', '-pthread', '-o', join(folder, 'ring'), join(folder, 'ring.c')]);
    if (compiler.error !== undefined || compiler.status !== 0) return 'no working gcc';
    const printed = execFileSync(join(folder, 'ring'), { timeout: 60_000 }).toString();
    const [roundTripUs = Number.NaN, perSecond = Number.NaN] = printed.trim().split(' ').map(Number);
    return { roundTripUs, perSecond };
  } catch (problem) {
    return problem instanceof Error ? problem.message : String(problem);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
