/** Small parts that connect a vCPU with what is around it. */
import { assert } from '../../bus/assert.js';
import { Parking } from '../../bus/doorbell/parking.js';
import { QueueSender } from '../../bus/message-queue/queue-sender.js';
import { TraceWriter } from '../../bus/tap/trace.js';
import type { CoreOptions } from '../../cpu/core.js';
import type { CpuState } from '../../cpu/cpu-state.js';
import type { BackgroundCompiler, FinishedBatch } from '../../cpu/jit/jit.js';
import { STATE } from '../../cpu/state.js';
import type { MachineHelpers } from '../../cpu/sysreg/peripherals.js';
import type { PsciServices } from '../abi/psci/psci.js';
import { type ObjectEnd, ObjectPort } from '../runtime/object-channel.js';
import type { Clock } from '../runtime/services.js';
import { CAPABILITY_SLOT, CapabilityReader } from '../shared-state/capabilities/capability-space.js';
import type { Gic } from '../shared-state/gic/gic.js';
import { GICD_BYTES, GICR_BYTES, GicRegisters } from '../shared-state/gic/gic-mmio.js';
import type { FrontEndServices } from '../shared-state/mmio/front-end.js';
import { ObjectTable, SOURCE, type Source } from '../shared-state/objects/object-table.js';
import { lockOwner, type Ports } from '../shared-state/objects/ports.js';
import { STAGE2_RIGHTS, type Stage2Reader } from '../shared-state/stage2/stage2-map.js';
import { ControllerWindows } from '../shared-state/vm/controller-windows.js';
import { STOP, VM_CPUS_MAX, VmBlock } from '../shared-state/vm/vm-block.js';
import type { TranslationRequest } from '../translator/translator.protocol.js';
import { COUNTER_HZ, type GenericTimer } from './generic-timer.js';
import { type GicCode, gicCode } from './gic-code.js';
import type { GuestMemory } from './guest-memory.js';
import { queueCallsCode } from './queue-calls-code.js';
import { kindsOf, VcpuTracer } from './tracer.js';
import type { TracePlace, VcpuConfig } from './vcpu.protocol.js';
import type { VcpuThread } from './vcpu-thread.js';

/** Puts the interrupt controller where it lies in the VM's address space; `changed` after each write to it. */
export function placeController(
  into: GuestMemory,
  gic: Gic,
  block: VmBlock,
  { memory, gic: at }: VcpuConfig,
  changed: () => void,
): void {
  into.addGic(new GicRegisters(gic), at, block.cpus, changed, new ControllerWindows(memory.buffer, block));
}

/** The device whose registers lie at `ipa`, for traces. */
export function deviceName({ gic, frontEnds, memory, ticket }: VcpuConfig, ipa: number): string {
  const found = frontEnds.find(({ base, sizeBytes }) => ipa >= base && ipa < base + sizeBytes);
  if (found !== undefined) return /([a-z0-9-]+)\.front-end/.exec(found.module)?.[1] ?? found.module;
  const moved = new ControllerWindows(memory.buffer, { at: ticket.block });
  const window = moved.at(ipa);
  if (window !== undefined) return window.index === 0 ? 'gicd' : 'gicr';
  if (moved.isMoved) return 'nothing';
  if (ipa >= gic.distributor && ipa < gic.distributor + GICD_BYTES) return 'gicd';
  return ipa >= gic.redistributors && ipa < gic.redistributors + VM_CPUS_MAX * GICR_BYTES ? 'gicr' : 'nothing';
}

/** `clock`, which may not store what it shows by itself. */
function storing({ monotonicMs, storeMs }: Clock): (into: Float64Array) => void {
  const store = (into: Float64Array): void => {
    into[0] = monotonicMs();
  };
  return storeMs ?? store;
}

/** The clock and the timers as turns see them; `poll`: a timer is due. */
export function turnClock(clock: Clock, timer: GenericTimer, poll: () => void) {
  const shows = new Float64Array(2);
  const store = storing(clock);
  return {
    shows,
    look(): void {
      store(shows);
      timer.storeDue(shows);
    },
    attends(): void {
      if (shows[1]! > 0) return;
      poll();
      timer.storeDue(shows);
    },
  };
}

/** Reads the guest's counter (SystemPeripherals.counter); `looked` is told what the clock shows. No number is handed on: it might be an object. */
export function guestCounter(
  clock: Clock,
  timer: GenericTimer,
  looked: (nowMs: Float64Array) => void,
): (state: CpuState) => void {
  const nowMs = new Float64Array(1);
  const store = storing(clock);
  return (state) => {
    store(nowMs);
    looked(nowMs);
    timer.store(nowMs, state, STATE.scratch);
  };
}

/** The VM's translator as the JIT sees it. */
export function compilerBehind(end: ObjectEnd): BackgroundCompiler {
  const port = new ObjectPort<TranslationRequest, FinishedBatch>(end);
  return {
    send: (ticket, entries) => port.send({ ticket, entries }),
    receive: () => port.take(),
  };
}

