/* Five ways to sort the same numbers; all must agree. */
#include "programs.h"

enum { N = 3000 };
static i64 data[N], work[N], spare[N];

static int by_value(const void *a, const void *b) {
  i64 x = *(const i64 *)a, y = *(const i64 *)b;
  return (x > y) - (x < y);
}

static void insertion(i64 *a, int n) {
  for (int i = 1; i < n; i++) {
    i64 v = a[i];
    int j = i;
    for (; j && a[j - 1] > v; j--) a[j] = a[j - 1];
    a[j] = v;
  }
}

static void shell(i64 *a, int n) {
  for (int gap = n / 2; gap; gap /= 2)
    for (int i = gap; i < n; i++) {
      i64 v = a[i];
      int j = i;
      for (; j >= gap && a[j - gap] > v; j -= gap) a[j] = a[j - gap];
      a[j] = v;
    }
}

static void sift(i64 *a, int at, int n) {
  for (int child; (child = 2 * at + 1) < n; at = child) {
    if (child + 1 < n && a[child + 1] > a[child]) child++;
    if (a[at] >= a[child]) return;
    i64 swap = a[at];
    a[at] = a[child];
    a[child] = swap;
  }
}

static void heap(i64 *a, int n) {
  for (int i = n / 2; i >= 0; i--) sift(a, i, n);
  for (int end = n - 1; end > 0; end--) {
    i64 swap = a[0];
    a[0] = a[end];
    a[end] = swap;
    sift(a, 0, end);
  }
}

static void merge(i64 *a, int n, int (*compare)(const void *, const void *)) {
  if (n < 2) return;
  int half = n / 2, i = 0, j = half, k = 0;
  merge(a, half, compare);
  merge(a + half, n - half, compare);
  while (i < half && j < n) spare[k++] = compare(&a[i], &a[j]) <= 0 ? a[i++] : a[j++];
  while (i < half) spare[k++] = a[i++];
  while (j < n) spare[k++] = a[j++];
  memcpy(a, spare, (size_t)n * sizeof *a);
}

static void radix(i64 *a, int n) {
  for (int shift = 0; shift < 64; shift += 8) {
    int counts[257] = {0};
    for (int i = 0; i < n; i++) counts[((u64)a[i] ^ 1ull << 63) >> shift << 56 >> 56 ? (((u64)a[i] ^ 1ull << 63) >> shift & 255) + 1 : 1]++;
    for (int i = 0; i < 256; i++) counts[i + 1] += counts[i];
    for (int i = 0; i < n; i++) spare[counts[((u64)a[i] ^ 1ull << 63) >> shift & 255]++] = a[i];
    memcpy(a, spare, (size_t)n * sizeof *a);
  }
}

static u32 hash(const i64 *a) {
  u32 h = 0;
  for (int i = 0; i < N; i++) h = fold(h, (u32)(a[i] ^ a[i] >> 32));
  return h;
}

void sorting(void) {
  u32 seed = 31337;
  for (int i = 0; i < N; i++) data[i] = (i64)((u64)next(&seed) << 32 | next(&seed)) >> (i & 63 % 50);
  for (int way = 0; way < 5; way++) {
    memcpy(work, data, sizeof work);
    if (way == 0) insertion(work, N);
    if (way == 1) shell(work, N);
    if (way == 2) heap(work, N);
    if (way == 3) merge(work, N, by_value);
    if (way == 4) radix(work, N);
    print("sorting way %d: first %ld, last %ld, hash %08x\n", way, work[0], work[N - 1], hash(work));
  }
}
