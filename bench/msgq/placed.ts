/**
 * Where the threads of two guests, and of the two peers that they are compared with, run. A woken thread is put on its waker's processor
 * by a host whose own processors look taken while they are halted: two peers that take turns then share one and never wake another one up,
 * while guests that poll have to use both. So like is compared with like only where all of them are kept apart.
 */
import type { GuestPair } from '../../test/drivers/guest-pair.js';
import { anywhere, apart } from '../placement.js';
import type { Bench } from '../report.js';

/** What keeps them apart. */
export interface Placed {
  readonly isApart: boolean;
  /** Lets them run wherever the host puts them. */
  free(): void;
}

/** Keeps the two vCPUs on a processor each, and the main thread and `peer`; says so, or that it cannot. */
export async function keepApart(bench: Bench, pair: GuestPair, peer: number | undefined): Promise<Placed> {
  const [one, two] = [await pair.thread('one'), await pair.thread('two')];
  const isApart = apart(one, two) && apart(process.pid, peer);
  const free = (): void => anywhere([one, two, process.pid, peer].filter((thread) => thread !== undefined));
  bench.note(
    isApart
      ? 'placement: two VMs of one vCPU, kept on processors 0 and 1 by taskset, and so are the peers, the main thread and a worker; in turn'
      : 'placement: two VMs of one vCPU; the main thread and a worker are the peers, in turn; none of the threads pinned',
  );
  if (!isApart) free();
  return { isApart, free };
}
