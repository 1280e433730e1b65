/** The machine as the resource manager's actor reaches it: asks to the core, orders to the launcher. */
import { assert } from '../../bus/assert.js';
import { err, ok, type Result } from '../../bus/result.js';
import { RIGHTS } from '../abi/gunyah/rights.js';
import type { ParcelVerbs } from '../hypervisor/parcel.protocol.js';
import type { VpTicket } from '../hypervisor/partition.protocol.js';
import type {
  CoreProtocol,
  ObjectPlaces,
  PagingObjects,
  PartitionObjects,
  VirtioObjects,
  VirtioWanted,
} from '../hypervisor/port.protocol.js';
import type { AskKind, BodyOf, ReplyOf } from '../runtime/protocol.js';
import { ObjectTable } from '../shared-state/objects/object-table.js';
import { lockOwner, Ports } from '../shared-state/objects/ports.js';
import { type ResetAsked, STOP, type Stop, VmBlock } from '../shared-state/vm/vm-block.js';
import { arenaBytesFor } from './arena-size.js';
import type { ControllerPlace } from './controller-place.js';
import type { LaunchOrder } from './resource-manager.protocol.js';
import type { AboutVm, BootRegisters, GivenPort, HostFault, ProcessorShare, RmHost } from './rm-host.js';
import { RpcLink } from './rpc-link.js';
import { RPC } from './rpc-packet.js';

/** What the host needs of its actor. */
export interface HostParts {
  readonly memory: ArrayBufferLike;
  readonly areaBytes: number;
  /** The actor's own number: what interrupts of its queues ring. */
  readonly self: number;
  ring(actor: number): void;
  /** Asks the core; undefined when it does not answer. */
  ask<K extends AskKind<CoreProtocol>>(
    kind: K,
    body: BodyOf<CoreProtocol, K>,
  ): Promise<Result<ReplyOf<CoreProtocol, K>, string>>;
  /** Sends an order to the launcher; whether it was carried out. */
  order(order: LaunchOrderBody): Promise<boolean>;
}
/** An order without its number. */
export type LaunchOrderBody = LaunchOrder extends infer O ? (O extends unknown ? Omit<O, 'order'> : never) : never;

/** A VM the host knows. */
interface Known {
  readonly block: VmBlock;
  readonly given: (ObjectPlaces & PartitionObjects) | undefined;
  readonly tickets: readonly VpTicket[];
  isStopped: boolean;
  isLaunched: boolean;
}

/** Owner id of the resource manager in locks: the core's family, an index no vCPU has. */
const LOCK_OWNER = lockOwner(0, 62);
/** Capabilities of one VM (section 2.2: RM uses 1024). */
const SLOTS = 1024;
const HV_X0 = 0x20000;
const HV_SP_EL0 = 0x20020;
const HV_PC = 0x20022;

/** See the head of this file. */
export class CoreHost implements RmHost {
  readonly memory: Uint8Array;
  readonly #parts: HostParts;
  readonly #ports: Ports;
  readonly #vms = new Map<number, Known>();

