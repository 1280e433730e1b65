/** Subject: the memory balloon. */
import type { Random } from '../../actors/runtime/random.js';
import { BALLOON_FEATURE, BALLOON_PAGE_BYTES, BALLOON_QUEUE } from '../../devices/virtio-balloon/balloon.wire.js';
import { createBalloonLedger } from '../../devices/virtio-balloon/balloon-ledger.js';
import virtioBalloon, { type BalloonState } from '../../devices/virtio-balloon/virtio-balloon.actor.js';
import { DeviceActor } from '../drivers/device-actor.js';
import type { HostileDriver } from '../drivers/hostile-driver.js';
import { GUEST_AT } from '../drivers/virtio-driver.js';
import { demand, noise, type Subject } from './subject.js';

const RAM_BYTES = 1 << 20;
const PAGES = RAM_BYTES / BALLOON_PAGE_BYTES;
const FIRST = GUEST_AT / BALLOON_PAGE_BYTES;

function pages(random: Random): Uint8Array {
  const count = random.oneIn(20) ? random.below(4000) : random.below(40);
  const numbers = Uint32Array.from({ length: count }, () =>
    random.oneIn(5) ? random.u32() : FIRST + random.below(PAGES),
  );
  return new Uint8Array(numbers.buffer, 0, Math.max(0, numbers.byteLength - (random.oneIn(9) ? random.below(4) : 0)));
}

/** virtio-balloon. */
export async function balloonSubject({ driver }: HostileDriver): Promise<Subject> {
  const ram = { ramBase: GUEST_AT, ramBytes: RAM_BYTES, ledger: createBalloonLedger(RAM_BYTES) };
  const config = { place: driver.place, ...ram, targetBytes: 0, deflateOnOom: true };
  const actor = await DeviceActor.start(virtioBalloon, config);
  const turns = (): void => void actor.turns();
  const { declaration, context } = actor;
  const state = (): BalloonState => {
    const answer = declaration.on.state(actor.state, {}, context);
    if (answer instanceof Promise || !answer.ok) throw new Error('the balloon does not say how it stands');
    return answer.value;
  };
  return {
    device: actor.state.device,
    queueSizes: [128, 128, 128],
    features: Object.values(BALLOON_FEATURE),
    turns,
    request: (queue, random) => ({
      out: queue === BALLOON_QUEUE.statistics ? noise(random, random.below(200)) : pages(random),
      inBytes: random.oneIn(9) ? random.below(99) : 0,
    }),
    happen(random) {
      if (random.oneIn(4)) state();
      if (random.oneIn(9)) declaration.on.setTarget(actor.state, { bytes: random.below(2 * RAM_BYTES) }, context);
    },
    serves(hostile) {
      turns(); // the reset gives everything back
      demand(state().heldBytes === 0, 'the balloon holds something after a reset');
      for (const [queue, held] of [
        [BALLOON_QUEUE.inflate, 2],
        [BALLOON_QUEUE.deflate, 0],
      ] as const) {
        const out = new Uint8Array(Uint32Array.of(FIRST, FIRST + 1).buffer);
        demand(hostile.exchange(queue, { out, inBytes: 0 }, turns) !== undefined, 'a list of pages is not taken');
        demand(state().heldBytes === held * BALLOON_PAGE_BYTES, 'pages are not counted');
      }
      const out = new Uint8Array(10);
      new DataView(out.buffer).setUint16(0, 4, true);
      new DataView(out.buffer).setBigUint64(2, 77n, true);
      hostile.exchange(BALLOON_QUEUE.statistics, { out, inBytes: 0 }, turns);
      demand(state().statistics.freeBytes === 77, 'statistics are not read');
    },
    check() {
      demand(state().heldBytes <= RAM_BYTES, 'the balloon holds more than there is');
    },
    close: () => undefined,
  };
}
