/** Which accesses share an address. That results stay the same is for test/differential (its blocks have such pairs) and the scanner. */
import * as assert from 'uvu/assert';
import { spec } from '../../test/harness/spec.js';
import { Decoder } from '../decode/decoder.js';
import { INSTRUCTIONS } from '../isa/table.js';
import { discoverRegion, pageReader } from './region.js';
import { sharedAddresses } from './same-address.js';

const test = spec('same address');
const LDR_X3 = 0xf8657823; // ldr x3, [x1, x5, lsl #3]
const LDR_X7 = 0xf8657967; // ldr x7, [x11, x5, lsl #3]
const STR_X7 = 0xf8257967; // str x7, [x11, x5, lsl #3]
const LDRB_W7 = 0x38657967; // ldrb w7, [x11, x5, lsl #0]
const LDR_X5 = 0xf8657965; // ldr x5, [x11, x5, lsl #3]
const ADD_X7 = 0x8b0300e7; // add x7, x7, x3
const ADD_X11 = 0x9100056b; // add x11, x11, #1
const MRS_CCSIDR = 0xd5390000; // done by a handler
const RET = 0xd65f03c0;

/** By place in the block: the place of the access that is looked up, and whether it is for writing. */
function shared(...words: readonly number[]): Record<number, string> {
  const read = pageReader((offset) => words[offset / 4] ?? 0, new Decoder(INSTRUCTIONS));
  const region = discoverRegion([0], read);
  assert.ok(region !== undefined);
  const places: Record<number, string> = {};
  for (const [{ offset }, { first, writes }] of sharedAddresses(region.root)) {
    places[offset / 4] = `${first.offset / 4}${writes ? ' written' : ''}`;
  }
  return places;
}

test('a store goes where a load went before it', () => {
  assert.equal(shared(LDR_X3, LDR_X7, ADD_X7, STR_X7, RET), { 1: '1 written', 3: '1 written' });
});

test('two loads share what is good for reading', () => {
  assert.equal(shared(LDR_X7, ADD_X7, LDR_X7, RET), { 0: '0', 2: '0' });
});

test('a register written in between, another size or a handler makes another address of it', () => {
  assert.equal(shared(LDR_X7, ADD_X11, STR_X7, RET), {});
  assert.equal(shared(LDR_X5, STR_X7, RET), {});
  assert.equal(shared(LDRB_W7, STR_X7, RET), {});
  assert.equal(shared(LDR_X7, MRS_CCSIDR, STR_X7, RET), {});
});

test.run();
