/** Which accesses of a loop are taken to wait for a load of the round before. Guesses decide speed alone, never results. */
import * as assert from 'uvu/assert';
import { spec } from '../../test/harness/spec.js';
import { Decoder } from '../decode/decoder.js';
import { INSTRUCTIONS } from '../isa/table.js';
import { loopGuesses } from './loop-guesses.js';
import { discoverRegion, pageReader } from './region.js';

const test = spec('loop guesses');
const LDR_X0_X0 = 0xf9400000; // ldr x0, [x0]
const LDR_X3_X0 = 0xf9400403; // ldr x3, [x0, #8]
const LDR_X2_INDEX = 0xf8627802; // ldr x2, [x0, x2, lsl #3]
const EOR_X2 = 0xca030042; // eor x2, x2, x3
const AND_X2_X1 = 0x92400422; // and x2, x1, #3
const ADD_X1 = 0x91000421; // add x1, x1, #1
const CBZ_X3_OVER_ONE = 0xb4000043; // cbz x3, +8
/** CBNZ x1 to the first of `words` that precede it, and RET. */
const again = (words: number): readonly number[] => [(0xb5000001 | ((-words & 0x7ffff) << 5)) >>> 0, 0xd65f03c0];

/** Places in the loop of what is in a chain. */
function chain(...words: readonly number[]): readonly number[] {
  const all = [...words, ...again(words.length)];
  const region = discoverRegion(
    [0],
    pageReader((offset) => all[offset / 4] ?? 0, new Decoder(INSTRUCTIONS)),
  );
  assert.ok(region !== undefined);
  const places = new Set([...loopGuesses(region).values()].flatMap((guesses) => [...guesses.chain]));
  return [...places].map(({ offset }) => offset / 4).sort((a, b) => a - b);
}

test('the next node of a list, and what else is read of it', () => {
  assert.equal(chain(LDR_X0_X0, LDR_X3_X0, ADD_X1), [0, 1]);
});

test('a table looked up with what was looked up', () => {
  assert.equal(chain(EOR_X2, LDR_X2_INDEX, ADD_X1), [1]);
});

test('a register that is written anew in each round leads nothing into the next', () => {
  assert.equal(chain(AND_X2_X1, LDR_X2_INDEX, ADD_X1), []);
});

test('one that is written anew in some rounds does', () => {
  assert.equal(chain(CBZ_X3_OVER_ONE, AND_X2_X1, LDR_X2_INDEX, ADD_X1), [2]);
});

test.run();
