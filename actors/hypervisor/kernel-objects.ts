/**
 * The objects of the core: made, configured, activated, bound to interrupts, destroyed. Knows no ABI: Gunyah's hypercalls
 * (actors/abi/gunyah) and the resource manager's requests end here alike. What an object is made of (queue, doorbell,
 * capability space) lies in frames of the partition that pays for it.
 *
 * Destruction has two halves. `destroy` makes an object unreachable at once; its frames come back from `takeRetired` only after
 * every thread that may still hold it has been outside (the caller sees to that).
 */
import { assert } from '../../bus/assert.js';
import { DoorbellState, formatDoorbell } from '../../bus/doorbell/doorbell.js';
import { formatQueue, GUNYAH_QUEUE_LIMITS, queueBytes } from '../../bus/message-queue/queue-layout.js';
import { err, ok, type Result } from '../../bus/result.js';
import { HYP_PAGE_BYTES } from '../../bus/units.js';
import { CAPABILITIES_MAX, capabilitySpaceBytes } from '../shared-state/capabilities/capability-space.js';
import { GIC_PRIVATE, Gic } from '../shared-state/gic/gic.js';
import { GIC_STATE_BYTES } from '../shared-state/gic/gic-layout.js';
import {
  OBJECT_TABLE_BYTES,
  OBJECTS_MAX,
  ObjectTable,
  type ObjectType,
  SOURCE,
  type Source,
} from '../shared-state/objects/object-table.js';
import { lockOwner, Ports } from '../shared-state/objects/ports.js';
import { formatVirtio, VIRTIO_QUEUES_MAX, VIRTIO_STATE_BYTES } from '../shared-state/objects/virtio-mmio.js';
import { VIRTIO_PAGES_BYTES, VirtioPages } from '../shared-state/objects/virtio-pages.js';
import { RUN_TOKENS_BYTES, RunTokens, runTokensAt } from '../shared-state/scheduler/run-tokens.js';
import { ProxiedRun } from '../shared-state/vm/proxied-run.js';
import { type Ring, VM_BLOCK_BYTES, VmBlock, waker } from '../shared-state/vm/vm-block.js';
import { Watchdog } from '../shared-state/vm/watchdog.js';
import { AttachedControllers } from './attached-controllers.js';
import { CapabilityDirectory } from './capability-directory.js';
import type { Extent, FramePool } from './frame-pool.js';
import { affinityOf, MPIDR_DEFAULT, type MpidrMapping } from './mpidr-mapping.js';
import type { AttachmentType, ObjectFault } from './objects.protocol.js';

/** What the core knows of an object beside its header. */
interface ObjectRecord {
  readonly type: ObjectType;
  readonly owner: number;
  /** References beside capabilities: what the core itself or an attachment holds. */
  pins: number;
  /** What it was configured with; absent before. */
  config: ObjectConfig | undefined;
  /** Frames it is made of. */
  readonly frames: Extent[];
}

/** Configuration by kind of object. */
export type ObjectConfig =
  | { readonly is: 'cspace'; readonly slots: number }
  | { readonly is: 'messageQueue'; readonly depth: number; readonly messageBytes: number }
  | { readonly is: 'powerGroup'; readonly flags: number }
  | VicConfig
  | AddrspaceConfig
  | { readonly is: 'watchdog'; readonly flags: number }
  | VirtioConfig
  | { readonly is: 'thread'; readonly attached: ReadonlyMap<AttachmentType, Attachment> };

/** A virtio-mmio device: its registers, as an extent that it holds and the frame in it. */
export interface VirtioConfig {
  readonly is: 'virtioMmio';
  readonly extent: number;
  readonly generation: number;
  readonly page: number;
  readonly queues: number;
  readonly type: number;
}

/** An address space; number 0: it has none yet. */
export interface AddrspaceConfig {
  readonly is: 'addrspace';
  readonly vmid: number;
  /** An extent that it holds, empty from its activation on, and where its VM is to have it. */
  readonly info?: { readonly extent: number; readonly generation: number; readonly ipa: bigint };
}

