import * as assert from 'uvu/assert';
import { GUEST_AT, VirtioDriver } from '../../../test/drivers/virtio-driver.js';
import { spec } from '../../../test/harness/spec.js';
import { STAGE2_RIGHTS } from '../stage2/stage2-map.js';
import { GuestWindow, REFUSED } from './guest-window.js';

const test = spec('guest memory window');
const PAGE = 4096;
const { read, write, execute, all } = STAGE2_RIGHTS;

test('every access needs the right of every page it touches', () => {
  const guest = new VirtioDriver([all, read, write, execute, 0]);
  const window = new GuestWindow(guest.bytes.buffer, guest.place, 3);
  const at = (page: number): number => GUEST_AT + page * PAGE;
  window.within(() => {
    const may = [0, 1, 2, 3, 4].map((page) => [
      window.load16(at(page)) !== REFUSED,
      window.copyOut(at(page) + 4090, new Uint8Array(3)),
      window.store16(at(page), 1),
      window.copyIn(at(page) + 4090, new Uint8Array(3)),
    ]);
    assert.equal(may, [
      [true, true, true, true],
      [true, true, false, false],
      [false, false, true, true],
      [false, false, false, false],
      [false, false, false, false],
    ]);
    assert.ok(window.copyOut(at(0) + 4090, new Uint8Array(12)), 'pages 0 and 1 can be read');
    assert.not.ok(window.copyIn(at(0) + 4090, new Uint8Array(12)), 'page 1 cannot be written');
    assert.not.ok(window.runs(at(0), 5 * PAGE, read, []));
    for (const wild of [-1, 0, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 34, 2 ** 52, 2 ** 63]) {
      assert.is(window.load16(wild), REFUSED);
      assert.not.ok(window.copyIn(wild, new Uint8Array(1)));
    }
    assert.is(window.load16(at(0) + 1), REFUSED, 'words are aligned');
  });
});

test('runs join pages that are neighbours in memory, and no others', () => {
  const guest = new VirtioDriver([all, all, all]);
  // Page 3 behind page 2 of memory: the frame after it is a canary, so map it where page 2 ends.
  const second = guest.host(GUEST_AT + 2 * PAGE);
  guest.stage2.map(GUEST_AT / PAGE + 3, second + PAGE, all);
  const window = new GuestWindow(guest.bytes.buffer, guest.place, 0);
  const views: Uint8Array[] = [];
  assert.ok(window.within(() => window.runs(GUEST_AT + 100, 4 * PAGE - 200, read, views)));
  assert.equal(
    views.map((view) => view.byteLength),
    [PAGE - 100, PAGE, 2 * PAGE - 100],
  );
  assert.is(views[2]?.byteOffset, second);
});

test('who takes a right away can tell when the device has left, and a device looks anew in every turn', () => {
  const guest = new VirtioDriver([all]);
  const window = new GuestWindow(guest.bytes.buffer, guest.place, 5);
  const { block, stage2 } = guest;
  assert.ok(block.hasLeft(5, block.windowTurns(5)), 'nobody is inside');
  let turns = 0;
  window.within(() => {
    assert.is.not(window.load16(GUEST_AT), REFUSED);
    stage2.unmap(GUEST_AT / PAGE);
    turns = block.windowTurns(5);
    assert.not.ok(block.hasLeft(5, turns));
    assert.is(window.load16(GUEST_AT), REFUSED);
  });
  assert.ok(block.hasLeft(5, turns));
  window.within(() => assert.ok(block.hasLeft(5, turns), 'a later turn is none of its concern'));
  assert.throws(() => window.load16(GUEST_AT), 'inside the window only');
  assert.throws(() => window.within(() => window.within(() => 0)), 'do not nest');
});

test.run();
