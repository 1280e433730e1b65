/**
 * A vCPU's file (gunyah.md 8.2, 8.3): VCPU_RUN and its run page. A processor that the host VM runs by proxy runs inside the call,
 * which answers accesses to event files itself and leaves the others to the caller; one that the hypervisor schedules needs nobody,
 * and the call sleeps until the VM has ended.
 */
import { err, ok, type Result } from '../../bus/result.js';
import { RESUME, RUN_STATE, type RunExit } from '../shared-state/vm/proxied-run.js';
import { ERRNO, type Errno } from './errno.js';
import type { GunyahVm } from './gunyah-vm.js';
import type { ManagerHost, Processor } from './manager-host.js';
import { EXIT_REASON, RESUME_ACTION, RUN_PAGE_BYTES, RunFault, RunMmio, RunStatus } from './uapi.js';

/** What a run is answered with that was left to the caller. */
interface Resume {
  readonly value: bigint;
  readonly action: number;
}
const NOTHING: Resume = { value: 0n, action: RESUME.emulate };
const AGAIN: Resume = { value: 0n, action: RESUME.retry };
/** As gunyah.md 2.9 and 8.2 count the same three things. */
const ACTION: Readonly<Record<number, number>> = {
  [RESUME_ACTION.handled]: RESUME.emulate,
  [RESUME_ACTION.fault]: RESUME.fault,
  [RESUME_ACTION.retry]: RESUME.retry,
};
const POWERED_OFF: RunExit = { state: RUN_STATE.poweredOff, data: [1n, 0n, 0n] };
/** How long a driver leaves a processor alone that is blocked. */
const BLOCKED_MS = 1;

/** What the file is of. */
export interface VcpuParts {
  readonly vm: GunyahVm;
  /** Number of the vCPU, as its function said. */
  readonly id: number;
  readonly host: ManagerHost;
  /** Whether the caller says what is done with an access (P17). */
  readonly hasActions: boolean;
  /** A guest's write of `bytes` bytes: whether it has signalled an event file, and is done. */
  written(address: bigint, bytes: number, value: bigint): boolean;
}

/** See the head of this file. */
export class VcpuFile {
  readonly page = new Uint8Array(RUN_PAGE_BYTES);
  readonly #view = new DataView(this.page.buffer);
  readonly #parts: VcpuParts;
  #isRunning = false;
  /** Bytes of the read that the caller answers; 0: a write; undefined: the last run ended otherwise. */
  #asked: number | 'fault' | undefined;
  /** An answer that no run has taken yet, because the call was interrupted. */
  #kept: Resume | undefined;
  #looks: (() => void)[] = [];

  constructor(parts: VcpuParts) {
    this.#parts = parts;
    void parts.vm.over().then(() => this.rang());
  }

