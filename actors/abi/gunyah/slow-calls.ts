/**
 * Hypercalls that change ownership or lifecycle, as the core carries them out (gunyah.md 2.1 to 2.10). Handlers check what
 * is Gunyah's (bit fields, flags, order of errors) and leave the rest to the core. Capabilities are looked up again here:
 * between the caller's thread and the core another call may have changed them.
 */
import { assert } from '../../../bus/assert.js';
import type { Result } from '../../../bus/result.js';
import type { AttachmentType, CapabilityFault, ObjectFault } from '../../hypervisor/objects.protocol.js';
import { OBJECT_TYPE, type ObjectType, SOURCE, type Source } from '../../shared-state/objects/object-table.js';
import { CALL_BY_NUMBER, HYPERCALLS, type Hypercall } from './calls.js';
import type { Donation, GunyahCore, MapAccess, MapRange } from './core.js';
import { lookupSteps, type SlowAnswer } from './dispatch.js';
import { GUNYAH_ERROR } from './errors.js';
import { ALL_RIGHTS, RIGHT_ACTIVATE, RIGHTS } from './rights.js';

/** Who calls. */
export interface SlowCaller {
  /** Its capability space (object index). */
  readonly space: number;
}

const E = GUNYAH_ERROR;
/** The core's reasons in Gunyah's numbers. */
const FAULT: Readonly<Record<ObjectFault, number>> = {
  capNull: E.capNull,
  capRevoked: E.capRevoked,
  wrongType: E.wrongObjectType,
  noRight: E.insufficientRights,
  badState: E.objectState,
  spaceFull: E.cspaceFull,
  badArgument: E.argumentInvalid,
  badSize: E.argumentSize,
  badAlignment: E.argumentAlignment,
  noMemory: E.noMemory,
  noResource: E.noResources,
  overflow: E.addressOverflow,
  denied: E.denied,
  busy: E.busy,
  badConfig: E.objectConfig,
  bound: E.virqBound,
  notOwner: E.memdbNotOwner,
  mappingsFull: E.mappingsFull,
  wrongExtent: E.extentType,
  existingMapping: E.existingMapping,
  idle: E.idle,
  badAddress: E.addressInvalid,
  unimplemented: E.unimplemented,
};

interface Call {
  readonly core: GunyahCore;
  readonly space: number;
  /** Arguments truncated to the bits that are looked at. */
  readonly args: readonly bigint[];
  /** What capability arguments name, by position. */
  readonly objects: readonly number[];
}
type Handler = (call: Call) => SlowAnswer | Promise<SlowAnswer>;

const answer = (error: number, ...results: readonly bigint[]): SlowAnswer => ({ error, results });
const done = (result: Result<unknown, ObjectFault>): SlowAnswer => answer(result.ok ? E.ok : FAULT[result.error]);
const arg = ({ args }: Call, index: number): bigint => args[index] ?? 0n;
const num = (call: Call, index: number): number => Number(arg(call, index));
const object = ({ objects }: Call, index: number): number => objects[index] ?? 0;
/** `~0`: the capability id no capability has. */
const NO_CAPABILITY = 0xffff_ffff_ffff_ffffn;

/** 2.1: a new object with its master capability in the named space. */
const create =
  (type: ObjectType): Handler =>
  (call) => {
    const { objects } = call.core;
    const owner = objects.table.aux(object(call, 0));
    const made = objects.create(type, owner);
    if (!made.ok) return answer(E.noMemory, NO_CAPABILITY);
    const granted = objects.capabilities.grant(object(call, 1), made.value, ALL_RIGHTS, true);
    objects.unpin(made.value);
    return granted.ok ? answer(E.ok, granted.value.id) : answer(FAULT[granted.error], NO_CAPABILITY);
  };

const capability = (result: Result<{ readonly id: bigint }, CapabilityFault>): SlowAnswer =>
  result.ok ? answer(E.ok, result.value.id) : answer(FAULT[result.error]);

