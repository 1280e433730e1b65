import * as assert from 'uvu/assert';
import { STAGE2_RIGHTS } from '../../actors/shared-state/stage2/stage2-map.js';
import { MemoryFile } from '../../test/drivers/memory-file.js';
import { GUEST_AT, REGISTER, type Ring, VirtioDriver } from '../../test/drivers/virtio-driver.js';
import { spec } from '../../test/harness/spec.js';
import { VirtioDevice } from '../virtio/virtio-device.js';
import { DESCRIPTOR, FEATURE, featureWords, STATUS } from '../virtio/wire.js';
import { REPLY, REQUEST, RequestHead, ZeroSegment } from './block.wire.js';
import { type Disk, handleRequest, ZERO_SECTORS_MAX } from './block-requests.js';
import { RawImage } from './raw-image.js';

const test = spec('virtio block requests');
const PAGE = 4096;
const { read, all } = STAGE2_RIGHTS;
const { next, write } = DESCRIPTOR;
const RING: Ring = { index: 0, size: 16, descriptors: GUEST_AT, available: GUEST_AT + PAGE, used: GUEST_AT + 2 * PAGE };
const HEAD = GUEST_AT + 3 * PAGE;
const DATA = GUEST_AT + 4 * PAGE;
const STATUS_AT = HEAD + 64;
const DISK_BYTES = 64 * 1024;

interface Bench {
  readonly driver: VirtioDriver;
  readonly device: VirtioDevice;
  readonly disk: Disk;
  readonly file: MemoryFile;
  /** Sends one request; the status byte. */
  request(type: number, sector: number, bytes: number, deviceWrites: boolean, data?: number): number | undefined;
}

function bench(options: Partial<Disk> = {}, isGuessed = false): Bench {
  const driver = new VirtioDriver([all, all, all, all, all, all, all, read, 0]);
  const shape = { deviceId: 2, features: [], queueSizes: [16], configBytes: 60, configWritable: [0, 0] } as const;
  const device = new VirtioDevice(driver.place, shape, { ring: () => undefined, warn: () => undefined });
  const file = new MemoryFile(new Uint8Array(DISK_BYTES).map((_, i) => i >> 9));
  const image = RawImage.open(file, isGuessed);
  if (!image.ok) throw new Error(image.error.detail);
  const base = { isReadOnly: false, serial: 'a-disk', writesThrough: () => false, complain: () => undefined };
  const disk = { image: image.value, ...base, ...options };
  driver.negotiate(featureWords([FEATURE.version1]));
  driver.setUp(RING);
  driver.go();
  return {
    driver,
    device,
    disk,
    file,
    request(type, sector, bytes, deviceWrites, data = DATA) {
      const at = driver.host(HEAD);
      RequestHead.write(driver.view, at, { type, reserved: 0, sector: BigInt(sector) });
      driver.bytes[driver.host(STATUS_AT)] = 0xaa;
      driver.describe(RING.descriptors, 0, { address: HEAD, bytes: 16, flags: next, next: 1 });
      const flags = next | (deviceWrites ? write : 0);
      driver.describe(RING.descriptors, 1, { address: data, bytes, flags, next: 2 });
      driver.describe(RING.descriptors, 2, { address: STATUS_AT, bytes: 1, flags: write, next: 0 });
      driver.offer(RING, 0);
      device.serve(0, (chain) => handleRequest(disk, chain));
      return driver.bytes[driver.host(STATUS_AT)];
    },
  };
}

test('reads and writes move data between file and guest, across pages that are apart', () => {
  const { driver, file, request } = bench();
  assert.is(request(REQUEST.read, 2, 8192, true), REPLY.ok);
  assert.equal(
    [0, 512, 8191].map((at) => driver.bytes[driver.host(DATA + at)]),
    [2, 3, 17],
  );
  assert.is(driver.used(RING).written, 8193);
  driver.bytes.fill(0x77, driver.host(DATA), driver.host(DATA) + PAGE);
  assert.is(request(REQUEST.write, 1, 1024, false), REPLY.ok);
  assert.equal(
    [511, 512, 1535, 1536].map((at) => file.contents[at]),
    [0, 0x77, 0x77, 3],
  );
});

