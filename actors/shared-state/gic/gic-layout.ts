/**
 * Layout of a VM's GICv3 state in shared memory. Every field is a 32-bit little-endian word or a byte array; whoever
 * reads or changes it holds the lock word. Interrupt numbers: 0..15 SGI, 16..31 PPI (per vCPU), 32..1019 SPI.
 */

/** Virtual CPUs one interrupt controller serves. */
export const GIC_CPUS_MAX = 8;
/** Interrupt numbers a distributor implements unless it is made with more, the 32 private ones included. */
export const GIC_INTERRUPTS = 288;
/** Most interrupt numbers of a distributor: 1,020 to 1,023 have meanings of their own, and registers end at 1,024. */
export const GIC_INTERRUPTS_MAX = 1024;

/** Byte offsets of the distributor's state. Arrays of words hold one bit per interrupt number. */
export const GICD_STATE = {
  lock: 0x000,
  control: 0x004,
  /** Not 0 when some bit of `posted` may be set. */
  anyPosted: 0x00c,
  /** What hardly ever changes has a line of its own, apart from the lock's: who announces an edge reads it, and takes no lock. */
  cpus: 0x040,
  /** Interrupt numbers implemented, a multiple of 32. */
  interrupts: 0x044,
  /** Bit n: some SPI of word n of `enabled` is. */
  enabledWords: 0x048,
  /** Byte address of the block whose processors it serves, where edges are posted to each (VM_CPU.posted); 0: nobody posts any. */
  block: 0x04c,
  group: 0x080,
  enabled: 0x100,
  /** Latched pending state: edges, and pending bits written by software. */
  pending: 0x180,
  active: 0x200,
  /** Level of the input line. */
  line: 0x280,
  /** 1: edge-triggered, 0: level-sensitive. */
  edge: 0x300,
  /** Edges that devices announced without the lock (by Atomics); whoever takes the lock next moves them to `pending`. */
  posted: 0x380,
  /** A byte per interrupt. */
  priority: 0x400,
  /** A word per interrupt: affinity (Aff2.Aff1.Aff0) and bit 31 "any participating vCPU", as GICD_IROUTER's low half. */
  route: 0x800,
} as const;

/** Byte offset of vCPU `n`'s private state. */
export const gicCpuAt = (n: number): number => 0x2000 + n * 0x100;

/** Byte offsets within a vCPU's private state: redistributor, then CPU interface. */
export const GICR_STATE = {
  waker: 0x00,
  group: 0x04,
  enabled: 0x08,
  pending: 0x0c,
  active: 0x10,
  line: 0x14,
  edge: 0x18,
  affinity: 0x1c,
  priority: 0x20, // 32 bytes
  priorityMask: 0x40,
  binaryPoint0: 0x44,
  binaryPoint1: 0x48,
  groupEnable0: 0x4c,
  groupEnable1: 0x50,
  control: 0x54,
  activePriorities0: 0x58,
  activePriorities1: 0x5c,
} as const;

/** Size of a VM's interrupt controller state in bytes. */
export const GIC_STATE_BYTES = 0x2000 + GIC_CPUS_MAX * 0x100;