  constructor(parts: HostParts, table: number) {
    this.#parts = parts;
    this.memory = new Uint8Array(parts.memory);
    this.#ports = new Ports(parts.memory, new ObjectTable(parts.memory, table), LOCK_OWNER, (actor) =>
      parts.ring(actor),
    );
  }

  /** A VM that somebody else built. */
  adopt(partition: number, blockAt: number): void {
    const block = new VmBlock(this.#parts.memory, blockAt);
    this.#vms.set(partition, { block, given: undefined, tickets: [], isStopped: false, isLaunched: false });
  }

  /** Why a VM's processors stand still. */
  stopOf(partition: number): Stop {
    return this.#vms.get(partition)?.block.stop ?? STOP.none;
  }

  /** What the SYSTEM_RESET2 was asked with that ended a VM. */
  resetOf(partition: number): ResetAsked | undefined {
    return this.#vms.get(partition)?.block.resetAsked;
  }

  async createVm(cpus: number, memoryBytes: number): Promise<Result<{ partition: number }, HostFault>> {
    const { ask } = this.#parts;
    const made = await ask('createPartition', {});
    if (!made.ok) return err('refused');
    const { partition } = made.value;
    const built = await this.#build(partition, cpus, arenaBytesFor(memoryBytes));
    if (built) return ok({ partition });
    await ask('finalizePartition', { partition });
    await ask('deletePartition', { partition });
    this.#vms.delete(partition);
    return err('refused');
  }

  async #build(partition: number, cpus: number, arenaBytes: number): Promise<boolean> {
    const { ask, areaBytes, memory, self } = this.#parts;
    for (const [property, value] of [
      ['processorCount', cpus],
      ['processorAreaBytes', areaBytes],
      ['processorArenaBytes', arenaBytes],
    ] as const) {
      if (!(await ask('setProperty', { partition, property, value })).ok) return false;
    }
    const parts = await ask('initializePartition', { partition });
    const given = parts.ok ? await ask('giveObjects', { partition, slots: SLOTS }) : parts;
    if (!parts.ok || !given.ok) return false;
    const tickets: VpTicket[] = [];
    for (let index = 0; index < cpus; index++) {
      const ticket = await ask('createVp', { partition, index });
      if (!ticket.ok) return false;
      tickets.push(ticket.value);
    }
    for (const object of given.value.threads) await ask('bindActor', { object, source: 'first', actor: self });
    const block = new VmBlock(memory, parts.value.block);
    this.#vms.set(partition, { block, given: given.value, tickets, isStopped: false, isLaunched: false });
    return true;
  }

  async startVm(partition: number, boot: BootRegisters, about: AboutVm): Promise<Result<undefined, HostFault>> {
    const known = this.#vms.get(partition);
    if (known?.given === undefined) return err('refused');
    const registers = [{ code: HV_PC, value: hex(boot.pc) }];
    for (const [index, value] of boot.x) registers.push({ code: HV_X0 + index, value: hex(value) });
    for (const [index, value] of boot.sp) registers.push({ code: HV_SP_EL0 + index, value: hex(value) });
    const { table, space, threads } = known.given;
    known.isLaunched = true;
    const done = await this.#parts.order({
      ...{ kind: 'launch', partition, tickets: known.tickets, places: { table, space, threads } },
      ...about,
      registers,
    });
    return done ? ok() : err('refused');
  }

  async stopVm(partition: number): Promise<void> {
    const known = this.#vms.get(partition);
    if (known === undefined || known.isStopped) return;
    known.isStopped = true;
    await this.#parts.ask('finalizePartition', { partition });
    if (known.isLaunched) await this.#parts.order({ kind: 'end', partition });
  }

  async deleteVm(partition: number): Promise<void> {
    await this.#parts.ask('deletePartition', { partition });
    this.#vms.delete(partition);
  }

  async createLink(
    partition: number,
    virqFrom: number,
  ): Promise<Result<{ link: RpcLink; tx: GivenPort; rx: GivenPort }, HostFault>> {
    const { ask, self } = this.#parts;
    const up = await this.createQueue(partition, RPC.queueDepth, RPC.packetBytes);
    const down = await this.createQueue(partition, RPC.queueDepth, RPC.packetBytes);
    if (!up.ok || !down.ok) return err('refused');
    const { send, receive } = RIGHTS.messageQueue;
    const tx = await this.givePort(partition, up.value, { rights: send, source: 'second', virqFrom });
    const rx = await this.givePort(partition, down.value, { rights: receive, source: 'first', virqFrom });
    await ask('bindActor', { object: up.value, source: 'first', actor: self });
    await ask('bindActor', { object: down.value, source: 'second', actor: self });
    if (!tx.ok || !rx.ok) return err('refused');
    const link = new RpcLink(this.#ports.receiver(up.value), this.#ports.sender(down.value));
    return ok({ link, tx: tx.value, rx: rx.value });
  }

  async createQueue(partition: number, depth: number, messageBytes: number): Promise<Result<number, HostFault>> {
    const made = await this.#parts.ask('createQueue', { partition, depth, messageBytes });
    return made.ok ? ok(made.value.object) : err('refused');
  }
  async createDoorbell(partition: number): Promise<Result<number, HostFault>> {
    const made = await this.#parts.ask('createDoorbell', { partition });
    return made.ok ? ok(made.value.object) : err('refused');
  }

  async givePort(
    partition: number,
    object: number,
    options: Parameters<RmHost['givePort']>[2],
  ): Promise<Result<GivenPort, HostFault>> {
    const { ask } = this.#parts;
    const { rights, source, virq, virqFrom, level } = options;
    const granted =
      rights === 0 ? ok({ capability: '0x0' }) : await ask('grantCapability', { partition, object, rights });
    if (!granted.ok) return err('refused');
    const capability = BigInt(granted.value.capability);
    if (source === undefined) return ok({ object, capability, virq: 0 });
    const where = virq === undefined ? { from: virqFrom ?? 512 } : { virq };
    const bound = await ask('bindInterrupt', { partition, object, source, ...where, level: level === true });
    return bound.ok ? ok({ object, capability, virq: bound.value.virq }) : err('refused');
  }
  threadOf(partition: number, index: number): number {
    return this.#vms.get(partition)?.given?.threads[index] ?? 0;
  }
  async schedule(partition: number, index: number, how: ProcessorShare): Promise<Result<undefined, HostFault>> {
    return (await this.#parts.ask('scheduleVp', { partition, index, ...how })).ok ? ok() : err('refused');
  }
  async addVmmio(partition: number, base: number, bytes: number): Promise<Result<undefined, HostFault>> {
    return (await this.#parts.ask('setVmmioRange', { partition, base, bytes })).ok ? ok() : err('refused');
  }
  async placeController(
    partition: number,
    cpus: number,
    place: ControllerPlace,
  ): Promise<Result<undefined, HostFault>> {
    return (await this.#parts.ask('placeController', { partition, cpus, ...place })).ok ? ok() : err('refused');
  }
  async createWatchdog(
    partition: number,
    virqFrom: number,
  ): Promise<Result<{ object: number; virq: number }, HostFault>> {
    const { ask, self } = this.#parts;
    const made = await ask('createWatchdog', { partition });
    if (!made.ok) return err('refused');
    const { object } = made.value;
    const bark = await ask('bindInterrupt', { partition, object, source: 'first', from: virqFrom });
    await ask('bindActor', { object, source: 'second', actor: self });
    return bark.ok ? ok({ object, virq: bark.value.virq }) : err('refused');
  }
  async createPaging(partition: number, owner: number): Promise<Result<PagingObjects, HostFault>> {
    const made = await this.#parts.ask('createPaging', { partition, owner });
    return made.ok ? made : err('refused');
  }
  async createVirtio(
    partition: number,
    owner: number,
    wanted: VirtioWanted,
  ): Promise<Result<VirtioObjects, HostFault>> {
    const made = await this.#parts.ask('createVirtio', { partition, owner, wanted });
    return made.ok ? made : err('refused');
  }
  async destroyPort(object: number): Promise<void> {
    await this.#parts.ask('destroyObject', { object });
  }

  createParcel: RmHost['createParcel'] = (partition, transfer, ranges, keep) =>
    this.#parcel('createParcel', { partition, transfer, ranges, keep });
  extendParcel: RmHost['extendParcel'] = (parcel, ranges) => this.#parcel('extendParcel', { parcel, ranges });
  mapParcel: RmHost['mapParcel'] = (parcel, partition, places, rights) =>
    this.#parcel('mapParcel', { parcel, partition, places, rights });
  acceptDonation: RmHost['acceptDonation'] = (parcel, partition, places, rights) =>
    this.#parcel('acceptDonation', { parcel, partition, places, rights });
  unmapParcel: RmHost['unmapParcel'] = (parcel, partition) => this.#parcel('unmapParcel', { parcel, partition });
  pageParcel: RmHost['pageParcel'] = (parcel, partition, extent) =>
    this.#parcel('pageParcel', { parcel, partition, extent });
  endParcel: RmHost['endParcel'] = (parcel, zero) => this.#parcel('endParcel', { parcel, zero });

  async #parcel<K extends ParcelKind>(
    kind: K,
    body: BodyOf<CoreProtocol, K>,
  ): Promise<Result<ReplyOf<CoreProtocol, K>, ParcelRefusal>> {
    const answer = await this.#parts.ask(kind, body);
    if (answer.ok) return answer;
    // WHY: the core answers with its declared faults; anything else is an answer that did not come.
    const known = PARCEL_FAULTS.find((fault) => fault === answer.error);
    assert(known !== undefined || answer.error.length > 0, 'a refusal has a reason');
    return err(known ?? 'notAcknowledged');
  }
}

type ParcelKind = keyof ParcelVerbs;
const PARCEL_FAULTS = [
  ...(['noPartition', 'badState', 'badArgument', 'noMemory', 'overlap', 'noProcessor'] as const),
  ...(['notAcknowledged', 'noParcel', 'notOwned', 'inUse', 'notHeld'] as const),
] as const;
type ParcelRefusal = (typeof PARCEL_FAULTS)[number];

function hex(value: bigint): string {
  return `0x${value.toString(16)}`;
}
