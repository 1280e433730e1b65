/** The part of a VM that the core holds, a partition with memory and processors, and how it is made before anything runs. */
import { VP_REGISTER } from '../../actors/abi/hyperv/vp-register-names.js';
import type { MappedExtent, VpTicket } from '../../actors/hypervisor/partition.protocol.js';
import { STAGE2_RIGHTS } from '../../actors/shared-state/stage2/stage2-map.js';
import type { GunyahPlaces } from '../../actors/vcpu/vcpu.protocol.js';
import { VCPU_AREA_BYTES } from '../../cpu/state.js';
import type { BootPlan } from '../../devices/machine/boot-plan.js';
import { MEMORY_MAP } from '../../devices/machine/memory-map.js';
import { BuildFailure } from './core-client.js';
import type { HostParts } from './host-parts.js';

/** See the head of this file. */
export interface Foundation {
  readonly partition: number;
  /** Byte addresses of what the partition's threads share. */
  readonly parts: { readonly block: number; readonly stage2: number; readonly gic: number };
  readonly tickets: readonly VpTicket[];
  /** What processor `index` needs to make Gunyah's calls. */
  readonly gunyah: ((index: number) => GunyahPlaces) | undefined;
  /** Registers processor 0 starts with, by HV_REGISTER_NAME code. */
  readonly registers: readonly (readonly [number, bigint])[];
  /** What can be done while workers start. */
  readonly meanwhile: () => void;
  /** What must be there before the first instruction. */
  readonly ready: () => Promise<void>;
  /** Returns it all to the core, when the threads have ended. */
  readonly release: () => Promise<void>;
}

/** Makes a partition with its block, interrupt controller and an empty stage-2 map. Throws BuildFailure. */
export async function newPartition(
  { core }: HostParts,
  cpus: number,
  arenaBytes: number,
): Promise<Pick<Foundation, 'partition' | 'parts'>> {
  const { partition } = await core.ask('createPartition', {});
  const areaBytes = Math.ceil(VCPU_AREA_BYTES / 4096) * 4096;
  await core.ask('setProperty', { partition, property: 'processorCount', value: cpus });
  await core.ask('setProperty', { partition, property: 'processorAreaBytes', value: areaBytes });
  await core.ask('setProperty', { partition, property: 'processorArenaBytes', value: arenaBytes });
  return { partition, parts: await core.ask('initializePartition', { partition }) };
}

/** Makes a partition's processors. Throws BuildFailure. */
export async function newProcessors({ core }: HostParts, partition: number, cpus: number): Promise<VpTicket[]> {
  const tickets: VpTicket[] = [];
  for (let index = 0; index < cpus; index++) tickets.push(await core.ask('createVp', { partition, index }));
  return tickets;
}

/** Maps RAM, and flash where the plan uses it; answers what puts the plan's images there. Throws BuildFailure. */
export async function mapMemory(
  host: HostParts,
  partition: number,
  plan: BootPlan,
  ramBytes: number,
): Promise<() => void> {
  const map = async (ipa: number, bytes: number): Promise<MappedExtent> => {
    const { extents } = await host.core.ask('mapGuestMemory', { partition, ipa, bytes, rights: STAGE2_RIGHTS.all });
    const [first] = extents;
    if (first === undefined) throw new BuildFailure('the hypervisor core mapped nothing');
    return first;
  };
  const ram = await map(MEMORY_MAP.ramBase, ramBytes);
  const { flash: flashWindow } = MEMORY_MAP;
  const flashUsed = plan.placements.some(({ ipa }) => ipa < flashWindow.base + flashWindow.sizeBytes);
  const flash = flashUsed ? await map(flashWindow.base, flashWindow.sizeBytes) : undefined;
  return () => {
    const memory = new Uint8Array(host.memory.buffer);
    for (const { ipa, bytes } of plan.placements) {
      const extent = flash !== undefined && ipa < flash.ipa + flash.bytes ? flash : ram;
      memory.set(bytes, extent.host + (ipa - extent.ipa));
    }
  };
}

/** Where a plan starts, and with what. */
export function bootRegisters({ entry, registers: [x0] }: BootPlan): Foundation['registers'] {
  return [
    [VP_REGISTER.pc, BigInt(entry)],
    [VP_REGISTER.x0, x0],
  ];
}
