/** What `--platform gunyah` adds to a machine: capabilities, the resource manager, and the nodes that tell the guest of both. */

import type { Profile } from '../../actors/abi/gunyah/identity.js';
import type { CoreProtocol, ObjectPlaces, PartitionObjects } from '../../actors/hypervisor/port.protocol.js';
import { FREE_IRQ_START, hypervisorNode, rpcNode } from '../../actors/resource-manager/guest-tree.js';
import { resourceManagerKind } from '../../actors/resource-manager/resource-manager.actor.js';
import type { ResourceManagerProtocol } from '../../actors/resource-manager/resource-manager.protocol.js';
import { VMID } from '../../actors/resource-manager/rm-messages.js';
import type { ActorRef } from '../../actors/runtime/protocol.js';
import type { ActorSystem } from '../../actors/runtime/system.js';
import type { GunyahPlaces } from '../../actors/vcpu/vcpu.protocol.js';
import type { KeepAlive } from '../../bus/doorbell/parking.js';
import { err, ok, type Result } from '../../bus/result.js';
import type { TreeNode } from '../../devices/machine/device-tree/tree.js';
import { type SharedVcpuConfig, VmLauncher } from './vm-launcher.js';

/** Capabilities of the primary VM. */
export const PRIMARY_SLOTS = 1024;
/** The primary VM's first two capabilities and interrupts are its RPC queues: its tree can be written before it exists. */
const RPC_PORTS = {
  tx: { capability: 0n, virq: FREE_IRQ_START },
  rx: { capability: 1n, virq: FREE_IRQ_START + 1 },
} as const;
const ASK = { timeoutMs: 10_000 } as const;

/** The nodes of the primary VM's tree. */
export function primaryNodes(): readonly TreeNode[] {
  const about = { vmid: VMID.HLOS, owner: undefined, imageName: undefined };
  return [hypervisorNode(about, [rpcNode(RPC_PORTS.tx, RPC_PORTS.rx, true)])];
}

/** A primary VM that was given its objects. */
export interface PrimaryVm {
  readonly partition: number;
  readonly block: number;
  readonly profile: Profile;
  readonly given: PartitionObjects & ObjectPlaces;
}

/** What its processor `index` needs. */
export function placesOf({ given, profile }: PrimaryVm, index: number, core: number): GunyahPlaces {
  return { profile, table: given.table, space: given.space, thread: given.threads[index] ?? 0, core };
}

/** The resource manager of a machine, and how it is ended. */
export interface GunyahPlatform {
  readonly manager: ActorRef<ResourceManagerProtocol>;
  /** A worker has died: true if it ran a VM that a guest had made. That VM ends, and its owner is told. */
  lost(name: string): boolean;
  close(): Promise<void>;
}

/** Starts the resource manager and makes `vm` its primary VM. The error is a sentence. */
export async function startResourceManager(
  system: ActorSystem,
  core: ActorRef<CoreProtocol>,
  vm: PrimaryVm,
  shared: SharedVcpuConfig,
  options: {
    readonly name: string;
    readonly areaBytes: number;
    readonly arenaBytes: number;
    readonly keepAlive: KeepAlive;
  },
): Promise<Result<GunyahPlatform, string>> {
  const { name, areaBytes, arenaBytes, keepAlive } = options;
  const launcher = new VmLauncher(system, core, shared, name);
  const config = {
    memory: shared.memory,
    core,
    table: vm.given.table,
    launcher: launcher.place,
    areaBytes,
    arenaBytes,
  };
  const started = await system.spawn(resourceManagerKind, config, { name: `${name}-rm` });
  if (!started.ok) return err(`the resource manager did not start (${JSON.stringify(started.error)})`);
  const manager = started.value;
  const serving = launcher.serve(manager, keepAlive);
  const { partition, block, profile } = vm;
  const adopted = await system.sender.ask(manager, 'adopt', { vmid: VMID.HLOS, partition, block, profile }, ASK);
  const close = async (): Promise<void> => {
    await system.stop(manager);
    await launcher.close();
    await serving;
  };
  const expected = [RPC_PORTS.tx, RPC_PORTS.rx].map(({ capability, virq }) => `${capability}:${virq}`);
  const got = adopted.ok
    ? [adopted.value.tx, adopted.value.rx].map(({ capability, virq }) => `${BigInt(capability)}:${virq}`)
    : [];
  const lost = (worker: string): boolean => {
    if (!launcher.lost(worker)) return false;
    system.sender.ring(manager, 1);
    return true;
  };
  if (got.join() === expected.join()) return ok({ manager, lost, close });
  await close();
  return err('the resource manager did not give the primary VM the queues its device tree names');
}
