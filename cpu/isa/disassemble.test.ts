import * as assert from 'uvu/assert';
import { spec } from '../../test/harness/spec.js';
import { Decoder } from '../decode/decoder.js';
import { ASSEMBLY } from './assembly.js';
import { disassemble } from './disassemble.js';
import { INSTRUCTIONS } from './table.js';

const test = spec('cpu/isa/disassemble');
const decoder = new Decoder(INSTRUCTIONS);

test('common instructions read as assemblers write them', () => {
  const samples: readonly (readonly [number, string])[] = [
    [0x91004020, 'add x0, x1, #0x10'],
    [0xf1000c3f, 'cmp x1, #0x3'],
    [0xa9bf7bfd, 'stp x29, x30, [sp, #-16]!'],
    [0xf8617841, 'ldr x1, [x2, x1, lsl #3]'],
    [0xd3607c20, 'lsl x0, x1, #32'],
    [0x9a9f17e0, 'cset x0, eq'],
    [0x36180040, 'tbz w0, #3, 0x1008'],
    [0x90000001, 'adrp x1, 0x1000'],
    [0xd5033bbf, 'dmb ish'],
    [0x38210062, 'ldaddb w1, w2, [x3]'],
    [0xd65f03c0, 'ret'],
  ];
  for (const [word, text] of samples) assert.is(disassemble(decoder, word, 0x1000n), text);
});

test('what has no meaning and what has no text of its own still reads', () => {
  assert.is(disassemble(decoder, 0, 0n), '.inst 0x00000000');
  for (const entry of INSTRUCTIONS) {
    if (decoder.decode(entry.value) === entry) assert.ok(disassemble(decoder, entry.value, 0n).length > 0);
  }
});

test('every text belongs to an entry', () => {
  const names = new Set(INSTRUCTIONS.map(({ name }) => name));
  assert.equal(
    Object.keys(ASSEMBLY).filter((name) => !names.has(name)),
    [],
  );
});

test.run();
