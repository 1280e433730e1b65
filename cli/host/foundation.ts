/** The part of a VM that the core holds, a partition with memory and processors, and how it is made before anything runs. */
import { VP_REGISTER } from '../../actors/abi/hyperv/vp-register-names.js';
import type { MappedExtent, VpTicket } from '../../actors/hypervisor/partition.protocol.js';
import { STAGE2_RIGHTS } from '../../actors/shared-state/stage2/stage2-map.js';
import type { GunyahPlaces } from '../../actors/vcpu/vcpu.protocol.js';
import { assert } from '../../bus/assert.js';
import { ok, type Result } from '../../bus/result.js';
import { VCPU_AREA_BYTES } from '../../cpu/state.js';
import { BANK_BYTES } from '../../devices/flash/cfi-table.js';
import { ARRAY_RIGHTS } from '../../devices/flash/flash.front-end.js';
import type { BootPlan } from '../../devices/machine/boot-plan.js';
import { MEMORY_MAP } from '../../devices/machine/memory-map.js';
import { LateFiles } from '../machine/late-files.js';
import { type SoonUsed, soonUsedByKernel } from '../machine/touch-ahead.js';
import { BuildFailure } from './core-client.js';
import type { HostParts } from './host-parts.js';
import { adviseHugePages } from './huge-pages.js';

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
  /** Where the content of each bank of the flash lies in the machine's memory; absent: there is no flash. */
  readonly banks?: readonly [number, number] | undefined;
  /** Puts what the machine starts with into its memory, while workers start. The error is a sentence; nothing is written after the answer. */
  readonly meanwhile: () => Promise<Result<undefined, string>>;
  /** What must be there before the first instruction. */
  readonly ready: () => Promise<void>;
  /** Memory in large pages that will be used soon after the first instruction; absent: none is known. */
  readonly soonUsed?: () => Promise<readonly SoonUsed[]>;
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
  const set = (property: 'processorCount' | 'processorAreaBytes' | 'processorArenaBytes', value: number) =>
    core.ask('setProperty', { partition, property, value });
  // The core takes them in this order; a start does not wait for each answer.
  const properties = [
    set('processorCount', cpus),
    set('processorAreaBytes', areaBytes),
    set('processorArenaBytes', arenaBytes),
  ];
  const [parts] = await Promise.all([core.ask('initializePartition', { partition }), ...properties]);
  return { partition, parts };
}

/** Makes a partition's processors. Throws BuildFailure. */
export async function newProcessors({ core, memory }: HostParts, partition: number, cpus: number): Promise<VpTicket[]> {
  const tickets: VpTicket[] = [];
  for (let index = 0; index < cpus; index++) {
    const ticket = await core.ask('createVp', { partition, index });
    // Records of code come to some 40 MB for a kernel's boot, from the beginning of the arena on.
    if (adviseHugePages(new Uint8Array(memory.buffer, ticket.arena, ticket.arenaBytes))) {
      adviseHugePages(new Uint8Array(memory.buffer, ticket.area, ticket.areaBytes), ticket.areaBytes);
    }
    tickets.push(ticket);
  }
  return tickets;
}

/** Maps RAM, and the banks of the flash for firmware; answers what puts the plan's images there. Throws BuildFailure. */
export async function mapMemory(
  host: HostParts,
  partition: number,
  plan: BootPlan,
  ramBytes: number,
  late: LateFiles = new LateFiles(),
): Promise<{
  readonly place: Foundation['meanwhile'];
  readonly banks: Foundation['banks'];
  readonly soonUsed: readonly SoonUsed[];
}> {
  const map = async (ipa: number, bytes: number, rights: number): Promise<MappedExtent> => {
    const { extents } = await host.core.ask('mapGuestMemory', { partition, ipa, bytes, rights });
    const [first] = extents;
    if (first === undefined) throw new BuildFailure('the hypervisor core mapped nothing');
    return first;
  };
  const ram = await map(MEMORY_MAP.ramBase, ramBytes, STAGE2_RIGHTS.all);
  const isLarge = adviseHugePages(new Uint8Array(host.memory.buffer, ram.host, ram.bytes));
  const imagesEnd = Math.max(...plan.placements.map(({ ipa, bytes }) => ipa + bytes.length));
  const soonUsed =
    isLarge && plan.format === 'arm64-image'
      ? soonUsedByKernel({ at: ram.host, bytes: ram.bytes }, ram.host + (imagesEnd - ram.ipa))
      : [];
  const extents = [ram];
  const { base } = MEMORY_MAP.flash;
  let banks: Foundation['banks'];
  if (plan.firmwareItems !== undefined) {
    const [code, vars] = [
      await map(base, BANK_BYTES, ARRAY_RIGHTS),
      await map(base + BANK_BYTES, BANK_BYTES, ARRAY_RIGHTS),
    ];
    extents.push(code, vars);
    banks = [code.host, vars.host];
  }
  const place = async (): Promise<Result<undefined, string>> => {
    const placed = plan.placements.map(({ ipa, bytes }) => {
      const extent = extents.find((one) => ipa >= one.ipa && ipa + bytes.length <= one.ipa + one.bytes);
      assert(extent !== undefined, 'a planned image lies in memory or in a bank of the flash');
      return late.place(bytes, new Uint8Array(host.memory.buffer, extent.host + (ipa - extent.ipa), bytes.length));
    });
    return (await Promise.all(placed)).find((one) => !one.ok) ?? ok();
  };
  return { place, banks, soonUsed };
}

/** Where a plan starts, and with what. */
export function bootRegisters({ entry, registers: [x0] }: BootPlan): Foundation['registers'] {
  return [
    [VP_REGISTER.pc, BigInt(entry)],
    [VP_REGISTER.x0, x0],
  ];
}
