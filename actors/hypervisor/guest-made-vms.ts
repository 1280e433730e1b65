/**
 * VMs that guests put together by hypercalls (gunyah.md 2.1, 2.7, 2.9). An address space that becomes active is a partition: a
 * stage-2 map, and a block and an interrupt controller of its own until a thread brings the vic it is attached to. A thread that
 * becomes active is a processor of that partition, and the host starts a worker for it. What ends goes in the opposite order: the
 * worker, then what its thread held, then the partition; frames return to their homes meanwhile (extents.ts).
 *
 * All processors of an address space are at one vic, or at none, and no two address spaces share one: they are one VM to each other.
 */
import { assert } from '../../bus/assert.js';
import { err, ok, type Result } from '../../bus/result.js';
import { SOURCE } from '../shared-state/objects/object-table.js';
import { ProxiedRun, RUN_STATE } from '../shared-state/vm/proxied-run.js';
import { STOP, VM_CPUS_MAX, VmBlock } from '../shared-state/vm/vm-block.js';
import { Watchdog } from '../shared-state/vm/watchdog.js';
import type { Extents } from './extents.js';
import type { KernelObjects, Machines } from './kernel-objects.js';
import type { ObjectFault } from './objects.protocol.js';
import type { Controller, Partition } from './partition.js';
import { GUEST_MADE_PROCESSORS_MAX, type ProcessorHost } from './processor-orders.js';

/** Bytes of a processor's record arena: as a small VM's. */
const ARENA_BYTES = 4 << 20;

/** An address space that guests made. */
interface Space {
  readonly partition: Partition;
  readonly addrspace: number;
  readonly owner: number;
  /** Capability space of threads without one: it has no slots. */
  readonly emptySpace: number;
  /** The address space itself still lives. */
  isOpen: boolean;
  /** Vic, power group and watchdog of the processors; 0: none. */
  vic: number;
  group: number;
  watchdog: number;
  readonly processors: Map<number, Processor>;
}
/** A processor of it, from the activation of its thread until its worker is gone. */
interface Processor {
  readonly space: Space;
  readonly thread: number;
  readonly index: number;
  /** Capability space object; 0: none. */
  readonly cspace: number;
  /** Resolves when the host has started its worker, or has not. */
  started: Promise<number>;
}

/** What the core lends these VMs. */
export interface GuestMadeParts {
  readonly memory: ArrayBufferLike;
  readonly kernel: KernelObjects;
  readonly extents: Pick<Extents, 'forget' | 'publishRanges'>;
  readonly host: ProcessorHost;
  readonly ring: (actor: number) => void;
  /** A partition with a number of its own among those that live; undefined: there are too many. */
  newPartition(): Partition | undefined;
  /** It is not one of those that live any more. */
  dropPartition(partition: number): void;
  /** Bytes of a processor's private area, which is what those of partition `owner` have. */
  areaBytes(owner: number): number;
  /** A thread no longer takes its share of the host's processors. */
  leave(thread: number): void;
  /** Something has ended: frames wait to be given back. */
  ended(): void;
}

/** See the head of this file. */
export class GuestMadeVms implements Machines {
  readonly #parts: GuestMadeParts;
  readonly #spaces = new Map<number, Space>();
  readonly #processors = new Map<number, Processor>();
  /** Processors whose threads have ended and whose workers have not. */
  readonly #ending = new Set<Promise<void>>();
  /** Partitions that nobody finds any more. */
  #dead: Partition[] = [];

  constructor(parts: GuestMadeParts) {
    this.#parts = parts;
    parts.kernel.setMachines(this);
  }

  // ---- address spaces ----

  openSpace(addrspace: number, owner: number): boolean {
    const { newPartition, dropPartition, areaBytes, kernel } = this.#parts;
    const partition = newPartition();
    if (partition === undefined) return false;
    partition.setProperty('processorCount', VM_CPUS_MAX);
    partition.setProperty('processorAreaBytes', areaBytes(owner));
    partition.setProperty('processorArenaBytes', ARENA_BYTES);
    const parts = partition.initialize();
    const emptySpace = parts.ok ? partition.takePage() : undefined;
    if (!parts.ok || emptySpace === undefined) {
      partition.free();
      dropPartition(partition.number);
      return false;
    }
    const none = { isOpen: true, vic: 0, group: 0, watchdog: 0, processors: new Map() };
    this.#spaces.set(addrspace, { partition, addrspace, owner, emptySpace, ...none });
    kernel.table.setData(addrspace, parts.value.block.at, partition.number);
    return true;
  }

  closeSpace(addrspace: number): void {
    const space = this.#spaces.get(addrspace);
    if (space === undefined) return;
    this.#spaces.delete(addrspace);
    space.isOpen = false;
    if (space.processors.size === 0) this.#bury(space);
  }

