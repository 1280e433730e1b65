/* PL011 output and a small printf. */
#include "guest.h"

#define UART ((volatile u32 *)0x09000000)

void put_char(char c) {
  while (UART[0x18 / 4] & 1 << 5) {}                  /* FR.TXFF */
  UART[0] = (u8)c;
}

struct sink {
  char *at, *end;                                     /* at == 0: the console */
};

static void emit(struct sink *sink, char c) {
  if (!sink->at) put_char(c);
  else if (sink->at < sink->end) *sink->at++ = c;
}

static void emit_number(struct sink *sink, u64 value, u32 base, int width, char pad) {
  char digits[24];
  int n = 0;
  do {
    digits[n++] = "0123456789abcdef"[value % base];
    value /= base;
  } while (value);
  for (; width > n; width--) emit(sink, pad);
  while (n) emit(sink, digits[--n]);
}

static void format_into(struct sink *sink, const char *f, va_list args) {
  for (; *f; f++) {
    if (*f != '%') {
      emit(sink, *f);
      continue;
    }
    char pad = ' ';
    int width = 0, wide = 0;
    f++;
    if (*f == '0') pad = *f++;
    while (*f >= '0' && *f <= '9') width = width * 10 + *f++ - '0';
    while (*f == 'l') wide = 1, f++;
    if (*f == 's') {
      const char *s = va_arg(args, const char *);
      while (*s) emit(sink, *s++), width--;
      for (; width > 0; width--) emit(sink, ' ');
    } else if (*f == 'c') {
      emit(sink, (char)va_arg(args, int));
    } else if (*f == 'd') {
      i64 value = wide ? va_arg(args, i64) : va_arg(args, int);
      if (value < 0) emit(sink, '-');
      emit_number(sink, value < 0 ? -(u64)value : (u64)value, 10, width, pad);
    } else if (*f == 'u' || *f == 'x') {
      emit_number(sink, wide ? va_arg(args, u64) : va_arg(args, u32), *f == 'x' ? 16 : 10, width, pad);
    } else {
      emit(sink, *f);
    }
  }
}

void print(const char *format, ...) {
  va_list args;
  va_start(args, format);
  struct sink sink = {0, 0};
  format_into(&sink, format, args);
  va_end(args);
}

void print_to(char *out, size_t size, const char *format, va_list args) {
  struct sink sink = {out, out + size - 1};
  format_into(&sink, format, args);
  *sink.at = 0;
}
