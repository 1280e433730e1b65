import * as assert from 'uvu/assert';
import { spec } from '../../test/harness/spec.js';
import { Pl031 } from './pl031.js';

const test = spec('pl031');
const DR = 0x00;
const MR = 0x04;
const LR = 0x08;
const CR = 0x0c;
const IMSC = 0x10;
const RIS = 0x14;
const MIS = 0x18;
const ICR = 0x1c;

function rtc(): { model: Pl031; time: { now: number }; levels: boolean[]; alarms: (number | undefined)[] } {
  const time = { now: 1_800_000_000.7 };
  const levels: boolean[] = [];
  const alarms: (number | undefined)[] = [];
  const model = new Pl031({
    unixSeconds: () => time.now,
    setLevel: (high) => levels.push(high),
    setAlarm: (inSeconds) => alarms.push(inSeconds),
  });
  return { model, time, levels, alarms };
}

test('the clock shows the host time in whole seconds and runs', () => {
  const { model, time } = rtc();
  assert.is(model.read(DR, 4), 1_800_000_000);
  time.now += 10;
  assert.is(model.read(DR, 4), 1_800_000_010);
  assert.is(model.read(CR, 4), 1);
});

test('setting the clock keeps it running from there', () => {
  const { model, time } = rtc();
  model.write(LR, 4, 1000);
  assert.is(model.read(LR, 4), 1000);
  time.now += 5;
  assert.is(model.read(DR, 4), 1005);
});

test('time passes 2106 by wrapping at 32 bits', () => {
  const { model, time } = rtc();
  model.write(LR, 4, 0xffff_ffff);
  time.now += 2;
  assert.is(model.read(DR, 4), 1);
});

test('an alarm raises the line when due and unmasked, until cleared', () => {
  const { model, time, levels, alarms } = rtc();
  model.write(IMSC, 4, 1);
  model.write(MR, 4, 1_800_000_030);
  assert.is(alarms.at(-1), 30);
  time.now += 10;
  model.alarmDue();
  assert.is(alarms.at(-1), 20, 'a timer that fires early is armed again');
  assert.equal(levels, []);
  time.now += 20;
  model.alarmDue();
  assert.equal(levels, [true]);
  assert.is(model.read(RIS, 4), 1);
  assert.is(model.read(MIS, 4), 1);
  model.write(ICR, 4, 1);
  assert.equal(levels, [true, false]);
  assert.is(model.read(RIS, 4), 0);
});

test('a masked alarm is raw only', () => {
  const { model, levels } = rtc();
  model.write(MR, 4, 1_800_000_000);
  assert.is(model.read(RIS, 4), 1);
  assert.is(model.read(MIS, 4), 0);
  assert.equal(levels, []);
  model.write(IMSC, 4, 1);
  assert.equal(levels, [true]);
});

test('reserved offsets read zero and identification is the PL031', () => {
  const { model } = rtc();
  for (const offset of [0x20, 0x01, 0x7fc, 0xfdc, 0x1000]) assert.is(model.read(offset, 4), 0);
  assert.is(model.read(0xfe0, 4), 0x31);
  model.write(0x20, 8, 5);
});

test.run();
