/**
 * A weight on the heap of this thread, for which V8 begins a collection of old objects: bytes of array buffers are what it reckons with outside its heap.
 * One that is larger than it lets all of them grow between two collections begins one; while it is there each further buffer takes the collection a step of some
 * milliseconds ahead. Never touched, it takes no memory.
 *
 * One for all who want a collection: two at a time are more than V8 allows before it does all of a collection at once.
 */

/** V8 lets buffers grow by 64 MiB (its kExternalAllocationSoftLimit). A C library's allocator maps so much, all of it zeroes that are not there. */
const PRESSURE_BYTES = 72 << 20;

const held: ArrayBuffer[] = [];

/** Puts a weight on the heap, in place of the one that lay there; it stays until it is let go or another one comes. */
export function pressHeap(): void {
  held[0] = new ArrayBuffer(PRESSURE_BYTES);
}

/** Whether a weight lies on the heap. */
export const isHeapPressed = (): boolean => held.length > 0;

/** Takes the weight away. */
export function releaseHeap(): void {
  held.length = 0;
}
