/** What Gunyah VMs share on a host: the resource manager and the launcher of what it makes; and what the primary VM is told. */
import { isDeepStrictEqual } from 'node:util';
import type { Profile } from '../../actors/abi/gunyah/identity.js';
import type { ObjectPlaces, PartitionObjects } from '../../actors/hypervisor/port.protocol.js';
import {
  FREE_IRQ_START,
  hypervisorNode,
  rootNode,
  rpcNode,
  watchdogNode,
} from '../../actors/resource-manager/guest-tree.js';
import { resourceManagerKind } from '../../actors/resource-manager/resource-manager.actor.js';
import type {
  AdoptedVm,
  Adoption,
  QueueLine,
  ResourceManagerProtocol,
} from '../../actors/resource-manager/resource-manager.protocol.js';
import { VMID } from '../../actors/resource-manager/rm-messages.js';
import type { ActorRef } from '../../actors/runtime/protocol.js';
import type { GunyahPlaces, VcpuStatistics } from '../../actors/vcpu/vcpu.protocol.js';
import { VCPU_AREA_BYTES } from '../../cpu/state.js';
import type { TreeNode } from '../../devices/machine/device-tree/tree.js';
import { BuildFailure } from './core-client.js';
import type { Foundation } from './foundation.js';
import type { HostParts } from './host-parts.js';
import { keepAlive } from './keep-alive.js';
import { type Launch, type LaunchWatcher, type Outfitter, VmLauncher } from './vm-launcher.js';

/** Capabilities of a VM that a host builds (gunyah.md 2.2: RM uses 1024). */
const SLOTS = 1024;
/** The primary VM's first two capabilities and interrupts are its RPC queues, the next its watchdog's bark: its tree can be written before it exists. */
const RPC_PORTS = {
  tx: { capability: 0n, virq: FREE_IRQ_START },
  rx: { capability: 1n, virq: FREE_IRQ_START + 1 },
} as const;
const BARK_VIRQ = FREE_IRQ_START + 2;
const ASK = { timeoutMs: 20_000 } as const;
/** Of a primary VM that may put VMs together, the next capabilities: partition, capability space, address space, vic. */
const ROOT_CAPABILITIES = [2n, 3n, 4n, 5n] as const;

/** The nodes of the primary VM's tree. `isRoot`: it may put VMs together by hypercalls. */
export function primaryNodes(isRoot = false): readonly TreeNode[] {
  const about = { vmid: VMID.HLOS, owner: undefined, imageName: undefined };
  const root = isRoot ? [rootNode(...ROOT_CAPABILITIES)] : [];
  return [hypervisorNode(about, [rpcNode(RPC_PORTS.tx, RPC_PORTS.rx, true), watchdogNode(BARK_VIRQ), ...root])];
}

/** What the platform needs to know when it is started. */
export interface PlatformOptions {
  /** Byte address of the core's object table. */
  readonly table: number;
  /** Hears of VMs that guests make; absent: nobody does. */
  readonly watcher?: LaunchWatcher | undefined;
  /** Gives its own VMs devices and threads; absent: nobody does. */
  readonly outfitter?: Outfitter | undefined;
}

/** The first boot register that a launch order names, and its places, as a foundation has them. */
export function foundationOf(host: HostParts, launch: Launch): Omit<Foundation, 'meanwhile' | 'ready' | 'release'> {
  const { partition, tickets, places, profile, registers } = launch;
  const [first] = tickets;
  if (first === undefined) throw new BuildFailure('a VM has a processor');
  const { block, stage2, gic } = first;
  return {
    ...{ partition, tickets, parts: { block, stage2, gic } },
    gunyah: (index) => placesOf(host, places, profile, index),
    registers: registers.map(({ code, value }) => [code, BigInt(value)] as const),
  };
}

/** Objects of a partition under the Gunyah ABI. */
export type GivenObjects = PartitionObjects & ObjectPlaces;

/** Gives an initialised partition what a Gunyah VM has; before its processors run. */
export function giveObjects(host: HostParts, partition: number): Promise<GivenObjects> {
  return host.core.ask('giveObjects', { partition, slots: SLOTS });
}

/** What processor `index` of a VM with these objects needs. */
export function placesOf(
  host: HostParts,
  given: Pick<GivenObjects, 'table' | 'space' | 'threads'>,
  profile: Profile,
  index: number,
): GunyahPlaces {
  const { table, space, threads } = given;
  return { profile, table, space, thread: threads[index] ?? 0, core: host.core.ref.actor };
}

/** See the head of this file. */
export class GunyahPlatform {
  readonly manager: ActorRef<ResourceManagerProtocol>;
  readonly #host: HostParts;
  readonly #launcher: VmLauncher;
  readonly #serving: Promise<void>;

