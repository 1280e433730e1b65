import * as assert from 'uvu/assert';
import { FlashDriver } from '../../test/drivers/flash-driver.js';
import { seededRandom } from '../../test/harness/mutations.js';
import { spec } from '../../test/harness/spec.js';
import { BANK_BYTES, BUFFER_BYTES, SECTOR_BYTES } from './cfi-table.js';

const test = spec('flash');
const READY = 0x0080_0080;

test('the array is mapped until the first command, and again after the return to it', () => {
  const flash = new FlashDriver();
  assert.is(flash.rights, 5);
  flash.command(0, 0x90);
  assert.is(flash.rights, 0);
  assert.equal(
    [0, 4, 8].map((at) => flash.read(at)),
    [0x0089_0089, 0x0018_0018, 0],
  );
  flash.command(0, 0xff);
  assert.is(flash.rights, 5);
});

test('a query tells the command set, the size and the sectors', () => {
  const flash = new FlashDriver();
  flash.command(0x55 * 4, 0x98);
  const at = (word: number): number => flash.read(word * 4, 1);
  assert.equal([0x10, 0x11, 0x12].map((word) => String.fromCharCode(at(word))).join(''), 'QRY');
  assert.is(at(0x13), 1);
  assert.is(2 ** at(0x27) * 2, BANK_BYTES);
  assert.is(2 ** at(0x2a) * 2, BUFFER_BYTES);
  assert.is((at(0x2d) + 1) * ((at(0x30) << 8) | at(0x2f)) * 256 * 2, BANK_BYTES);
});

test('words and buffers are programmed, sectors erased', () => {
  const flash = new FlashDriver();
  flash.command(SECTOR_BYTES, 0x20);
  flash.command(SECTOR_BYTES + 8, 0xd0);
  assert.is(flash.read(0), READY);
  assert.ok(flash.array.subarray(SECTOR_BYTES, 2 * SECTOR_BYTES).every((byte) => byte === 0xff));
  assert.is(flash.array[2 * SECTOR_BYTES], 0);
  flash.command(SECTOR_BYTES, 0x40);
  flash.write(SECTOR_BYTES, 4, 0x1234_5678);
  flash.command(SECTOR_BYTES + 0x1000, 0xe8);
  flash.write(SECTOR_BYTES + 0x1000, 4, 0x0003_0003);
  for (let word = 0; word < 4; word++) flash.write(SECTOR_BYTES + 0x1010 + word * 4, 4, word);
  assert.is(flash.array[SECTOR_BYTES + 0x1010], 0xff, 'the buffer is not in the array before it is confirmed');
  flash.command(SECTOR_BYTES + 0x1000, 0xd0);
  flash.command(0, 0xff);
  assert.is(flash.read(SECTOR_BYTES), 0x1234_5678);
  assert.equal(
    [0, 1, 2, 3].map((word) => flash.read(SECTOR_BYTES + 0x1010 + word * 4)),
    [0, 1, 2, 3],
  );
});

test('a bank that may not be written says so, and a buffer beyond its block is refused', () => {
  const fixed = new FlashDriver({ isWritable: false });
  fixed.command(0, 0x40);
  fixed.write(0, 4, 5);
  assert.is(fixed.read(0), READY | 0x0010_0010);
  fixed.command(0, 0x50);
  fixed.command(0, 0x20);
  fixed.command(0, 0xd0);
  assert.is(fixed.read(0), READY | 0x0020_0020);
  assert.is(fixed.array[0], 0);
  const flash = new FlashDriver();
  flash.command(0, 0xe8);
  flash.write(0, 4, 0);
  flash.write(0x1000, 4, 7);
  flash.command(0, 0xd0);
  flash.command(0, 0x70);
  assert.is(flash.read(0), READY | 0x0010_0010);
  assert.is(flash.array[0x1000], 0);
});

test('the chip is busy until the keeper has the change, and tells when it could not be kept', () => {
  const flash = new FlashDriver({ hasKeeper: true });
  flash.command(0, 0x40);
  flash.write(8, 4, 1);
  assert.is(flash.rings, 1);
  assert.is(flash.read(0), 0);
  assert.equal(flash.block.change(), { offset: 8, bytes: 4, kind: 'program' });
  flash.block.kept(0);
  assert.is(flash.read(0), READY);
  assert.is(flash.block.change(), undefined);
  flash.command(0, 0x20);
  flash.command(0, 0xd0);
  flash.block.kept(0x20);
  assert.is(flash.read(0), READY | 0x0020_0020);
});

test(
  '200,000 random accesses change nothing outside the bank, and the mapping is that of the mode',
  () => {
    const flash = new FlashDriver();
    const random = seededRandom(105);
    const below = (limit: number): number => Math.floor(random() * limit);
    const commands = [0x00, 0x10, 0x20, 0x40, 0x50, 0x60, 0x70, 0x90, 0x98, 0xd0, 0xe8, 0xf0, 0xff];
    for (let n = 0; n < 200_000; n++) {
      const bytes = 2 ** below(4);
      const place = random() < 0.2 ? below(64) : BANK_BYTES - 64 + below(64);
      const offset = Math.min(random() < 0.5 ? below(BANK_BYTES) : place, BANK_BYTES - bytes);
      if (random() < 0.3) flash.frontEnd.read(offset, bytes);
      else {
        // An erase takes long; a few hundred are enough.
        const command = commands[below(commands.length)] ?? 0;
        const value = random() < 0.6 ? (command === 0xd0 && random() < 0.95 ? 0 : command) : below(2 ** 32);
        flash.frontEnd.write(offset, bytes, random() < 0.1 ? BigInt(value) << 32n : BigInt(value));
      }
    }
    assert.ok(flash.isContained);
    flash.command(0, 0x70);
    assert.is(flash.rights, 0);
    for (let n = 0; n < 70_000 && flash.rights === 0; n++) flash.command(0, 0xff);
    assert.is(flash.rights, 5, 'a guest that insists gets its array back');
  },
  { deadlineMs: 120_000 },
);
test.run();
