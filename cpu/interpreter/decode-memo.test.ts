import * as assert from 'uvu/assert';
import { spec } from '../../test/harness/spec.js';
import { Decoder } from '../decode/decoder.js';
import { INSTRUCTIONS } from '../isa/table.js';
import { DecodeMemo } from './decode-memo.js';
import { RecordWriter } from './pre-decode.js';
import { HandlerNumbers, RECORD, RECORD_BYTES, REGION_BIT } from './record.js';

const test = spec('records by word');
const decoder = new Decoder(INSTRUCTIONS);
const numbers = new HandlerNumbers(INSTRUCTIONS);

test('a recalled record is the record that was made, but for mark and count', () => {
  const memory = new ArrayBuffer(4 * RECORD_BYTES);
  const view = new DataView(memory);
  const memo = new DecodeMemo(new Int32Array(memory));
  const writer = new RecordWriter(view, numbers, new Uint8Array(numbers.count));
  let state = 1;
  let known = 0;
  for (let n = 0; n < 200_000; n++) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    const word = n % 3 === 0 ? state : state & 0x9fff_ffff;
    const [made, recalled] = [0, RECORD_BYTES];
    new Uint8Array(memory).fill(0);
    for (const at of [made, recalled]) {
      view.setUint16(at + RECORD.handler, n % 2 === 0 ? REGION_BIT : 0, true);
      view.setUint16(at + RECORD.count, n & 0xffff, true);
    }
    writer.write(made, word, decoder.decode(word));
    if (n % 5 !== 0) memo.remember(word, made);
    if (!memo.recall(word, recalled)) continue;
    known++;
    const bytes = (at: number): number[] => [...new Uint8Array(memory, at, RECORD_BYTES)];
    // An unallocated word takes no mark: no region starts there.
    if (decoder.decode(word) !== undefined) assert.equal(bytes(recalled), bytes(made), `word ${word.toString(16)}`);
  }
  assert.ok(known >= 160_000);
  assert.not(new DecodeMemo(new Int32Array(memory)).recall(0, 0), 'nothing is known at first, not even word 0');
});

test.run();
