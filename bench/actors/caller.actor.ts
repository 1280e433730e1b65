/** The sending actor of the benchmarks: streams tells, times asks. */
import { actor, actorKind } from '../../actors/runtime/actor.js';
import type { ActorRef, Ask } from '../../actors/runtime/protocol.js';
import { err, ok } from '../../bus/result.js';
import { PER_SAMPLE } from '../bus/rtt-loops.js';
import { tenFields } from '../bus/ten-fields.js';
import type { SinkProtocol } from './sink.actor.js';

interface Job {
  readonly to: ActorRef<SinkProtocol>;
  readonly count: number;
}

/** Messages sent before the receiver is asked how far it is; three windows fit into its mailbox. */
const WINDOW = 256;

/** Its start arguments. */
export interface CallerConfig {
  /** Float64 microseconds of a round trip, each the mean of `PER_SAMPLE`. */
  readonly samples: SharedArrayBuffer;
}

/** What it understands. */
export type CallerProtocol = {
  /** Sends `count` tells as fast as the receiver takes them; messages per second until all were handled. */
  stream: Ask<Job, { readonly perSecond: number }, 'lost'>;
  /** Asks `count` times, one after another; the samples are in the `samples` of its config. */
  asks: Ask<Job, object, 'lost'>;
};

const caller = actor<CallerConfig, CallerProtocol, Float64Array>({
  name: 'caller',
  mailboxMax: 16,
  handlerBudgetMs: 20_000,
  supervision: { strategy: 'one-for-one', restartsMax: 0, withinMs: 1, otherwise: 'stop' },
  start: ({ samples }) => ok(new Float64Array(samples)),
  on: {
    async stream(_, { to, count }, context) {
      const startedMs = context.clock.monotonicMs();
      // Two windows in flight: while the receiver works on one the next is written, and nobody spins on a full mailbox.
      let whole = true;
      let window = Promise.resolve(true);
      for (let id = 0; id < count && whole; ) {
        for (const end = Math.min(count, id + WINDOW); id < end; id++) {
          if (!context.tell(to, 'take', tenFields(id)).ok) return err('lost');
        }
        const told = context.ask(to, 'taken', { upTo: id }).then((answer) => answer.ok && answer.value.inOrder);
        whole = await window;
        window = told;
      }
      if (!whole || !(await window)) return err('lost');
      return ok({ perSecond: count / ((context.clock.monotonicMs() - startedMs) / 1000) });
    },
    async asks(samples, { to, count }, context) {
      let sinceMs = context.clock.monotonicMs();
      for (let value = 0; value < count; value++) {
        const answer = await context.ask(to, 'echo', { value });
        if (!answer.ok || answer.value.value !== value) return err('lost');
        if ((value + 1) % PER_SAMPLE !== 0) continue;
        const nowMs = context.clock.monotonicMs();
        samples[(value + 1) / PER_SAMPLE - 1] = ((nowMs - sinceMs) * 1000) / PER_SAMPLE;
        sinceMs = nowMs;
      }
      return ok({});
    },
  },
});
export default caller;

/** How its workers are made. */
export const callerKind = actorKind(caller, { module: new URL(import.meta.url) });
