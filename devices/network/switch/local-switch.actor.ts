/**
 * The switch that VMs of one process share: a {@link LearningSwitch} in a blocking actor, which a frame wakes in a third of the time
 * that an event loop takes. Its ports are made beforehand and opened as VMs come (openPort of their links).
 */
import { actor, actorKind } from '../../../actors/runtime/actor.js';
import type { Ask } from '../../../actors/runtime/protocol.js';
import { ok } from '../../../bus/result.js';
import { LinkEnd, type LinkMemory, PortRight } from '../link/frame-link.js';
import { allowedPort, LearningSwitch, type PortCounters } from './learning-switch.js';

/** What the switch is started with. */
export interface LocalSwitchConfig {
  /** This end of every port's link. */
  readonly ports: readonly LinkMemory[];
}

/** The switch's messages. */
export type LocalSwitchProtocol = {
  /** What every port has seen, in order of the ports. */
  counters: Ask<object, { ports: readonly PortCounters[] }>;
};

const IDLE = { sleepMs: 60_000 } as const;

const localSwitch = actor<LocalSwitchConfig, LocalSwitchProtocol, LearningSwitch>({
  name: 'local-switch',
  mailboxMax: 16,
  supervision: { strategy: 'one-for-one', restartsMax: 10, withinMs: 10_000, otherwise: 'stop' },
  start({ ports }, context) {
    const learning = new LearningSwitch(() => context.clock.monotonicMs());
    for (const link of ports) {
      const end = LinkEnd.attach(link, context.self.actor, (number) => context.ring({ actor: number }, 1));
      learning.attach(allowedPort(end, new PortRight(link)));
    }
    return ok(learning);
  },
  on: {
    counters: ({ ports }) => ok({ ports: ports.flatMap((port) => (port === undefined ? [] : [port.counters])) }),
  },
  slice: (learning) => (learning.turn() ? 'again' : IDLE),
});
export default localSwitch;

/** How its worker is made. */
export const localSwitchKind = actorKind(localSwitch, { module: new URL(import.meta.url), heapMegabytesMax: 64 });
