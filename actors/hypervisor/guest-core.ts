/**
 * The core as guests' slow hypercalls reach it, and the objects each partition has from the start: capability space,
 * interrupt controller, address space, power group, a thread per processor. Knows no ABI.
 */
import { err, ok, type Result } from '../../bus/result.js';
import { HYP_PAGE_BYTES } from '../../bus/units.js';
import type { CoreMemory, CoreProcessors, GunyahCore } from '../abi/gunyah/core.js';
import type { ObjectType } from '../shared-state/objects/object-table.js';
import { AFFINITY } from '../shared-state/scheduler/run-tokens.js';
import { POWER, STOP, VM_CPUS_MAX, VmBlock } from '../shared-state/vm/vm-block.js';
import { Assembly } from './assembly.js';
import type { GuestMadeVms } from './guest-made-vms.js';
import type { KernelObjects } from './kernel-objects.js';
import type { ObjectFault } from './objects.protocol.js';
import type { Partition } from './partition.js';
import type { PartitionFault } from './partition.protocol.js';
import type { PartitionObjects } from './port.protocol.js';

/** What a vCPU was told about scheduling, by thread object. */
interface Schedule {
  affinity: number;
  priority: number;
  timesliceNs: bigint;
  options: bigint;
}

const NO_PROCESSOR = 0xffff;
/** Register sets of vcpu_register_write: first HV_REGISTER_NAME code and how many (X, PC, SP_EL0 and SP_EL1). */
const REGISTER_SETS: readonly (readonly [number, number])[] = [
  [0x20000, 31],
  [0x20022, 1],
  [0x20020, 2],
];
const SET_PC = 1;
/** Sets a register of the processor that actor `actor` runs; false when it refuses or does not answer. */
export type SetRegister = (actor: number, code: number, value: bigint) => Promise<boolean>;
const SCHEDULE_DEFAULT: Schedule = { affinity: AFFINITY.any, priority: 32, timesliceNs: 5_000_000n, options: 0n };

/** See the head of this file. */
export class GuestCore implements GunyahCore {
  readonly objects: KernelObjects;
  readonly assembly: Assembly;
  readonly processors: CoreProcessors;
  readonly memory: CoreMemory;
  readonly #memory: ArrayBufferLike;
  readonly #ring: (actor: number) => void;
  readonly #setRegister: SetRegister;
  readonly #nowMs: () => number;
  /** Absent where nobody starts workers for what guests make. */
  readonly #vms: GuestMadeVms | undefined;
  readonly #given = new Map<number, PartitionObjects>();
  readonly #schedules = new Map<number, Schedule>();

  constructor(
    kernel: KernelObjects,
    memory: ArrayBufferLike,
    ring: (actor: number) => void,
    extents: CoreMemory,
    setRegister: SetRegister,
    nowMs: () => number = () => 0,
    vms?: GuestMadeVms,
  ) {
    this.#nowMs = nowMs;
    this.#vms = vms;
    this.#setRegister = setRegister;
    this.objects = kernel;
    this.assembly = new Assembly(kernel, extents, nowMs, (addrspace) => vms?.isFree(addrspace) ?? false);
    this.memory = extents;
    this.#memory = memory;
    this.#ring = ring;
    this.processors = this.#processors();
  }

  /** The objects `partition` was given, or undefined. */
  of(partition: number): PartitionObjects | undefined {
    return this.#given.get(partition);
  }

  /** The capability space that a processor's slow calls name; undefined: there is no such processor. */
  spaceOf(partition: number, index: number): number | undefined {
    return this.#given.get(partition)?.cspace ?? this.#vms?.cspaceOf(partition, index);
  }

