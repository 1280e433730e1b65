/**
 * What this host allows (interrupts.ts): a bare thread that does nothing but look at the clock, as a vCPU would that had no guest. What it
 * misses is what the host does to any thread: its kernel's ticks, a hypervisor below, other threads.
 */
import { hostClock, hostNowMs, processorWaitMs } from '../../actors/runtime/host-services.js';
import { LookGaps, type LookGapsReading } from '../../actors/vcpu/look-gaps.js';

/** What a thread is started with. */
export interface LimitData {
  /** How long it looks, in milliseconds. */
  readonly forMs: number;
}

/** V8 has optimised the loop by then. */
const SETTLED_MS = 500;

/** Looks for so long, and what it has seen. */
export function lookFor({ forMs }: LimitData): LookGapsReading {
  const gaps = new LookGaps(processorWaitMs, hostNowMs, SETTLED_MS);
  const { storeMs } = hostClock(0);
  const nowMs = new Float64Array(1);
  for (const endMs = hostNowMs() + forMs; nowMs[0]! < endMs; ) {
    storeMs(nowMs);
    gaps.looked(nowMs);
  }
  return gaps.reading();
}
