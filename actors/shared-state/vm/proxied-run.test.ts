/** The hand-over of turns between a runner and a processor, and the ranges whose accesses come back. */
import * as assert from 'uvu/assert';
import { spec } from '../../../test/harness/spec.js';
import { ProxiedRun, RUN_STATE } from './proxied-run.js';
import { VM_BLOCK_BYTES, VmBlock } from './vm-block.js';
import { VMMIO_RANGES_MAX, VmmioRanges } from './vmmio-ranges.js';

const test = spec('proxied run');

test('one runner at a time; the exit is read once, by the runner', () => {
  const memory = new SharedArrayBuffer(VM_BLOCK_BYTES);
  const block = new VmBlock(memory, 0);
  block.format(2);
  const [runner, processor, other] = [0, 1, 2].map(() => new ProxiedRun(memory, block, 1));
  assert.ok(runner !== undefined && processor !== undefined && other !== undefined);
  if (runner === undefined || processor === undefined || other === undefined) return;
  assert.not.ok(runner.isProxied);
  runner.setProxied(true);
  assert.ok(processor.isProxied && !new ProxiedRun(memory, block, 0).isProxied);
  assert.ok(runner.begin(77, 0xffff_ffff_1234_5678n, 2));
  assert.not.ok(other.begin(78, 0n, 0), 'busy');
  assert.ok(processor.hasTurn && !processor.isRecalled);
  assert.equal(processor.resume, { value: 0xffff_ffff_1234_5678n, action: 2 });
  assert.is(runner.take(), undefined);
  assert.is(other.peek(), undefined);
  runner.recall();
  assert.ok(processor.isRecalled);
  assert.is(processor.park(RUN_STATE.vmmioWrite, [0x1000n, 8n, 1n << 63n]), 77);
  assert.not.ok(other.begin(78, 0n, 0), 'busy until the exit is read');
  assert.equal(runner.take(), { state: 5, data: [0x1000n, 8n, 1n << 63n] });
  assert.is(runner.take(), undefined);
  assert.is(other.peek()?.state, 5);
  // Attention is called once a turn.
  assert.ok(processor.callAttention() && !processor.callAttention() && runner.hasAttention);
  assert.ok(other.begin(78, 0n, 0) && !runner.hasAttention && !processor.isRecalled);
});

test('VMMIO ranges: all of an access lies in one, also above 4 GiB; the last list counts', () => {
  const memory = new SharedArrayBuffer(VM_BLOCK_BYTES);
  const [core, thread] = [new VmmioRanges(memory, { at: 0 }), new VmmioRanges(memory, { at: 0 })];
  assert.not.ok(thread.has(0, 1));
  core.replace([
    { base: 0, bytes: 0x4000_0000 },
    { base: 2 ** 40, bytes: 0x1000 },
  ]);
  assert.ok(thread.has(0, 8) && thread.has(0x3fff_fff8, 8) && thread.has(2 ** 40 + 0xff8, 8));
  assert.not.ok(thread.has(0x3fff_fffc, 8) || thread.has(2 ** 40 - 1, 1) || thread.has(0x4000_0000, 1));
  core.replace(Array.from({ length: VMMIO_RANGES_MAX }, (_, n) => ({ base: n * 0x2000, bytes: 0x1000 })));
  assert.ok(thread.has(127 * 0x2000, 4) && !thread.has(127 * 0x2000 + 0x1000, 4));
  core.replace([]);
  assert.not.ok(thread.has(0, 1));
});
test.run();
