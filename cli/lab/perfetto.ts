/**
 * Decoded calls in the Trace Event Format that Perfetto's and Chrome's viewers read: VMs are processes, vCPUs threads, calls
 * slices (`X`, microseconds). A message is a flow (`s` to `f`) from the slice that sent it to the one that received it; a
 * request of the resource manager's is a slice of a process of its own between the two. The output is the format's JSON array;
 * an array without its end, when writing stopped in the middle, is read too.
 */
import type { DecodedCall } from './call-decode.js';

/** One event of the format; times in microseconds. */
interface TraceEvent {
  readonly ph: 'X' | 'M' | 's' | 'f';
  readonly name: string;
  readonly pid: number;
  readonly tid: number;
  readonly ts?: number;
  readonly dur?: number;
  readonly cat?: string;
  readonly id?: string;
  readonly bp?: 'e';
  readonly args?: object;
}

/** The process of the resource manager. */
const RM_PID = 1;
const FIRST_VM_PID = 2;
/** Requests without an answer yet that are remembered. */
const OPEN_MAX = 4096;

/** Turns calls into events, remembering which processes and requests it has told of. */
export class PerfettoWriter {
  readonly #originNs: number;
  readonly #pids = new Map<string, number>();
  readonly #threads = new Set<string>();
  readonly #requests = new Map<string, { readonly endUs: number; readonly name: string; readonly flow: string }>();
  #isFirst = true;
  #rmNamed = false;

  constructor(originNs: number) {
    this.#originNs = originNs;
  }

  /** The text for `calls`, the array's beginning included. */
  text(calls: readonly DecodedCall[]): string {
    const events = calls.flatMap((call) => this.#events(call));
    return events.map((event) => this.#piece(event)).join('');
  }

  /** The array's end. */
  end(): string {
    return this.#isFirst ? '[]\n' : '\n]\n';
  }

  #piece(event: TraceEvent): string {
    const before = this.#isFirst ? '[\n' : ',\n';
    this.#isFirst = false;
    return before + JSON.stringify(event);
  }

  #events(call: DecodedCall): TraceEvent[] {
    const { vm, vcpu, name, args, result, results, message, rm } = call;
    const ts = (call.startNs - this.#originNs) / 1000;
    const dur = Math.max(call.durationNs / 1000, 0.001);
    const events: TraceEvent[] = [];
    const pid = this.#pid(vm, events);
    const tid = vcpu + 1;
    if (!this.#threads.has(`${pid}/${tid}`)) {
      this.#threads.add(`${pid}/${tid}`);
      events.push({ ph: 'M', name: 'thread_name', pid, tid, args: { name: `vCPU ${vcpu}` } });
    }
    const details = { ...args, result, ...results, ...(message && { message }), ...(rm && { rm }) };
    const shown = rm === undefined ? name : `${name} ${rm.name}`;
    events.push({ ph: 'X', name: shown, cat: call.groups.join(','), pid, tid, ts, dur, args: details });
    if (message === undefined) return events;
    // A flow's ends are bound to the slice that is open at their time: its middle is in it for certain.
    const at = { pid, tid, ts: ts + dur / 2 };
    if (rm !== undefined) this.#rm(call, at, ts, ts + dur, events);
    else {
      const flow = { name: message.queue, cat: 'message', id: `${message.object}:${message.sequence}` };
      events.push(message.direction === 'send' ? { ph: 's', ...flow, ...at } : { ph: 'f', bp: 'e', ...flow, ...at });
    }
    return events;
  }

  #pid(vm: string, events: TraceEvent[]): number {
    const known = this.#pids.get(vm);
    if (known !== undefined) return known;
    const pid = FIRST_VM_PID + this.#pids.size;
    this.#pids.set(vm, pid);
    events.push({ ph: 'M', name: 'process_name', pid, tid: 0, args: { name: vm } });
    return pid;
  }

  /** A request goes to the resource manager and its answer comes back. */
  #rm(
    { vm, rm }: DecodedCall,
    at: { readonly pid: number; readonly tid: number; readonly ts: number },
    startUs: number,
    endUs: number,
    events: TraceEvent[],
  ): void {
    if (rm === undefined || (rm.type !== 'request' && rm.type !== 'reply')) return;
    const key = `${vm}:${rm.sequence}`;
    const flow = `rm:${key}`;
    if (rm.type === 'request') {
      this.#requests.set(key, { endUs, name: rm.name, flow });
      const [oldest] = this.#requests.keys();
      if (this.#requests.size > OPEN_MAX && oldest !== undefined) this.#requests.delete(oldest);
      events.push({ ph: 's', name: rm.name, cat: 'rm', id: `${flow}:ask`, ...at });
      return;
    }
    const request = this.#requests.get(key);
    if (request === undefined) return;
    this.#requests.delete(key);
    if (!this.#rmNamed) {
      this.#rmNamed = true;
      events.push({ ph: 'M', name: 'process_name', pid: RM_PID, tid: 0, args: { name: 'resource manager' } });
      events.push({ ph: 'M', name: 'thread_name', pid: RM_PID, tid: 1, args: { name: 'requests' } });
    }
    const dur = Math.max(startUs - request.endUs, 0.001);
    const slice = { pid: RM_PID, tid: 1, ts: request.endUs };
    events.push({ ph: 'X', name: `${request.name} of ${vm}`, cat: 'rm', ...slice, dur, args: rm.fields });
    const inside = { pid: RM_PID, tid: 1, ts: request.endUs + dur / 2 };
    events.push({ ph: 'f', bp: 'e', name: request.name, cat: 'rm', id: `${flow}:ask`, ...inside });
    events.push({ ph: 's', name: request.name, cat: 'rm', id: `${flow}:answer`, ...inside });
    events.push({ ph: 'f', bp: 'e', name: request.name, cat: 'rm', id: `${flow}:answer`, ...at });
  }
}
