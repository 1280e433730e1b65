/**
 * Starts and ends workers of processors that guests' hypercalls put together, by the core's orders
 * (actors/hypervisor/processor-orders.ts). Such a VM has no devices; its processors begin off. It is there from its first worker on
 * until it stops, or until its last worker is gone.
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
import { STOP, VmBlock } from '../../actors/shared-state/vm/vm-block.js';
import type { VcpuProtocol, VcpuStatistics } from '../../actors/vcpu/vcpu.protocol.js';
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
import { processorOf, processorWorker } from './worker-names.js';

/** Where the interrupt controller of such a VM lies: where every VM of this platform has it. */
const GIC_WINDOWS = {
  distributor: MEMORY_MAP.gicDistributor.base,
  redistributors: MEMORY_MAP.gicRedistributors.base,
};
const HOST_END = 2;
/** Orders come while a machine runs, whose end somebody waits for: a host alone keeps no process alive. */
const NO_HOLD: KeepAlive = { hold: () => undefined, release: () => undefined };
const ASK = { timeoutMs: 20_000 } as const;

/** A VM that a guest's hypercalls put together. */
export interface AssembledVm {
  readonly partition: number;
  /** The partition whose hypercalls made it. */
  readonly owner: number;
  readonly vmid: number;
  readonly block: VmBlock;
  /** Numbers of its processors. */
  processors(): readonly number[];
  statistics(): Promise<readonly VcpuStatistics[]>;
}
/** Who wants to know of them. */
export interface AssemblyWatcher {
  started(vm: AssembledVm): void;
  /** It has stopped, or its last worker is gone; its block is still there. */
  ended(partition: number): void;
}
interface Assembled extends AssembledVm {
  readonly workers: Map<number, ActorRef<VcpuProtocol>>;
  /** When its counter was zero. */
  readonly epochMs: number;
  /** Workers that are being started. */
  starting: number;
  isGone: boolean;
  /** Resolves when it has stopped or is gone; undefined: nobody was told of it yet. */
  over: Promise<void> | undefined;
}

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
  /** By partition. */
  readonly #vms = new Map<number, Assembled>();
  #watcher: AssemblyWatcher | undefined;
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

  /** Tells `watcher` of VMs from here on. */
  watch(watcher: AssemblyWatcher): void {
    this.#watcher = watcher;
  }

  #vmOf({ ticket, owner, vmid }: ProcessorStart): Assembled {
    const { system, memory } = this.#host;
    const { partition, block } = ticket;
    const known = this.#vms.get(partition);
    if (known !== undefined) return known;
    const workers = new Map<number, ActorRef<VcpuProtocol>>();
    const made: Assembled = {
      ...{ partition, owner, vmid, workers, starting: 0, isGone: false, over: undefined },
      block: new VmBlock(memory.buffer, block),
      epochMs: system.clock.monotonicMs(),
      processors: () => [...workers.keys()],
      statistics: async () => {
        const asked = [...workers.values()].map((worker) => system.sender.ask(worker, 'statistics', {}, ASK));
        return (await Promise.all(asked)).flatMap((answer) => (answer.ok ? [answer.value] : []));
      },
    };
    this.#vms.set(partition, made);
    return made;
  }

  async #start(order: ProcessorStart): Promise<number> {
    const { ticket, owner, places, affinity } = order;
    const { system, memory, core, options, kinds } = this.#host;
    const { interpreter, jit, callTap } = options;
    const profile = this.#profiles.get(owner);
    if (profile === undefined || this.#closed) return 0;
    const vm = this.#vmOf(order);
    const { epochMs } = vm;
    const gunyah = { profile, ...places, core: core.ref.actor };
    const shared = { memory, interpreter, jit, features, callTap, epochMs, gic: GIC_WINDOWS, affinity };
    vm.starting++;
    const name = processorWorker(options.name, ticket);
    const spawned = await system.spawn(kinds.vcpu, { ...shared, ticket, gunyah, frontEnds: [] }, { name });
    vm.starting--;
    if (!spawned.ok) {
      await this.#settle(vm);
      return 0;
    }
    vm.workers.set(ticket.index, spawned.value);
    vm.over ??= this.#follow(vm);
    return spawned.value.actor;
  }

  /** Tells of a VM, and of its end. */
  async #follow(vm: Assembled): Promise<void> {
    this.#watcher?.started(vm);
    await vm.block.stopped.parkAsync(() => vm.isGone || vm.block.stop !== STOP.none, NO_HOLD);
    this.#watcher?.ended(vm.partition);
  }

  /** A VM without workers is gone: nobody looks at its block any more when this is answered. */
  async #settle(vm: Assembled): Promise<void> {
    if (vm.workers.size > 0 || vm.starting > 0) return;
    this.#vms.delete(vm.partition);
    vm.isGone = true;
    vm.block.stopped.unpark();
    await vm.over;
  }

  async #end(partition: number, index: number): Promise<number> {
    const vm = this.#vms.get(partition);
    const worker = vm?.workers.get(index);
    if (vm === undefined || worker === undefined) return 0;
    await this.#host.system.stop(worker);
    vm.workers.delete(index);
    await this.#settle(vm);
    return 0;
  }

  /** A worker has died: true if it ran one of these processors, whose VM has crashed then; nobody else has. */
  lost(worker: string): boolean {
    const found = processorOf(worker);
    if (found === undefined || this.#vms.get(found.partition)?.workers.has(found.index) !== true) return false;
    void this.#host.core.tryAsk('lostProcessor', found);
    return true;
  }

  /** Ends every worker, and the serving. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#bell.send(1);
    await this.#serving;
    for (const vm of [...this.#vms.values()]) {
      await Promise.all(vm.processors().map((index) => this.#end(vm.partition, index)));
    }
  }
}
