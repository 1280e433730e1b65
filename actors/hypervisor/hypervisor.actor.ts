/**
 * The hypervisor core: the only writer of the frame ledger and of stage-2 maps. It owns the machine's memory, one shared
 * WebAssembly.Memory, and is driven through the partition interface (partition.protocol.ts) alone.
 *
 * Memory: frame 0 is never used (address 0 means "nothing"), the ledger follows, then the pool.
 */

import { err, ok, type Result } from '../../bus/result.js';
import { HYP_PAGE_BYTES } from '../../bus/units.js';
import { type ActorContext, actor, actorKind } from '../runtime/actor.js';
import { MACHINE_HANDLER_BUDGET_MS } from '../runtime/limits.js';
import type { ActorRef, AskFailure } from '../runtime/protocol.js';
import { FrameLedger } from '../shared-state/frames/frame-ledger.js';
import { POWER, STOP, VM_WINDOWS_MAX } from '../shared-state/vm/vm-block.js';
import { Extents } from './extents.js';
import { FramePool } from './frame-pool.js';
import { GuestCore, type SetRegister } from './guest-core.js';
import { GuestMadeVms } from './guest-made-vms.js';
import { hypervisorPlacement } from './hypervisor.placement.js';
import { KernelObjects } from './kernel-objects.js';
import { parcelVerbs } from './parcel-verbs.js';
import { Parcels } from './parcels.js';
import { Partition } from './partition.js';
import { type PartitionFault, VP_STATE_TYPES } from './partition.protocol.js';
import type { CoreProtocol } from './port.protocol.js';
import { type PortState, portVerbs } from './port-verbs.js';
import type { ProcessorProtocol } from './processor.protocol.js';
import { ProcessorOrders, type ProcessorPlace } from './processor-orders.js';
import { ProxiedRuns, proxiedVerbs } from './proxied-verbs.js';

/** What the core is started with. */
export interface HypervisorConfig {
  /** The machine's memory; nobody else has written to it. */
  readonly memory: { readonly buffer: SharedArrayBuffer };
  /** How many vCPUs of VMs with objects execute guest code at once, 1 to 31; absent: all that want to. */
  readonly runTokens?: number;
  /** Who starts workers for processors that guests' hypercalls make; absent: nobody, and they do not run. */
  readonly processors?: ProcessorPlace;
}

interface HypervisorState {
  readonly pool: FramePool;
  readonly frames: number;
  readonly memory: SharedArrayBuffer;
  readonly partitions: Map<number, Partition>;
  readonly ports: PortState['ports'];
  readonly parcels: Parcels;
  readonly proxied: ProxiedRuns;
  readonly self: number;
  readonly numbers: PartitionNumbers;
  readonly orders: ProcessorOrders | undefined;
}

/** The partitions there are, and how the next is numbered. */
interface PartitionNumbers {
  readonly partitions: Map<number, Partition>;
  next: number;
}

type Context = ActorContext<CoreProtocol>;

const LEDGER_AT = 64 * 1024;
const PARTITIONS_MAX = 0xffff;
/** How long processors may take to acknowledge before a withdrawal is reported as failed, in milliseconds. */
const ACKNOWLEDGE_MS_MAX = 2_000;
/** A processor's thread is told at once when it dies; until then it is only slow, as on a host with too much to do. */
const PROCESSOR_ASK = { timeoutMs: 8_000 } as const;
/** Calls with the most registers (128 codes and 128 values of 16 bytes), or a parcel of 512 ranges. */
const MESSAGE_BYTES_MAX = 16_384;
/** How long a thread of a VM that has ended may still be inside a hypercall, in milliseconds. */
const STOPPED_MS_MAX = 100;

/** A partition with a number that no other has; undefined: there are too many. */
function numberPartition(numbers: PartitionNumbers, make: (number: number) => Partition): Partition | undefined {
  const { partitions } = numbers;
  if (partitions.size >= PARTITIONS_MAX) return undefined;
  while (partitions.has(numbers.next)) numbers.next = (numbers.next % PARTITIONS_MAX) + 1;
  const partition = make(numbers.next);
  partitions.set(partition.number, partition);
  numbers.next = (partition.number % PARTITIONS_MAX) + 1;
  return partition;
}

function find(state: HypervisorState, partition: number): Result<Partition, PartitionFault> {
  const found = state.partitions.get(partition);
  return found === undefined ? err('noPartition') : ok(found);
}