/** 2.6: virtual IRQ info: number in 23:0, vCPU index in 31:24 (private numbers only), the rest zero. */
function bind(call: Call, source: Source, virqArgument: number): SlowAnswer {
  const info = arg(call, virqArgument);
  if (info >> 24n !== 0n) return answer(E.argumentInvalid);
  return done(call.core.objects.bind(object(call, 0), source, object(call, 1), Number(info), true));
}
function unbind(call: Call, source: Source): SlowAnswer {
  call.core.objects.unbind(object(call, 0), source);
  return answer(E.ok);
}
/** The bindable virq types of a vCPU: 0 halt, 1 wake-up. */
const VCPU_SOURCES: readonly Source[] = [SOURCE.first, SOURCE.second];

// ---- putting VMs together: 2.2, 2.6, 2.7, 2.10 ----

const attach =
  (type: AttachmentType, of: number, thread: number, index?: number): Handler =>
  (call) =>
    done(
      call.core.assembly.attach(
        type,
        object(call, of),
        object(call, thread),
        index === undefined ? 0 : num(call, index),
      ),
    );
/** vic_configure: bit 0 the number of MSIs counts, bit 1 no default address. */
const VIC_OPTIONS = 3n;
const VIC_OPTION_MSIS = 1n;
/** virtio_mmio_configure: the device type counts. */
const VIRTIO_TYPE_VALID = 0x40n;
/** watchdog_manage: 0 freezes. */
const WATCHDOG_FREEZE_RESET = 1n;
const WATCHDOG_UNFREEZE = 2n;

/** vic_configure: the controller is not at the platform's addresses. */
const VIC_OPTION_MOVED = 2n;

/** A line that no handler of physical interrupts has: hyp/interfaces/vic/vic.ev says what it answers. */
const unhandledLine: Handler = () => answer(E.argumentInvalid);

/** A capability to something that only some hypervisors have: an MSI source, a DMA device. */
function otherObject(call: Call, index: number): SlowAnswer {
  const found = call.core.objects.capabilities.find(call.space, arg(call, index), 0, 0);
  return answer(found.ok ? E.wrongObjectType : FAULT[found.error]);
}

/** The one device that has registers to attach is an interrupt controller, as in the public hypervisor. */
function attachDevice(call: Call): SlowAnswer {
  const { capabilities } = call.core.objects;
  const found = capabilities.find(call.space, arg(call, 1), OBJECT_TYPE.vic, RIGHTS.vic.attachVdevice);
  if (!found.ok) return answer(FAULT[found.error]);
  const place = { base: arg(call, 3), bytes: arg(call, 4), flags: arg(call, 5) };
  return done(call.core.assembly.attachController(object(call, 0), found.value.object, num(call, 2), place));
}

// ---- 2.7 address spaces ----

const MAP_FLAGS = { partial: 1, private: 2, vmmio: 4, noSync: 0x8000_0000 } as const;
const MAP_FLAGS_KNOWN = MAP_FLAGS.partial | MAP_FLAGS.private | MAP_FLAGS.vmmio | MAP_FLAGS.noSync;
const PAGE_MASK = 0xfffn;
const ACCESS = { execute: 1, write: 2, read: 4 } as const;
/** Memory types that exist (2.7): those left out are reserved. */
const MEMORY_TYPES = new Set([0, 1, 2, 3, 5, 6, 7, 9, 10, 11, 13, 14, 15]);

/** Gunyah's access bits as stage-2 rights (read 1, write 2, execute 4), or undefined when the combination is not valid. */
function rightsOf(access: number): number | undefined {
  if (access === 3) return undefined; // write and execute without read
  const read = (access & ACCESS.read) !== 0 ? 1 : 0;
  return read | (access & ACCESS.write) | ((access & ACCESS.execute) << 2);
}

