/** Messages of 9P for tests: written field by field, or random but of the right shape. */
import type { Random } from '../../actors/runtime/random.js';
import { ASK, type MessageWriter, NO_FID } from '../../devices/virtio-9p/ninep.wire.js';

/** A field of a message. */
export type Field =
  | readonly ['u8' | 'u16' | 'u32', number]
  | readonly ['u64', bigint]
  | readonly ['s', string | Uint8Array];
export const u8 = (n: number): Field => ['u8', n];
export const u16 = (n: number): Field => ['u16', n];
export const u32 = (n: number): Field => ['u32', n];
export const u64 = (n: bigint): Field => ['u64', n];
export const s = (text: string | Uint8Array): Field => ['s', text];

/** Writes `fields` one after another. */
export function put(writer: MessageWriter, fields: readonly Field[]): void {
  for (const field of fields) {
    if (field[0] === 's') writer.string(typeof field[1] === 'string' ? new TextEncoder().encode(field[1]) : field[1]);
    else if (field[0] === 'u64') writer.u64(field[1]);
    else writer[field[0]](field[1]);
  }
}

/** Names a guest may try; few, so that they meet. */
const NAMES = ['a', 'b', 'c', 'd', 'up', 'out', 'pipe', '..', '.', '', 'x/y', 'n'.repeat(256), '\xff\xfe'];

/** Fields for a message of `type`. */
export function randomFields(random: Random, type: number): Field[] {
  const fid = (): Field => u32(random.oneIn(20) ? random.u32() : random.oneIn(2) ? 0 : random.below(6));
  const name = (): Field => s(NAMES[random.below(NAMES.length)] ?? '');
  const word = (): Field => u32(random.oneIn(3) ? random.u32() : random.below(0o2000));
  const offset = (): Field =>
    u64(random.oneIn(8) ? BigInt(random.u32()) << BigInt(random.below(33)) : BigInt(random.below(300)));
  const target = (): Field => s(random.oneIn(2) ? '../secret' : '/');
  switch (type) {
    case ASK.version:
      return [u32(random.oneIn(4) ? random.u32() : 8192), s(random.oneIn(5) ? '9P2000' : '9P2000.L')];
    case ASK.attach:
      return [fid(), u32(random.oneIn(9) ? 1 : NO_FID), s('root'), s(random.oneIn(9) ? '/etc' : ''), word()];
    case ASK.walk: {
      const count = random.below(4);
      return [
        fid(),
        fid(),
        u16(random.oneIn(40) ? random.below(65536) : count),
        ...Array.from({ length: count }, name),
      ];
    }
    case ASK.lcreate:
      return [fid(), name(), word(), u32(random.below(0o10000)), word()];
    case ASK.symlink:
      return [fid(), name(), target(), word()];
    case ASK.mknod:
      return [fid(), name(), u32(random.oneIn(2) ? 0o100644 : random.u32()), word(), word(), word()];
    case ASK.rename:
      return [fid(), fid(), name()];
    case ASK.setattr: {
      // Sizes stay small: a sparse file of a terabyte is no fault, but slow to look at.
      const size = u64(BigInt(random.below(9000)));
      return [
        fid(),
        u32(random.below(512)),
        u32(random.below(0o10000)),
        word(),
        word(),
        size,
        offset(),
        offset(),
        offset(),
        offset(),
      ];
    }
    case ASK.readdir:
    case ASK.read:
      return [fid(), offset(), word()];
    case ASK.write: {
      const count = random.below(600);
      return [
        fid(),
        u64(BigInt(random.below(9000))),
        u32(random.oneIn(9) ? random.u32() : count),
        ...Array.from({ length: count }, () => u8(0x77)),
      ];
    }
    case ASK.link:
      return [fid(), fid(), name()];
    case ASK.renameat:
      return [fid(), name(), fid(), name()];
    case ASK.mkdir:
    case ASK.unlinkat:
      return [fid(), name(), u32(random.oneIn(2) ? 0x200 : 0o755), word()];
    case ASK.lock:
    case ASK.getlock:
      return [fid(), u8(1), word(), offset(), offset(), word(), name()];
    case ASK.clunk:
    case ASK.remove:
      return [u32(1 + random.below(6))]; // 0 is the root, which nothing else could be reached without
    default:
      return [fid(), word(), word()];
  }
}
