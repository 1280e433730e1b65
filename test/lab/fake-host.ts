/** A host without machines, for tests of what drives one: its VMs print, end and call when the test says so. */
import { Subject } from 'rxjs';
import { err, ok, type Result } from '../../bus/result.js';
import type {
  CallRecord,
  LabEvent,
  LabHost,
  LabVm,
  LinkSpec,
  QueueCounters,
  VmEnd,
  VmSpec,
  VmState,
} from '../../cli/lab/lab-host.js';

/** A VM of {@link FakeHost}. */
export class FakeVm implements LabVm {
  readonly name: string;
  readonly vmid: number;
  readonly madeBy: string | undefined;
  readonly output = new Subject<Uint8Array>();
  readonly typed: number[] = [];
  readonly ended: Promise<VmEnd>;
  state: VmState = 'running';
  asked = false;
  size = [0, 0];
  /** Bytes of input it still takes. */
  room = 4096;
  readonly #host: FakeHost;
  #end: (end: VmEnd) => void = () => undefined;

  constructor(host: FakeHost, name: string, vmid: number, madeBy: string | undefined) {
    this.#host = host;
    this.name = name;
    this.vmid = vmid;
    this.madeBy = madeBy;
    this.ended = new Promise((resolve) => {
      this.#end = resolve;
    });
  }

  print(text: string): void {
    this.output.next(new TextEncoder().encode(text));
  }
  type(bytes: Uint8Array): number {
    const taken = Math.min(bytes.length, this.room);
    this.typed.push(...bytes.subarray(0, taken));
    this.room -= taken;
    return taken;
  }
  resize(columns: number, rows: number): void {
    this.size = [columns, rows];
  }
  shutDown(): void {
    this.asked = true;
    if (this.#host.obeys) this.end({ reason: 'off', detail: '' });
  }
  kill(detail: string): void {
    this.end({ reason: 'requested', detail });
  }
  /** The VM ends. */
  end(end: VmEnd): void {
    if (this.state === 'ended') return;
    this.state = 'ended';
    this.output.complete();
    this.#host.events.next({ kind: 'ended', vm: this, end });
    this.#end(end);
  }
  async counters(): ReturnType<LabVm['counters']> {
    if (this.state === 'ended') return [];
    const times = { guestMs: 500, exitsMs: 100, idleMs: 400 };
    return [
      {
        ...{ index: 0, state: 'running', hostThread: 4711, instructions: 5e6, ...times },
        ...{ exits: { hvc: 3, 'a "b"\\': 1 }, interrupts: 2 },
      },
    ];
  }
}

/** See the head of this file. */
export class FakeHost implements LabHost {
  readonly events = new Subject<LabEvent>();
  readonly calls = new Subject<readonly CallRecord[]>();
  readonly vms: FakeVm[] = [];
  readonly specs: VmSpec[] = [];
  readonly links: LinkSpec[] = [];
  queueList: readonly QueueCounters[] = [];
  /** Whether VMs power off when asked. */
  obeys = true;
  /** What the next starts are refused with. */
  refusal: string | undefined;
  disposed = false;

  async link(spec: LinkSpec): Promise<Result<undefined, string>> {
    this.links.push(spec);
    return ok();
  }
  async start(spec: VmSpec): Promise<Result<LabVm, string>> {
    this.specs.push(spec);
    return this.refusal === undefined ? ok(this.make(spec.name, undefined)) : err(this.refusal);
  }
  /** A VM appears. */
  make(name: string, madeBy: string | undefined): FakeVm {
    const vm = new FakeVm(this, name, this.vms.length + 3, madeBy);
    this.vms.push(vm);
    this.events.next({ kind: 'started', vm });
    return vm;
  }
  /** The newest VM called `name`. */
  vm(name: string): FakeVm {
    const found = this.vms.findLast((vm) => vm.name === name);
    if (found === undefined) throw new Error(`there is no ${name}`);
    return found;
  }
  queues(): readonly QueueCounters[] {
    return this.queueList;
  }
  async dispose(): Promise<void> {
    for (const vm of this.vms) vm.kill('');
    this.disposed = true;
    this.events.complete();
  }
}

/** A successful call of hypercall `n` in the native form by `vm`'s first vCPU, 500 ns long. */
export function callOf(vm: string, n: number, startNs: number, moved: Partial<CallRecord> = {}): CallRecord {
  const message = moved.message;
  return {
    ...{ vm, vcpu: 0, startNs, durationNs: 500, instruction: 'hvc', immediate: 0x6000 + n },
    ...{ before: [5n, 3n, 0x4020_0000n, 0n, 0n, 0n, 0n, 0n, 0n], after: [0n, 1n, 0n, 0n, 0n] },
    ...{ object: 0, sequence: 0, messageBytes: message?.length ?? 0, lost: 0 },
    ...moved,
    message,
  };
}
