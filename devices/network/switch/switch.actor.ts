/** The virtual switch's worker: a {@link LearningSwitch} over the far ends of the links it is started with. */
import { actor, actorKind } from '../../../actors/runtime/actor.js';
import type { Ask } from '../../../actors/runtime/protocol.js';
import { ok } from '../../../bus/result.js';
import { LinkEnd, type LinkMemory } from '../link/frame-link.js';
import { macNumber } from '../wire/addresses.js';
import { LearningSwitch, newPort, type PortCounters } from './learning-switch.js';
import { Trunk } from './trunk.js';

/** A port before it is attached. */
export interface PortConfig {
  /** This end of the port's link. */
  readonly link: LinkMemory;
  /** The only hardware address the port may speak under; absent: any. */
  readonly mac?: Uint8Array;
}

/** What the switch is started with; a port whose other end is not there yet only floods less. */
export interface SwitchConfig {
  readonly ports: readonly PortConfig[];
  /** A socket in the host's file system under which it meets the switches of other processes; absent: it stays alone. */
  readonly meetingPlace?: string;
}

interface SwitchState {
  readonly learning: LearningSwitch;
  readonly trunk: Trunk | undefined;
}

/** The switch's messages. */
export type SwitchProtocol = {
  /** What every port has seen, in order of the ports. */
  counters: Ask<object, { ports: readonly PortCounters[] }>;
};

const switchActor = actor<SwitchConfig, SwitchProtocol, SwitchState>({
  name: 'switch',
  mailboxMax: 16,
  supervision: { strategy: 'one-for-one', restartsMax: 10, withinMs: 10_000, otherwise: 'stop' },
  start({ ports, meetingPlace }, context) {
    const ring = (number: number): void => context.ring({ actor: number }, 1);
    const learning = new LearningSwitch(() => context.clock.monotonicMs());
    for (const { link, mac } of ports) {
      const end = LinkEnd.attach(link, context.self.actor, ring);
      learning.attach(newPort(end, mac === undefined ? undefined : macNumber(mac)));
    }
    context.ring(context.self, 1); // frames may wait already
    if (meetingPlace === undefined) return ok({ learning, trunk: undefined });
    const trunk = new Trunk({
      network: context.network({ outgoing: false, listen: [], local: [meetingPlace] }),
      path: meetingPlace,
      learning,
      after: (ms, action) => void context.after(ms, action),
      below: (limit) => context.random.below(limit),
      warn: (text) => context.log.warn(text),
    });
    trunk.meet();
    return ok({ learning, trunk });
  },
  on: {
    counters: ({ learning: { ports } }) =>
      ok({ ports: ports.flatMap((port) => (port === undefined ? [] : [port.counters])) }),
  },
  rang({ learning }, _flags, context) {
    if (learning.turn()) context.ring(context.self, 1);
  },
  stop({ trunk }) {
    trunk?.close();
  },
});
export default switchActor;

/** How its worker is made. */
export const switchKind = actorKind(switchActor, { module: new URL(import.meta.url), heapMegabytesMax: 64 });
