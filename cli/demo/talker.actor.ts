/** The demo's talker: sends lines in batches, waits for the doorbell that says they were taken, and times a question. */
import { type ActorContext, actor, actorKind } from '../../actors/runtime/actor.js';
import type { ActorRef } from '../../actors/runtime/protocol.js';
import { ok } from '../../bus/result.js';
import { DemoCounters } from './demo-counters.js';
import { BATCH_LINES, FLAG_TAKEN, type ListenerProtocol, type TalkerProtocol } from './demo-protocol.js';

interface TalkerConfig {
  readonly talker: number;
  readonly listener: ActorRef<ListenerProtocol>;
  readonly counters: SharedArrayBuffer;
}
interface TalkerState {
  readonly config: TalkerConfig;
  readonly counters: DemoCounters;
  talking: boolean;
  number: number;
}

const PINGS_PER_BATCH = 8;
const RETRY_MS = 1;

const talker = actor<TalkerConfig, TalkerProtocol, TalkerState>({
  name: 'talker',
  mailboxMax: 16,
  supervision: { strategy: 'one-for-one', restartsMax: 3, withinMs: 10_000, otherwise: 'escalate' },
  start: (config) => ok({ config, counters: new DemoCounters(config.counters), talking: false, number: 0 }),
  on: {
    async go(state, _, context) {
      const { talker: id, listener } = state.config;
      const met = await context.ask(listener, 'hello', { talker: id, ref: context.self });
      if (!met.ok) {
        context.log.warn('the listener does not answer');
        return;
      }
      state.talking = true;
      sendBatch(state, context, BATCH_LINES);
    },
    quiet(state) {
      state.talking = false;
    },
  },
  rang(state, flags, context) {
    if ((flags & FLAG_TAKEN) === 0) return;
    state.counters.count('rings');
    void nextBatch(state, context);
  },
});
export default talker;

/** How its workers are made. */
export const talkerKind = actorKind(talker, { module: new URL(import.meta.url), heapMegabytesMax: 64 });

/** Sends `left` lines; what the full mailbox gives back is sent again a little later. */
function sendBatch(state: TalkerState, context: ActorContext<TalkerProtocol>, left: number): void {
  for (let n = left; n > 0 && state.talking; n--) {
    const text = `line ${state.number} of talker ${state.config.talker}`;
    const sent = context.tell(state.config.listener, 'line', {
      talker: state.config.talker,
      number: state.number,
      text,
    });
    if (sent.ok) {
      state.number += 1;
      state.counters.count('sent');
      continue;
    }
    state.counters.count('refused');
    context.after(RETRY_MS, () => sendBatch(state, context, n));
    return;
  }
}

/** Times a few questions, then talks on. */
async function nextBatch(state: TalkerState, context: ActorContext<TalkerProtocol>): Promise<void> {
  for (let n = 0; n < PINGS_PER_BATCH && state.talking; n++) {
    const askedMs = context.clock.monotonicMs();
    const answer = await context.ask(state.config.listener, 'ping', { talker: state.config.talker });
    if (answer.ok) state.counters.roundTrip((context.clock.monotonicMs() - askedMs) * 1000);
  }
  sendBatch(state, context, BATCH_LINES);
}
