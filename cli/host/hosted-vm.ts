/** A VM of a host as a lab sees it, from its start to the moment when everything it had is given back. */
import { concat, defer, from, type Observable, Subject } from 'rxjs';
import { STOP, type Stop } from '../../actors/shared-state/vm/vm-block.js';
import type { VcpuStatistics } from '../../actors/vcpu/vcpu.protocol.js';
import type { LabVm, VcpuCounters, VmEnd, VmState } from '../lab/lab-host.js';
import { BITTEN } from '../machine/deaths.js';
import type { Machine } from '../machine/machine.js';
import { followMachine } from '../machine/run-machine.js';

const REASONS: Readonly<Record<Stop, VmEnd['reason']>> = {
  [STOP.none]: 'requested',
  [STOP.off]: 'off',
  [STOP.reset]: 'reset',
  [STOP.crash]: 'crash',
  [STOP.requested]: 'requested',
  [STOP.watchdog]: 'reset',
};

/** What a VM's end was. */
export function vmEnd(stop: Stop, detail: string): VmEnd {
  return { reason: REASONS[stop], detail: stop === STOP.watchdog ? BITTEN : detail };
}

/** A vCPU's counters as a lab shows them. */
export function countersOf({ index, state, hostThread, exits, interrupts, meter }: VcpuStatistics): VcpuCounters {
  const { instructions, compiledMs, interpretedMs, exitsMs, idleMs } = meter;
  const guestMs = compiledMs + interpretedMs;
  return { index, state, hostThread, instructions, guestMs, exitsMs, idleMs, exits, interrupts };
}

/** So much of what a VM prints is kept for the first who listens. */
const EARLY_BYTES_MAX = 1 << 20;

/** See the head of this file. */
export class HostedVm implements LabVm {
  readonly name: string;
  readonly vmid: number;
  readonly madeBy = undefined;
  readonly output: Observable<Uint8Array> = defer(() => concat(from(this.#unheard()), this.#printed));
  readonly #printed = new Subject<Uint8Array>();
  /** What was printed before anybody listened, for whoever is the first; then undefined. */
  #early: Uint8Array[] | undefined = [];
  #earlyBytes = 0;
  readonly ended: Promise<VmEnd>;
  readonly #machine: Machine;
  #state: VmState = 'running';

  /** Resolves when no thread of it runs any more. */
  readonly stripped: Promise<void>;

  /** `giveBack` returns what the machine itself does not. */
  constructor(
    name: string,
    vmid: number,
    machine: Machine,
    giveBack: () => Promise<void>,
    isTold: (vm: HostedVm, end: VmEnd) => void,
  ) {
    this.name = name;
    this.vmid = vmid;
    this.#machine = machine;
    const pipe = {
      showsSerial: true,
      write: (bytes: Uint8Array): Promise<void> => {
        if (this.#early !== undefined && this.#earlyBytes < EARLY_BYTES_MAX) {
          this.#earlyBytes += bytes.length;
          this.#early.push(bytes);
        }
        this.#printed.next(bytes);
        return Promise.resolve();
      },
      onInput: () => () => undefined,
    };
    const followed = followMachine(machine, pipe).then(async (end) => {
      this.#state = 'ended';
      await machine.dispose();
      return end;
    });
    this.stripped = followed.then(() => undefined);
    this.ended = followed.then(async ({ stop, detail }) => {
      await giveBack();
      this.#printed.complete();
      const end = vmEnd(stop, detail);
      isTold(this, end);
      return end;
    });
  }

  #unheard(): readonly Uint8Array[] {
    const early = this.#early ?? [];
    this.#early = undefined;
    return early;
  }

  get state(): VmState {
    return this.#state;
  }

  type(bytes: Uint8Array): number {
    return this.#state === 'ended' ? 0 : this.#machine.type(bytes);
  }
  resize(columns: number, rows: number): void {
    if (this.#state !== 'ended') this.#machine.resize(columns, rows);
  }
  shutDown(): void {
    if (this.#state !== 'ended') this.#machine.pressPowerButton();
  }
  kill(detail: string): void {
    this.#machine.stop(STOP.requested, detail);
  }
  /** A worker of it has died. */
  crash(detail: string): void {
    this.#machine.stop(STOP.crash, detail);
  }

  async counters(): Promise<readonly VcpuCounters[]> {
    if (this.#state === 'ended') return [];
    return (await this.#machine.statistics()).map(countersOf);
  }
}
