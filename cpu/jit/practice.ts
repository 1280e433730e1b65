/**
 * Translates a page of its own before there is a guest. The first translation of a thread takes some fifteen milliseconds, as all code of the translator
 * is met for the first time; a worker that waits for its machine has done that before.
 */
import { Decoder } from '../decode/decoder.js';
import { SIMD } from '../isa/simd/table.js';
import { INSTRUCTIONS } from '../isa/table.js';
import { compileBatch } from './compile-batch.js';
import type { EntryPoint } from './translate.js';

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

const RET = 0xd65f03c0;
const PAGE_BYTES = 4096;
/** What the fields of an instruction hold that its pattern leaves open: several registers, small numbers. */
const OPERANDS = [0x0003_0441, 0x0002_0422, 0x0000_0041];

/** See the head of this file; whether its code was accepted. */
export function practise(): boolean {
  return practiseOn([PROGRAM], () => [0]);
}

/** The same for a thread that does nothing but translate: one of each instruction a kernel is made of, too. */
export function practiseAll(): boolean {
  const decoder = new Decoder(INSTRUCTIONS);
  const isVector = new Set<unknown>(SIMD);
  const pages: number[][] = [];
  for (const instruction of INSTRUCTIONS) {
    const { value, mask } = instruction;
    const words = OPERANDS.map((operands) => (value | (operands & ~mask)) >>> 0);
    const word = isVector.has(instruction) ? undefined : words.find((one) => decoder.decode(one) === instruction);
    if (word === undefined) continue;
    if ((pages.at(-1)?.length ?? PAGE_BYTES / 4) === PAGE_BYTES / 4) pages.push([]);
    pages.at(-1)?.push(word, RET);
  }
  return practise() && practiseOn(pages, (page) => page.map((_, n) => n * 4).filter((offset) => offset % 8 === 0));
}

function practiseOn(
  pages: readonly (readonly number[])[],
  entriesOf: (page: readonly number[]) => readonly number[],
): boolean {
  const view = new DataView(new ArrayBuffer(pages.length * PAGE_BYTES));
  const entries: EntryPoint[] = [];
  for (const [n, page] of pages.entries()) {
    const host = n * PAGE_BYTES;
    for (const [at, word] of page.entries()) view.setUint32(host + at * 4, word, true);
    for (const offset of entriesOf(page)) entries.push({ host, offset });
  }
  const { modules, refusals } = compileBatch(view, new Decoder(INSTRUCTIONS), entries);
  return modules.length === 1 && refusals.length === 0;
}
