import * as assert from 'uvu/assert';
import { TestRandom } from '../../test/drivers/fp-operands.js';
import { bothMatch, firstWithTwoMeanings, overlaps, sharedWord } from '../../test/drivers/table-overlap.js';
import { spec } from '../../test/harness/spec.js';
import { type Instruction, instruction } from '../isa/instruction.js';
import { INSTRUCTIONS } from '../isa/table.js';
import { Decoder } from './decoder.js';

const test = spec('cpu/decode');
const decoder = new Decoder(INSTRUCTIONS);
const SHARED_WORDS_PER_PAIR = 4096;

test('patterns that share words differ by a condition, and random shared words have one meaning', () => {
  const random = new TestRandom(1);
  for (const overlap of overlaps(INSTRUCTIONS)) {
    const names = `${overlap.a.name} and ${overlap.b.name}`;
    assert.ok(overlap.a.when !== undefined || overlap.b.when !== undefined, `${names} share all words`);
    for (let i = 0; i < SHARED_WORDS_PER_PAIR; i++) {
      const word = sharedWord(overlap, random.u32());
      assert.not(bothMatch(overlap, word), `${names} both match ${word.toString(16)}`);
    }
  }
});

test('an overlap that a condition leaves is found', () => {
  const some: Instruction[] = [
    instruction('A', '0 a:1 000000 00000000 00000000 00000000', { when: (f) => f.a === 1 }, () => undefined),
    instruction('B', '0 1 00000 b:1 00000000 00000000 00000000', {}, () => undefined),
  ];
  const found = overlaps(some);
  assert.is(found.length, 1);
  // Both match where A's a is set, which B fixes, whatever b is.
  assert.equal(found.map(firstWithTwoMeanings), [0x4000_0000]);
  const [overlap] = found;
  assert.ok(overlap !== undefined && bothMatch(overlap, sharedWord(overlap, 0xffff_ffff)));
});

test('of the words that two entries share every one is tried', () => {
  const never = { when: () => false };
  const tried: number[] = [];
  const note = { when: (f: { readonly a: number; readonly b: number }) => tried.push(f.a * 4 + f.b) < 0 };
  const a = instruction('A', '0 a:1 000000 00000000 00000000 0000 b:2 00', note, () => undefined);
  const b = instruction('B', '0 c:1 000000 00000000 00000000 0000 d:1 000', never, () => undefined);
  for (const overlap of overlaps([b, a])) assert.is(firstWithTwoMeanings(overlap), undefined);
  assert.equal(tried, [0, 2, 4, 6]);
});

test('random words have at most one meaning, and decode agrees with it', () => {
  const random = new TestRandom(2);
  for (let i = 0; i < 200_000; i++) {
    const word = random.u32();
    const matches = decoder.matches(word);
    assert.ok(matches.length <= 1, `${word.toString(16)}: ${matches.map(({ name }) => name).join(' and ')}`);
    assert.is(decoder.decode(word), matches[0]);
  }
});

test('names are unique', () => {
  assert.is(new Set(INSTRUCTIONS.map(({ name }) => name)).size, INSTRUCTIONS.length);
});

test('words without a meaning do not decode', () => {
  // UDF, a hole in the load/store space, ADD (extended) by more than 4, a 32-bit MOVZ with hw 2, a reserved bitmask.
  for (const word of [0x0000_0000, 0x0000_beef, 0x0b20_1400, 0x52c0_0000, 0x1200_fc00, 0xffff_ffff]) {
    assert.is(decoder.decode(word), undefined, word.toString(16));
  }
});

test.run();
