/** The core's handlers of port.protocol.ts. */
import { err, ok, type Result } from '../../bus/result.js';
import { ALL_RIGHTS } from '../abi/gunyah/rights.js';
import { slowCall } from '../abi/gunyah/slow-calls.js';
import type { BodyOf, ErrorsOf, ReplyOf } from '../runtime/protocol.js';
import { GIC_INTERRUPTS_MAX } from '../shared-state/gic/gic-layout.js';
import { SOURCE } from '../shared-state/objects/object-table.js';
import type { Extents } from './extents.js';
import type { GuestCore } from './guest-core.js';
import type { GuestMadeVms } from './guest-made-vms.js';
import type { KernelObjects } from './kernel-objects.js';
import type { ObjectFault } from './objects.protocol.js';
import type { Partition } from './partition.js';
import type { PartitionFault } from './partition.protocol.js';
import type { PagingObjects, PartitionObjects, PortRef, PortVerbs, SourceName } from './port.protocol.js';
import { createVirtio } from './virtio-devices.js';

/** What the handlers need of the core's state. */
export interface PortState {
  readonly partitions: ReadonlyMap<number, Partition>;
  readonly ports: {
    /** The objects; made when first asked for. */
    core(): GuestCore | undefined;
    /** The objects if anybody has asked for them. */
    existing(): GuestCore | undefined;
    /** Waits until every thread has been outside, then gives frames of destroyed objects back. */
    settle(): Promise<boolean>;
    /** Returns what extents had whose objects have ended. */
    collectMemory(): Promise<boolean>;
    /** A partition ends: nobody maps its frames any more, and no extent holds one. */
    forgetMemory(partition: Partition): Promise<boolean>;
    /** Extents, once there are objects. */
    extents(): Extents | undefined;
    /** What guests' hypercalls put together, once there are objects. */
    vms(): GuestMadeVms | undefined;
  };
}

type PortHandlers = {
  readonly [K in keyof PortVerbs]: (
    state: PortState,
    body: BodyOf<PortVerbs, K>,
  ) =>
    | Result<ReplyOf<PortVerbs, K>, ErrorsOf<PortVerbs, K>>
    | Promise<Result<ReplyOf<PortVerbs, K>, ErrorsOf<PortVerbs, K>>>;
};

/** A partition that has objects, and the core. */
function holder(
  state: PortState,
  partition: number,
): Result<{ readonly core: GuestCore; readonly given: PartitionObjects }, PartitionFault> {
  if (!state.partitions.has(partition)) return err('noPartition');
  const core = state.ports.core();
  const given = core?.of(partition);
  return core === undefined || given === undefined ? err('badState') : ok({ core, given });
}
const sourceOf = (name: SourceName): (typeof SOURCE)[SourceName] => SOURCE[name];

/** A port of `partition`, made and activated. */
function create(
  state: PortState,
  partition: number,
  type: 'messageQueue' | 'doorbell',
  configure: (kernel: KernelObjects, object: number) => Result<undefined, ObjectFault>,
): Result<PortRef, PartitionFault | ObjectFault> {
  if (!state.partitions.has(partition)) return err('noPartition');
  const kernel = state.ports.core()?.objects;
  const made = kernel?.create(type, partition);
  if (kernel === undefined || made === undefined) return err('noMemory');
  if (!made.ok) return made;
  const configured = configure(kernel, made.value);
  const active = configured.ok ? kernel.activate(made.value) : configured;
  if (!active.ok) {
    kernel.destroy(made.value);
    return active;
  }
  return ok({ object: made.value, at: kernel.table.data(made.value) });
}

/** The four extents of {@link PagingObjects}; none is left when one could not be made. */
function createPaging(
  { objects: kernel }: GuestCore,
  extents: Extents,
  partition: number,
  owner: Partition,
): Result<Omit<PagingObjects, 'addrspace'>, ObjectFault> {
  const made: number[] = [];
  const make = (isHost: boolean): Result<number, ObjectFault> => {
    const object = kernel.create('memextent', partition);
    if (!object.ok) return object;
    made.push(object.value);
    const given = isHost ? extents.configureView(object.value, owner) : extents.configureSparse(object.value);
    const active = given.ok ? kernel.activate(object.value) : given;
    return active.ok ? object : active;
  };
  for (const isHost of [false, true, true, false]) {
    const extent = make(isHost);
    if (extent.ok) continue;
    for (const object of made) kernel.destroy(object);
    return extent;
  }
  const [guestPrivate = 0, hostShared = 0, hostPrivate = 0, guestShared = 0] = made;
  return ok({ guestPrivate, hostShared, hostPrivate, guestShared });
}