/** What writes down what the vCPU does, with the times of its own counter. */
export function makeTracer(place: TracePlace, index: number, ticks: () => number, state: () => CpuState): VcpuTracer {
  const sender = QueueSender.attach(place.queue, { owner: index + 1 });
  assert(sender.ok, 'the trace queue is formatted');
  const nowNs = (): number => Math.round((ticks() / COUNTER_HZ) * 1e9);
  return new VcpuTracer(
    new TraceWriter({ queue: sender.value, who: `cpu${index}`, nowNs }),
    kindsOf(place.kinds),
    state,
  );
}

/** How a front end has the core change a mapping, in the middle of a guest's access: the vCPU counts as outside then (ADR 71). */
function rightsAsker(
  { core, ticket: { partition, index } }: VcpuConfig,
  thread: VcpuThread,
  block: VmBlock,
  drain: () => void,
): FrontEndServices['setRights'] {
  return (ipa, bytes, rights) => {
    assert(core !== undefined, 'a vCPU whose devices change mappings knows the core');
    block.setOutside(index, true);
    const done = thread.setRights(core, { partition, ipa, bytes, rights });
    block.setOutside(index, false);
    drain();
    assert(done || block.stop !== STOP.none, 'the core changes the rights of a mapping it made');
  };
}

/** What the front ends of one vCPU's thread may touch. `drain`: does what others have asked of it. */
export function servicesOf(
  config: VcpuConfig,
  thread: VcpuThread,
  block: VmBlock,
  gic: Gic,
  drain: () => void,
): FrontEndServices {
  const cpu = config.ticket.index;
  return {
    setLine: (intid, level) => gic.setLine(intid, level),
    setRights: rightsAsker(config, thread, block, drain),
    ...{ ring: thread.ring, isAwake: thread.isAwake, unixSeconds: () => thread.clock.unixSeconds() },
    ...{ cpu, self: () => block.actorOf(cpu) },
  };
}

/** The interrupt controller's CPU interface inside generated code; `changed`: the interrupt lines are to be looked at. */
export function interruptCode(
  { memory, ticket }: VcpuConfig,
  { read, write }: MachineHelpers,
  changed: () => void,
): GicCode {
  const words = new Int32Array(memory.buffer);
  const attend = (): number => {
    changed();
    return 0;
  };
  const wakeNext = (address: number): void => void Atomics.notify(words, address >>> 2, 1);
  const posted = new VmBlock(memory.buffer, ticket.block).postedAt(ticket.index);
  const places = { state: ticket.area, gic: ticket.gic, cpu: ticket.index, posted };
  return gicCode(memory, places, { read, write, attend, wakeNext });
}

/** HVC inside generated code, of a VM under the Gunyah ABI; `ports` are known by the first call. */
export function queueCalls(
  { gunyah, memory, ticket }: VcpuConfig,
  ports: () => Ports | undefined,
  ring: (actor: number) => void,
): CoreOptions['hypercall'] {
  if (gunyah === undefined) return undefined;
  const { table, space } = gunyah;
  const { slots } = new CapabilityReader(memory.buffer, space, new ObjectTable(memory.buffer, table));
  const owner = lockOwner(ticket.partition, ticket.index);
  const places = { state: ticket.area, table, slotsAt: space + CAPABILITY_SLOT.first, slots, owner };
  const words = new Int32Array(memory.buffer);
  const sourceOf = (source: number): Source => (source === SOURCE.first ? SOURCE.first : SOURCE.second);
  return (other) =>
    queueCallsCode(memory, places, {
      other,
      ring: (actor) => ring(actor >>> 0),
      edge: (object, source) => ports()?.assert(object, sourceOf(source), true),
      unpark: (address) => new Parking(words, address >>> 2).unpark(),
      wakeNext: (address) => void Atomics.notify(words, address >>> 2, 1),
    });
}

/** What PSCI asks of a VM's other processors and its memory. */
export function powerServices(
  block: VmBlock,
  stage2: Stage2Reader,
  gic: Gic,
  wake: (cpu: number) => void,
  prepare: (cpu: number) => void,
): Pick<PsciServices, 'cpuOf' | 'power' | 'powerOn' | 'isMemory'> {
  return {
    // What the controller says of its processors is what their MPIDR_EL1 says.
    cpuOf: (mpidr) => (mpidr < 1n << 24n ? gic.cpuOf(Number(mpidr)) : -1),
    power: (cpu) => block.power(cpu),
    powerOn: (cpu, entry, context) => {
      const done = block.powerOn(cpu, entry, context, 0, () => prepare(cpu));
      if (done) wake(cpu);
      return done;
    },
    isMemory: (ipa) => ipa < 1n << 48n && stage2.frame(Number(ipa >> 12n), STAGE2_RIGHTS.execute) >= 0,
  };
}
