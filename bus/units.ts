/** Sizes that everybody agrees on. */

/** Size of a hypervisor interface page and of a frame, in bytes: always 4 KiB, whatever granule the guest uses. */
export const HYP_PAGE_BYTES = 4096;
