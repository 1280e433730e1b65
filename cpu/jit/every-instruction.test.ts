/** Every instruction of the table, with each of its variants, in a region: the scanner accepts what is emitted for it. */
import * as assert from 'uvu/assert';
import { spec } from '../../test/harness/spec.js';
import { Decoder } from '../decode/decoder.js';
import type { Instruction } from '../isa/instruction.js';
import { INSTRUCTIONS } from '../isa/table.js';
import { compileBatch } from './compile-batch.js';
import { describeRefusal } from './scanner/refusal.js';

const test = spec('every instruction in a region');
const decoder = new Decoder(INSTRUCTIONS);
const [ADD, RET] = [0x8b020020, 0xd65f03c0];
/** Words tried for each instruction: the fields that its pattern leaves open come from these and from a generator. */
const TRIES = 64;

/** Words of `instruction`, one for each variant combination that was met. */
function wordsOf(instruction: Instruction): readonly number[] {
  const { value, mask, variants } = instruction;
  const words = new Map<string, number>();
  let seed = value | 1;
  for (let n = 0; n < TRIES; n++) {
    const open = n === 0 ? 0x0002_0441 : seed;
    seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) | 0;
    const word = (value | (((open >>> 3) ^ (open << 11)) & ~mask)) >>> 0;
    if (decoder.decode(word) !== instruction) continue;
    const key = variants.map(({ shift, mask: bits }) => (word >>> shift) & bits).join();
    if (!words.has(key)) words.set(key, word);
  }
  return [...words.values()];
}

test('none is refused by the scanner', () => {
  const refused: string[] = [];
  let [found, regions] = [0, 0];
  for (const instruction of INSTRUCTIONS) {
    const words = wordsOf(instruction);
    if (words.length > 0) found++;
    const view = new DataView(new ArrayBuffer(Math.max(1, words.length) * 4096));
    const entries = words.map((word, n) => {
      const host = n * 4096;
      for (const [at, one] of [ADD, word, ADD, RET].entries()) view.setUint32(host + at * 4, one, true);
      return { host, offset: 0 };
    });
    const { modules, refusals } = compileBatch(view, decoder, entries);
    for (const refusal of refusals) refused.push(`${instruction.name}: ${describeRefusal(refusal)}`);
    regions += modules.reduce((sum, module) => sum + module.regions.length, 0);
  }
  assert.equal(refused, []);
  assert.ok(found > INSTRUCTIONS.length * 0.95, `${found} of ${INSTRUCTIONS.length} instructions`);
  assert.ok(regions > INSTRUCTIONS.length, `${regions} regions`);
});

test.run();
