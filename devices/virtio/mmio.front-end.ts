/**
 * virtio over MMIO, version 2 (V1.2, 4.2.2), on the vCPUs' threads: every register is answered from the device block without
 * asking the device's worker. A notification sets a bit and rings the worker. A reset is done when it returns (drivers do
 * not wait for it): it waits until the worker has left guest memory, which is a question of one word, not of a message.
 */
import type { FrontEndFactory, FrontEndServices } from '../../actors/shared-state/mmio/front-end.js';
import { VmBlock } from '../../actors/shared-state/vm/vm-block.js';
import { DeviceBlockView, QUEUE_WORD } from './device-block.js';
import { FEATURE, QUEUE_SIZE_MAX, STATUS } from './wire.js';

/** What the front end needs: the same for every vCPU. */
export interface MmioFrontEndConfig {
  /** The device block. */
  readonly registers: SharedArrayBuffer;
  /** The machine's memory, and where the VM's block is in it. */
  readonly memory: WebAssembly.Memory;
  readonly block: number;
  /** The device's actor. */
  readonly actor: number;
  /** Sees to a notification of the queue with this number in the place of the actor; false when it does not. */
  readonly helps?: (queue: number) => boolean;
}

const MAGIC = 0x74726976;
const VERSION = 2;
/** "WURL". */
const VENDOR = 0x4c525557;
const CONFIG_AT = 0x100;
/** No shared memory region: its length reads as all ones (V1.2, 4.2.2.1). */
const NO_REGION = 0xffff_ffff;
/** How long a reset waits for a device that is inside guest memory; then the driver sees it unfinished. */
const LEAVE_MS_MAX = 500;
const SPINS = 2_000;
const NAP_MS = 0.05;

/** One vCPU's way to the device; what the register table works on. */
class Registers {
  readonly view: DeviceBlockView;
  readonly #vm: VmBlock;
  readonly #ring: () => void;
  readonly #helps: ((queue: number) => boolean) | undefined;
  readonly #nap = new Int32Array(new SharedArrayBuffer(4));

  constructor({ registers, memory, block, actor, helps }: MmioFrontEndConfig, services: FrontEndServices) {
    this.view = new DeviceBlockView(registers);
    this.#vm = new VmBlock(memory.buffer, block);
    this.#ring = () => services.ring(actor);
    this.#helps = helps;
  }

  /** Word of the selected queue; 0 when there is no such queue. */
  queue(word: number): number {
    const queue = this.view.get('queueSelect');
    return queue < this.view.get('queueCount') ? this.view.queue(queue, word) : 0;
  }
  /** Sets a word of the selected queue, unless it is in use. */
  setQueue(word: number, value: number): void {
    const queue = this.view.get('queueSelect');
    if (queue >= this.view.get('queueCount') || this.view.queue(queue, QUEUE_WORD.ready) !== 0) return;
    this.view.setQueue(queue, word, value);
  }

  /** QueueReady: a size that is no power of two within the limit makes the device ask for a reset when it attaches. */
  setReady(value: number): void {
    const { view } = this;
    const queue = view.get('queueSelect');
    if (queue >= view.get('queueCount')) return;
    const wasReady = view.queue(queue, QUEUE_WORD.ready) !== 0;
    if (value === 1 && !wasReady) {
      view.turnQueue(queue, true);
      this.#ring();
    } else if (value === 0 && wasReady) {
      view.turnQueue(queue, false);
      this.#hasLeft();
    }
  }

