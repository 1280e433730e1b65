/** Bytes that lie in several places, one after another: taking a part of them does not copy. */

/** Sum of the lengths. */
export function totalBytes(views: readonly Uint8Array[]): number {
  let sum = 0;
  for (const view of views) sum += view.byteLength;
  return sum;
}

/** Fills all with zeros. */
export function fillZero(views: readonly Uint8Array[]): void {
  for (const view of views) view.fill(0);
}

/** Copies `from`, as far as there is room, to the places `into`; the rest of them becomes zeros. */
export function scatter(from: Uint8Array, into: readonly Uint8Array[]): void {
  let at = 0;
  for (const view of into) {
    const part = from.subarray(at, at + view.byteLength);
    view.set(part);
    view.fill(0, part.byteLength);
    at += view.byteLength;
  }
}

/** Makes zeros of everything behind the first `bytes`. */
export function zeroBehind(views: readonly Uint8Array[], bytes: number): void {
  let at = 0;
  for (const view of views) {
    if (at + view.byteLength > bytes) view.fill(0, Math.max(0, bytes - at));
    at += view.byteLength;
  }
}

/** Takes views from the front, piece by piece. */
export class ScatterCursor {
  readonly #views: readonly Uint8Array[];
  #index = 0;
  #offset = 0;

  constructor(views: readonly Uint8Array[]) {
    this.#views = views;
  }

  /** Views of the next `bytes` bytes; the caller knows that there are so many. */
  take(bytes: number): Uint8Array[] {
    const taken: Uint8Array[] = [];
    for (let left = bytes; left > 0; ) {
      const view = this.#views[this.#index];
      if (view === undefined) break;
      const part = Math.min(left, view.byteLength - this.#offset);
      if (part > 0) taken.push(view.subarray(this.#offset, this.#offset + part));
      left -= part;
      this.#offset += part;
      if (this.#offset === view.byteLength) {
        this.#index++;
        this.#offset = 0;
      }
    }
    return taken;
  }
}