/** The handlers; part of the core's declaration. */
export const portVerbs: PortHandlers = {
  giveObjects(state, { partition, slots }) {
    const found = state.partitions.get(partition);
    if (found === undefined) return err('noPartition');
    const core = state.ports.core();
    if (core === undefined) return err('noMemory');
    const given = core.adopt(found, slots);
    if (!given.ok) return given;
    found.parts?.gic.setInterrupts(GIC_INTERRUPTS_MAX);
    return ok({ ...given.value, table: core.objects.tableAt, space: core.objects.table.data(given.value.cspace) });
  },
  createQueue: (state, { partition, depth, messageBytes }) =>
    create(state, partition, 'messageQueue', (kernel, object) => kernel.configureQueue(object, depth, messageBytes)),
  createDoorbell: (state, { partition }) => create(state, partition, 'doorbell', () => ok()),
  createWatchdog(state, { partition }) {
    const [found, given] = [state.partitions.get(partition), holder(state, partition)];
    if (!given.ok) return given;
    const { objects: kernel } = given.value.core;
    const made = kernel.create('watchdog', partition);
    if (!made.ok) return made;
    const active = kernel.activate(made.value);
    const block = found?.parts?.block.at;
    if (active.ok && block !== undefined && kernel.giveWatchdog(made.value, block)) return ok({ object: made.value });
    kernel.destroy(made.value);
    return err('badState');
  },
  createPaging(state, { partition, owner }) {
    const found = holder(state, partition);
    if (!found.ok) return found;
    const [home, extents] = [state.partitions.get(owner), state.ports.extents()];
    if (home === undefined || extents === undefined) return err('noPartition');
    const made = createPaging(found.value.core, extents, partition, home);
    return made.ok ? ok({ ...made.value, addrspace: found.value.given.addrspace }) : made;
  },
  createVirtio(state, { partition, owner, wanted }) {
    const found = holder(state, partition);
    if (!found.ok) return found;
    const [vm, home, extents] = [state.partitions.get(partition), state.partitions.get(owner), state.ports.extents()];
    if (vm === undefined || home === undefined || extents === undefined) return err('noPartition');
    return createVirtio(found.value.core, extents, vm, home, wanted);
  },
  placeController(state, { partition, ...place }) {
    const found = holder(state, partition);
    if (!found.ok) return found;
    const { core, given } = found.value;
    return core.objects.controllers.move(given.addrspace, given.vic, place);
  },
  async destroyObject(state, { object }) {
    state.ports.core()?.objects.destroy(object);
    return (await state.ports.settle()) ? ok() : err('notAcknowledged');
  },
  grantCapability(state, { partition, object, rights }) {
    const found = holder(state, partition);
    if (!found.ok) return found;
    const granted = found.value.core.objects.capabilities.grant(found.value.given.cspace, object, rights);
    return granted.ok ? ok({ capability: `0x${granted.value.id.toString(16)}` }) : granted;
  },
  bindInterrupt(state, { partition, object, source, virq, from, level }) {
    const found = holder(state, partition);
    if (!found.ok) return found;
    const { core, given } = found.value;
    const number = virq ?? core.objects.freeVirq(given.vic, from ?? VIRQ_FROM);
    if (number === undefined) return err('noResource');
    const bound = core.objects.bind(object, sourceOf(source), given.vic, number, level !== true);
    return bound.ok ? ok({ virq: number }) : bound;
  },
  bindActor(state, { object, source, actor }) {
    return state.ports.core()?.objects.bindActor(object, sourceOf(source), actor) ?? err('badState');
  },
  unbindSource(state, { object, source }) {
    state.ports.core()?.objects.unbind(object, sourceOf(source));
    return ok();
  },
  giveRoot(state, { partition }) {
    const found = holder(state, partition);
    if (!found.ok) return found;
    const { core, given } = found.value;
    const { objects: kernel } = core;
    const own = kernel.create('partition', partition);
    if (!own.ok) return own;
    kernel.table.setData(own.value, 0, partition);
    kernel.table.setState(own.value, 'active');
    const ids: string[] = [];
    for (const object of [own.value, given.cspace, given.addrspace, given.vic]) {
      const granted = kernel.capabilities.grant(given.cspace, object, ALL_RIGHTS);
      if (!granted.ok) return granted;
      ids.push(`0x${granted.value.id.toString(16)}`);
    }
    const [mine = '', cspace = '', addrspace = '', vic = ''] = ids;
    return ok({ partition: mine, cspace, addrspace, vic });
  },
  lostProcessor(state, { partition, index }) {
    state.ports.vms()?.lost(partition, index);
    return ok();
  },
  async guestCall(state, { partition, index, number, args }) {
    const core = state.ports.core();
    const space = core?.spaceOf(partition, index);
    if (!state.partitions.has(partition)) return err('noPartition');
    if (core === undefined || space === undefined) return err('badState');
    const view = new DataView(args.buffer, args.byteOffset, args.byteLength);
    const words = Array.from({ length: args.byteLength >> 3 }, (_, index) => view.getBigUint64(index * 8, true));
    const { error, results } = await slowCall(core, { space }, number, words);
    const bytes = new Uint8Array(results.length * 8);
    const out = new DataView(bytes.buffer);
    results.forEach((value, index) => {
      out.setBigUint64(index * 8, BigInt.asUintN(64, value), true);
    });
    if (core.objects.hasRetired || state.ports.vms()?.hasDead === true) await state.ports.settle();
    else await state.ports.collectMemory();
    return ok({ error, results: bytes });
  },
};

/** Where free interrupt numbers are looked for unless the caller says otherwise. */
const VIRQ_FROM = 512;
