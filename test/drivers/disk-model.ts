/** A disk as an array, against which disk images are compared under random operations. */
import { fnv1a, type Random } from '../../actors/runtime/random.js';
import type { DiskImage, Done } from '../../devices/virtio-blk/disk-image.js';

const SECTOR = 512;

/** How operations are drawn. */
export interface DiskLoad {
  readonly random: Random;
  readonly operations: number;
  /** Longest request in bytes. */
  readonly bytesMax: number;
}

/** Memory in the places a guest would have it: a few views, together `bytes` long. */
function pieces(random: Random, bytes: Uint8Array): Uint8Array[] {
  const views: Uint8Array[] = [];
  for (let at = 0; at < bytes.byteLength; ) {
    const part = Math.min(bytes.byteLength - at, SECTOR * (1 + random.below(16)));
    views.push(bytes.subarray(at, at + part));
    at += part;
  }
  return views;
}

function must(done: Done, what: string): void {
  if (!done.ok) throw new Error(`${what}: ${done.error.reason}: ${done.error.detail}`);
}

/** Does random things to `image` and to `model`, comparing what is read. */
export function exercise(image: DiskImage, model: Uint8Array, { random, operations, bytesMax }: DiskLoad): void {
  const sectors = model.byteLength / SECTOR;
  for (let n = 0; n < operations; n++) {
    const at = random.below(sectors);
    const count = 1 + random.below(Math.min(sectors - at, random.oneIn(8) ? bytesMax / SECTOR : 24));
    const [offset, bytes] = [at * SECTOR, count * SECTOR];
    const what = `operation ${n} at ${offset}, ${bytes} bytes`;
    switch (random.below(12)) {
      case 0:
        must(image.zero(offset, bytes, random.oneIn(2)), `zero ${what}`);
        model.fill(0, offset, offset + bytes);
        break;
      case 1: {
        // Whole clusters may become zeros and the rest keeps its content: ask which.
        must(image.discard(offset, bytes), `discard ${what}`);
        const now = new Uint8Array(bytes);
        must(image.read(offset, [now]), `read after discard ${what}`);
        for (let s = 0; s < bytes; s += SECTOR) {
          const sector = now.subarray(s, s + SECTOR);
          const old = model.subarray(offset + s, offset + s + SECTOR);
          if (Buffer.compare(sector, old) !== 0 && sector.some((byte) => byte !== 0))
            throw new Error(`discard ${what}`);
        }
        model.set(now, offset);
        break;
      }
      case 2:
        must(image.flush(), `flush ${what}`);
        break;
      case 3:
      case 4:
      case 5: {
        const read = new Uint8Array(bytes);
        must(image.read(offset, pieces(random, read)), `read ${what}`);
        if (Buffer.compare(read, model.subarray(offset, offset + bytes)) !== 0) throw new Error(`wrong data: ${what}`);
        break;
      }
      default: {
        const written = new Uint8Array(bytes).fill(fnv1a(what) & 0xff || 1);
        for (let i = 0; i < bytes; i += SECTOR) written[i] = random.below(256);
        must(image.write(offset, pieces(random, written)), `write ${what}`);
        model.set(written, offset);
      }
    }
  }
}

/** Compares all of it. */
export function compareAll(image: DiskImage, model: Uint8Array): void {
  const read = new Uint8Array(model.byteLength);
  must(image.read(0, [read]), 'read all');
  const at = read.findIndex((byte, i) => byte !== model[i]);
  if (at >= 0) throw new Error(`wrong data at byte ${at}`);
}
