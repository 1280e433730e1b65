/* The resource manager's RPC: packets, replies by sequence number, notifications kept aside. */
#include "gunyah.h"

static struct queues rpc;
static u16 sequence;
enum { NOTICES_MAX = 128 };
static struct {
  u32 message, size;
  u8 content[232];
} notices[NOTICES_MAX];
static u32 notice_count;
static u8 assembled[64 * 232];

void rm_start(const struct queues *q) {
  rpc = *q;
  queue_listen(&rpc);
}

struct packet {
  u8 api, type;
  u16 sequence;
  u32 message;
  u8 content[232];
};

/* One packet; 0 when none came in time. Its content's size goes to *size. */
static int take(struct packet *p, u64 *size, u64 ms) {
  u64 got = queue_wait(&rpc, p, sizeof *p, ms);
  if (got < 8) return 0;
  *size = got - 8;
  if ((p->type & 3) == 3 && notice_count < NOTICES_MAX) {
    notices[notice_count].message = p->message;
    notices[notice_count].size = (u32)*size;
    memcpy(notices[notice_count++].content, p->content, *size);
  }
  return 1;
}

i64 rm_call(u32 message, const void *payload, u64 size, void *reply, u64 *reply_size) {
  static struct packet p;
  u16 mine = ++sequence;
  u64 fragments = size ? (size - 1) / 232 : 0;
  for (u64 n = 0; n <= fragments; n++) {
    u64 here = size - n * 232 < 232 ? size - n * 232 : 232;
    p.api = 0x21;
    p.type = (u8)((n ? 0 : 1) | fragments << 2);
    p.sequence = mine;
    p.message = message;
    memcpy(p.content, (const u8 *)payload + n * 232, here);
    if (queue_send(&rpc, &p, here + 8, n == fragments) != OK) return -1;
  }
  u64 used = 0, expected = 0, seen = 0, got;
  while (take(&p, &got, 20000)) {
    u64 type = p.type & 3;
    if (p.sequence != mine || p.message != message || (type != 2 && type != 0)) continue;
    if (type == 2) expected = p.type >> 2;
    else seen++;
    memcpy(assembled + used, p.content, got);
    used += got;
    if (seen < expected) continue;
    u64 rest = used - 4;
    if (reply_size) {
      if (rest > *reply_size) rest = *reply_size;
      *reply_size = rest;
      memcpy(reply, assembled + 4, rest);
    }
    u32 error;
    memcpy(&error, assembled, 4);
    return error;
  }
  return -1;
}

u64 rm_notification(u32 message, void *into, u64 room, u64 ms) {
  struct packet p;
  u64 got;
  for (;;) {
    for (u32 n = 0; n < notice_count; n++) {
      if (notices[n].message != message) continue;
      u64 size = notices[n].size < room ? notices[n].size : room;
      memcpy(into, notices[n].content, size);
      notices[n].message = 0;
      return size;
    }
    if (!take(&p, &got, ms)) return 0;
  }
}
