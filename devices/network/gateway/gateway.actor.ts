/** The user-mode gateway's worker: a {@link Gateway} on the far end of a link, with the sockets of the host it was granted. */
import { type ActorContext, actor, actorKind } from '../../../actors/runtime/actor.js';
import { type HostListener, type NetworkGrant, whyNotOpened } from '../../../actors/runtime/network.js';
import type { Ask } from '../../../actors/runtime/protocol.js';
import { err, ok } from '../../../bus/result.js';
import { LinkEnd, type LinkMemory } from '../link/frame-link.js';
import { Gateway, type GatewayPlan } from './gateway.js';

/** A port of the host that leads to a port of the guest. */
export interface PublishedPort {
  readonly protocol: 'tcp' | 'udp';
  readonly address: string;
  readonly hostPort: number;
  readonly guestPort: number;
}

/** What the gateway is started with. */
export interface GatewayConfig {
  /** This end of the link. */
  readonly link: LinkMemory;
  readonly plan: GatewayPlan;
  readonly grant: NetworkGrant;
  readonly published: readonly PublishedPort[];
}

/** What a gateway has done, and what it refused. */
export interface GatewayCounters {
  readonly frames: number;
  readonly connections: number;
  readonly connectionsOpened: number;
  readonly datagramsOut: number;
  readonly datagramsIn: number;
  readonly refused: number;
  readonly malformed: number;
}

/** The gateway's messages. */
export type GatewayProtocol = {
  counters: Ask<object, GatewayCounters>;
};

interface GatewayState {
  readonly gateway: Gateway;
  readonly listeners: readonly HostListener[];
}

type Context = ActorContext<GatewayProtocol>;

/** Opens a published port; the error names the port and why. */
async function publish(
  gateway: Gateway,
  { protocol, address, hostPort, guestPort }: PublishedPort,
  { grant }: GatewayConfig,
  context: Context,
): Promise<HostListener | string> {
  const network = context.network(grant);
  const at = { address, port: hostPort };
  const opened =
    protocol === 'tcp'
      ? await network.listen(at, (stream) => gateway.accept(stream, guestPort))
      : await network.listenDatagrams(at, (bytes, from, socket) => {
          gateway.publishedDatagram(bytes, from, guestPort, socket);
        });
  return opened.ok
    ? opened.value
    : `${address}:${hostPort}/${protocol} cannot be published: ${whyNotOpened(opened.error.detail)}`;
}

const gatewayActor = actor<GatewayConfig, GatewayProtocol, GatewayState>({
  name: 'gateway',
  mailboxMax: 16,
  supervision: { strategy: 'one-for-one', restartsMax: 10, withinMs: 10_000, otherwise: 'stop' },
  async start(config, context) {
    const gateway = new Gateway({
      link: LinkEnd.attach(config.link, context.self.actor, (number) => context.ring({ actor: number }, 1)),
      network: context.network(config.grant),
      plan: config.plan,
      now: () => context.clock.monotonicMs(),
      randomU32: () => context.random.u32(),
      after: (ms, action) => void context.after(ms, action),
    });
    const listeners: HostListener[] = [];
    for (const port of config.published) {
      const listener = await publish(gateway, port, config, context);
      if (typeof listener === 'string') {
        for (const open of listeners) open.close();
        return err(listener);
      }
      listeners.push(listener);
    }
    context.ring(context.self, 1); // frames may wait already
    return ok({ gateway, listeners });
  },
  on: {
    counters({ gateway }) {
      const { counters, tcp, reader } = gateway;
      const { malformed, checksum, fragments } = reader.dropped;
      return ok({
        frames: counters.frames,
        connections: tcp.count,
        connectionsOpened: tcp.counters.opened,
        datagramsOut: counters.datagramsOut,
        datagramsIn: counters.datagramsIn,
        refused: counters.refused + tcp.counters.refused,
        malformed: malformed + checksum + fragments + tcp.counters.malformed,
      });
    },
  },
  rang({ gateway }, _flags, context) {
    if (gateway.turn()) context.ring(context.self, 1);
  },
  stop({ gateway, listeners }) {
    for (const listener of listeners) listener.close();
    gateway.close();
  },
});
export default gatewayActor;

/** How its worker is made. */
export const gatewayKind = actorKind(gatewayActor, { module: new URL(import.meta.url), heapMegabytesMax: 128 });