  notify(value: number): void {
    const queue = value & 0xffff;
    if (queue >= this.view.get('queueCount')) return;
    this.view.or('kicks', 1 << queue);
    if (this.#helps?.(queue) !== true) this.#ring();
  }

  /** Status as the driver sees it: while a reset is unfinished it is not yet 0. */
  status(): number {
    const { view } = this;
    if (view.get('resetting') === 0) return view.get('status');
    if (!this.#vm.hasLeft(view.get('window'), view.get('resettingTurns') | 0)) return STATUS.needsReset;
    this.#finishReset();
    return 0;
  }

  setStatus(value: number): void {
    if (value === 0) {
      this.#reset();
      return;
    }
    const { view } = this;
    if (view.get('resetting') !== 0 && this.status() !== 0) return;
    let next = value & 0xff;
    if ((next & STATUS.featuresOk) !== 0 && !this.#featuresAcceptable()) next &= ~STATUS.featuresOk;
    for (;;) {
      const old = view.get('status');
      // The driver cannot take NEEDS_RESET away but by resetting, and cannot set it.
      if (view.replace('status', old, (next & ~STATUS.needsReset) | (old & STATUS.needsReset))) break;
    }
    if ((next & STATUS.driverOk) !== 0) this.#ring();
  }

  /** A driver must accept VIRTIO_F_VERSION_1, and nothing that was not offered. */
  #featuresAcceptable(): boolean {
    const { view } = this;
    const excess = [0, 1].some(
      (select) => (view.features('driverFeatures', select) & ~view.features('deviceFeatures', select)) !== 0,
    );
    return !excess && (view.features('driverFeatures', 1) & (1 << (FEATURE.version1 - 32))) !== 0;
  }

  #reset(): void {
    const { view } = this;
    view.set('status', 0);
    for (let queue = 0; queue < view.get('queueCount'); queue++) {
      view.turnQueue(queue, false);
      for (let word = QUEUE_WORD.descriptorsLow; word <= QUEUE_WORD.usedHigh; word++) view.setQueue(queue, word, 0);
      view.setQueue(queue, QUEUE_WORD.size, 0);
    }
    for (const word of ['queueSelect', 'deviceFeaturesSelect', 'driverFeaturesSelect'] as const) view.set(word, 0);
    for (const select of [0, 1]) view.acceptFeatures(select, 0);
    view.count('epoch');
    if (this.#hasLeft()) this.#finishReset();
    this.#ring();
  }

  /** Waits until the worker has left guest memory; false (and `resetting` says so) when that takes too long. */
  #hasLeft(): boolean {
    const { view } = this;
    const window = view.get('window');
    const turns = this.#vm.windowTurns(window);
    for (let spins = 0; !this.#vm.hasLeft(window, turns); spins++) {
      if (spins < SPINS) continue;
      if (spins - SPINS > LEAVE_MS_MAX / NAP_MS) {
        view.set('resettingTurns', turns);
        view.set('resetting', 1);
        return false;
      }
      Atomics.wait(this.#nap, 0, 0, NAP_MS);
    }
    return true;
  }

  /** What the worker said in its last turn is void, too. */
  #finishReset(): void {
    for (const word of ['resetting', 'status', 'interruptStatus', 'kicks'] as const) this.view.set(word, 0);
  }

  /** An access to the configuration space, 1 to 8 bytes; what lies outside reads as zero. */
  config(offset: number, bytes: number): bigint {
    let value = 0n;
    const end = Math.min(offset + bytes, this.view.get('configBytes'));
    for (let at = end - 1; at >= offset; at--) value = (value << 8n) | BigInt(this.view.config.getUint8(at));
    return value;
  }
  setConfig(offset: number, bytes: number, value: bigint): void {
    const from = this.view.get('configWritableFrom');
    const to = this.view.get('configWritableTo');
    if (offset < from || offset + bytes > to) return;
    for (let i = 0; i < bytes; i++) this.view.config.setUint8(offset + i, Number((value >> BigInt(8 * i)) & 0xffn));
    this.view.count('configWrites');
    this.#ring();
  }
}

/** A register: offset, and what reading and writing do. Without `read` it reads as zero, without `write` it ignores. */
interface MmioRegister {
  readonly at: number;
  readonly read?: (device: Registers) => number;
  readonly write?: (device: Registers, value: number) => void;
}

const queueWord = (at: number, word: number): MmioRegister => ({ at, write: (d, value) => d.setQueue(word, value) });

/** V1.2, table 4.1. */
const REGISTERS: Readonly<Record<string, MmioRegister>> = {
  magic: { at: 0x000, read: () => MAGIC },
  version: { at: 0x004, read: () => VERSION },
  deviceId: { at: 0x008, read: (d) => d.view.get('deviceId') },
  vendorId: { at: 0x00c, read: () => VENDOR },
  deviceFeatures: {
    at: 0x010,
    read(d) {
      const select = d.view.get('deviceFeaturesSelect');
      return select < 2 ? d.view.features('deviceFeatures', select) : 0;
    },
  },
  deviceFeaturesSelect: { at: 0x014, write: (d, value) => d.view.set('deviceFeaturesSelect', value) },
  driverFeatures: {
    at: 0x020,
    write(d, value) {
      const select = d.view.get('driverFeaturesSelect');
      const negotiating = (d.view.get('status') & STATUS.featuresOk) === 0;
      if (select < 2 && negotiating) d.view.acceptFeatures(select, value);
    },
  },
  driverFeaturesSelect: { at: 0x024, write: (d, value) => d.view.set('driverFeaturesSelect', value) },
  queueSelect: { at: 0x030, write: (d, value) => d.view.set('queueSelect', value) },
  queueSizeMax: { at: 0x034, read: (d) => d.queue(QUEUE_WORD.sizeMax) },
  queueSize: { at: 0x038, write: (d, value) => d.setQueue(QUEUE_WORD.size, Math.min(value, QUEUE_SIZE_MAX + 1)) },
  queueReady: { at: 0x044, read: (d) => d.queue(QUEUE_WORD.ready), write: (d, value) => d.setReady(value) },
  queueNotify: { at: 0x050, write: (d, value) => d.notify(value) },
  interruptStatus: { at: 0x060, read: (d) => d.view.get('interruptStatus') },
  interruptAcknowledge: { at: 0x064, write: (d, value) => void d.view.and('interruptStatus', ~value) },
  status: { at: 0x070, read: (d) => d.status(), write: (d, value) => d.setStatus(value) },
  queueDescriptorsLow: queueWord(0x080, QUEUE_WORD.descriptorsLow),
  queueDescriptorsHigh: queueWord(0x084, QUEUE_WORD.descriptorsHigh),
  queueAvailableLow: queueWord(0x090, QUEUE_WORD.availableLow),
  queueAvailableHigh: queueWord(0x094, QUEUE_WORD.availableHigh),
  queueUsedLow: queueWord(0x0a0, QUEUE_WORD.usedLow),
  queueUsedHigh: queueWord(0x0a4, QUEUE_WORD.usedHigh),
  sharedMemorySelect: { at: 0x0ac, write: () => undefined },
  sharedMemoryLengthLow: { at: 0x0b0, read: () => NO_REGION },
  sharedMemoryLengthHigh: { at: 0x0b4, read: () => NO_REGION },
  sharedMemoryBaseLow: { at: 0x0b8, read: () => NO_REGION },
  sharedMemoryBaseHigh: { at: 0x0bc, read: () => NO_REGION },
  configGeneration: { at: 0x0fc, read: (d) => d.view.get('configGeneration') },
};
const BY_OFFSET = new Map(Object.values(REGISTERS).map((register) => [register.at, register]));

const mmioFrontEnd: FrontEndFactory = (config, services) => {
  // WHY: the machine builder made the config for this module.
  const device = new Registers(config as MmioFrontEndConfig, services);
  // Registers are accessed as aligned 32-bit words (V1.2, 4.2.2.2); anything else reads as zero and changes nothing.
  return {
    read(offset, bytes) {
      if (offset >= CONFIG_AT) return device.config(offset - CONFIG_AT, bytes);
      return bytes === 4 ? BigInt((BY_OFFSET.get(offset)?.read?.(device) ?? 0) >>> 0) : 0n;
    },
    write(offset, bytes, value) {
      if (offset >= CONFIG_AT) device.setConfig(offset - CONFIG_AT, bytes, value);
      else if (bytes === 4) BY_OFFSET.get(offset)?.write?.(device, Number(BigInt.asUintN(32, value)));
    },
  };
};
export default mmioFrontEnd;
