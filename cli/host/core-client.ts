/** The hypervisor core, asked step by step while something is built: the first refusal ends the building. */
import type { CoreProtocol } from '../../actors/hypervisor/port.protocol.js';
import type { ActorRef, AskKind, BodyOf, ReplyOf } from '../../actors/runtime/protocol.js';
import type { ActorSystem } from '../../actors/runtime/system.js';

const ASK = { timeoutMs: 10_000 } as const;

/** Thrown by building steps and caught where the building was begun; the message is a sentence. */
export class BuildFailure extends Error {}

/** What was asked for is not to be had of this host: a port that somebody has, a path that leads nowhere. */
export class HostRefusal extends BuildFailure {}

/** See the head of this file. */
export class CoreClient {
  readonly ref: ActorRef<CoreProtocol>;
  readonly #system: ActorSystem;

  constructor(system: ActorSystem, ref: ActorRef<CoreProtocol>) {
    this.#system = system;
    this.ref = ref;
  }

  /** Asks; a refusal is thrown as a {@link BuildFailure}. */
  async ask<K extends AskKind<CoreProtocol>>(
    kind: K,
    body: BodyOf<CoreProtocol, K>,
  ): Promise<ReplyOf<CoreProtocol, K>> {
    // WHY: the bodies of the partition interface are plain data, which is what Sendable asks for.
    const answer = await this.#system.sender.ask(this.ref, kind, body as never, ASK);
    if (answer.ok) return answer.value;
    const { error } = answer;
    const reason = typeof error === 'string' ? error : ((error as { reason?: string }).reason ?? 'unknown');
    throw new BuildFailure(`the hypervisor core refused ${kind}: ${reason}`);
  }

  /** Asks for something to be given back: whether or not the core is still there to hear it. */
  async tryAsk<K extends AskKind<CoreProtocol>>(kind: K, body: BodyOf<CoreProtocol, K>): Promise<void> {
    // WHY: as above.
    await this.#system.sender.ask(this.ref, kind, body as never, ASK);
  }
}
