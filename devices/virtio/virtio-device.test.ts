import * as assert from 'uvu/assert';
import { seededRandom } from '../../actors/runtime/random.js';
import { STAGE2_RIGHTS } from '../../actors/shared-state/stage2/stage2-map.js';
import { GUEST_AT, REGISTER, type Ring, VirtioDriver } from '../../test/drivers/virtio-driver.js';
import { spec } from '../../test/harness/spec.js';
import type { Chain } from './chain.js';
import { VirtioDevice } from './virtio-device.js';
import { DESCRIPTOR, FEATURE, featureWords, INTERRUPT, STATUS } from './wire.js';

const test = spec('virtio over mmio');
const PAGE = 4096;
const { read, all } = STAGE2_RIGHTS;
const OWN_FEATURE = 3;
const SHAPE = {
  deviceId: 4,
  features: [OWN_FEATURE],
  queueSizes: [16, 16],
  configBytes: 12,
  configWritable: [4, 8],
} as const;
const PLAIN = featureWords([FEATURE.version1]);
const EVERYTHING = featureWords([FEATURE.version1, FEATURE.indirectDescriptors, FEATURE.eventIndex]);

interface Bench {
  readonly driver: VirtioDriver;
  readonly device: VirtioDevice;
  readonly warnings: string[];
}

/** Guest page 5 is read-only, page 6 is not there. */
function bench(): Bench {
  const driver = new VirtioDriver([all, all, all, all, all, read, 0, all]);
  const warnings: string[] = [];
  const services = { ring: () => undefined, warn: (text: string) => warnings.push(text) };
  return { driver, device: new VirtioDevice(driver.place, SHAPE, services), warnings };
}

const RING: Ring = {
  index: 0,
  size: 8,
  descriptors: GUEST_AT,
  available: GUEST_AT + PAGE,
  used: GUEST_AT + 2 * PAGE,
};
const DATA = GUEST_AT + 3 * PAGE;

function running(features = PLAIN): Bench {
  const made = bench();
  made.driver.negotiate(features);
  made.driver.setUp(RING);
  made.driver.go();
  return made;
}

const { next, write, indirect } = DESCRIPTOR;

test('identifies itself, negotiates, and refuses what was not offered', () => {
  const { driver } = bench();
  assert.is(driver.read(REGISTER.magic), 0x74726976);
  assert.is(driver.read(REGISTER.version), 2);
  assert.is(driver.read(REGISTER.deviceId), 4);
  const offered = [0, 1, 2].map((select) => {
    driver.write(REGISTER.deviceFeaturesSelect, select);
    return driver.read(REGISTER.deviceFeatures);
  });
  assert.equal(offered, [(1 << OWN_FEATURE) | (1 << 28) | (1 << 29), 1, 0]);
  assert.is(driver.negotiate(PLAIN) & STATUS.featuresOk, STATUS.featuresOk);
  assert.is(driver.negotiate([0, 0]) & STATUS.featuresOk, 0, 'a driver of the old kind is refused');
  assert.is(driver.negotiate([1, 1]) & STATUS.featuresOk, 0, 'feature 0 was not offered');
  assert.is(driver.read(REGISTER.magic, 2), 0, 'registers are read as words');
  assert.is(driver.read(0x102, 8), 0, 'configuration space beyond the device reads as zero');
});

test('a chain is handed over, used, and announced once until acknowledged', () => {
  const { driver, device } = running();
  driver.bytes.set([1, 2, 3], driver.host(DATA));
  driver.describe(RING.descriptors, 2, { address: DATA, bytes: 3, flags: next, next: 5 });
  driver.describe(RING.descriptors, 5, { address: DATA + PAGE - 2, bytes: 4, flags: write, next: 0 });
  driver.offer(RING, 2);
  driver.write(REGISTER.notify, 0);
  assert.is(device.takeKicks(), 1);
  const seen: number[] = [];
  const handle = (chain: Chain): number => {
    const bytes = new Uint8Array(chain.readableBytes);
    assert.ok(chain.read(0, bytes));
    seen.push(...bytes);
    assert.ok(chain.write(0, new Uint8Array([9, 8, 7, 6])));
    assert.not.ok(chain.write(1, new Uint8Array(4)), 'there are no more than 4 bytes');
    return 4;
  };
  assert.not.ok(device.serve(0, handle));
  assert.equal(seen, [1, 2, 3]);
  assert.equal(driver.used(RING), { count: 1, head: 2, written: 4 });
  const across = [0, 1, 2, 3].map((i) => driver.bytes[driver.host(DATA + PAGE - 2 + i)]);
  assert.equal(across, [9, 8, 7, 6], 'the buffer crosses pages that are apart');
  assert.ok(driver.takeInterrupt());
  assert.is(driver.read(REGISTER.interruptStatus), INTERRUPT.usedBuffer);
  driver.offer(RING, 2);
  device.serve(0, handle);
  assert.not.ok(driver.takeInterrupt(), 'not acknowledged: the driver will look anyway');
  driver.write(REGISTER.interruptAcknowledge, INTERRUPT.usedBuffer);
  driver.offer(RING, 2);
  device.serve(0, handle);
  assert.ok(driver.takeInterrupt());
});

