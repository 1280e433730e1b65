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
    [0x4ea28420, 'add v0.4s, v1.4s, v2.4s'],
    [0x4ea11c20, 'mov v0.16b, v1.16b'],
    [0x4f8288a3, 'mul v3.4s, v5.4s, v2.s[2]'],
    [0x0f0c8420, 'shrn v0.8b, v1.8h, #4'],
    [0x4e183c20, 'mov x0, v1.d[1]'],
    [0x4f00f400, 'fmov v0.4s, #2.000000000000000000e+00'],
    [0x3dc00441, 'ldr q1, [x2, #16]'],
    [0xad7f0440, 'ldp q0, q1, [x2, #-32]'],
    [0x4cdf2041, 'ld1 {v1.16b-v4.16b}, [x2], #64'],
    [0x1e622020, 'fcmp d1, d2'],
    [0x9e780020, 'fcvtzs x0, d1'],
    [0xd5381000, 'mrs x0, sctlr_el1'],
    [0xd5088321, 'tlbi vae1is, x1'],
    [0xd50b7422, 'dc zva, x2'],
    [0xd50342df, 'msr daifset, #0x2'],
  ];
  for (const [word, text] of samples) assert.is(disassemble(decoder, word, 0x1000n), text);
});

test('every entry has a text, and what has no meaning still reads', () => {
  assert.is(disassemble(decoder, 0, 0n), '.inst 0x00000000');
  for (const entry of INSTRUCTIONS) {
    if (decoder.decode(entry.value) === entry) assert.match(disassemble(decoder, entry.value, 0n), /^[a-z0-9.]+( |$)/);
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
