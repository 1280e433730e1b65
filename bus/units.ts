/** Branded numbers and sizes, so that an address of one space is not passed for another's. */

declare const brand: unique symbol;
type Branded<T, Name extends string> = T & { readonly [brand]: Name };

/** Intermediate physical address: what a VM believes is physical memory (stage-2 input), in bytes. */
export type Ipa = Branded<bigint, 'Ipa'>;
/** Guest virtual address (stage-1 input), in bytes. */
export type GuestVa = Branded<bigint, 'GuestVa'>;
/** Index of a 4 KiB frame of the machine's memory. */
export type Frame = Branded<number, 'Frame'>;
/** Time in nanoseconds. */
export type Nanoseconds = Branded<bigint, 'Nanoseconds'>;

/** Size of a hypervisor interface page and of a frame, in bytes: always 4 KiB, whatever granule the guest uses. */
export const HYP_PAGE_BYTES = 4096;
