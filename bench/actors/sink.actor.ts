/** The receiving actor of the benchmarks: takes typical messages, answers a question. */
import { actor, actorKind } from '../../actors/runtime/actor.js';
import type { Ask, Tell } from '../../actors/runtime/protocol.js';
import { ok } from '../../bus/result.js';
import type { tenFields } from '../bus/ten-fields.js';

/** What it understands. */
export type SinkProtocol = {
  take: Tell<ReturnType<typeof tenFields>>;
  echo: Ask<{ readonly value: number }, { readonly value: number }>;
  /** Whether every message of this stream below number `upTo` was taken, in order. */
  taken: Ask<{ readonly upTo: number }, { readonly inOrder: boolean }>;
};

interface SinkState {
  count: number;
  inOrder: boolean;
}

const sink = actor<object, SinkProtocol, SinkState>({
  name: 'sink',
  mailboxMax: 1024,
  messageBytesMax: 488,
  supervision: { strategy: 'one-for-one', restartsMax: 0, withinMs: 1, otherwise: 'stop' },
  start: () => ok({ count: 0, inOrder: true }),
  on: {
    take(state, { id }) {
      if (id === 0) state.inOrder = true;
      else if (id !== state.count) state.inOrder = false;
      state.count = id + 1;
    },
    echo: (_, { value }) => ok({ value }),
    taken: (state, { upTo }) => ok({ inOrder: state.inOrder && state.count === upTo }),
  },
});
export default sink;

/** How its workers are made. */
export const sinkKind = actorKind(sink, { module: new URL(import.meta.url) });
