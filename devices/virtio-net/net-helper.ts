/**
 * What a vCPU's thread does for its network card in the place of the card's worker, so that a small frame wakes one thread on its way and
 * not three: the guest's notification moves what it has to send at once, if the worker sleeps; and while the vCPU sleeps it is rung
 * instead of the worker when frames come, and hands them to its guest itself. See docs/adr/0308.
 */
import type { FrontEndServices } from '../../actors/shared-state/mmio/front-end.js';
import { CardLinks, type CardPlaces } from '../network/link/card-links.js';
import { TURN } from '../virtio/device-block.js';
import type { VirtioDevice, VirtioPlace, VirtioServices } from '../virtio/virtio-device.js';
import { makeNetDevice } from './net-device.js';
import { moveFrames, NET_QUEUE, type NetState, newNetState } from './net-frames.js';
import { NetRehearsal } from './net-rehearsal.js';

/** After work that it had to leave to the worker it lets so many occasions go by: then streams go on, which it would only hold up. */
const LET_GO = 32;

/** What it needs to know of the card; plain data. */
export interface HelperConfig extends CardPlaces {
  readonly place: VirtioPlace;
}

/** See the file comment. Belongs to the thread of a VM's first vCPU. */
export class NetHelper {
  readonly #config: HelperConfig;
  readonly #card: number;
  readonly #services: FrontEndServices;
  /** For the device: what its driver does wrong the worker tells. */
  readonly #quiet: VirtioServices;
  readonly #device: VirtioDevice;
  #state: NetState | undefined;
  #rehearsal: NetRehearsal | 'due' | 'done' = 'due';
  /** Occasions that it still lets go by, for what the guest sends and for what it gets. */
  #sendsLeft = 0;
  #receivesLeft = 0;
  /** It is rung when frames come, and not the card. */
  #hears = false;

  /** `card`: the worker's actor. */
  constructor(config: HelperConfig, card: number, services: FrontEndServices) {
    this.#config = config;
    this.#card = card;
    this.#services = services;
    this.#quiet = { ring: services.ring, warn: () => undefined };
    this.#device = makeNetDevice(config.place, this.#quiet, TURN.vcpu(services.cpu));
  }

  /** The guest has notified `queue`: false when the worker is to see to it. */
  notified(queue: number): boolean {
    if (queue !== NET_QUEUE.transmit || !this.#device.isLive || this.#services.isAwake(this.#card)) return false;
    if (this.#sendsLeft > 0) {
      this.#sendsLeft--;
      return false;
    }
    const outcome = this.#moves();
    if (outcome === 'left') this.#sendsLeft = LET_GO;
    return outcome === 'done';
  }

  /** The guest waits. `mayGoOn`: nobody wants anything of this thread yet. */
  rests(mayGoOn: () => boolean): void {
    if (this.#state === undefined || !this.#device.isLive) return;
    this.#rehearse(mayGoOn);
    if (this.#receivesLeft > 0) {
      this.#receivesLeft--;
      return;
    }
    const { links } = this.#state;
    links.hear(this.#services.self());
    this.#hears = true;
    if (links.waiting || this.#device.isKicked) this.#receives();
  }

  /** The thread goes on. */
  wakes(): void {
    if (!this.#hears || this.#state === undefined) return;
    this.#hears = false;
    // What came before this is seen below, and what comes after it is the worker's.
    this.#state.links.hear(this.#card);
    if (this.#state.links.waiting || this.#device.isKicked) this.#receives();
  }

  #receives(): void {
    const outcome = this.#moves();
    if (outcome === 'left') this.#receivesLeft = LET_GO;
    if (outcome !== 'done') this.#services.ring(this.#card);
  }

  /** Moves what there is; `left`: the worker has to go on; `busy`: somebody else has the turn. */
  #moves(): 'done' | 'left' | 'busy' {
    const device = this.#device;
    const turn = device.takeTurn();
    if (turn === undefined) return 'busy';
    this.#state ??= newNetState(device, new CardLinks(this.#config, this.#card, this.#services.ring), undefined, true);
    const state = this.#state;
    if (turn === 'other') state.links.resume();
    const more = moveFrames(state);
    device.leaveTurn();
    return more || state.leaves || device.isKicked ? 'left' : 'done';
  }

  /** As a card does (net-rehearsal.ts), for this thread has code of its own. */
  #rehearse(mayGoOn: () => boolean): void {
    while (this.#rehearsal !== 'done' && mayGoOn()) {
      if (this.#rehearsal === 'due') {
        const hasPaths = this.#config.paths.length > 0;
        const self = this.#services.self();
        this.#rehearsal = new NetRehearsal({ self, services: this.#quiet, hasPaths, makeDevice: makeNetDevice });
      }
      if (!this.#rehearsal.step()) this.#rehearsal = 'done';
    }
  }
}
