/**
 * A host of several VMs in one process: what {@link LabHost} promises, on one physical memory of 4 GiB, one hypervisor core and,
 * from the first Gunyah VM on, one resource manager. VMs share nothing beyond that: a worker that dies takes its VM down, or is
 * replaced; only the core and the resource manager take all.
 */
import { randomBytes } from 'node:crypto';
import { type Observable, Subject } from 'rxjs';
import { hypervisorNode, rpcNode } from '../../actors/resource-manager/guest-tree.js';
import type { QueueLine } from '../../actors/resource-manager/resource-manager.protocol.js';
import { VMID } from '../../actors/resource-manager/rm-messages.js';
import type { FileToken } from '../../actors/runtime/files.js';
import type { SystemEvent } from '../../actors/runtime/supervisor.js';
import { ActorSystem } from '../../actors/runtime/system.js';
import type { LogLine } from '../../actors/runtime/system-protocol.js';
import { CallTap } from '../../actors/shared-state/call-tap/call-tap.js';
import { ObjectTable } from '../../actors/shared-state/objects/object-table.js';
import { STOP, type VmBlock } from '../../actors/shared-state/vm/vm-block.js';
import { QueueHeader } from '../../bus/message-queue/queue-layout.js';
import { err, ok, type Result } from '../../bus/result.js';
import { faultSentence } from '../../devices/machine/boot-fault.js';
import { type BootPlan, planBoot } from '../../devices/machine/boot-plan.js';
import type { MachineDescription } from '../../devices/machine/description.js';
import type { TreeNode } from '../../devices/machine/device-tree/tree.js';
import { CPUS_MAX, RAM_BYTES_MAX, RAM_BYTES_MIN } from '../../devices/machine/memory-map.js';
import { cacheFolder } from '../image/store.js';
import { hostUnpackers } from '../image/unpackers.js';
import { callStream } from '../lab/call-stream.js';
import type { CallRecord, LabEvent, LabHost, LabVm, LinkSpec, QueueCounters, VmEnd, VmSpec } from '../lab/lab-host.js';
import { deathOf, deathSentence } from '../machine/deaths.js';
import { loadInterpreter } from '../machine/interpreter-cache.js';
import { assemble, isExpendable } from '../machine/machine.js';
import { ENTROPY, openVirtio } from '../machine/virtio-options.js';
import { BuildFailure } from './core-client.js';
import { bootRegisters, type Foundation, mapMemory, newPartition, newProcessors } from './foundation.js';
import { GuestMadeVm } from './guest-made-vm.js';
import { type GivenObjects, GunyahPlatform, giveObjects, placesOf } from './gunyah-platform.js';
import { Host, type HostCensus } from './host.js';
import { countersOf, HostedVm } from './hosted-vm.js';
import { Links, linkNodes } from './links.js';
import { OwnedFiles, readBoot, virtioRequests } from './vm-files.js';
import type { Launch } from './vm-launcher.js';

/** How a host is started. */
export interface VmHostOptions {
  /** Whether a VM of it may be marked `primary`: that is VMID 3 then; otherwise the host itself is. */
  readonly primaryGuest: boolean;
  readonly jit?: boolean;
  readonly onLog?: (line: LogLine) => void;
}

/** Name of the host among its actors; no VM may have it. */
const HOST_NAME = 'host';
/** VMID of the host where a guest is the primary VM: a static one that no VM gets. */
const HOST_VMID = 2;
const ACTORS_MAX = 1024;
const QUEUE_MEGABYTES = 512;
const WINDOW = { columns: 80, rows: 24 } as const;
const NAME = /^[a-z][a-z0-9-]{0,31}$/;
const DISKS_MAX = 16;
const MIB = 1 << 20;

/**
 * Record arena of a processor, and whether its VM has a translator of its own, by memory: a small VM runs little code, and there may
 * be fifty.
 */
function codeSizes(ramBytes: number): { readonly arenaBytes: number; readonly ownTranslator: boolean } {
  if (ramBytes < 96 * MIB) return { arenaBytes: 8 * MIB, ownTranslator: false };
  return { arenaBytes: ramBytes < 512 * MIB ? 32 * MIB : 96 * MIB, ownTranslator: true };
}

