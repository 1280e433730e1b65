/** What the demo's actors say to each other. */
import type { Ask, Tell } from '../../actors/runtime/protocol.js';

/** Bytes of a raw message. */
export const RAW_BYTES = 240;
/** Lock owners of the raw queue's ends; each end has a worker of its own. */
export const RAW_OWNER = { talker: 1, listener: 2 } as const;
/** Polls before an end of the raw queue sleeps. */
export const RAW_SPINS = 300;

/** What the listener understands. */
export type ListenerProtocol = {
  /** Takes `count` raw messages from the queue of its config. */
  takeRaw: Ask<{ readonly count: number }, object, 'lost' | 'outOfOrder'>;
  line: Tell<{ readonly number: number; readonly from: string; readonly text: string; readonly atMs: number }>;
  /** Whether every line of this stream below number `upTo` was taken, in order. */
  taken: Ask<{ readonly upTo: number }, { readonly inOrder: boolean }>;
  ping: Ask<{ readonly value: number }, { readonly value: number }>;
  /** Throws: what the supervisor is for. */
  stumble: Tell<object>;
};

/** What the talker understands: jobs of a given number of messages. */
export type TalkerProtocol = {
  /** Raw bytes through a message queue, published in batches; messages per second until the last one was checked. */
  raw: Ask<{ readonly count: number }, { readonly perSecond: number }, 'lost'>;
  /** Typed tells to the listener's mailbox; messages per second until all were handled. */
  tells: Ask<{ readonly count: number }, { readonly perSecond: number }, 'lost'>;
  /** Questions to the listener, one after another; round trips in microseconds. */
  asks: Ask<{ readonly count: number }, { readonly p50: number; readonly p99: number }, 'lost'>;
};
