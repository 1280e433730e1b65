/** The early collection, in a thread whose heap V8 tells about: it is made once, before the time is over, and the memory is let go. */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import * as assert from 'uvu/assert';
import { spec } from '../../test/harness/spec.js';
import { COLLECTION_MS, OwnHeap } from './own-heap.js';

const test = spec('heap of a vCPU');
const MODULE = fileURLToPath(new URL('./own-heap.js', import.meta.url));
/** In a worker of a vCPU's size, which makes little garbage; `asks`: whether it asks for the collection. */
const program = (asks: boolean): string => `
  import { Worker, isMainThread } from 'node:worker_threads';
  new Worker(\`
    import { OwnHeap } from ${JSON.stringify(MODULE)};
    const heap = new OwnHeap();
    const from = performance.now();
    let kept = 0;
    for (let now = 0; now < 2_500; now = performance.now() - from) {
      if (${asks}) heap.collects(now, 2_000 - now);
      kept += [now].length;
    }
    if (heap.isDone !== ${asks}) throw new Error('it is done when its time is over');
  \`, { eval: true, execArgv: ['--input-type=module'], resourceLimits: { maxOldGenerationSizeMb: 256, maxYoungGenerationSizeMb: 16 } });`;

/** When collections of old objects ended in such a worker, in milliseconds after its start. */
function collected(asks: boolean): number[] {
  const args = ['--single-threaded-gc', '--trace-gc', '--input-type=module', '-e', program(asks)];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
  assert.is(status, 0, stderr);
  return [...stdout.matchAll(/(\d+) ms: Mark-Compact/g)].map(([, ms]) => Number(ms));
}

test('a heap that is asked to collects its old objects once, and would not have by itself', () => {
  assert.equal(collected(false), []);
  const ended = collected(true);
  assert.is(ended.length, 1, ended.join(' '));
});

test('nothing happens before its time, and nothing after', () => {
  const heap = new OwnHeap();
  const before = process.memoryUsage().arrayBuffers;
  for (let now = 0; now < 1_000; now++) heap.collects(now, COLLECTION_MS + 1_000 - now);
  assert.ok(process.memoryUsage().arrayBuffers - before < 1 << 20);
  heap.collects(2_000, 0);
  assert.is(heap.isDone, true);
  heap.collects(2_001, 10);
  assert.ok(process.memoryUsage().arrayBuffers - before < 1 << 20);
});
test.run();
