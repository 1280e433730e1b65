/** Kinds of lines in VM_GET_HYP_RESOURCES (gunyah.md 5.7). */

/** Types of resources. */
export const RESOURCE_TYPE = { bellTx: 0, bellRx: 1, queueTx: 2, queueRx: 3, vcpu: 4, powerGroup: 5 } as const;
