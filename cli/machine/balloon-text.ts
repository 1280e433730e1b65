/** The balloon at the console's escape: what its commands do and say. */
import type { BalloonState } from '../../devices/virtio-balloon/virtio-balloon.actor.js';
import { KEPT_BYTES_MIN } from './balloon-options.js';
import type { Machine } from './machine.js';

/** Of a machine's memory, how much one press takes or gives. */
const STEPS = 8;
/** How long a guest is given to say anew what it has, and how often it is looked for. */
const ANSWER_MS = 2_000;
const LOOK_MS = 50;

const mebibytes = (bytes: number): string => (bytes / 2 ** 20).toFixed(0);

/** One line on how the balloon stands. */
export function balloonText({ targetBytes, heldBytes, statistics }: BalloonState): string {
  const { freeBytes, totalBytes, availableBytes } = statistics;
  const guest = [
    ...(totalBytes === undefined ? [] : [`${mebibytes(totalBytes)} MiB in all`]),
    ...(freeBytes === undefined ? [] : [`${mebibytes(freeBytes)} MiB free`]),
    ...(availableBytes === undefined ? [] : [`${mebibytes(availableBytes)} MiB available`]),
  ].join(', ');
  const said = guest === '' ? 'the guest has not said how much it has' : `the guest says: ${guest}`;
  return `the balloon holds ${mebibytes(heldBytes)} of ${mebibytes(targetBytes)} MiB; ${said}`;
}

/** Carries out a command; the sentence to show. */
export async function adjustBalloon(
  machine: Pick<Machine, 'balloon' | 'inflate'> | undefined,
  command: 'balloon' | 'inflate' | 'deflate',
  ramBytes: number,
): Promise<string> {
  const state = await machine?.balloon();
  if (machine === undefined || state === undefined) return 'the machine has no balloon; --balloon gives it one';
  if (command === 'balloon') {
    // The question has asked the guest; a later one has what it answered.
    let now = state;
    for (let waited = 0; waited < ANSWER_MS && now.reports === state.reports; waited += LOOK_MS) {
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
      now = (await machine.balloon()) ?? now;
    }
    return balloonText(now);
  }
  const step = command === 'inflate' ? ramBytes / STEPS : -ramBytes / STEPS;
  const bytes = Math.max(0, Math.min(state.targetBytes + step, ramBytes - KEPT_BYTES_MIN));
  machine.inflate(bytes);
  return `the guest is asked to give up ${mebibytes(bytes)} of ${mebibytes(ramBytes)} MiB`;
}