  get #isOver(): boolean {
    return !this.#parts.vm.isRunning;
  }
  /** immediate_exit. */
  get #mustLeave(): boolean {
    return this.page[0] !== 0;
  }

  /** VCPU_RUN. */
  async run(): Promise<Result<number, Errno>> {
    const { vm, id } = this.#parts;
    if (this.#isRunning) return err('EBUSY');
    if (this.#mustLeave) return err('EINTR');
    if (!vm.isRunning && vm.exit === undefined) return err('ENODEV');
    this.#isRunning = true;
    try {
      const processor = vm.functions.processor(id);
      if (processor?.isProxied === true) return await this.#runProxied(processor);
      await this.#until(() => (this.#isOver ? true : undefined));
      return this.#ended();
    } finally {
      this.#isRunning = false;
    }
  }

  /** Somebody rang the driver, or the caller has changed the page: whoever waits looks again. */
  rang(): void {
    for (const look of this.#looks.splice(0)) look();
  }
  /** A signal to the thread that runs it, which finds immediate_exit set. */
  kick(): void {
    this.#parts.vm.functions.processor(this.#parts.id)?.recall();
    this.rang();
  }

  async #until<T>(found: () => T | undefined): Promise<T> {
    for (;;) {
      const answer = found();
      if (answer !== undefined) return answer;
      await new Promise<void>((resolve) => this.#looks.push(resolve));
    }
  }

  async #runProxied(processor: Processor): Promise<Result<number, Errno>> {
    let resume = this.#takeResume();
    for (;;) {
      if (this.#isOver) return this.#ended();
      if (this.#mustLeave) {
        this.#kept = resume;
        return err('EINTR');
      }
      if (!processor.begin(resume.value, resume.action)) {
        await this.#parts.host.pause(BLOCKED_MS);
        continue;
      }
      resume = NOTHING;
      // A VM that is gone gives no turn back.
      const exit = await this.#until(() => processor.take() ?? (this.#isOver ? POWERED_OFF : undefined));
      if (exit.state === RUN_STATE.pageFault) {
        const [address, isWrite] = exit.data;
        const provided = await this.#parts.vm.demandPage(address, isWrite === 1n);
        if (!provided.ok) return this.#pageFault(address, provided.error);
        resume = AGAIN;
        continue;
      }
      if (this.#leave(exit)) return ok(0);
      await this.#wait(processor, exit.state);
    }
  }

  /** Whether the exit is the caller's: the page then says so. */
  #leave({ state, data: [address, size, value] }: RunExit): boolean {
    const bytes = Number(size);
    switch (state) {
      case RUN_STATE.vmmioRead:
        this.#mmio(address, bytes, 0n, false);
        return true;
      case RUN_STATE.vmmioWrite:
        if (this.#parts.written(address, bytes, value)) return false;
        this.#mmio(address, bytes, value, true);
        return true;
      default:
        return false;
    }
  }

  /** A page that is not there and does not come: the caller's. */
  #pageFault(address: bigint, error: Errno): Result<number, Errno> {
    this.#asked = 'fault';
    RunFault.write(this.#view, 0, {
      ...{ immediateExit: this.page[0] ?? 0, exitReason: EXIT_REASON.pageFault, address },
      ...{ error: -ERRNO[error], action: RESUME_ACTION.handled },
    });
    return ok(0);
  }

  #mmio(address: bigint, bytes: number, value: bigint, isWrite: boolean): void {
    this.#asked = isWrite ? 0 : bytes;
    RunMmio.write(this.#view, 0, {
      ...{ immediateExit: this.page[0] ?? 0, exitReason: EXIT_REASON.mmio, address, data: value },
      ...{ len: bytes, isWrite: isWrite ? 1 : 0, action: RESUME_ACTION.handled },
    });
  }

  /** What the driver does before it runs the processor again. */
  async #wait(processor: Processor, state: number): Promise<void> {
    switch (state) {
      case RUN_STATE.ready:
      case RUN_STATE.vmmioWrite:
        return;
      case RUN_STATE.blocked:
        await this.#parts.host.pause(BLOCKED_MS);
        return;
      default:
        // Waiting, off, reset or faulted: it says when it can go on, and the resource manager when the VM has ended.
        await this.#until(() => (processor.hasAttention || this.#isOver || this.#mustLeave ? true : undefined));
    }
  }

  /** The caller's answer to the exit before, from the page; taken once. */
  #takeResume(): Resume {
    const kept = this.#kept;
    const asked = this.#asked;
    this.#kept = undefined;
    this.#asked = undefined;
    if (kept !== undefined) return kept;
    if (asked === undefined) return NOTHING;
    const at = asked === 'fault' ? RunFault.offsets.action : RunMmio.offsets.action;
    // What a caller writes beside the three is no answer; the driver treats it as handled.
    const action = this.#parts.hasActions ? (ACTION[this.page[at] ?? 0] ?? RESUME.emulate) : RESUME.emulate;
    const data = this.#view.getBigUint64(RunMmio.offsets.data, true);
    const isRead = asked !== 'fault' && asked > 0;
    return { value: isRead ? BigInt.asUintN(8 * asked, data) : 0n, action };
  }

  /** The page tells how the VM ended. */
  #ended(): Result<number, Errno> {
    const { vm } = this.#parts;
    const { type, reasonBytes, reason } = vm.exit ?? { type: 0, reasonBytes: 0, reason: 0 };
    RunStatus.write(this.#view, 0, {
      ...{ immediateExit: this.page[0] ?? 0, exitReason: EXIT_REASON.status, status: vm.endStatus },
      ...{ exitType: type, reasonSize: reasonBytes, reason },
    });
    return ok(0);
  }
}
