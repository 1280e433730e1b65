import * as assert from 'uvu/assert';
import type { VcpuStatistics } from '../../actors/vcpu/vcpu.protocol.js';
import { spec } from '../../test/harness/spec.js';
import { statisticsText } from './statistics-text.js';

const test = spec('statistics text');

const cpu: VcpuStatistics = {
  index: 1,
  state: 'sleeping',
  pc: '0x40080000',
  hostThread: 4711,
  exits: { pause: 12_345, wfi: 7, hvc: 0 },
  exceptions: 30,
  exceptionClasses: { svc: 20, brk: 10 },
  interrupts: 5,
  tlbFills: 1000,
  tlbFlushes: 3,
  regions: 40,
  modules: 2,
  modulesInUse: 1,
  codeBytesInUse: 2048,
  evictedRegions: 1,
  refusedRegions: 0,
  deviceAccesses: 9,
  sleeps: 4,
  meter: {
    compiledMs: 600,
    interpretedMs: 200,
    exitsMs: 50,
    idleMs: 150,
    instructions: 85e6,
    gaps: {
      isSettled: true,
      allMs: 800,
      late: 21,
      seen: { p50: 0.0149, p99: 0.4, max: 4.1, lateShare: 0.0212 },
      own: { p50: 0.014, p99: 0.031, max: 0.9, lateShare: 0.0004 },
    },
    hottest: [
      { pc: '0x40080000', share: 0.5, compiled: true, words: [0x91000420, 0x17ffffff] },
      { pc: '0x40090000', share: 0.01, compiled: false, words: [] },
    ],
  },
};

test('everything is said, hot places with their instructions', () => {
  assert.equal(statisticsText(cpu, 2), [
    'cpu 1: sleeping, pc 0x40080000, thread 4711',
    '  about 85 million instructions, 100 MIPS while busy (estimated from samples)',
    '  time 1.0 s: compiled 60 %, interpreted 20 %, exits 5.0 %, idle 15 %',
    '  exceptions 30 (svc 20, brk 10), interrupts 5, sleeps 4',
    '  an interrupt waits 15 us for a look (median), p99 400, longest 4,100, above 50 us 2.12 %; by the thread itself p99 31, longest 900, above 50 us 0.04 %, its first 5 s left out',
    '  exits: pause 12,345, wfi 7; device accesses 9',
    '  TLB: 1,000 misses, 3 flushes',
    '  code: 40 regions in 2 modules compiled, 1 evicted; 1 modules of 2 KiB in use',
    '  hottest places (share of samples):',
    '      50 %  0x40080000  compiled',
    '              add x0, x1, #0x1',
    '              b 0x40080000',
    '     1.0 %  0x40090000  interpreted',
  ]);
  assert.is(statisticsText(cpu, 1).length, 12);
});
test('regions that the scanner refused are told of', () => {
  const text = statisticsText({ ...cpu, refusedRegions: 3 }, 1).join('\n');
  assert.match(text, '1 evicted, 3 refused by the scanner (a bug of ours); 1 modules');
});
test('a vCPU that never ran', () => {
  const waits = { p50: 0, p99: 0, max: 0, lateShare: 0 };
  const gaps = { isSettled: false, allMs: 0, late: 0, seen: waits, own: null };
  const none = { compiledMs: 0, interpretedMs: 0, exitsMs: 0, idleMs: 0, instructions: 0, hottest: [], gaps };
  const text = statisticsText({ ...cpu, hostThread: null, exits: {}, exceptions: 0, meter: none }, 8).join('\n');
  assert.not.match(text, /thread/);
  assert.match(text, /0 MIPS[\s\S]*time 0\.0 s: compiled 0\.0 %[\s\S]*exits: none/);
});
test.run();
