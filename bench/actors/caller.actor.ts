/** The sending actor of the benchmarks: streams tells, times asks. */
import { actor, actorKind } from '../../actors/runtime/actor.js';
import type { ActorRef, Ask } from '../../actors/runtime/protocol.js';
import { err, ok } from '../../bus/result.js';
import { tenFields } from '../bus/ten-fields.js';
import type { SinkProtocol } from './sink.actor.js';

interface Job {
  readonly to: ActorRef<SinkProtocol>;
  readonly count: number;
}

/** Its start arguments. */
export interface CallerConfig {
  /** Float64 round trips in microseconds. */
  readonly samples: SharedArrayBuffer;
}

/** What it understands. */
export type CallerProtocol = {
  /** Sends `count` tells as fast as the mailbox takes them; messages per second until all were handled. */
  stream: Ask<Job, { readonly perSecond: number }, 'lost'>;
  /** Asks `count` times, one after another; the round trips, in microseconds, are in the `samples` of its config. */
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
      for (let id = 0; id < count; id++) {
        const message = tenFields(id);
        // A refused message is offered again at once: the receiver is awake and taking.
        while (!context.tell(to, 'take', message).ok);
      }
      let taken = await context.ask(to, 'taken', {});
      while (!taken.ok) taken = await context.ask(to, 'taken', {});
      if (taken.value.count !== count || !taken.value.inOrder) return err('lost');
      return ok({ perSecond: count / ((context.clock.monotonicMs() - startedMs) / 1000) });
    },
    async asks(samples, { to, count }, context) {
      for (let value = 0; value < count; value++) {
        const askedMs = context.clock.monotonicMs();
        const answer = await context.ask(to, 'echo', { value });
        if (!answer.ok || answer.value.value !== value) return err('lost');
        samples[value] = (context.clock.monotonicMs() - askedMs) * 1000;
      }
      return ok({});
    },
  },
});
export default caller;

/** How its workers are made. */
export const callerKind = actorKind(caller, { module: new URL(import.meta.url) });
