/** A VM that a guest made through the resource manager, as a lab sees it: it has neither devices nor a console. */
import { Subject } from 'rxjs';
import { STOP, type VmBlock } from '../../actors/shared-state/vm/vm-block.js';
import type { LabVm, VcpuCounters, VmEnd, VmState } from '../lab/lab-host.js';
import { vmEnd } from './hosted-vm.js';

/** What such a VM needs of its host. */
export interface GuestMadeParts {
  readonly name: string;
  readonly vmid: number;
  readonly madeBy: string;
  readonly partition: number;
  readonly block: VmBlock;
  /** Ends it from outside. */
  stop(): void;
  counters(): Promise<readonly VcpuCounters[]>;
}

/** See the head of this file. */
export class GuestMadeVm implements LabVm {
  readonly name: string;
  readonly vmid: number;
  readonly madeBy: string;
  readonly partition: number;
  readonly output = new Subject<Uint8Array>();
  readonly ended: Promise<VmEnd>;
  readonly #parts: GuestMadeParts;
  #setEnded: (end: VmEnd) => void = () => undefined;
  #isOver = false;
  #detail = '';

  constructor(parts: GuestMadeParts) {
    this.#parts = parts;
    this.name = parts.name;
    this.vmid = parts.vmid;
    this.madeBy = parts.madeBy;
    this.partition = parts.partition;
    this.ended = new Promise((resolve) => {
      this.#setEnded = resolve;
    });
  }

  get state(): VmState {
    return this.#isOver ? 'ended' : 'running';
  }

  type(): number {
    return 0;
  }
  resize(): void {
    // It has no console.
  }
  /** Only its owner may ask it to stop, by the resource manager. */
  shutDown(): void {
    this.kill('a host cannot ask a VM that a guest made to shut down');
  }
  kill(detail: string): void {
    this.#detail = detail;
    this.#parts.stop();
  }
  /** A worker of it has died. */
  crash(detail: string): void {
    this.#detail = detail;
  }

  /** Its threads are gone. */
  finish(): VmEnd {
    const { stop } = this.#parts.block;
    const end = vmEnd(stop === STOP.none ? STOP.requested : stop, this.#detail);
    this.#isOver = true;
    this.output.complete();
    this.#setEnded(end);
    return end;
  }

  counters(): Promise<readonly VcpuCounters[]> {
    return this.#isOver ? Promise.resolve([]) : this.#parts.counters();
  }
}
