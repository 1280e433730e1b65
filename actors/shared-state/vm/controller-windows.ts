/**
 * Where the registers of a VM's interrupt controller lie in its address space, beside the platform's own addresses (gunyah.md 2.7,
 * addrspace_attach_vdevice; 2.6, vic_configure). The hypervisor core writes them into the VM's block; the processors' threads
 * look them up at every access that finds no memory.
 */
import { VersionedWords } from './versioned-words.js';
import { VM_CPUS_MAX, type VmBlock } from './vm-block.js';

/** Byte offset of the windows in a VM's block. */
const WINDOWS_AT = 10_752;
/** The distributor and a redistributor for every processor. */
export const CONTROLLER_WINDOWS_MAX = 1 + VM_CPUS_MAX;
const HEAD_WORDS = 4;
const WINDOW_WORDS = 6;
/** Behind the version. */
const WORD = { count: 1, isMoved: 2 } as const;
const FIELD = { base: 0, bytes: 2, index: 4, isLast: 5 } as const;
const WINDOWS_BYTES = (HEAD_WORDS + CONTROLLER_WINDOWS_MAX * WINDOW_WORDS) * 4;

/** A window. Addresses and sizes in bytes; exact below 2^53. */
export interface ControllerWindow {
  readonly base: number;
  readonly bytes: number;
  /** 0: the distributor; n: the redistributor of processor n - 1. */
  readonly index: number;
  /** What the redistributor says of itself: whether none follows it. */
  readonly isLast: boolean;
}

/** See the head of this file. */
export class ControllerWindows {
  readonly #shared: VersionedWords;

  constructor(memory: ArrayBufferLike, block: Pick<VmBlock, 'at'>) {
    this.#shared = new VersionedWords(memory, block.at + WINDOWS_AT, WINDOWS_BYTES);
  }

  /** The core: replaces all windows. `isMoved`: the controller is not at the platform's addresses. */
  replace(windows: readonly ControllerWindow[], isMoved: boolean): void {
    const shared = this.#shared;
    const { words } = shared;
    shared.replace(() => {
      windows.slice(0, CONTROLLER_WINDOWS_MAX).forEach(({ base, bytes, index, isLast }, place) => {
        const at = HEAD_WORDS + place * WINDOW_WORDS;
        shared.setNumber(at + FIELD.base, base);
        shared.setNumber(at + FIELD.bytes, bytes);
        Atomics.store(words, at + FIELD.index, index);
        Atomics.store(words, at + FIELD.isLast, isLast ? 1 : 0);
      });
      Atomics.store(words, WORD.count, Math.min(windows.length, CONTROLLER_WINDOWS_MAX));
      Atomics.store(words, WORD.isMoved, isMoved ? 1 : 0);
    });
  }

  /** Whether the controller is not at the platform's addresses. */
  get isMoved(): boolean {
    return Atomics.load(this.#shared.words, WORD.isMoved) !== 0;
  }

  /** The window that `ipa` lies in. */
  at(ipa: number): ControllerWindow | undefined {
    const shared = this.#shared;
    const { words } = shared;
    return shared.read(() => {
      const count = Math.min(Atomics.load(words, WORD.count), CONTROLLER_WINDOWS_MAX);
      for (let place = 0; place < count; place++) {
        const at = HEAD_WORDS + place * WINDOW_WORDS;
        const [base, bytes] = [shared.number(at + FIELD.base), shared.number(at + FIELD.bytes)];
        if (ipa < base || ipa >= base + bytes) continue;
        const isLast = Atomics.load(words, at + FIELD.isLast) !== 0;
        return { base, bytes, index: Atomics.load(words, at + FIELD.index), isLast };
      }
      return undefined;
    });
  }
}
