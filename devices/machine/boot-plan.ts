/**
 * From files and a description to everything a machine needs to start: bytes with their addresses, the entry point and
 * the first vCPU's registers. Pure: it reads no file, and the host's decompressors are handed in.
 *
 * Layout of RAM (ADR 0020): device tree at its start, ACPI and EFI tables at +1 MiB, kernel at +2 MiB, then the initial
 * RAM disk at the next 2 MiB boundary after the kernel's memory.
 */
import { ok, type Result } from '../../bus/result.js';
import { type FwCfgItem, fwCfgItems } from '../fw-cfg/items.js';
import { efiTables } from './acpi/efi-tables.js';
import { acpiFiles } from './acpi/loader-script.js';
import { acpiTables } from './acpi/tables.js';
import { type BootFault, hex, refuse } from './boot-fault.js';
import type { BootChoices, EfiHandover, MachineDescription } from './description.js';
import { chosenOnlyTree, completeTree, machineTree } from './device-tree/machine-tree.js';
import { readTree } from './device-tree/read-tree.js';
import { TREE_LIMITS } from './device-tree/tree.js';
import { writeTree } from './device-tree/write-tree.js';
import { kernelForFirmware, loadFirmware, loadKernel } from './loaders/kernel.js';
import { alignUp, type LoadedImage, MIB, overlaps, type Placement } from './loaders/placement.js';
import { CPUS_MAX, isRamSize, MEMORY_MAP, VIRTIO_MMIO_SLOTS } from './memory-map.js';
import type { Unpackers } from './unpackers.js';

/** A file's content with the name that faults will show. */
export interface NamedBytes {
  readonly file: string;
  readonly bytes: Uint8Array;
}

/** What to boot: a kernel, firmware, or firmware that starts a kernel handed to it through its configuration device. */
export interface BootRequest {
  readonly machine: MachineDescription;
  readonly kernel?: NamedBytes;
  readonly firmware?: NamedBytes;
  readonly initrd?: NamedBytes;
  /** Replaces the generated device tree; /chosen is completed, everything else is taken as it is. */
  readonly deviceTree?: NamedBytes;
  readonly bootArguments: string;
  readonly kaslrSeed?: bigint;
  readonly rngSeed?: Uint8Array;
  /**
   * `off`: device tree only. `offered`: a full device tree and ACPI tables; Linux takes ACPI with `acpi=force`.
   * `only`: ACPI tables, and a device tree of /chosen alone; Linux then takes ACPI by itself.
   */
  readonly acpi: 'off' | 'offered' | 'only';
}

/** Everything the machine builder writes and sets before the first instruction. */
export interface BootPlan {
  /** No two placements overlap; all lie in RAM or flash. */
  readonly placements: readonly Placement[];
  /** Guest-physical address the first vCPU starts at. */
  readonly entry: number;
  /** x0 to x3 of the first vCPU; all other general registers are 0. */
  readonly registers: readonly [bigint, bigint, bigint, bigint];
  /** The device tree as handed over, for `--dump-dtb`. */
  readonly deviceTree: Uint8Array;
  readonly format: LoadedImage['format'];
  /** What the firmware configuration device offers; absent without firmware. */
  readonly firmwareItems?: readonly FwCfgItem[];
}

/** ACPI and EFI tables: 64 KiB-aligned, so that kernels with 64 KiB pages can map them. */
const TABLES_BASE = MEMORY_MAP.ramBase + MIB;
const TABLES_BYTES = 0x4_0000;
/** Longest command line: arm64's COMMAND_LINE_SIZE, with its NUL. */
const BOOT_ARGUMENTS_BYTES_MAX = 2047;

