/** Frames: taken whole, returned, joined, zeroed on reuse, and never given out twice. */
import * as assert from 'uvu/assert';
import { spec } from '../../test/harness/spec.js';
import { FrameLedger } from '../shared-state/frames/frame-ledger.js';
import { FramePool } from './frame-pool.js';

const test = spec('frame pool');
const PAGE = 4096;

function make(frames: number): { pool: FramePool; ledger: FrameLedger; bytes: Uint8Array } {
  const memory = new SharedArrayBuffer(frames * PAGE);
  const ledger = new FrameLedger(memory, 0, frames);
  return { pool: new FramePool(memory, ledger, PAGE, frames * PAGE), ledger, bytes: new Uint8Array(memory) };
}

test('extents do not overlap and say whose they are', () => {
  const { pool, ledger } = make(16);
  const a = pool.take(3 * PAGE, 1, 'owned');
  const b = pool.take(2 * PAGE, 2, 'core');
  assert.equal(a, { host: PAGE, bytes: 3 * PAGE });
  assert.equal(b, { host: 4 * PAGE, bytes: 2 * PAGE });
  assert.equal(ledger.entry(2 * PAGE), { owner: 1, state: 'owned' });
  assert.equal(ledger.entry(5 * PAGE), { owner: 2, state: 'core' });
  assert.is(pool.freeFrames, 10);
  assert.is(pool.take(11 * PAGE, 3, 'owned'), undefined);
});

test('returned extents join, and reused frames are zero', () => {
  const { pool, bytes } = make(16);
  const taken = [1, 2, 3].map((owner) => pool.take(5 * PAGE, owner, 'owned'));
  assert.is(pool.take(PAGE, 4, 'owned'), undefined);
  bytes.fill(0xaa, PAGE, 16 * PAGE);
  taken.forEach((extent, i) => {
    if (extent !== undefined) pool.give(extent, i + 1, 'owned');
  });
  assert.is(pool.freeFrames, 15);
  const whole = pool.take(15 * PAGE, 9, 'owned');
  assert.equal(whole, { host: PAGE, bytes: 15 * PAGE });
  assert.ok(bytes.subarray(PAGE, 16 * PAGE).every((byte) => byte === 0));
});

test('returning what one does not own is a broken invariant', () => {
  const { pool } = make(8);
  const extent = pool.take(PAGE, 1, 'owned');
  assert.ok(extent !== undefined);
  if (extent === undefined) return;
  assert.throws(() => pool.give(extent, 2, 'owned'), /is not owned of partition 2/);
  pool.give(extent, 1, 'owned');
  assert.throws(() => pool.give(extent, 1, 'owned'), /is not owned/);
});

test('alignment leaves no frame behind', () => {
  const { pool } = make(16);
  const extent = pool.take(4 * PAGE, 1, 'owned', 4 * PAGE);
  assert.is(extent?.host, 4 * PAGE);
  assert.is(pool.freeFrames, 11);
  assert.is(pool.take(3 * PAGE, 1, 'owned')?.host, PAGE);
});
test.run();
