/**
 * A virtio-mmio device between two VMs (gunyah.md 2.10): its registers are one page that the driver's VM may read and the
 * device's VM may write. A store of the driver's to it comes here, from the thread of its vCPU; what the store means that the
 * page cannot hold (the banks of each queue and of the features, what the device is told) is kept in a state block that both
 * sides' threads change by Atomics alone.
 *
 * Interrupts: whoever has something to tell first leaves it in a word, then raises the line; whoever takes it lowers the line
 * first, then takes the word. A line may so be raised for nothing, but nothing is left without one.
 */
import { assert } from '../../../bus/assert.js';

/** Queues of one device at most. */
export const VIRTIO_QUEUES_MAX = 16;
/** Bytes of a device's state. */
export const VIRTIO_STATE_BYTES = 8192;
/** Device types whose configuration space the hypervisor keeps; of any other it is bytes. */
export const VIRTIO_TYPE = { other: 0, input: 18 } as const;
const PAGE = 4096;

/** The registers that have a meaning here, by offset in the page (virtio 1.2, 4.2.2). */
export const VIRTIO_REGISTER = {
  ...{ deviceFeatures: 0x10, deviceFeaturesSelect: 0x14, driverFeatures: 0x20, driverFeaturesSelect: 0x24 },
  ...{ queueSelect: 0x30, queueNumMax: 0x34, queueNum: 0x38, queueReady: 0x44, queueNotify: 0x50 },
  ...{ interruptStatus: 0x60, interruptAck: 0x64, status: 0x70 },
  ...{ queueDescLow: 0x80, queueDescHigh: 0x84, queueDriverLow: 0x90, queueDriverHigh: 0x94 },
  ...{ queueDeviceLow: 0xa0, queueDeviceHigh: 0xa4, config: 0x100 },
} as const;
const R = VIRTIO_REGISTER;
/** Bits of the status register that are looked at. */
export const VIRTIO_STATUS = { driverOk: 4, needsReset: 0x40, failed: 0x80 } as const;
/** Why the device is told something. */
export const VIRTIO_REASON = { newBuffer: 1, reset: 2, driverOk: 8, failed: 0x10 } as const;
/** The word of what the device is told: queues in the low half, reasons in the high one. */
const REASON_SHIFT = 16;
const QUEUES_MASK = 0xffff;

/** Words of the state block. */
const WORD = {
  ...{ page: 0, queues: 1, type: 2, told: 3, driverFeaturesSelect: 4, queueSelect: 5 },
  ...{ deviceFeatures: 6, driverFeatures: 8, banks: 16 },
} as const;
/** Words of features: 0 to 63. */
const FEATURE_WORDS = 2;
/** Words of a queue's bank. */
const BANK = {
  ...{ numMax: 0, num: 1, ready: 2, descLow: 3, descHigh: 4 },
  ...{ driverLow: 5, driverHigh: 6, deviceLow: 7, deviceHigh: 8 },
} as const;
const BANK_WORDS = 9;
/** What else the state block has: a virtio-input device's data (virtio-input.ts). */
export const VIRTIO_INPUT_AT = (WORD.banks + VIRTIO_QUEUES_MAX * BANK_WORDS) * 4;

/** Registers of the bank of the selected queue, which the driver only writes. */
const BANKED: Readonly<Record<number, number>> = {
  [R.queueNum]: BANK.num,
  [R.queueDescLow]: BANK.descLow,
  [R.queueDescHigh]: BANK.descHigh,
  [R.queueDriverLow]: BANK.driverLow,
  [R.queueDriverHigh]: BANK.driverHigh,
  [R.queueDeviceLow]: BANK.deviceLow,
  [R.queueDeviceHigh]: BANK.deviceHigh,
};

/** What the driver made of a queue; addresses as two words. */
export interface VirtioQueueInfo {
  readonly num: number;
  readonly ready: number;
  readonly desc: readonly [low: number, high: number];
  readonly driver: readonly [low: number, high: number];
  readonly device: readonly [low: number, high: number];
}

/** The interrupt lines of a device's two sides. */
export interface VirtioLines {
  /** To the VM of the device: raise is an edge and a level. */
  readonly device: { raise(): void; lower(): void };
  /** To the VM of the driver. */
  readonly driver: { raise(): void; lower(): void };
}
/** Writes `value` to configuration space at `offset`; false when there is nothing to write. */
export type ConfigWrite = (offset: number, value: number) => boolean;