test('with the event index, interrupts and notifications come where asked for', () => {
  const { driver, device } = running(EVERYTHING);
  driver.describe(RING.descriptors, 0, { address: DATA, bytes: 1, flags: write, next: 0 });
  const usedEvent = driver.host(RING.available + 4 + RING.size * 2);
  const availEvent = driver.host(RING.used + 4 + RING.size * 8);
  driver.view.setUint16(usedEvent, 2, true);
  const round = (): boolean => {
    driver.offer(RING, 0);
    device.serve(0, () => 1);
    driver.write(REGISTER.interruptAcknowledge, 3);
    return driver.takeInterrupt();
  };
  assert.equal([round(), round(), round(), round()], [false, false, true, false]);
  assert.is(driver.view.getUint16(availEvent, true), 4);
});

test('indirect tables are followed, and only where they may be', () => {
  const { driver, device, warnings } = running(EVERYTHING);
  const table = DATA + 256;
  driver.describe(table, 0, { address: DATA, bytes: 5, flags: next, next: 1 });
  driver.describe(table, 1, { address: DATA + 64, bytes: 6, flags: write, next: 0 });
  driver.describe(RING.descriptors, 1, { address: table, bytes: 32, flags: indirect | write, next: 0 });
  driver.offer(RING, 1);
  const sizes: number[] = [];
  device.serve(0, (chain) => {
    sizes.push(chain.readableBytes, chain.writableBytes);
    return 0;
  });
  assert.equal(sizes, [5, 6]);
  driver.describe(table, 1, { address: table, bytes: 32, flags: indirect, next: 0 });
  driver.offer(RING, 1);
  device.serve(0, () => 0);
  assert.is(driver.used(RING).count, 1, 'a table within a table');
  assert.is(driver.read(REGISTER.status) & STATUS.needsReset, STATUS.needsReset);
  assert.is(warnings.length, 1);
});

test('what is wrong with a ring asks for a reset, which mends it', () => {
  const { driver, device } = running();
  const wrongs: readonly (readonly [string, () => void])[] = [
    ['a head outside the queue', () => driver.offer(RING, 8)],
    ['an index ahead by more than the queue', () => driver.view.setUint16(driver.host(RING.available + 2), 9, true)],
    [
      'a loop',
      () => {
        driver.describe(RING.descriptors, 0, { address: DATA, bytes: 1, flags: next, next: 0 });
        driver.offer(RING, 0);
      },
    ],
    [
      'a buffer to read behind one to write',
      () => {
        driver.describe(RING.descriptors, 0, { address: DATA, bytes: 1, flags: next | write, next: 1 });
        driver.describe(RING.descriptors, 1, { address: DATA, bytes: 1, flags: 0, next: 0 });
        driver.offer(RING, 0);
      },
    ],
    [
      'an indirect table that was not negotiated',
      () => {
        driver.describe(RING.descriptors, 0, { address: DATA, bytes: 16, flags: indirect, next: 0 });
        driver.offer(RING, 0);
      },
    ],
    ['a ring that is not there', () => driver.setUp({ ...RING, index: 1, available: GUEST_AT + 6 * PAGE })],
    ['a ring where nothing can be', () => driver.setUp({ ...RING, index: 1, used: 2 ** 62 })],
    ['a size that is no power of two', () => driver.setUp({ ...RING, index: 1, size: 7 })],
    ['a size beyond the limit', () => driver.setUp({ ...RING, index: 1, size: 32 })],
  ];
  for (const [title, spoil] of wrongs) {
    spoil();
    for (const queue of [0, 1]) device.serve(queue, () => 0);
    assert.is(driver.read(REGISTER.status) & STATUS.needsReset, STATUS.needsReset, title);
    assert.is(driver.read(REGISTER.interruptStatus) & INTERRUPT.configChange, INTERRUPT.configChange);
    driver.negotiate(PLAIN);
    assert.is(driver.read(REGISTER.interruptStatus), 0);
    driver.view.setUint16(driver.host(RING.available + 2), 0, true);
    driver.setUp(RING);
    driver.go();
    driver.describe(RING.descriptors, 0, { address: DATA, bytes: 1, flags: write, next: 0 });
    driver.offer(RING, 0);
    device.serve(0, () => 1);
    assert.is(driver.used(RING).count, 1, `works after ${title}`);
    driver.view.setUint16(driver.host(RING.used + 2), 0, true);
    driver.negotiate(PLAIN);
    driver.view.setUint16(driver.host(RING.available + 2), 0, true);
    driver.setUp(RING);
    driver.go();
  }
});

