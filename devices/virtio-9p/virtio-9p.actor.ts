/**
 * virtio 9P device (V1.2, 5.15 in its draft; QEMU's hw/9pfs): a folder of the host for the guest, which mounts it by its tag. The
 * worker has that folder and nothing else, and works synchronously.
 */
import { actor, actorKind } from '../../actors/runtime/actor.js';
import type { FolderToken } from '../../actors/runtime/files.js';
import type { Ask } from '../../actors/runtime/protocol.js';
import { ok } from '../../bus/result.js';
import { VirtioDevice, type VirtioPlace } from '../virtio/virtio-device.js';
import { DEVICE } from '../virtio/wire.js';
import { NinepServer } from './ninep-server.js';

/** What the device is started with. */
export interface NinepConfig {
  readonly place: VirtioPlace;
  readonly folder: FolderToken;
  /** What the guest mounts it by: ASCII, no longer than mount-tag.ts says. */
  readonly tag: string;
}

/** The device's messages. */
export type NinepProtocol = {
  statistics: Ask<object, { requests: number; errors: number; fids: number; open: number }>;
};

/** VIRTIO_9P_MOUNT_TAG. */
const FEATURE_TAG = 0;
const QUEUE = 0;
/** Linux's driver uses as many descriptors. */
const QUEUE_SIZE = 128;
const TAG_AT = 2;
const IDLE = { sleepMs: 60_000 } as const;
/** A slow disk or a network file system is no hung device. */
const BUDGET_MS = 60_000;

interface NinepState {
  readonly device: VirtioDevice;
  readonly server: NinepServer;
  epoch: number;
}

const ninep = actor<NinepConfig, NinepProtocol, NinepState>({
  name: 'virtio-9p',
  mailboxMax: 16,
  supervision: { strategy: 'one-for-one', restartsMax: 100, withinMs: 10_000, otherwise: 'stop' },
  handlerBudgetMs: BUDGET_MS,
  stopBudgetMs: BUDGET_MS,
  start({ place, folder, tag }, context) {
    const bytes = new TextEncoder().encode(tag);
    const shape = {
      deviceId: DEVICE.ninep,
      features: [FEATURE_TAG],
      queueSizes: [QUEUE_SIZE],
      configBytes: TAG_AT + bytes.byteLength,
      configWritable: [0, 0],
    } as const;
    const device = new VirtioDevice(place, shape, {
      ring: (number) => context.ring({ actor: number }, 1),
      warn: (text) => context.log.warn(text),
    });
    device.config.setUint16(0, bytes.byteLength, true);
    for (const [i, byte] of bytes.entries()) device.config.setUint8(TAG_AT + i, byte);
    // A successor knows no fid: the guest's files there are gone until it mounts the folder again.
    if (context.incarnation > 0) context.log.warn(`${folder.label}: the guest must mount it again`);
    const server = new NinepServer(context.folder(folder));
    return ok({ device, server, epoch: device.epoch });
  },
  on: {
    statistics: ({ server: { requests, errors, counts } }) => ok({ requests, errors, ...counts }),
  },
  // A blocking actor: woken in a third of the time an event loop takes.
  slice(state) {
    const { device, server } = state;
    device.takeKicks();
    if (state.epoch !== device.epoch) {
      state.epoch = device.epoch;
      server.end();
    }
    return device.serve(QUEUE, (chain) => server.handle(chain)) ? 'again' : IDLE;
  },
  stop({ server }) {
    server.end();
  },
});
export default ninep;

/** How its worker is made. */
export const virtioNinepKind = actorKind(ninep, { module: new URL(import.meta.url), heapMegabytesMax: 384 });
