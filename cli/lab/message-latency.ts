/**
 * How long messages take, from the call that sends one to the return of the call that receives it: a histogram for each
 * direction of each queue, from the stream of recorded calls. The two vCPUs' records come in either order.
 */
import { Histogram } from './histogram.js';
import type { CallRecord } from './lab-host.js';

/** Sends and receives waiting for their other half; the oldest are forgotten. */
const OPEN_MAX = 65_536;

/** See the head of this file. */
export class MessageLatency {
  readonly #sent = new Map<string, number>();
  readonly #received = new Map<string, number>();
  readonly #histograms = new Map<number, Histogram>();

  take(records: readonly CallRecord[]): void {
    for (const record of records) {
      if (record.messageBytes === 0 || record.object === 0) continue;
      const key = `${record.object}:${record.sequence}`;
      const isSend = isSendCall(record);
      const [mine, other] = isSend ? [this.#sent, this.#received] : [this.#received, this.#sent];
      const atNs = isSend ? record.startNs : record.startNs + record.durationNs;
      const otherNs = other.get(key);
      if (otherNs === undefined) {
        remember(mine, key, atNs);
        continue;
      }
      other.delete(key);
      this.#of(record.object).add(Math.max(0, isSend ? otherNs - atNs : atNs - otherNs));
    }
  }

  #of(object: number): Histogram {
    const known = this.#histograms.get(object);
    if (known !== undefined) return known;
    const fresh = new Histogram();
    this.#histograms.set(object, fresh);
    return fresh;
  }

  /** The histogram of queue `object`; undefined before its first message. */
  of(object: number): Histogram | undefined {
    return this.#histograms.get(object);
  }

  /** A queue is gone: its number may be another's. */
  forget(object: number): void {
    this.#histograms.delete(object);
  }
}

/** msgqueue_send in either form. */
function isSendCall({ immediate, before }: CallRecord): boolean {
  return immediate === 0x601b || (immediate === 0 && BigInt.asUintN(14, before[0] ?? 0n) === 0x1bn);
}

function remember(open: Map<string, number>, key: string, ns: number): void {
  open.set(key, ns);
  if (open.size <= OPEN_MAX) return;
  const [oldest] = open.keys();
  if (oldest !== undefined) open.delete(oldest);
}
