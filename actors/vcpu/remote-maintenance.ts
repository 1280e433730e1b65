/**
 * TLB and code maintenance that reaches the VM's other vCPUs (TLBI ...IS, IC IALLUIS). Requests go into each one's list;
 * DSB waits until all have been carried out. Who sleeps or is off is neither woken nor waited for. A vCPU that waits counts as outside the guest, so two that wait for each
 * other both go on; what was asked of it meanwhile it does before its next guest instruction.
 */
import { STATE } from '../../cpu/state.js';
import type { RemoteCpus, RemoteRequest } from '../../cpu/sysreg/peripherals.js';
import type { VmBlock } from '../shared-state/vm/vm-block.js';

const SPINS_BEFORE_SLEEP = 2_000;
const SLEEP_MS = 0.05;

/** What happens on this vCPU's own core. */
export interface OwnCore {
  /** Sets STATE.remotePending and STATE.askedCode. */
  set32(field: number, value: number): void;
  /** Carries out what others asked. */
  drain(): void;
}

/** See the head of this file. */
export class RemoteMaintenance implements RemoteCpus {
  readonly #block: VmBlock;
  readonly #self: number;
  readonly #wake: (cpu: number) => void;
  readonly #own: OwnCore;
  readonly #awaited: number[] = [];
  readonly #nap = new Int32Array(new SharedArrayBuffer(4));
  #pending = false;
  /** Host address of the frame that the last request for code was for; counts while requests are pending. */
  #lastCode = -1;
  readonly isAlone: boolean;

  constructor(block: VmBlock, self: number, wake: (cpu: number) => void, own: OwnCore) {
    this.#block = block;
    this.#self = self;
    this.#wake = wake;
    this.#own = own;
    this.isAlone = block.cpus === 1;
  }

  request(kind: RemoteRequest, lo: number, hi: number): void {
    const block = this.#block;
    const cpus = block.cpus;
    if (cpus === 1) return;
    if (kind === 'code') {
      // Linux invalidates the lines of a page one by one. What was written before DSB and the first of them is what all of them are for.
      if (this.#pending && hi === 0 && lo === this.#lastCode) return;
      this.#lastCode = hi === 0 ? lo : -1;
    }
    // That code was asked for is known until a DSB, which has to be told of then.
    let mustWait = kind === 'code';
    for (let cpu = 0; cpu < cpus; cpu++) {
      if (cpu === this.#self) continue;
      const mustWake = block.request(cpu, kind, lo, hi);
      if (mustWake) this.#wake(cpu);
      if (block.isOutside(cpu)) continue;
      this.#awaited[cpu] = block.requested(cpu);
      mustWait = true;
    }
    if (!mustWait) return;
    if (!this.#pending) this.#own.set32(STATE.remotePending, 1);
    this.#pending = true;
    if (kind === 'code') this.#own.set32(STATE.askedCode, this.#lastCode);
  }

  wait(): void {
    if (!this.#pending) return;
    const block = this.#block;
    block.setOutside(this.#self, true);
    for (let cpu = 0; cpu < block.cpus; cpu++) {
      const count = this.#awaited[cpu];
      if (cpu === this.#self || count === undefined) continue;
      for (let spins = 0; !block.isDone(cpu, count) && block.stop === 0; spins++) {
        if (spins > SPINS_BEFORE_SLEEP) Atomics.wait(this.#nap, 0, 0, SLEEP_MS);
      }
    }
    block.setOutside(this.#self, false);
    this.#pending = false;
    this.#own.set32(STATE.remotePending, 0);
    this.#own.set32(STATE.askedCode, -1);
    this.#own.drain();
  }
}