test('buffers outside the guest or without the right are the driver\u2019s fault', () => {
  for (const address of [GUEST_AT + 5 * PAGE, GUEST_AT + 6 * PAGE, GUEST_AT - 8, 2 ** 40, 2 ** 63]) {
    const { driver, device } = running();
    driver.describe(RING.descriptors, 0, { address, bytes: 16, flags: write, next: 0 });
    driver.offer(RING, 0);
    device.serve(0, (chain) => (chain.write(0, new Uint8Array(16)) ? 16 : 'broken'));
    assert.is(driver.read(REGISTER.status) & STATUS.needsReset, STATUS.needsReset);
    assert.is(driver.used(RING).count, 0);
  }
});

test('a successor goes on where a killed worker left off', () => {
  const { driver, device } = running();
  driver.describe(RING.descriptors, 0, { address: DATA, bytes: 1, flags: write, next: 0 });
  driver.offer(RING, 0, 0, 0);
  let count = 0;
  // Dies with the second chain in hand, inside its window.
  assert.throws(() =>
    device.serve(0, () => {
      if (++count === 2) throw new Error('killed');
      return 1;
    }),
  );
  driver.block.enterWindow(0);
  const successor = new VirtioDevice(driver.place, SHAPE, { ring: () => undefined, warn: () => undefined });
  assert.is(driver.block.windowTurns(0) & 1, 0, 'the dead one is counted as having left');
  successor.serve(0, () => {
    count++;
    return 1;
  });
  assert.is(count, 4, 'the chain in hand again, then the third');
  assert.is(driver.used(RING).count, 3);
});

test('a successor says what a worker that was killed in between did not', () => {
  const services = { ring: () => undefined, warn: () => undefined };
  for (const features of [PLAIN, EVERYTHING]) {
    const { driver, device } = running(features);
    driver.describe(RING.descriptors, 0, { address: DATA, bytes: 1, flags: write, next: 0 });
    driver.offer(RING, 0);
    // The chain is used, and the worker dies before it says so: as it left the queue, without the interrupt.
    device.turn(0, (queue) => {
      assert.is(queue.take(), 'chain');
      queue.use(1);
      queue.wantsInterrupt = () => false;
    });
    assert.not.ok(driver.takeInterrupt());
    new VirtioDevice(driver.place, SHAPE, services);
    assert.ok(driver.takeInterrupt());
    assert.is(driver.read(REGISTER.interruptStatus) & INTERRUPT.usedBuffer, INTERRUPT.usedBuffer);
    // And between noting the interrupt and raising it.
    new VirtioDevice(driver.place, SHAPE, services);
    assert.ok(driver.takeInterrupt());
  }
  const { driver } = bench();
  new VirtioDevice(driver.place, SHAPE, services);
  assert.not.ok(driver.takeInterrupt(), 'nobody drives the device');
});

test('a reset waits for a device inside guest memory, and says so when that takes too long', () => {
  const { driver } = running();
  driver.block.enterWindow(0);
  driver.write(REGISTER.status, 0);
  assert.is.not(driver.read(REGISTER.status), 0, 'the device is still inside');
  driver.write(REGISTER.status, STATUS.acknowledge);
  driver.block.leaveWindow(0);
  assert.is(driver.read(REGISTER.status), 0);
  driver.write(REGISTER.status, STATUS.acknowledge);
  assert.is(driver.read(REGISTER.status), STATUS.acknowledge);
});

test('configuration: changes are announced, and the driver writes only where it may', () => {
  const { driver, device } = running();
  device.changeConfig((config) => config.setUint16(0, 132, true));
  assert.is(driver.read(REGISTER.config, 2), 132);
  assert.is(driver.read(REGISTER.interruptStatus), INTERRUPT.configChange);
  driver.write(REGISTER.config, 1, 1);
  driver.write(REGISTER.config + 6, 0xffff_ffff);
  assert.is(driver.read(REGISTER.config, 2), 132);
  assert.is(device.configWrites, 0);
  driver.write(REGISTER.config + 4, 0xabcd, 4);
  assert.is(device.config.getUint32(4, true), 0xabcd);
  assert.is(device.configWrites, 1);
});

