/*
 * net VERB ...: how fast and how prompt a network is, as a Linux program without a C library. Addresses are four numbers with dots.
 *   serve PORT                         takes connections one after another: 's' and what follows is swallowed to its end and answered
 *                                      with the count, 'g' and a count (8 bytes, little-endian) is answered with so many bytes
 *   send ADDRESS PORT BYTES ROUNDS     sends that many, to the answer, prints the least of its rounds
 *   get ADDRESS PORT BYTES ROUNDS      the same the other way
 *   ping ADDRESS COUNT PAUSE_US        ICMP echoes one after another, prints quantiles
 * Prints `net NAME bytes N ns T` and `net ping count N p50 T p90 T p99 T`; a failure is `net failed WHAT error N`.
 */
#include "linux.h"
typedef unsigned int u32;
typedef unsigned short u16;
typedef unsigned char u8;

enum { SYS_close = 57, SYS_read = 63, SYS_write = 64, SYS_ppoll = 73, SYS_exit = 93, SYS_nanosleep = 101, SYS_clock_gettime = 113,
       SYS_socket = 198, SYS_bind = 200, SYS_listen = 201, SYS_accept = 202, SYS_connect = 203, SYS_setsockopt = 208, SYS_shutdown = 210 };
enum { AF_INET = 2, SOCK_STREAM = 1, SOCK_RAW = 3, IPPROTO_ICMP = 1, SOL_SOCKET = 1, SO_REUSEADDR = 2, SHUT_WR = 1, POLLIN = 1 };
enum { BLOCK = 256 << 10, PINGS_MAX = 4096, ECHO_BYTES = 64, LOST_MS = 2000, ATTEMPTS = 200, ATTEMPT_MS = 100 };

static void flush(void) { text("\n"); call(SYS_write, 1, (i64)line, length, 0, 0); length = 0; }
static void finish(int code) { call(SYS_exit, code, 0, 0, 0, 0); }
static void die(const char *what, i64 error) {
  text("net failed "); text(what); text(" error "); number((u64)-error); flush();
  finish(1);
}
static i64 checked(const char *what, i64 result) {
  if (result < 0) die(what, result);
  return result;
}
static u64 now(void) {
  i64 ts[2];
  call(SYS_clock_gettime, 1, (i64)ts, 0, 0, 0);
  return (u64)ts[0] * 1000000000ul + (u64)ts[1];
}
static void nap(u64 ns) {
  i64 ts[2] = {(i64)(ns / 1000000000ul), (i64)(ns % 1000000000ul)};
  call(SYS_nanosleep, (i64)ts, 0, 0, 0, 0);
}
static u64 decimal(const char **s) {
  u64 n = 0;
  while (**s >= '0' && **s <= '9') n = n * 10 + (u64)(*(*s)++ - '0');
  return n;
}
static u64 count_of(const char *s) { return decimal(&s); }

struct address { u16 family; u8 port[2], ip[4]; u64 zero; };
static struct address address_of(const char *s, u64 port) {
  struct address to = {AF_INET, {(u8)(port >> 8), (u8)port}, {0}, 0};
  for (int i = 0; i < 4; i++) {
    to.ip[i] = (u8)decimal(&s);
    if (*s == '.') s++;
  }
  return to;
}

static u8 buffer[BLOCK];

/* Reads all `bytes`; what is missing when the other side ends. */
static u64 take(i64 fd, u64 bytes) {
  while (bytes) {
    i64 got = checked("read", call(SYS_read, fd, (i64)buffer, (i64)(bytes < BLOCK ? bytes : BLOCK), 0, 0));
    if (got == 0) break;
    bytes -= (u64)got;
  }
  return bytes;
}
static void give(i64 fd, u64 bytes) {
  while (bytes) bytes -= (u64)checked("write", call(SYS_write, fd, (i64)buffer, (i64)(bytes < BLOCK ? bytes : BLOCK), 0, 0));
}
static void put(i64 fd, const void *bytes, i64 count) {
  if (call(SYS_write, fd, (i64)bytes, count, 0, 0) != count) die("short write", 0);
}

static void serve(u64 port) {
  i64 fd = checked("socket", call(SYS_socket, AF_INET, SOCK_STREAM, 0, 0, 0));
  int one = 1;
  call(SYS_setsockopt, fd, SOL_SOCKET, SO_REUSEADDR, (i64)&one, sizeof one);
  struct address at = address_of("0.0.0.0", port);
  checked("bind", call(SYS_bind, fd, (i64)&at, sizeof at, 0, 0));
  checked("listen", call(SYS_listen, fd, 8, 0, 0, 0));
  text("net serving"); flush();
  for (;;) {
    i64 peer = checked("accept", call(SYS_accept, fd, 0, 0, 0, 0));
    u8 what = 0;
    u64 bytes = 0;
    if (call(SYS_read, peer, (i64)&what, 1, 0, 0) == 1) {
      if (what == 'g' && call(SYS_read, peer, (i64)&bytes, 8, 0, 0) == 8) give(peer, bytes);
      else if (what == 's') {
        bytes = ~0ul - take(peer, ~0ul);
        put(peer, &bytes, 8);
      }
    }
    call(SYS_close, peer, 0, 0, 0, 0);
  }
}

