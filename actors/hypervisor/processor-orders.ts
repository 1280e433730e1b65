/**
 * How the core has the host start and end the threads of processors that guests' hypercalls put together: only the main thread
 * can make workers that share the machine's memory. Orders go through a queue whose doorbell wakes the host; answers come back
 * through another, and ring the core. At most two orders of a processor are on their way.
 */
import { assert } from '../../bus/assert.js';
import { Codec } from '../../bus/codec/codec.js';
import { Doorbell, type DoorbellHandle } from '../../bus/doorbell/doorbell.js';
import { u32 } from '../../bus/layout/fields.js';
import { struct } from '../../bus/layout/struct.js';
import type { QueueHandle } from '../../bus/message-queue/queue-layout.js';
import { QueueReceiver } from '../../bus/message-queue/queue-receiver.js';
import { QueueSender } from '../../bus/message-queue/queue-sender.js';
import type { VpTicket } from './partition.protocol.js';

/** Processors that guests' hypercalls may have made at one time, of all VMs: each is a thread of the host. */
export const GUEST_MADE_PROCESSORS_MAX = 64;

/** What the host must know of a processor to start its thread. */
export interface ProcessorStart {
  readonly ticket: VpTicket;
  /** The partition whose hypercalls made it. */
  readonly owner: number;
  /** The VMID that its address space was given. */
  readonly vmid: number;
  /** Byte addresses of the object table and of its capability space, and its thread object. */
  readonly places: { readonly table: number; readonly space: number; readonly thread: number };
  /** MPIDR_EL1's affinity fields, a byte each. */
  readonly affinity: number;
}
/** An order; `order` numbers it for its answer. */
export type ProcessorOrder =
  | ({ readonly order: number; readonly kind: 'start' } & ProcessorStart)
  | { readonly order: number; readonly kind: 'end'; readonly partition: number; readonly index: number };

/** Answer to an order: the actor that runs the processor from here on, 0: none does. */
export const ProcessorAnswer = struct('ProcessorAnswer', 8, { order: u32(0), actor: u32(4) });
/** The shape of the queue of orders. */
export const PROCESSOR_ORDERS = {
  depth: GUEST_MADE_PROCESSORS_MAX * 2,
  messageBytesMax: 1024,
  mode: 'single',
} as const;
/** The shape of the queue of answers. */
export const PROCESSOR_ANSWERS = {
  depth: GUEST_MADE_PROCESSORS_MAX * 2,
  messageBytesMax: ProcessorAnswer.sizeBytes,
  mode: 'single',
} as const;
/** Where both meet. */
export interface ProcessorPlace {
  readonly orders: QueueHandle;
  readonly bell: DoorbellHandle;
  readonly answers: QueueHandle;
}

/** Who starts and ends threads of processors. */
export interface ProcessorHost {
  /** The actor that runs it; 0: there is none. */
  start(order: ProcessorStart): Promise<number>;
  /** Answered when its thread is gone. */
  end(partition: number, index: number): Promise<void>;
}

/** Owner id of the core's ends; the host's ends have another. */
const CORE_END = 1;

/** The core's side. */
export class ProcessorOrders implements ProcessorHost {
  readonly #orders: QueueSender;
  readonly #answers: QueueReceiver;
  readonly #bell: Doorbell;
  readonly #codec = new Codec({});
  readonly #waiting = new Map<number, (actor: number) => void>();
  #next = 1;

  constructor(place: ProcessorPlace) {
    const orders = QueueSender.attach(place.orders, { owner: CORE_END });
    const bell = Doorbell.attach(place.bell, { owner: CORE_END });
    const answers = QueueReceiver.attach(place.answers, { owner: CORE_END });
    assert(orders.ok && bell.ok && answers.ok, 'the host made its queues');
    this.#orders = orders.value;
    this.#answers = answers.value;
    this.#bell = bell.value;
  }

  #send(body: Omit<ProcessorStart, 'order'> & { kind: 'start' }): Promise<number>;
  #send(body: { kind: 'end'; partition: number; index: number }): Promise<number>;
  #send(body: object): Promise<number> {
    const order = this.#next++;
    assert(this.#codec.send(this.#orders, { ...body, order }).ok, 'there is room for every order there can be');
    const answered = new Promise<number>((resolve) => void this.#waiting.set(order, resolve));
    this.#bell.send(1);
    return answered;
  }

  start(order: ProcessorStart): Promise<number> {
    return this.#send({ kind: 'start', ...order });
  }
  async end(partition: number, index: number): Promise<void> {
    await this.#send({ kind: 'end', partition, index });
  }

  /** Somebody rang: takes the answers that have come. */
  rang(): void {
    for (let size = this.#answers.peek(); size >= 0; size = this.#answers.peek()) {
      const { bytes, offset } = this.#answers;
      const answer = ProcessorAnswer.read(new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), offset);
      this.#answers.release();
      assert(answer.ok, 'the host sends answers');
      const { order, actor } = answer.value;
      this.#waiting.get(order)?.(actor);
      this.#waiting.delete(order);
    }
  }
}
