/**
 * The machine builder: drives the hypervisor core through its partition interface, places the boot images, and gives every
 * virtual processor and device a worker. It is what a VMM is on mshv; the core knows neither devices nor files.
 */

import type { Profile } from '../../actors/abi/gunyah/identity.js';
import { VMID } from '../../actors/resource-manager/rm-messages.js';
import type { SpawnFailure } from '../../actors/runtime/actor.js';
import type { FileToken } from '../../actors/runtime/files.js';
import { createObjectChannel } from '../../actors/runtime/object-channel.js';
import type { ActorRef } from '../../actors/runtime/protocol.js';
import type { ActorSystem } from '../../actors/runtime/system.js';
import { bundleOf } from '../../actors/runtime/worker-files.js';
import { ByteStream, createByteStream } from '../../actors/shared-state/byte-stream/byte-stream.js';
import { Gic } from '../../actors/shared-state/gic/gic.js';
import type { FrontEndPlace } from '../../actors/shared-state/mmio/front-end.js';
import { STOP, type Stop, VmBlock, waker } from '../../actors/shared-state/vm/vm-block.js';
import { translatorKind } from '../../actors/translator/translator.actor.js';
import type { TracePlace, VcpuProtocol, VcpuStatistics } from '../../actors/vcpu/vcpu.protocol.js';
import { err, ok, type Result } from '../../bus/result.js';
import type { CodeBudget } from '../../cpu/jit/region-store.js';
import { features } from '../../cpu/wasm/features.js';
import type { BootPlan } from '../../devices/machine/boot-plan.js';
import type { MachineDescription } from '../../devices/machine/description.js';
import { MEMORY_MAP, POWER_BUTTON_LINE, spiToIntid } from '../../devices/machine/memory-map.js';
import { Pl061 } from '../../devices/power-button/pl061.js';
import { createSharedRegisters, SharedRegisters } from '../../devices/registers/shared-registers.js';
import type { ConsoleProtocol } from '../../devices/uart/console.actor.js';
import type { UartConfig } from '../../devices/uart/uart.config.js';
import type { BalloonState } from '../../devices/virtio-balloon/virtio-balloon.actor.js';
import { BuildFailure, HostRefusal } from '../host/core-client.js';
import { bootRegisters, type Foundation, mapMemory, newPartition, newProcessors } from '../host/foundation.js';
import { Host } from '../host/host.js';
import { prepareHugePages } from '../host/huge-pages.js';
import { keepAlive } from '../host/keep-alive.js';
import { suitedArena, suitedBudget } from './code-budget.js';
import type { CodeCache } from './code-cache.js';
import { CodeCacheLinks } from './code-cache-links.js';
import type { GdbRequest } from './gdb-stub.js';
import type { LateFiles } from './late-files.js';
import { useGuestFlags } from './native-modules.js';
import { soonUsedByProcessor, TouchAhead } from './touch-ahead.js';
import type { VirtioChoice, VirtioDevices } from './virtio-devices.js';

const STREAM_BYTES = 64 * 1024;
const TRANSLATOR_SUFFIX = '-translator';
const ASK = { timeoutMs: 10_000 } as const;
/** As long as QEMU holds it: Linux's gpio-keys reads the line after its interrupt, and must still find the button down. */
const BUTTON_HELD_MS = 100;
const NO_VIRTIO: VirtioDevices = { frontEnds: [], actors: [], console: undefined, balloon: undefined };
const MODULE = {
  uart: new URL('../../devices/uart/uart.front-end.js', import.meta.url).href,
  rtc: new URL('../../devices/rtc/rtc.front-end.js', import.meta.url).href,
  powerButton: new URL('../../devices/power-button/power-button.front-end.js', import.meta.url).href,
};

