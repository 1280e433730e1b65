/**
 * What a lab's VMs and queues do: counters of the host, rates between two looks at them, and latencies from the calls while
 * somebody watches. Watching starts with the first watcher and ends with the last, so a lab nobody watches pays nothing.
 */
import { defer, exhaustMap, finalize, interval, type Observable } from 'rxjs';
import type { Percentiles } from './histogram.js';
import type { QueueCounters, VcpuCounters } from './lab-host.js';
import { MessageLatency } from './message-latency.js';
import type { MemberState, RunningLab } from './running-lab.js';

/** One VM. */
export interface VmStatistics {
  readonly name: string;
  readonly vmid: number;
  readonly state: MemberState;
  readonly upSeconds: number;
  readonly restarts: number;
  /** Million instructions a second since the look before; estimated, see docs/tracing.md. */
  readonly mips: number;
  /** Share of the time since then that its vCPUs were not idle: 2 is two whole processors. */
  readonly busy: number;
  readonly vcpus: readonly VcpuCounters[];
}

/** One direction of a queue; latencies in nanoseconds from send to receive, absent when none was measured. */
export interface QueueStatistics extends QueueCounters {
  readonly perSecond: number;
  readonly latencyNs: Percentiles | undefined;
}

/** One look. */
export interface LabStatistics {
  /** Seconds since the look before. */
  readonly seconds: number;
  readonly vms: readonly VmStatistics[];
  readonly queues: readonly QueueStatistics[];
}

interface Look {
  readonly atMs: number;
  readonly vcpus: ReadonlyMap<string, readonly VcpuCounters[]>;
  readonly queues: ReadonlyMap<number, QueueCounters>;
}

/** How long latencies go on being measured after somebody has read /metrics. */
const SCRAPE_HOLD_MS = 60_000;

/** See the head of this file. */
export class LabWatch {
  readonly #lab: RunningLab;
  readonly #nowMs: () => number;
  /** Since the first watcher of all: what a scraper reads. */
  readonly latency = new MessageLatency();
  #scrape: { unsubscribe(): void } | undefined;
  #scrapeEnd: NodeJS.Timeout | undefined;

  constructor(lab: RunningLab, nowMs: () => number) {
    this.#lab = lab;
    this.#nowMs = nowMs;
  }

  async #look(): Promise<Look> {
    const running = [...this.#lab.members.values()].filter(({ state }) => state === 'running');
    const counters = await Promise.all(
      running.map(async ({ name, vm }) => [name, (await vm?.counters()) ?? []] as const),
    );
    return {
      atMs: this.#nowMs(),
      vcpus: new Map(counters),
      queues: new Map(this.#lab.host.queues().map((queue) => [queue.object, queue])),
    };
  }

  #between(before: Look, now: Look, latency: MessageLatency): LabStatistics {
    const seconds = Math.max((now.atMs - before.atMs) / 1000, 1e-3);
    const vms = [...this.#lab.members.values()].map((member): VmStatistics => {
      const { name, vm, state, restarts, startedMs } = member;
      const upSeconds = state === 'running' ? (now.atMs - startedMs) / 1000 : 0;
      const vcpus = now.vcpus.get(name) ?? [];
      const earlier = before.vcpus.get(name) ?? [];
      const isNew = vcpus.some(({ instructions }, n) => (earlier[n]?.instructions ?? Infinity) > instructions);
      const span = isNew ? Math.max(seconds, upSeconds) : seconds;
      // Counters of another life are larger, or nobody looked at this one yet: then the rate is that of this life so far.
      const grown = (field: 'instructions' | 'guestMs' | 'exitsMs'): number =>
        vcpus.reduce((sum, vcpu, n) => {
          const then = earlier[n]?.[field] ?? 0;
          return sum + vcpu[field] - (then > vcpu[field] ? 0 : then);
        }, 0);
      return {
        ...{ name, vmid: vm?.vmid ?? 0, state, restarts, vcpus, upSeconds },
        mips: grown('instructions') / span / 1e6,
        busy: (grown('guestMs') + grown('exitsMs')) / 1000 / span,
      };
    });
    const queues = [...now.queues.values()].map((queue): QueueStatistics => {
      const sent = (queue.sent - (before.queues.get(queue.object)?.sent ?? 0)) >>> 0;
      return { ...queue, perSecond: sent / seconds, latencyNs: latency.of(queue.object)?.percentiles };
    });
    return { seconds, vms, queues };
  }

  /** A look every `periodMs`, the first after one period; latencies are of the whole watching so far. */
  every(periodMs: number): Observable<LabStatistics> {
    return defer(() => this.#watch(periodMs));
  }

  #watch(periodMs: number): Observable<LabStatistics> {
    const latency = new MessageLatency();
    const subscription = this.#lab.host.calls.subscribe((calls) => latency.take(calls));
    let before: Look | undefined;
    const first = this.#look().then((look) => {
      before = look;
    });
    return interval(periodMs).pipe(
      exhaustMap(async () => {
        await first;
        const now = await this.#look();
        const statistics = this.#between(before ?? now, now, latency);
        before = now;
        return statistics;
      }),
      finalize(() => subscription.unsubscribe()),
    );
  }

  /** One look after watching for `periodMs`. */
  async once(periodMs: number): Promise<LabStatistics> {
    return new Promise((resolve) => {
      const subscription = this.every(periodMs).subscribe((statistics) => {
        subscription.unsubscribe();
        resolve(statistics);
      });
    });
  }

  /** Somebody reads /metrics: latencies are measured from now on, until nobody has for a minute. */
  scrape(): void {
    this.#scrape ??= this.#lab.host.calls.subscribe((calls) => this.latency.take(calls));
    clearTimeout(this.#scrapeEnd);
    this.#scrapeEnd = setTimeout(() => this.close(), SCRAPE_HOLD_MS);
    this.#scrapeEnd.unref();
  }

  /** Counters as they stand, for a scraper. */
  async now(): Promise<LabStatistics> {
    const look = await this.#look();
    return this.#between(look, look, this.latency);
  }

  close(): void {
    clearTimeout(this.#scrapeEnd);
    this.#scrape?.unsubscribe();
    this.#scrape = undefined;
  }
}
