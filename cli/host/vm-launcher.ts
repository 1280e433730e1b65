/**
 * Gives the processors of VMs that the resource manager makes their threads: only the main thread can start workers with the
 * machine's memory and the compiled interpreter. Orders come through a queue whose doorbell wakes us, answers go as messages.
 */
import { VP_REGISTER } from '../../actors/abi/hyperv/vp-register-names.js';
import {
  ANSWER_QUEUE,
  type LauncherPlace,
  type LaunchOrder,
  ORDER_QUEUE,
  OrderAnswer,
  type ResourceManagerProtocol,
} from '../../actors/resource-manager/resource-manager.protocol.js';
import type { ActorRef } from '../../actors/runtime/protocol.js';
import { ProxiedRun, RUN_STATE } from '../../actors/shared-state/vm/proxied-run.js';
import { STOP, VmBlock } from '../../actors/shared-state/vm/vm-block.js';
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
import { processorOf, processorWorker } from './worker-names.js';

/** An order to start a VM. */
export type Launch = Extract<LaunchOrder, { kind: 'launch' }>;

/** Who gives a VM devices and threads in the launcher's place. */
export interface Outfitter {
  /** Undefined: the VM is none of its own. Whether the VM runs. */
  outfit(launch: Launch): Promise<boolean> | undefined;
  /** Answered when the threads of such a VM are gone; undefined: it was none. */
  strip(partition: number): Promise<void> | undefined;
}

/** Who wants to know of VMs that guests make. */
export interface LaunchWatcher {
  /** It runs; `block` is its shared block. */
  started(launch: Launch, block: VmBlock): void;
  /** Its threads are gone. */
  ended(partition: number): void;
}

/** Where the interrupt controller of a VM that a guest makes lies. */
const GIC_WINDOWS = {
  distributor: MEMORY_MAP.gicDistributor.base,
  redistributors: MEMORY_MAP.gicRedistributors.base,
};
const OWNER = 2;
const ASK = { timeoutMs: 10_000 } as const;

/** See the head of this file. */
export class VmLauncher {
  readonly place: LauncherPlace = {
    orders: createQueue(ORDER_QUEUE),
    bell: createDoorbell(),
    answers: createQueue(ANSWER_QUEUE),
  };
  readonly #host: HostParts;
  readonly #watcher: LaunchWatcher | undefined;
  readonly #outfitter: Outfitter | undefined;
  readonly #orders: QueueReceiver;
  readonly #answers: QueueSender;
  readonly #bell: Doorbell;
  readonly #codec = new Codec({});
  readonly #threads = new Map<number, ActorRef<VcpuProtocol>[]>();
  readonly #blocks = new Map<number, VmBlock>();
  #closed = false;

  constructor(host: HostParts, watcher: LaunchWatcher | undefined, outfitter: Outfitter | undefined) {
    this.#host = host;
    this.#watcher = watcher;
    this.#outfitter = outfitter;
    const orders = QueueReceiver.attach(this.place.orders, { owner: OWNER });
    const bell = Doorbell.attach(this.place.bell, { owner: OWNER });
    const answers = QueueSender.attach(this.place.answers, { owner: OWNER });
    assert(orders.ok && bell.ok && answers.ok, 'our own queues are whole');
    this.#answers = answers.value;
    this.#orders = orders.value;
    this.#bell = bell.value;
  }