test('what is outside the disk, uneven, read-only or unknown is an error, and the disk stays as it was', () => {
  const { file, request } = bench();
  const before = file.contents;
  assert.is(request(REQUEST.read, 127, 1024, true), REPLY.failed);
  assert.is(request(REQUEST.write, 2 ** 40, 512, false), REPLY.failed);
  assert.is(request(REQUEST.write, 0, 100, false), REPLY.failed);
  assert.is(request(99, 0, 512, true), REPLY.unsupported);
  const frozen = bench({ isReadOnly: true });
  for (const type of [REQUEST.write, REQUEST.discard, REQUEST.writeZeroes]) {
    assert.is(frozen.request(type, 0, 512, false), REPLY.failed);
  }
  assert.equal(file.contents, before);
});

test('flush and write-through reach stable storage', () => {
  const { file, request } = bench();
  request(REQUEST.write, 0, 512, false);
  assert.is(file.syncs, 0);
  assert.is(request(REQUEST.flush, 0, 0, false), REPLY.ok);
  assert.is(file.syncs, 1);
  const through = bench({ writesThrough: () => true });
  through.request(REQUEST.write, 0, 512, false);
  assert.is(through.file.syncs, 1);
});

test('the serial number is padded, and a guessed raw image does not become qcow2', () => {
  const { driver, request } = bench();
  assert.is(request(REQUEST.identify, 0, 20, true), REPLY.ok);
  const name = Buffer.from(driver.bytes.subarray(driver.host(DATA), driver.host(DATA) + 20)).toString('latin1');
  assert.is(name, 'a-disk'.padEnd(20, '\0'));
  const guessed = bench({}, true);
  guessed.driver.bytes.set([0x51, 0x46, 0x49, 0xfb], guessed.driver.host(DATA));
  assert.is(guessed.request(REQUEST.write, 0, 512, false), REPLY.failed);
  assert.is(guessed.request(REQUEST.write, 1, 512, false), REPLY.ok);
});

test('write-zeroes and discard check every stretch before they touch the first', () => {
  const { driver, file, request } = bench();
  const stretch = (i: number, sector: number, sectors: number, flags: number): void =>
    ZeroSegment.write(driver.view, driver.host(DATA) + i * 16, { sector: BigInt(sector), sectors, flags });
  stretch(0, 4, 2, 0);
  assert.is(request(REQUEST.writeZeroes, 0, 16, false), REPLY.ok);
  assert.equal(
    [2047, 2048, 3071, 3072].map((at) => file.contents[at]),
    [3, 0, 0, 6],
  );
  stretch(0, 8, 2, 1);
  stretch(1, 127, 2, 0);
  assert.is(request(REQUEST.writeZeroes, 0, 32, false), REPLY.failed);
  assert.is(file.contents[4096], 8);
  stretch(1, 0, ZERO_SECTORS_MAX + 1, 0);
  assert.is(request(REQUEST.writeZeroes, 0, 32, false), REPLY.failed);
  stretch(0, 8, 2, 2);
  assert.is(request(REQUEST.writeZeroes, 0, 16, false), REPLY.unsupported);
  stretch(0, 8, 2, 1);
  assert.is(request(REQUEST.discard, 0, 16, false), REPLY.unsupported);
  assert.is(request(REQUEST.discard, 0, 17, false), REPLY.failed);
});

test('data that are not the guest\u2019s memory are the driver\u2019s fault', () => {
  for (const address of [GUEST_AT + 8 * PAGE, GUEST_AT + 7 * PAGE, 2 ** 40]) {
    const { driver, request } = bench();
    assert.is(request(REQUEST.read, 0, 512, true, address), 0xaa);
    assert.is(driver.read(REGISTER.status) & STATUS.needsReset, STATUS.needsReset);
  }
});

test.run();
