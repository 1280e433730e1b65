/* Just enough of flattened device trees: looking for the hypervisor's nodes, and writing a small tree. */
#include "gunyah.h"

static u32 be32(const u8 *b) { return (u32)b[0] << 24 | (u32)b[1] << 16 | (u32)b[2] << 8 | b[3]; }
static u64 be64(const u8 *b) { return (u64)be32(b) << 32 | be32(b + 4); }

/* Called for every property; path depth counts the root as 1. */
typedef void visit(void *context, int depth, const char *node, const char *name, const u8 *value, u32 size);

static void walk(const u8 *tree, visit *see, void *context) {
  const u8 *at = tree + be32(tree + 8);
  const char *names = (const char *)tree + be32(tree + 12);
  const char *node = "";
  for (int depth = 0;;) {
    u32 token = be32(at);
    at += 4;
    if (token == 1) {
      depth++;
      node = (const char *)at;
      at += (strlen(node) + 4) & ~3ul;
    } else if (token == 2) {
      depth--;
    } else if (token == 3) {
      u32 size = be32(at);
      see(context, depth, node, names + be32(at + 4), at + 8, size);
      at += 8 + ((size + 3) & ~3u);
    } else if (token != 4) {
      return;
    }
  }
}

struct search {
  const char *compatible, *node;
  const u8 *reg, *interrupts;
  int matches, found, is_bell, is_there;
  struct queues *out;
};

/* Properties of one node come together: what was seen of the node counts when the node is the one. */
static void see_queues(void *context, int depth, const char *node, const char *name, const u8 *value, u32 size) {
  struct search *s = context;
  if (depth != 3 || s->found) return;
  if (s->node != node) {
    s->node = node;
    s->matches = 0;
    s->reg = s->interrupts = 0;
  }
  size_t named = strlen(s->compatible);
  if (!memcmp(node, s->compatible, named) && node[named] == '@') s->matches = 1;
  if (!strcmp(name, "compatible"))
    for (u32 at = 0; at < size; at += strlen((const char *)value + at) + 1)
      if (!strcmp((const char *)value + at, s->compatible)) s->matches = 1;
  if (!strcmp(name, "reg") && size == (s->is_bell ? 8 : 16)) s->reg = value;
  if (!strcmp(name, "interrupts") && size == (s->is_bell ? 12 : 24)) s->interrupts = value;
  if (s->is_bell && s->matches && s->reg) {
    s->out->tx = be64(s->reg);
    s->out->rx_irq = s->interrupts ? be32(s->interrupts + 4) + 32 : 0;
    s->is_there = 1;
    return;
  }
  if (!s->matches || !s->reg || !s->interrupts) return;
  s->out->tx = be64(s->reg);
  s->out->rx = be64(s->reg + 8);
  s->out->tx_irq = be32(s->interrupts + 4) + 32;
  s->out->rx_irq = be32(s->interrupts + 16) + 32;
  s->found = 1;
}

int tree_find_queues(const u8 *tree, const char *compatible, struct queues *out) {
  struct search s = {.compatible = compatible, .out = out};
  walk(tree, see_queues, &s);
  return s.found;
}

int tree_find_bell(const u8 *tree, const char *name, struct queues *out) {
  struct search s = {.compatible = name, .is_bell = 1, .out = out};
  walk(tree, see_queues, &s);
  return s.is_there;
}

struct cell {
  const char *property;
  u64 value;
};
static void see_cell(void *context, int depth, const char *node, const char *name, const u8 *value, u32 size) {
  struct cell *c = context;
  if (depth == 3 && !strcmp(node, "qcom,gunyah-vm") && !strcmp(name, c->property) && size == 4) c->value = be32(value);
}

u64 tree_vm_cell(const u8 *tree, const char *property) {
  struct cell c = {property, ~0ull};
  walk(tree, see_cell, &c);
  return c.value;
}

struct root_search {
  u64 *capabilities;
  int found;
};
static void see_root(void *context, int depth, const char *node, const char *name, const u8 *value, u32 size) {
  struct root_search *s = context;
  if (depth != 3 || strcmp(node, "root") || strcmp(name, "reg") || size != 32) return;
  for (int n = 0; n < 4; n++) s->capabilities[n] = be64(value + 8 * n);
  s->found = 1;
}

int tree_find_root(const u8 *tree, u64 capabilities[4]) {
  struct root_search s = {capabilities, 0};
  walk(tree, see_root, &s);
  return s.found;
}