/** An interrupt controller: processors, shared numbers from 32 on; whether it keeps away from the platform's addresses. */
export interface VicConfig {
  readonly is: 'vic';
  readonly cpus: number;
  readonly sharedInterrupts: number;
  readonly mpidr: MpidrMapping;
  readonly isMoved: boolean;
}
/** An attachment: a life of an object, and the thread's number there. */
interface Attachment {
  readonly object: number;
  readonly generation: number;
  readonly index: number;
}

const DEPTH_MAX = GUNYAH_QUEUE_LIMITS.depthMax;
const MESSAGE_MAX = GUNYAH_QUEUE_LIMITS.messageBytesMax;
const pages = (bytes: number): number => Math.ceil(bytes / HYP_PAGE_BYTES) * HYP_PAGE_BYTES;
/** The core itself as an owner of locks and of frames that belong to no partition. */
const CORE = 0;
const CORE_LOCK_INDEX = 63;

/** Frames of an object that has ended. */
interface Retired {
  readonly owner: number;
  readonly extent: Extent;
}

/** Who gives address spaces and threads that were made by hypercalls what they run on (guest-made-vms.ts). */
export interface Machines {
  /** An address space becomes active; false: there is no memory for it. */
  openSpace(addrspace: number, owner: number): boolean;
  /** An address space has ended. */
  closeSpace(addrspace: number): void;
  /** A thread ends. True: it was running, and `release` is called when it does so no more; until then its slot is not given out. */
  endThread(thread: number, release: () => void): boolean;
}

/** See the head of this file. */
export class KernelObjects {
  readonly table: ObjectTable;
  /** How vCPUs share the host's processors. */
  readonly tokens: RunTokens;
  /** Byte address of the table. */
  readonly tableAt: number;
  readonly capabilities: CapabilityDirectory;
  readonly ports: Ports;
  /** Registers of interrupt controllers in address spaces. */
  readonly controllers: AttachedControllers;
  readonly #virtioPages: VirtioPages;
  readonly #memory: SharedArrayBuffer;
  readonly #pool: FramePool;
  readonly #ring: Ring;
  readonly #records = new Map<number, ObjectRecord>();
  readonly #free: number[];
  readonly #gics = new Map<number, Gic>();
  /** Interrupt numbers taken, by vic object. */
  readonly #virqs = new Map<number, Map<number, { readonly object: number; readonly source: Source }>>();
  #retired: Retired[] = [];
  #machines: Machines | undefined;

  private constructor(memory: SharedArrayBuffer, pool: FramePool, tableAt: number, ring: Ring) {
    this.#memory = memory;
    this.#pool = pool;
    this.#ring = ring;
    this.tableAt = tableAt;
    this.table = new ObjectTable(memory, tableAt);
    this.tokens = new RunTokens(memory, runTokensAt(tableAt));
    this.capabilities = new CapabilityDirectory(memory, this.table);
    this.ports = new Ports(memory, this.table, lockOwner(CORE, CORE_LOCK_INDEX), ring);
    this.#virtioPages = new VirtioPages(memory, this.table);
    this.controllers = new AttachedControllers(memory, this);
    // Slot 0 is the core's own (see ObjectTable) and names no object.
    this.#free = Array.from({ length: OBJECTS_MAX - 1 }, (_, index) => OBJECTS_MAX - 1 - index);
  }

  /** Takes the table's frames from `pool`; undefined when there are none. */
  static create(memory: SharedArrayBuffer, pool: FramePool, ring: Ring): KernelObjects | undefined {
    const extent = pool.take(pages(OBJECT_TABLE_BYTES + RUN_TOKENS_BYTES + VIRTIO_PAGES_BYTES), CORE, 'core');
    return extent === undefined ? undefined : new KernelObjects(memory, pool, extent.host, ring);
  }

  /** From here on address spaces and threads get what they run on. */
  setMachines(machines: Machines): void {
    this.#machines = machines;
  }

  /** Objects alive, for audits. */
  get count(): number {
    return this.#records.size;
  }

