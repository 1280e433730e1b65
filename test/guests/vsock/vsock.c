/*
 * vsock VERB ...: stream sockets between a guest and its host (AF_VSOCK), as a Linux program without a C library.
 *   send PORT BYTES      connects to the host, sends a pattern, ends its side, prints the checksum the host answers
 *   get PORT             connects to the host, reads to the end, prints bytes and checksum
 *   serve PORT COUNT     takes COUNT connections one after another and sends back what comes until the other side ends
 *   many PORT COUNT      opens COUNT connections at once, says a byte on each and hears it back, prints how many
 *   die PORT             connects, sends a byte, and ends while the host still sends
 * Prints `vsock ...` lines; a failure is `vsock failed WHAT error N`.
 */
#include "linux.h"

typedef unsigned int u32;

enum { SYS_close = 57, SYS_read = 63, SYS_write = 64, SYS_exit = 93, SYS_socket = 198, SYS_bind = 200, SYS_listen = 201,
       SYS_accept = 202, SYS_connect = 203, SYS_shutdown = 210 };
enum { AF_VSOCK = 40, SOCK_STREAM = 1, SHUT_WR = 1, HOST = 2, BLOCK = 65536, MANY_MAX = 512 };

static void flush(void) { text("\n"); call(SYS_write, 1, (i64)line, length, 0, 0); length = 0; }
static void finish(int code) { call(SYS_exit, code, 0, 0, 0, 0); }
static void die(const char *what, i64 error) {
  text("vsock failed "); text(what); text(" error "); number((u64)-error); flush();
  finish(1);
}

struct address { unsigned short family, zero; u32 port, cid; unsigned char flags[4]; };
static unsigned char buffer[BLOCK];
static u64 sum = 14695981039346656037ul;
/* FNV-1a over 64 bits. */
static void add(const unsigned char *bytes, i64 count) { for (i64 i = 0; i < count; i++) sum = (sum ^ bytes[i]) * 1099511628211ul; }

static i64 open_stream(void) {
  i64 fd = call(SYS_socket, AF_VSOCK, SOCK_STREAM, 0, 0, 0);
  if (fd < 0) die("socket", fd);
  return fd;
}
static i64 reach(u32 port) {
  struct address to = {AF_VSOCK, 0, port, HOST, {0}};
  i64 fd = open_stream();
  i64 done = call(SYS_connect, fd, (i64)&to, sizeof to, 0, 0);
  if (done < 0) die("connect", done);
  return fd;
}
static void put(i64 fd, const unsigned char *bytes, i64 count) {
  for (i64 at = 0; at < count;) {
    i64 done = call(SYS_write, fd, (i64)(bytes + at), count - at, 0, 0);
    if (done <= 0) die("write", done);
    at += done;
  }
}
static void said(const char *what, u64 n) { text("vsock "); text(what); text(" "); number(n); text(" sum "); number(sum); flush(); }

static void send_all(u32 port, u64 bytes) {
  i64 fd = reach(port);
  u64 seed = 88172645463325252ul, left = bytes;
  while (left) {
    i64 part = left < BLOCK ? (i64)left : BLOCK;
    for (i64 i = 0; i < part; i++) {
      seed ^= seed << 13; seed ^= seed >> 7; seed ^= seed << 17;
      buffer[i] = (unsigned char)(seed >> 32);
    }
    add(buffer, part);
    put(fd, buffer, part);
    left -= (u64)part;
  }
  said("sent", bytes);
  call(SYS_shutdown, fd, SHUT_WR, 0, 0, 0);
  i64 got = call(SYS_read, fd, (i64)buffer, sizeof line - 32, 0, 0);
  if (got < 0) die("answer", got);
  text("vsock answer "); for (i64 i = 0; i < got; i++) line[length++] = (char)buffer[i];
  flush();
  if (call(SYS_read, fd, (i64)buffer, 1, 0, 0) != 0) die("end", -1);
  call(SYS_close, fd, 0, 0, 0, 0);
}
static void get_all(u32 port) {
  i64 fd = reach(port);
  u64 bytes = 0;
  for (;;) {
    i64 got = call(SYS_read, fd, (i64)buffer, BLOCK, 0, 0);
    if (got < 0) die("read", got);
    if (got == 0) break;
    add(buffer, got);
    bytes += (u64)got;
  }
  said("got", bytes);
}
static void serve(u32 port, int count) {
  struct address at = {AF_VSOCK, 0, port, 0xffffffffu, {0}};
  i64 listener = open_stream();
  i64 done = call(SYS_bind, listener, (i64)&at, sizeof at, 0, 0);
  if (done < 0) die("bind", done);
  done = call(SYS_listen, listener, 128, 0, 0, 0);
  if (done < 0) die("listen", done);
  text("vsock serving"); flush();
  u64 bytes = 0;
  while (count--) {
    i64 fd = call(SYS_accept, listener, 0, 0, 0, 0);
    if (fd < 0) die("accept", fd);
    for (;;) {
      i64 got = call(SYS_read, fd, (i64)buffer, BLOCK, 0, 0);
      if (got <= 0) break;
      add(buffer, got);
      bytes += (u64)got;
      put(fd, buffer, got);
    }
    call(SYS_close, fd, 0, 0, 0, 0);
  }
  said("served", bytes);
}
static void many(u32 port, int count) {
  static i64 fds[MANY_MAX];
  int heard = 0;
  for (int i = 0; i < count; i++) fds[i] = reach(port);
  for (int i = 0; i < count; i++) { buffer[0] = (unsigned char)i; put(fds[i], buffer, 1); }
  for (int i = 0; i < count; i++) heard += call(SYS_read, fds[i], (i64)buffer, 1, 0, 0) == 1 && buffer[0] == (unsigned char)i;
  for (int i = 0; i < count; i++) call(SYS_close, fds[i], 0, 0, 0, 0);
  said("many", (u64)heard);
}

static u64 parse(const char *s) {
  u64 n = 0;
  while (*s >= '0' && *s <= '9') n = n * 10 + (u64)(*s++ - '0');
  return n;
}
__attribute__((used)) static void start(i64 *stack) {
  char **words = (char **)(stack + 1);
  if (stack[0] < 3) die("arguments", -22);
  u32 port = (u32)parse(words[2]);
  u64 n = stack[0] > 3 ? parse(words[3]) : 1;
  switch (words[1][0]) {
    case 's': if (words[1][2] == 'n') send_all(port, n); else serve(port, (int)n); break;
    case 'g': get_all(port); break;
    case 'm': many(port, n < MANY_MAX ? (int)n : MANY_MAX); break;
    default: put(reach(port), buffer, 1); break;
  }
  finish(0);
}
__asm__(".globl _start\n_start: mov x0, sp\n  bl start\n");
