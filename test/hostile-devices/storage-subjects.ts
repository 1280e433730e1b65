/** Subjects that keep things: disk and shared folder. */
import { lstatSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { HostFiles } from '../../actors/runtime/host-files.js';
import { useHostFolder } from '../../actors/runtime/host-folder.js';
import type { Random } from '../../actors/runtime/random.js';
import { FIDS_MAX, OPEN_MAX } from '../../devices/virtio-9p/fid-table.js';
import { ASK, MessageWriter, NO_FID } from '../../devices/virtio-9p/ninep.wire.js';
import virtioNinep from '../../devices/virtio-9p/virtio-9p.actor.js';
import { BLOCK_FEATURE, REPLY, REQUEST, RequestHead, ZeroSegment } from '../../devices/virtio-blk/block.wire.js';
import { emptyImage } from '../../devices/virtio-blk/qcow2/header.js';
import virtioBlk from '../../devices/virtio-blk/virtio-blk.actor.js';
import { DeviceActor } from '../drivers/device-actor.js';
import type { HostileDriver } from '../drivers/hostile-driver.js';
import { MemoryFile } from '../drivers/memory-file.js';
import { type Field, put, randomFields, s, u32 } from './ninep-messages.js';
import { demand, NOTHING, noise, type Subject } from './subject.js';

const DISK_BYTES = 1 << 20;
const SECTORS = DISK_BYTES / 512;
const MESSAGE_BYTES = 8192;

/** A disk's file, whose reads and writes find guest memory changing. */
class MeddledFile extends MemoryFile {
  readonly #meddle: () => void;
  constructor(contents: Uint8Array, bytesMax: number, meddle: () => void) {
    super(contents, 'read-write', bytesMax);
    this.#meddle = meddle;
  }
  override read(offset: number, into: Uint8Array) {
    this.#meddle();
    return super.read(offset, into);
  }
  override write(offset: number, from: Uint8Array) {
    this.#meddle();
    return super.write(offset, from);
  }
}

function blockRequest(random: Random): { out: Uint8Array; inBytes: number } {
  const types = Object.values(REQUEST);
  const type = random.oneIn(20) ? random.u32() : (types[random.below(types.length)] ?? 0);
  const sector = BigInt(random.oneIn(20) ? random.u32() : random.below(SECTORS + 9)) << (random.oneIn(50) ? 30n : 0n);
  const bytes = random.oneIn(10) ? random.below(9000) : random.below(17) * 512;
  const isZeroing = type === REQUEST.discard || type === REQUEST.writeZeroes;
  const count = random.oneIn(9) ? random.below(40) : 1 + random.below(3);
  const data = isZeroing ? new Uint8Array(count * 16) : type === REQUEST.write ? noise(random, bytes) : NOTHING;
  for (let i = 0; isZeroing && i < count; i++) {
    ZeroSegment.write(new DataView(data.buffer), i * 16, {
      sector: BigInt(random.below(SECTORS + 9)),
      sectors: random.oneIn(9) ? random.u32() : random.below(200),
      flags: random.oneIn(9) ? random.below(4) : 0,
    });
  }
  const out = new Uint8Array(16 + data.length);
  RequestHead.write(new DataView(out.buffer), 0, { type, reserved: 0, sector });
  out.set(data, 16);
  return { out, inBytes: (type === REQUEST.read || type === REQUEST.identify ? bytes : 0) + 1 };
}

/** virtio-blk on a qcow2 image. */
export async function blkSubject(hostile: HostileDriver): Promise<Subject> {
  const file = new MeddledFile(emptyImage(DISK_BYTES), 8 << 20, () => hostile.meddle());
  const token = { file: 1, rights: 'read-write', label: 'disk' } as const;
  const layers = [{ file: token, format: 'qcow2', isGuessed: false }] as const;
  const config = { place: hostile.driver.place, layers, isReadOnly: false, serial: 'hostile' };
  const actor = await DeviceActor.start(virtioBlk, config, { file });
  const turns = (): void => void actor.turns();
  const { readOnly: _, ...offered } = BLOCK_FEATURE;
  const ask = (type: number, data: Uint8Array, inBytes: number, turns: () => void): Uint8Array => {
    const out = new Uint8Array(16 + data.length);
    RequestHead.write(new DataView(out.buffer), 0, { type, reserved: 0, sector: 7n });
    out.set(data, 16);
    const answer = hostile.exchange(0, { out, inBytes: inBytes + 1 }, turns);
    demand(answer?.at(-1) === REPLY.ok, `request ${type} is answered ${answer?.at(-1)}`);
    return answer;
  };
  return {
    device: actor.state.device,
    queueSizes: [512],
    features: Object.values(offered),
    turns,
    request: (_queue, random) => blockRequest(random),
    happen: () => undefined,
    serves() {
      const data = new Uint8Array(1024).fill(0x3c);
      ask(REQUEST.write, data, 0, turns);
      const got = ask(REQUEST.read, NOTHING, 1024, turns);
      demand(Buffer.compare(got.subarray(0, 1024), data) === 0, 'the disk reads other bytes than were written');
    },
    check: () => undefined,
    close: () => void actor.state.disk.image.close(),
  };
}

/** virtio-9p on a folder of its own, whose neighbour must stay as it is. */
export async function ninepSubject(hostile: HostileDriver): Promise<Subject> {
  const outer = mkdtempSync(join(tmpdir(), 'wurley-hostile-'));
  const folder = join(outer, 'in');
  mkdirSync(folder);
  writeFileSync(join(outer, 'secret'), 'secret');
  symlinkSync('..', join(folder, 'up'));
  symlinkSync('../secret', join(folder, 'out'));
  const files = new HostFiles();
  const token = files.openFolder(folder, 'read-write');
  demand(token.ok, 'the folder cannot be opened');
  const config = { place: hostile.driver.place, folder: token.value, tag: 'share' };
  const actor = await DeviceActor.start(virtioNinep, config, { folder: useHostFolder(token.value) });
  const turns = (): void => void actor.turns();
  const { server } = actor.state;
  const secret = lstatSync(join(outer, 'secret'), { bigint: true });
  const writer = new MessageWriter(MESSAGE_BYTES);
  const message = (type: number, ...fields: readonly Field[]): Uint8Array => {
    writer.begin(MESSAGE_BYTES);
    put(writer, fields);
    return writer.finish(type, 1).slice();
  };
  const version = message(ASK.version, u32(MESSAGE_BYTES), s('9P2000.L'));
  const attach = message(ASK.attach, u32(0), u32(NO_FID), s('root'), s(''), u32(0));
  const types = Object.values(ASK);
  let greeted = 0;
  return {
    device: actor.state.device,
    queueSizes: [128],
    features: [0],
    turns,
    request(_queue, random) {
      const inBytes = random.oneIn(20) ? random.below(64) : MESSAGE_BYTES;
      // A version ends all fids: rarely, so that there is something to work on.
      if (server.counts.fids === 0 && !random.oneIn(4)) return { out: greeted++ % 2 === 0 ? version : attach, inBytes };
      let type = random.oneIn(30) ? random.below(256) : (types[random.below(types.length)] ?? 0);
      if (type === ASK.version && !random.oneIn(20)) type = ASK.walk;
      const out = message(type, ...randomFields(random, type));
      if (random.oneIn(25)) out[random.below(out.length)] = random.below(256);
      return { out, inBytes };
    },
    happen: () => undefined,
    serves() {
      for (const [out, type] of [
        [version, ASK.version],
        [attach, ASK.attach],
        [message(ASK.getattr, u32(0), ['u64', 0x7ffn]), ASK.getattr],
      ] as const) {
        const answer = hostile.exchange(0, { out, inBytes: 4096 }, turns);
        demand(answer?.[4] === type + 1, `message ${type} is answered by ${answer?.[4]}`);
      }
    },
    check() {
      const { fids, open } = server.counts;
      demand(fids <= FIDS_MAX && open <= OPEN_MAX, `${fids} fids, ${open} open`);
      demand(readdirSync(outer).toSorted().join() === 'in,secret', 'something beside the folder has changed');
      const now = lstatSync(join(outer, 'secret'), { bigint: true });
      demand(now.ctimeNs === secret.ctimeNs && now.nlink === secret.nlink, 'a file beside the folder has changed');
    },
    close() {
      server.end();
      files.close(token.value);
      rmSync(outer, { recursive: true, force: true });
    },
  };
}
