import * as assert from 'uvu/assert';
import { seededRandom } from '../../test/harness/mutations.js';
import { spec } from '../../test/harness/spec.js';
import { Pl061 } from './pl061.js';

const test = spec('pl061');
const DIR = 0x400;
const IS = 0x404;
const IBE = 0x408;
const IEV = 0x40c;
const IE = 0x410;
const RIS = 0x414;
const MIS = 0x418;
const IC = 0x41c;
const BUTTON = 3;
const BIT = 1 << BUTTON;
/** GPIODATA with all lines selected. */
const DATA_ALL = 0x3fc;

function gpio(): { model: Pl061; levels: boolean[] } {
  const levels: boolean[] = [];
  return { model: new Pl061({ setLevel: (high) => levels.push(high) }), levels };
}

test('pressing the button interrupts on both edges, as gpio-keys sets it up', () => {
  const { model, levels } = gpio();
  model.write(IBE, 4, BIT);
  model.write(IE, 4, BIT);
  model.setLine(BUTTON, true);
  assert.is(model.read(DATA_ALL, 4), BIT);
  assert.is(model.read(MIS, 4), BIT);
  model.write(IC, 4, BIT);
  model.setLine(BUTTON, false);
  assert.equal(levels, [true, false, true]);
});

test('a rising-edge interrupt ignores the falling edge, as the ACPI event sets it up', () => {
  const { model, levels } = gpio();
  model.write(IEV, 4, BIT);
  model.write(IE, 4, BIT);
  model.setLine(BUTTON, true);
  model.write(IC, 4, BIT);
  model.setLine(BUTTON, false);
  assert.equal(levels, [true, false]);
});

test('a level interrupt follows the line and cannot be cleared', () => {
  const { model, levels } = gpio();
  model.write(IS, 4, BIT);
  model.write(IEV, 4, BIT);
  model.write(IE, 4, BIT);
  model.setLine(BUTTON, true);
  model.write(IC, 4, 0xff);
  assert.is(model.read(RIS, 4), BIT);
  model.setLine(BUTTON, false);
  assert.equal(levels, [true, false]);
});

test('address bits select the lines of a data access', () => {
  const { model } = gpio();
  model.write(DIR, 4, 0xf0);
  model.write(DATA_ALL, 4, 0xff);
  assert.is(model.read(DATA_ALL, 4), 0xf0, 'only outputs take what is written');
  model.write(0x10 << 2, 4, 0);
  assert.is(model.read(DATA_ALL, 4), 0xe0);
  assert.is(model.read(0x80 << 2, 4), 0x80);
});

test('100,000 random accesses never throw, and the line agrees with the masked interrupts', () => {
  const { model, levels } = gpio();
  const random = seededRandom(61);
  const widths = [1, 2, 4, 8] as const;
  for (let i = 0; i < 100_000; i++) {
    const offset = random() < 0.8 ? 0x400 + Math.floor(random() * 9) * 4 : Math.floor(random() * 0x1004);
    const bytes = widths[Math.floor(random() * 4)] ?? 4;
    if (random() < 0.3) model.setLine(Math.floor(random() * 8), random() < 0.5);
    else if (random() < 0.5) model.write(offset, bytes, Math.floor(random() * 2 ** 32));
    else assert.ok(model.read(offset, bytes) <= 0xff);
    assert.is(levels.at(-1) ?? false, model.read(MIS, 4) !== 0);
  }
});

test.run();
