/** The demo's talker: sends raw messages, tells lines, and times questions. */
import { actor, actorKind } from '../../actors/runtime/actor.js';
import type { ActorRef } from '../../actors/runtime/protocol.js';
import type { QueueHandle } from '../../bus/message-queue/queue-layout.js';
import { QueueSender } from '../../bus/message-queue/queue-sender.js';
import { err, ok } from '../../bus/result.js';
import { type ListenerProtocol, RAW_BYTES, RAW_OWNER, RAW_SPINS, type TalkerProtocol } from './demo-protocol.js';

interface TalkerConfig {
  readonly listener: ActorRef<ListenerProtocol>;
  readonly queue: QueueHandle;
}
interface TalkerState extends TalkerConfig {
  readonly sender: QueueSender;
}

/** Lines sent before the listener is asked how far it is; three windows fit into its mailbox. */
const WINDOW = 256;
/** Raw messages published together. */
const BATCH = 32;
/** A listener that takes nothing for so long is gone. */
const SILENCE_MS_MAX = 2_000;

const talker = actor<TalkerConfig, TalkerProtocol, TalkerState>({
  name: 'talker',
  mailboxMax: 16,
  handlerBudgetMs: 20_000,
  supervision: { strategy: 'one-for-one', restartsMax: 3, withinMs: 10_000, otherwise: 'escalate' },
  start(config) {
    const sender = QueueSender.attach(config.queue, { owner: RAW_OWNER.talker });
    return sender.ok ? ok({ ...config, sender: sender.value }) : err('the raw queue does not attach');
  },
  on: {
    async raw({ listener, sender }, { count }, context) {
      const startedMs = context.clock.monotonicMs();
      const taken = context.ask(listener, 'takeRaw', { count });
      if (!sendRaw(sender, count)) return err('lost');
      const answer = await taken;
      return answer.ok ? ok({ perSecond: rate(count, startedMs, context.clock.monotonicMs()) }) : err('lost');
    },
    async tells({ listener }, { count }, context) {
      const startedMs = context.clock.monotonicMs();
      // Two windows in flight: while the listener works on one, the next is written. Nobody spins on a full mailbox.
      let before = true;
      let window = Promise.resolve(true);
      for (let number = 0; number < count && before; ) {
        const size = Math.min(WINDOW, count - number);
        for (const end = number + size; number < end; number++) {
          const line = { number, from: 'talker', text: 'a line of text', atMs: startedMs + number };
          if (!context.tell(listener, 'line', line).ok) return err('lost');
        }
        const ask = context.ask(listener, 'taken', { upTo: number });
        const told = ask.then((answer) => answer.ok && answer.value.inOrder);
        before = await window;
        window = told;
      }
      if (!before || !(await window)) return err('lost');
      return ok({ perSecond: rate(count, startedMs, context.clock.monotonicMs()) });
    },
    async asks({ listener }, { count }, context) {
      const trips: number[] = [];
      for (let value = 0; value < count; value++) {
        const askedMs = context.clock.monotonicMs();
        const answer = await context.ask(listener, 'ping', { value });
        if (!answer.ok || answer.value.value !== value) return err('lost');
        trips.push((context.clock.monotonicMs() - askedMs) * 1000);
      }
      trips.sort((a, b) => a - b);
      const at = (q: number): number => trips[Math.min(count - 1, Math.floor(q * count))] ?? 0;
      return ok({ p50: at(0.5), p99: at(0.99) });
    },
  },
});
export default talker;

/** How its worker is made. */
export const talkerKind = actorKind(talker, { module: new URL(import.meta.url), heapMegabytesMax: 64 });

function rate(count: number, fromMs: number, toMs: number): number {
  return count / (Math.max(toMs - fromMs, 0.001) / 1000);
}

/** Sends `count` numbered messages in batches; false when nobody takes them. */
function sendRaw(sender: QueueSender, count: number): boolean {
  const message = new Uint8Array(RAW_BYTES).fill(7);
  const head = new Int32Array(message.buffer, 0, 1);
  for (let n = 0; n < count; ) {
    let at = sender.reserve();
    while (at < 0) {
      if (!sender.waitForSpace(RAW_SPINS, SILENCE_MS_MAX)) return false;
      at = sender.reserve();
    }
    for (let k = 1; at >= 0; k++) {
      head[0] = n++;
      sender.bytes.set(message, at);
      sender.stage(RAW_BYTES);
      at = k < BATCH && n < count ? sender.reserve() : -1;
    }
    sender.publish();
  }
  return true;
}
