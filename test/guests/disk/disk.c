/*
 * disk DEVICE [keep]: how fast a block device is, as a Linux program without a C library. Reads and writes go around the page cache
 * (O_DIRECT). Prints `disk NAME bytes N requests R ns T` per pattern, T the least of its rounds; depth 32 by Linux AIO. It overwrites
 * DEVICE, unless told to keep it: then it reads only, and finds what was there.
 */
#include "linux.h"

enum { AT_FDCWD = -100, O_RDWR = 2, O_DIRECT_ARM64 = 0200000 };
enum { SYS_io_setup = 0, SYS_io_submit = 2, SYS_io_getevents = 4, SYS_openat = 56, SYS_write = 64, SYS_pread64 = 67,
       SYS_pwrite64 = 68, SYS_fsync = 82, SYS_exit = 93, SYS_clock_gettime = 113 };
enum { MIB = 1 << 20, BLOCK = 4096, AREA = 128 * MIB, DEPTH = 32, SINGLES = 4000, QUEUED = 16000, SEQUENTIAL_ROUNDS = 24, ROUNDS = 4 };

static void flush(void) { call(SYS_write, 1, (i64)line, length, 0, 0); length = 0; }
static void die(const char *what, i64 error) {
  text("disk failed "); text(what); text(" error "); number((u64)-error); text("\n"); flush();
  call(SYS_exit, 1, 0, 0, 0, 0);
}
static u64 now(void) {
  i64 ts[2];
  call(SYS_clock_gettime, 1, (i64)ts, 0, 0, 0);
  return (u64)ts[0] * 1000000000ul + (u64)ts[1];
}
static u64 least(u64 a, u64 b) { return a < b ? a : b; }
static void report(const char *name, u64 bytes, u64 requests, u64 ns) {
  text("disk "); text(name); text(" bytes "); number(bytes); text(" requests "); number(requests);
  text(" ns "); number(ns); text("\n"); flush();
}

/* struct iocb and struct io_event of the kernel's AIO interface. */
struct iocb { u64 data; unsigned key, rw; unsigned short opcode; short priority; unsigned fd; u64 buffer, bytes, offset, r1; unsigned flags, resfd; };
struct event { u64 data, object; i64 result, result2; };

static char buffer[MIB] __attribute__((aligned(BLOCK)));
static char blocks[DEPTH][BLOCK] __attribute__((aligned(BLOCK)));
static struct iocb requests[DEPTH];
static struct iocb *list[DEPTH];
static struct event events[DEPTH];
static u64 seed = 88172645463325252ul;
static u64 place(void) {
  seed ^= seed << 13; seed ^= seed >> 7; seed ^= seed << 17;
  return seed % (AREA / BLOCK) * BLOCK;
}

static void sequential(int fd) {
  for (int i = 0; i < MIB; i++) buffer[i] = (char)(i * 7);
  for (int write = 1; write >= 0; write--) {
    u64 best = ~0ul;
    for (int round = 0; round < SEQUENTIAL_ROUNDS; round++) {
      u64 from = now();
      for (i64 at = 0; at < AREA; at += MIB) {
        i64 done = call(write ? SYS_pwrite64 : SYS_pread64, fd, (i64)buffer, MIB, at, 0);
        if (done != MIB) die(write ? "write" : "read", done);
      }
      if (write) call(SYS_fsync, fd, 0, 0, 0, 0);
      best = least(best, now() - from);
    }
    report(write ? "seq-write" : "seq-read", AREA, AREA / MIB, best);
  }
}

static void singles(int fd) {
  u64 best = ~0ul;
  for (int round = 0; round < ROUNDS; round++) {
    u64 from = now();
    for (int i = 0; i < SINGLES; i++) {
      i64 done = call(SYS_pread64, fd, (i64)blocks[0], BLOCK, (i64)place(), 0);
      if (done != BLOCK) die("rand-1", done);
    }
    best = least(best, now() - from);
  }
  report("rand-1", (u64)SINGLES * BLOCK, SINGLES, best);
}

static u64 queued_round(int fd, u64 context) {
  u64 from = now();
  int submitted = 0, finished = 0, free_count = DEPTH;
  for (int i = 0; i < DEPTH; i++) list[i] = &requests[i];
  while (finished < QUEUED) {
    int batch = 0;
    while (batch < free_count && submitted + batch < QUEUED) {
      struct iocb *r = list[batch++];
      u64 slot = (u64)(r - requests);
      r->data = slot; r->opcode = 0; r->fd = (unsigned)fd;
      r->buffer = (u64)blocks[slot]; r->bytes = BLOCK; r->offset = place();
    }
    if (batch) {
      i64 taken = call(SYS_io_submit, (i64)context, batch, (i64)list, 0, 0);
      if (taken != batch) die("io_submit", taken);
      submitted += batch;
    }
    i64 got = call(SYS_io_getevents, (i64)context, 1, DEPTH, (i64)events, 0);
    if (got < 1) die("io_getevents", got);
    for (i64 i = 0; i < got; i++) {
      if (events[i].result != BLOCK) die("rand-32", events[i].result);
      list[i] = &requests[events[i].data];
    }
    free_count = (int)got;
    finished += (int)got;
  }
  return now() - from;
}

static void queued(int fd) {
  u64 context = 0;
  i64 made = call(SYS_io_setup, DEPTH, (i64)&context, 0, 0, 0);
  if (made < 0) die("io_setup", made);
  u64 best = ~0ul;
  for (int round = 0; round < ROUNDS; round++) best = least(best, queued_round(fd, context));
  report("rand-32", (u64)QUEUED * BLOCK, QUEUED, best);
}

__attribute__((used)) static void start(i64 *stack) {
  if (stack[0] < 2) die("arguments", -22);
  i64 fd = call(SYS_openat, AT_FDCWD, stack[2], O_RDWR | O_DIRECT_ARM64, 0, 0);
  if (fd < 0) die("open", fd);
  if (stack[0] < 3) sequential((int)fd);
  singles((int)fd);
  queued((int)fd);
  text("disk done\n");
  flush();
  call(SYS_exit, 0, 0, 0, 0, 0);
}
__asm__(".globl _start\n_start: mov x0, sp\n  bl start\n");