/** The core: makes the state block at byte `at` of `memory` that of a device whose registers are the page at byte `page`. */
export function formatVirtio(memory: ArrayBufferLike, at: number, page: number, queues: number, type: number): void {
  assert(queues <= VIRTIO_QUEUES_MAX && page % PAGE === 0, 'a device has a page and at most 16 queues');
  const words = new Int32Array(memory, at, VIRTIO_STATE_BYTES / 4);
  words.fill(0);
  words[WORD.page] = page;
  words[WORD.queues] = queues;
  words[WORD.type] = type;
}

/** One thread's view of a device. */
export class VirtioMmio {
  readonly #state: Int32Array;
  readonly #page: Int32Array;
  readonly #bytes: Uint8Array;
  readonly #lines: VirtioLines;
  readonly #writeConfig: ConfigWrite | undefined;

  /** `writeConfig`: stores to configuration space; absent: it is bytes. */
  constructor(memory: ArrayBufferLike, at: number, lines: VirtioLines, writeConfig?: ConfigWrite) {
    this.#state = new Int32Array(memory, at, VIRTIO_STATE_BYTES / 4);
    const page = (this.#state[WORD.page] ?? 0) >>> 0;
    this.#page = new Int32Array(memory, page, PAGE / 4);
    this.#bytes = new Uint8Array(memory, page, PAGE);
    this.#lines = lines;
    this.#writeConfig = writeConfig;
  }

  /** Device type: a value of VIRTIO_TYPE. */
  get type(): number {
    return this.#state[WORD.type] ?? 0;
  }
  /** Number of queues. */
  get queues(): number {
    return this.#state[WORD.queues] ?? 0;
  }
  #register(offset: number): number {
    return Atomics.load(this.#page, offset >> 2);
  }
  #setRegister(offset: number, value: number): void {
    Atomics.store(this.#page, offset >> 2, value);
  }
  #bank(queue: number, word: number): number {
    return WORD.banks + queue * BANK_WORDS + word;
  }
  #banked(queue: number, word: number): number {
    return Atomics.load(this.#state, this.#bank(queue, word));
  }
  get #selected(): number {
    return Atomics.load(this.#state, WORD.queueSelect);
  }

  // ---- the driver ----

  /** A store of 1, 2, 4 or 8 bytes to the page; false when it aborts. */
  write(offset: number, bytes: number, value: bigint): boolean {
    if (offset % bytes !== 0) return false;
    const isConfig = offset >= R.config;
    if (bytes !== 4 && (bytes !== 1 || !isConfig)) return false;
    const number = Number(BigInt.asUintN(32, value));
    return isConfig ? this.#storeConfig(offset - R.config, bytes, number) : this.#store(offset, number);
  }

