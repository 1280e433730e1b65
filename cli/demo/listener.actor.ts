/** The demo's listener: takes lines, answers pings, and rings the talker's doorbell when it has taken a batch. */
import { actor, actorKind } from '../../actors/runtime/actor.js';
import type { ActorRef } from '../../actors/runtime/protocol.js';
import { ok } from '../../bus/result.js';
import { DemoCounters } from './demo-counters.js';
import { BATCH_LINES, FLAG_TAKEN, type ListenerProtocol, type TalkerProtocol } from './demo-protocol.js';

interface ListenerConfig {
  readonly counters: readonly SharedArrayBuffer[];
}
interface ListenerState {
  readonly counters: readonly DemoCounters[];
  readonly talkers: Map<number, ActorRef<TalkerProtocol>>;
  readonly lines: Map<number, number>;
}

const listener = actor<ListenerConfig, ListenerProtocol, ListenerState>({
  name: 'listener',
  mailboxMax: 256,
  messageBytesMax: 256,
  supervision: { strategy: 'one-for-one', restartsMax: 3, withinMs: 10_000, otherwise: 'escalate' },
  start: ({ counters }) =>
    ok({ counters: counters.map((memory) => new DemoCounters(memory)), talkers: new Map(), lines: new Map() }),
  on: {
    hello(state, { talker, ref }) {
      state.talkers.set(talker, ref);
      return ok({});
    },
    line(state, { talker }, context) {
      const lines = (state.lines.get(talker) ?? 0) + 1;
      state.lines.set(talker, lines);
      state.counters[talker]?.count('handled');
      const ref = state.talkers.get(talker);
      if (lines % BATCH_LINES === 0 && ref !== undefined) context.ring(ref, FLAG_TAKEN);
    },
    ping: (state, { talker }) => ok({ lines: state.lines.get(talker) ?? 0 }),
  },
});
export default listener;

/** How its worker is made. */
export const listenerKind = actorKind(listener, { module: new URL(import.meta.url), heapMegabytesMax: 64 });
