/** Kinds of lines in VM_GET_HYP_RESOURCES (gunyah.md 5.7). */

/** Types of resources. */
export const RESOURCE_TYPE = {
  ...{ bellTx: 0, bellRx: 1, queueTx: 2, queueRx: 3, vcpu: 4, powerGroup: 5, virtioMmio: 6 },
  ...{ watchdog: 8, memoryExtent: 9, addressSpace: 10 },
} as const;

/** Labels of memory extents: whose memory, and whether only the guest may use it. */
export const EXTENT_LABEL = { guestPrivate: 0, hostShared: 1, hostPrivate: 2, guestShared: 3 } as const;