/** What to build. */
export interface MachineOptions {
  readonly description: MachineDescription;
  readonly plan: BootPlan;
  /** Files of the plan that are not read yet. */
  readonly late?: LateFiles;
  readonly interpreter: WebAssembly.Module;
  /** False switches compiled code off. */
  readonly jit: boolean;
  /** How much compiled code each virtual processor keeps; absent: what suits a machine. */
  readonly codeBudget?: CodeBudget | undefined;
  /** Compiled code of earlier runs, and where the next run's comes from; absent: neither. */
  readonly codeCache?: CodeCache | undefined;
  /** virtio devices, by slot; as many as the description says. With a console among them, it is the machine's console. */
  readonly virtio: readonly VirtioChoice[];
  /** A name that no other machine of the system has. */
  readonly name: string;
  /** The Gunyah ABI its calls speak; absent on a `virt` machine. */
  readonly gunyah?: Profile;
  /** Whether it may put VMs together by Gunyah's hypercalls. */
  readonly isRoot?: boolean;
  /** False: its processors translate hot code for themselves, which saves a worker. */
  readonly ownTranslator?: boolean;
  /** Where vCPUs tell what happens; absent: nowhere. */
  readonly trace?: TracePlace | undefined;
  /** A stub for GDB. */
  readonly gdb?: GdbRequest | undefined;
  /** Where firmware keeps its variables; undefined: nowhere. */
  readonly firmwareVars?: FileToken | undefined;
  /** The host's source of random bytes, for the guest's firmware calls; undefined: it has none. */
  readonly entropy?: FileToken | undefined;
}

/** How a machine ended. */
export interface MachineEnd {
  readonly stop: Stop;
  /** Why a worker died, for STOP.crash. */
  readonly detail: string;
}

/** A machine that runs. */
export interface Machine {
  /** Bytes the guest printed; the holder reads. */
  readonly output: ByteStream;
  /** What the guest printed on the PL011, where that is not the console. */
  readonly serial: ByteStream | undefined;
  /** The console's window has another size. */
  resize(columns: number, rows: number): void;
  /** Bytes for the guest's console: answers how many were taken. */
  type(bytes: Uint8Array): number;
  /** Tells the consoles that `output` or `serial` has room again. */
  resume(): void;
  /** Asks the guest to give up `bytes` of its memory; where there is a balloon. */
  inflate(bytes: number): void;
  /** How the balloon stands; undefined where there is none. */
  balloon(): Promise<BalloonState | undefined>;
  /** Presses and releases the power button. */
  pressPowerButton(): void;
  /** Resolves when the guest has stopped. */
  readonly ended: Promise<MachineEnd>;
  /** Ends the machine from outside. */
  stop(reason: Exclude<Stop, 0>, detail: string): void;
  /** A worker called `name` has died: true if it was of a VM that the guest had made, which alone ends with it. */
  lost(name: string): boolean;
  statistics(): Promise<VcpuStatistics[]>;
  /** Waits until everything the guest sent is in `output`. */
  flush(): Promise<void>;
  /** Where GDB may connect. */
  readonly gdbPort: number | undefined;
  /** Ends all workers of the machine and returns its memory to the core. */
  dispose(): Promise<void>;
}

/** Whether the actor called `name` is a translator: without it the machine goes on, only slower. */
export function isExpendable(name: string): boolean {
  return name.endsWith(TRANSLATOR_SUFFIX);
}

/** Why a machine did not start. */
export interface StartFault {
  readonly sentence: string;
  /** This host does not have what was asked for; otherwise something of ours failed. */
  readonly isRefusal: boolean;
}

/** Builds the machine, on a host of its own, and starts its first processor. */
export async function startMachine(system: ActorSystem, options: MachineOptions): Promise<Result<Machine, StartFault>> {
  try {
    const { name, interpreter, jit } = options;
    if (jit) void options.codeCache?.records(); // read while the core starts
    const starting = Host.start(system, { name, interpreter, jit });
    // Wanted when the core is there.
    prepareHugePages();
    const host = await starting;
    const machine = await assemble(host, await layFoundation(host, options), options);
    const dispose = async (): Promise<void> => {
      await machine.dispose();
      await host.close();
    };
    return ok({ ...machine, dispose });
  } catch (thrown) {
    if (!(thrown instanceof BuildFailure)) throw thrown;
    await stopAll(system, options.name);
    return err({ sentence: thrown.message, isRefusal: thrown instanceof HostRefusal });
  }
}

/** What was built so far of `name` goes again, in the order in which a whole machine would: devices and processors, then the core. */
export async function stopAll(system: ActorSystem, name: string): Promise<void> {
  const parts = system.inspect().filter((actor) => actor.name.startsWith(`${name}-`));
  for (const { ref } of parts.toReversed()) await system.stop(ref);
}

