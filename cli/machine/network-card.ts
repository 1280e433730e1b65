/** A machine's network card and what it is connected to, a user-mode gateway or a switch: the link, and a worker at each end. */
import { randomBytes } from 'node:crypto';
import { chmodSync, mkdirSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { FileToken } from '../../actors/runtime/files.js';
import type { ActorRef } from '../../actors/runtime/protocol.js';
import type { ActorSystem } from '../../actors/runtime/system.js';
import { err, ok, type Result } from '../../bus/result.js';
import { gatewayKind, type PublishedPort } from '../../devices/network/gateway/gateway.actor.js';
import { DEFAULT_PLAN } from '../../devices/network/gateway/gateway.js';
import { createLink, farEnd, type LinkMemory } from '../../devices/network/link/frame-link.js';
import { switchKind } from '../../devices/network/switch/switch.actor.js';
import type { VirtioPlace } from '../../devices/virtio/virtio-device.js';
import type { HelperConfig } from '../../devices/virtio-net/net-helper.js';
import { virtioNetKind } from '../../devices/virtio-net/virtio-net.actor.js';
import { hostReason } from '../host-reasons.js';
import { whyNotStarted } from './deaths.js';
import type { NetworkPort } from './local-network.js';

/** The card and what is behind it. */
export interface NetworkCard {
  /** The switch's name; undefined: a gateway. */
  readonly switchName: string | undefined;
  /** Its place at a switch of this process; absent: it meets the switches of other processes under that name. */
  readonly port?: NetworkPort;
  readonly mac: Uint8Array | undefined;
  readonly published: readonly PublishedPort[];
  readonly capture: FileToken | undefined;
}

/** The hardware address of a card behind a gateway, where it is alone: the one QEMU gives its first. */
const LONE_MAC = Uint8Array.of(0x52, 0x54, 0, 0x12, 0x34, 0x56);

/** What runs, and how a vCPU may help it; not where frames are recorded, which the worker does. */
export interface StartedCard {
  readonly actors: readonly [card: ActorRef<never>, ...others: ActorRef<never>[]];
  readonly help: HelperConfig | undefined;
}

/** Starts card and neighbour; the error is a sentence. */
export async function startNetworkCard(
  system: ActorSystem,
  network: NetworkCard,
  place: VirtioPlace,
  name: string,
): Promise<Result<StartedCard, string>> {
  const isAlone = network.switchName === undefined;
  const mac = network.mac ?? (isAlone ? LONE_MAC : Uint8Array.of(0x52, 0x54, 0, ...randomBytes(3)));
  const recorded = network.capture === undefined ? {} : { capture: network.capture };
  const { port } = network;
  port?.open(mac);
  const { link, paths } = port ?? { link: createLink(), paths: [] };
  const neighbour = port === undefined ? await startNeighbour(system, network, farEnd(link), mac, name) : undefined;
  if (neighbour?.ok === false) return neighbour;
  const card = await system.spawn(virtioNetKind, { place, mac, link, paths, ...recorded, rehearses: true }, { name });
  if (!card.ok) return err(whyNotStarted(name, card.error));
  const actors = neighbour === undefined ? ([card.value] as const) : ([card.value, neighbour.value] as const);
  return ok({ actors, help: network.capture === undefined ? { place, mac, link, paths } : undefined });
}

async function startNeighbour(
  system: ActorSystem,
  { switchName, published }: NetworkCard,
  link: LinkMemory,
  mac: Uint8Array,
  name: string,
): Promise<Result<ActorRef<never>, string>> {
  if (switchName !== undefined) {
    const place = meetingPlace(switchName);
    if (!place.ok) return place;
    const config = { ports: [{ link, mac }], meetingPlace: place.value };
    const started = await system.spawn(switchKind, config, { name: `${name}-switch` });
    return started.ok ? started : err(whyNotStarted(`${name}-switch`, started.error));
  }
  const listen = published.map(({ address, hostPort }) => ({ address, port: hostPort }));
  const config = { link, plan: DEFAULT_PLAN, grant: { outgoing: true, listen }, published };
  const started = await system.spawn(gatewayKind, config, { name: `${name}-gateway` });
  return started.ok ? started : err(whyNotStarted(`${name}-gateway`, started.error));
}

/** Where the switches called `name` of this user's processes meet: a socket in a folder that is the user's alone. */
function meetingPlace(name: string): Result<string, string> {
  const user = process.getuid?.() ?? 0;
  const folder = join(process.env['XDG_RUNTIME_DIR'] ?? tmpdir(), `wurley-${user}`);
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    if (statSync(folder).uid !== user) return err(`${folder} belongs to somebody else; set XDG_RUNTIME_DIR`);
    chmodSync(folder, 0o700);
  } catch (problem) {
    return err(`${folder} cannot be made: ${hostReason(problem)}; set XDG_RUNTIME_DIR`);
  }
  return ok(join(folder, `switch-${name}`));
}
