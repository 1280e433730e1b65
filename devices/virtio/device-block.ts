/**
 * What the two sides of a virtio device share beside guest memory: its registers, in a buffer of their own. One side is the
 * front end on the vCPUs' threads (mmio.front-end.ts), the other the device's worker (virtio-device.ts).
 *
 * Words are little-endian i32 and change by Atomics only, and nobody waits for a lock, so that a worker may be killed at
 * any point: where vCPUs help a device (net-assistant.ts), whoever does not get the turn leaves the work to the worker, and a worker takes
 * the turn over that its predecessor had. Who writes what: the front end everything but features offered, limits of queues, `needsReset` of the
 * status, new interrupt bits, `attached` and the configuration space, which are the device's.
 */
import { array, bytes, u32 } from '../../bus/layout/fields.js';
import { struct } from '../../bus/layout/struct.js';

/** Queues a device may have. */
export const QUEUES_MAX = 16;
/** Bytes of configuration space: what is left of a transport's 512-byte window. */
export const CONFIG_BYTES_MAX = 256;
const QUEUE_WORDS = 16;

/** The layout; `queues` holds {@link QUEUE_WORD}s. */
export const DeviceBlock = struct('DeviceBlock', 1408, {
  status: u32(0),
  interruptStatus: u32(4),
  /** A bit per queue that was notified. */
  kicks: u32(8),
  /** Counts resets: what a device keeps from before one is void. */
  epoch: u32(12),
  configGeneration: u32(16),
  deviceFeaturesSelect: u32(20),
  driverFeaturesSelect: u32(24),
  queueSelect: u32(28),
  deviceFeatures: array(32, 2, u32),
  driverFeatures: array(40, 2, u32),
  deviceId: u32(48),
  queueCount: u32(52),
  configBytes: u32(56),
  /** Configuration bytes `[from, to)` the driver may write. */
  configWritableFrom: u32(60),
  configWritableTo: u32(64),
  /** Window of the device in the VM block. */
  window: u32(68),
  /** 1 while a reset waits for the device to leave guest memory; the turn count it waits on. */
  resetting: u32(72),
  resettingTurns: u32(76),
  /** Counts the driver's writes to the configuration space. */
  configWrites: u32(80),
  /** Who works on the queues: 0 nobody, or whom {@link TURN} names; and who did so last. */
  turn: u32(84),
  turnBefore: u32(88),
  reserved: array(92, 9, u32),
  queues: array(128, QUEUES_MAX * QUEUE_WORDS, u32),
  config: bytes(1152, CONFIG_BYTES_MAX),
});

/** Names in the word `turn`: the device's worker, or the vCPU `number` in its place. */
export const TURN = { nobody: 0, worker: 1, vcpu: (number: number): number => number + 2 } as const;

/** Words of one queue. */
export const QUEUE_WORD = {
  sizeMax: 0,
  size: 1,
  ready: 2,
  /** Counts changes of `ready` and resets. */
  generation: 3,
  /** Generation a device's worker has attached to: one that finds its own here comes after a life that was cut short. */
  attached: 4,
  descriptorsLow: 5,
  descriptorsHigh: 6,
  availableLow: 7,
  availableHigh: 8,
  usedLow: 9,
  usedHigh: 10,
} as const;

const AT = DeviceBlock.offsets;
/** A single word of the block. */
export type BlockWord = Exclude<
  keyof typeof AT,
  'deviceFeatures' | 'driverFeatures' | 'queues' | 'config' | 'reserved'
>;

/** What a device is, as the block says it. */
export interface DeviceShape {
  readonly deviceId: number;
  /** Features offered: words 0 and 1. */
  readonly features: readonly [number, number];
  /** Largest size of each queue. */
  readonly queueSizes: readonly number[];
  readonly configBytes: number;
  /** Bytes `[from, to)` of the configuration space the driver may write. */
  readonly configWritable: readonly [number, number];
}

