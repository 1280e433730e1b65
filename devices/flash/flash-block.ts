/**
 * What the vCPUs and the keeper of a flash bank share beside its content: the chip's registers under their lock, the write
 * buffer, and the one change that is to be kept. A vCPU that holds the registers' lock writes the change and counts
 * `asked`; the keeper counts `kept` when the change has reached the file. While they differ the chip is busy, and no further
 * change is made, so there is never more than one.
 */
import { createSharedRegisters } from '../registers/shared-registers.js';
import { BUFFER_BYTES } from './cfi-table.js';

/** Shared memory of one bank. */
export interface FlashShared {
  readonly registers: SharedArrayBuffer;
  readonly block: SharedArrayBuffer;
}

const WORD = { asked: 0, kept: 1, offset: 2, bytes: 3, kind: 4, faults: 5 } as const;
const BUFFER_AT = 64;
const KINDS = ['program', 'erase'] as const;
/** What changed the bank. */
export type FlashChange = (typeof KINDS)[number];

/** Makes it: nothing to keep. */
export function createFlashShared(): FlashShared {
  return { registers: createSharedRegisters(), block: new SharedArrayBuffer(BUFFER_AT + BUFFER_BYTES) };
}

/** One thread's view. */
export class FlashBlock {
  readonly buffer: Uint8Array;
  readonly #words: Int32Array;

  constructor(block: SharedArrayBuffer) {
    this.buffer = new Uint8Array(block, BUFFER_AT, BUFFER_BYTES);
    this.#words = new Int32Array(block, 0, BUFFER_AT / 4);
  }

  /** Whether nothing is to be kept. */
  get isStored(): boolean {
    return Atomics.load(this.#words, WORD.asked) === Atomics.load(this.#words, WORD.kept);
  }

  /** A vCPU: `[offset, offset + bytes)` has changed. */
  ask(offset: number, bytes: number, kind: FlashChange): void {
    const words = this.#words;
    words[WORD.offset] = offset;
    words[WORD.bytes] = bytes;
    words[WORD.kind] = KINDS.indexOf(kind);
    Atomics.add(words, WORD.asked, 1);
  }

  /** The keeper: what is to be kept, or undefined. */
  change(): { readonly offset: number; readonly bytes: number; readonly kind: FlashChange } | undefined {
    if (this.isStored) return undefined;
    const words = this.#words;
    return {
      offset: words[WORD.offset] ?? 0,
      bytes: words[WORD.bytes] ?? 0,
      kind: KINDS[words[WORD.kind] ?? 0] ?? 'program',
    };
  }

  /** The keeper: it is kept, or could not be: then the chip will say so with the status bits `fault`. */
  kept(fault: number): void {
    if (fault !== 0) Atomics.or(this.#words, WORD.faults, fault);
    Atomics.store(this.#words, WORD.kept, Atomics.load(this.#words, WORD.asked));
    Atomics.notify(this.#words, WORD.kept);
  }

  /** A vCPU: status bits of what could not be kept, once. */
  takeFaults(): number {
    return Atomics.exchange(this.#words, WORD.faults, 0);
  }

  /** A vCPU: waits for the keeper; false when it takes longer than `ms`. */
  wait(ms: number): boolean {
    const kept = Atomics.load(this.#words, WORD.kept);
    if (this.isStored) return true;
    Atomics.wait(this.#words, WORD.kept, kept, ms);
    return this.isStored;
  }
}
