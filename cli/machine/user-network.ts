/** A machine's network card with a user-mode gateway behind it: the link, and a worker at each end. */
import type { SpawnFailure } from '../../actors/runtime/actor.js';
import type { FileToken } from '../../actors/runtime/files.js';
import type { ActorRef } from '../../actors/runtime/protocol.js';
import type { ActorSystem } from '../../actors/runtime/system.js';
import { err, ok, type Result } from '../../bus/result.js';
import { gatewayKind, type PublishedPort } from '../../devices/network/gateway/gateway.actor.js';
import { DEFAULT_PLAN } from '../../devices/network/gateway/gateway.js';
import { createLink, farEnd } from '../../devices/network/link/frame-link.js';
import type { VirtioPlace } from '../../devices/virtio/virtio-device.js';
import { virtioNetKind } from '../../devices/virtio-net/virtio-net.actor.js';

/** The card and what is behind it. */
export interface UserNetwork {
  readonly mac: Uint8Array;
  readonly published: readonly PublishedPort[];
  readonly capture: FileToken | undefined;
}

/** Starts gateway and card; the error is a sentence. */
export async function startUserNetwork(
  system: ActorSystem,
  { mac, published, capture }: UserNetwork,
  place: VirtioPlace,
  name: string,
): Promise<Result<{ card: ActorRef<never>; gateway: ActorRef<never> }, string>> {
  const link = createLink();
  const listen = published.map(({ address, hostPort }) => ({ address, port: hostPort }));
  const config = { link: farEnd(link), plan: DEFAULT_PLAN, grant: { outgoing: true, listen }, published };
  const gateway = await system.spawn(gatewayKind, config, { name: `${name}-gateway` });
  if (!gateway.ok) return err(sentence(`${name}-gateway`, gateway.error));
  const recorded = capture === undefined ? {} : { capture };
  const card = await system.spawn(virtioNetKind, { place, mac, link, ...recorded }, { name });
  if (!card.ok) return err(sentence(name, card.error));
  return ok({ card: card.value, gateway: gateway.value });
}

function sentence(name: string, failure: SpawnFailure): string {
  const refused = failure.reason === 'startRefused' && typeof failure.error === 'string';
  return refused ? String(failure.error) : `${name} did not start (${JSON.stringify(failure)})`;
}