/** Shared memory for one device. */
export function createDeviceBlock(): SharedArrayBuffer {
  return new SharedArrayBuffer(DeviceBlock.sizeBytes);
}

/** One thread's view of a device's block. */
export class DeviceBlockView {
  /** The configuration space. */
  readonly config: DataView;
  readonly #words: Int32Array;

  constructor(memory: SharedArrayBuffer) {
    this.#words = new Int32Array(memory, 0, AT.config >> 2);
    this.config = new DataView(memory, AT.config, CONFIG_BYTES_MAX);
  }

  /** Before the guest runs: what the device is. */
  describe(shape: DeviceShape, window: number): void {
    this.set('deviceId', shape.deviceId);
    this.set('queueCount', shape.queueSizes.length);
    this.set('configBytes', shape.configBytes);
    this.set('configWritableFrom', shape.configWritable[0]);
    this.set('configWritableTo', shape.configWritable[1]);
    this.set('window', window);
    shape.features.forEach((word, select) => {
      Atomics.store(this.#words, (AT.deviceFeatures >> 2) + select, word);
    });
    for (const [queue, size] of shape.queueSizes.entries()) this.setQueue(queue, QUEUE_WORD.sizeMax, size);
  }

  /** A word, as an unsigned number. */
  get(word: BlockWord): number {
    return Atomics.load(this.#words, AT[word] >> 2) >>> 0;
  }
  /** Sets a word. */
  set(word: BlockWord, value: number): void {
    Atomics.store(this.#words, AT[word] >> 2, value);
  }
  /** Sets bits of a word; the word before. */
  or(word: BlockWord, bits: number): number {
    return Atomics.or(this.#words, AT[word] >> 2, bits);
  }
  /** Clears all but `bits` of a word; the word before. */
  and(word: BlockWord, bits: number): number {
    return Atomics.and(this.#words, AT[word] >> 2, bits);
  }
  /** Adds one to a counter. */
  count(word: BlockWord): void {
    Atomics.add(this.#words, AT[word] >> 2, 1);
  }
  /** Takes a word, leaving 0. */
  take(word: BlockWord): number {
    return Atomics.exchange(this.#words, AT[word] >> 2, 0);
  }
  /** Replaces a word if it is still `old`; whether it was. */
  replace(word: BlockWord, old: number, value: number): boolean {
    return Atomics.compareExchange(this.#words, AT[word] >> 2, old, value) === (old | 0);
  }
  /** Word `select` (0 or 1) of the features offered or accepted. */
  features(side: 'deviceFeatures' | 'driverFeatures', select: number): number {
    return Atomics.load(this.#words, (AT[side] >> 2) + (select & 1)) >>> 0;
  }
  /** Sets a word of the features the driver accepts. */
  acceptFeatures(select: number, value: number): void {
    Atomics.store(this.#words, (AT.driverFeatures >> 2) + (select & 1), value);
  }

  /** A word of queue `queue`, which exists. */
  queue(queue: number, word: number): number {
    return Atomics.load(this.#words, (AT.queues >> 2) + queue * QUEUE_WORDS + word) >>> 0;
  }
  /** Sets a word of a queue. */
  setQueue(queue: number, word: number, value: number): void {
    Atomics.store(this.#words, (AT.queues >> 2) + queue * QUEUE_WORDS + word, value);
  }
  /** A queue is in use or no longer: whoever attached to it must let go. */
  turnQueue(queue: number, ready: boolean): void {
    this.setQueue(queue, QUEUE_WORD.ready, ready ? 1 : 0);
    Atomics.add(this.#words, (AT.queues >> 2) + queue * QUEUE_WORDS + QUEUE_WORD.generation, 1);
  }
  /** A 64-bit address of a queue: its low word is `word`, its high word the next. NaN when no guest address is so large. */
  queueAddress(queue: number, word: number): number {
    const high = this.queue(queue, word + 1);
    return high < 2 ** 20 ? high * 2 ** 32 + this.queue(queue, word) : Number.NaN;
  }
}
