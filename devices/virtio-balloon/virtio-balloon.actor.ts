/**
 * virtio memory balloon (V1.2, 5.5): asks the guest to give up pages and keeps account of those it has given up. Nothing here can
 * return memory to the host that the guest has used once (ADR 149); pages it never touched stay with the host, because a
 * guest whose pages are in the balloon does not come to touch them.
 */
import { actor, actorKind } from '../../actors/runtime/actor.js';
import { MACHINE_HANDLER_BUDGET_MS } from '../../actors/runtime/limits.js';
import type { Ask, Tell } from '../../actors/runtime/protocol.js';
import { STAGE2_RIGHTS } from '../../actors/shared-state/stage2/stage2-map.js';
import { ok } from '../../bus/result.js';
import type { Chain } from '../virtio/chain.js';
import { type Handled, VirtioDevice, type VirtioPlace } from '../virtio/virtio-device.js';
import { DEVICE } from '../virtio/wire.js';
import {
  BALLOON_FEATURE,
  BALLOON_PAGE_BYTES,
  BALLOON_QUEUE,
  BalloonSpace,
  type BalloonStatistics,
  STATISTIC_BYTES,
  STATISTICS,
} from './balloon.wire.js';
import { BalloonLedger } from './balloon-ledger.js';

/** What the device is started with. */
export interface BalloonConfig {
  readonly place: VirtioPlace;
  /** The guest's memory. */
  readonly ramBase: number;
  readonly ramBytes: number;
  /** Made by `createBalloonLedger` for as much memory. */
  readonly ledger: SharedArrayBuffer;
  /** What the guest is asked to give up from the start. */
  readonly targetBytes: number;
  /** The guest may take pages back when it is out of memory. */
  readonly deflateOnOom: boolean;
}

/** How the balloon stands. */
export interface BalloonState {
  readonly targetBytes: number;
  /** What the guest has put in. */
  readonly heldBytes: number;
  /** What it says of its memory; empty when it has not said anything. */
  readonly statistics: BalloonStatistics;
  /** How often it has said so. */
  readonly reports: number;
  /** Page numbers it has named that are not its memory. */
  readonly refused: number;
}

/** The device's messages. */
export type VirtioBalloonProtocol = {
  /** The guest is to give up as many bytes: whole pages, no more than it has. */
  setTarget: Tell<{ bytes: number }>;
  /** How the balloon stands; asks the guest for new statistics, which the next answer has. */
  state: Ask<object, BalloonState>;
};

const QUEUE_SIZE = 128;
/** Page numbers of one chain, at most: Linux sends 256. */
const CHAIN_BYTES_MAX = 64 << 10;
/** Entries read of one buffer of statistics. */
const STATISTICS_MAX = 64;

interface State {
  readonly device: VirtioDevice;
  readonly ledger: BalloonLedger;
  readonly ramBytes: number;
  statistics: BalloonStatistics;
  reports: number;
  /** The driver has its buffer back, and what it makes available next is new. */
  awaits: boolean;
  refused: number;
}

const numbers = new Uint8Array(CHAIN_BYTES_MAX);
const numbersView = new DataView(numbers.buffer);
const entries = new Uint8Array(STATISTICS_MAX * STATISTIC_BYTES);
const entriesView = new DataView(entries.buffer);

/** Pages named in `chain` go into the balloon, or out of it. */
function movePages(state: State, chain: Chain, into: boolean): Handled {
  const bytes = chain.readableBytes & ~3;
  if (bytes > CHAIN_BYTES_MAX || !chain.read(0, numbers.subarray(0, bytes))) return 'broken';
  const { device, ledger } = state;
  for (let at = 0; at < bytes; at += 4) {
    const page = numbersView.getUint32(at, true);
    // Memory that was lent away or withdrawn is not the guest's to give.
    const isThere = !into || device.window.host(page * BALLOON_PAGE_BYTES, STAGE2_RIGHTS.read) >= 0;
    if (!isThere || !ledger.move(page, into)) state.refused++;
  }
  return 0;
}

