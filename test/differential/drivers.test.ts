import * as assert from 'uvu/assert';
import { FRAME } from '../drivers/case-frame.js';
import { type Driver, InterpreterDriver } from '../drivers/interpreter-driver.js';
import { spec } from '../harness/spec.js';
import { runCampaign, testable } from './campaign.js';

const test = spec('differential/drivers');
const CASES = 16_384;
const qemu = undefined;
/** Two seconds each alone, but regions are compiled for every word. */
const LOADED = { deadlineMs: 120_000 };

test(
  'every instruction alone: handlers = loop = regions',
  () => {
    const drivers = [new InterpreterDriver('loop'), new InterpreterDriver('jit')];
    const result = runCampaign({
      seed: 1,
      cases: CASES,
      only: '',
      setsPerWord: 16,
      blockWords: 1,
      casesPerEntryMin: 0,
      drivers,
      qemu,
    });
    assert.equal(result.differences, []);
    // A word whose cases would all leave the arena is not run: an entry may be missing now and then.
    assert.ok(result.perEntry.size >= testable('').length * 0.99);
  },
  LOADED,
);

test(
  'blocks of up to eight instructions: handlers = loop = regions',
  () => {
    const drivers = [new InterpreterDriver('loop'), new InterpreterDriver('jit')];
    const result = runCampaign({
      seed: 2,
      cases: CASES,
      only: '',
      setsPerWord: 16,
      blockWords: 8,
      casesPerEntryMin: 0,
      drivers,
      qemu,
    });
    assert.equal(result.differences, []);
  },
  LOADED,
);

test('a driver that sets a flag wrongly once in a while is found, with the instruction and its operands', () => {
  const loop = new InterpreterDriver('loop');
  let runs = 0;
  const faulty: Driver = {
    name: 'faulty',
    load: (image) => loop.load(image),
    run(input, output, at) {
      loop.run(input, output, at);
      if (++runs % 1000 === 0)
        output.setUint32(at + FRAME.nzcv, output.getUint32(at + FRAME.nzcv, true) ^ (1 << 29), true);
    },
  };
  const result = runCampaign({
    setsPerWord: 16,
    seed: 3,
    cases: 4096,
    only: 'adds',
    blockWords: 1,
    casesPerEntryMin: 0,
    drivers: [faulty],
    qemu,
  });
  assert.ok(result.differences.length >= 4);
  assert.match(result.differences[0] ?? '', /faulty against handlers: ADDS .*rn.*nzcv: /);
});

test.run();