  #storeConfig(offset: number, bytes: number, value: number): boolean {
    for (let n = 0; n < bytes; n++) {
      const byte = (value >>> (n * 8)) & 0xff;
      if (this.#writeConfig === undefined) Atomics.store(this.#bytes, R.config + offset + n, byte);
      else if (!this.#writeConfig(offset + n, byte)) return false;
    }
    return true;
  }

  #store(offset: number, value: number): boolean {
    const banked = BANKED[offset];
    if (banked !== undefined && this.queues > 0) {
      Atomics.store(this.#state, this.#bank(this.#selected, banked), value);
      return true;
    }
    switch (offset) {
      case R.deviceFeaturesSelect:
        if (value >= FEATURE_WORDS) return false;
        this.#setRegister(R.deviceFeatures, Atomics.load(this.#state, WORD.deviceFeatures + value));
        return true;
      case R.driverFeaturesSelect:
        if (value >= FEATURE_WORDS) return false;
        Atomics.store(this.#state, WORD.driverFeaturesSelect, value);
        return true;
      case R.driverFeatures: {
        const select = Atomics.load(this.#state, WORD.driverFeaturesSelect);
        Atomics.store(this.#state, WORD.driverFeatures + select, value);
        return true;
      }
      case R.queueSelect:
        if (value >= this.queues) return false;
        Atomics.store(this.#state, WORD.queueSelect, value);
        this.#setRegister(R.queueNumMax, this.#banked(value, BANK.numMax));
        this.#setRegister(R.queueReady, this.#banked(value, BANK.ready));
        return true;
      case R.queueReady:
        if (this.queues === 0) return false;
        this.#setRegister(R.queueReady, value);
        Atomics.store(this.#state, this.#bank(this.#selected, BANK.ready), value);
        return true;
      case R.queueNotify:
        // A queue that the device does not have is not named; the device looks and finds nothing.
        this.#tell(VIRTIO_REASON.newBuffer, value < this.queues ? 1 << value : 0);
        return true;
      case R.interruptAck:
        this.#acknowledge(value);
        return true;
      case R.status:
        if (value === 0) this.#askReset();
        else this.#setStatus(value);
        return true;
      default:
        return false;
    }
  }

  #tell(reason: number, queues = 0): void {
    Atomics.or(this.#state, WORD.told, (reason << REASON_SHIFT) | queues);
    this.#lines.device.raise();
  }

  #acknowledge(bits: number): void {
    const at = R.interruptStatus >> 2;
    const left = Atomics.and(this.#page, at, ~bits) & ~bits;
    if (left !== 0) return;
    this.#lines.driver.lower();
    if (Atomics.load(this.#page, at) !== 0) this.#lines.driver.raise();
  }

  #setStatus(value: number): void {
    const old = Atomics.exchange(this.#page, R.status >> 2, value);
    const fresh = value & ~old;
    if ((fresh & VIRTIO_STATUS.driverOk) !== 0) this.#tell(VIRTIO_REASON.driverOk);
    else if ((fresh & VIRTIO_STATUS.failed) !== 0) this.#tell(VIRTIO_REASON.failed);
  }

  /** Status 0 says that a reset is over, which is for the device to say; of one that was never used there is nothing to reset. */
  #askReset(): void {
    if (this.#register(R.status) === 0) return;
    Atomics.or(this.#page, R.status >> 2, VIRTIO_STATUS.needsReset);
    for (let queue = 0; queue < this.queues; queue++) Atomics.store(this.#state, this.#bank(queue, BANK.ready), 0);
    this.#setRegister(R.queueReady, 0);
    this.#tell(VIRTIO_REASON.reset);
  }

  // ---- the device ----

  /** Raises the driver's interrupt with `bits` of the interrupt status; false while a reset waits to be acknowledged. */
  assertInterrupt(bits: number): boolean {
    if ((this.#register(R.status) & VIRTIO_STATUS.needsReset) !== 0) return false;
    Atomics.or(this.#page, R.interruptStatus >> 2, bits);
    this.#lines.driver.raise();
    return true;
  }
  /** Offers features; false: there are no such. */
  offerFeatures(select: number, features: number): boolean {
    if (select >= FEATURE_WORDS) return false;
    Atomics.store(this.#state, WORD.deviceFeatures + select, features);
    return true;
  }
  /** What the driver accepted of them, unsigned. */
  driverFeatures(select: number): number | undefined {
    return select >= FEATURE_WORDS ? undefined : Atomics.load(this.#state, WORD.driverFeatures + select) >>> 0;
  }
  /** The largest queue `queue` may be; false: there is no such queue. */
  setQueueNumMax(queue: number, max: number): boolean {
    if (queue >= this.queues) return false;
    Atomics.store(this.#state, this.#bank(queue, BANK.numMax), max);
    return true;
  }
  /** What the driver made of queue `queue`. */
  queueInfo(queue: number): VirtioQueueInfo | undefined {
    if (queue >= this.queues) return undefined;
    const word = (name: keyof typeof BANK): number => this.#banked(queue, BANK[name]);
    return {
      ...{ num: word('num'), ready: word('ready'), desc: [word('descLow'), word('descHigh')] },
      driver: [word('driverLow'), word('driverHigh')],
      device: [word('deviceLow'), word('deviceHigh')],
    };
  }
  /** What the device has not been told yet: queues as bits, and reasons. */
  takeNotification(): { readonly queues: number; readonly reason: number } {
    this.#lines.device.lower();
    const told = Atomics.exchange(this.#state, WORD.told, 0);
    return { queues: told & QUEUES_MASK, reason: told >>> REASON_SHIFT };
  }
  /** The reset that was asked for is over. */
  acknowledgeReset(): void {
    this.#setRegister(R.status, 0);
  }
  /** Sets bits of the status. */
  updateStatus(bits: number): void {
    Atomics.or(this.#page, R.status >> 2, bits);
  }
}
