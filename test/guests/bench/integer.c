/* Integer kernels, compiled with -O2 -fno-tree-vectorize: what scalar compiled code looks like. */
#include "bench.h"

enum { TEXT = 65536, SORTED = 8192, NODES = 4096, SIEVE = 131072, SIDE = 48 };
static u8 text[TEXT];
static u32 crc_table[256];

static void text_prepare(void) {
  u32 random = 2463534242u;
  for (int i = 0; i < TEXT; i++) text[i] = (u8)"etaoin shrdlu,.0123456789-(){}\n"[random_next(&random) % 31];
  for (u32 i = 0; i < 256; i++) {
    u32 c = i;
    for (int k = 0; k < 8; k++) c = c & 1 ? c >> 1 ^ 0xedb88320u : c >> 1;
    crc_table[i] = c;
  }
}

static u64 crc_by_table(void) {
  u32 c = ~0u;
  for (int i = 0; i < TEXT; i++) c = c >> 8 ^ crc_table[(c ^ text[i]) & 255];
  return ~c;
}

static u64 crc_by_bit(void) {
  u32 c = ~0u;
  for (int i = 0; i < TEXT / 8; i++) {
    c ^= text[i];
    for (int k = 0; k < 8; k++) c = c >> 1 ^ (0xedb88320u & -(c & 1));
  }
  return ~c;
}

static i32 numbers[SORTED];

static NOINLINE void sort(i32 *low, i32 *high) {
  while (high - low > 12) {
    i32 a = *low, b = low[(high - low) / 2], c = *high;
    i32 pivot = a < b ? (b < c ? b : a < c ? c : a) : (a < c ? a : b < c ? c : b);
    i32 *left = low, *right = high;
    while (left <= right) {
      while (*left < pivot) left++;
      while (*right > pivot) right--;
      if (left <= right) {
        i32 swap = *left;
        *left++ = *right;
        *right-- = swap;
      }
    }
    if (right - low < high - left) {
      sort(low, right);
      low = left;
    } else {
      sort(left, high);
      high = right;
    }
  }
  for (i32 *i = low + 1; i <= high; i++) {
    i32 value = *i, *j = i;
    for (; j > low && j[-1] > value; j--) *j = j[-1];
    *j = value;
  }
}

static u64 quicksort(void) {
  u32 random = 88172645u;
  for (int i = 0; i < SORTED; i++) numbers[i] = (i32)random_next(&random);
  sort(numbers, numbers + SORTED - 1);
  u64 hash = 0;
  for (int i = 0; i < SORTED; i += 64) hash = mix(hash, (u32)numbers[i]);
  return hash;
}

struct node {
  struct node *next;
  u64 key, visits;
};
static struct node nodes[NODES];

/* One cycle through all nodes in a scrambled order (a full-period step: odd multiplier, power-of-two count). */
static void list_prepare(void) {
  u32 at = 0;
  for (u32 i = 0; i < NODES; i++) {
    u32 next = (at * 1597u + 51749u) % NODES;
    nodes[at].key = at * 2654435761u;
    nodes[at].next = &nodes[next];
    at = next;
  }
}

static u64 list_walk(void) {
  u64 sum = 0;
  struct node *n = nodes;
  for (int i = 0; i < NODES * 32; i++) {
    sum += n->key & 0xff;
    if (n->key & 16) sum ^= n->key;
    n = n->next;
  }
  return sum;
}

/* Splits the text into numbers, words, spaces and punctuation, with a switch per character. */
static u64 state_machine(void) {
  enum { SPACE, WORD, NUMBER, FRACTION, SIGN, GROUP, ERROR } state = SPACE;
  u64 counts[7] = {0}, changes = 0;
  for (int i = 0; i < TEXT; i++) {
    u8 c = text[i];
    int before = state;
    int digit = c >= '0' && c <= '9', letter = c >= 'a' && c <= 'z';
    switch (state) {
      case SPACE: state = digit ? NUMBER : letter ? WORD : c == '-' ? SIGN : c == '(' || c == '{' ? GROUP : SPACE; break;
      case WORD: state = letter ? WORD : digit ? ERROR : c == '-' ? WORD : SPACE; break;
      case NUMBER: state = digit ? NUMBER : c == '.' ? FRACTION : letter ? ERROR : SPACE; break;
      case FRACTION: state = digit ? FRACTION : letter ? ERROR : c == '.' ? ERROR : SPACE; break;
      case SIGN: state = digit ? NUMBER : c == '-' ? SIGN : ERROR; break;
      case GROUP: state = c == ')' || c == '}' ? SPACE : c == '\n' ? ERROR : GROUP; break;
      case ERROR: state = c == ' ' || c == '\n' ? SPACE : ERROR; break;
    }
    counts[state]++;
    changes += before != (int)state;
  }
  u64 hash = changes;
  for (int i = 0; i < 7; i++) hash = mix(hash, counts[i]);
  return hash;
}

