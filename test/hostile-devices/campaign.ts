/**
 * Hostile input for a virtio device: chains of a hostile driver in short lives of that driver, half of the batches changing under
 * the device's hands. After each life the device is reset and must serve a driver that does everything right. What goes
 * wrong is thrown, with the number of the chain; the same seed comes to the same chain.
 */
import { seededRandom } from '../../actors/runtime/random.js';
import { HostileDriver } from '../drivers/hostile-driver.js';
import { balloonSubject } from './balloon-subject.js';
import { consoleSubject, netSubject, rngSubject } from './simple-subjects.js';
import { blkSubject, ninepSubject } from './storage-subjects.js';
import type { Subject } from './subject.js';
import { vsockSubject } from './vsock-subject.js';

/** Every virtio device. */
export const SUBJECTS: Readonly<Record<string, (hostile: HostileDriver) => Promise<Subject>>> = {
  blk: blkSubject,
  net: netSubject,
  console: consoleSubject,
  rng: rngSubject,
  vsock: vsockSubject,
  '9p': ninepSubject,
  balloon: balloonSubject,
};

/** Batches of one life, at most, and chains of one batch. */
const BATCHES_MAX = 60;
const CHAINS_MAX = 6;

/** What a campaign came to. */
export interface Outcome {
  readonly chains: number;
  /** Of these the device gave back. */
  readonly served: number;
  readonly lives: number;
  /** Changes made while the device was at work. */
  readonly changes: number;
  /** Lives that the device ended by asking for a reset. */
  readonly refusals: number;
  /** Bytes of the JavaScript heap and of buffers beside it, at the end over the start. */
  readonly grownBytes: number;
}

function heldBytes(): number {
  globalThis.gc?.();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

/** Offers `count` chains to `device`. */
export async function attack(device: string, seed: number, count: number): Promise<Outcome> {
  const random = seededRandom(seed, device);
  const hostile = new HostileDriver(random);
  const subject = await SUBJECTS[device]?.(hostile);
  if (subject === undefined) throw new Error(`there is no device ${device}`);
  hostile.watch(subject.device, subject.queueSizes, subject.features);
  let lives = 0;
  let refusals = 0;
  let served = 0;
  const heldBefore = heldBytes();
  try {
    while (hostile.chains < count) {
      lives++;
      hostile.served = 0;
      hostile.begin();
      for (let batch = random.below(BATCHES_MAX); batch >= 0 && subject.device.isLive; batch--) {
        for (let n = random.below(CHAINS_MAX); n >= 0; n--) {
          const queue = random.below(subject.queueSizes.length);
          hostile.offer(queue, subject.request(queue, random));
        }
        hostile.batch(batch % 2 === 0, () => {
          subject.happen(random);
          subject.turns();
        });
      }
      if (!subject.device.isLive) refusals++;
      served += hostile.served;
      subject.check();
      hostile.checkMemory();
      hostile.behave();
      subject.serves(hostile);
      hostile.checkMemory();
    }
    const grownBytes = heldBytes() - heldBefore;
    return { chains: hostile.chains, served, lives, changes: hostile.changes, refusals, grownBytes };
  } catch (thrown) {
    throw new Error(`${device}, seed ${seed}, chain ${hostile.chains} (life ${lives})`, { cause: thrown });
  } finally {
    subject.close();
  }
}