function accessOf(attributes: bigint, withType: boolean): MapAccess | undefined {
  const known = withType ? 0xff_0077n : 0x77n;
  if ((attributes & ~known) !== 0n) return undefined;
  const user = rightsOf(Number(attributes & 7n));
  const kernel = rightsOf(Number((attributes >> 4n) & 7n));
  const memoryType = Number((attributes >> 16n) & 0xffn);
  if (user === undefined || kernel === undefined || (withType && !MEMORY_TYPES.has(memoryType))) return undefined;
  return { user, kernel, memoryType };
}

function attributesOf({ kernel, user, memoryType }: MapAccess): bigint {
  const gunyah = (rights: number): number => ((rights & 1) !== 0 ? 4 : 0) | (rights & 2) | ((rights & 4) !== 0 ? 1 : 0);
  return BigInt(gunyah(user) | (gunyah(kernel) << 4) | (memoryType << 16));
}

/** Flags, base, offset and size of a mapping call; offset and size count only with the partial flag. */
function rangeOf(call: Call, flagsAt: number): MapRange | number {
  const flags = num(call, flagsAt);
  if ((flags & ~MAP_FLAGS_KNOWN) !== 0) return E.argumentInvalid;
  const base = arg(call, 2);
  const isPartial = (flags & MAP_FLAGS.partial) !== 0;
  const [offset, bytes] = isPartial ? [arg(call, flagsAt + 1), arg(call, flagsAt + 2)] : [0n, 0n];
  if (((base | offset | bytes) & PAGE_MASK) !== 0n) return E.argumentAlignment;
  if (base + bytes > NO_CAPABILITY || offset + bytes > NO_CAPABILITY) return E.addressOverflow;
  return {
    addrspace: object(call, 0),
    extent: object(call, 1),
    base,
    partial: isPartial ? { offset, bytes } : undefined,
  };
}

// ---- 2.8 memory extents ----

const MODIFY = { unmapAll: 0, zero: 1, clean: 2, flush: 3, syncAll: 255, noSync: 0x8000_0000 } as const;

async function modify(call: Call): Promise<SlowAnswer> {
  const flags = num(call, 1);
  const op = flags & 0xff;
  const noSync = flags >= MODIFY.noSync;
  if ((flags & 0x7fff_ff00) !== 0) return answer(E.argumentInvalid);
  const { memory } = call.core;
  const extent = object(call, 0);
  switch (op) {
    case MODIFY.unmapAll:
      return done(await memory.unmapAll(extent));
    case MODIFY.zero:
      return noSync ? done(memory.zero(extent, arg(call, 2), arg(call, 3))) : answer(E.argumentInvalid);
    case MODIFY.clean:
    case MODIFY.flush:
      // Our memory has no caches that a guest could see past.
      return answer(noSync ? E.ok : E.argumentInvalid);
    case MODIFY.syncAll:
      return answer(noSync ? E.argumentInvalid : E.ok);
    default:
      return answer(E.argumentInvalid);
  }
}

const DONATIONS: readonly Donation[] = ['toChild', 'toParent', 'toSibling', 'toProtected', 'fromProtected'];

async function donate(call: Call): Promise<SlowAnswer> {
  const options = num(call, 0);
  const direction = DONATIONS[options & 0xff];
  if ((options & 0x7fff_ff00) !== 0 || direction === undefined) return answer(E.argumentInvalid);
  const { capabilities } = call.core.objects;
  const ends: number[] = [];
  for (const index of [1, 2]) {
    const found = capabilities.find(call.space, arg(call, index), OBJECT_TYPE.memextent, RIGHTS.memextent.donate);
    if (!found.ok) return answer(FAULT[found.error]);
    ends.push(found.value.object);
  }
  const [from = 0, to = 0] = ends;
  const [offset, bytes] = [arg(call, 3), arg(call, 4)];
  if (bytes === 0n || offset + bytes > NO_CAPABILITY) return answer(E.argumentSize);
  if (((offset | bytes) & PAGE_MASK) !== 0n) return answer(E.argumentAlignment);
  return done(await call.core.memory.donate(direction, from, to, offset, bytes));
}

