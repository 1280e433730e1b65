/** What GDB asks and what it is told, over a target that only remembers. */
import * as assert from 'uvu/assert';
import { spec } from '../../test/harness/spec.js';
import type { Points } from './points.js';
import { type Action, GdbSession, type GdbTarget } from './session.js';

const test = spec('gdb session');

class FakeTarget implements GdbTarget {
  readonly cpus = 2;
  readonly system = ['SCTLR_EL1', 'OSLAR_EL1'];
  readonly files = [new Uint8Array(788), new Uint8Array(788)];
  readonly systemValues = new Map<number, bigint>([[0, 0x1234n]]);
  readonly memory = new Uint8Array(256);
  readonly did: string[] = [];
  #file(cpu: number): Uint8Array {
    return this.files[cpu] ?? new Uint8Array();
  }
  registers = async (cpu: number) => this.#file(cpu).slice();
  setRegisters = async (cpu: number, file: Uint8Array) => {
    this.#file(cpu).set(file);
    return true;
  };
  systemRegister = async (_cpu: number, index: number) => this.systemValues.get(index);
  setSystemRegister = async (_cpu: number, index: number, value: bigint) => {
    if (index > 0) return false;
    this.systemValues.set(index, value);
    return true;
  };
  read = async (_cpu: number, address: bigint, bytes: number) =>
    address < 0x1000n || address >= 0x1100n
      ? undefined
      : this.memory.slice(Number(address) - 0x1000, Number(address) - 0x1000 + bytes);
  write = async (_cpu: number, address: bigint, bytes: Uint8Array) => {
    if (address < 0x1000n || address + BigInt(bytes.length) > 0x1100n) return false;
    this.memory.set(bytes, Number(address) - 0x1000);
    return true;
  };
  setPoints = async ({ breakpoints, watchpoints }: Points) => {
    const watched = watchpoints.map((w) => `${w.address.toString(16)}+${w.bytes}/${w.accesses}`);
    this.did.push(`points ${[...breakpoints.map((b) => b.toString(16)), ...watched].join(' ')}`.trimEnd());
  };
  go = async (actions: readonly Action[]) => void this.did.push(`go ${actions.join(' ')}`);
  stopAll = async () => void this.did.push('stop');
  kill = () => void this.did.push('kill');
  isOn = (cpu: number) => cpu === 0;
}

async function attached() {
  const target = new FakeTarget();
  const sent: string[] = [];
  const session = new GdbSession(target, (text) => sent.push(text));
  await session.attach();
  const ask = async (text: string): Promise<string | undefined> => {
    sent.length = 0;
    await session.packet(text);
    return sent[0];
  };
  return { target, session, sent, ask };
}

test('registers: all, one, vector and system ones', async () => {
  const { target, ask } = await attached();
  target.files[0]?.set([0xef, 0xbe], 8);
  assert.is((await ask('g'))?.slice(0, 36), '0000000000000000efbe0000000000000000');
  assert.is((await ask('g'))?.length, 788 * 2);
  assert.is(await ask('p1'), 'efbe000000000000');
  assert.is(await ask('P22=000102030405060708090a0b0c0d0e0f'), 'OK'); // v0
  assert.is(await ask('p22'), '000102030405060708090a0b0c0d0e0f');
  assert.is(await ask('P21=c5030000'), 'OK'); // cpsr
  assert.is(await ask('p21'), 'c5030000');
  assert.is(await ask('p44'), '3412000000000000');
  assert.is(await ask('P44=ff00000000000000'), 'OK');
  assert.is(target.systemValues.get(0), 0xffn);
  assert.is(await ask('p45'), 'xxxxxxxxxxxxxxxx');
  assert.is(await ask('P45=0000000000000000'), 'E0e');
  for (const wrong of ['p46', 'pzz', 'P1=00', 'P21=0000000000', 'G00']) assert.is(await ask(wrong), 'E16', wrong);
});

test('memory, with its faults', async () => {
  const { target, ask } = await attached();
  assert.is(await ask('M1004,4:deadbeef'), 'OK');
  assert.is(await ask('m1004,4'), 'deadbeef');
  assert.is(await ask('X1008,3:a\xffb'), 'OK');
  assert.equal([...target.memory.slice(8, 11)], [0x61, 0xff, 0x62]);
  assert.is(await ask('m0,4'), 'E0e');
  assert.is(await ask('M10fe,4:00000000'), 'E0e');
  for (const wrong of ['m1000', 'm1000,x', 'M1000,2:00', 'M1000,1:0', 'mfffffffffffffffff,1']) {
    assert.is(await ask(wrong), 'E16', wrong);
  }
});

