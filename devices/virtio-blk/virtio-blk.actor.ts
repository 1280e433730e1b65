/**
 * virtio block device (V1.2, 5.2). Its worker has the files it was handed and no others, and works synchronously: a request
 * that has been answered has reached the host's kernel, so it outlives the worker.
 */
import { actor, actorKind } from '../../actors/runtime/actor.js';
import type { Ask } from '../../actors/runtime/protocol.js';
import { err, ok } from '../../bus/result.js';
import { VirtioDevice, type VirtioPlace, type VirtioShape } from '../virtio/virtio-device.js';
import { DEVICE } from '../virtio/wire.js';
import { BLOCK_FEATURE, BlockSpace, SECTOR_BYTES } from './block.wire.js';
import { type Disk, handleRequest, ZERO_SECTORS_MAX, ZERO_SEGMENTS_MAX } from './block-requests.js';
import type { DiskImage } from './disk-image.js';
import { type DiskLayer, openLayers } from './disk-layers.js';

/** What the device is started with. */
export interface BlockConfig {
  readonly place: VirtioPlace;
  /** The guest's own image first. */
  readonly layers: readonly DiskLayer[];
  readonly isReadOnly: boolean;
  /** At most 20 ASCII bytes. */
  readonly serial: string;
}

/** The device's messages. */
export type BlockProtocol = {
  /** What it has done. */
  statistics: Ask<object, { requests: number; faults: number }>;
};

interface BlockState {
  readonly device: VirtioDevice;
  readonly disk: Disk;
  requests: number;
  faults: number;
}

const QUEUE = 0;
/** So that a request of 1 MiB in single pages is one request. */
const QUEUE_SIZE = 512;
/** Of one request, besides header and status. */
const SEGMENTS_MAX = QUEUE_SIZE - 2;
const WRITE_BACK_AT = BlockSpace.offsets.writeBack;
/** Woken by a ring before that. */
const IDLE = { sleepMs: 60_000 } as const;
/** A slow disk is no hung device. */
const BUDGET_MS = 60_000;

function shapeOf(image: DiskImage, isReadOnly: boolean): VirtioShape {
  const { segmentsMax, readOnly, blockSize, flush, topology, configurableCache, discard, writeZeroes } = BLOCK_FEATURE;
  const features: number[] = [segmentsMax, blockSize, flush, topology];
  if (isReadOnly) features.push(readOnly);
  else features.push(configurableCache, writeZeroes, ...(image.canDiscard ? [discard] : []));
  return {
    deviceId: DEVICE.block,
    features,
    queueSizes: [QUEUE_SIZE],
    configBytes: 60,
    configWritable: isReadOnly ? [0, 0] : [WRITE_BACK_AT, WRITE_BACK_AT + 1],
  };
}

function describe(config: DataView, image: DiskImage): void {
  const clusterSectors = image.clusterBytes / SECTOR_BYTES;
  BlockSpace.write(config, 0, {
    capacity: BigInt(Math.floor(image.sizeBytes / SECTOR_BYTES)),
    segmentBytesMax: 0,
    segmentsMax: SEGMENTS_MAX,
    cylinders: 0,
    heads: 0,
    sectors: 0,
    blockBytes: SECTOR_BYTES,
    physicalBlockExponent: 3, // the host's page cache works in 4 KiB
    alignmentOffset: 0,
    minimumIo: 8,
    optimalIo: clusterSectors > 8 ? clusterSectors : 0,
    writeBack: 1,
    unused0: 0,
    queues: 1,
    discardSectorsMax: ZERO_SECTORS_MAX,
    discardSegmentsMax: ZERO_SEGMENTS_MAX,
    discardSectorAlignment: clusterSectors,
    zeroSectorsMax: ZERO_SECTORS_MAX,
    zeroSegmentsMax: ZERO_SEGMENTS_MAX,
    zeroMayUnmap: image.canDiscard ? 1 : 0,
    unused1: 0,
    unused2: 0,
  });
}

const block = actor<BlockConfig, BlockProtocol, BlockState>({
  name: 'virtio-blk',
  mailboxMax: 16,
  supervision: { strategy: 'one-for-one', restartsMax: 100, withinMs: 10_000, otherwise: 'stop' },
  handlerBudgetMs: BUDGET_MS,
  stopBudgetMs: BUDGET_MS,
  start({ place, layers, isReadOnly, serial }, context) {
    const opened = openLayers(layers, (token) => context.file(token), context.incarnation > 0);
    if (!opened.ok) return err(`${opened.error.label}: ${opened.error.fault.detail}`);
    const image = opened.value;
    const device = new VirtioDevice(place, shapeOf(image, isReadOnly), {
      ring: (number) => context.ring({ actor: number }, 1),
      warn: (text) => context.log.warn(text),
    });
    if (context.incarnation === 0) describe(device.config, image);
    const disk: Disk = {
      image,
      isReadOnly,
      serial,
      // A driver that cannot flush, or asked for it, gets every write made durable (V1.2, 5.2.5).
      writesThrough: () =>
        !device.has(BLOCK_FEATURE.flush) ||
        (device.has(BLOCK_FEATURE.configurableCache) && device.config.getUint8(WRITE_BACK_AT) === 0),
      complain(fault) {
        if (state.faults++ === 0) context.log.warn(`${layers[0]?.file.label ?? 'disk'}: ${fault.detail}`);
      },
    };
    const state: BlockState = { device, disk, requests: 0, faults: 0 };
    return ok(state);
  },
  on: {
    statistics: ({ requests, faults }) => ok({ requests, faults }),
  },
  // A blocking actor: woken in a third of the time an event loop takes, which is what a request costs most.
  slice(state) {
    state.device.takeKicks();
    const more = state.device.serve(QUEUE, (chain) => {
      state.requests++;
      return handleRequest(state.disk, chain);
    });
    return more ? 'again' : IDLE;
  },
  stop({ disk }, context) {
    const closed = disk.image.close();
    if (!closed.ok) context.log.warn(`the disk could not be closed in order: ${closed.error.detail}`);
  },
});
export default block;

/** How its worker is made. */
export const virtioBlkKind = actorKind(block, { module: new URL(import.meta.url), heapMegabytesMax: 256 });