  /** The object may be used from here on: a thread that hypercalls put together then has a worker, if it has all a processor needs. */
  async activate(object: number): Promise<Result<undefined, ObjectFault>> {
    const { objects: kernel } = this;
    const { table } = kernel;
    const info = this.#infoPage(object);
    const active = info.ok ? kernel.activate(object) : info;
    // There is nothing that we tell a VM in its information area.
    if (active.ok && info.ok && info.value !== 0) new Uint8Array(this.#memory, info.value, HYP_PAGE_BYTES).fill(0);
    if (!active.ok || table.type(object) !== 'thread' || this.#vms === undefined) return active;
    const life = table.generation(object);
    const placed = this.#vms.place(object);
    if (placed.ok && placed.value === 'none') return ok();
    if (placed.ok) {
      table.setRunEntry(object, kernel.tokens.add());
      this.schedule(object, {});
    }
    const started = placed.ok ? await this.#vms.start(object) : placed;
    if (!started.ok && table.generation(object) === life) table.setState(object, 'init');
    return started;
  }

  /** Where the information area lies of an address space that is to become active; 0: it has none. */
  #infoPage(object: number): Result<number, ObjectFault> {
    const { table } = this.objects;
    const config = table.state(object) === 'init' ? this.objects.config(object) : undefined;
    if (config?.is !== 'addrspace' || config.info === undefined) return ok(0);
    const { extent, generation } = config.info;
    const page = table.generation(extent) === generation ? this.memory.attachInfoPage(extent) : undefined;
    return page?.ok === true ? page : err('badConfig');
  }

  /** Gives an initialised partition its objects; before its processors run. */
  adopt(partition: Partition, slots: number): Result<PartitionObjects, PartitionFault | ObjectFault> {
    const { parts } = partition;
    if (parts === undefined || this.#given.has(partition.number)) return err('badState');
    const { objects: kernel } = this;
    const made: number[] = [];
    const make = (type: ObjectType): number => {
      const object = kernel.create(type, partition.number);
      if (object.ok) made.push(object.value);
      return object.ok ? object.value : 0;
    };
    const cspace = make('cspace');
    const [vic, addrspace, powerGroup] = [make('vic'), make('addrspace'), make('powerGroup')];
    const threads = Array.from({ length: parts.block.cpus }, () => make('thread'));
    const configured = made.length === 4 + threads.length ? kernel.configureSpace(cspace, slots) : err('noMemory');
    const active = configured.ok ? kernel.activate(cspace) : configured;
    if (!active.ok) {
      for (const object of made) kernel.destroy(object);
      kernel.releaseRetired(); // nobody has seen them
      return active;
    }
    kernel.attachController(vic, parts.gic, parts.gicAt, parts.block.at);
    for (const object of [addrspace, powerGroup]) {
      kernel.table.setData(object, parts.block.at, partition.number);
      kernel.table.setState(object, 'active');
    }
    threads.forEach((thread, index) => {
      kernel.table.setData(thread, parts.block.at, index);
      kernel.table.setRunEntry(thread, kernel.tokens.add());
      kernel.table.setState(thread, 'active');
    });
    const given = { cspace, vic, addrspace, powerGroup, threads };
    this.#given.set(partition.number, given);
    return ok(given);
  }

  /** Ends everything a partition paid for. Frames come back with KernelObjects.releaseRetired. */
  forget(partition: number): void {
    this.#given.delete(partition);
    for (const object of this.objects.ownedBy(partition)) {
      this.#schedules.delete(object);
      if (this.#vms?.has(object) !== true) this.leaveTokens(object);
      this.objects.destroy(object);
    }
  }

  /** A thread that has ended, or died, holds its run token no longer. */
  leaveTokens(object: number): void {
    const { table, tokens } = this.objects;
    const entry = table.type(object) === 'thread' ? table.runEntry(object) : -1;
    if (entry < 0) return;
    table.setRunEntry(object, -1);
    const next = tokens.remove(entry, Math.floor(this.#nowMs() * 1000) | 0);
    if (next !== 0) this.#ring(next);
  }

  /** The partition's life is over: none of its threads keeps others waiting. */
  stopScheduling(partition: number): void {
    for (const thread of this.#given.get(partition)?.threads ?? []) this.leaveTokens(thread);
    this.#vms?.stopOwnedBy(partition);
  }

  /** What a processor is told about scheduling by its VM's owner; what is absent stays. */
  schedule(thread: number, change: Partial<Pick<Schedule, 'priority' | 'affinity' | 'timesliceNs'>>): void {
    const known = this.#schedules.get(thread) ?? { ...SCHEDULE_DEFAULT };
    this.#schedules.set(thread, Object.assign(known, change));
    const entry = this.objects.table.runEntry(thread);
    if (entry < 0) return;
    this.objects.tokens.configure(entry, known.priority, Number(known.timesliceNs / 1000n), known.affinity);
  }

  #processors(): CoreProcessors {
    const { objects: kernel } = this;
    const { table } = kernel;
    const schedule = (thread: number): Schedule => {
      const known = this.#schedules.get(thread);
      if (known !== undefined) return known;
      const fresh = { ...SCHEDULE_DEFAULT };
      this.#schedules.set(thread, fresh);
      return fresh;
    };
    const inInit = (thread: number, change: (of: Schedule) => void): Result<undefined, ObjectFault> => {
      if (table.state(thread) !== 'init') return err('badState');
      change(schedule(thread));
      return ok();
    };
    return {
      kill: (thread) => {
        if (table.state(thread) !== 'active') return err('badState');
        table.setState(thread, 'failed');
        if (table.data(thread) === 0) return ok(); // no processor of the host runs it
        const block = new VmBlock(this.#memory, table.data(thread));
        const threads = this.#vms?.threadsOf(thread) ?? this.#given.get(table.owner(thread))?.threads;
        if (threads?.some((other) => table.state(other) === 'active') !== true) block.end(STOP.requested);
        if (block.poke(table.aux(thread))) this.#ring(block.actorOf(table.aux(thread)));
        return ok();
      },
      setAffinity: (thread, cpu) => {
        if (cpu >= VM_CPUS_MAX && cpu !== NO_PROCESSOR) return err('badArgument');
        const state = table.state(thread);
        if (state !== 'init' && state !== 'active') return err('badState');
        this.schedule(thread, { affinity: cpu });
        return ok();
      },
      setPriority: (thread, priority) => inInit(thread, (of) => void (of.priority = priority)),
      setTimeslice: (thread, ns) => inInit(thread, (of) => void (of.timesliceNs = ns)),
      configure: (thread, options) => inInit(thread, (of) => void (of.options = options)),
      writeRegister: async (thread, set, index, value) => {
        if (table.state(thread) !== 'active' || table.data(thread) === 0) return err('badState');
        const block = new VmBlock(this.#memory, table.data(thread));
        if (block.power(table.aux(thread)) !== POWER.off) return err('badState');
        const [first, count] = REGISTER_SETS[set] ?? [0, 0];
        if (index >= count || (set === SET_PC && value % 4n !== 0n)) return err('badArgument');
        const actor = block.actorOf(table.aux(thread));
        return actor !== 0 && (await this.#setRegister(actor, first + index, value)) ? ok() : err('badState');
      },
    };
  }
}