  private constructor(host: HostParts, manager: ActorRef<ResourceManagerProtocol>, launcher: VmLauncher) {
    this.#host = host;
    this.manager = manager;
    this.#launcher = launcher;
    this.#serving = launcher.serve(manager, keepAlive());
  }

  /** Starts the resource manager; throws BuildFailure. */
  static async start(host: HostParts, { table, watcher, outfitter }: PlatformOptions): Promise<GunyahPlatform> {
    const { system, memory, core, options } = host;
    const launcher = new VmLauncher(host, watcher, outfitter);
    const config = {
      ...{ memory, table, core: core.ref, launcher: launcher.place },
      areaBytes: Math.ceil(VCPU_AREA_BYTES / 4096) * 4096,
    };
    const name = `${options.name}-rm`;
    const started = await system.spawn(resourceManagerKind, config, { name });
    if (!started.ok) throw new BuildFailure(`the resource manager did not start (${JSON.stringify(started.error)})`);
    return new GunyahPlatform(host, started.value, launcher);
  }

  /** Makes the resource manager know a VM that was built without it. Throws BuildFailure. */
  async adopt(adoption: Adoption): Promise<AdoptedVm> {
    const answer = await this.#host.system.sender.ask(this.manager, 'adopt', adoption, ASK);
    if (!answer.ok)
      throw new BuildFailure(`the resource manager did not take the VM (${JSON.stringify(answer.error)})`);
    this.#host.processors.setProfile(adoption.partition, adoption.profile);
    return answer.value;
  }

  /** Gives a VM what it may put others together with, as a node of its tree. Throws BuildFailure. */
  async giveRoot(partition: number): Promise<TreeNode> {
    const given = await this.#host.core.ask('giveRoot', { partition });
    const { cspace, addrspace, vic } = given;
    return rootNode(BigInt(given.partition), BigInt(cspace), BigInt(addrspace), BigInt(vic));
  }

  /** Makes a partition the one that pays for links between VMs. */
  async setHome(partition: number): Promise<void> {
    const done = await this.#host.system.sender.ask(this.manager, 'setHome', { partition }, ASK);
    if (!done.ok) throw new BuildFailure('the resource manager does not answer');
  }

  /** What the vCPUs of a VM did that a guest made. */
  async statistics(partition: number): Promise<readonly VcpuStatistics[]> {
    const { sender } = this.#host.system;
    const threads = this.#launcher.threadsOf(partition);
    const answers = await Promise.all(threads.map((thread) => sender.ask(thread, 'statistics', {}, ASK)));
    return answers.flatMap((answer) => (answer.ok ? [answer.value] : []));
  }

  /** As {@link adopt} for the primary VM whose tree has {@link primaryNodes}. */
  async adoptPrimary(adoption: Omit<Adoption, 'vmid' | 'owner' | 'vdevices'>, isRoot: boolean): Promise<void> {
    const { tx, rx, bark } = await this.adopt({ ...adoption, vmid: VMID.HLOS, owner: VMID.RM, vdevices: [] });
    const expected = [RPC_PORTS.tx, RPC_PORTS.rx].map(({ capability, virq }) => `${capability}:${virq}`);
    const got = [tx, rx].map(({ capability, virq }) => `${BigInt(capability)}:${virq}`);
    const root = isRoot ? await this.giveRoot(adoption.partition) : undefined;
    const isRootAsTold = root === undefined || isDeepStrictEqual(root, rootNode(...ROOT_CAPABILITIES));
    if (got.join() === expected.join() && bark === BARK_VIRQ && isRootAsTold) return;
    throw new BuildFailure('the resource manager did not give the primary VM the capabilities its device tree names');
  }

  /** An adopted VM has ended and its threads are gone: what it had, and the VMs it made, go with it. */
  async release(vmid: number): Promise<void> {
    await this.#host.system.sender.ask(this.manager, 'release', { vmid }, ASK);
  }

  /** Every message queue that VMs share with each other or with the resource manager. */
  async queues(): Promise<readonly QueueLine[]> {
    const answer = await this.#host.system.sender.ask(this.manager, 'queues', {}, ASK);
    return answer.ok ? answer.value.queues : [];
  }

  /** A worker has died: true if it ran a VM that a guest had made. That VM ends, and its owner is told. */
  lost(worker: string): boolean {
    if (!this.#launcher.lost(worker)) return false;
    this.#host.system.sender.ring(this.manager, 1);
    return true;
  }

  /** Ends the resource manager and every VM that guests made. */
  async close(): Promise<void> {
    await this.#host.system.stop(this.manager);
    await this.#launcher.close();
    await this.#serving;
  }
}