/* FNV-1a over short words, counted in an open-addressing table. */
static u64 string_hash(void) {
  static u32 keys[4096], counts[4096];
  for (int i = 0; i < 4096; i++) keys[i] = counts[i] = 0;
  u64 longest = 0;
  for (int i = 0; i < TEXT;) {
    u32 h = 2166136261u;
    int start = i;
    for (; i < TEXT && text[i] != ' ' && i - start < 7; i++) h = (h ^ text[i]) * 16777619u;
    i++;
    u32 slot = h % 4096;
    u64 probes = 1;
    while (keys[slot] && keys[slot] != h && probes < 64) slot = (slot + 1) % 4096, probes++;
    keys[slot] = h;
    counts[slot]++;
    if (probes > longest) longest = probes;
  }
  u64 hash = longest;
  for (int i = 0; i < 4096; i++) hash = mix(hash, keys[i] ^ (u64)counts[i] << 32);
  return hash;
}

static u64 sieve(void) {
  static u8 composite[SIEVE];
  for (int i = 0; i < SIEVE; i++) composite[i] = 0;
  u64 count = 0, last = 0;
  for (u32 i = 2; i < SIEVE; i++) {
    if (composite[i]) continue;
    count++;
    last = i;
    for (u32 j = i * 2; j < SIEVE; j += i) composite[j] = 1;
  }
  return count << 32 | last;
}

static u64 matrix_multiply(void) {
  static i32 a[SIDE][SIDE], b[SIDE][SIDE], c[SIDE][SIDE];
  for (int i = 0; i < SIDE; i++)
    for (int j = 0; j < SIDE; j++) a[i][j] = i * 7 - j * 3, b[i][j] = i * 5 + j * 11 - 40;
  for (int i = 0; i < SIDE; i++)
    for (int j = 0; j < SIDE; j++) {
      i32 sum = 0;
      for (int k = 0; k < SIDE; k++) sum += a[i][k] * b[k][j];
      c[i][j] = sum;
    }
  u64 hash = 0;
  for (int i = 0; i < SIDE; i++) hash = mix(hash, (u32)c[i][SIDE - 1 - i]);
  return hash;
}

static NOINLINE u64 fibonacci(u64 n) {
  __asm__ volatile("" : : : "memory");
  return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}

static NOINLINE u64 ackermann(u64 m, u64 n) {
  if (m == 0) return n + 1;
  if (n == 0) return ackermann(m - 1, 1);
  return ackermann(m - 1, ackermann(m, n - 1));
}

static u64 recursion(void) { return fibonacci(20) << 32 | ackermann(2, 60); }

static u64 alu_mix(void) {
  u64 a = 0x0123456789abcdefull, b = 0xfedcba9876543210ull, c = 0x5deece66dull, d = 1;
  for (u64 i = 1; i <= 60000; i++) {
    a += b << 7 ^ c;
    b = (b >> 13 | b << 51) + i * a;
    c ^= a & ~b;
    d = d * 6364136223846793005ull + (c >> 3);
    if ((i64)d < 0) a ^= d;
    b -= (u64)((unsigned __int128)d * a >> 64);
    if ((i & 63) == 0) c += d / (i | 1);
  }
  return a ^ b ^ c ^ d;
}

static u64 copy_compare(void) {
  static u8 copy[TEXT] ALIGNED(16);
  u64 equal = 0;
  for (int pass = 0; pass < 4; pass++) {
    const u64 *from = (const u64 *)(const void *)text;
    u64 *to = (u64 *)(void *)copy;
    for (int i = 0; i < TEXT / 8; i++) {
      to[i] = from[i];
      __asm__ volatile("" : : : "memory");             /* keep the loop a loop */
    }
    copy[pass * 1000 + 17] ^= 1;
    for (int i = 0; i < TEXT / 4; i++) equal += copy[i] == text[i];
  }
  return equal;
}

static void prepare(void) {
  text_prepare();
  list_prepare();
}

#define KERNEL(name, run) {"cpu.integer", name, run, 1, prepare, 0}
const struct kernel integer_kernels[] = {
  KERNEL("crc-table", crc_by_table), KERNEL("crc-bitwise", crc_by_bit), KERNEL("quicksort", quicksort), KERNEL("list-walk", list_walk),
  KERNEL("state-machine", state_machine), KERNEL("string-hash", string_hash), KERNEL("sieve", sieve),
  KERNEL("matrix-multiply", matrix_multiply), KERNEL("recursion", recursion), KERNEL("alu-mix", alu_mix), KERNEL("copy-compare", copy_compare),
  {0},
};