/** The foundation of a machine that is alone on its host. Throws BuildFailure. */
async function layFoundation(host: Host, options: MachineOptions): Promise<Foundation> {
  const { core } = host;
  const { plan, description, gunyah: profile } = options;
  const { cpus, ramBytes } = description;
  const { partition, parts } = await newPartition(host, cpus, suitedArena(description));
  // Before the processors are made: images are read into it meanwhile.
  const mapping = mapMemory(host, partition, plan, ramBytes, options.late);
  const placing = mapping.then(({ place }) => place());
  for (const heardOfBelow of [mapping, placing]) heardOfBelow.catch(() => undefined);
  const platform = profile === undefined ? undefined : await import('../host/gunyah-platform.js');
  const given = await platform?.giveObjects(host, partition);
  const tickets = await newProcessors(host, partition, cpus);
  // Firmware's flash is mapped before its keeper starts; nothing else waits for memory but what is put there.
  const banks = plan.firmwareItems === undefined ? undefined : (await mapping).banks;
  return {
    ...{ partition, parts, tickets, banks },
    meanwhile: () => placing,
    soonUsed: async () => {
      const { soonUsed } = await mapping;
      const [first] = tickets;
      if (first === undefined || soonUsed.length === 0) return [];
      return [soonUsedByProcessor({ at: first.arena, bytes: first.arenaBytes }), ...soonUsed];
    },
    gunyah: platform && given && profile && ((index) => platform.placesOf(host, given, profile, index)),
    registers: bootRegisters(plan),
    async ready() {
      if (given === undefined || profile === undefined) return;
      const manager = await host.gunyah({ table: given.table });
      await manager.adoptPrimary(
        { partition, block: parts.block, profile, name: options.name },
        options.isRoot === true,
      );
    },
    release: async () => {
      if (host.platform === undefined || given === undefined) await core.tryAsk('deletePartition', { partition });
      else await host.platform.release(VMID.HLOS);
    },
  };
}

/** Gives a foundation its devices and threads, and starts it. Throws BuildFailure. */
export async function assemble(host: Host, foundation: Foundation, options: MachineOptions): Promise<Machine> {
  let opens = (): void => undefined;
  const isRunning = new Promise<void>((resolve) => {
    opens = resolve;
  });
  try {
    return await assembleUntil(isRunning, opens, host, foundation, options);
  } finally {
    opens(); // who waits to be started can be stopped only then
  }
}

