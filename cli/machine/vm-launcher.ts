/**
 * Gives the processors of VMs that the resource manager makes their threads: only the main thread can start workers with the
 * machine's memory and the compiled interpreter. Orders come through a queue whose doorbell wakes us, answers go as messages.
 */
import { VP_REGISTER } from '../../actors/abi/hyperv/vp-register-names.js';
import type { CoreProtocol } from '../../actors/hypervisor/port.protocol.js';
import {
  type LauncherPlace,
  type LaunchOrder,
  ORDER_QUEUE,
  type ResourceManagerProtocol,
} from '../../actors/resource-manager/resource-manager.protocol.js';
import type { ActorRef } from '../../actors/runtime/protocol.js';
import type { ActorSystem } from '../../actors/runtime/system.js';
import { STOP, VmBlock } from '../../actors/shared-state/vm/vm-block.js';
import { vcpuKind } from '../../actors/vcpu/vcpu.actor.js';
import type { VcpuConfig, VcpuProtocol } from '../../actors/vcpu/vcpu.protocol.js';
import { assert } from '../../bus/assert.js';
import { Codec } from '../../bus/codec/codec.js';
import { createDoorbell, Doorbell } from '../../bus/doorbell/doorbell.js';
import type { KeepAlive } from '../../bus/doorbell/parking.js';
import { createQueue } from '../../bus/message-queue/queue-layout.js';
import { QueueReceiver } from '../../bus/message-queue/queue-receiver.js';

/** What every vCPU of a machine has in common. */
export type SharedVcpuConfig = Pick<VcpuConfig, 'memory' | 'interpreter' | 'gic' | 'jit' | 'epochMs'>;

const OWNER = 2;
const ASK = { timeoutMs: 10_000 } as const;

/** See the head of this file. */
export class VmLauncher {
  readonly place: LauncherPlace = { orders: createQueue(ORDER_QUEUE), bell: createDoorbell() };
  readonly #system: ActorSystem;
  readonly #core: ActorRef<CoreProtocol>;
  readonly #shared: SharedVcpuConfig;
  readonly #name: string;
  readonly #orders: QueueReceiver;
  readonly #bell: Doorbell;
  readonly #codec = new Codec({});
  readonly #threads = new Map<number, ActorRef<VcpuProtocol>[]>();
  readonly #blocks = new Map<number, VmBlock>();
  #closed = false;

  constructor(system: ActorSystem, core: ActorRef<CoreProtocol>, shared: SharedVcpuConfig, name: string) {
    this.#system = system;
    this.#core = core;
    this.#shared = shared;
    this.#name = name;
    const orders = QueueReceiver.attach(this.place.orders, { owner: OWNER });
    const bell = Doorbell.attach(this.place.bell, { owner: OWNER });
    assert(orders.ok && bell.ok, 'our own queue is whole');
    this.#orders = orders.value;
    this.#bell = bell.value;
  }

  /** Carries out orders until {@link close}; answers go to `manager`. */
  async serve(manager: ActorRef<ResourceManagerProtocol>, keepAlive: KeepAlive): Promise<void> {
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
        this.#system.sender.tell(manager, 'launched', { order: order.order, done });
      }
    }
  }

  async #launch(order: Extract<LaunchOrder, { kind: 'launch' }>): Promise<boolean> {
    const { partition, tickets, places, profile, registers } = order;
    const { sender } = this.#system;
    const threads: ActorRef<VcpuProtocol>[] = [];
    this.#threads.set(partition, threads);
    const [first] = tickets;
    assert(first !== undefined, 'a VM has a processor');
    this.#blocks.set(partition, new VmBlock(this.#shared.memory.buffer, first.block));
    for (const ticket of tickets) {
      const thread = places.threads[ticket.index] ?? 0;
      const gunyah = { profile, table: places.table, space: places.space, thread, core: this.#core.actor };
      const config = { ...this.#shared, ticket, gunyah, frontEnds: [] };
      const name = `${this.#name}-p${partition}-vcpu${ticket.index}`;
      const spawned = await this.#system.spawn(vcpuKind, config, { name });
      if (!spawned.ok) return false;
      threads.push(spawned.value);
      const { index } = ticket;
      const attached = await sender.ask(this.#core, 'attachVp', { partition, index, actor: spawned.value.actor }, ASK);
      if (!attached.ok) return false;
    }
    const values = new Uint8Array(registers.length * 16);
    const view = new DataView(values.buffer);
    for (const [n, { value }] of registers.entries()) view.setBigUint64(n * 16, BigInt(value), true);
    const names = registers.map(({ code }) => code);
    assert(names.includes(VP_REGISTER.pc), 'a boot processor has a place to start');
    const set = await sender.ask(this.#core, 'setVpRegisters', { partition, index: 0, names, values }, ASK);
    if (!set.ok) return false;
    for (const { index } of tickets) {
      const runs = await sender.ask(this.#core, 'runVp', { partition, index }, ASK);
      if (!runs.ok) return false;
    }
    return true;
  }

  /** A worker has died: true if it ran one of ours, whose VM has crashed then. */
  lost(worker: string): boolean {
    const found = /-p(\d+)-vcpu(\d+)$/.exec(worker);
    const block = this.#blocks.get(Number(found?.[1]));
    if (block === undefined) return false;
    block.setOutside(Number(found?.[2]), true); // it acknowledges nothing any more
    block.end(STOP.crash);
    return true;
  }

  async #end(partition: number): Promise<boolean> {
    const threads = this.#threads.get(partition) ?? [];
    this.#threads.delete(partition);
    this.#blocks.delete(partition);
    await Promise.all(threads.map((thread) => this.#system.stop(thread)));
    return true;
  }

  /** Ends everything that was launched, and the serving. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#bell.send(1);
    for (const partition of [...this.#threads.keys()]) {
      await this.#system.sender.ask(this.#core, 'finalizePartition', { partition }, ASK);
      await this.#end(partition);
      await this.#system.sender.ask(this.#core, 'deletePartition', { partition }, ASK);
    }
  }
}
