/**
 * The two sides of every round trip. The limits are as bare as JavaScript allows: two words with Atomics and the copies that a
 * message needs: into shared memory and out of it on the asking side, from the one shared place to the other on the answering side,
 * which sends on what it was sent where it lies, as the queue's side does and as a MessagePort's sends on the object it was given.
 */
import { copyBytes } from '../../bus/copy-bytes.js';
import type { QueueReceiver } from '../../bus/message-queue/queue-receiver.js';
import type { QueueSender } from '../../bus/message-queue/queue-sender.js';
import { nowNs } from '../measure.js';

/** Round trips per sample: one sample is long against the cost of reading the clock. */
export const PER_SAMPLE = 10;
const PING = 0;
const PONG = 32;
const THERE_AT = 256;
const BACK_AT = 1024;

/** The turn that ends a bare echo. */
const STOP = -1;

/** Runs `roundTrip` in samples for `ms` milliseconds; nanoseconds for one, per sample. */
function sampled(ms: number, roundTrip: (turn: number) => void): number[] {
  const samples: number[] = [];
  const end = nowNs() + ms * 1e6;
  let turn = 0;
  for (let start = nowNs(); start < end; ) {
    for (let i = 0; i < PER_SAMPLE; i++) roundTrip(++turn);
    const now = nowNs();
    samples.push((now - start) / PER_SAMPLE);
    start = now;
  }
  return samples;
}

/** The limit of awake threads, asking side. */
export function bareSpinAsk(bare: SharedArrayBuffer, ms: number, sizeBytes: number): number[] {
  const words = new Int32Array(bare);
  const there = new Uint8Array(bare, THERE_AT, sizeBytes);
  const back = new Uint8Array(bare, BACK_AT, sizeBytes);
  const message = new Uint8Array(sizeBytes).fill(7);
  const answer = new Uint8Array(sizeBytes);
  const samples = sampled(ms, (turn) => {
    copyBytes(message, there);
    Atomics.store(words, PING, turn);
    while (Atomics.load(words, PONG) !== turn);
    copyBytes(back, answer);
  });
  Atomics.store(words, PING, STOP);
  return samples;
}

/** The limit of awake threads, answering side. */
export function bareSpinEcho(bare: SharedArrayBuffer, sizeBytes: number): void {
  const words = new Int32Array(bare);
  const there = new Uint8Array(bare, THERE_AT, sizeBytes);
  const back = new Uint8Array(bare, BACK_AT, sizeBytes);
  for (let turn = 1; ; turn++) {
    let seen = Atomics.load(words, PING);
    while (seen !== turn && seen !== STOP) seen = Atomics.load(words, PING);
    if (seen === STOP) return;
    copyBytes(there, back);
    Atomics.store(words, PONG, turn);
  }
}

/** A round trip of sleeping threads, asking side, and how that ends. */
function sleepAsker(bare: SharedArrayBuffer, sizeBytes: number): { trip(turn: number): void; end(): void } {
  const words = new Int32Array(bare);
  const there = new Uint8Array(bare, THERE_AT, sizeBytes);
  const back = new Uint8Array(bare, BACK_AT, sizeBytes);
  const message = new Uint8Array(sizeBytes).fill(7);
  const answer = new Uint8Array(sizeBytes);
  return {
    trip(turn) {
      copyBytes(message, there);
      Atomics.store(words, PING, turn);
      Atomics.notify(words, PING);
      while (Atomics.load(words, PONG) !== turn) Atomics.wait(words, PONG, turn - 1);
      copyBytes(back, answer);
    },
    // Waits until the answering side has seen that: the words may then be used again.
    end() {
      const last = Atomics.load(words, PONG);
      Atomics.store(words, PING, STOP);
      Atomics.notify(words, PING);
      while (Atomics.load(words, PONG) !== STOP) Atomics.wait(words, PONG, last);
    },
  };
}

/** The limit of sleeping threads, asking side. */
export function bareSleepAsk(bare: SharedArrayBuffer, ms: number, sizeBytes: number): number[] {
  const asker = sleepAsker(bare, sizeBytes);
  const samples = sampled(ms, asker.trip);
  asker.end();
  return samples;
}

/** As {@link bareSleepAsk}, but both sides have slept for `restMs` milliseconds before each of `count` round trips. */
export function bareRestedAsk(bare: SharedArrayBuffer, count: number, restMs: number, sizeBytes: number): number[] {
  const asker = sleepAsker(bare, sizeBytes);
  const rest = new Int32Array(new SharedArrayBuffer(4));
  const samples: number[] = [];
  for (let turn = 1; turn <= count; turn++) {
    Atomics.wait(rest, 0, 0, restMs);
    const start = nowNs();
    asker.trip(turn);
    samples.push(nowNs() - start);
  }
  asker.end();
  return samples;
}

/** The limit of sleeping threads, answering side. */
export function bareSleepEcho(bare: SharedArrayBuffer, sizeBytes: number): void {
  const words = new Int32Array(bare);
  const there = new Uint8Array(bare, THERE_AT, sizeBytes);
  const back = new Uint8Array(bare, BACK_AT, sizeBytes);
  for (let turn = 1; ; turn++) {
    while (Atomics.load(words, PING) === turn - 1) Atomics.wait(words, PING, turn - 1);
    const isOver = Atomics.load(words, PING) === STOP;
    if (!isOver) copyBytes(there, back);
    Atomics.store(words, PONG, isOver ? STOP : turn);
    Atomics.notify(words, PONG);
    if (isOver) return;
  }
}

/** The subject, asking side: two queues, polling `spins` turns before sleeping. */
export function queueAsk(
  sender: QueueSender,
  receiver: QueueReceiver,
  ms: number,
  sizeBytes: number,
  spins: number,
): number[] {
  const message = new Uint8Array(sizeBytes).fill(7);
  const answer = new Uint8Array(sizeBytes);
  const samples = sampled(ms, () => {
    sender.send(message);
    receiver.next(spins);
    receiver.copyOut(answer);
    receiver.take();
  });
  sender.send(message.subarray(0, 1));
  return samples;
}

/** The subject, answering side; a message of one byte ends it. */
export function queueEcho(receiver: QueueReceiver, sender: QueueSender, spins: number): void {
  for (;;) {
    const size = receiver.next(spins);
    if (size > 1) sender.send(receiver.message);
    receiver.take();
    if (size === 1) return;
  }
}