const EXTENT_ATTRIBUTES = 0x8003_0307;
/** vcpu_set_affinity: on no processor at all. */
const NO_PROCESSOR = 0xffff;
const PRIORITY_MAX = 62n;
const TIMESLICE_NS = { min: 100_000n, max: 100_000_000n } as const;
/** Defined bits of vcpu_configure: 0 to 5, 8, 9 and 63. */
const VCPU_OPTIONS = 0x8000_0000_0000_033fn;

const HANDLERS: Readonly<Record<number, Handler>> = {
  2: create('cspace'),
  3: create('addrspace'),
  4: create('memextent'),
  5: create('thread'),
  6: create('doorbell'),
  7: create('messageQueue'),
  9: create('watchdog'),
  10: create('vic'),
  11: create('powerGroup'),
  72: create('virtioMmio'),
  12: async (call) => done(await call.core.activate(object(call, 0))),
  13: async (call) => {
    const found = call.core.objects.capabilities.find(object(call, 0), arg(call, 1), 0, RIGHT_ACTIVATE, false);
    return found.ok ? done(await call.core.activate(found.value.object)) : answer(FAULT[found.error]);
  },
  34: (call) => {
    const deleted = call.core.objects.capabilities.delete(object(call, 0), arg(call, 1));
    if (!deleted.ok) return answer(E.capNull);
    call.core.objects.collect(deleted.value.object);
    return answer(E.ok);
  },
  35: (call) => {
    const { capabilities } = call.core.objects;
    return capability(
      capabilities.copy(object(call, 0), arg(call, 1), object(call, 2), Number(BigInt.asIntN(32, arg(call, 3)))),
    );
  },
  89: (call) => done(call.core.objects.capabilities.revokeOthers(object(call, 0), arg(call, 1))),
  37: (call) => done(call.core.objects.configureSpace(object(call, 0), num(call, 1))),
  16: (call) => bind(call, SOURCE.first, 2),
  17: (call) => unbind(call, SOURCE.first),
  23: (call) => bind(call, SOURCE.second, 2),
  24: (call) => bind(call, SOURCE.first, 2),
  25: (call) => unbind(call, SOURCE.second),
  26: (call) => unbind(call, SOURCE.first),
  33: (call) => {
    const info = arg(call, 1);
    if (info >> 32n !== 0n) return answer(E.argumentInvalid);
    const [depth, bytes] = [Number(info & 0xffffn), Number(info >> 16n)];
    return done(call.core.objects.configureQueue(object(call, 0), depth, bytes));
  },
  38: unhandledLine,
  39: unhandledLine,
  40: (call) => {
    const [options, msis] = [arg(call, 3), num(call, 4)];
    if (options > VIC_OPTIONS) return answer(E.argumentInvalid);
    const { assembly } = call.core;
    const isMsiValid = (options & VIC_OPTION_MSIS) !== 0n;
    const isMoved = (options & VIC_OPTION_MOVED) !== 0n;
    return done(assembly.configureVic(object(call, 0), num(call, 1), num(call, 2), isMsiValid ? msis : 0, isMoved));
  },
  41: attach('vic', 0, 1, 2),
  86: (call) => otherObject(call, 1),
  103: (call) => {
    const shifts = [num(call, 2), num(call, 3), num(call, 4), num(call, 5)];
    return done(call.core.assembly.mapMpidr(object(call, 0), arg(call, 1), shifts, num(call, 6) !== 0));
  },
  42: attach('addrspace', 0, 1),
  46: (call) => done(call.core.assembly.configureAddrspace(object(call, 0), num(call, 1))),
  47: (call) => otherObject(call, 1),
  98: attachDevice,
  91: (call) => done(call.core.assembly.configureInfoArea(object(call, 0), object(call, 1), arg(call, 2))),
  43: (call) => {
    const range = rangeOf(call, 4);
    const access = accessOf(arg(call, 3), true);
    if (typeof range === 'number') return answer(range);
    return access === undefined ? answer(E.argumentInvalid) : done(call.core.memory.map(range, access));
  },
  44: async (call) => {
    const range = rangeOf(call, 3);
    return typeof range === 'number' ? answer(range) : done(await call.core.memory.unmap(range));
  },
  45: async (call) => {
    const range = rangeOf(call, 4);
    const access = accessOf(arg(call, 3), false);
    if (typeof range === 'number') return answer(range);
    return access === undefined ? answer(E.argumentInvalid) : done(await call.core.memory.updateAccess(range, access));
  },
  90: (call) => {
    const [base, bytes] = [arg(call, 2), arg(call, 3)];
    if (((base | bytes) & PAGE_MASK) !== 0n) return answer(E.argumentAlignment);
    const found = call.core.memory.lookup(object(call, 0), object(call, 1), base, bytes);
    if (!found.ok) return answer(FAULT[found.error]);
    return answer(E.ok, found.value.offset, found.value.bytes, attributesOf(found.value.access));
  },
  96: (call) => {
    const [base, bytes, op] = [arg(call, 1), arg(call, 2), arg(call, 3)];
    if (((base | bytes) & PAGE_MASK) !== 0n) return answer(E.argumentAlignment);
    if (bytes === 0n) return answer(E.argumentSize);
    if (base + bytes > NO_CAPABILITY) return answer(E.addressOverflow);
    if (op === 0n) return done(call.core.memory.addVmmio(object(call, 0), base, bytes));
    return op === 1n ? done(call.core.memory.removeVmmio(object(call, 0), base, bytes)) : answer(E.argumentInvalid);
  },
  48: modify,
  49: (call) => {
    const attributes = num(call, 3);
    if ((attributes & ~EXTENT_ATTRIBUTES) !== 0) return answer(E.argumentInvalid);
    return done(call.core.memory.configureExtent(object(call, 0), arg(call, 1), arg(call, 2), attributes));
  },
  50: (call) => {
    const attributes = num(call, 4);
    if ((attributes & ~EXTENT_ATTRIBUTES) !== 0) return answer(E.argumentInvalid);
    const { memory } = call.core;
    return done(memory.deriveExtent(object(call, 0), object(call, 1), arg(call, 2), arg(call, 3), attributes));
  },
  97: donate,
  52: (call) => {
    const options = arg(call, 1);
    if ((options & ~VCPU_OPTIONS) !== 0n) return answer(E.argumentInvalid);
    return done(call.core.processors.configure(object(call, 0), options));
  },
  58: (call) => done(call.core.processors.kill(object(call, 0))),
  62: attach('cspace', 0, 1),
  61: (call) => {
    const cpu = num(call, 1);
    if (cpu === NO_PROCESSOR) {
      const rights = RIGHTS.thread.affinity | RIGHTS.thread.disable;
      const found = call.core.objects.capabilities.find(call.space, arg(call, 0), OBJECT_TYPE.thread, rights, false);
      if (!found.ok) return answer(FAULT[found.error]);
    }
    return done(call.core.processors.setAffinity(object(call, 0), cpu));
  },
  70: (call) => {
    const priority = arg(call, 1);
    return priority > PRIORITY_MAX
      ? answer(E.denied)
      : done(call.core.processors.setPriority(object(call, 0), Number(priority)));
  },
  71: (call) => {
    const ns = arg(call, 1);
    if (ns < TIMESLICE_NS.min || ns > TIMESLICE_NS.max) return answer(E.argumentInvalid);
    return done(call.core.processors.setTimeslice(object(call, 0), ns));
  },
  92: (call) => {
    const source = VCPU_SOURCES[num(call, 3)];
    return source === undefined ? answer(E.argumentInvalid) : bind(call, source, 2);
  },
  93: (call) => {
    const source = VCPU_SOURCES[num(call, 1)];
    return source === undefined ? answer(E.argumentInvalid) : unbind(call, source);
  },
  100: async (call) =>
    done(await call.core.processors.writeRegister(object(call, 0), num(call, 1), num(call, 2), arg(call, 3))),
  67: (call) => bind(call, SOURCE.first, 2),
  68: (call) => unbind(call, SOURCE.first),
  102: (call) => {
    const flags = arg(call, 1);
    return flags > 1n
      ? answer(E.unimplemented)
      : done(call.core.assembly.configureGroup(object(call, 0), Number(flags)));
  },
  60: attach('powerGroup', 0, 1, 2),
  64: attach('watchdog', 0, 1),
  88: (call) => {
    const flags = arg(call, 1);
    return flags > 1n
      ? answer(E.argumentInvalid)
      : done(call.core.assembly.configureWatchdog(object(call, 0), Number(flags)));
  },
  99: (call) => {
    const op = arg(call, 1);
    if (op > WATCHDOG_UNFREEZE) return answer(E.argumentInvalid);
    const [freeze, reset] = [op !== WATCHDOG_UNFREEZE, op === WATCHDOG_FREEZE_RESET];
    return done(call.core.assembly.freezeWatchdog(object(call, 0), freeze, reset));
  },
  65: (call) => {
    const flags = arg(call, 3);
    return flags > 1n ? answer(E.argumentInvalid) : bind(call, flags === 1n ? SOURCE.second : SOURCE.first, 2);
  },
  // The source of the device's side interrupts the driver's VM, and that of the driver's side the device's.
  73: (call) => {
    const type = (arg(call, 3) & VIRTIO_TYPE_VALID) === 0n ? 0 : num(call, 4);
    if (type === 0 && (arg(call, 3) & VIRTIO_TYPE_VALID) !== 0n) return answer(E.argumentInvalid);
    return done(call.core.assembly.configureVirtio(object(call, 0), object(call, 1), num(call, 2), type));
  },
  74: (call) => bind(call, SOURCE.second, 2),
  75: (call) => unbind(call, SOURCE.second),
  76: (call) => bind(call, SOURCE.first, 2),
  77: (call) => unbind(call, SOURCE.first),
  66: (call) => {
    const flags = arg(call, 1);
    return flags > 1n ? answer(E.argumentInvalid) : unbind(call, flags === 1n ? SOURCE.second : SOURCE.first);
  },
};

for (const { n, name, path } of HYPERCALLS) {
  assert((path === 'slow') === (HANDLERS[n] !== undefined), `${name} is ${path}`);
}

const truncate = (call: Hypercall, raw: readonly bigint[]): readonly bigint[] =>
  call.args.map(({ bits }, index) => BigInt.asUintN(bits, raw[index] ?? 0n));

/** Carries out slow call `n` for `caller`. Never throws for what a guest may ask. */
export async function slowCall(
  core: GunyahCore,
  caller: SlowCaller,
  n: number,
  raw: readonly bigint[],
): Promise<SlowAnswer> {
  const row = CALL_BY_NUMBER[n];
  if (row === undefined || row.path !== 'slow') return answer(E.unimplemented);
  const objects: number[] = [];
  for (const { index, type, rights, activeOnly } of lookupSteps(row)) {
    const found = core.objects.capabilities.find(caller.space, raw[index] ?? 0n, type, rights, activeOnly);
    if (!found.ok) return answer(FAULT[found.error]);
    objects[index] = found.value.object;
  }
  const handler = HANDLERS[n];
  assert(handler !== undefined, `${row.name} has a handler`);
  return handler({ core, space: caller.space, args: truncate(row, raw), objects });
}
