/**
 * What this host allows (interrupts.ts): two bare threads that both spin all the time, as two busy vCPUs do. The raiser sets a
 * word 200 to 700 us after it was last seen; the taker notes how late it sees that, and then how late it sees that a moment
 * has come. Or one that spins beside a busy vCPU, and says what a thread that does nothing but look would have missed in the same seconds.
 */
import { hostClock, hostNowMs, processorWaitMs } from '../../actors/runtime/host-services.js';
import { LookGaps, type LookGapsReading } from '../../actors/vcpu/look-gaps.js';

/** What a thread is started with. */
export interface LimitData {
  readonly role: 'raiser' | 'taker' | 'beside';
  /** {@link LIMIT} words, then Float64 nanoseconds: when it was raised, the waits for words, the waits for moments. */
  readonly shared: SharedArrayBuffer;
  /** Waits of each kind. */
  readonly rounds: number;
}
/** Int32 words: how often it was raised, how often seen, and whether the taker is through. */
const LIMIT = { raised: 0, seen: 1, ended: 2, words: 16 } as const;
/** Byte at which the waits begin. */
export const WAITS_AT = LIMIT.words * 4 + 8;

/** Nanoseconds of the one clock that all threads share. */
function sharedNs(): number {
  const [seconds, ns] = process.hrtime();
  return seconds * 1e9 + ns;
}
const moment = (): number => sharedNs() + 200_000 + Math.random() * 500_000;

/** How many bytes {@link LimitData.shared} has to have for the role `beside`. */
export const BESIDE_BYTES = LIMIT.words * 4 + 8;
/** Ends the role `beside`. */
export const endBeside = (shared: SharedArrayBuffer): void =>
  void Atomics.store(new Int32Array(shared), LIMIT.ended, 1);

/** Looks at the clock until it is told to end. */
function lookBeside(words: Int32Array): LookGapsReading {
  const gaps = new LookGaps(processorWaitMs, hostNowMs);
  const { storeMs } = hostClock(0);
  const nowMs = new Float64Array(1);
  while (Atomics.load(words, LIMIT.ended) === 0) {
    storeMs(nowMs);
    gaps.looked(nowMs);
  }
  return gaps.reading();
}

/** Plays its role to the end; what there is to tell of it. */
export function playLimit({ role, shared, rounds }: LimitData): LookGapsReading | undefined {
  const words = new Int32Array(shared, 0, LIMIT.words);
  if (role === 'beside') return lookBeside(words);
  const raisedNs = new Float64Array(shared, LIMIT.words * 4, 1);
  const waits = new Float64Array(shared, WAITS_AT, rounds * 2);
  if (role === 'raiser') raise(words, raisedNs, rounds);
  else take(words, raisedNs, waits, rounds);
  return undefined;
}

function raise(words: Int32Array, raisedNs: Float64Array, rounds: number): void {
  for (let n = 0; n < rounds; n++) {
    for (const due = moment(); sharedNs() < due; );
    raisedNs[0] = sharedNs();
    Atomics.store(words, LIMIT.raised, n + 1);
    while (Atomics.load(words, LIMIT.seen) !== n + 1);
  }
  while (Atomics.load(words, LIMIT.ended) === 0);
}

function take(words: Int32Array, raisedNs: Float64Array, waits: Float64Array, rounds: number): void {
  for (let n = 0; n < rounds; n++) {
    while (Atomics.load(words, LIMIT.raised) !== n + 1);
    waits[n] = sharedNs() - raisedNs[0]!;
    Atomics.store(words, LIMIT.seen, n + 1);
  }
  for (let n = 0; n < rounds; n++) {
    const due = moment();
    let now = sharedNs();
    while (now < due) now = sharedNs();
    waits[rounds + n] = now - due;
  }
  Atomics.store(words, LIMIT.ended, 1);
}
