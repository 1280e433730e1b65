/** Where a guest finds the registers of its interrupt controller (gunyah.md 2.6, 2.7): the platform's addresses, and others. */
import * as assert from 'uvu/assert';
import { spec } from '../../test/harness/spec.js';
import { Gic } from '../shared-state/gic/gic.js';
import { GIC_STATE_BYTES } from '../shared-state/gic/gic-layout.js';
import { GicRegisters } from '../shared-state/gic/gic-mmio.js';
import { STAGE2_ROOT_BYTES, Stage2Map, Stage2Reader } from '../shared-state/stage2/stage2-map.js';
import { ControllerWindows } from '../shared-state/vm/controller-windows.js';
import { VM_BLOCK_BYTES, VmBlock } from '../shared-state/vm/vm-block.js';
import { GuestMemory } from './guest-memory.js';

const test = spec('guest memory');
const PLATFORM = { distributor: 0x0800_0000, redistributors: 0x080a_0000 };
const [GICD, GICR, WIDE] = [0x3fff_0000, 0x3ffd_0000, 0x3f00_0000];
const PIDR2 = 0xffe8;
const TYPER = 8;

function setting() {
  const blockAt = 0x1_0000;
  const gicAt = blockAt + Math.ceil(VM_BLOCK_BYTES / 4096) * 4096;
  const stage2At = gicAt + Math.ceil(GIC_STATE_BYTES / 4096) * 4096;
  const memory = new SharedArrayBuffer(stage2At + STAGE2_ROOT_BYTES + 4096);
  const block = new VmBlock(memory, blockAt);
  block.format(2);
  const gic = new Gic(memory, gicAt, () => undefined);
  gic.reset([0, 1]);
  new Stage2Map(memory, stage2At, () => undefined);
  const guest = new GuestMemory(new Stage2Reader(memory, stage2At));
  const windows = new ControllerWindows(memory, block);
  let changes = 0;
  guest.addGic(new GicRegisters(gic), PLATFORM, 2, () => void changes++, windows);
  return { guest, windows, gic, changes: () => changes };
}

test('without more the controller is at the platform’s addresses, and nowhere else', () => {
  const { guest } = setting();
  assert.is(guest.read(PLATFORM.distributor + PIDR2, 4), 0x3bn);
  assert.is(guest.read(PLATFORM.redistributors + 0x2_0000 + TYPER, 4), 0x110n);
  assert.is(guest.read(PLATFORM.redistributors + 0x4_0000, 4), undefined);
  assert.is(guest.read(GICD + PIDR2, 4), undefined);
  assert.not(guest.write(GICD, 4, 1n));
});

test('registers that were put elsewhere are the same ones, from the next access on and until they are taken away', () => {
  const { guest, windows, gic, changes } = setting();
  assert.is(guest.read(GICD, 4), undefined);
  windows.replace(
    [
      { base: GICD, bytes: 0x1_0000, index: 0, isLast: false },
      { base: GICR, bytes: 0x2_0000, index: 2, isLast: false },
    ],
    false,
  );
  assert.ok(guest.write(GICD, 4, 2n));
  assert.is(gic.control & 2, 2);
  assert.is(guest.read(PLATFORM.distributor, 4), guest.read(GICD, 4));
  assert.is(guest.read(GICR + TYPER, 4), 0x100n, 'of processor 1, and not the last');
  assert.ok(guest.write(GICR + 0x1_0100, 4, 1n << 27n));
  assert.is(guest.read(PLATFORM.redistributors + 0x2_0000 + 0x1_0100, 4), 1n << 27n);
  assert.is(guest.read(PLATFORM.redistributors + 0x1_0100, 4), 0n);
  assert.is(changes(), 2);
  windows.replace([], false);
  assert.is(guest.read(GICD, 4), undefined);
  assert.is(guest.read(PLATFORM.distributor, 4), BigInt(gic.control));
});

test('a controller that keeps away from the platform’s addresses is not there; windows too small or too large show what fits', () => {
  const { guest, windows } = setting();
  assert.is(guest.read(PLATFORM.distributor + PIDR2, 4), 0x3bn);
  windows.replace(
    [
      { base: GICD, bytes: 0x1000, index: 0, isLast: false },
      { base: WIDE, bytes: 0x3_0000, index: 1, isLast: true },
    ],
    true,
  );
  assert.is(guest.read(PLATFORM.distributor + PIDR2, 4), undefined);
  assert.is(guest.read(GICD + 8, 4), 0x43bn);
  assert.is(guest.read(GICD + PIDR2, 4), undefined);
  assert.is(guest.read(WIDE + TYPER, 4), 0x10n, 'said to be the last, though another follows');
  assert.is(guest.read(WIDE + 0x2_0000, 4), undefined);
});
test.run();
