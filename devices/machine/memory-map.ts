/**
 * Where everything of the machine is: one table, identical to QEMU's `virt` machine with `gic-version=3`, so that
 * firmware and small operating systems written for `virt` run here unchanged. Checked by memory-map.test.ts against
 * the device tree that QEMU itself writes.
 *
 * Addresses are intermediate physical addresses as plain numbers of bytes: all of them lie below 2^33.
 */

/** A window of guest-physical addresses: `[base, base + sizeBytes)`. */
export interface Window {
  readonly base: number;
  readonly sizeBytes: number;
}

/** A device window with its shared peripheral interrupt: `spi` counts from 0, its INTID is `spi + 32`. */
export interface WiredWindow extends Window {
  readonly spi: number;
}

/** The memory map. RAM has a base only; its size is chosen per machine within {@link RAM_BYTES_MIN} and {@link RAM_BYTES_MAX}. */
export const MEMORY_MAP = {
  /** Two banks of 64 MiB; firmware starts in the first. */
  flash: { base: 0x0000_0000, sizeBytes: 0x0800_0000 },
  gicDistributor: { base: 0x0800_0000, sizeBytes: 0x1_0000 },
  /** 0x2_0000 per vCPU (RD_base and SGI_base frames); the window has room for 123. */
  gicRedistributors: { base: 0x080a_0000, sizeBytes: 0xf6_0000 },
  uart: { base: 0x0900_0000, sizeBytes: 0x1000, spi: 1 },
  rtc: { base: 0x0901_0000, sizeBytes: 0x1000, spi: 2 },
  fwCfg: { base: 0x0902_0000, sizeBytes: 0x18 },
  gpio: { base: 0x0903_0000, sizeBytes: 0x1000, spi: 7 },
  ramBase: 0x4000_0000,
} as const satisfies Record<string, Window | WiredWindow | number>;

/** Number of virtio-mmio transports. */
export const VIRTIO_MMIO_SLOTS = 32;
/** Smallest and largest memory of a machine, in bytes. */
const RAM_BYTES_MIN = 4 * 1024 * 1024;
const RAM_BYTES_MAX = 3 * 1024 * 1024 * 1024;
const RAM_BYTES_STEP = 2 * 1024 * 1024;
/** These sizes as users write them. */
export const RAM_RANGE = `${RAM_BYTES_MIN / 2 ** 20}M to ${RAM_BYTES_MAX / 2 ** 30}G`;
/** Whether a machine may have so many bytes of memory; false for what is no number. */
export function isRamSize(bytes: number): boolean {
  return bytes % RAM_BYTES_STEP === 0 && bytes >= RAM_BYTES_MIN && bytes <= RAM_BYTES_MAX;
}
/** Most vCPUs of a machine. */
export const CPUS_MAX = 8;
/** First bank of the flash: the most bytes a firmware image may have. */
export const FIRMWARE_BYTES_MAX = 0x0400_0000;
/** Window onto guest memory (actors/shared-state/guest-window) of the firmware configuration device: behind those of virtio. */
export const FW_CFG_WINDOW = 39;
/** Line of the PL061 that the power button drives. */
export const POWER_BUTTON_LINE = 3;
/** Frequency of the fixed clock that feeds the PrimeCell devices, in hertz. */
export const PERIPHERAL_CLOCK_HZ = 24_000_000;

/** Private peripheral interrupts as INTIDs (PPI n is INTID n + 16). */
export const PPI = {
  securePhysicalTimer: 29,
  physicalTimer: 30,
  virtualTimer: 27,
  hypervisorTimer: 26,
  performanceMonitor: 23,
} as const;

/** INTID of shared peripheral interrupt `spi`. */
export function spiToIntid(spi: number): number {
  return spi + 32;
}

/** Window and interrupt of virtio-mmio transport `slot` (0 to {@link VIRTIO_MMIO_SLOTS} - 1). */
export function virtioMmioSlot(slot: number): WiredWindow {
  return { base: 0x0a00_0000 + slot * 0x200, sizeBytes: 0x200, spi: 16 + slot };
}

/** MPIDR_EL1 affinity of vCPU `index`: 16 per cluster as GICv3 SGI target lists have it, so 0 to 7 are Aff0. */
export function mpidrOf(index: number): number {
  return ((index >> 4) << 8) | (index & 15);
}
