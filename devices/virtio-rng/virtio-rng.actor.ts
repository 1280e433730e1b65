/** virtio entropy device (V1.2, 5.4): fills the driver's buffers with random bytes of the host. */
import { actor, actorKind } from '../../actors/runtime/actor.js';
import type { FileHandle, FileToken } from '../../actors/runtime/files.js';
import { MACHINE_HANDLER_BUDGET_MS } from '../../actors/runtime/limits.js';
import { ok } from '../../bus/result.js';
import { VirtioDevice, type VirtioPlace } from '../virtio/virtio-device.js';
import { DEVICE } from '../virtio/wire.js';

/** What the device is started with. */
export interface RngConfig {
  readonly place: VirtioPlace;
  /** The host's source of random bytes (a character device). */
  readonly entropy: FileToken;
}

interface RngState {
  readonly device: VirtioDevice;
  readonly entropy: FileHandle;
}

const QUEUE = 0;
const QUEUE_SIZE = 64;
/** Bytes given for one request at most; a driver that wants more asks again. */
const REQUEST_BYTES_MAX = 4096;
const buffer = new Uint8Array(REQUEST_BYTES_MAX);

function serve({ device, entropy }: RngState): boolean {
  return device.serve(QUEUE, (chain) => {
    const bytes = buffer.subarray(0, Math.min(chain.writableBytes, REQUEST_BYTES_MAX));
    const read = entropy.read(0, bytes);
    if (!read.ok || read.value < bytes.byteLength) throw new Error('the host has no random bytes');
    return chain.write(0, bytes) ? bytes.byteLength : 'broken';
  });
}

const rng = actor<RngConfig, object, RngState>({
  name: 'virtio-rng',
  mailboxMax: 16,
  handlerBudgetMs: MACHINE_HANDLER_BUDGET_MS,
  supervision: { strategy: 'one-for-one', restartsMax: 10, withinMs: 10_000, otherwise: 'stop' },
  start({ place, entropy }, context) {
    const shape = {
      deviceId: DEVICE.entropy,
      features: [],
      queueSizes: [QUEUE_SIZE],
      configBytes: 0,
      configWritable: [0, 0],
    } as const;
    const device = new VirtioDevice(place, shape, {
      ring: (number) => context.ring({ actor: number }, 1),
      warn: (text) => context.log.warn(text),
    });
    // A predecessor may have taken the notification along.
    if (context.incarnation > 0) context.ring(context.self, 1);
    return ok({ device, entropy: context.file(entropy) });
  },
  on: {},
  rang(state, _flags, context) {
    state.device.takeKicks();
    if (serve(state)) context.ring(context.self, 1);
  },
});
export default rng;

/** How its worker is made. */
export const virtioRngKind = actorKind(rng, { module: new URL(import.meta.url), heapMegabytesMax: 32 });
