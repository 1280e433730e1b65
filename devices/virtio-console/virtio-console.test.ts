import * as assert from 'uvu/assert';
import { ByteStream, createByteStream } from '../../actors/shared-state/byte-stream/byte-stream.js';
import { STAGE2_RIGHTS } from '../../actors/shared-state/stage2/stage2-map.js';
import { DeviceActor } from '../../test/drivers/device-actor.js';
import { GUEST_AT, REGISTER, type Ring, VirtioDriver } from '../../test/drivers/virtio-driver.js';
import { spec } from '../../test/harness/spec.js';
import { DESCRIPTOR, FEATURE, featureWords } from '../virtio/wire.js';
import virtioConsole from './virtio-console.actor.js';

const test = spec('virtio console');
const PAGE = 4096;
const { all } = STAGE2_RIGHTS;
const TRANSMIT: Ring = {
  index: 1,
  size: 64,
  descriptors: GUEST_AT,
  available: GUEST_AT + PAGE,
  used: GUEST_AT + 2 * PAGE,
};
const DATA = GUEST_AT + 3 * PAGE;
/** An indirect table of as many entries as there may be. */
const TABLE = GUEST_AT + 5 * PAGE;
const TABLE_ENTRIES = 1024;
/** More looks at the index than any number of turns that ends. */
const LOOKS_MAX = 1_000_000;

async function bench() {
  const driver = new VirtioDriver(Array.from({ length: 9 }, () => all));
  const output = createByteStream(64 << 10);
  const config = { place: driver.place, output, input: createByteStream(4096), columns: 80, rows: 24 };
  const actor = await DeviceActor.start(virtioConsole, config);
  driver.negotiate(featureWords([FEATURE.version1, FEATURE.indirectDescriptors]));
  driver.setUp(TRANSMIT);
  driver.go();
  const reader = new ByteStream(output);
  return { driver, actor, reader, flush: () => actor.declaration.on.flush(actor.state, {}, actor.context) };
}

test('what the guest has sent is there after a flush', async () => {
  const { driver, reader, flush } = await bench();
  for (let i = 0; i < 64; i++) {
    driver.bytes[driver.host(DATA + i)] = i;
    driver.describe(TRANSMIT.descriptors, i, { address: DATA + i, bytes: 1, flags: 0, next: 0 });
  }
  driver.offer(TRANSMIT, ...Array.from({ length: 64 }, (_, i) => i));
  flush();
  assert.equal(
    [...reader.read()],
    Array.from({ length: 64 }, (_, i) => i),
  );
  assert.is(driver.used(TRANSMIT).count, 64);
});

test('a window of another size interrupts the guest, which reads the new one', async () => {
  const { driver, actor } = await bench();
  const size = (): readonly number[] => [driver.read(REGISTER.config) & 0xffff, driver.read(REGISTER.config) >>> 16];
  assert.equal(size(), [80, 24]);
  assert.is(driver.read(REGISTER.interruptStatus), 0);
  actor.declaration.on.resize(actor.state, { columns: 132, rows: 43 }, actor.context);
  assert.is(driver.read(REGISTER.interruptStatus), 2, 'the configuration has changed');
  assert.equal(size(), [132, 43]);
});

test('a guest that never stops sending, or sends half a gigabyte at once, does not hold the worker', async () => {
  for (const bytes of [0, 1, 2 * PAGE]) {
    const { driver, actor, reader, flush } = await bench();
    for (let i = 0; i < TABLE_ENTRIES; i++) {
      driver.describe(TABLE, i, { address: DATA, bytes, flags: DESCRIPTOR.next, next: i + 1 });
    }
    driver.describe(TABLE, TABLE_ENTRIES - 1, { address: DATA, bytes, flags: 0, next: 0 });
    const table = { address: TABLE, bytes: TABLE_ENTRIES * 16, flags: DESCRIPTOR.indirect, next: 0 };
    driver.describe(TRANSMIT.descriptors, 0, table);
    driver.offer(TRANSMIT, ...Array.from({ length: 64 }, () => 0));
    const { window } = actor.state.device;
    let looks = 0;
    const host = window.host.bind(window);
    window.host = (ipa, rights) => {
      if (++looks > LOOKS_MAX) throw new Error('the worker is held');
      // Another processor offers the same again, and somebody reads as fast as it is written.
      if (ipa === TRANSMIT.available + 2 && driver.used(TRANSMIT).count > 0) driver.offer(TRANSMIT, 0);
      reader.read();
      return host(ipa, rights);
    };
    flush();
    assert.ok(actor.turn(), 'it goes on by turns');
    driver.write(REGISTER.status, 0);
    assert.ok(actor.turns() < 3);
  }
});

test.run();
