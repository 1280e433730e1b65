import * as assert from 'uvu/assert';
import { spec } from '../harness/spec.js';
import { parseBench, parseInterrupts, parseLateness, parseSuite } from './reports.js';

const test = spec('guest reports');

test('a benchmark line becomes numbers', () => {
  const console = '# cold: x\nbench sieve iterations 14 ns 23185760 checksum 00002fdb0001ffff\nbench done\n';
  assert.equal(parseBench(console), [{ name: 'sieve', iterations: 14, ns: 23185760, checksum: '00002fdb0001ffff' }]);
});

test('a benchmark that did not reach its end is no report', () => {
  assert.is(parseBench('bench sieve iterations 14 ns 5 checksum 00002fdb0001ffff\npanic: x\n'), undefined);
});

test('a failure of the suite carries its reasons', () => {
  const report = parseSuite(
    'ok 1 a\n# x: got 0x1, want 0x2\nnot ok 2 b\nok 3 c # SKIP no FEAT_PAN\n1..3\n2 passed, 1 failed\n',
  );
  assert.equal(report, {
    passed: 2,
    failed: 1,
    skipped: ['c: no FEAT_PAN'],
    failures: ['# x: got 0x1, want 0x2\nnot ok 2 b'],
  });
});

test('a suite that stops early, or whose counts do not agree, is no report', () => {
  assert.is(parseSuite('ok 1 a\npanic: x\n'), undefined);
  assert.is(parseSuite('ok 1 a\n2 passed, 0 failed\n'), undefined);
});

test('a report of interrupts is a line for each loop and source', () => {
  const line = 'irq alu sgi-start rounds 20 p50 2000 p99 31008 max 45008 late 3\n';
  const parsed = { loop: 'alu', source: 'sgi-start', p50Ns: 2000, p99Ns: 31008, maxNs: 45008, lateShare: 0.15 };
  assert.equal(parseInterrupts(`${line}irq alu timer rounds\n${line}`), [parsed, parsed]);
});

test('a lateness report is five numbers on a line, or none', () => {
  const line = 'lateness rounds 1000 early 0 p50 97296 p99 199296 max 2021232\n';
  assert.equal(parseLateness(line), { rounds: 1000, early: 0, p50Ns: 97296, p99Ns: 199296, maxNs: 2021232 });
  assert.is(parseLateness(line.replace('early 0 ', '')), undefined);
});

test.run();
