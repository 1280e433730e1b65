/**
 * A made-up guest for a device to rehearse on while it has nothing to do: a few pages of memory with a stage-2 map, an interrupt
 * controller and a device block of their own, and the driver's part of the queues. What a device does on it runs the code that the
 * real guest needs, on the same kinds of objects, so that V8 compiles it for them; nobody else sees any of it.
 */
import { Gic } from '../../actors/shared-state/gic/gic.js';
import { GIC_STATE_BYTES } from '../../actors/shared-state/gic/gic-layout.js';
import { STAGE2_RIGHTS, STAGE2_ROOT_BYTES, Stage2Map } from '../../actors/shared-state/stage2/stage2-map.js';
import { VM_BLOCK_BYTES, VmBlock } from '../../actors/shared-state/vm/vm-block.js';
import { HYP_PAGE_BYTES } from '../../bus/units.js';
import { createDeviceBlock, DeviceBlockView, QUEUE_WORD } from './device-block.js';
import type { VirtioPlace } from './virtio-device.js';
import { AvailableHead, Descriptor, STATUS, UsedHead } from './wire.js';

const PAGE = HYP_PAGE_BYTES;
const WASM_PAGE = 65_536;
const BLOCK_AT = 0;
const STAGE2_AT = roundUp(BLOCK_AT + VM_BLOCK_BYTES);
const GIC_AT = STAGE2_AT + STAGE2_ROOT_BYTES;
const TABLE_AT = roundUp(GIC_AT + GIC_STATE_BYTES);
const FRAMES_AT = TABLE_AT + PAGE;
/** A shared interrupt number that the controller implements. */
const INTID = 48;
/** Descriptor table, available ring and used ring have a page each. */
const QUEUE_PAGES = 3;
/** So that a descriptor table fits its page. */
const QUEUE_SIZE = PAGE / Descriptor.sizeBytes;
const DRIVEN = STATUS.acknowledge | STATUS.driver | STATUS.featuresOk | STATUS.driverOk;

function roundUp(bytes: number): number {
  return Math.ceil(bytes / PAGE) * PAGE;
}

/** See the file comment. */
export class MadeUpGuest {
  readonly place: VirtioPlace;
  /** Guest memory. */
  readonly bytes: Uint8Array;
  /** Guest address of its first byte. */
  readonly at: number;
  /** The first guest address that no queue takes up. */
  readonly dataAt: number;
  readonly #view: DeviceBlockView;
  readonly #data: DataView;

  /**
   * `queues` queues and `dataBytes` bytes beside them from guest address `at` (of a page) on; its one processor is said to be run by
   * actor `self`, and to sleep.
   */
  constructor(at: number, queues: number, dataBytes: number, self: number) {
    this.at = at;
    this.dataAt = at + queues * QUEUE_PAGES * PAGE;
    const guestBytes = roundUp(queues * QUEUE_PAGES * PAGE + dataBytes);
    const pages = Math.ceil((FRAMES_AT + guestBytes) / WASM_PAGE);
    const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
    const { buffer } = memory;
    const block = new VmBlock(buffer, BLOCK_AT);
    block.format(1);
    block.bindActor(0, self);
    block.setSleeping(0, true);
    new Gic(buffer, GIC_AT, () => undefined).reset([0]);
    const map = new Stage2Map(buffer, STAGE2_AT, () => TABLE_AT);
    for (let from = 0; from < guestBytes; from += PAGE) {
      map.map((at + from) / PAGE, FRAMES_AT + from, STAGE2_RIGHTS.all);
    }
    const registers = createDeviceBlock();
    this.place = { memory, block: BLOCK_AT, stage2: STAGE2_AT, gic: GIC_AT, window: 0, registers, intid: INTID };
    this.bytes = new Uint8Array(buffer, FRAMES_AT, guestBytes);
    this.#data = new DataView(buffer, FRAMES_AT, guestBytes);
    this.#view = new DeviceBlockView(registers);
  }

  /** The driver comes: it accepts all that the device offers and sets all its queues up. */
  drive(): void {
    for (const select of [0, 1]) this.#view.acceptFeatures(select, this.#view.features('deviceFeatures', select));
    for (let queue = 0; queue < this.#view.get('queueCount'); queue++) {
      const at = this.at + queue * QUEUE_PAGES * PAGE;
      this.#view.setQueue(queue, QUEUE_WORD.size, QUEUE_SIZE);
      this.#view.setQueue(queue, QUEUE_WORD.descriptorsLow, at);
      this.#view.setQueue(queue, QUEUE_WORD.availableLow, at + PAGE);
      this.#view.setQueue(queue, QUEUE_WORD.usedLow, at + 2 * PAGE);
      this.#view.turnQueue(queue, true);
    }
    this.#view.set('status', DRIVEN);
  }

  /** Writes entry `index` of queue `queue`'s descriptor table. */
  describe(queue: number, index: number, address: number, lengthBytes: number, flags: number): void {
    const at = this.at + queue * QUEUE_PAGES * PAGE + index * Descriptor.sizeBytes;
    this.describeAt(at, address, lengthBytes, flags, 0);
  }
  /** Writes a descriptor at guest address `at`, as those of an indirect table lie. */
  describeAt(at: number, address: number, lengthBytes: number, flags: number, next: number): void {
    const { offsets } = Descriptor;
    const entry = at - this.at;
    this.#data.setUint32(entry + offsets.address, address, true);
    this.#data.setUint32(entry + offsets.lengthBytes, lengthBytes, true);
    this.#data.setUint16(entry + offsets.flags, flags, true);
    this.#data.setUint16(entry + offsets.next, next, true);
  }

  /** Offers the chain at descriptor `head`, notifies the device, and wants an interrupt when a chain is used. */
  offer(queue: number, head: number): void {
    const available = queue * QUEUE_PAGES * PAGE + PAGE;
    const usedAt = available + PAGE + UsedHead.offsets.index;
    const indexAt = available + AvailableHead.offsets.index;
    const index = this.#data.getUint16(indexAt, true);
    this.#data.setUint16(available + AvailableHead.sizeBytes + (index % QUEUE_SIZE) * 2, head, true);
    const eventAt = available + AvailableHead.sizeBytes + QUEUE_SIZE * 2;
    this.#data.setUint16(eventAt, this.#data.getUint16(usedAt, true), true);
    this.#data.setUint16(indexAt, index + 1, true);
    this.#view.or('kicks', 1 << queue);
  }

  /** Chains of queue `queue` that the device has used, modulo 2^16. */
  used(queue: number): number {
    return this.#data.getUint16((queue * QUEUE_PAGES + 2) * PAGE + UsedHead.offsets.index, true);
  }

  /** Acknowledges the interrupt; whether there was one. */
  acknowledge(): boolean {
    return this.#view.take('interruptStatus') !== 0;
  }
}
