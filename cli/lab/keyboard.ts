/** What is typed to a VM's console: kept while its input is full, and one writer at a time. */
import type { LabVm } from './lab-host.js';

const RETRY_MS = 5;
/** Bytes waiting for a VM that does not read. */
const WAITING_BYTES_MAX = 64 * 1024;

/** See the head of this file. */
export class Keyboard {
  readonly #vm: () => LabVm | undefined;
  #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  #timer: NodeJS.Timeout | undefined;
  #writer: object | undefined;

  /** `vm` is whoever runs now. */
  constructor(vm: () => LabVm | undefined) {
    this.#vm = vm;
  }

  /** Makes the caller the one who writes; undefined when there is one. Call the answer to let go. */
  seize(): (() => void) | undefined {
    if (this.#writer !== undefined) return undefined;
    const writer = {};
    this.#writer = writer;
    return () => {
      if (this.#writer === writer) this.#writer = undefined;
    };
  }

  /** Types `bytes`; false when that is more than is kept for a VM that does not read. */
  type(bytes: Uint8Array): boolean {
    if (this.#waitingBytes + bytes.length > WAITING_BYTES_MAX) return false;
    // WHY: a copy, because the giver may use its memory again (and a Buffer's slice is none).
    this.#waiting.push(new Uint8Array(bytes));
    this.#waitingBytes += bytes.length;
    if (this.#timer === undefined) this.#push();
    return true;
  }

  /** Forgets what waits: the VM has ended. */
  clear(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#waiting = [];
    this.#waitingBytes = 0;
  }

  #push(): void {
    this.#timer = undefined;
    for (let [first] = this.#waiting; first !== undefined; [first] = this.#waiting) {
      const taken = this.#vm()?.type(first) ?? 0;
      this.#waitingBytes -= taken;
      if (taken < first.length) {
        this.#waiting[0] = first.subarray(taken);
        this.#timer = setTimeout(() => this.#push(), RETRY_MS);
        return;
      }
      this.#waiting.shift();
    }
  }
}