/** Checks what a user may have got wrong in the description itself. */
function checkRequest({ machine, bootArguments, rngSeed }: BootRequest): Result<undefined, BootFault> {
  const { cpus, ramBytes, virtioSlots } = machine;
  if (!Number.isInteger(cpus) || cpus < 1 || cpus > CPUS_MAX)
    return refuse('machine', 'cpus', `${cpus} is not between 1 and ${CPUS_MAX}`);
  if (!isRamSize(ramBytes))
    return refuse('machine', 'memory', `${ramBytes} bytes are not an even number of MiB between 4 MiB and 3 GiB`);
  if (
    virtioSlots.some(
      (slot, i) => !Number.isInteger(slot) || slot < 0 || slot >= VIRTIO_MMIO_SLOTS || virtioSlots.indexOf(slot) !== i,
    )
  )
    return refuse('machine', 'virtio slots', `are not distinct numbers from 0 to ${VIRTIO_MMIO_SLOTS - 1}`);
  if (rngSeed !== undefined && rngSeed.byteLength > 128)
    return refuse('machine', 'rng seed', `has ${rngSeed.byteLength} bytes, more than 128`);
  // A NUL would end the command line early, and control characters have no meaning in one.
  if (bootArguments.length > BOOT_ARGUMENTS_BYTES_MAX || !/^[\x20-\x7e\t]*$/.test(bootArguments))
    return refuse('command line', 'bootargs', `is not up to ${BOOT_ARGUMENTS_BYTES_MAX} printable ASCII characters`);
  return ok();
}

/** The end of the highest placement in RAM, or the start of RAM. */
function endOf(placements: readonly Placement[]): number {
  return Math.max(MEMORY_MAP.ramBase, ...placements.map((p) => p.ipa + p.reservedBytes));
}

/** Places the initial RAM disk after the image. */
function placeInitrd(initrd: NamedBytes, image: LoadedImage, ramBytes: number): Result<Placement, BootFault> {
  const bytes = initrd.bytes.byteLength;
  if (bytes === 0) return refuse(initrd.file, 'file', 'is empty');
  const ipa = alignUp(Math.max(endOf(image.placements), TABLES_BASE + TABLES_BYTES), 2 * MIB);
  if (ipa + bytes > MEMORY_MAP.ramBase + ramBytes)
    return refuse(initrd.file, 'file', `${bytes} bytes at ${hex(ipa)} do not fit into ${ramBytes / MIB} MiB of memory`);
  return ok({ what: 'initrd', ipa, bytes: initrd.bytes, reservedBytes: bytes });
}

/** The tables' placement and what /chosen says about them. */
function placeTables(machine: MachineDescription): { readonly placement: Placement; readonly efi: EfiHandover } {
  const acpi = acpiTables(machine, TABLES_BASE);
  const efiAt = alignUp(TABLES_BASE + acpi.bytes.byteLength, 64);
  const efi = efiTables(efiAt, acpi.rsdp, {
    ramBase: MEMORY_MAP.ramBase,
    ramBytes: machine.ramBytes,
    tablesBase: TABLES_BASE,
    tablesBytes: TABLES_BYTES,
  });
  const bytes = new Uint8Array(efiAt - TABLES_BASE + efi.bytes.byteLength);
  bytes.set(acpi.bytes);
  bytes.set(efi.bytes, efiAt - TABLES_BASE);
  return {
    placement: { what: 'ACPI and EFI tables', ipa: TABLES_BASE, bytes, reservedBytes: TABLES_BYTES },
    efi: efi.handover,
  };
}

/** Encodes the tree: the user's, completed, or the generated one. */
function encodeTree(request: BootRequest, choices: BootChoices): Result<Uint8Array, BootFault> {
  const { deviceTree, machine, acpi } = request;
  if (deviceTree === undefined)
    return ok(
      writeTree(
        // Firmware always gets the whole tree: it finds its own devices in it.
        acpi === 'only' && request.firmware === undefined ? chosenOnlyTree(choices) : machineTree(machine, choices),
      ),
    );
  const tree = readTree(deviceTree.file, deviceTree.bytes);
  if (!tree.ok) return tree;
  const bytes = writeTree(completeTree(tree.value, machine.ramBytes, choices));
  if (bytes.byteLength > TREE_LIMITS.bytesMax)
    return refuse(deviceTree.file, 'totalsize', 'is more than 2 MiB with /chosen completed');
  return ok(bytes);
}

/**
 * Where the tree goes: the start of RAM, where firmware and bare-metal programs look for it, unless something is there;
 * otherwise the first free 2 MiB boundary (the boot protocol wants it inside one 2 MiB block).
 */
