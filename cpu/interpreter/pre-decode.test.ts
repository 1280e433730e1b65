import * as assert from 'uvu/assert';
import { TestRandom } from '../../test/drivers/fp-operands.js';
import { spec } from '../../test/harness/spec.js';
import { Decoder } from '../decode/decoder.js';
import { fieldsOf, type Instruction } from '../isa/instruction.js';
import { INSTRUCTIONS } from '../isa/table.js';
import { SLOT_DISCARD, SLOT_ZERO } from '../state.js';
import { RecordWriter } from './pre-decode.js';
import { HANDLER, HandlerNumbers, RECORD, RECORD_BYTES, REGION_BIT, registerOffset } from './record.js';

const test = spec('records');
const WORDS_EACH = 40;

const numbers = new HandlerNumbers(INSTRUCTIONS);
const decoder = new Decoder(INSTRUCTIONS);
const reads = new Uint8Array(numbers.count);
for (let n = 0; n < reads.length; n++) reads[n] = n * 7;

/** What the record of `word` holds, from all fields by their names. */
function expected(entry: Instruction, word: number): Uint8Array {
  const bytes = new Uint8Array(RECORD_BYTES);
  const view = new DataView(bytes.buffer);
  const fields = fieldsOf(entry, word);
  const handler = numbers.of(entry, fields);
  view.setUint16(RECORD.handler, handler, true);
  entry.registers.forEach(({ kind, number }, i) => {
    const zero = ((reads[handler] ?? 0) >> i) & 1 ? SLOT_ZERO : SLOT_DISCARD;
    const slot = number(fields);
    bytes[registerOffset(i)] = kind === 'x' && slot === 31 ? zero : slot;
  });
  const values = entry.immediates.map(({ compute }) => compute(fields));
  if (values.length === 1) view.setBigInt64(RECORD.immediate, BigInt.asIntN(64, BigInt(values[0] ?? 0)), true);
  else values.forEach((value, i) => void view.setInt32(RECORD.immediate + i * 4, Number(value), true));
  return bytes;
}

test('a record holds what the fields of its word say, and keeps its mark', () => {
  const random = new TestRandom(7);
  const bytes = new Uint8Array(RECORD_BYTES);
  const view = new DataView(bytes.buffer);
  const writer = new RecordWriter(view, numbers, reads);
  let written = 0;
  for (const instruction of INSTRUCTIONS) {
    for (let n = 0; n < WORDS_EACH; n++) {
      const word = (instruction.value | (random.u32() & ~instruction.mask)) >>> 0;
      const entry = decoder.decode(word);
      if (entry === undefined) continue;
      bytes.fill(0);
      const mark = n % 2 === 0 ? REGION_BIT : 0;
      view.setUint16(RECORD.handler, mark, true);
      writer.write(0, word, entry);
      assert.is(view.getUint16(RECORD.handler, true) & REGION_BIT, mark);
      view.setUint16(RECORD.handler, view.getUint16(RECORD.handler, true) & ~REGION_BIT, true);
      assert.equal([...bytes], [...expected(entry, word)], `${entry.name} ${word.toString(16)}`);
      written++;
    }
  }
  assert.ok(written > INSTRUCTIONS.length * 10, String(written));
  writer.write(0, 0xdead_0000, undefined);
  assert.is(view.getUint16(RECORD.handler, true), HANDLER.undefined);
});

test.run();
