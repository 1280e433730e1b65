/** A cell with mail in every lane takes the most urgent first: kill, stop, supervision, message. */
import * as assert from 'uvu/assert';
import { createStructureTable } from '../../bus/codec/structure-table.js';
import { ok } from '../../bus/result.js';
import { spec } from '../../test/harness/spec.js';
import { actor } from './actor.js';
import { bodyCodec } from './body-codec.js';
import { Cell } from './cell.js';
import { PostOffice } from './post-office.js';
import type { ActorRef, Tell } from './protocol.js';
import { seededRandom } from './random.js';
import { ORDER_KILL, ORDER_STOP, Switchboard } from './switchboard.js';

const test = spec('cell');

type ListProtocol = { note: Tell<{ readonly value: number }> };

/** A cell whose actor lists what it hears, with two notes, a report of a death and a ring waiting for it. */
async function filled() {
  const heard: string[] = [];
  const declaration = actor<object, ListProtocol, object>({
    name: 'list',
    mailboxMax: 8,
    supervision: { strategy: 'one-for-one', restartsMax: 0, withinMs: 1, otherwise: 'stop' },
    start: () => ok({}),
    on: { note: (_, { value }) => void heard.push(`note ${value}`) },
    rang: () => void heard.push('ring'),
    down: (_, { name }) => void heard.push(`down ${name}`),
    stop: () => void heard.push('stop'),
  });
  const board = Switchboard.create(32, 2 ** 20);
  const shapes = createStructureTable();
  const codec = bodyCodec(shapes, 1);
  const mail = new PostOffice(board, codec, shapes);
  mail.open(declaration); // the first slot is the system's
  const opened = mail.open(declaration);
  assert.ok(opened !== undefined);
  const cell = new Cell({
    board,
    codec,
    declaration,
    slot: opened.slot,
    generation: opened.generation,
    incarnation: 0,
    name: 'list',
    clock: { monotonicMs: () => 0, unixSeconds: () => 0 },
    random: seededRandom(1, 'list'),
    log: { info: () => undefined, warn: () => undefined },
    useFile: () => assert.unreachable() as never,
    useNetwork: () => assert.unreachable() as never,
  });
  await cell.start({});
  assert.not(cell.ready() || cell.looksReady());
  const self: ActorRef<ListProtocol> = { actor: cell.endpoint.actor };
  for (const value of [1, 2]) assert.ok(cell.endpoint.tell(self, 'note', { value }).ok);
  const down = { actor: self, name: 'other', reason: 'threw', detail: 'x', restarts: false } as const;
  mail.post(opened.slot, { control: 'down', down });
  cell.endpoint.doorbell.send(1);
  assert.ok(cell.ready() && cell.looksReady());
  return { cell, board, slot: opened.slot, heard };
}

test('supervision comes before messages, messages in their order', async () => {
  const { cell, heard } = await filled();
  assert.is(cell.turn(64), 'worked');
  assert.equal(heard, ['ring', 'down other', 'note 1', 'note 2']);
  assert.is(cell.turn(64), 'idle');
});

test('a stop comes before supervision and messages, which are not heard any more', async () => {
  const { cell, board, slot, heard } = await filled();
  board.add(slot, 'orders', ORDER_STOP);
  assert.is(cell.turn(64), 'ended');
  assert.equal(heard, ['stop']);
});

test('a kill comes before a stop', async () => {
  const { cell, board, slot, heard } = await filled();
  board.add(slot, 'orders', ORDER_STOP | ORDER_KILL);
  assert.is(cell.turn(64), 'ended');
  assert.equal(heard, []);
});

test('an order that comes while messages are handled ends the turn', async () => {
  const { cell, board, slot, heard } = await filled();
  assert.is(cell.turn(1), 'worked');
  board.add(slot, 'orders', ORDER_STOP);
  cell.turn(64);
  assert.equal(heard, ['ring', 'down other', 'note 1', 'stop']);
});

test.run();
