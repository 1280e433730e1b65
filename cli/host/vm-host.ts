/**
 * A host of several VMs in one process: what {@link LabHost} promises, on one physical memory of 4 GiB, one hypervisor core and,
 * from the first Gunyah VM on, one resource manager. VMs share nothing beyond that: a worker that dies takes its VM down, or is
 * replaced; only the core and the resource manager take all.
 */
import { randomBytes } from 'node:crypto';
import { type Observable, Subject } from 'rxjs';
import { arenaBytesFor, SMALL_BYTES } from '../../actors/resource-manager/arena-size.js';
import { hypervisorNode, rpcNode, watchdogNode } from '../../actors/resource-manager/guest-tree.js';
import type { QueueLine } from '../../actors/resource-manager/resource-manager.protocol.js';
import { VMID } from '../../actors/resource-manager/rm-messages.js';
import type { FileToken } from '../../actors/runtime/files.js';
import type { SystemEvent } from '../../actors/runtime/supervisor.js';
import { ActorSystem } from '../../actors/runtime/system.js';
import type { LogLine } from '../../actors/runtime/system-protocol.js';
import { CallTap } from '../../actors/shared-state/call-tap/call-tap.js';
import { ObjectTable } from '../../actors/shared-state/objects/object-table.js';
import type { VmBlock } from '../../actors/shared-state/vm/vm-block.js';
import type { GunyahDevice } from '../../actors/vm-manager/gunyah-device.js';
import { QueueHeader } from '../../bus/message-queue/queue-layout.js';
import { err, ok, type Result } from '../../bus/result.js';
import { faultSentence } from '../../devices/machine/boot-fault.js';
import { type BootPlan, planBoot } from '../../devices/machine/boot-plan.js';
import type { MachineDescription } from '../../devices/machine/description.js';
import type { TreeNode } from '../../devices/machine/device-tree/tree.js';
import { CPUS_MAX, isRamSize } from '../../devices/machine/memory-map.js';
import { cacheFolder } from '../cache-folder.js';
import { hostUnpackers } from '../image/unpackers.js';
import { callStream } from '../lab/call-stream.js';
import type { CallRecord, LabEvent, LabHost, LabVm, LinkSpec, QueueCounters, VmEnd, VmSpec } from '../lab/lab-host.js';
import { openCodeCache } from '../machine/code-cache.js';
import { deathOf, deathSentence } from '../machine/deaths.js';
import { loadInterpreter } from '../machine/interpreter-cache.js';
import { LocalNetworks } from '../machine/local-network.js';
import { assemble, isExpendable, type Machine, type MachineOptions } from '../machine/machine.js';
import type { VirtioChoice } from '../machine/virtio-devices.js';
import { ENTROPY, openVirtio } from '../machine/virtio-options.js';
import { BuildFailure } from './core-client.js';
import { bootRegisters, type Foundation, mapMemory, newPartition, newProcessors } from './foundation.js';
import { foundationOf, type GivenObjects, type GunyahPlatform, giveObjects, placesOf } from './gunyah-platform.js';
import { Host, type HostCensus } from './host.js';
import { HostedVm } from './hosted-vm.js';
import { Links, linkNodes, treePort } from './links.js';
import { MadeVms } from './made-vms.js';
import { configNode, launchManaged, type ManagedVm } from './managed-launch.js';
import { openManager } from './manager-start.js';
import type { AssembledVm } from './processor-launcher.js';
import { type BootFiles, connectCards, OwnedFiles, readBoot, virtioRequests } from './vm-files.js';
import type { Launch } from './vm-launcher.js';
import { processorOf } from './worker-names.js';

/** How a host is started. */
export interface VmHostOptions {
  /** Whether a VM of it may be marked `primary`: that is VMID 3 then; otherwise the host itself is. */
  readonly primaryGuest: boolean;
  readonly jit?: boolean;
  /** Workers of each kind that every VM needs which are kept loaded for the next VM; default 0. */
  readonly warm?: number;
  /** Where the translation cache of its VMs lies (cli/machine/code-cache.ts), but for small ones; absent: they use none. */
  readonly codeCacheFolder?: string | undefined;
  readonly onLog?: (line: LogLine) => void;
}