function placeTree(bytes: Uint8Array, placements: readonly Placement[], ramBytes: number): Placement | undefined {
  const limit = MEMORY_MAP.ramBase + ramBytes;
  for (let ipa = MEMORY_MAP.ramBase; ipa + bytes.byteLength <= limit; ipa += 2 * MIB)
    if (!placements.some((p) => overlaps(p.ipa, p.reservedBytes, ipa, bytes.byteLength)))
      return { what: 'device tree', ipa, bytes, reservedBytes: bytes.byteLength };
  return undefined;
}

/** The items of firmware's configuration device: the machine, and a kernel to start. */
async function firmwareItems(
  { machine, kernel, initrd, bootArguments, acpi }: BootRequest,
  unpackers: Unpackers,
): Promise<Result<readonly FwCfgItem[], BootFault>> {
  const image = kernel === undefined ? undefined : await kernelForFirmware(kernel.file, kernel.bytes, unpackers);
  if (image !== undefined && !image.ok) return image;
  if (image !== undefined && initrd !== undefined && initrd.bytes.byteLength === 0)
    return refuse(initrd.file, 'file', 'is empty');
  return ok(
    fwCfgItems({
      cpus: machine.cpus,
      ...(image === undefined ? {} : { kernel: image.value }),
      ...(initrd === undefined ? {} : { initrd: initrd.bytes }),
      commandLine: bootArguments,
      files: acpi === 'off' ? new Map() : acpiFiles(machine),
    }),
  );
}

async function loadImage(request: BootRequest, unpackers: Unpackers): Promise<Result<LoadedImage, BootFault>> {
  const { kernel, firmware, machine } = request;
  if (firmware !== undefined) return loadFirmware(firmware.file, firmware.bytes);
  if (kernel === undefined)
    return refuse('machine', 'kernel', 'is missing: give a kernel, a firmware or an image name');
  return loadKernel(kernel.file, kernel.bytes, machine.ramBytes, unpackers);
}

/** Plans a boot; see {@link BootPlan}. Everything in `request` may come from an untrusted user or file. */
export async function planBoot(request: BootRequest, unpackers: Unpackers): Promise<Result<BootPlan, BootFault>> {
  const checked = checkRequest(request);
  if (!checked.ok) return checked;
  const image = await loadImage(request, unpackers);
  if (!image.ok) return image;
  const { machine } = request;
  const placements: Placement[] = [...image.value.placements];
  let choices: BootChoices = {
    bootArguments: request.bootArguments,
    ...(request.kaslrSeed === undefined ? {} : { kaslrSeed: request.kaslrSeed }),
    ...(request.rngSeed === undefined ? {} : { rngSeed: request.rngSeed }),
  };
  const hasFirmware = request.firmware !== undefined;
  const items = hasFirmware ? await firmwareItems(request, unpackers) : undefined;
  if (items !== undefined && !items.ok) return items;
  // Firmware hands a kernel of its configuration device the initial RAM disk beside it.
  if (request.initrd !== undefined && !(hasFirmware && request.kernel !== undefined)) {
    const initrd = placeInitrd(request.initrd, image.value, machine.ramBytes);
    if (!initrd.ok) return initrd;
    const { ipa, reservedBytes } = initrd.value;
    placements.push(initrd.value);
    choices = { ...choices, initrd: { start: ipa, end: ipa + reservedBytes } };
  }
  if (request.acpi !== 'off' && !hasFirmware) {
    const { placement, efi } = placeTables(machine);
    if (placements.some((p) => overlaps(p.ipa, p.reservedBytes, placement.ipa, placement.reservedBytes)))
      return refuse(
        request.kernel?.file ?? 'machine',
        'ACPI',
        'tables need memory that the image occupies; use a device tree',
      );
    placements.push(placement);
    choices = { ...choices, efi };
  }
  const tree = encodeTree(request, choices);
  if (!tree.ok) return tree;
  const treePlacement = placeTree(tree.value, placements, machine.ramBytes);
  if (treePlacement === undefined) return refuse('machine', 'memory', 'has no room left for the device tree');
  return ok({
    placements: [...placements, treePlacement],
    entry: image.value.entry,
    registers: [BigInt(treePlacement.ipa), 0n, 0n, 0n],
    deviceTree: tree.value,
    format: image.value.format,
    ...(items === undefined ? {} : { firmwareItems: items.value }),
  });
}
