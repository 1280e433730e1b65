/** virtio network device (V1.2, 5.1): between a guest's queues and its link; how frames move is in net-frames.ts. */
import { type ActorContext, actor, actorKind } from '../../actors/runtime/actor.js';
import type { FileToken } from '../../actors/runtime/files.js';
import type { Ask } from '../../actors/runtime/protocol.js';
import { ok } from '../../bus/result.js';
import { Capture } from '../network/capture.js';
import { CardLinks, type StraightPath } from '../network/link/card-links.js';
import type { LinkMemory } from '../network/link/frame-link.js';
import { MTU } from '../network/wire/headers.js';
import type { VirtioPlace, VirtioServices } from '../virtio/virtio-device.js';
import { LINK_UP, makeNetDevice, NetSpace } from './net-device.js';
import { moveFrames, type NetCounters, type NetState, newNetState, TRANSMIT_KICK } from './net-frames.js';
import { NetRehearsal } from './net-rehearsal.js';

/** What the device is started with. */
export interface VirtioNetConfig {
  readonly place: VirtioPlace;
  readonly mac: Uint8Array;
  /** The near end of its link. */
  readonly link: LinkMemory;
  /** Straight ways to the cards of other VMs at the same switch. */
  readonly paths?: readonly StraightPath[];
  /** Where frames are recorded, both ways. */
  readonly capture?: FileToken;
  /** Whether it rehearses while it has nothing to do, as a machine that runs for long wants. */
  readonly rehearses?: boolean;
}

/** The device's messages. */
export type VirtioNetProtocol = {
  counters: Ask<object, NetCounters>;
};

const CAPTURE_FLUSH_MS = 200;
const IDLE = { sleepMs: 60_000 } as const;
/** While a vCPU has the turn. */
const BRIEF = { sleepMs: 0.05 } as const;

interface ActorState {
  readonly net: NetState;
  flushing: boolean;
  readonly services: VirtioServices;
  /** What it rehearses; `due` before, `done` afterwards. */
  rehearsal: NetRehearsal | 'due' | 'done';
}

const virtioNet = actor<VirtioNetConfig, VirtioNetProtocol, ActorState>({
  name: 'virtio-net',
  mailboxMax: 16,
  supervision: { strategy: 'one-for-one', restartsMax: 10, withinMs: 10_000, otherwise: 'stop' },
  start({ place, mac, link, paths = [], capture, rehearses = false }, context) {
    const ring = (number: number): void => context.ring({ actor: number }, 1);
    const services = { ring, warn: (text: string) => context.log.warn(text) };
    const device = makeNetDevice(place, services);
    if (context.incarnation === 0) {
      const unused = { speed: 0, duplex: 0, rssKeyBytes: 0, rssTableEntries: 0 };
      NetSpace.write(device.config, 0, { mac, status: LINK_UP, queuePairsMax: 1, mtu: MTU, ...unused });
    }
    const startedMs = context.clock.unixSeconds() * 1000 - context.clock.monotonicMs();
    const resumes = context.incarnation > 0;
    const links = new CardLinks({ link, paths, mac }, context.self.actor, ring);
    if (!resumes) links.drain();
    // A predecessor may have taken notifications and died.
    device.kick(TRANSMIT_KICK);
    device.leaveTurn();
    const recorded =
      capture === undefined
        ? undefined
        : new Capture(context.file(capture), resumes, () => startedMs + context.clock.monotonicMs());
    return ok({
      net: newNetState(device, links, recorded),
      flushing: false,
      services,
      rehearsal: rehearses ? 'due' : 'done',
    });
  },
  on: {
    counters: (state) => ok(state.net.counters),
  },
  // A blocking actor: an event loop would wake three times as slowly, twice for every frame that is answered.
  slice(state, context) {
    const { device, links, cut } = state.net;
    // What was cut waits here: then nobody else may go on.
    const turn = cut.length > 0 ? 'same' : device.takeTurn();
    if (turn === undefined) return BRIEF;
    if (turn === 'other') links.resume();
    const more = moveFrames(state.net);
    if (cut.length === 0) device.leaveTurn();
    recordSoon(state, context);
    return more || rehearse(state, context.self.actor) ? 'again' : IDLE;
  },
  stop(state) {
    state.net.capture?.flush();
  },
});
export default virtioNet;

/** Rehearses a little while a driver is there and has nothing to do; false when there is nothing (more) to rehearse. */
function rehearse(state: ActorState, self: number): boolean {
  const { rehearsal, services } = state;
  const { device, links } = state.net;
  if (rehearsal === 'done' || !device.isLive) return false;
  const current =
    rehearsal === 'due'
      ? new NetRehearsal({ self, services, hasPaths: links.hasPaths, makeDevice: makeNetDevice })
      : rehearsal;
  state.rehearsal = current.step() ? current : 'done';
  return state.rehearsal !== 'done';
}

/** Sees to it that what was recorded is written before long. */
function recordSoon(state: ActorState, context: ActorContext<VirtioNetProtocol>): void {
  const { capture } = state.net;
  if (capture?.pending !== true || state.flushing) return;
  state.flushing = true;
  context.after(CAPTURE_FLUSH_MS, () => {
    state.flushing = false;
    capture.flush();
    if (capture.failure !== undefined) context.log.warn(`frames are no longer recorded (${capture.failure})`);
  });
}

/** How its worker is made. */
export const virtioNetKind = actorKind(virtioNet, { module: new URL(import.meta.url), heapMegabytesMax: 48 });