/** The shared parts of a partition that has processor `index`. */
function processorOf(state: HypervisorState, partition: number, index: number) {
  const found = find(state, partition);
  return found.ok ? found.value.processor(index) : found;
}

/** The actor that runs a processor. */
function threadOf(
  state: HypervisorState,
  partition: number,
  index: number,
): Result<ActorRef<ProcessorProtocol>, PartitionFault> {
  const parts = processorOf(state, partition, index);
  if (!parts.ok) return parts;
  const number = parts.value.block.actorOf(index);
  return number === 0 ? err('badState') : ok({ actor: number });
}

/** A processor's refusal as the core's; a thread that is gone or does not answer has not acknowledged. */
function toFault<T>(answer: Result<T, PartitionFault | AskFailure<unknown>>): Result<T, PartitionFault> {
  if (answer.ok) return answer;
  return err(typeof answer.error === 'string' ? answer.error : 'notAcknowledged');
}

/** Waits until `done`, looking every millisecond. */
async function until(context: Pick<Context, 'clock' | 'after'>, done: () => boolean): Promise<boolean> {
  const end = context.clock.monotonicMs() + ACKNOWLEDGE_MS_MAX;
  while (!done()) {
    if (context.clock.monotonicMs() > end) return false;
    await new Promise<void>((resolve) => context.after(1, resolve));
  }
  return true;
}

/** Asks every processor to drop what it holds of the stage-2 map, and waits for all of them and for devices inside their windows. */
async function flushStage2(partition: Partition, context: Context): Promise<boolean> {
  const parts = partition.parts;
  if (parts === undefined) return true;
  const { block, wake } = parts;
  const asked: number[] = [];
  for (let cpu = 0; cpu < block.cpus; cpu++) {
    block.request(cpu, 'stage2', 0, 0);
    asked[cpu] = block.requested(cpu);
    wake(cpu);
  }
  const turns = Array.from({ length: VM_WINDOWS_MAX }, (_, window) => block.windowTurns(window));
  return until(
    context,
    () =>
      asked.every((count, cpu) => block.isDone(cpu, count)) &&
      turns.every((count, window) => block.hasLeft(window, count)),
  );
}

/** Objects and capabilities, made when first asked for; and how their threads are waited for. */
function makePorts(
  memory: SharedArrayBuffer,
  pool: FramePool,
  numbers: PartitionNumbers,
  ledger: FrameLedger,
  runTokens: number,
  orders: ProcessorOrders | undefined,
  context: Context,
): PortState['ports'] {
  const { partitions } = numbers;
  let made: GuestCore | undefined;
  let extents: Extents | undefined;
  let vms: GuestMadeVms | undefined;
  const ring = (number: number): void => context.ring({ actor: number }, 1);
  const core = (): GuestCore | undefined => {
    if (made !== undefined) return made;
    const kernel = KernelObjects.create(memory, pool, ring);
    if (kernel === undefined) return undefined;
    const flush = (partition: Partition): Promise<boolean> => flushStage2(partition, context);
    const lose = (extent: number): void => kernel.loseExtent(extent);
    extents = new Extents(memory, ledger, kernel.table, partitions, flush, lose);
    const setRegister: SetRegister = async (number, code, value) => {
      const thread: ActorRef<ProcessorProtocol> = { actor: number };
      const values = new Uint8Array(16);
      new DataView(values.buffer).setBigUint64(0, value, true);
      return (await context.ask(thread, 'setRegisters', { names: [code], values }, PROCESSOR_ASK)).ok;
    };
    if (orders !== undefined) {
      vms = new GuestMadeVms({
        ...{ memory, kernel, extents, host: orders, ring },
        newPartition: () => numberPartition(numbers, (number) => new Partition(number, memory, pool, ring)),
        dropPartition: (number) => void partitions.delete(number),
        areaBytes: (owner) => partitions.get(owner)?.areaBytes ?? 0,
        leave: (thread) => made?.leaveTokens(thread),
        ended: () => void ports.settle(),
      });
    }
    const nowMs = (): number => context.clock.monotonicMs();
    made = new GuestCore(kernel, memory, ring, extents, setRegister, nowMs, vms);
    kernel.tokens.format(runTokens);
    return made;
  };
  const ports: PortState['ports'] = {
    core,
    existing: () => made,
    vms: () => vms,
    collectMemory: () => extents?.collect() ?? Promise.resolve(true),
    extents: () => extents,
    forgetMemory: (partition) => extents?.forget(partition) ?? Promise.resolve(true),
    async settle() {
      if (vms?.isEnding === true) return true; // comes again when they have ended
      const [retired, dead] = [made?.objects.takeRetired() ?? [], vms?.takeDead() ?? []];
      const waits: (() => boolean)[] = [];
      const patience = context.clock.monotonicMs() + STOPPED_MS_MAX;
      for (const { parts } of partitions.values()) {
        if (parts === undefined) continue;
        const { block, wake } = parts;
        for (let cpu = 0; cpu < block.cpus; cpu++) {
          block.request(cpu, 'quiesce', 0, 0);
          const count = block.requested(cpu);
          // The thread of a VM that has ended may be dead, and then never says anything.
          const isOver = (): boolean => block.stop !== STOP.none && context.clock.monotonicMs() > patience;
          waits.push(() => block.isDone(cpu, count) || isOver());
          wake(cpu);
        }
      }
      const isDone = await until(context, () => waits.every((isOver) => isOver()));
      made?.objects.giveBack(retired, isDone);
      vms?.giveBack(dead, isDone);
      return isDone && ((await extents?.collect()) ?? true);
    },
  };
  return ports;
}