  #record(object: number): ObjectRecord {
    const record = this.#records.get(object);
    assert(record !== undefined, `object ${object} exists`);
    return record;
  }

  #take(record: ObjectRecord, bytes: number): number | undefined {
    const extent = this.#pool.take(pages(bytes), record.owner, 'core');
    if (extent !== undefined) record.frames.push(extent);
    return extent?.host;
  }

  /** Begins an object of partition `owner`, in state init, with one pin. */
  create(type: ObjectType, owner: number): Result<number, 'noMemory'> {
    const object = this.#free.pop();
    if (object === undefined) return err('noMemory');
    this.table.create(object, type, owner);
    this.#records.set(object, { type, owner, pins: 1, config: undefined, frames: [] });
    return ok(object);
  }

  /** One more reference of the core's own. */
  pin(object: number): void {
    this.#record(object).pins++;
  }

  /** One reference less; without any other, and without capabilities, the object ends. */
  unpin(object: number): void {
    const record = this.#record(object);
    record.pins--;
    assert(record.pins >= 0, 'pins are balanced');
    this.collect(object);
  }

  /** Ends the object if nobody refers to it any more. */
  collect(object: number): void {
    const record = this.#records.get(object);
    if (record !== undefined && record.pins === 0 && this.capabilities.count(object) === 0) this.destroy(object);
  }

  /** What the object was configured with. */
  config(object: number): ObjectConfig | undefined {
    return this.#records.get(object)?.config;
  }

  #configurable(object: number): Result<ObjectRecord, 'badState'> {
    return this.table.state(object) === 'init' ? ok(this.#record(object)) : err('badState');
  }

  /** Configures an object that is not active yet; a later configuration replaces an earlier one. */
  configure(object: number, config: ObjectConfig): Result<undefined, ObjectFault> {
    const record = this.#configurable(object);
    if (!record.ok) return record;
    record.value.config = config;
    return ok();
  }

  /** Depth and largest message of a queue, as Gunyah bounds them. */
  configureQueue(object: number, depth: number, messageBytes: number): Result<undefined, ObjectFault> {
    if (this.table.state(object) !== 'init') return err('badState');
    const fits = depth >= 1 && depth <= DEPTH_MAX && messageBytes >= 1 && messageBytes <= MESSAGE_MAX;
    return fits ? this.configure(object, { is: 'messageQueue', depth, messageBytes }) : err('badArgument');
  }

  /** Number of capabilities a space holds. */
  configureSpace(object: number, slots: number): Result<undefined, ObjectFault> {
    if (this.table.state(object) !== 'init') return err('badState');
    const fits = slots >= 1 && slots <= CAPABILITIES_MAX;
    return fits ? this.configure(object, { is: 'cspace', slots }) : err('badArgument');
  }

  /** What a virtio-mmio device is made of; it holds the extent until it ends or has another. */
  configureVirtio(object: number, config: Omit<VirtioConfig, 'is' | 'generation'>): Result<undefined, ObjectFault> {
    const record = this.#configurable(object);
    if (!record.ok) return record;
    if (config.queues > VIRTIO_QUEUES_MAX) return err('badArgument');
    const before = record.value.config;
    this.pin(config.extent);
    record.value.config = { ...config, is: 'virtioMmio', generation: this.table.generation(config.extent) };
    if (before?.is === 'virtioMmio') this.#letGo({ ...before, object: before.extent });
    return ok();
  }

  /** The frames of an extent go elsewhere: devices whose registers they are do nothing any more. */
  loseExtent(extent: number): void {
    for (const [object, { config }] of this.#records) {
      if (config?.is !== 'virtioMmio' || config.extent !== extent) continue;
      if (config.generation !== this.table.generation(extent)) continue;
      this.table.setState(object, 'failed');
      this.#virtioPages.remove(object);
    }
  }

  /**
   * Attaches a thread that is not active yet to the active object `to`, as its number `index` there. It holds `to` until it
   * ends or is attached to another.
   */
  attach(thread: number, type: AttachmentType, to: number, index: number): Result<undefined, ObjectFault> {
    const record = this.#configurable(thread);
    if (!record.ok) return record;
    const { config } = record.value;
    const attached = new Map(config?.is === 'thread' ? config.attached : []);
    const before = attached.get(type);
    this.pin(to);
    attached.set(type, { object: to, generation: this.table.generation(to), index });
    record.value.config = { is: 'thread', attached };
    if (before !== undefined) this.#letGo(before);
    return ok();
  }

  /** As {@link configure}: the address space holds extent `extent` from here on, and no other that it held. */
  holdInfoArea(addrspace: number, extent: number, ipa: bigint): Result<undefined, ObjectFault> {
    const record = this.#configurable(addrspace);
    if (!record.ok) return record;
    const { config } = record.value;
    const before = config?.is === 'addrspace' ? config : ({ is: 'addrspace', vmid: 0 } as const);
    this.pin(extent);
    record.value.config = { ...before, info: { extent, generation: this.table.generation(extent), ipa } };
    if (before.info !== undefined) this.#letGo({ ...before.info, object: before.info.extent });
    return ok();
  }

  #letGo({ object, generation }: Pick<Attachment, 'object' | 'generation'>): void {
    if (this.table.generation(object) === generation) this.unpin(object);
  }

  /** What a thread is attached to, while that lives. */
  attachment(thread: number, type: AttachmentType): { readonly object: number; readonly index: number } | undefined {
    const config = this.config(thread);
    const found = config?.is === 'thread' ? config.attached.get(type) : undefined;
    return this.#lives(found) ? found : undefined;
  }

  /** Whether what `attachment` names still lives. */
  #lives(attachment: Attachment | undefined): attachment is Attachment {
    return attachment !== undefined && this.table.generation(attachment.object) === attachment.generation;
  }

  /** The active thread that has the number `index` at vic or power group `object`, but for `except`. */
  #threadAt(type: 'vic' | 'powerGroup', object: number, index: number, except = 0): number | undefined {
    const { table } = this;
    const block = type === 'vic' ? table.aux(object) : table.data(object);
    for (const [other, { type: kind, config }] of this.#records) {
      if (kind !== 'thread' || other === except || table.state(other) !== 'active') continue;
      if (config === undefined && block !== 0 && table.data(other) === block && table.aux(other) === index)
        return other;
      const place = config?.is === 'thread' ? config.attached.get(type) : undefined;
      if (place?.object === object && place.index === index && this.#lives(place)) return other;
    }
    return undefined;
  }

  /** The active thread of processor `index` at controller `vic`. */
  processorAt(vic: number, index: number): number | undefined {
    return this.#threadAt('vic', vic, index);
  }

  /** Why a thread that was put together by its parts cannot become active (gunyah.md 2.6, 2.7, 2.10). */
  #threadFault(thread: number, config: ObjectConfig | undefined): ObjectFault | undefined {
    const attached = config?.is === 'thread' ? config.attached : undefined;
    if (!this.#lives(attached?.get('addrspace'))) return 'badConfig';
    const [group, vic] = [attached?.get('powerGroup'), attached?.get('vic')];
    const isTaken = (type: 'vic' | 'powerGroup', place: Attachment | undefined): boolean =>
      this.#lives(place) && this.#threadAt(type, place.object, place.index, thread) !== undefined;
    if (isTaken('powerGroup', group)) return 'denied';
    return isTaken('vic', vic) ? 'busy' : undefined;
  }

  #isVmidTaken(addrspace: number, vmid: number): boolean {
    return [...this.#records].some(
      ([other, { config }]) =>
        other !== addrspace &&
        config?.is === 'addrspace' &&
        config.vmid === vmid &&
        this.table.state(other) === 'active',
    );
  }

  /** An interrupt controller of its own for a vic that no VM came with. */
  #makeController(object: number, record: ObjectRecord): Result<undefined, ObjectFault> {
    const config = record.config?.is === 'vic' ? record.config : VIC_DEFAULT;
    const [blockAt, gicAt] = [this.#take(record, VM_BLOCK_BYTES), this.#take(record, GIC_STATE_BYTES)];
    if (blockAt === undefined || gicAt === undefined) return err('noMemory');
    const block = new VmBlock(this.#memory, blockAt);
    block.format(config.cpus);
    const gic = new Gic(this.#memory, gicAt, waker(block, this.#ring));
    gic.reset(Array.from({ length: config.cpus }, (_, cpu) => affinityOf(config.mpidr, cpu)));
    const numbers = GIC_PRIVATE + Math.max(config.sharedInterrupts, GIC_PRIVATE);
    gic.setInterrupts(Math.ceil(numbers / GIC_PRIVATE) * GIC_PRIVATE);
    this.attachController(object, gic, gicAt, blockAt);
    return ok();
  }

  /** First interrupt number that is not one of `vic`'s. */
  #virqEnd(vic: number, gic: Gic): number {
    const config = this.config(vic);
    const configured = config?.is === 'vic' ? VIRQ_FIRST + config.sharedInterrupts : VIRQ_END;
    return Math.min(gic.interrupts, VIRQ_END, configured);
  }

  /** The object may be used from here on. */
  activate(object: number): Result<undefined, ObjectFault> {
    if (this.table.state(object) !== 'init') return err('badState');
    const record = this.#record(object);
    const made = this.#make(object, record);
    if (!made.ok) return made;
    this.table.setState(object, 'active');
    return ok();
  }

  #make(object: number, record: ObjectRecord): Result<undefined, ObjectFault> {
    const { config } = record;
    switch (record.type) {
      case 'doorbell': {
        const at = this.#take(record, DoorbellState.sizeBytes);
        if (at === undefined) return err('noMemory');
        assert(formatDoorbell({ buffer: this.#memory, byteOffset: at }).ok, 'a frame takes a doorbell');
        this.table.setData(object, at);
        return ok();
      }
      case 'messageQueue': {
        if (config?.is !== 'messageQueue') return err('badConfig');
        const spec = { depth: config.depth, messageBytesMax: config.messageBytes, mode: 'shared' } as const;
        const bytes = queueBytes(spec);
        assert(bytes.ok, 'a configured queue is possible');
        const at = this.#take(record, bytes.value);
        if (at === undefined) return err('noMemory');
        assert(formatQueue({ buffer: this.#memory, byteOffset: at }, spec).ok, 'frames take a queue');
        this.table.setData(object, at);
        return ok();
      }
      case 'cspace': {
        if (config?.is !== 'cspace') return err('badConfig');
        const at = this.#take(record, capabilitySpaceBytes(config.slots));
        if (at === undefined) return err('noMemory');
        this.table.setData(object, at, config.slots);
        this.capabilities.open(object, at, config.slots);
        return ok();
      }
      case 'vic':
        return this.#makeController(object, record);
      case 'virtioMmio':
        return config?.is === 'virtioMmio' ? this.#makeVirtio(object, record, config) : err('badConfig');
      case 'addrspace':
        if (config?.is !== 'addrspace' || config.vmid === 0) return err('badConfig');
        if (this.#isVmidTaken(object, config.vmid)) return err('busy');
        return this.#machines?.openSpace(object, record.owner) === false ? err('noMemory') : ok();
      case 'thread': {
        const fault = this.#threadFault(object, config);
        return fault === undefined ? ok() : err(fault);
      }
      default:
        return ok();
    }
  }

  #makeVirtio(
    object: number,
    record: ObjectRecord,
    { extent, generation, page, queues, type }: VirtioConfig,
  ): Result<undefined, ObjectFault> {
    if (this.table.generation(extent) !== generation) return err('badConfig');
    const added = this.#virtioPages.add(page, object);
    if (added !== 'added') return err(added === 'taken' ? 'busy' : 'noMemory');
    const at = this.#take(record, VIRTIO_STATE_BYTES);
    if (at === undefined) {
      this.#virtioPages.remove(object);
      return err('noMemory');
    }
    formatVirtio(this.#memory, at, page, queues, type);
    this.table.setData(object, at, page);
    return ok();
  }

  /** A controller that was made by a hypercall, and not with a VM: where it and its block lie. */
  ownController(vic: number): { readonly gic: Gic; readonly gicAt: number; readonly blockAt: number } | undefined {
    const gic = this.#gics.get(vic);
    if (gic === undefined || this.#record(vic).frames.length === 0) return undefined;
    return { gic, gicAt: this.table.data(vic), blockAt: this.table.aux(vic) };
  }

  /** Makes vic object `vic` stand for a VM's interrupt controller. */
  attachController(vic: number, gic: Gic, gicAt: number, blockAt: number): void {
    gic.setBlock(blockAt);
    this.table.setData(vic, gicAt, blockAt);
    this.table.setState(vic, 'active');
    this.#gics.set(vic, gic);
    this.#virqs.set(vic, new Map());
  }

  /** Makes the active watchdog object `watchdog` that of the VM with the block at `blockAt`; false when it has one. */
  giveWatchdog(watchdog: number, blockAt: number): boolean {
    const slot = new Watchdog(this.#memory, { at: blockAt }, NO_CLOCK);
    if (slot.object !== 0) return false;
    slot.attach(watchdog);
    this.table.setData(watchdog, blockAt);
    return true;
  }

  /** The counter behind a watchdog object; undefined for one that no VM has. */
  watchdog(watchdog: number, nowMs: () => number): Watchdog | undefined {
    const at = this.table.data(watchdog);
    return at === 0 ? undefined : new Watchdog(this.#memory, { at }, nowMs);
  }

  /** Whether vic `vic` was configured not to be at the platform's addresses. */
  isMoved(vic: number): boolean {
    const config = this.config(vic);
    return config?.is === 'vic' && config.isMoved;
  }

  /** The controller behind a vic, while it lives. */
  controller(vic: number): Gic | undefined {
    return this.#gics.get(vic);
  }

  /** Lowest interrupt number of `vic` from `from` on that no source has, or undefined. */
  freeVirq(vic: number, from: number): number | undefined {
    const taken = this.#virqs.get(vic);
    const gic = this.#gics.get(vic);
    if (taken === undefined || gic === undefined) return undefined;
    for (let virq = from; virq < this.#virqEnd(vic, gic); virq++) if (!taken.has(virq)) return virq;
    return undefined;
  }

  /** Binds an interrupt source to number `virq` of `vic`: a shared one that no other source has. */
  bind(object: number, source: Source, vic: number, virq: number, isEdge: boolean): Result<undefined, ObjectFault> {
    const gic = this.#gics.get(vic);
    const taken = this.#virqs.get(vic);
    if (gic === undefined || taken === undefined) return err('badState');
    if (this.table.boundTo(object, source) !== 0) return err('bound');
    if (!Number.isInteger(virq) || virq < VIRQ_FIRST || virq >= this.#virqEnd(vic, gic)) {
      return err('badArgument');
    }
    if (taken.has(virq)) return err('busy');
    taken.set(virq, { object, source });
    const mask = 1 << (virq & 31);
    gic.locked(() => gic.setBits('edge', 0, virq & ~31, mask, isEdge ? mask : 0));
    this.table.bind(object, source, { to: 'interrupt', vic, virq });
    this.#schedule(object, source, true);
    return ok();
  }

  /** Lets an interrupt source ring an actor of ours instead. */
  bindActor(object: number, source: Source, actor: number): Result<undefined, ObjectFault> {
    if (this.table.boundTo(object, source) !== 0) return err('bound');
    this.table.bind(object, source, { to: 'actor', actor });
    this.#schedule(object, source, true);
    return ok();
  }

  /** Takes a binding back; afterwards no thread raises it any more. Unbinding twice is no error. */
  unbind(object: number, source: Source): void {
    this.table.bind(object, source, undefined);
    this.#schedule(object, source, false);
    this.#settle(object);
    for (const taken of this.#virqs.values()) {
      for (const [virq, by] of taken) if (by.object === object && by.source === source) taken.delete(virq);
    }
  }

  /** A vCPU whose wake-up interrupt leads somewhere is run by whoever that is; else it runs by itself. */
  #schedule(object: number, source: Source, proxied: boolean): void {
    if (source === SOURCE.second && this.table.type(object) === 'thread') this.proxiedRun(object)?.setProxied(proxied);
  }

  /** How thread `object` is run by others, or undefined for one that has no processor. */
  proxiedRun(object: number): ProxiedRun | undefined {
    const at = this.table.data(object);
    return at === 0 ? undefined : new ProxiedRun(this.#memory, new VmBlock(this.#memory, at), this.table.aux(object));
  }

  #settle(object: number): void {
    if (this.table.state(object) !== 'active') return;
    if (this.table.type(object) === 'doorbell') this.ports.doorbell(object).settle();
    else if (this.table.type(object) === 'messageQueue') this.ports.receiver(object).settle();
  }

  /** Ends an object: its bindings, capabilities and, for a space, what only it referred to. */
  destroy(object: number): void {
    const record = this.#records.get(object);
    if (record === undefined) return;
    for (const source of [SOURCE.first, SOURCE.second]) this.unbind(object, source);
    if (record.type === 'watchdog') this.watchdog(object, NO_CLOCK)?.attach(0);
    if (record.type === 'virtioMmio') this.#virtioPages.remove(object);
    if (record.type === 'memextent') this.loseExtent(object);
    this.controllers.ended(object);
    const taken = this.#virqs.get(object);
    if (taken !== undefined) for (const by of [...taken.values()]) this.unbind(by.object, by.source);
    this.#virqs.delete(object);
    this.#gics.delete(object);
    this.#records.delete(object);
    this.table.destroy(object);
    this.capabilities.forget(object);
    const orphans = record.type === 'cspace' ? this.capabilities.close(object) : [];
    const release = (): void => this.#release(object, record);
    const isLate = record.type === 'thread' && this.#machines?.endThread(object, release) === true;
    if (!isLate) release();
    if (record.type === 'addrspace') this.#machines?.closeSpace(object);
    for (const orphan of orphans) this.collect(orphan);
  }

  /** Nothing uses an ended object any more but what settles with its frames. */
  #release(object: number, { owner, frames, config }: ObjectRecord): void {
    for (const extent of frames) this.#retired.push({ owner, extent });
    this.#free.push(object);
    if (config?.is === 'virtioMmio') this.#letGo({ ...config, object: config.extent });
    if (config?.is === 'addrspace' && config.info !== undefined)
      this.#letGo({ ...config.info, object: config.info.extent });
    if (config?.is === 'thread') for (const attachment of config.attached.values()) this.#letGo(attachment);
  }

  /** Objects that `owner` pays for. */
  ownedBy(owner: number): readonly number[] {
    return [...this.#records].filter(([, record]) => record.owner === owner).map(([object]) => object);
  }

  /** Whether frames wait for {@link releaseRetired}. */
  get hasRetired(): boolean {
    return this.#retired.length > 0;
  }

  /** Takes what waits, for {@link giveBack} once every thread that may use it has been outside. */
  takeRetired(): readonly Retired[] {
    return this.#retired.splice(0);
  }
  /** Gives frames of destroyed objects back; or has them wait again when somebody may still use them. */
  giveBack(retired: readonly Retired[], isUnused: boolean): void {
    if (!isUnused) this.#retired = [...retired, ...this.#retired];
    else for (const { owner, extent } of retired) this.#pool.give(extent, owner, 'core');
  }
  /** Both at once, where no thread can have used them. */
  releaseRetired(): void {
    this.giveBack(this.takeRetired(), true);
  }
}

/** For changes of a watchdog that do not count time. */
const NO_CLOCK = (): number => 0;

/** Shared interrupt numbers a source may be bound to: 32 to 1,019 (extended ones are not implemented by our controller). */
const VIRQ_FIRST = 32;
const VIRQ_END = 1020;
/** What a vic has that was activated without having been configured: one processor and all the numbers there are. */
export const VIC_DEFAULT: VicConfig = {
  ...{ is: 'vic', cpus: 1, mpidr: MPIDR_DEFAULT, isMoved: false },
  sharedInterrupts: VIRQ_END - VIRQ_FIRST,
};
