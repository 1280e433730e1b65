/** What a machine consists of: the one input of the device tree and of the ACPI tables. */
import type { TreeNode } from './device-tree/tree.js';

/** Where a kernel finds the EFI system table and memory map; all fields in bytes (drivers/firmware/efi/fdtparams.c). */
export interface EfiHandover {
  readonly systemTable: number;
  readonly memoryMap: number;
  readonly memoryMapBytes: number;
  readonly descriptorBytes: number;
  readonly descriptorVersion: number;
}

/** The hardware of a machine. */
export interface MachineDescription {
  /** vCPUs, 1 to CPUS_MAX. */
  readonly cpus: number;
  /** RAM from MEMORY_MAP.ramBase, in bytes; a multiple of 2 MiB. */
  readonly ramBytes: number;
  /** virtio-mmio slots that hold a device, ascending. Empty slots are not described: probing them costs boot time. */
  readonly virtioSlots: readonly number[];
  /** Whether there is what firmware needs: two banks of flash and the firmware configuration device. */
  readonly hasFirmware: boolean;
  /** Whether the CPU has a PMUv3 whose overflow interrupt works. */
  readonly pmu: boolean;
  /** Further nodes of the device tree, below its root: what a hypervisor says of itself. */
  readonly extraNodes?: readonly TreeNode[];
  /** Up to 8 ASCII bytes of FADT "Hypervisor Vendor Identity" ("MsHyperV" makes Linux look for Hyper-V). */
  readonly hypervisorVendor?: string;
}

/** What the boot loader tells the kernel beside the hardware: the content of /chosen. */
export interface BootChoices {
  readonly bootArguments: string;
  /** Guest-physical `[start, end)` of the initial RAM disk. */
  readonly initrd?: { readonly start: number; readonly end: number };
  /** Entropy for kernel address-space randomisation; left out, the kernel is not randomised. */
  readonly kaslrSeed?: bigint;
  /** Entropy for the kernel's random pool: 32 to 128 bytes. */
  readonly rngSeed?: Uint8Array;
  readonly efi?: EfiHandover;
}
