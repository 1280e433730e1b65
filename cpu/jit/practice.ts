/**
 * Translates a page of its own before there is a guest. The first translation of a thread takes some fifteen milliseconds, as all code of the translator
 * is met for the first time; a worker that waits for its machine has done that before.
 */
import { Decoder } from '../decode/decoder.js';
import { INSTRUCTIONS } from '../isa/table.js';
import { compileBatch } from './compile-batch.js';

/** What programs begin with: they clear memory, copy, compare, call and return. */
const PROGRAM = [
  0xa8817c3f, // stp xzr, xzr, [x1], #16
  0xeb02003f, // cmp x1, x2
  0x54ffffc3, // b.lo .-8
  0xd2a00601, // mov x1, #0x300000
  0x90000061, // adrp x1, .
  0x91012021, // add x1, x1, #0x48
  0xf9400020, // ldr x0, [x1]
  0x39400022, // ldrb w2, [x1]
  0x39000022, // strb w2, [x1]
  0xb9000020, // str w0, [x1]
  0x1b020c20, // madd w0, w1, w2, w3
  0x12001c00, // and w0, w0, #0xff
  0x7100041f, // cmp w0, #1
  0x54fffe60, // b.eq .-52
  0xb4fffe40, // cbz x0, .-56
  0xa9be7bfd, // stp x29, x30, [sp, #-32]!
  0xa8c27bfd, // ldp x29, x30, [sp], #32
  0xd65f03c0, // ret
];

/** See the head of this file; whether its code was accepted. */
export function practise(): boolean {
  const view = new DataView(new ArrayBuffer(4096));
  for (const [n, word] of PROGRAM.entries()) view.setUint32(n * 4, word, true);
  const { modules, refusals } = compileBatch(view, new Decoder(INSTRUCTIONS), [{ host: 0, offset: 0 }]);
  return modules.length === 1 && refusals.length === 0;
}