static void see_watchdog(void *context, int depth, const char *node, const char *name, const u8 *value, u32 size) {
  if (depth == 3 && !strcmp(node, "qcom,gh-watchdog") && !strcmp(name, "interrupts") && size == 12)
    *(u64 *)context = be32(value + 4) + 32;
}

u64 tree_watchdog_irq(const u8 *tree) {
  u64 irq = 0;
  walk(tree, see_watchdog, &irq);
  return irq;
}

struct device_search {
  u64 base;
  u32 irq;
};
static void see_virtio(void *context, int depth, const char *node, const char *name, const u8 *value, u32 size) {
  struct device_search *s = context;
  if (depth != 3 || memcmp(node, "virtio_mmio@", 12)) return;
  if (!strcmp(name, "reg") && size == 16) s->base = be64(value);
  if (!strcmp(name, "interrupts") && size == 12) s->irq = be32(value + 4) + 32;
}

u32 tree_find_virtio(const u8 *tree, u64 *base) {
  struct device_search s = {0, 0};
  walk(tree, see_virtio, &s);
  *base = s.base;
  return s.base ? s.irq : 0;
}

/* ---- writing ---- */

static u8 *structure, *names_at;
static u32 names_used;

static void put32(u32 value) {
  for (int shift = 24; shift >= 0; shift -= 8) *structure++ = (u8)(value >> shift);
}
static void put_bytes(const void *from, u32 size) {
  memcpy(structure, from, size);
  structure += size;
  while ((u64)structure & 3) *structure++ = 0;
}
static void begin(const char *name) {
  put32(1);
  put_bytes(name, (u32)strlen(name) + 1);
}
static void end(void) { put32(2); }
static void property(const char *name, const void *value, u32 size) {
  put32(3);
  put32(size);
  put32(names_used);
  memcpy(names_at + names_used, name, strlen(name) + 1);
  names_used += (u32)strlen(name) + 1;
  put_bytes(value, size);
}
static void text(const char *name, const char *value) { property(name, value, (u32)strlen(value) + 1); }
static void number(const char *name, u32 value) {
  u8 b[4] = {(u8)(value >> 24), (u8)(value >> 16), (u8)(value >> 8), (u8)value};
  property(name, b, 4);
}
static void number64(const char *name, u64 a, u64 b, int both) {
  u8 bytes[16];
  for (int i = 0; i < 8; i++) {
    bytes[i] = (u8)(a >> (56 - 8 * i));
    bytes[8 + i] = (u8)(b >> (56 - 8 * i));
  }
  property(name, bytes, both ? 16 : 8);
}
static void device(const char *name, const char *type, u32 label) {
  begin(name);
  text("vdevice-type", type);
  if (label) {
    text("generate", "/hypervisor/echo");
    number("label", label);
    property("peer-default", "", 0);
  }
  end();
}

u64 tree_write(u8 *at, u64 base, u64 bytes, int how) {
  memset(at, 0, 4096);
  structure = at + 56;                                /* header, then an empty reservation block */
  names_at = at + 3072;
  names_used = 0;
  begin("");
  number("#address-cells", 2);
  number("#size-cells", 2);
  begin("memory@40000000");
  text("device_type", "memory");
  number64("reg", 0x40000000, base + bytes - 0x40000000, 1);
  end();
  begin("cpus");
  number("#address-cells", 1);
  number("#size-cells", 0);
  begin("cpu@0");
  text("device_type", "cpu");
  number("reg", 0);
  end();
  end();
  begin("gunyah-vm-config");
  text("image-name", "echo");
  begin("memory");
  number("#address-cells", 2);
  number("#size-cells", 2);
  number64("base-address", base, 0, 0);
  end();
  begin("vcpus");
  text("config", "/cpus");
  if (how & TREE_PROXIED) text("affinity", "proxy");
  end();
  begin("vdevices");
  device("rpc", "rm-rpc", 0);
  device("echo", "message-queue-pair", 5);
  if (how & TREE_VIRTIO) {
    begin("virtio");
    text("vdevice-type", "virtio-mmio");
    property("peer-default", "", 0);
    number("vqs-num", 1);
    end();
  }
  end();
  end();
  end();
  put32(9);
  u32 words[10] = {0xd00dfeed, 3072 + names_used, 56, 3072, 40, 17, 16, 0, names_used, (u32)(structure - at) - 56};
  structure = at;
  for (int i = 0; i < 10; i++) put32(words[i]);
  return 3072 + names_used;
}
