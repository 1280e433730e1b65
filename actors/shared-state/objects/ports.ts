/**
 * Queues and doorbells as one thread uses them: object index in, bus primitive out, its signals wired to whatever the core
 * bound them to. A signal reaches its vCPU through the state of that VM's interrupt controller, from the thread that caused
 * it; no third party is involved. Views are kept per object and life, because attaching one costs microseconds.
 */
import { assert } from '../../../bus/assert.js';
import { Doorbell } from '../../../bus/doorbell/doorbell.js';
import { QueueReceiver } from '../../../bus/message-queue/queue-receiver.js';
import { QueueSender } from '../../../bus/message-queue/queue-sender.js';
import { Gic } from '../gic/gic.js';
import { type Ring, VmBlock, waker } from '../vm/vm-block.js';
import { BOUND, bindingVic, bindingVirq, type ObjectTable, SOURCE, type Source } from './object-table.js';
import { VirtioInput } from './virtio-input.js';
import { VIRTIO_TYPE, VirtioMmio } from './virtio-mmio.js';
import { VirtioPages } from './virtio-pages.js';

interface Port {
  readonly generation: number;
  sender?: QueueSender;
  receiver?: QueueReceiver;
  doorbell?: Doorbell;
  virtio?: VirtioPort;
}

/** A virtio-mmio device, with what a virtio-input device has beside its registers. */
interface VirtioPort {
  readonly device: VirtioMmio;
  readonly input: VirtioInput | undefined;
}

/** Owner id of a thread in the locks of queues and doorbells: vCPUs by partition and index, services behind them. */
export function lockOwner(partition: number, index: number): number {
  return ((partition + 1) << 6) | index;
}

/** See the head of this file. One per thread. */
export class Ports {
  readonly objects: ObjectTable;
  /** Number of times this thread has told somebody something through an interrupt source. */
  interruptsCaused = 0;
  readonly #buffer: SharedArrayBuffer;
  readonly #owner: number;
  readonly #ring: Ring;
  readonly #virtioPages: VirtioPages;
  readonly #ports = new Map<number, Port>();
  readonly #gics = new Map<number, { readonly generation: number; readonly gic: Gic }>();

  /** `owner` is unique to the thread (lockOwner); `ring` wakes an actor. */
  constructor(memory: ArrayBufferLike, objects: ObjectTable, owner: number, ring: Ring) {
    // WHY: machine memory is shared by construction; the type of WebAssembly.Memory.buffer does not say so.
    const buffer: unknown = memory;
    assert(buffer instanceof SharedArrayBuffer, 'ports lie in shared memory');
    this.objects = objects;
    this.#buffer = buffer;
    this.#owner = owner;
    this.#ring = ring;
    this.#virtioPages = new VirtioPages(memory, objects);
  }

  #port(object: number): Port {
    const generation = this.objects.generation(object);
    const known = this.#ports.get(object);
    if (known?.generation === generation) return known;
    const fresh = { generation };
    this.#ports.set(object, fresh);
    return fresh;
  }

  /** The sending end of the active message queue `object`. */
  sender(object: number): QueueSender {
    const port = this.#port(object);
    if (port.sender !== undefined) return port.sender;
    const options = { owner: this.#owner, signals: this.#signals(object) };
    const attached = QueueSender.attach(this.#handle(object), options);
    assert(attached.ok, `queue ${object} is whole`);
    port.sender = attached.value;
    return attached.value;
  }

  /** The receiving end. */
  receiver(object: number): QueueReceiver {
    const port = this.#port(object);
    if (port.receiver !== undefined) return port.receiver;
    const options = { owner: this.#owner, signals: this.#signals(object) };
    const attached = QueueReceiver.attach(this.#handle(object), options);
    assert(attached.ok, `queue ${object} is whole`);
    port.receiver = attached.value;
    return attached.value;
  }

  /** The active doorbell `object`. */
  doorbell(object: number): Doorbell {
    const port = this.#port(object);
    if (port.doorbell !== undefined) return port.doorbell;
    const interrupt = {
      assert: (level: boolean) => this.assert(object, SOURCE.first, level),
      clear: () => this.clear(object, SOURCE.first),
    };
    const attached = Doorbell.attach(this.#handle(object), { owner: this.#owner, interrupt });
    assert(attached.ok, `doorbell ${object} is whole`);
    port.doorbell = attached.value;
    return attached.value;
  }

  /** The active virtio-mmio device `object`. */
  virtio(object: number): VirtioPort {
    const port = this.#port(object);
    if (port.virtio !== undefined) return port.virtio;
    const line = (source: Source) => ({
      raise: () => this.assert(object, source, true),
      lower: () => this.clear(object, source),
    });
    const lines = { device: line(SOURCE.first), driver: line(SOURCE.second) };
    const [at, page] = [this.objects.data(object), this.objects.aux(object)];
    const known = new VirtioMmio(this.#buffer, at, lines);
    if (known.type !== VIRTIO_TYPE.input) port.virtio = { device: known, input: undefined };
    else {
      const input = new VirtioInput(this.#buffer, at, page);
      port.virtio = { device: new VirtioMmio(this.#buffer, at, lines, input.writeConfig), input };
    }
    return port.virtio;
  }

  /** A store of a guest's to the frame at `frame`, which it may only read; undefined: the frame is no device's registers. */
  store(frame: number, offset: number, bytes: number, value: bigint): boolean | undefined {
    const device = this.#virtioPages.deviceAt(frame);
    return device === 0 ? undefined : this.virtio(device).device.write(offset, bytes, value);
  }

  #handle(object: number): { readonly buffer: SharedArrayBuffer; readonly byteOffset: number } {
    return { buffer: this.#buffer, byteOffset: this.objects.data(object) };
  }

  #signals(object: number): { data(asserted: boolean): void; space(asserted: boolean): void } {
    const drive = (source: Source, asserted: boolean): void => {
      if (asserted) this.assert(object, source, true);
      else this.clear(object, source);
    };
    return {
      data: (asserted) => drive(SOURCE.first, asserted),
      space: (asserted) => drive(SOURCE.second, asserted),
    };
  }

  /** Asserts an interrupt source: an edge always, and the level `level`. Nothing happens while it is unbound. */
  assert(object: number, source: Source, level: boolean): void {
    const { objects } = this;
    const to = objects.boundTo(object, source);
    if (to === BOUND.nowhere) return;
    this.interruptsCaused++;
    const target = objects.boundTarget(object, source);
    if (to === BOUND.actor) this.#ring(target >>> 0);
    else this.#gic(bindingVic(target))?.assertSource(bindingVirq(target), level);
  }

  /** The source's line falls. */
  clear(object: number, source: Source): void {
    const { objects } = this;
    if (objects.boundTo(object, source) !== BOUND.interrupt) return;
    const target = objects.boundTarget(object, source);
    this.#gic(bindingVic(target))?.clearSource(bindingVirq(target));
  }

  #gic(vic: number): Gic | undefined {
    const generation = this.objects.generation(vic);
    const known = this.#gics.get(vic);
    if (known?.generation === generation) return known.gic;
    if (this.objects.type(vic) !== 'vic' || this.objects.state(vic) !== 'active') return undefined;
    const block = new VmBlock(this.#buffer, this.objects.aux(vic));
    const gic = new Gic(this.#buffer, this.objects.data(vic), waker(block, this.#ring));
    this.#gics.set(vic, { generation, gic });
    return gic;
  }
}