/** Name of the host among its actors; no VM may have it. */
const HOST_NAME = 'host';
/** Generation of the driver that the host is. */
const GENERATION = 'P17';
/** VMID of the host where a guest is the primary VM: a static one that no VM gets. */
const HOST_VMID = 2;
const ACTORS_MAX = 1024;
const QUEUE_MEGABYTES = 512;
const WINDOW = { columns: 80, rows: 24 } as const;
const NAME = /^[a-z][a-z0-9-]{0,31}$/;
const DISKS_MAX = 16;

/** See the head of this file. */
export class VmHost implements LabHost {
  readonly events: Observable<LabEvent>;
  readonly calls: Observable<readonly CallRecord[]>;
  readonly #events = new Subject<LabEvent>();
  readonly #system: ActorSystem;
  readonly #options: VmHostOptions;
  readonly #tap = new CallTap();
  readonly #partitions = new Map<number, string>();
  /** Names that are in use, with the VM once it runs. */
  readonly #vms = new Map<string, HostedVm | 'starting'>();
  readonly #made: MadeVms;
  /** Deaths of workers whose VM does not run yet. */
  readonly #early = new Map<string, string>();
  /** Managed VMs that are being started, by name. */
  readonly #waiting = new Map<string, Waiting>();
  /** By partition: when the threads of a VM are gone. */
  readonly #stripped = new Map<number, Promise<void>>();
  readonly #networks: LocalNetworks;
  #host: Host | undefined;
  #links: Links | undefined;
  #home: Promise<Home> | undefined;
  #entropy: FileToken | undefined;
  #queueLines: readonly QueueLine[] = [];
  #table: ObjectTable | undefined;
  #isAsking = false;
  #isOver = false;

