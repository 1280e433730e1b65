/** What the end of an actor means for the machine it belongs to. */
import type { SpawnFailure } from '../../actors/runtime/actor.js';
import type { SystemEvent } from '../../actors/runtime/supervisor.js';

/** Why a machine ended that its watchdog has bitten, as a sentence part. */
export const BITTEN = 'its watchdog was not pinged in time';

/** What each reason is called in a sentence. */
const REASONS: Readonly<Record<string, string>> = {
  threw: 'failed',
  exited: 'ended by itself',
  outOfMemory: 'ran out of memory',
  spun: 'hung',
  killed: 'was killed',
};

/**
 * The sentence to end a machine with when an actor of it is gone for good; undefined for an ordinary stop, for one that is started
 * again, and for one that refused to start, which {@link whyNotStarted} tells.
 */
export function deathOf(event: SystemEvent): string | undefined {
  if (event.event !== 'down' || event.reason === 'stopped' || event.verdict === 'restart' || event.isRefusal)
    return undefined;
  return deathSentence(event);
}

/** Which worker died and how, in a sentence part. */
export function deathSentence(event: Extract<SystemEvent, { event: 'down' }>): string {
  return `${event.name} ${REASONS[event.reason] ?? 'died'} (${event.detail})`;
}

/** Why the actor `name` did not start, as a sentence; one that refuses says why itself. */
export function whyNotStarted(name: string, failure: SpawnFailure): string {
  const refused = failure.reason === 'startRefused' && typeof failure.error === 'string';
  return refused ? String(failure.error) : `${name} did not start (${JSON.stringify(failure)})`;
}