test(
  '150,000 random rings, registers and chains touch nothing outside the guest',
  () => {
    const SEED = 0x76697274;
    const random = seededRandom(SEED, 'rings');
    const { driver, device } = bench();
    const pages = 8;
    const before = driver.untouchable.map((memory) => memory.slice());
    const anywhere = (): number => {
      if (random.oneIn(12)) return random.u32() * (random.oneIn(2) ? 2 ** 32 : 1);
      return GUEST_AT - (random.oneIn(20) ? PAGE : 0) + random.below(pages * PAGE);
    };
    const scratch = new Uint8Array(64 * 1024);
    const handle = (chain: Chain): number | 'broken' => {
      const readable = Math.min(chain.readableBytes, scratch.length);
      const writable = Math.min(chain.writableBytes, scratch.length);
      const views = [chain.readable(0, readable), chain.writable(0, writable)];
      for (const view of (views[1] ?? []).slice(0, 4)) view.fill(0x11, 0, 64);
      const got = chain.read(0, scratch.subarray(0, readable));
      if (got) assert.not.ok(Buffer.from(scratch.buffer, 0, readable).includes('\u00ee'.repeat(16), 0, 'latin1'));
      scratch.fill(0x22, 0, writable);
      const put = chain.write(0, scratch.subarray(0, writable));
      return got && put ? writable : 'broken';
    };
    let chains = 0;
    let broken = 0;
    const ROUNDS = 150_000;
    let ring: Ring = RING;
    for (let round = 0; round < ROUNDS; round++) {
      if (round % 4 === 0 || (driver.read(REGISTER.status) & STATUS.needsReset) !== 0) {
        driver.negotiate(random.oneIn(3) ? PLAIN : EVERYTHING);
        const wild = random.oneIn(4);
        ring = {
          index: 0,
          size: wild ? random.below(40) : 1 << random.below(5),
          descriptors: wild ? anywhere() : GUEST_AT + random.below(240) * 16,
          available: wild ? anywhere() : GUEST_AT + PAGE + random.below(2000) * 2,
          used: wild ? anywhere() : GUEST_AT + 2 * PAGE + random.below(900) * 4,
        };
        driver.setUp(ring);
        driver.go();
        for (const at of [ring.available, ring.used]) {
          if (!wild) driver.view.setUint32(driver.host(at), 0, true);
        }
      }
      // Tables of descriptors, direct and indirect, mostly sensible.
      for (let i = 0; i < 6; i++) {
        const table = random.oneIn(2) ? GUEST_AT + random.below(240) * 16 : DATA + random.below(240) * 16;
        driver.describe(random.oneIn(3) ? table : GUEST_AT, random.below(8), {
          address: random.oneIn(3) ? DATA + random.below(200) * 16 : anywhere(),
          bytes: random.oneIn(16) ? random.u32() : random.oneIn(4) ? random.below(16) * 16 : random.below(9000),
          flags: random.oneIn(8) ? random.below(65536) : random.below(8),
          next: random.oneIn(8) ? random.below(65536) : random.below(10),
        });
      }
      const inside = ring.available >= GUEST_AT && ring.available < GUEST_AT + 4 * PAGE && ring.available % 2 === 0;
      if (inside && ring.size > 0) {
        if (random.oneIn(20)) driver.view.setUint16(driver.host(ring.available + 2), random.below(65536), true);
        else driver.offer(ring, random.oneIn(20) ? random.below(65536) : random.below(ring.size));
      }
      if (random.oneIn(50)) driver.write(random.below(0x200) & ~3, random.u32());
      device.serve(0, (chain) => {
        chains++;
        return handle(chain);
      });
      if (!device.isLive) broken++;
      if (round % 512 === 0 || round === ROUNDS - 1) {
        for (const [i, memory] of driver.untouchable.entries()) {
          assert.ok(Buffer.compare(memory, before[i] ?? new Uint8Array()) === 0, `seed ${SEED}, round ${round}`);
        }
      }
    }
    assert.ok(chains > 10_000 && broken > 1_000, `both kinds are met: ${chains} chains, ${broken} broken`);
  },
  { deadlineMs: 120_000 },
);

test.run();
