/** The demo's listener: takes raw messages and typed lines, answers pings, stumbles when told to. */
import { actor, actorKind } from '../../actors/runtime/actor.js';
import { assert } from '../../bus/assert.js';
import { NOTHING } from '../../bus/message-queue/queue-end.js';
import type { QueueHandle } from '../../bus/message-queue/queue-layout.js';
import { QueueReceiver } from '../../bus/message-queue/queue-receiver.js';
import { err, ok } from '../../bus/result.js';
import { type ListenerProtocol, RAW_BYTES, RAW_OWNER, RAW_SPINS } from './demo-protocol.js';

interface ListenerConfig {
  readonly queue: QueueHandle;
}
interface ListenerState {
  readonly receiver: QueueReceiver;
  readonly into: Uint8Array;
  readonly head: Int32Array;
  lines: number;
  inOrder: boolean;
}

const SILENCE_MS_MAX = 2_000;

const listener = actor<ListenerConfig, ListenerProtocol, ListenerState>({
  name: 'listener',
  mailboxMax: 1024,
  messageBytesMax: 248,
  handlerBudgetMs: 20_000,
  supervision: { strategy: 'one-for-one', restartsMax: 1_000, withinMs: 10_000, otherwise: 'escalate' },
  start({ queue }) {
    const receiver = QueueReceiver.attach(queue, { owner: RAW_OWNER.listener });
    if (!receiver.ok) return err('the raw queue does not attach');
    const into = new Uint8Array(RAW_BYTES);
    return ok({ receiver: receiver.value, into, head: new Int32Array(into.buffer, 0, 1), lines: 0, inOrder: true });
  },
  on: {
    takeRaw({ receiver, into, head }, { count }) {
      for (let n = 0; n < count; n++) {
        if (receiver.next(RAW_SPINS, SILENCE_MS_MAX) <= NOTHING) return err('lost');
        receiver.copyOut(into);
        receiver.take();
        if (head[0] !== n) return err('outOfOrder');
      }
      receiver.free();
      return ok({});
    },
    line(state, { number }) {
      if (number === 0) state.inOrder = true;
      else if (number !== state.lines) state.inOrder = false;
      state.lines = number + 1;
    },
    taken: (state, { upTo }) => ok({ inOrder: state.inOrder && state.lines === upTo }),
    ping: (_, { value }) => ok({ value }),
    stumble() {
      assert(false, 'stumbled, as the demo asked');
    },
  },
});
export default listener;

/** How its worker is made; one is kept warm, so that a restart costs no thread's start. */
export const listenerKind = actorKind(listener, { module: new URL(import.meta.url), heapMegabytesMax: 64, warm: 1 });
