/* Linked lists, small matrices, a character state machine and a CRC over all of it, interleaved. */
#include "programs.h"

struct item {
  struct item *next;
  i32 value;
  u16 tag;
};

static u16 crc16(u16 crc, u32 value) {
  for (int i = 0; i < 32; i++, value >>= 1) {
    u16 carry = (u16)((crc ^ value) & 1);
    crc >>= 1;
    if (carry) crc ^= 0xa001;
  }
  return crc;
}

static struct item *reverse(struct item *list) {
  struct item *result = 0;
  while (list) {
    struct item *rest = list->next;
    list->next = result;
    result = list;
    list = rest;
  }
  return result;
}

static struct item *merge(struct item *a, struct item *b, int by_tag) {
  struct item head, *last = &head;
  while (a && b) {
    int take_a = by_tag ? a->tag <= b->tag : a->value <= b->value;
    if (take_a) last->next = a, last = a, a = a->next;
    else last->next = b, last = b, b = b->next;
  }
  last->next = a ? a : b;
  return head.next;
}

static struct item *merge_sort(struct item *list, int by_tag) {
  if (!list || !list->next) return list;
  struct item *slow = list, *fast = list->next;
  while (fast && fast->next) slow = slow->next, fast = fast->next->next;
  struct item *half = slow->next;
  slow->next = 0;
  return merge(merge_sort(list, by_tag), merge_sort(half, by_tag), by_tag);
}

static u16 lists(u16 crc, u32 seed) {
  static struct item items[200];
  for (int i = 0; i < 200; i++) items[i] = (struct item){i < 199 ? &items[i + 1] : 0, (i32)next(&seed) >> 8, (u16)(next(&seed) >> 16)};
  struct item *list = merge_sort(items, 0);
  for (struct item *i = list; i; i = i->next) crc = crc16(crc, (u32)i->value);
  list = reverse(merge_sort(list, 1));
  for (struct item *i = list; i; i = i->next) crc = crc16(crc, i->tag);
  return crc;
}

static u16 matrices(u16 crc, u32 seed) {
  enum { N = 12 };
  i32 a[N][N], b[N][N];
  i64 total = 0;
  for (int i = 0; i < N; i++)
    for (int j = 0; j < N; j++) a[i][j] = (int16_t)(next(&seed) >> 16), b[i][j] = (int16_t)(next(&seed) >> 16);
  for (int i = 0; i < N; i++)
    for (int j = 0; j < N; j++) {
      i64 sum = 0;
      for (int k = 0; k < N; k++) sum += (i64)a[i][k] * b[k][j];
      total += sum >> 3;
      crc = crc16(crc, (u32)(sum & 0xffff) | (u32)(sum >> 16 & 0xff) << 16);
    }
  for (int j = 0; j < N; j++) {
    i32 largest = a[0][j];
    for (int i = 1; i < N; i++)
      if (a[i][j] > largest) largest = a[i][j];
    crc = crc16(crc, (u32)largest);
  }
  return crc16(crc, (u32)(total / 7) ^ (u32)(total % 1001));
}

static u16 states(u16 crc) {
  static const char input[] = "5012,1234,-874,+122,35.54400,.1234500,-110.700,+0.64400,5.500e+3,-.123e-2,-87e+832,+0.6e-12,T0.3e-1F,-T.T++Tq,1T3.4e4z,34.0e-T^,";
  enum { START, SIGN, INTEGER, POINT, EXPONENT, EXPONENT_SIGN, SCIENTIFIC, INVALID, STATES } state = START;
  u32 finals[STATES] = {0}, moves[STATES] = {0};
  for (const char *c = input; *c; c++) {
    if (*c == ',') {
      finals[state]++;
      state = START;
      continue;
    }
    int digit = *c >= '0' && *c <= '9', sign = *c == '+' || *c == '-';
    moves[state]++;
    switch (state) {
      case START: state = digit ? INTEGER : sign ? SIGN : *c == '.' ? POINT : INVALID; break;
      case SIGN: state = digit ? INTEGER : *c == '.' ? POINT : INVALID; break;
      case INTEGER: state = digit ? INTEGER : *c == '.' ? POINT : *c == 'e' ? EXPONENT : INVALID; break;
      case POINT: state = digit ? POINT : *c == 'e' ? EXPONENT : INVALID; break;
      case EXPONENT: state = sign ? EXPONENT_SIGN : digit ? SCIENTIFIC : INVALID; break;
      case EXPONENT_SIGN: state = digit ? SCIENTIFIC : INVALID; break;
      case SCIENTIFIC: state = digit ? SCIENTIFIC : INVALID; break;
      default: break;
    }
  }
  for (int i = 0; i < STATES; i++) crc = crc16(crc16(crc, finals[i]), moves[i]);
  return crc;
}

void core_mix(void) {
  u16 crc = 0xffff;
  for (u32 round = 0; round < 40; round++) {
    crc = lists(crc, round * 77 + crc);
    crc = matrices(crc, round + crc);
    crc = states(crc);
    if (round % 10 == 9) print("core-mix round %u crc %04x\n", round, crc);
  }
}
