/**
 * Starts and ends workers of processors that guests' hypercalls put together, by the core's orders
 * (actors/hypervisor/processor-orders.ts). Such a VM has no devices; its processors begin off.
 */
import type { Profile } from '../../actors/abi/gunyah/identity.js';
import {
  PROCESSOR_ANSWERS,
  PROCESSOR_ORDERS,
  ProcessorAnswer,
  type ProcessorOrder,
  type ProcessorPlace,
  type ProcessorStart,
} from '../../actors/hypervisor/processor-orders.js';
import type { ActorRef } from '../../actors/runtime/protocol.js';
import type { VcpuProtocol } from '../../actors/vcpu/vcpu.protocol.js';
import { assert } from '../../bus/assert.js';
import { Codec } from '../../bus/codec/codec.js';
import { createDoorbell, Doorbell } from '../../bus/doorbell/doorbell.js';
import type { KeepAlive } from '../../bus/doorbell/parking.js';
import { createQueue } from '../../bus/message-queue/queue-layout.js';
import { QueueReceiver } from '../../bus/message-queue/queue-receiver.js';
import { QueueSender } from '../../bus/message-queue/queue-sender.js';
import { features } from '../../cpu/wasm/features.js';
import { MEMORY_MAP } from '../../devices/machine/memory-map.js';
import type { HostParts } from './host-parts.js';

/** Where the interrupt controller of such a VM lies: where every VM of this platform has it. */
const GIC_WINDOWS = {
  distributor: MEMORY_MAP.gicDistributor.base,
  redistributors: MEMORY_MAP.gicRedistributors.base,
};
const HOST_END = 2;
/** Orders come while a machine runs, whose end somebody waits for: a host alone keeps no process alive. */
const NO_HOLD: KeepAlive = { hold: () => undefined, release: () => undefined };

/** The queues between the core and its host. */
export function processorPlace(): ProcessorPlace {
  return {
    orders: createQueue(PROCESSOR_ORDERS),
    bell: createDoorbell(),
    answers: createQueue(PROCESSOR_ANSWERS),
  };
}

/** See the head of this file. */
export class ProcessorLauncher {
  readonly #host: HostParts;
  readonly #orders: QueueReceiver;
  readonly #answers: QueueSender;
  readonly #bell: Doorbell;
  readonly #codec = new Codec({});
  /** By worker. */
  readonly #threads = new Map<string, ActorRef<VcpuProtocol>>();
  /** When the counter of each partition was zero, while it has workers. */
  readonly #epochs = new Map<number, number>();
  /** ABI of the VMs that make others, by partition. */
  readonly #profiles = new Map<number, Profile>();
  readonly #serving: Promise<void>;
  #closed = false;

  constructor(host: HostParts, place: ProcessorPlace) {
    this.#host = host;
    const orders = QueueReceiver.attach(place.orders, { owner: HOST_END });
    const bell = Doorbell.attach(place.bell, { owner: HOST_END });
    const answers = QueueSender.attach(place.answers, { owner: HOST_END });
    assert(orders.ok && bell.ok && answers.ok, 'our own queues are whole');
    this.#orders = orders.value;
    this.#answers = answers.value;
    this.#bell = bell.value;
    this.#serving = this.#serve();
  }

  /** What partition `partition` makes speaks the ABI that it speaks itself. */
  setProfile(partition: number, profile: Profile): void {
    this.#profiles.set(partition, profile);
  }

  async #serve(): Promise<void> {
    while (!this.#closed) {
      await this.#bell.waitAsync(NO_HOLD);
      this.#bell.receive(-1, -1);
      for (let size = this.#orders.peek(); size >= 0; size = this.#orders.peek()) {
        const read = this.#codec.decode(this.#orders, size);
        this.#orders.release();
        assert(read.ok, 'the core sends orders');
        // WHY: the only sender is our own core, compiled against the same type.
        void this.#carryOut(read.value as ProcessorOrder);
      }
    }
  }

  async #carryOut(order: ProcessorOrder): Promise<void> {
    const actor = order.kind === 'start' ? await this.#start(order) : await this.#end(order.partition, order.index);
    const bytes = new Uint8Array(ProcessorAnswer.sizeBytes);
    ProcessorAnswer.write(new DataView(bytes.buffer), 0, { order: order.order, actor });
    assert(this.#answers.send(bytes).ok, 'there are no more answers than orders');
    this.#host.system.sender.ring(this.#host.core.ref, 1);
  }

  #name(partition: number, index: number): string {
    return `${this.#host.options.name}-p${partition}-vcpu${index}`;
  }

  async #start({ ticket, owner, places, affinity }: ProcessorStart): Promise<number> {
    const { system, memory, core, options, kinds } = this.#host;
    const { interpreter, jit, callTap } = options;
    const { partition, index } = ticket;
    const profile = this.#profiles.get(owner);
    if (profile === undefined || this.#closed) return 0;
    const epochMs = this.#epochs.get(partition) ?? system.clock.monotonicMs();
    this.#epochs.set(partition, epochMs);
    const gunyah = { profile, ...places, core: core.ref.actor };
    const shared = { memory, interpreter, jit, features, callTap, epochMs, gic: GIC_WINDOWS, affinity };
    const name = this.#name(partition, index);
    const spawned = await system.spawn(kinds.vcpu, { ...shared, ticket, gunyah, frontEnds: [] }, { name });
    if (!spawned.ok) return 0;
    this.#threads.set(name, spawned.value);
    return spawned.value.actor;
  }

  async #end(partition: number, index: number): Promise<number> {
    const name = this.#name(partition, index);
    const thread = this.#threads.get(name);
    if (thread !== undefined) await this.#host.system.stop(thread);
    this.#threads.delete(name);
    const others = [...this.#threads.keys()].some((other) => other.startsWith(this.#name(partition, 0).slice(0, -1)));
    if (!others) this.#epochs.delete(partition);
    return 0;
  }

  /** A worker has died: true if it ran one of these processors, whose VM has crashed then; nobody else has. */
  lost(worker: string): boolean {
    const found = /-p(\d+)-vcpu(\d+)$/.exec(worker);
    if (found === null || !this.#threads.has(worker)) return false;
    void this.#host.core.tryAsk('lostProcessor', { partition: Number(found[1]), index: Number(found[2]) });
    return true;
  }

  /** Ends every worker, and the serving. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#bell.send(1);
    await this.#serving;
    await Promise.all([...this.#threads.values()].map((thread) => this.#host.system.stop(thread)));
    this.#threads.clear();
  }
}