  /** Carries out orders until {@link close}; answers go to `manager`. */
  async serve(manager: ActorRef<ResourceManagerProtocol>, keepAlive: KeepAlive): Promise<void> {
    const answer = new Uint8Array(OrderAnswer.sizeBytes);
    for (;;) {
      await this.#bell.waitAsync(keepAlive);
      this.#bell.receive(-1, -1);
      if (this.#closed) return;
      for (let size = this.#orders.peek(); size >= 0; size = this.#orders.peek()) {
        const read = this.#codec.decode(this.#orders, size);
        this.#orders.release();
        assert(read.ok, 'the resource manager sends orders');
        // WHY: the only sender is our own resource manager, compiled against the same type.
        const order = read.value as LaunchOrder;
        const done = order.kind === 'launch' ? await this.#launch(order) : await this.#end(order.partition);
        OrderAnswer.write(new DataView(answer.buffer), 0, { order: order.order, done: done ? 1 : 0 });
        const sent = this.#answers.send(answer);
        assert(sent.ok, 'there are no more answers than orders');
        this.#host.system.sender.ring(manager, 1);
      }
    }
  }

  async #launch(order: Launch): Promise<boolean> {
    const outfitted = this.#outfitter?.outfit(order);
    if (outfitted !== undefined) return outfitted;
    const { partition, tickets, places, profile, registers } = order;
    const { system, memory, core, options } = this.#host;
    const { interpreter, jit, callTap } = options;
    const { sender } = system;
    const threads: ActorRef<VcpuProtocol>[] = [];
    this.#threads.set(partition, threads);
    const [first] = tickets;
    assert(first !== undefined, 'a VM has a processor');
    const block = new VmBlock(memory.buffer, first.block);
    this.#blocks.set(partition, block);
    const epochMs = system.clock.monotonicMs();
    for (const ticket of tickets) {
      const thread = places.threads[ticket.index] ?? 0;
      const gunyah = { profile, table: places.table, space: places.space, thread, core: core.ref.actor };
      const shared = { memory, interpreter, jit, features, callTap, epochMs, gic: GIC_WINDOWS };
      const name = processorWorker(options.name, ticket);
      const spawned = await system.spawn(this.#host.kinds.vcpu, { ...shared, ticket, gunyah, frontEnds: [] }, { name });
      if (!spawned.ok) return false;
      threads.push(spawned.value);
      const { index } = ticket;
      const attached = await sender.ask(core.ref, 'attachVp', { partition, index, actor: spawned.value.actor }, ASK);
      if (!attached.ok) return false;
    }
    const values = new Uint8Array(registers.length * 16);
    const view = new DataView(values.buffer);
    for (const [n, { value }] of registers.entries()) view.setBigUint64(n * 16, BigInt(value), true);
    const names = registers.map(({ code }) => code);
    assert(names.includes(VP_REGISTER.pc), 'a boot processor has a place to start');
    const set = await sender.ask(core.ref, 'setVpRegisters', { partition, index: 0, names, values }, ASK);
    if (!set.ok) return false;
    for (const { index } of tickets) {
      const runs = await sender.ask(core.ref, 'runVp', { partition, index }, ASK);
      if (!runs.ok) return false;
    }
    this.#watcher?.started(order, block);
    return true;
  }

  /** A worker has died: true if it ran one of ours, whose VM has crashed then. */
  lost(worker: string): boolean {
    const found = processorOf(worker);
    const block = found && this.#blocks.get(found.partition);
    if (found === undefined || block === undefined) return false;
    const { index } = found;
    block.setOutside(index, true); // it acknowledges nothing any more
    block.end(STOP.crash);
    const run = new ProxiedRun(this.#host.memory.buffer, block, index);
    if (run.hasTurn) this.#host.system.sender.ring({ actor: run.park(RUN_STATE.fault, [0n, 0n, 0n]) }, 1);
    return true;
  }

  async #end(partition: number): Promise<boolean> {
    const stripped = this.#outfitter?.strip(partition);
    if (stripped !== undefined) {
      await stripped;
      return true;
    }
    const threads = this.#threads.get(partition) ?? [];
    this.#threads.delete(partition);
    this.#blocks.delete(partition);
    await Promise.all(threads.map((thread) => this.#host.system.stop(thread)));
    this.#watcher?.ended(partition);
    return true;
  }

  /** The processors of a VM that was launched. */
  threadsOf(partition: number): readonly ActorRef<VcpuProtocol>[] {
    return this.#threads.get(partition) ?? [];
  }

  /** Ends everything that was launched, and the serving. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#bell.send(1);
    for (const partition of [...this.#threads.keys()]) {
      await this.#host.core.tryAsk('finalizePartition', { partition });
      await this.#end(partition);
      await this.#host.core.tryAsk('deletePartition', { partition });
    }
  }
}