/** Reads the buffer of statistics that the driver leaves here; gives it back for a new one if `renew`. */
function readStatistics(state: State, renew: boolean): void {
  const { device } = state;
  if (!device.has(BALLOON_FEATURE.statistics)) return;
  device.turn(BALLOON_QUEUE.statistics, (queue) => {
    queue.wantNotifications(true);
    if (queue.take() !== 'chain') return;
    const { chain } = queue;
    const bytes = Math.min(chain.readableBytes, entries.byteLength);
    if (!chain.read(0, entries.subarray(0, bytes))) {
      queue.refuse();
      return;
    }
    const found: Record<string, number> = {};
    for (let at = 0; at + STATISTIC_BYTES <= bytes; at += STATISTIC_BYTES) {
      const name = STATISTICS[entriesView.getUint16(at, true)];
      if (name !== undefined) found[name] = Number(entriesView.getBigUint64(at + 2, true));
    }
    state.statistics = found;
    if (state.awaits) state.reports++;
    state.awaits = renew;
    if (!renew) return;
    queue.use(0);
    queue.wantNotifications(true);
  });
}

const balloon = actor<BalloonConfig, VirtioBalloonProtocol, State>({
  name: 'virtio-balloon',
  mailboxMax: 16,
  handlerBudgetMs: MACHINE_HANDLER_BUDGET_MS,
  supervision: { strategy: 'one-for-one', restartsMax: 10, withinMs: 10_000, otherwise: 'stop' },
  start({ place, ramBase, ramBytes, ledger, targetBytes, deflateOnOom }, context) {
    const { mustTellHost, statistics, deflateOnOom: oom } = BALLOON_FEATURE;
    const { actual } = BalloonSpace.offsets;
    const device = new VirtioDevice(
      place,
      {
        deviceId: DEVICE.balloon,
        features: [mustTellHost, statistics, ...(deflateOnOom ? [oom] : [])],
        queueSizes: [QUEUE_SIZE, QUEUE_SIZE, QUEUE_SIZE],
        configBytes: BalloonSpace.sizeBytes,
        configWritable: [actual, actual + 4],
      },
      { ring: (number) => context.ring({ actor: number }, 1), warn: (text) => context.log.warn(text) },
    );
    // A successor finds the target where its predecessor has said it.
    if (context.incarnation > 0) context.ring(context.self, 1);
    else BalloonSpace.write(device.config, 0, { target: pagesOf(targetBytes, ramBytes), actual: 0 });
    const account = new BalloonLedger(ledger, ramBase, ramBytes);
    return ok({ device, ledger: account, ramBytes, statistics: {}, reports: 0, awaits: true, refused: 0 });
  },
  on: {
    setTarget({ device, ramBytes }, { bytes }) {
      device.changeConfig((config) => {
        config.setUint32(BalloonSpace.offsets.target, pagesOf(bytes, ramBytes), true);
      });
    },
    state(state) {
      readStatistics(state, true);
      const { device, ledger, statistics, reports, refused } = state;
      const targetBytes = device.config.getUint32(BalloonSpace.offsets.target, true) * BALLOON_PAGE_BYTES;
      return ok({ targetBytes, heldBytes: ledger.held * BALLOON_PAGE_BYTES, statistics, reports, refused });
    },
  },
  rang(state, _flags, context) {
    const { device, ledger } = state;
    device.takeKicks();
    // What a driver had given up, the next one finds among its memory.
    if (ledger.isVoid(device.epoch)) {
      state.statistics = {};
      state.awaits = true;
      device.config.setUint32(BalloonSpace.offsets.actual, 0, true);
    }
    const inflates = device.serve(BALLOON_QUEUE.inflate, (chain) => movePages(state, chain, true));
    const deflates = device.serve(BALLOON_QUEUE.deflate, (chain) => movePages(state, chain, false));
    readStatistics(state, false);
    if (inflates || deflates) context.ring(context.self, 1);
  },
});
export default balloon;

/** `bytes` as whole pages, of those there are. */
function pagesOf(bytes: number, ramBytes: number): number {
  return Math.floor(Math.max(0, Math.min(bytes, ramBytes)) / BALLOON_PAGE_BYTES);
}

/** How its worker is made. */
export const virtioBalloonKind = actorKind(balloon, { module: new URL(import.meta.url), heapMegabytesMax: 32 });
