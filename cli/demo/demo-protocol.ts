/** What the demo's actors say to each other. */
import type { ActorRef, Ask, Tell } from '../../actors/runtime/protocol.js';

/** Lines per ring of the talker's doorbell. */
export const BATCH_LINES = 32;
/** The doorbell flag that says "a batch has been taken". */
export const FLAG_TAKEN = 1;

/** What the listener understands. */
export type ListenerProtocol = {
  hello: Ask<{ readonly talker: number; readonly ref: ActorRef<TalkerProtocol> }, object>;
  line: Tell<{ readonly talker: number; readonly number: number; readonly text: string }>;
  ping: Ask<{ readonly talker: number }, { readonly lines: number }>;
};

/** What the talker understands. */
export type TalkerProtocol = {
  go: Tell<object>;
  quiet: Tell<object>;
};