let hostsMade = 0;

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
  readonly #guestMade = new Map<number, GuestMadeVm>();
  /** Deaths of workers whose VM does not run yet. */
  readonly #early = new Map<string, string>();
  readonly #networks = `lab${process.pid}-${hostsMade++}`;
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
    this.calls = callStream(this.#tap, (partition) => this.#partitions.get(partition));
  }

  /** Starts a host without VMs; the error is a sentence. */
  static async start(options: VmHostOptions): Promise<Result<VmHost, string>> {
    const made = new VmHost(options);
    const started = await made.#guard(async () => {
      const interpreter = loadInterpreter(cacheFolder()).module;
      const callTap = made.#tap.place;
      const host = await Host.start(made.#system, {
        name: HOST_NAME,
        interpreter,
        jit: options.jit !== false,
        callTap,
      });
      made.#host = host;
      made.#links = new Links(host);
      const entropy = made.#system.files.open(ENTROPY, 'read');
      made.#entropy = entropy.ok ? entropy.value : undefined;
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

  /** The host's own partition: pays for links, and owns what VMs are lent. Throws BuildFailure. */
  #homeOf(host: Host): Promise<Home> {
    this.#home ??= (async () => {
      const { partition, parts } = await newPartition(host, 1, 1 << 16);
      const given = await giveObjects(host, partition);
      this.#table = new ObjectTable(host.buffer, given.table);
      const watcher = {
        started: (launch: Launch, block: VmBlock): void => this.#guestStarted(launch, block),
        ended: (ended: number): void => this.#guestEnded(ended),
      };
      const platform = await host.gunyah({ table: given.table, watcher });
      await platform.setHome(partition);
      return { partition, block: parts.block, given, platform };
    })();
    return this.#home;
  }

  get #hostVmid(): number {
    return this.#options.primaryGuest ? HOST_VMID : VMID.HLOS;
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

  #check({ name, cpus, memoryBytes, platform, primary, disks }: VmSpec): string | undefined {
    if (!NAME.test(name) || name === HOST_NAME) return `a VM's name is ${NAME.source} and not "${HOST_NAME}"`;
    if (this.#vms.has(name)) return 'a VM of this name runs';
    if (!Number.isInteger(cpus) || cpus < 1 || cpus > CPUS_MAX) return `it cannot have ${cpus} processors`;
    const isMemory = memoryBytes % (2 * MIB) === 0 && memoryBytes >= RAM_BYTES_MIN && memoryBytes <= RAM_BYTES_MAX;
    if (!isMemory) return 'its memory is not 64 MiB to 3 GiB in steps of 2 MiB';
    if (disks.length > DISKS_MAX) return `it has more than ${DISKS_MAX} disks`;
    if (primary && platform !== 'gunyah') return 'a primary VM is on the platform gunyah';
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
    const requests = virtioRequests(spec, (name) => `${this.#networks}-${name}`);
    const devices = openVirtio(requests, files, WINDOW);
    let outfit: Outfit | undefined;
    try {
      if (!devices.ok) return devices;
      const sizes = codeSizes(spec.memoryBytes);
      outfit = await this.#outfit(host, spec, sizes.arenaBytes);
      const { partition, vmid, nodes } = outfit;
      const slots = requests.map((_, slot) => slot);
      const hardware = { cpus: spec.cpus, ramBytes: spec.memoryBytes, virtioSlots: slots, fwCfg: false, pmu: false };
      const description: MachineDescription = nodes.length === 0 ? hardware : { ...hardware, extraNodes: nodes };
      const { kernel, initrd, bootArguments } = boot.value;
      const seeds = { kaslrSeed: randomBytes(8).readBigUInt64LE(), rngSeed: new Uint8Array(randomBytes(64)) };
      const request = { machine: description, kernel, bootArguments, ...seeds, acpi: 'off' as const };
      const plan = await planBoot(initrd === undefined ? request : { ...request, initrd }, hostUnpackers);
      if (!plan.ok) return err(faultSentence(plan.error));
      const foundation = await this.#foundation(host, outfit, plan.value, spec);
      const machine = await assemble(host, foundation, {
        ...{ description, plan: plan.value, name: spec.name, virtio: devices.value, entropy: this.#entropy },
        ...{ interpreter: host.options.interpreter, jit: host.options.jit, ownTranslator: sizes.ownTranslator },
      });
      this.#partitions.set(partition, spec.name);
      const vm = new HostedVm(
        spec.name,
        vmid,
        machine,
        () => files.closeAll(),
        (ended, end) => this.#ended(ended, partition, end),
      );
      outfit = undefined;
      this.#vms.set(spec.name, vm);
      const death = this.#early.get(spec.name);
      if (death !== undefined) vm.crash(death);
      this.#refreshQueues();
      this.#events.next({ kind: 'started', vm });
      return ok(vm);
    } finally {
      // Something was refused on the way: what there is goes again.
      if (outfit !== undefined) {
        await this.#stopWorkers(spec.name);
        await this.#release(host, outfit);
      }
      if (this.#vms.get(spec.name) === 'starting') files.closeAll();
    }
  }

  /** A partition with its objects, known to the resource manager under the platform gunyah. Throws BuildFailure. */
  async #outfit(host: Host, spec: VmSpec, arenaBytes: number): Promise<Outfit> {
    const { links } = this.#running;
    const home = spec.platform === 'gunyah' ? await this.#homeOf(host) : undefined;
    const { partition, parts } = await newPartition(host, spec.cpus, arenaBytes);
    if (home === undefined) return { partition, parts, vmid: 0, given: undefined, nodes: [] };
    const given = await giveObjects(host, partition);
    const vdevices = links.vdevicesOf(spec.name);
    const [vmid, owner] = spec.primary ? [VMID.HLOS, VMID.RM] : [VMID.SELF, this.#hostVmid];
    const { name, profile } = spec;
    const adopted = await home.platform.adopt({
      ...{ vmid, owner, name, partition, block: parts.block, profile, vdevices },
    });
    await links.mapMemory(spec.name, partition);
    const port = ({ capability, virq }: { capability: string; virq: number }) => ({
      capability: BigInt(capability),
      virq,
    });
    const nodes = [
      hypervisorNode({ vmid: adopted.vmid, owner: spec.primary ? undefined : owner, imageName: spec.name }, [
        rpcNode(port(adopted.tx), port(adopted.rx), spec.primary),
        ...linkNodes(vdevices, adopted.ports),
        ...links.memoryNodes(spec.name),
      ]),
    ];
    return { partition, parts, vmid: adopted.vmid, given, nodes };
  }

  async #foundation(host: Host, outfit: Outfit, plan: BootPlan, spec: VmSpec): Promise<Foundation> {
    const { partition, parts, given } = outfit;
    const tickets = await newProcessors(host, partition, spec.cpus);
    const meanwhile = await mapMemory(host, partition, plan, spec.memoryBytes);
    return {
      ...{ partition, parts, tickets, meanwhile },
      gunyah: given && ((index) => placesOf(host, given, spec.profile, index)),
      registers: bootRegisters(plan),
      ready: () => Promise.resolve(),
      release: () => this.#release(host, outfit),
    };
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
    this.#refreshQueues();
    this.#events.next({ kind: 'ended', vm, end });
  }

  #guestStarted({ partition, vmid, name, owner, tickets }: Launch, block: VmBlock): void {
    const { host } = this.#running;
    const madeBy = [...this.#vms.values()].find((vm) => vm !== 'starting' && vm.vmid === owner);
    const taken = new Set([...this.#vms.keys(), ...[...this.#guestMade.values()].map((vm) => vm.name)]);
    const plain =
      name
        .toLowerCase()
        .replaceAll(/[^a-z0-9-]/g, '-')
        .replace(/^[^a-z]*/, '')
        .slice(0, 24) || 'vm';
    const vm = new GuestMadeVm({
      ...{ vmid, partition, block, madeBy: madeBy === undefined || madeBy === 'starting' ? 'rm' : madeBy.name },
      name: taken.has(plain) ? `${plain}-${vmid}` : plain,
      stop: () => {
        block.end(STOP.requested);
        for (const { index } of tickets) {
          if (block.poke(index)) this.#system.sender.ring({ actor: block.actorOf(index) }, 1);
        }
        if (host.platform !== undefined) this.#system.sender.ring(host.platform.manager, 1);
      },
      counters: async () => ((await host.platform?.statistics(partition)) ?? []).map(countersOf),
    });
    this.#guestMade.set(partition, vm);
    this.#partitions.set(partition, vm.name);
    this.#refreshQueues();
    this.#events.next({ kind: 'started', vm });
  }

  #guestEnded(partition: number): void {
    const vm = this.#guestMade.get(partition);
    if (vm === undefined) return;
    this.#guestMade.delete(partition);
    this.#partitions.delete(partition);
    this.#refreshQueues();
    this.#events.next({ kind: 'ended', vm, end: vm.finish() });
  }

  /** A worker has died, or was replaced. */
  #hear(event: SystemEvent): void {
    if (event.event !== 'down' || event.reason === 'stopped') return;
    const { name } = event;
    const detail = deathSentence(event);
    const isFinal = deathOf(event) !== undefined;
    const partition = GunyahPlatform.partitionOf(name);
    const guestMade = partition === undefined ? undefined : this.#guestMade.get(partition);
    const owner = guestMade?.name ?? this.#vmOf(name);
    this.#events.next({ kind: 'workerDied', worker: name, detail, vm: owner, restarts: !isFinal });
    if (!isFinal || isExpendable(name)) return;
    if (guestMade !== undefined) {
      guestMade.crash(detail);
      this.#host?.lost(name);
      return;
    }
    if (owner === undefined) {
      for (const vm of this.#vms.values()) if (vm !== 'starting') vm.crash(detail);
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
      const { tail, head, depth: capacity } = header.value;
      return [{ object, name, from, to, depth: (tail - head) >>> 0, capacity, sent: tail }];
    });
  }

  /** What the core holds: for audits. Throws BuildFailure. */
  census(): Promise<HostCensus> {
    return this.#running.host.census();
  }

  /** What the process holds: for audits. */
  resources(): ReturnType<ActorSystem['resources']> {
    return this.#system.resources();
  }

  /** Ends a worker by force, as a fault of it would: for tests of what goes with it. */
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

/** A VM between its partition and its memory. */
interface Outfit {
  readonly partition: number;
  readonly parts: Foundation['parts'];
  /** 0 on the platform virt. */
  readonly vmid: number;
  readonly given: GivenObjects | undefined;
  readonly nodes: readonly TreeNode[];
}

/** The host's own partition. */
interface Home {
  readonly partition: number;
  readonly block: number;
  readonly given: GivenObjects;
  readonly platform: GunyahPlatform;
}