const hypervisor = actor<HypervisorConfig, CoreProtocol, HypervisorState>({
  name: 'hypervisor',
  mailboxMax: 64,
  messageBytesMax: MESSAGE_BYTES_MAX,
  handlerBudgetMs: MACHINE_HANDLER_BUDGET_MS,
  supervision: { strategy: 'one-for-one', restartsMax: 0, withinMs: 1_000, otherwise: 'stop' },
  start({ memory, runTokens = 0, processors }, context) {
    const { buffer } = memory;
    const frames = buffer.byteLength / HYP_PAGE_BYTES;
    const ledger = new FrameLedger(buffer, LEDGER_AT, frames);
    const from = Math.ceil((LEDGER_AT + FrameLedger.bytes(frames)) / LEDGER_AT) * LEDGER_AT;
    ledger.move(0, from / HYP_PAGE_BYTES, { owner: 0, state: 'free' }, { owner: 0, state: 'core' });
    const pool = new FramePool(buffer, ledger, from, buffer.byteLength);
    const partitions = new Map<number, Partition>();
    const numbers = { partitions, next: 1 };
    const orders = processors && new ProcessorOrders(processors);
    const ports = makePorts(buffer, pool, numbers, ledger, runTokens, orders, context);
    const parcels = new Parcels(buffer, ledger, (partition) => flushStage2(partition, context));
    const [proxied, self] = [new ProxiedRuns(), context.self.actor];
    return ok({ pool, frames, memory: buffer, partitions, ports, parcels, proxied, self, numbers, orders });
  },
  on: {
    createPartition(state, _, context) {
      const ring = (number: number): void => context.ring({ actor: number }, 1);
      const made = numberPartition(state.numbers, (number) => new Partition(number, state.memory, state.pool, ring));
      return made === undefined ? err('noMemory') : ok({ partition: made.number });
    },
    setProperty(state, { partition, property, value }) {
      const found = find(state, partition);
      return found.ok ? found.value.setProperty(property, value) : found;
    },
    getProperty(state, { partition, property }) {
      const found = find(state, partition);
      if (!found.ok) return found;
      const value = found.value.property(property);
      return value.ok ? ok({ value: value.value }) : value;
    },
    initializePartition(state, { partition }) {
      const found = find(state, partition);
      if (!found.ok) return found;
      const parts = found.value.initialize();
      if (!parts.ok) return parts;
      const { block, stage2At, gicAt } = parts.value;
      return ok({ block: block.at, stage2: stage2At, gic: gicAt });
    },
    mapGuestMemory(state, { partition, ipa, bytes, rights }) {
      const found = find(state, partition);
      if (!found.ok) return found;
      const mapped = found.value.map(ipa, bytes, rights);
      return mapped.ok ? ok({ extents: mapped.value }) : mapped;
    },
    async unmapGuestMemory(state, { partition, ipa, bytes }, context) {
      const found = find(state, partition);
      if (!found.ok) return found;
      const withdrawn = found.value.withdraw(ipa, bytes);
      if (!withdrawn.ok) return withdrawn;
      if (!(await flushStage2(found.value, context))) return err('notAcknowledged');
      found.value.release(withdrawn.value);
      return ok();
    },
    async setGuestMemoryRights(state, { partition, ipa, bytes, rights }, context) {
      const found = find(state, partition);
      if (!found.ok) return found;
      const set = found.value.setRights(ipa, bytes, rights);
      if (!set.ok) return set;
      return (await flushStage2(found.value, context)) ? ok() : err('notAcknowledged');
    },
    createVp(state, { partition, index }) {
      const found = find(state, partition);
      return found.ok ? found.value.createVp(index) : found;
    },
    attachVp(state, { partition, index, actor: number }) {
      const parts = processorOf(state, partition, index);
      if (!parts.ok) return parts;
      const { block } = parts.value;
      if (block.actorOf(index) !== 0) return err('badState');
      if (!Number.isInteger(number) || number <= 0) return err('badArgument');
      block.bindActor(index, number);
      return ok();
    },
    async getVpRegisters(state, { partition, index, names }, context) {
      const thread = threadOf(state, partition, index);
      if (!thread.ok) return thread;
      return toFault(await context.ask(thread.value, 'getRegisters', { names }, PROCESSOR_ASK));
    },
    async setVpRegisters(state, { partition, index, names, values }, context) {
      const thread = threadOf(state, partition, index);
      if (!thread.ok) return thread;
      return toFault(await context.ask(thread.value, 'setRegisters', { names, values }, PROCESSOR_ASK));
    },
    getVpState(state, { partition, index, type }) {
      const parts = processorOf(state, partition, index);
      if (!parts.ok) return parts;
      if (type !== VP_STATE_TYPES.interruptController) return err('badArgument');
      return ok({ bytes: parts.value.gic.readPrivate(index) });
    },
    setVpState(state, { partition, index, type, bytes }) {
      const parts = processorOf(state, partition, index);
      if (!parts.ok) return parts;
      if (type !== VP_STATE_TYPES.interruptController) return err('badArgument');
      if (parts.value.block.power(index) === POWER.on) return err('badState');
      return parts.value.gic.writePrivate(index, bytes) ? ok() : err('badArgument');
    },
    async runVp(state, { partition, index }, context) {
      const thread = threadOf(state, partition, index);
      if (!thread.ok) return thread;
      if (index !== 0) return ok();
      return toFault(await context.ask(thread.value, 'start', {}, PROCESSOR_ASK));
    },
    async finalizePartition(state, { partition }, context) {
      const found = find(state, partition);
      if (!found.ok) return found;
      found.value.stop();
      state.proxied.rang();
      const parts = found.value.parts;
      if (parts === undefined) return ok();
      const { block } = parts;
      const asked = Array.from({ length: block.cpus }, (_, cpu) => (block.requested(cpu) + 1) | 0);
      const quiet = await until(context, () => asked.every((count, cpu) => block.isDone(cpu, count)));
      state.ports.existing()?.stopScheduling(partition);
      return quiet ? ok() : err('notAcknowledged');
    },
    async deletePartition(state, { partition }) {
      const found = find(state, partition);
      if (!found.ok) return found;
      if (!found.value.deletable) return err('badState');
      if (!(await state.parcels.forget(found.value))) return err('notAcknowledged');
      if (!(await state.ports.forgetMemory(found.value))) return err('notAcknowledged');
      if (state.ports.existing()?.of(partition) !== undefined) {
        state.ports.existing()?.forget(partition);
        await state.ports.vms()?.settled();
        if (!(await state.ports.settle())) return err('notAcknowledged');
      }
      state.partitions.delete(partition);
      return ok({ framesReturned: found.value.free() });
    },
    assertInterrupt(state, { partition, intid, level }) {
      const found = find(state, partition);
      if (!found.ok) return found;
      if (found.value.parts === undefined) return err('badState');
      if (!Number.isInteger(intid) || intid < 32 || intid >= found.value.parts.gic.interrupts)
        return err('badArgument');
      found.value.parts.gic.setLine(intid, level);
      return ok();
    },
    ...portVerbs,
    ...parcelVerbs,
    ...proxiedVerbs,
    census(state) {
      const { pool, frames, partitions } = state;
      const kernel = state.ports.existing()?.objects;
      const [objects, capabilities] = [kernel?.count ?? 0, kernel?.capabilities.total ?? 0];
      return ok({ freeFrames: pool.freeFrames, frames, partitions: partitions.size, objects, capabilities });
    },
  },
  rang(state) {
    state.orders?.rang();
    state.proxied.rang();
  },
});
export default hypervisor;

/** How its worker is made. */
export const hypervisorKind = actorKind(hypervisor, hypervisorPlacement);
