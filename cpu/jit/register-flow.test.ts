/** What regions load and store of registers. That results stay the same is for test/differential and test/system-programs. */
import * as assert from 'uvu/assert';
import { spec } from '../../test/harness/spec.js';
import { Decoder } from '../decode/decoder.js';
import { INSTRUCTIONS } from '../isa/table.js';
import { discoverRegion, pageReader } from './region.js';
import { RegisterFlow, type RegisterSet } from './register-flow.js';

const test = spec('register flow');
const ADD_X1_X2_1 = 0x91000441; // add x1, x2, #1
const ADD_X1_X1_1 = 0x91000421;
const ADD_X1_X1_X0 = 0x8b000021;
const CBZ_X1_8 = 0xb4000041;
const MOV_X3_X4 = 0xaa0403e3;
const LDR_X5_X6 = 0xf94000c5; // ldr x5, [x6]
const LDR_Q0_SP = 0x3dc003e0; // ldr q0, [sp]
const FADD_V1 = 0x4e20d401; // fadd v1.4s, v0.4s, v0.4s
const LD2_V1 = 0x4c4088c1; // ld2 {v1.4s, v2.4s}, [x6]
const MRS_CCSIDR = 0xd539_0000;
const CBNZ_X1_BACK = 0xb5ffffe1; // cbnz x1, -4
const RET = 0xd65f03c0;

function flowOf(words: readonly number[]) {
  const read = pageReader((offset) => words[offset / 4] ?? 0, new Decoder(INSTRUCTIONS));
  const region = discoverRegion([0], read);
  assert.ok(region !== undefined);
  return { region, flow: new RegisterFlow(region) };
}
const bits = (mask: number): number[] => Array.from({ length: 32 }, (_, n) => n).filter((n) => (mask >>> n) & 1);
const numbers = ({ x, v }: RegisterSet) => ({ x: bits(x), v: bits(v) });

test('what is surely written before it is read or stored is not loaded', () => {
  const { region, flow } = flowOf([ADD_X1_X2_1, LDR_X5_X6, RET]);
  assert.equal(numbers(flow.neededAt(region.root)), { x: [2, 6, 30], v: [] });
});

test('what may have been written is stored, and so has to be loaded where it need not have been', () => {
  const { region, flow } = flowOf([ADD_X1_X2_1, CBZ_X1_8, MOV_X3_X4, LDR_X5_X6, RET]);
  assert.equal(numbers(flow.neededAt(region.root)), { x: [2, 3, 4, 6, 30], v: [] });
  const joined = region.blocks.get(12);
  assert.ok(joined !== undefined);
  assert.equal(numbers(flow.writtenAt(joined)), { x: [1, 3], v: [] });
  assert.equal(numbers(flow.writtenAt(region.root)), { x: [], v: [] });
});

test('a loop’s head has what its body writes', () => {
  const { region, flow } = flowOf([LDR_X5_X6, ADD_X1_X1_1, CBNZ_X1_BACK, RET]);
  const head = region.blocks.get(4);
  assert.ok(head !== undefined);
  assert.equal(numbers(flow.writtenAt(head)), { x: [1, 5], v: [] });
});

test('vectors are followed too; several of one operand are taken to be read', () => {
  const plain = flowOf([LDR_Q0_SP, FADD_V1, RET]);
  assert.equal(numbers(plain.flow.neededAt(plain.region.root)), { x: [30, 31], v: [] });
  const several = flowOf([LD2_V1, RET]);
  assert.equal(numbers(several.flow.neededAt(several.region.root)), { x: [6, 30], v: [1, 2] });
});

test('a handler finds everything stored, and what comes behind it is loaded there', () => {
  const { region, flow } = flowOf([ADD_X1_X1_1, MRS_CCSIDR, ADD_X1_X1_X0, RET]);
  assert.equal(numbers(flow.neededAt(region.root)), { x: [1], v: [] });
  assert.equal(numbers(flow.neededBehind(region.root, 1)), { x: [0, 1, 30], v: [] });
  const [add, handled] = region.root.instructions;
  assert.ok(add !== undefined && handled !== undefined);
  const written = flow.writtenBehind(add, { x: 0, v: 0 });
  assert.equal(numbers(written), { x: [1], v: [] });
  assert.equal(numbers(flow.writtenBehind(handled, written)), { x: [], v: [] });
});

test.run();
