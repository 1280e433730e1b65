/**
 * Two bare-metal VMs that measure each other, `one` and `two`, with the links that test/guests/msgq expects: they are told on
 * their consoles what to do and answer with nanoseconds of their own clocks.
 */

import { GUNYAH_QUEUE_LIMITS } from '../../bus/message-queue/queue-layout.js';
import { VmHost } from '../../cli/host/vm-host.js';
import type { LabVm } from '../../cli/lab/lab-host.js';
import { guestImage } from '../guests/reports.js';

/** Guest memory of each VM, in bytes. */
const RAM_BYTES = 64 << 20;
/** A job that takes longer has failed. */
const JOB_MS = 60_000;
/** Messages of every queue but `long`. */
export const SHORT_DEPTH = 8;
/** The deepest queue there is: Gunyah refuses 256 (gunyah.md section 3). */
export const LONG_DEPTH = GUNYAH_QUEUE_LIMITS.depthMax;
const MESSAGE_BYTES = 240;

/** Which of the two. */
export type Side = 'one' | 'two';

/** Collects what a VM prints, and hands it out by jobs. */
class Console {
  readonly vm: LabVm;
  #text = '';
  #waits: (() => void) | undefined;

  constructor(vm: LabVm) {
    this.vm = vm;
    const decoder = new TextDecoder();
    vm.output.subscribe((bytes) => {
      this.#text += decoder.decode(bytes, { stream: true });
      this.#waits?.();
    });
  }

  /** Everything up to `mark`, which is taken away with it. */
  async until(mark: string): Promise<string> {
    const deadline = performance.now() + JOB_MS;
    for (;;) {
      const at = this.#text.indexOf(mark);
      if (at >= 0) {
        const found = this.#text.slice(0, at);
        this.#text = this.#text.slice(at + mark.length);
        return found;
      }
      const leftMs = deadline - performance.now();
      if (leftMs <= 0) throw new Error(`${this.vm.name} says ${JSON.stringify(this.#text.slice(-200))} and no more`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, leftMs);
        this.#waits = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }
}

/** See the head of this file. */
export class GuestPair {
  readonly host: VmHost;
  readonly #consoles: ReadonlyMap<Side, Console>;

  private constructor(host: VmHost, consoles: ReadonlyMap<Side, Console>) {
    this.host = host;
    this.#consoles = consoles;
  }

  static async start(): Promise<GuestPair> {
    const host = await VmHost.start({ primaryGuest: false, onLog: () => undefined });
    if (!host.ok) throw new Error(host.error);
    const queue = { kind: 'queue', messageBytesMax: MESSAGE_BYTES } as const;
    for (const link of [
      { ...queue, name: 'loop', between: ['one', 'one'], depth: SHORT_DEPTH },
      { ...queue, name: 'short', between: ['one', 'two'], depth: SHORT_DEPTH },
      { ...queue, name: 'long', between: ['one', 'two'], depth: LONG_DEPTH },
      { kind: 'doorbell', name: 'there', from: 'one', to: 'two' },
      { kind: 'doorbell', name: 'back', from: 'two', to: 'one' },
    ] as const) {
      const declared = await host.value.link(link);
      if (!declared.ok) throw new Error(declared.error);
    }
    const consoles = new Map<Side, Console>();
    for (const name of ['one', 'two'] as const) {
      const started = await host.value.start({
        ...{
          name,
          boot: { kernel: guestImage('msgq'), initrd: undefined },
          append: '',
          memoryBytes: RAM_BYTES,
          cpus: 1,
        },
        ...{ platform: 'gunyah', profile: 'P17', primary: false, console: 'pl011' },
        ...{ disks: [], rng: false, networks: [] },
      });
      if (!started.ok) throw new Error(started.error);
      const console = new Console(started.value);
      consoles.set(name, console);
      await console.until('ready\n');
    }
    return new GuestPair(host.value, consoles);
  }

  /** The host's thread that runs a VM's vCPU; undefined where the host does not tell. */
  async thread(side: Side): Promise<number | undefined> {
    const [vcpu] = (await this.#consoles.get(side)?.vm.counters()) ?? [];
    return vcpu?.hostThread ?? undefined;
  }

  /** Has a VM do a job; the numbers it answers with. */
  async job(side: Side, line: string): Promise<number[]> {
    const console = this.#consoles.get(side);
    if (console === undefined) throw new Error(`there is no VM ${side}`);
    const bytes = new TextEncoder().encode(`${line}\n`);
    if (console.vm.type(bytes) !== bytes.length) throw new Error(`${side} does not take its job`);
    const answer = await console.until('end\n');
    const numbers = answer.trim() === '' ? [] : answer.trim().split(/\s+/).map(Number);
    if (!numbers.every(Number.isFinite)) throw new Error(`${side}, ${line}: ${answer}`);
    return numbers;
  }

  /** Has `two` do a job, and `one` another; what `asked` answers with. */
  async jobs(two: string, one: string, asked: Side = 'one'): Promise<number[]> {
    const [theirs, ours] = await Promise.all([this.job('two', two), this.job('one', one)]);
    return asked === 'one' ? ours : theirs;
  }

  async close(): Promise<void> {
    await this.host.dispose();
  }
}
