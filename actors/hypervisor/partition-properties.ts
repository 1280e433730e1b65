/**
 * Properties of a partition: what each may be, and until when. Those that Hyper-V has too carry its code
 * (HV_PARTITION_PROPERTY_CODE; hyperv-tlfs 5.7). Some say only what is so: setting them to that value is allowed while early
 * properties are, because machine builders do so, and every other value is out of range.
 */
import { VM_CPUS_MAX } from '../shared-state/vm/vm-block.js';

/** One property. Values are whole numbers. */
interface PropertyRow {
  /** HV_PARTITION_PROPERTY_CODE, or undefined for one of our own. */
  readonly code?: number;
  readonly initial: number;
  /** Bounds of what may be set before initialisation; `never`: it only tells. */
  readonly set: 'never' | { readonly min: number; readonly max: number };
}

const only = (code: number, value: number): PropertyRow => ({
  code,
  initial: value,
  set: { min: value, max: value },
});

/** The table. */
export const PARTITION_PROPERTIES = {
  /** Virtual processors that may be created. */
  processorCount: { initial: 1, set: { min: 1, max: VM_CPUS_MAX } },
  /** Bytes of a processor's private area and of its record arena. */
  processorAreaBytes: { initial: 1 << 20, set: { min: 4096, max: 16 << 20 } },
  processorArenaBytes: { initial: 32 << 20, set: { min: 1 << 16, max: 256 << 20 } },
  /** Guest memory that is mapped now. */
  memoryBytes: { initial: 0, set: 'never' },
  /** Synthetic features of the Hyper-V platform: none on this one. */
  syntheticProcFeatures: only(0x1_0001, 0),
  /** Bits of LPI numbers: no LPIs. */
  gicLpiIntIdBits: only(0x5_002a, 0),
  /** Private interrupts of the virtual and the physical timer, and of the performance monitor (0: none). */
  gicPpiOverflowInterruptFromCntv: only(0x5_002b, 27),
  gicPpiOverflowInterruptFromCntp: only(0x5_002c, 30),
  gicPpiPerformanceMonitorsInterrupt: only(0x5_002d, 0),
  /** Arm. */
  processorVendor: { code: 0x6_0000, initial: 0x10, set: 'never' },
  /** Bits of an intermediate physical address that can lead anywhere: the stage-2 map covers 16 GiB. */
  physicalAddressWidth: { code: 0x6_0006, initial: 34, set: 'never' },
} as const satisfies Readonly<Record<string, PropertyRow>>;

/** Name of a property. */
export type PartitionProperty = keyof typeof PARTITION_PROPERTIES;

/** The row of a property, or undefined: names come in messages. */
export function propertyRow(name: string): PropertyRow | undefined {
  return Object.hasOwn(PARTITION_PROPERTIES, name) ? PARTITION_PROPERTIES[name as PartitionProperty] : undefined;
}

/** Every property as a new partition has it. */
export function initialProperties(): Record<PartitionProperty, number> {
  const entries = Object.entries(PARTITION_PROPERTIES).map(([name, row]) => [name, row.initial] as const);
  // WHY: the entries are those of the table, whose keys are the names.
  return Object.fromEntries(entries) as Record<PartitionProperty, number>;
}
