/* Parses a JSON-like text into a tree of nodes, prints it again, sums its numbers; also counts refused texts. */
#include "programs.h"

enum kind { NIL, BOOLEAN, NUMBER, STRING, ARRAY, OBJECT };
struct value {
  enum kind kind;
  i64 number;                                         /* NUMBER: thousandths */
  const char *text;
  size_t length;
  struct value *child, *sibling;
  const char *key;
  size_t key_length;
};
static struct value pool[2000];
static size_t used;
static const char *at;
static int depth;

static void blanks(void) {
  while (*at == ' ' || *at == '\n' || *at == '\t') at++;
}

static int string(const char **text, size_t *length) {
  if (*at != '"') return 0;
  *text = ++at;
  while (*at && *at != '"') {
    if (*at == '\\' && !*++at) return 0;
    at++;
  }
  *length = (size_t)(at - *text);
  return *at++ == '"';
}

static struct value *parse(void) {
  if (used == sizeof pool / sizeof *pool || depth > 30) return 0;
  struct value *v = &pool[used++];
  *v = (struct value){0};
  blanks();
  if (*at == '{' || *at == '[') {
    char close = *at == '{' ? '}' : ']';
    v->kind = *at++ == '{' ? OBJECT : ARRAY;
    struct value **last = &v->child;
    depth++;
    blanks();
    if (*at == close) {
      at++;
      depth--;
      return v;
    }
    for (;;) {
      const char *key = 0;
      size_t key_length = 0;
      blanks();
      if (v->kind == OBJECT) {
        if (!string(&key, &key_length)) return 0;
        blanks();
        if (*at++ != ':') return 0;
      }
      struct value *child = parse();
      if (!child) return 0;
      child->key = key;
      child->key_length = key_length;
      *last = child;
      last = &child->sibling;
      blanks();
      if (*at == ',') {
        at++;
        continue;
      }
      depth--;
      return *at++ == close ? v : 0;
    }
  }
  if (*at == '"') {
    v->kind = STRING;
    return string(&v->text, &v->length) ? v : 0;
  }
  if (!memcmp(at, "true", 4)) return v->kind = BOOLEAN, v->number = 1, at += 4, v;
  if (!memcmp(at, "false", 5)) return v->kind = BOOLEAN, at += 5, v;
  if (!memcmp(at, "null", 4)) return at += 4, v;
  int negative = *at == '-';
  at += negative;
  if (*at < '0' || *at > '9') return 0;
  i64 n = 0;
  while (*at >= '0' && *at <= '9') n = n * 10 + (*at++ - '0');
  n *= 1000;
  if (*at == '.') {
    i64 scale = 100;
    for (at++; *at >= '0' && *at <= '9'; at++, scale /= 10) n += (*at - '0') * scale;
  }
  v->kind = NUMBER;
  v->number = negative ? -n : n;
  return v;
}

static u32 hash_text(u32 hash, const char *text, size_t n) {
  for (size_t i = 0; i < n; i++) hash = fold(hash, (u8)text[i]);
  return hash;
}

static u32 walk(const struct value *v, u32 hash, i64 *sum, int *deepest, int level) {
  if (level > *deepest) *deepest = level;
  hash = fold(hash, (u32)v->kind);
  if (v->key) hash = hash_text(hash, v->key, v->key_length);
  if (v->kind == STRING) hash = hash_text(hash, v->text, v->length);
  if (v->kind == NUMBER) *sum += v->number, hash = fold(hash, (u32)(v->number ^ v->number >> 32));
  for (const struct value *c = v->child; c; c = c->sibling) hash = walk(c, hash, sum, deepest, level + 1);
  return hash;
}

static char text[16384];

static void append(const char *format, ...) {
  size_t n = strlen(text);
  va_list args;
  va_start(args, format);
  print_to(text + n, sizeof text - n, format, args);
  va_end(args);
}

void json(void) {
  u32 seed = 99;
  text[0] = 0;
  append("{\"version\": 3, \"devices\": [");
  for (int i = 0; i < 60; i++)
    append("%s{\"name\": \"dev%d\\\"%d\", \"base\": %u, \"ratio\": %d.%03u, \"on\": %s, \"tags\": [[], {}, null, [%u, [%u]]]}", i ? ", " : "", i, i * 3,
           next(&seed) >> 4, (int)(next(&seed) >> 16) - 30000, next(&seed) % 1000, next(&seed) & 0x10000 ? "true" : "false", next(&seed) >> 20, next(&seed) >> 28);
  append("]}");
  at = text;
  used = 0;
  depth = 0;
  struct value *root = parse();
  i64 sum = 0;
  int deepest = 0;
  u32 hash = root ? walk(root, 0, &sum, &deepest, 0) : 0;
  print("json %lu bytes, %lu values, sum %ld, depth %d, hash %08x\n", strlen(text), used, sum, deepest, hash);
  int refused = 0;
  size_t length = strlen(text);
  for (u32 i = 0; i < 200; i++) {                     /* one damaged character each */
    size_t where = (next(&seed) >> 8) % length;
    char before = text[where];
    text[where] = "]}\",:x-{"[i & 7];
    at = text;
    used = 0;
    depth = 0;
    if (!parse()) refused++;
    text[where] = before;
  }
  print("json refused %d of 200\n", refused);
}
