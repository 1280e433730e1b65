/**
 * The switches that VMs of one process share, by name: workers with ports made beforehand, for an actor gets memory when it starts
 * and not later. When the ports of one are taken, another is put behind it.
 */
import type { ActorSystem } from '../../actors/runtime/system.js';
import { err, ok, type Result } from '../../bus/result.js';
import type { StraightPath } from '../../devices/network/link/card-links.js';
import { closePort, createLink, farEnd, type LinkMemory, openPort } from '../../devices/network/link/frame-link.js';
import { localSwitchKind } from '../../devices/network/switch/local-switch.actor.js';
import { whyNotStarted } from './deaths.js';

/** Ports of one worker for cards; one more leads to the next worker. */
const PORTS = 7;
/** Frames of a straight way between two cards: more large segments than a TCP window holds by default (6 MiB). */
const STRAIGHT_DEPTH = 128;

/** A place at a switch. */
export interface NetworkPort {
  /** The card's end. */
  readonly link: LinkMemory;
  /** Straight ways to the cards at the other places of its worker. */
  readonly paths: readonly StraightPath[];
  /** From here on the card may speak, under `mac` only. */
  open(mac: Uint8Array): void;
  /** The card is gone; the place may be given to another. */
  close(): void;
}

/** A port of a worker, as its card is given it. */
type Place = Pick<NetworkPort, 'link' | 'paths'>;

interface Network {
  readonly free: Place[];
  /** Who has a place. */
  readonly users: Map<Place, string>;
  /** The near end of the last worker's link to a next one. */
  onward: LinkMemory | undefined;
  /** Workers are started one after another. */
  growing: Promise<Result<undefined, string>>;
  workers: number;
}

/** See the file comment. */
export class LocalNetworks {
  readonly #system: ActorSystem;
  readonly #networks = new Map<string, Network>();

  constructor(system: ActorSystem) {
    this.#system = system;
  }

  /** Who is connected to the switch of `worker`; undefined: it is no switch's. */
  usersOf(worker: string): readonly string[] | undefined {
    const name = /^switch:(.+)\/\d+$/.exec(worker)?.[1];
    return name === undefined ? undefined : [...(this.#networks.get(name)?.users.values() ?? [])];
  }

  /** A place for `user` at switch `name`; the error is a sentence. */
  async port(name: string, user: string): Promise<Result<NetworkPort, string>> {
    const network = this.#networks.get(name) ?? {
      ...{ free: [], users: new Map<Place, string>(), onward: undefined, workers: 0 },
      growing: Promise.resolve(ok()),
    };
    this.#networks.set(name, network);
    network.growing = network.growing.then(() => (network.free.length > 0 ? ok() : this.#grow(name, network)));
    const grown = await network.growing;
    if (!grown.ok) return grown;
    const place = network.free.shift();
    if (place === undefined) return this.port(name, user);
    const { link } = place;
    network.users.set(place, user);
    return ok({
      ...place,
      open: (mac) => openPort(link, mac),
      close() {
        closePort(link);
        network.users.delete(place);
        network.free.push(place);
      },
    });
  }

  async #grow(name: string, network: Network): Promise<Result<undefined, string>> {
    const links = Array.from({ length: PORTS }, () => createLink());
    const onward = createLink();
    const ports = [...links, onward].map(farEnd);
    if (network.onward !== undefined) {
      // The worker before holds the far end of this one; both sides speak for whoever is behind them.
      openPort(network.onward);
      ports.push(network.onward);
    }
    const worker = `switch:${name}/${network.workers}`;
    const started = await this.#system.spawn(localSwitchKind, { ports }, { name: worker });
    if (!started.ok) return err(whyNotStarted(worker, started.error));
    network.workers++;
    network.onward = onward;
    network.free.push(...placesOf(links));
    return ok();
  }
}

/** Places with links to a switch, joined each to each. */
function placesOf(links: readonly LinkMemory[]): readonly Place[] {
  const places = links.map((link) => ({ link, paths: [] as StraightPath[] }));
  for (const [n, one] of places.entries()) {
    for (const other of places.slice(n + 1)) {
      const link = createLink(STRAIGHT_DEPTH);
      one.paths.push({ link, port: other.link });
      other.paths.push({ link: farEnd(link), port: one.link });
    }
  }
  return places;
}
