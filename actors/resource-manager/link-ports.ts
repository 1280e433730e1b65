/**
 * Ports between VMs of which neither owns the other: both name the other as `peer` in their configuration, with the same
 * type and label (gunyah.md 7.4); a VM that names itself gets both ends of one queue. The objects are made when the first of
 * the two asks and belong to the home partition, so that they outlive both: a VM that is started again finds its end anew.
 */
import { RIGHTS } from '../abi/gunyah/rights.js';
import type { QueueNames } from './queue-names.js';
import type { GivenPort, RmHost } from './rm-host.js';
import type { VdeviceConfig } from './vm-config.js';

/** One VM's ends of a link; what it has no end of is absent. */
export interface LinkEnds {
  readonly tx?: GivenPort;
  readonly rx?: GivenPort;
}

interface Link {
  /** Queues by the name of their sender, or the doorbell under the name of its source. */
  readonly objects: Map<string, number>;
  readonly depth: number;
  readonly messageBytes: number;
}

/** See the head of this file. */
export class LinkPorts {
  readonly #host: RmHost;
  readonly #queues: QueueNames;
  readonly #links = new Map<string, Link>();
  /** The partition that pays for links; undefined: there are none. */
  home: number | undefined;

  constructor(host: RmHost, queues: QueueNames) {
    this.#host = host;
    this.#queues = queues;
  }

  /** Gives the VM called `name` its ends of the link that `device` describes; undefined: it cannot be. */
  async join(
    name: string,
    partition: number,
    device: VdeviceConfig & { readonly peer: string },
    virqFrom: number,
  ): Promise<LinkEnds | undefined> {
    const { peer } = device;
    if (name === '' || (peer === name && device.type !== 'message-queue-pair')) return undefined;
    if (device.type === 'message-queue-pair') {
      const link = await this.#queuePair([name, peer], device);
      const [out, back] = [link?.objects.get(name), link?.objects.get(peer)];
      if (out === undefined || back === undefined) return undefined;
      const { send, receive } = RIGHTS.messageQueue;
      const tx = await this.#host.givePort(partition, out, { rights: send, source: 'second', virqFrom });
      const rx = await this.#host.givePort(partition, back, { rights: receive, source: 'first', virqFrom });
      return tx.ok && rx.ok ? { tx: tx.value, rx: rx.value } : undefined;
    }
    const isSource = device.type === 'doorbell-source';
    if (!isSource && device.type !== 'doorbell') return undefined;
    const bell = await this.#doorbell(isSource ? name : peer, isSource ? peer : name, device.label);
    if (bell === undefined) return undefined;
    const { send, receive } = RIGHTS.doorbell;
    const rights = isSource ? send | (device.sourceCanClear ? receive : 0) : receive;
    const source = isSource ? {} : { source: 'first' as const, virqFrom };
    const given = await this.#host.givePort(partition, bell, { rights, ...source });
    if (!given.ok) return undefined;
    return isSource ? { tx: given.value } : { rx: given.value };
  }

  async #queuePair(names: readonly [string, string], device: VdeviceConfig): Promise<Link | undefined> {
    const key = `queues ${device.label} ${[...names].sort().join(' ')}`;
    const known = this.#links.get(key);
    const { depth, messageBytes } = device;
    // Both ends must describe the same queues.
    if (known !== undefined) return known.depth === depth && known.messageBytes === messageBytes ? known : undefined;
    if (this.home === undefined) return undefined;
    const objects = new Map<string, number>();
    for (const name of new Set(names)) {
      const made = await this.#host.createQueue(this.home, depth, messageBytes);
      if (!made.ok) {
        for (const object of objects.values()) await this.#host.destroyPort(object);
        return undefined;
      }
      objects.set(name, made.value);
    }
    const link = { objects, depth, messageBytes };
    this.#links.set(key, link);
    for (const [from, object] of objects) {
      this.#queues.note(object, nameOf(device), from, from === names[0] ? names[1] : names[0]);
    }
    return link;
  }

  async #doorbell(from: string, to: string, label: number): Promise<number | undefined> {
    const key = `bell ${label} ${from} ${to}`;
    const known = this.#links.get(key)?.objects.get(from);
    if (known !== undefined || this.home === undefined) return known;
    const made = await this.#host.createDoorbell(this.home);
    if (!made.ok) return undefined;
    this.#links.set(key, { objects: new Map([[from, made.value]]), depth: 0, messageBytes: 0 });
    return made.value;
  }
}

/** Last part of a `generate` path: the node's name. */
export function nameOf({ generate }: VdeviceConfig): string {
  return (generate.split('/').pop() ?? 'vdevice').split('@')[0] ?? 'vdevice';
}
