/**
 * What a warm worker does while it waits: plays an actor's first moments on a switchboard of its own (start, a message,
 * an answered ask, a report), so that the code is compiled when the real actor comes. Nobody else sees any of it.
 */
import { createStructureTable } from '../../bus/codec/structure-table.js';
import { ok } from '../../bus/result.js';
import { actor } from './actor.js';
import { bodyCodec } from './body-codec.js';
import { Cell, SYSTEM } from './cell.js';
import { hostClock, hostNowMs, messageLog } from './host-services.js';
import { offlineNetwork } from './network.js';
import { PostOffice } from './post-office.js';
import type { ActorRef, Ask, Tell } from './protocol.js';
import { pump } from './pump.js';
import { seededRandom } from './random.js';
import { ORDER_STOP, Switchboard } from './switchboard.js';

type RehearsalProtocol = { note: Tell<object>; echo: Ask<{ readonly value: number }, { readonly value: number }> };

const ROUNDS = 30;
const SLOTS = 32;

const rehearsal = actor<{ readonly wanted: boolean }, RehearsalProtocol, object>({
  name: 'rehearsal',
  mailboxMax: 8,
  asksMax: 8,
  supervision: { strategy: 'one-for-one', restartsMax: 0, withinMs: 1, otherwise: 'stop' },
  start: () => ok({}),
  on: { note: () => undefined, echo: (_, { value }) => ok({ value }) },
});

/** Plays it. */
export async function rehearse(): Promise<void> {
  const board = Switchboard.create(SLOTS, 2 ** 19);
  const shapes = createStructureTable();
  const codec = bodyCodec(shapes, 1);
  const mail = new PostOffice(board, codec, shapes);
  // The first slot stands for the system, which hears the reports.
  mail.open(rehearsal);
  const opened = mail.open(rehearsal);
  if (opened === undefined) return;
  const { slot, generation } = opened;
  const clock = hostClock(hostNowMs());
  const log = messageLog('rehearsal', clock, (line) => cell.endpoint.tell(SYSTEM, 'log', line).ok);
  const random = seededRandom(1, 'rehearsal');
  const declaration = rehearsal;
  const useFile = (): never => {
    throw new Error('no files in a rehearsal');
  };
  const parts = { board, codec, declaration, slot, generation, incarnation: 0, name: 'rehearsal', clock, random, log };
  const cell = new Cell({ ...parts, useFile, useNetwork: offlineNetwork });
  await cell.start({ wanted: true });
  const self: ActorRef<RehearsalProtocol> = { actor: cell.endpoint.actor };
  const pumping = pump(cell, { board, slot, clock, pollMicroseconds: 1 });
  for (let value = 0; value < ROUNDS; value++) {
    cell.endpoint.tell(self, 'note', {});
    await cell.endpoint.ask(self, 'echo', { value });
    cell.report({ report: 'started' });
  }
  board.add(slot, 'orders', ORDER_STOP);
  mail.wake(slot);
  await pumping;
}
