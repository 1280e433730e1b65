import * as assert from 'uvu/assert';
import { spec } from '../../test/harness/spec.js';
import { Decoder } from '../decode/decoder.js';
import { INSTRUCTIONS } from '../isa/table.js';
import { groupEntries } from './group-entries.js';
import { pageReader } from './region.js';

const test = spec('entry points that share a region');
const decoder = new Decoder(INSTRUCTIONS);
const ADD = 0x91000400; // add x0, x0, #1
const RET = 0xd65f03c0;
const CALL_AWAY = 0x94004000; // bl to another page
/** cbz x1 (cbnz with `not`) over `words` words. */
const branch = (words: number, not = 0): number => (0xb4000001 | (not << 24) | ((words & 0x7ffff) << 5)) >>> 0;

/** Entries of each region, in ascending order, and whether an edge had to leave it. */
function grouped(words: readonly number[], wanted: readonly number[], beside: readonly number[] = []): string[] {
  const read = pageReader((offset) => words[offset >> 2] ?? 0, decoder);
  return groupEntries(wanted, beside, read).map(({ entries, cut }) => {
    return [...entries].sort((a, b) => a - b).join() + (cut.size > 0 ? ' cut' : '');
  });
}

/** A function with a call that it may step over, behind which both ways meet. */
const FUNCTION = [ADD, branch(3), CALL_AWAY, ADD, ADD, RET];
/** The same as the body of a loop. */
const LOOP = [ADD, branch(3), CALL_AWAY, ADD, ADD, branch(-5, 1), RET];

test('a function and where its call returns to are one region, whichever was wanted first', () => {
  assert.equal(grouped(FUNCTION, [0, 12]), ['0,12']);
  assert.equal(grouped(FUNCTION, [12, 0]), ['0,12']);
  assert.equal(grouped(FUNCTION, [0], [12]), ['0,12']);
  assert.equal(grouped(FUNCTION, [20], [0]), ['20'], 'what nobody wanted is not larger than what was');
  assert.equal(grouped(FUNCTION, [0], [12, 16, 20]), ['0,12,16,20']);
});

test('a loop is entered beside its head by a region of its own only', () => {
  assert.equal(grouped(LOOP, [0, 12]), ['0', '12'], 'the way from the call comes in behind the head');
  const rounds = [ADD, branch(2), ADD, ADD, branch(-4, 1), RET];
  assert.equal(grouped(rounds, [0, 12]), ['0', '12']);
  assert.equal(grouped(rounds, [0], [4, 8, 12, 16, 20]), ['0,20']);
  assert.equal(grouped([ADD, ...rounds], [0, 4]), ['0,4'], 'its head is free');
});

test('what has no code in common stays apart, and what is no instruction is left out', () => {
  assert.equal(grouped([ADD, RET, ADD, RET, 0], [0, 8, 16], [4]), ['0,4', '8']);
});

test.run();