test('points are counted by kind, limited, and gone when GDB is', async () => {
  const { target, session, ask } = await attached();
  target.did.length = 0;
  await ask('Z0,1000,4');
  await ask('Z1,1000,4');
  await ask('z0,1000,4');
  await ask('Z2,2000,8');
  await ask('z1,1000,4');
  await ask('Z4,3000,1');
  assert.equal(target.did, [
    'points 1000',
    'points 1000',
    'points 1000',
    'points 1000 2000+8/2',
    'points 2000+8/2',
    'points 2000+8/2 3000+1/3',
  ]);
  assert.is(await ask('Z5,1000,4'), '');
  for (const wrong of ['Z2,1000,0', 'Z2,1000,ffff', 'Z0,xyz,4']) assert.is(await ask(wrong), 'E16', wrong);
  for (let n = 0; n < 64; n++) assert.is(await ask(`Z0,${(0x5000 + n * 4).toString(16)},4`), 'OK');
  assert.is(await ask('Z0,9000,4'), 'E16');
  target.did.length = 0;
  await session.leave();
  assert.equal(target.did, ['points', 'go run run']);
});

test('going on: all, one step, mixed; and stopping', async () => {
  const { target, session, sent, ask } = await attached();
  target.did.length = 0;
  assert.is(await ask('vCont;c'), undefined);
  await session.stopped({ cpu: 1, reason: 'breakpoint' });
  assert.equal(sent, ['T05thread:2;']);
  // A second stop in the same moment is not news.
  await session.stopped({ cpu: 0, reason: 'breakpoint' });
  assert.is(sent.length, 1);
  assert.is(await ask('vCont;s:2'), undefined);
  await session.stopped({ cpu: 1, reason: 'step' });
  await ask('vCont;s:1;c');
  await session.stopped({ cpu: 0, reason: 'watchpoint', watchpoint: { address: 0x2000n, accesses: 2 } });
  assert.equal(sent, ['T05watch:2000;thread:1;']);
  await ask('s');
  await session.interrupt();
  assert.equal(sent, ['T02thread:1;']);
  await session.interrupt(); // stands still already
  assert.is(sent.length, 1);
  assert.equal(target.did, [
    ...['go run run', 'stop', 'go stay step', 'stop', 'go step run', 'stop', 'go step stay', 'stop'],
  ]);
  assert.is(await ask('?'), 'T02thread:1;');
  for (const wrong of ['vCont;x', 'vCont;', 'vCont;s:9']) assert.is(await ask(wrong), 'E16', wrong);
});

test('threads, the description and unknown packets', async () => {
  const { session, ask } = await attached();
  assert.is(await ask('qfThreadInfo'), 'm1,2');
  assert.is(await ask('qsThreadInfo'), 'l');
  assert.is(await ask('T2'), 'OK');
  assert.is(await ask('T3'), 'E16');
  assert.is(await ask('Hg2'), 'OK');
  assert.is(await ask('qC'), 'QC2');
  assert.is(await ask('Hg3'), 'E16');
  const description = (await ask('qXfer:features:read:target.xml:0,2000')) ?? '';
  assert.match(description, /^l<\?xml.*aarch64\.core.*name="v31".*name="SCTLR_EL1" bitsize="64" regnum="68"/);
  assert.is(await ask('qXfer:features:read:target.xml:0,5'), 'm<?xml');
  assert.is(await ask('qXfer:features:read:target.xml:99999,5'), 'l');
  assert.is(await ask('qXfer:features:read:other.xml:0,5'), 'E00');
  assert.match((await ask('qXfer:threads:read::0,1000')) ?? '', /id="1".*>on<.*id="2".*>off</);
  for (const unknown of ['vMustReplyEmpty', 'qTStatus', 'QNonStop:1', 'j', 'bs']) assert.is(await ask(unknown), '');
  assert.not.ok(session.quiet);
  await ask('QStartNoAckMode');
  assert.ok(session.quiet);
});

test('whatever arrives is answered and never throws', async () => {
  const { session, ask } = await attached();
  let seed = 0x5eed;
  const below = (n: number): number => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return Math.floor((seed / 2 ** 32) * n);
  };
  const starts = [
    'g',
    'G',
    'p',
    'P',
    'm',
    'M',
    'X',
    'Z',
    'z',
    'H',
    'T',
    'vCont',
    'vCont;',
    'qXfer:',
    'q',
    'Q',
    's',
    'c',
    '?',
    '',
  ];
  const alphabet = '0123456789abcdefxz,;:=-#$%\0\xff';
  for (let n = 0; n < 20_000; n++) {
    const tail = Array.from({ length: below(30) }, () => alphabet[below(alphabet.length)] ?? '').join('');
    await ask(`${starts[below(starts.length)] ?? ''}${tail}`);
    if (n % 50 === 0) await session.stopped({ cpu: below(2), reason: 'step' });
  }
  assert.is(await ask('qC').then((text) => text?.slice(0, 2)), 'QC');
});

test('the end: detached, killed, or by itself', async () => {
  const one = await attached();
  assert.is(await one.ask('D'), 'OK');
  assert.ok(one.session.over);
  const two = await attached();
  two.target.did.length = 0;
  assert.is(await two.ask('k'), undefined);
  assert.equal([two.target.did, two.session.over], [['kill'], true]);
  const three = await attached();
  three.session.ended(3);
  assert.equal([three.sent, three.session.over], [['W03'], true]);
});
test.run();