/** As {@link assemble}; what the first instruction does not need is started when `isRunning`, which resolves by `runs`. */
async function assembleUntil(
  isRunning: Promise<void>,
  runs: () => void,
  host: Host,
  foundation: Foundation,
  options: MachineOptions,
): Promise<Machine> {
  const { name } = options;
  const { system, memory, buffer, core } = host;
  const { partition, parts, tickets } = foundation;
  const block = new VmBlock(buffer, parts.block);
  const ring = (number: number): void => system.sender.ring({ actor: number }, 1);
  const gic = new Gic(buffer, parts.gic, waker(block, ring));
  const uart: UartConfig = {
    registers: createSharedRegisters(),
    transmitted: createByteStream(STREAM_BYTES),
    intid: spiToIntid(MEMORY_MAP.uart.spi),
  };
  const [output, input] = [createByteStream(STREAM_BYTES), createByteStream(STREAM_BYTES)];
  const wiring = { memory, block: parts.block, gic: parts.gic };
  const hasVirtioConsole = options.virtio.some(({ kind }) => kind === 'console');
  const streams = hasVirtioConsole
    ? { output: createByteStream(STREAM_BYTES), input: createByteStream(STREAM_BYTES) }
    : { output, input };
  // What most machines have not is loaded by those that do: each part is a millisecond of a start.
  const virtioStarted =
    options.virtio.length === 0
      ? ok(NO_VIRTIO)
      : await (await import('./virtio-devices.js')).startVirtioDevices(
          system,
          options.virtio,
          { ...wiring, stage2: parts.stage2, ...streams, ramBytes: options.description.ramBytes },
          name,
        );
  if (!virtioStarted.ok) throw new HostRefusal(virtioStarted.error);
  const virtio = virtioStarted.value;
  const { banks } = foundation;
  const firmwareParts = { memory, block: parts.block, stage2: parts.stage2, vars: options.firmwareVars };
  const items = options.plan.firmwareItems ?? [];
  const firmwareStarted =
    banks === undefined
      ? ok({ frontEnds: [], keeper: undefined })
      : await (await import('./firmware-devices.js')).startFirmwareDevices(
          system,
          { ...firmwareParts, banks, items },
          name,
        );
  if (!firmwareStarted.ok) throw new HostRefusal(firmwareStarted.error);
  const firmware = firmwareStarted.value;
  // Nothing waits for it to be there: what its processors send meanwhile waits in the streams.
  const consoleStarting = system.spawn(
    host.kinds.console,
    { uart, output, input, ...wiring },
    { name: `${name}-console`, after: isRunning },
  );
  const consoleSpawned = system.lookup<ConsoleProtocol>(`${name}-console`);
  const console = consoleSpawned.ok ? consoleSpawned.value : await started('the console', consoleStarting);
  const gpio = { registers: createSharedRegisters(), intid: spiToIntid(MEMORY_MAP.gpio.spi) };
  const rtc = { registers: createSharedRegisters(), intid: spiToIntid(MEMORY_MAP.rtc.spi) };
  const frontEnds: FrontEndPlace[] = [
    { ...MEMORY_MAP.uart, module: MODULE.uart, config: { ...uart, console: console.actor } },
    { ...MEMORY_MAP.rtc, module: MODULE.rtc, config: rtc },
    { ...MEMORY_MAP.gpio, module: MODULE.powerButton, config: gpio },
    ...virtio.frontEnds,
    ...firmware.frontEnds,
  ];
  const windows = {
    distributor: MEMORY_MAP.gicDistributor.base,
    redistributors: MEMORY_MAP.gicRedistributors.base,
  };
  const trace = options.trace === undefined ? {} : { trace: options.trace };
  const entropy = options.entropy === undefined ? {} : { entropy: options.entropy };
  const codeBudget = options.codeBudget ?? suitedBudget(options.description);
  const links = options.jit && options.codeCache !== undefined ? new CodeCacheLinks(options.codeCache) : undefined;
  const shared = {
    memory,
    interpreter: options.interpreter,
    gic: windows,
    frontEnds: frontEnds.map((frontEnd) => ({ ...frontEnd, module: bundleOf(frontEnd.module) })),
    jit: options.jit,
    features,
    codeBudget,
    core: core.ref.actor,
    callTap: host.options.callTap,
    records: await links?.records(),
    areas: tickets.map(({ area }) => area),
    ...trace,
    ...entropy,
  };
  const epochMs = system.clock.monotonicMs();
  const translates = options.jit && options.ownTranslator !== false;
  const channels = translates ? tickets.map(() => createObjectChannel()) : [];
  const spawning = tickets.map((ticket, i) =>
    system.spawn(
      host.kinds.vcpu,
      {
        ...{ ...shared, ticket, epochMs, translator: channels[i]?.[0], codeCache: links?.connect() },
        ...(foundation.gunyah && { gunyah: foundation.gunyah(ticket.index) }),
      },
      { name: `${name}-vcpu${ticket.index}` },
    ),
  );
  // Not before: it keeps this thread busy, which the threads that start wait for.
  links?.begin();
  const ends = channels.map(([, end]) => end);
  // Nothing waits for it to be there: what its processors ask meanwhile waits in the channels.
  const translating = translates
    ? system.spawn(
        translatorKind,
        { memory, vcpus: ends, features, shared: codeBudget },
        { name: `${name}${TRANSLATOR_SUFFIX}`, after: isRunning },
      )
    : undefined;
  const placed = await foundation.meanwhile();
  if (!placed.ok) throw new BuildFailure(placed.error);
  const processors: ActorRef<VcpuProtocol>[] = [];
  for (const processor of spawning) processors.push(await started('a virtual processor', processor));
  const debugged = { processors, memory, block: parts.block };
  const stubStarted =
    options.gdb === undefined
      ? ok(undefined)
      : await (await import('./gdb-stub.js')).startGdbStub(system, options.gdb, debugged, name);
  if (!stubStarted.ok) throw new HostRefusal(stubStarted.error);
  const stub = stubStarted.value;
  await foundation.ready();
  for (const [index, { actor }] of processors.entries()) await core.ask('attachVp', { partition, index, actor });
  const names = foundation.registers.map(([code]) => code);
  const values = wide(foundation.registers.map(([, value]) => value));
  await core.ask('setVpRegisters', { partition, index: 0, names, values });
  for (const index of processors.keys()) await core.ask('runVp', { partition, index });
  runs();
  // Not before: it keeps this thread busy, which the threads that start wait for.
  const touches = new TouchAhead(memory, (await foundation.soonUsed?.()) ?? []);
  setImmediate(() => void Promise.resolve(links?.load()).finally(() => touches.begin()));
  await started('the console', consoleStarting);
  await translating;
  useGuestFlags(); // all threads that run generated code are there
  let detail = '';
  // From here on nothing is refused any more: whoever waits for the end keeps the process alive.
  const ended = block.stopped
    .parkAsync(() => block.stop !== STOP.none, keepAlive())
    .then(async () => {
      await stub?.ended(block.stop === STOP.off ? 0 : block.stop);
      return { stop: block.stop, detail };
    });
  const keyboard = new ByteStream(streams.input);
  const typedAt: ActorRef<never> = virtio.console ?? console;
  const button = new Pl061({ setLevel: (high) => gic.setLine(gpio.intid, high) });
  const buttonState = new SharedRegisters(gpio.registers, button.state);
  let releasing: NodeJS.Timeout | undefined;
  return {
    output: new ByteStream(streams.output),
    serial: virtio.console === undefined ? undefined : new ByteStream(output),
    resize(columns, rows) {
      if (virtio.console !== undefined) system.sender.tell(virtio.console, 'resize', { columns, rows });
    },
    type(bytes) {
      const taken = keyboard.write(bytes);
      system.sender.ring(typedAt, 1);
      return taken;
    },
    resume() {
      system.sender.ring(console, 1);
      if (virtio.console !== undefined) system.sender.ring(virtio.console, 1);
    },
    inflate(bytes) {
      if (virtio.balloon !== undefined) system.sender.tell(virtio.balloon, 'setTarget', { bytes });
    },
    async balloon() {
      const answer = virtio.balloon && (await system.sender.ask(virtio.balloon, 'state', {}, ASK));
      return answer?.ok === true ? answer.value : undefined;
    },
    pressPowerButton() {
      const hold = (high: boolean): void => buttonState.with(() => button.setLine(POWER_BUTTON_LINE, high));
      hold(true);
      clearTimeout(releasing);
      releasing = setTimeout(() => hold(false), BUTTON_HELD_MS);
    },
    ended,
    gdbPort: stub?.port,
    stop(reason, why) {
      detail = why;
      block.end(reason);
      for (let cpu = 0; cpu < block.cpus; cpu++) if (block.poke(cpu)) ring(block.actorOf(cpu));
    },
    lost: (worker) => host.lost(worker),
    async statistics() {
      const answers = await Promise.all(processors.map((ref) => system.sender.ask(ref, 'statistics', {}, ASK)));
      return answers.flatMap((answer) => (answer.ok ? [answer.value] : []));
    },
    async flush() {
      await system.sender.ask(console, 'flush', {}, ASK);
      if (virtio.console !== undefined) await system.sender.ask(virtio.console, 'flush', {}, ASK);
      if (firmware.keeper !== undefined) await system.sender.ask(firmware.keeper, 'flush', {}, ASK);
    },
    async dispose() {
      clearTimeout(releasing);
      touches.end();
      await links?.close(system, processors);
      // A thread that has died runs no guest code and acknowledges nothing.
      const alive = new Set(system.inspect().map(({ ref }) => ref.actor));
      for (const [cpu, { actor }] of processors.entries()) if (!alive.has(actor)) block.setOutside(cpu, true);
      await core.tryAsk('finalizePartition', { partition });
      const translator = await translating;
      const helpers = translator?.ok === true ? [translator.value] : [];
      const stubs = stub === undefined ? [] : [stub.actor];
      const keepers = firmware.keeper === undefined ? [] : [firmware.keeper];
      const actors = [...stubs, ...processors, ...helpers, console, ...virtio.actors, ...keepers];
      await Promise.all(actors.map((ref) => system.stop(ref)));
      await foundation.release();
    },
  };
}

/** An actor that was spawned, once it runs. Throws BuildFailure. */
async function started<P>(what: string, spawning: Promise<Result<ActorRef<P>, SpawnFailure>>): Promise<ActorRef<P>> {
  const spawned = await spawning;
  if (!spawned.ok) throw new BuildFailure(`${what} did not start (${JSON.stringify(spawned.error)})`);
  return spawned.value;
}

/** Register values as they travel: 16 bytes each. */
function wide(values: readonly bigint[]): Uint8Array {
  const bytes = new Uint8Array(values.length * 16);
  const view = new DataView(bytes.buffer);
  for (const [n, value] of values.entries()) view.setBigUint64(n * 16, value, true);
  return bytes;
}