static i64 reach(const struct address *to) {
  for (int attempt = 0;; attempt++) {
    i64 fd = checked("socket", call(SYS_socket, AF_INET, SOCK_STREAM, 0, 0, 0));
    i64 done = call(SYS_connect, fd, (i64)to, sizeof *to, 0, 0);
    if (done == 0) return fd;
    if (attempt == ATTEMPTS) die("connect", done);
    call(SYS_close, fd, 0, 0, 0, 0);
    nap(ATTEMPT_MS * 1000000ul);
  }
}

static void transfer(int sends, char **args) {
  struct address to = address_of(args[0], count_of(args[1]));
  u64 bytes = count_of(args[2]), rounds = count_of(args[3]), best = ~0ul;
  for (u64 round = 0; round < rounds; round++) {
    i64 fd = reach(&to);
    u64 from = now();
    if (sends) {
      u64 heard = 0;
      put(fd, "s", 1);
      give(fd, bytes);
      call(SYS_shutdown, fd, SHUT_WR, 0, 0, 0);
      if (call(SYS_read, fd, (i64)&heard, 8, 0, 0) != 8 || heard != bytes) die("bytes lost", -(i64)heard);
    } else {
      put(fd, "g", 1);
      put(fd, &bytes, 8);
      u64 missing = take(fd, bytes);
      if (missing) die("bytes missing", -(i64)missing);
    }
    u64 ns = now() - from;
    if (ns < best) best = ns;
    call(SYS_close, fd, 0, 0, 0, 0);
  }
  text(sends ? "net send bytes " : "net get bytes "); number(bytes); text(" ns "); number(best); flush();
}

static u64 times[PINGS_MAX];
static u16 sum_of(const u8 *bytes, int count) {
  u32 sum = 0;
  for (int i = 0; i < count; i += 2) sum += (u32)(bytes[i] << 8 | bytes[i + 1]);
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return (u16)~sum;
}
/* Waits for echo reply `sequence`; whether it came. */
static int heard(i64 fd, u16 sequence) {
  struct { int fd; short events, revents; } poll = {(int)fd, POLLIN, 0};
  i64 limit[2] = {LOST_MS / 1000, LOST_MS % 1000 * 1000000l};
  while (call(SYS_ppoll, (i64)&poll, 1, (i64)limit, 0, 0) == 1) {
    i64 got = call(SYS_read, fd, (i64)buffer, BLOCK, 0, 0);
    u8 *reply = buffer + (buffer[0] & 15) * 4;
    if (got >= (reply - buffer) + 8 && reply[0] == 0 && (reply[6] << 8 | reply[7]) == sequence) return 1;
  }
  return 0;
}
static void ping(char **args) {
  struct address to = address_of(args[0], 0);
  u64 count = count_of(args[1]), pause = count_of(args[2]) * 1000, got = 0;
  if (count > PINGS_MAX) die("count", -22);
  i64 fd = checked("socket", call(SYS_socket, AF_INET, SOCK_RAW, IPPROTO_ICMP, 0, 0));
  checked("connect", call(SYS_connect, fd, (i64)&to, sizeof to, 0, 0));
  for (u64 n = 0; n < count; n++) {
    u8 echo[ECHO_BYTES] = {8, 0, 0, 0, 0x77, 0x75, (u8)(n >> 8), (u8)n};
    u16 sum = sum_of(echo, ECHO_BYTES);
    echo[2] = (u8)(sum >> 8);
    echo[3] = (u8)sum;
    u64 from = now();
    if (call(SYS_write, fd, (i64)echo, ECHO_BYTES, 0, 0) == ECHO_BYTES && heard(fd, (u16)n)) {
      u64 ns = now() - from;
      u64 at = got++;
      for (; at > 0 && times[at - 1] > ns; at--) times[at] = times[at - 1];
      times[at] = ns;
    }
    nap(pause);
  }
  if (got == 0) die("no answers", 0);
  text("net ping count "); number(got);
  text(" p50 "); number(times[got / 2]);
  text(" p90 "); number(times[got * 9 / 10]);
  text(" p99 "); number(times[got * 99 / 100]);
  flush();
}

static int is(const char *a, const char *b) {
  while (*a && *a == *b) a++, b++;
  return *a == *b;
}
__attribute__((used)) static void start(i64 *stack) {
  i64 count = stack[0];
  char **args = (char **)(stack + 1);
  if (count == 3 && is(args[1], "serve")) serve(count_of(args[2]));
  if (count == 6 && is(args[1], "send")) transfer(1, args + 2);
  else if (count == 6 && is(args[1], "get")) transfer(0, args + 2);
  else if (count == 5 && is(args[1], "ping")) ping(args + 2);
  else die("arguments", -22);
  finish(0);
}
__asm__(".globl _start\n_start: mov x0, sp\n  bl start\n");