  private constructor(options: VmHostOptions) {
    this.#options = options;
    this.events = this.#events.asObservable();
    this.#system = new ActorSystem({
      actorsMax: ACTORS_MAX,
      queueMegabytes: QUEUE_MEGABYTES,
      onEvent: (event) => this.#hear(event),
      ...(options.onLog === undefined ? {} : { onLog: options.onLog }),
    });
    this.#networks = new LocalNetworks(this.#system);
    this.#made = this.#madeVms();
    this.calls = callStream(this.#tap, (partition) => this.#partitions.get(partition));
  }

  /** Starts a host without VMs; the error is a sentence. */
  static async start(options: VmHostOptions): Promise<Result<VmHost, string>> {
    const made = new VmHost(options);
    const started = await made.#guard(async () => {
      const interpreter = (await loadInterpreter(cacheFolder())).module;
      const callTap = made.#tap.place;
      const host = await Host.start(made.#system, {
        name: HOST_NAME,
        interpreter,
        jit: options.jit !== false,
        callTap,
        warm: options.warm,
      });
      made.#host = host;
      host.processors.watch({
        started: (vm) => made.#assembled(vm),
        ended: (partition) => made.#made.ended(partition),
      });
      made.#links = new Links(host);
      const entropy = made.#system.files.open(ENTROPY, 'read');
      made.#entropy = entropy.ok ? entropy.value : undefined;
      void host.prepare();
      return made;
    });
    if (!started.ok) await made.#system.close();
    return started;
  }
  get #running(): { readonly host: Host; readonly links: Links } {
    const [host, links] = [this.#host, this.#links];
    if (host === undefined || links === undefined || this.#isOver) throw new BuildFailure('the host has ended');
    return { host, links };
  }

  async #guard<T>(body: () => Promise<T>): Promise<Result<T, string>> {
    try {
      return ok(await body());
    } catch (thrown) {
      if (!(thrown instanceof BuildFailure)) throw thrown;
      return err(thrown.message);
    }
  }

  /** The host's own VM: pays for links, and lends VMs their memory through the VM manager. Throws BuildFailure. */
  #homeOf(host: Host): Promise<Home> {
    this.#home ??= (async () => {
      const { partition, parts } = await newPartition(host, 1, 1 << 16);
      const objects = await giveObjects(host, partition);
      const { table, space } = objects;
      this.#table = new ObjectTable(host.buffer, table);
      const watcher = {
        started: (launch: Launch, block: VmBlock): void => this.#guestStarted(launch, block),
        ended: (ended: number): void => this.#made.ended(ended),
      };
      const outfitter = {
        outfit: (launch: Launch): Promise<boolean> | undefined => {
          const waiting = launch.owner === this.#hostVmid ? this.#waiting.get(launch.name) : undefined;
          return waiting && this.#outfitManaged(launch, waiting);
        },
        strip: (ended: number): Promise<void> | undefined => this.#stripped.get(ended),
      };
      const platform = await host.gunyah({ table, watcher, outfitter });
      await platform.setHome(partition);
      const vmid = this.#hostVmid;
      const about = { vmid, owner: VMID.RM, name: HOST_NAME, partition, block: parts.block, vdevices: [] };
      const adopted = await platform.adopt({ ...about, profile: GENERATION, isHost: true });
      const device = await openManager(host, { vmid, partition, table, space, generation: GENERATION }, adopted);
      return { partition, platform, device };
    })();
    return this.#home;
  }

  get #hostVmid(): number {
    return this.#options.primaryGuest ? HOST_VMID : VMID.HLOS;
  }

  /**
   * /dev/gunyah of the host VM, for a VMM of one's own, and the machine's memory, where `host` of the memory it maps lies. VMs that
   * are made through it get their threads, and appear in {@link events} as those that a guest makes.
   */
  async gunyah(): Promise<Result<{ readonly device: GunyahDevice; readonly memory: Uint8Array }, string>> {
    return this.#guard(async () => {
      const { host } = this.#running;
      const { device } = await this.#homeOf(host);
      return { device, memory: new Uint8Array(host.buffer) };
    });
  }

  async link(spec: LinkSpec): Promise<Result<undefined, string>> {
    const declared = await this.#guard(async () => {
      const { host, links } = this.#running;
      return links.declare(spec, async () => (await this.#homeOf(host)).partition);
    });
    return declared.ok ? declared.value : declared;
  }

  async start(spec: VmSpec): Promise<Result<LabVm, string>> {
    const refused = this.#check(spec);
    if (refused !== undefined) return err(`${spec.name}: ${refused}`);
    this.#vms.set(spec.name, 'starting');
    const started = await this.#guard(() => this.#start(spec));
    const result = started.ok ? started.value : started;
    if (result.ok) return result;
    this.#vms.delete(spec.name);
    const death = this.#early.get(spec.name);
    this.#early.delete(spec.name);
    return err(`${spec.name}: ${death ?? result.error}`);
  }

  #check({ name, cpus, memoryBytes, platform, primary, root, disks }: VmSpec): string | undefined {
    if (!NAME.test(name) || name === HOST_NAME) return `a VM's name is ${NAME.source} and not "${HOST_NAME}"`;
    if (this.#vms.has(name)) return 'a VM of this name runs';
    if (!Number.isInteger(cpus) || cpus < 1 || cpus > CPUS_MAX) return `it cannot have ${cpus} processors`;
    if (!isRamSize(memoryBytes)) return 'its memory is not 4 MiB to 3 GiB in steps of 2 MiB';
    if (disks.length > DISKS_MAX) return `it has more than ${DISKS_MAX} disks`;
    if (primary && platform !== 'gunyah') return 'a primary VM is on the platform gunyah';
    if (root === true && !primary) return 'a VM that puts others together is the primary VM';
    if (primary && !this.#options.primaryGuest) return 'this host was not started for a primary VM';
    if (platform !== 'gunyah' && this.#links?.concerns(name) === true)
      return 'links are between VMs on the platform gunyah';
    return undefined;
  }

  async #start(spec: VmSpec): Promise<Result<LabVm, string>> {
    const { host } = this.#running;
    const boot = await readBoot(spec);
    if (!boot.ok) return boot;
    const files = new OwnedFiles(this.#system.files);
    const requests = virtioRequests(spec);
    const opened = openVirtio(requests, files, WINDOW);
    const slots = requests.map((_, slot) => slot);
    const hardware = {
      cpus: spec.cpus,
      ramBytes: spec.memoryBytes,
      virtioSlots: slots,
      hasFirmware: false,
      pmu: false,
    };
    try {
      const virtio = opened.ok ? await connectCards(opened.value, this.#networks, spec.name, files) : opened;
      if (!virtio.ok) return virtio;
      const given = { spec, boot: boot.value, hardware, virtio: virtio.value, files };
      const isManaged = spec.platform === 'gunyah' && !spec.primary;
      return isManaged ? await this.#startManaged(host, given) : await this.#startOwn(host, given);
    } catch (thrown) {
      await this.#stopWorkers(spec.name);
      throw thrown;
    } finally {
      if (this.#vms.get(spec.name) === 'starting') files.closeAll();
    }
  }

  /** A VM that the host builds itself: on the platform virt, or the primary VM. */
  async #startOwn(host: Host, given: Given): Promise<Result<LabVm, string>> {
    const { spec, hardware } = given;
    const outfit = await this.#outfit(host, spec);
    let isOurs = true;
    try {
      const { partition, parts, nodes, objects, vmid } = outfit;
      const plan = await this.#plan(given, nodes);
      if (!plan.ok) return plan;
      const tickets = await newProcessors(host, partition, spec.cpus);
      const { place: meanwhile, banks } = await mapMemory(host, partition, plan.value, spec.memoryBytes);
      const foundation = {
        ...{ partition, parts, tickets, meanwhile, banks },
        gunyah: objects && ((index: number) => placesOf(host, objects, spec.profile, index)),
        registers: bootRegisters(plan.value),
        ready: () => Promise.resolve(),
        release: () => this.#release(host, outfit),
      };
      const machine = await assemble(host, foundation, this.#machineOptions(host, given, hardware, plan.value));
      isOurs = false;
      return ok(this.#began(given, machine, vmid, partition, () => Promise.resolve()));
    } finally {
      if (isOurs) {
        await this.#stopWorkers(spec.name);
        await this.#release(host, outfit);
      }
    }
  }

  /** A Gunyah VM, by the VM manager: the resource manager makes it, and {@link #outfitManaged} gives it its threads. */
  async #startManaged(host: Host, given: Given): Promise<Result<LabVm, string>> {
    const { spec } = given;
    const home = await this.#homeOf(host);
    const vdevices = this.#running.links.vdevicesOf(spec.name);
    const plan = await this.#plan(given, [configNode({ ...spec, vdevices })]);
    if (!plan.ok) return plan;
    const waiting: Waiting = { given, plan: plan.value, vm: undefined, refusal: undefined, close: undefined };
    this.#waiting.set(spec.name, waiting);
    try {
      const memory = new Uint8Array(host.buffer);
      const managed = await launchManaged(home.device, memory, plan.value, spec.memoryBytes);
      waiting.close?.(managed);
    } catch (thrown) {
      waiting.close?.(undefined);
      if (thrown instanceof BuildFailure && waiting.refusal !== undefined) throw new BuildFailure(waiting.refusal);
      throw thrown;
    } finally {
      this.#waiting.delete(spec.name);
    }
    const { vm } = waiting;
    if (vm === undefined) throw new BuildFailure('the VM manager started something else');
    return ok(vm);
  }

  /** The launcher's turn for a VM of ours: its devices, its threads. Whether it runs. */
  async #outfitManaged(launch: Launch, waiting: Waiting): Promise<boolean> {
    const { given, plan } = waiting;
    const { spec, hardware } = given;
    const started = await this.#guard(async () => {
      const { host, links } = this.#running;
      await links.mapMemory(spec.name, launch.partition);
      const nothing = (): Promise<void> => Promise.resolve();
      const foundation = {
        ...foundationOf(host, launch),
        meanwhile: () => Promise.resolve(ok()),
        ready: nothing,
        release: nothing,
      };
      return assemble(host, foundation, this.#machineOptions(host, given, hardware, plan));
    });
    if (!started.ok) {
      waiting.refusal = started.error;
      await this.#stopWorkers(spec.name);
      return false;
    }
    const managed = new Promise<ManagedVm | undefined>((resolve) => {
      waiting.close = resolve;
    });
    waiting.vm = this.#began(given, started.value, launch.vmid, launch.partition, async () => {
      const { platform } = this.#running.host;
      // A VM that was stopped from outside told nobody.
      if (platform !== undefined) this.#system.sender.ring(platform.manager, 1);
      await (await managed)?.close();
    });
    return true;
  }

  async #plan({ boot, hardware }: Given, nodes: readonly TreeNode[]): Promise<Result<BootPlan, string>> {
    const machine: MachineDescription = nodes.length === 0 ? hardware : { ...hardware, extraNodes: nodes };
    const { kernel, initrd, bootArguments } = boot;
    const seeds = { kaslrSeed: randomBytes(8).readBigUInt64LE(), rngSeed: new Uint8Array(randomBytes(64)) };
    const request = { machine, kernel, bootArguments, ...seeds, acpi: 'off' as const };
    const plan = await planBoot(initrd === undefined ? request : { ...request, initrd }, hostUnpackers);
    return plan.ok ? plan : err(faultSentence(plan.error));
  }

  #machineOptions(
    host: Host,
    { spec, virtio }: Given,
    description: MachineDescription,
    plan: BootPlan,
  ): MachineOptions {
    const { interpreter, jit } = host.options;
    const ownTranslator = spec.memoryBytes >= SMALL_BYTES;
    const folder = this.#options.codeCacheFolder;
    // A small VM runs too little for the process that would compile it afterwards.
    const codeCache = folder !== undefined && ownTranslator ? openCodeCache(folder, plan) : undefined;
    const more = { entropy: this.#entropy, interpreter, jit, ownTranslator, codeCache };
    return { description, plan, name: spec.name, virtio, ...more };
  }

  /** A machine runs: it is a VM of ours from here on. */
  #began(
    { spec, files }: Given,
    machine: Machine,
    vmid: number,
    partition: number,
    giveBack: () => Promise<void>,
  ): HostedVm {
    this.#partitions.set(partition, spec.name);
    const vm = new HostedVm(
      spec.name,
      vmid,
      machine,
      async () => {
        await giveBack();
        files.closeAll();
      },
      (ended, end) => this.#ended(ended, partition, end),
    );
    this.#vms.set(spec.name, vm);
    this.#stripped.set(partition, vm.stripped);
    const death = this.#early.get(spec.name);
    if (death !== undefined) vm.crash(death);
    this.#refreshQueues();
    this.#events.next({ kind: 'started', vm });
    return vm;
  }

  /** A partition, of the primary VM with its objects and known to the resource manager. Throws BuildFailure. */
  async #outfit(host: Host, spec: VmSpec): Promise<Outfit> {
    const home = spec.platform === 'gunyah' ? await this.#homeOf(host) : undefined;
    const { partition, parts } = await newPartition(host, spec.cpus, arenaBytesFor(spec.memoryBytes));
    if (home === undefined) return { partition, parts, vmid: 0, objects: undefined, nodes: [] };
    const { links } = this.#running;
    const objects = await giveObjects(host, partition);
    const vdevices = links.vdevicesOf(spec.name);
    const { name, profile } = spec;
    const about = { vmid: VMID.HLOS, owner: VMID.RM, name, partition, block: parts.block, profile, vdevices };
    const adopted = await home.platform.adopt(about);
    await links.mapMemory(spec.name, partition);
    const identity = { vmid: adopted.vmid, owner: undefined, imageName: spec.name };
    const rpc = rpcNode(treePort(adopted.tx), treePort(adopted.rx), true);
    const root = spec.root === true ? [await home.platform.giveRoot(partition)] : [];
    const devices = [watchdogNode(adopted.bark), ...root, ...linkNodes(vdevices, adopted.ports)];
    const nodes = [hypervisorNode(identity, [rpc, ...devices])];
    return { partition, parts, vmid: adopted.vmid, objects, nodes };
  }

  async #release(host: Host, { partition, vmid }: Outfit): Promise<void> {
    if (vmid !== 0 && host.platform !== undefined) await host.platform.release(vmid);
    else {
      await host.core.tryAsk('finalizePartition', { partition });
      await host.core.tryAsk('deletePartition', { partition });
    }
  }

  async #stopWorkers(name: string): Promise<void> {
    const parts = this.#system.inspect().filter((actor) => this.#vmOf(actor.name) === name);
    for (const { ref } of parts.toReversed()) await this.#system.stop(ref);
  }

  /** The VM that a worker belongs to: the longest name it begins with. */
  #vmOf(worker: string): string | undefined {
    const names = [...this.#vms.keys()].filter((name) => worker.startsWith(`${name}-`));
    return names.sort((a, b) => b.length - a.length)[0];
  }

  #ended(vm: HostedVm, partition: number, end: VmEnd): void {
    this.#vms.delete(vm.name);
    this.#early.delete(vm.name);
    this.#partitions.delete(partition);
    this.#stripped.delete(partition);
    this.#refreshQueues();
    this.#events.next({ kind: 'ended', vm, end });
  }

  /** The VMs that guests make, as this host shows them. */
  #madeVms(): MadeVms {
    return new MadeVms({
      taken: () => this.#vms.keys(),
      ring: (actor) => this.#system.sender.ring({ actor }, 1),
      attend: () => {
        const platform = this.#host?.platform;
        if (platform !== undefined) this.#system.sender.ring(platform.manager, 1);
      },
      started: (vm) => {
        this.#partitions.set(vm.partition, vm.name);
        this.#refreshQueues();
        this.#events.next({ kind: 'started', vm });
      },
      ended: (vm, partition, end) => {
        this.#partitions.delete(partition);
        this.#refreshQueues();
        this.#events.next({ kind: 'ended', vm, end });
      },
    });
  }

  /** Through the resource manager. */
  #guestStarted({ partition, vmid, name, owner, tickets }: Launch, block: VmBlock): void {
    const { host } = this.#running;
    const maker = [...this.#vms.values()].find((vm) => vm !== 'starting' && vm.vmid === owner);
    const madeBy = maker === undefined || maker === 'starting' ? 'rm' : maker.name;
    const statistics = async () => (await host.platform?.statistics(partition)) ?? [];
    const processors = (): readonly number[] => tickets.map(({ index }) => index);
    this.#made.started({ called: name, vmid, partition, madeBy, block, processors, statistics });
  }

  /** By hypercalls: it has no name of its own. */
  #assembled(vm: AssembledVm): void {
    const madeBy = this.#partitions.get(vm.owner) ?? HOST_NAME;
    this.#made.started({ ...vm, called: `${madeBy}-vm${vm.vmid}`, madeBy });
  }

  /** A worker has died, or was replaced. */
  #hear(event: SystemEvent): void {
    if (event.event !== 'down' || event.reason === 'stopped' || event.isRefusal) return;
    const { name } = event;
    const detail = deathSentence(event);
    const isFinal = deathOf(event) !== undefined;
    const processor = processorOf(name);
    const guestMade = processor && this.#made.at(processor.partition);
    if (isFinal && processor !== undefined && guestMade === undefined && this.#host?.lost(name) === true) return;
    const owner = guestMade?.name ?? this.#vmOf(name);
    this.#events.next({ kind: 'workerDied', worker: name, detail, vm: owner, restarts: !isFinal });
    if (!isFinal || isExpendable(name)) return;
    if (guestMade !== undefined) {
      guestMade.crash(detail);
      this.#host?.lost(name);
      return;
    }
    if (owner === undefined) {
      for (const user of this.#networks.usersOf(name) ?? this.#vms.keys()) {
        const vm = this.#vms.get(user);
        if (vm !== 'starting') vm?.crash(detail);
      }
      return;
    }
    const vm = this.#vms.get(owner);
    if (vm === 'starting') this.#early.set(owner, detail);
    else vm?.crash(detail);
  }

  /** Asks what queues there are, for the next {@link queues}. */
  #refreshQueues(): void {
    const platform = this.#host?.platform;
    if (platform === undefined || this.#isAsking || this.#isOver) return;
    this.#isAsking = true;
    void platform.queues().then((lines) => {
      this.#isAsking = false;
      this.#queueLines = lines;
    });
  }

  queues(): readonly QueueCounters[] {
    this.#refreshQueues();
    const [host, table] = [this.#host, this.#table];
    if (host === undefined || table === undefined) return [];
    const view = new DataView(host.buffer);
    return this.#queueLines.flatMap(({ object, name, from, to }) => {
      if (table.type(object) !== 'messageQueue' || table.state(object) !== 'active') return [];
      const header = QueueHeader.read(view, table.data(object));
      if (!header.ok) return [];
      const { tail, headShared: head, depth: capacity } = header.value; // guests' queues are shared
      return [{ object, name, from, to, depth: (tail - head) >>> 0, capacity, sent: tail }];
    });
  }

  /** What the core holds: for audits. Throws BuildFailure. */
  census(): Promise<HostCensus> {
    return this.#running.host.census();
  }

  /** Answered when the workers that are kept for the next VM wait; see {@link VmHostOptions.warm}. */
  prepare(): Promise<void> {
    return this.#running.host.prepare();
  }

  /** What the process holds: for audits. */
  resources(): ReturnType<ActorSystem['resources']> {
    return this.#system.resources();
  }

  /** Ends a worker as a fault of its own would, so that its supervisor decides what follows: for tests. */
  faultWorker(name: string): void {
    const found = this.#system.lookup<never>(name);
    if (found.ok) this.#system.fault(found.value);
  }

  /** Ends a worker by force and for good: for tests of what goes with it. */
  killWorker(name: string): void {
    const found = this.#system.lookup<never>(name);
    if (found.ok) void this.#system.kill(found.value);
  }

  async dispose(): Promise<void> {
    if (this.#isOver) return;
    const running = [...this.#vms.values()].filter((vm) => vm !== 'starting');
    for (const vm of running) vm.kill('the host ends');
    await Promise.all(running.map((vm) => vm.ended));
    this.#isOver = true;
    await this.#host?.close();
    await this.#system.close();
    this.#events.complete();
  }
}

/** What a VM is started with. */
interface Given {
  readonly spec: VmSpec;
  readonly boot: BootFiles;
  readonly hardware: MachineDescription;
  readonly virtio: readonly VirtioChoice[];
  readonly files: OwnedFiles;
}

/** A VM between its partition and its memory. */
interface Outfit {
  readonly partition: number;
  readonly parts: Foundation['parts'];
  /** 0 on the platform virt. */
  readonly vmid: number;
  readonly objects: GivenObjects | undefined;
  readonly nodes: readonly TreeNode[];
}

/** A managed VM between the VM manager's start and its threads. */
interface Waiting {
  readonly given: Given;
  readonly plan: BootPlan;
  vm: HostedVm | undefined;
  refusal: string | undefined;
  /** Takes what ends the VM, once VM_START has answered. */
  close: ((managed: ManagedVm | undefined) => void) | undefined;
}

/** The host's own VM. */
interface Home {
  readonly partition: number;
  readonly platform: GunyahPlatform;
  readonly device: GunyahDevice;
}