  #bury({ partition }: Space): void {
    const { extents, dropPartition, ended } = this.#parts;
    const gone = extents.forget(partition).then((isDone) => {
      assert(isDone, 'a partition without processors acknowledges at once');
      dropPartition(partition.number);
      this.#dead.push(partition);
      this.#ending.delete(gone);
      ended();
    });
    this.#ending.add(gone);
  }

  /** Whether `addrspace` is one of these and has no processors. */
  isFree(addrspace: number): boolean {
    return this.#spaces.get(addrspace)?.processors.size === 0;
  }

  // ---- threads ----

  /** Whether thread `thread` has or had a processor here, until its worker is gone. */
  has(thread: number): boolean {
    return this.#processors.has(thread);
  }
  /** The threads of the VM that `thread` belongs to; undefined: it is none of these. */
  threadsOf(thread: number): readonly number[] | undefined {
    const space = this.#processors.get(thread)?.space;
    return space && [...space.processors.values()].map((processor) => processor.thread);
  }
  /** Processor `index` of partition `partition`; undefined: that is none of these. */
  #at(partition: number, index: number): Processor | undefined {
    return [...this.#processors.values()].find(
      (one) => one.space.partition.number === partition && one.index === index,
    );
  }
  /** Its capability space; undefined: that is none of these. */
  cspaceOf(partition: number, index: number): number | undefined {
    return this.#at(partition, index)?.cspace;
  }

  /** The vic whose controller `space` is to work with, or why it cannot. */
  #controllerOf(space: Space, vic: number): Result<Controller | undefined, ObjectFault> {
    if (space.processors.size > 0) return space.vic === vic ? ok(undefined) : err('denied');
    const shown = this.#parts.kernel.controllers.vicIn(space.addrspace);
    if (shown !== 0 && shown !== vic) return err('denied');
    if (vic === 0) return ok(undefined);
    const own = this.#parts.kernel.ownController(vic);
    const isShared = [...this.#processors.values()].some((other) => other.space.vic === vic);
    if (own === undefined || isShared) return err('denied');
    return ok({ gic: own.gic, gicAt: own.gicAt, block: new VmBlock(this.#parts.memory, own.blockAt) });
  }

  /**
   * Gives a thread that has just become active its processor. `none`: its address space is that of a VM which no hypercalls made.
   * The worker is started by {@link start}.
   */
  place(thread: number): Result<'placed' | 'none', ObjectFault> {
    const { kernel, extents } = this.#parts;
    const { table } = kernel;
    const addrspace = kernel.attachment(thread, 'addrspace')?.object ?? 0;
    const space = this.#spaces.get(addrspace);
    if (space === undefined) return ok('none');
    const vic = kernel.attachment(thread, 'vic');
    const [group, dog] = [kernel.attachment(thread, 'powerGroup'), kernel.attachment(thread, 'watchdog')];
    if (this.#processors.size >= GUEST_MADE_PROCESSORS_MAX) return err('noResource');
    const controller = this.#controllerOf(space, vic?.object ?? 0);
    if (!controller.ok) return controller;
    if (space.group !== 0 && group !== undefined && space.group !== group.object) return err('denied');
    const index = (vic ?? group)?.index ?? freeIndex(space);
    if (index === undefined || space.processors.has(index)) return err('busy');
    const { partition } = space;
    if (space.processors.size === 0) {
      partition.useController(controller.value);
      this.#formatBlock(space, vic?.object ?? 0);
      extents.publishRanges(addrspace);
      kernel.controllers.publish(addrspace, vic?.object ?? 0);
    }
    const block = partition.parts?.block;
    const made = partition.createVp(index);
    if (block === undefined || !made.ok) {
      if (space.processors.size === 0) this.#dissolve(space);
      return err('noMemory');
    }
    table.setData(thread, block.at, index);
    if (group !== undefined && space.group === 0) {
      space.group = group.object;
      table.setData(group.object, block.at, partition.number);
    }
    if (dog !== undefined && space.watchdog === 0 && kernel.giveWatchdog(dog.object, block.at))
      space.watchdog = dog.object;
    const cspace = kernel.attachment(thread, 'cspace')?.object ?? 0;
    const processor = { space, thread, index, cspace, started: Promise.resolve(0) };
    space.processors.set(index, processor);
    this.#processors.set(thread, processor);
    return ok('placed');
  }

  /** The block as of a VM that has not run. */
  #formatBlock(space: Space, vic: number): void {
    const { kernel } = this.#parts;
    const parts = space.partition.parts;
    assert(parts !== undefined, 'an address space has its parts');
    space.vic = vic;
    parts.block.format(parts.gic.cpus);
    kernel.table.setData(space.addrspace, parts.block.at, space.partition.number);
  }

  /** Has the host start the worker of a placed thread; on failure the thread is as before {@link place}. */
  async start(thread: number): Promise<Result<undefined, ObjectFault>> {
    const { kernel, host } = this.#parts;
    const { table } = kernel;
    const processor = this.#processors.get(thread);
    assert(processor !== undefined, 'the thread was placed');
    const { space, index, cspace } = processor;
    const { partition, owner } = space;
    const ticket = partition.ticket(index);
    const parts = partition.parts;
    assert(ticket !== undefined && parts !== undefined, 'a placed thread has a processor');
    const life = table.generation(thread);
    const where = { table: kernel.tableAt, space: cspace === 0 ? space.emptySpace : table.data(cspace), thread };
    const affinity = parts.gic.cpuWord(index, 'affinity');
    const config = kernel.config(space.addrspace);
    const vmid = config?.is === 'addrspace' ? config.vmid : 0;
    processor.started = host.start({ ticket, owner, vmid, places: where, affinity });
    const actor = await processor.started;
    // Its thread may have ended meanwhile; then endThread does the rest.
    if (table.generation(thread) !== life) return err('badState');
    if (actor === 0) {
      this.#leave(processor);
      table.setData(thread, 0);
      return err('noResource');
    }
    parts.block.bindActor(index, actor);
    if (parts.block.poke(index)) this.#parts.ring(actor); // it may have been powered on already
    return ok();
  }

  endThread(thread: number, release: () => void): boolean {
    const processor = this.#processors.get(thread);
    if (processor === undefined) return false;
    const { partition } = processor.space;
    const { block } = partition.parts ?? {};
    if (block?.poke(processor.index) === true) this.#parts.ring(block.actorOf(processor.index));
    const gone = processor.started.then(async (actor) => {
      if (actor !== 0) await this.#parts.host.end(partition.number, processor.index);
      this.#leave(processor);
      this.#ending.delete(gone);
      release();
      this.#parts.ended();
    });
    this.#ending.add(gone);
    return true;
  }

  /** The worker of a processor is gone. */
  #leave(processor: Processor): void {
    const { space, thread, index } = processor;
    this.#parts.leave(thread);
    this.#processors.delete(thread);
    space.processors.delete(index);
    const block = space.partition.parts?.block;
    block?.powerOff(index);
    block?.bindActor(index, 0);
    block?.setOutside(index, true);
    block?.setSleeping(index, false);
    space.partition.destroyVp(index);
    if (space.processors.size > 0) return;
    this.#dissolve(space);
    if (!space.isOpen) this.#bury(space);
  }

  /** The last processor is gone: vic, power group and watchdog are nobody's again. */
  #dissolve(space: Space): void {
    const { kernel, extents } = this.#parts;
    const { table } = kernel;
    const at = space.partition.parts?.block.at ?? 0;
    if (space.group !== 0 && table.data(space.group) === at) table.setData(space.group, 0);
    if (space.watchdog !== 0 && table.data(space.watchdog) === at) {
      new Watchdog(this.#parts.memory, { at }, () => 0).attach(0);
      table.setData(space.watchdog, 0);
    }
    space.vic = space.group = space.watchdog = 0;
    space.partition.useController(undefined);
    if (!space.isOpen) return;
    table.setData(space.addrspace, space.partition.parts?.block.at ?? 0, space.partition.number);
    extents.publishRanges(space.addrspace);
  }

  // ---- ends from outside ----

  /** The worker of a processor has died: its VM has crashed. Whoever listens to its threads' ends is told. */
  lost(partition: number, index: number): void {
    const processor = this.#at(partition, index);
    const { block, wake } = processor?.space.partition.parts ?? {};
    if (processor === undefined || block === undefined) return;
    block.setOutside(index, true); // it acknowledges nothing any more
    block.end(STOP.crash);
    const run = new ProxiedRun(this.#parts.memory, block, index);
    if (run.hasTurn) this.#parts.ring(run.park(RUN_STATE.fault, [0n, 0n, 0n]));
    for (const other of processor.space.processors.values()) {
      this.#parts.kernel.ports.assert(other.thread, SOURCE.first, true);
      wake?.(other.index);
    }
  }

  /** Stops every VM that partition `owner` made: it has stopped itself. */
  stopOwnedBy(owner: number): void {
    for (const { space, index } of this.#processors.values()) {
      if (space.owner !== owner) continue;
      space.partition.parts?.block.end(STOP.requested);
      space.partition.parts?.wake(index);
    }
  }

  // ---- what waits ----

  /** Whether workers are on their way out: until they are gone nothing that they may use is given back. */
  get isEnding(): boolean {
    return this.#ending.size > 0;
  }
  /** Resolves when no worker is on its way out. */
  async settled(): Promise<void> {
    while (this.#ending.size > 0) await Promise.all(this.#ending);
  }
  /** Whether partitions wait for {@link giveBack}. */
  get hasDead(): boolean {
    return this.#dead.length > 0;
  }
  /** As KernelObjects.takeRetired. */
  takeDead(): readonly Partition[] {
    return this.#dead.splice(0);
  }
  /** As KernelObjects.giveBack. */
  giveBack(dead: readonly Partition[], isUnused: boolean): void {
    if (!isUnused) this.#dead = [...dead, ...this.#dead];
    else for (const partition of dead) partition.free();
  }
}

function freeIndex(space: Space): number | undefined {
  for (let index = 0; index < VM_CPUS_MAX; index++) if (!space.processors.has(index)) return index;
  return undefined;
}
