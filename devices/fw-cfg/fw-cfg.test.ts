import * as assert from 'uvu/assert';
import { frontEndServices } from '../../test/drivers/front-end-services.js';
import { GUEST_AT, VirtioDriver } from '../../test/drivers/virtio-driver.js';
import { seededRandom } from '../../test/harness/mutations.js';
import { spec } from '../../test/harness/spec.js';
import { createSharedRegisters } from '../registers/shared-registers.js';
import fwCfgFrontEnd from './fw-cfg.front-end.js';
import { fwCfgItems } from './items.js';

const test = spec('firmware configuration');
const PAGE = 4096;
const [READ, READ_WRITE] = [1, 7];
const KERNEL = Uint8Array.from({ length: 10_000 }, (_, n) => n * 7);

function device(rights: readonly number[]) {
  const guest = new VirtioDriver(rights);
  const content = { cpus: 3, kernel: KERNEL, initrd: Uint8Array.of(1, 2, 3), commandLine: 'quiet' };
  const items = fwCfgItems({ ...content, files: new Map([['etc/name', Uint8Array.of(9, 8)]]) });
  const shared = items.map(({ key, bytes }) => {
    const copy = new SharedArrayBuffer(bytes.length);
    new Uint8Array(copy).set(bytes);
    return { key, bytes: copy };
  });
  const { memory, block, stage2 } = guest.place;
  const config = { registers: createSharedRegisters(), memory, place: { block, stage2 }, window: 39, items: shared };
  const frontEnd = fwCfgFrontEnd(config, frontEndServices());
  const select = (key: number): void => frontEnd.write(8, 2, BigInt(((key & 0xff) << 8) | (key >> 8)));
  const text = (key: number, bytes: number): string => {
    select(key);
    return Array.from({ length: bytes }, () => String.fromCharCode(Number(frontEnd.read(0, 1)))).join('');
  };
  /** Puts a descriptor at `at` and tells the device; what became of its control word. */
  const dma = (at: number, control: number, length: number, address: number): number => {
    const host = guest.host(at);
    guest.view.setUint32(host, control, false);
    guest.view.setUint32(host + 4, length, false);
    guest.view.setBigUint64(host + 8, BigInt(address), false);
    frontEnd.write(16, 4, 0n);
    const low = Buffer.alloc(4);
    low.writeUInt32BE(at);
    frontEnd.write(20, 4, BigInt(low.readUInt32LE()));
    return guest.view.getUint32(host, false);
  };
  return { guest, frontEnd, select, text, dma };
}

test('signature, features and the directory read byte by byte and in words', () => {
  const { frontEnd, text, select } = device([READ_WRITE]);
  assert.is(text(0, 6), 'QEMU\0\0', 'zeros follow an item');
  assert.is(text(1, 4), '\x03\0\0\0');
  assert.is(text(5, 2), '\x03\0');
  assert.is(text(0x15, 6), 'quiet\0');
  assert.is(text(0x1234, 3), '\0\0\0', 'what is not there reads as zeros');
  const directory = text(0x19, 68);
  assert.is(directory.slice(0, 10), '\0\0\0\x01\0\0\0\x02\0\x20');
  assert.is(directory.slice(12, 20), 'etc/name');
  select(0);
  assert.is(frontEnd.read(0, 4), 0x554d_4551n, 'a word has the bytes in their order');
  assert.is(frontEnd.read(16, 8), 0x4746_4320_554d_4551n, '"QEMU CFG"');
});

test('DMA copies, skips and selects, and is refused where the guest has no right', () => {
  const { guest, dma } = device([READ_WRITE, READ_WRITE, READ_WRITE, READ, 0]);
  const page = (n: number): number => GUEST_AT + n * PAGE;
  const memory = (at: number, bytes: number): Uint8Array => guest.bytes.slice(guest.host(at), guest.host(at) + bytes);
  assert.is(dma(page(0), (0x11 << 16) | 8 | 2, 5000, page(1) + 10), 0);
  assert.equal(memory(page(1) + 10, 4000), KERNEL.slice(0, 4000));
  assert.equal(memory(page(2), 900), KERNEL.slice(4086, 4986));
  assert.is(dma(page(0), 4, 1000, 0), 0, 'skips');
  assert.is(dma(page(0), 2, 4, page(1)), 0);
  assert.equal(memory(page(1), 4), KERNEL.slice(6000, 6004));
  assert.is(dma(page(0), (0x12 << 16) | 8 | 2, 8, page(1)), 0);
  assert.equal(memory(page(1), 8), Uint8Array.of(1, 2, 3, 0, 0, 0, 0, 0), 'and zeros from the end on');
  assert.is(dma(page(0), (0x11 << 16) | 8 | 2, 16, page(3)), 1, 'a page that may only be read');
  assert.is(dma(page(0), (0x11 << 16) | 8 | 2, 16, page(4)), 1, 'no page');
  assert.is(dma(page(0), (0x11 << 16) | 8 | 2, 16, 2 ** 60), 1, 'no address');
  assert.is(dma(page(0), (0x12 << 16) | 8 | 16, 1, page(1)), 1, 'nothing can be written');
  assert.is(dma(page(0), 8, 1, page(1)), 0);
});

test(
  '200,000 random accesses and descriptors touch nothing outside the guest',
  () => {
    const { guest, frontEnd } = device([READ_WRITE, READ, 0, READ_WRITE, READ_WRITE]);
    const random = seededRandom(106);
    const below = (limit: number): number => Math.floor(random() * limit);
    const before = guest.untouchable.map((bytes) => Buffer.from(bytes));
    const address = (): number => (random() < 0.8 ? GUEST_AT + below(5 * PAGE + 64) - 32 : below(2 ** 40));
    const swapped = (value: number, bytes: number): bigint => {
      const buffer = Buffer.alloc(8);
      buffer.writeBigUInt64BE(BigInt(value));
      return bytes === 8 ? buffer.readBigUInt64LE() : BigInt(buffer.readUInt32LE(4));
    };
    for (let n = 0; n < 200_000; n++) {
      const kind = below(4);
      if (kind === 0) frontEnd.read(below(24), 2 ** below(4));
      else if (kind === 1) frontEnd.write(below(24), 2 ** below(4), BigInt(below(2 ** 32)));
      else if (kind === 2) frontEnd.write(8, 2, BigInt(random() < 0.7 ? below(0x22) << 8 : below(0x1_0000)));
      else {
        const host = guest.host(GUEST_AT + 64);
        const key = random() < 0.5 ? 0x11 : below(0x40);
        guest.view.setUint32(host, (key << 16) | below(32), false);
        guest.view.setUint32(host + 4, random() < 0.9 ? below(3 * PAGE) : below(2 ** 32), false);
        guest.view.setBigUint64(host + 8, BigInt(address()), false);
        frontEnd.write(16, 8, swapped(random() < 0.8 ? GUEST_AT + 64 : address(), 8));
      }
    }
    for (const [n, bytes] of guest.untouchable.entries())
      assert.ok(before[n]?.equals(bytes), `piece ${n} is as it was`);
  },
  { deadlineMs: 120_000 },
);
test.run();
