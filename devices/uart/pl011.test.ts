import * as assert from 'uvu/assert';
import { seededRandom } from '../../test/harness/mutations.js';
import { spec } from '../../test/harness/spec.js';
import { Pl011 } from './pl011.js';

const test = spec('pl011');
const DR = 0x00;
const RSR = 0x04;
const FR = 0x18;
const LCRH = 0x2c;
const CR = 0x30;
const IFLS = 0x34;
const IMSC = 0x38;
const RIS = 0x3c;
const MIS = 0x40;
const ICR = 0x44;
const FEN = 0x10;

function uart(): { model: Pl011; sent: number[]; levels: boolean[]; rooms: { count: number } } {
  const sent: number[] = [];
  const levels: boolean[] = [];
  const rooms = { count: 0 };
  const model = new Pl011({
    transmit: (byte) => sent.push(byte),
    setLevel: (high) => levels.push(high),
    roomAgain: () => {
      rooms.count++;
    },
  });
  return { model, sent, levels, rooms };
}

test('characters written to the data register come out, and the transmitter is never busy', () => {
  const { model, sent } = uart();
  for (const byte of [0x48, 0x69, 0x1ff]) model.write(DR, 4, byte);
  assert.equal(sent, [0x48, 0x69, 0xff]);
  assert.is(model.read(FR, 4), 0x90);
});

test('reset values and identification are those of the manual', () => {
  const { model } = uart();
  assert.is(model.read(CR, 4), 0x300);
  assert.is(model.read(IFLS, 4), 0x12);
  const id = Array.from({ length: 8 }, (_, i) => model.read(0xfe0 + i * 4, 4));
  assert.equal(id, [0x11, 0x10, 0x34, 0x00, 0x0d, 0xf0, 0x05, 0xb1]);
});

test('received characters are read in order; flags and interrupts follow the FIFO', () => {
  const { model, levels } = uart();
  model.write(LCRH, 4, FEN);
  model.write(IMSC, 4, 0x50);
  for (let i = 0; i < 8; i++) model.receive(0x30 + i);
  assert.equal(levels, [true]);
  assert.is(model.read(RIS, 4), 0x50, 'level 8 reached, and characters wait');
  assert.is(model.read(DR, 4), 0x30);
  assert.is(model.read(MIS, 4), 0x40, 'below the level only the timeout stays');
  for (let i = 1; i < 8; i++) assert.is(model.read(DR, 1), 0x30 + i);
  assert.equal(levels, [true, false]);
  assert.is(model.read(FR, 4) & 0x10, 0x10);
});

test('an overrun loses the new character and says so until cleared', () => {
  const { model, rooms } = uart();
  assert.is(model.room, 1, 'without FIFO there is one holding register');
  model.write(LCRH, 4, FEN);
  assert.is(model.room, 16);
  for (let i = 0; i < 17; i++) model.receive(i);
  assert.is(model.read(RSR, 4) & 8, 8);
  assert.is(model.read(RIS, 4) & 0x400, 0x400);
  assert.is(model.read(DR, 4), 0);
  assert.is(rooms.count, 1, 'the host hears that there is room again');
  model.write(RSR, 4, 0);
  model.write(ICR, 4, 0x400);
  assert.is(model.read(RSR, 4), 0);
  assert.is(model.read(RIS, 4) & 0x400, 0);
});

test('a transmit interrupt is raised by sending, masked by IMSC and cleared by ICR', () => {
  const { model, levels } = uart();
  model.write(DR, 4, 0x41);
  assert.equal(levels, []);
  model.write(IMSC, 4, 0x20);
  assert.equal(levels, [true]);
  model.write(ICR, 4, 0x20);
  assert.equal(levels, [true, false]);
});

test('a break arrives as a character with its error bit', () => {
  const { model } = uart();
  model.receiveBreak();
  assert.is(model.read(DR, 4), 0x400);
  assert.is(model.read(RSR, 4), 4);
});

test('loopback returns what is sent and sends nothing', () => {
  const { model, sent } = uart();
  model.write(CR, 4, 0x381);
  model.write(DR, 4, 0x55);
  assert.equal(sent, []);
  assert.is(model.read(DR, 4), 0x55);
});

test('200,000 random accesses never throw, and the line agrees with the masked interrupts', () => {
  const { model, levels } = uart();
  const random = seededRandom(11);
  const widths = [1, 2, 4, 8] as const;
  for (let i = 0; i < 200_000; i++) {
    const offset = Math.floor(random() * 0x1004);
    const bytes = widths[Math.floor(random() * 4)] ?? 4;
    const aligned = random() < 0.7 ? offset & 0x4c : offset;
    if (random() < 0.3) model.receive(Math.floor(random() * 256));
    else if (random() < 0.5) model.write(aligned, bytes, Math.floor(random() * 2 ** 32));
    else {
      const value = model.read(aligned, bytes);
      assert.ok(value >= 0 && value < 2 ** (8 * Math.min(4, bytes)));
    }
    assert.is(levels.at(-1) ?? false, model.read(MIS, 4) !== 0);
    assert.ok(model.state.fifo.length <= 16);
  }
});

test.run();
