import { once } from 'node:events';
import * as assert from 'uvu/assert';
import { type EchoProtocol, echoKind as hastyKind } from '../../test/fixtures/actors/echo.actor.js';
import { looperKind as hastyLooperKind } from '../../test/fixtures/actors/looper.actor.js';
import { spec } from '../../test/harness/spec.js';
import { actorKind } from './actor.js';
import { moved } from './moved.js';
import { createObjectChannel } from './object-channel.js';
import type { ActorRef } from './protocol.js';
import type { Down } from './services.js';
import type { SystemEvent } from './supervisor.js';
import { ActorSystem } from './system.js';

const test = spec('actor system in worker threads');

/** `kind` with time for a machine where a thread may wait long for a processor: nothing here is about spinning. */
function patient<K extends { readonly declaration: object }>(kind: K): K {
  return { ...kind, declaration: { ...kind.declaration, handlerBudgetMs: 60_000 } };
}
const echoKind = patient(hastyKind);
const looperKind = patient(hastyLooperKind);

/** Runs `body` in a system of its own and checks that closing it leaves nothing behind. */
function inSystem(
  title: string,
  body: (system: ActorSystem, events: SystemEvent[]) => Promise<void>,
  deadlineMs = 60_000,
): void {
  test(
    title,
    async () => {
      const events: SystemEvent[] = [];
      const system = new ActorSystem({ onEvent: (event) => events.push(event), onLog: () => undefined, seed: 1 });
      const before = system.resources();
      try {
        await body(system, events);
      } finally {
        await system.close();
      }
      assert.equal(system.resources(), before, 'closing gives everything back');
    },
    { deadlineMs },
  );
}

/** Waits until `probe` answers something. */
async function until<T>(what: string, probe: () => T | undefined | Promise<T | undefined>): Promise<T> {
  for (const end = performance.now() + 60_000; performance.now() < end; ) {
    const found = await probe();
    if (found !== undefined) return found;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  throw new Error(`${what} did not happen`);
}

async function echoNamed(system: ActorSystem, name: string, config = {}): Promise<ActorRef<EchoProtocol>> {
  const spawned = await system.spawn(echoKind, config, { name });
  if (!spawned.ok) throw new Error(JSON.stringify(spawned.error));
  return spawned.value;
}

inSystem(
  'an actor whose end of a channel died with its partner is refused, and nothing waits for it',
  async (system) => {
    const [ours, theirs] = createObjectChannel();
    theirs.port.close();
    await once(ours.port, 'close');
    const spawned = await system.spawn(echoKind, { channel: ours } as object, { name: 'late' });
    assert.not.ok(spawned.ok);
    assert.is(system.resources().actors, 0);
    await echoNamed(system, 'late');
  },
);

inSystem('asks are answered with the reply or the declared error, tells arrive in order', async (system) => {
  const echo = await echoNamed(system, 'echo');
  for (let value = 0; value < 50; value++) assert.ok(system.sender.tell(echo, 'note', { value }).ok);
  // 64 to 127 are numbers, whatever else those bytes mean between workers.
  for (let value = 0; value < 300; value++) {
    const answer = await system.sender.ask(echo, 'echo', { value });
    assert.ok(answer.ok && answer.value.value === value, `echo ${value}`);
  }
  const notes = await system.sender.ask(echo, 'notes', {});
  assert.ok(notes.ok);
  assert.equal(
    notes.value.values,
    Array.from({ length: 50 }, (_, i) => i),
  );
  const refused = await system.sender.ask(echo, 'refuse', { with: 'no' });
  assert.equal(refused, { ok: false, error: 'no' });
  const echoed = await system.sender.ask(echo, 'echo', { value: { big: 2n ** 63n, list: [1, 'two', null] } });
  assert.equal(echoed, { ok: true, value: { value: { big: 2n ** 63n, list: [1, 'two', null] } } });
});

inSystem('a reference sent in a message works for its receiver', async (system) => {
  const one = await echoNamed(system, 'one');
  const two = await echoNamed(system, 'two');
  const forwarded = await system.sender.ask(one, 'forward', { to: two, value: 42 });
  assert.equal(forwarded, { ok: true, value: { value: 42 } });
});

inSystem('bodies of several KiB reach the actor they are for', async (system) => {
  const roomy = { ...echoKind, declaration: { ...echoKind.declaration, messageBytesMax: 8_192 } };
  const actors: ActorRef<EchoProtocol>[] = [];
  for (const name of ['one', 'two', 'three']) {
    const spawned = await system.spawn(roomy, {}, { name });
    assert.ok(spawned.ok);
    actors.push(spawned.value);
  }
  for (let round = 0; round < 200; round++) {
    const length = 1 + ((round * 131) % 6_000);
    const data = new Uint8Array(length).fill(round);
    const asked = actors.map((ref) => system.sender.ask(ref, 'bytes', { data }));
    for (const answer of await Promise.all(asked))
      assert.equal(answer, { ok: true, value: { sum: round * length, length } });
  }
});

inSystem('a failed send gives the message back with its reason', async (system) => {
  const echo = await echoNamed(system, 'echo');
  const large = system.sender.tell(echo, 'bytes', { data: new Uint8Array(5_000).fill(7) });
  assert.ok(!large.ok && large.error.reason === 'tooLarge');
  assert.is(large.error.message.kind, 'bytes');
  assert.is(large.error.message.data.byteLength, 5_000);
  const odd = system.sender.tell(echo, 'echo', { value: 2n ** 70n });
  assert.ok(!odd.ok && odd.error.reason === 'unencodable');
  const tooBig = await system.sender.ask(echo, 'huge', {});
  assert.ok(!tooBig.ok && tooBig.error.reason === 'answerUnsendable');
  await system.stop(echo);
  const late = system.sender.tell(echo, 'note', { value: 1 });
  assert.ok(!late.ok && late.error.reason === 'notAlive');
  assert.equal(late.error.message, { kind: 'note', value: 1 });
});

inSystem('a full mailbox refuses and never loses what it has taken', async (system) => {
  const echo = await echoNamed(system, 'echo');
  const slow = system.sender.ask(echo, 'slow', { ms: 1_000 });
  let taken = 0;
  for (let value = 0; value < 500; value++) {
    const told = system.sender.tell(echo, 'note', { value: taken });
    if (told.ok) taken += 1;
    else assert.is(told.error.reason, 'mailboxFull');
  }
  assert.ok(taken >= 63 && taken < 500, `${taken} taken`);
  assert.ok((await slow).ok);
  const notes = await until('all notes', async () => {
    const answer = await system.sender.ask(echo, 'notes', {});
    return answer.ok && answer.value.values.length === taken ? answer.value.values : undefined;
  });
  assert.equal(
    notes,
    Array.from({ length: taken }, (_, i) => i),
  );
});

inSystem('a moved buffer is dead for its sender, and stays alive when the send fails', async (system) => {
  const echo = await echoNamed(system, 'echo');
  const data = new Uint8Array([1, 2, 3]);
  const kept = data.subarray(1);
  const asked = system.sender.ask(echo, 'bytes', { data: moved(data) });
  assert.is(data.byteLength, 0);
  assert.is(kept.byteLength, 0, 'views made before die too');
  assert.throws(() => moved(data), /moved before/);
  assert.equal(await asked, { ok: true, value: { sum: 6, length: 3 } });
  const large = new Uint8Array(50_000);
  const failed = system.sender.tell(echo, 'bytes', { data: moved(large) });
  assert.ok(!failed.ok && failed.error.reason === 'tooLarge');
  assert.is(large.byteLength, 50_000);
});

inSystem('a moved reference throws on use by its former owner', async (system) => {
  const one = await echoNamed(system, 'one');
  const two = await echoNamed(system, 'two');
  const mine: ActorRef<EchoProtocol> = { actor: two.actor };
  const asked = system.sender.ask(one, 'forward', { to: moved(mine), value: 'x' });
  assert.throws(() => system.sender.tell(mine, 'note', { value: 1 }), /moved away/);
  assert.equal(await asked, { ok: true, value: { value: 'x' } });
});

inSystem('failures of start go to the spawner', async (system) => {
  const refused = await system.spawn(echoKind, { refuse: 'no config' }, { name: 'a' });
  assert.equal(refused, { ok: false, error: { reason: 'startRefused', error: 'no config' } });
  const threw = await system.spawn(echoKind, { throwAtStart: 'broken' }, { name: 'a' });
  assert.ok(!threw.ok && threw.error.reason === 'startThrew');
  assert.match(threw.error.detail, /broken/);
  const nowhere = actorKind(echoKind.declaration, { module: new URL('./no-such.actor.js', import.meta.url) });
  const missing = await system.spawn(nowhere, {}, { name: 'a' });
  assert.ok(!missing.ok && missing.error.reason === 'noModule');
  await echoNamed(system, 'a');
  const taken = await system.spawn(echoKind, {}, { name: 'a' });
  assert.equal(taken, { ok: false, error: { reason: 'nameTaken' } });
  const few = { ...echoKind, workersMax: 1 };
  assert.ok((await system.spawn(few, {}, { name: 'b' })).ok);
  const full = await system.spawn(few, {}, { name: 'c' });
  assert.ok(!full.ok && full.error.reason === 'noRoom');
});

inSystem('restart limits hold, then the failure escalates', async (system, events) => {
  const echo = await echoNamed(system, 'echo');
  for (let life = 1; life <= 3; life++) {
    system.sender.tell(echo, 'die', { way: 'throw' });
    await until(`end ${life}`, () => (events.filter((e) => e.event === 'down').length === life ? true : undefined));
    if (life > 2) break;
    const notes = await system.sender.ask(echo, 'notes', {});
    assert.equal(notes, { ok: true, value: { values: [], incarnation: life } });
  }
  const downs = events.flatMap((event) => (event.event === 'down' ? [event] : []));
  assert.equal(
    downs.map((down) => down.verdict),
    ['restart', 'restart', 'escalate'],
  );
  assert.ok(downs.every((down) => down.reason === 'threw' && down.detail.includes('thrown on purpose')));
  await until('escalation', () => events.find((event) => event.event === 'escalated'));
  const late = system.sender.tell(echo, 'note', { value: 1 });
  assert.ok(!late.ok && late.error.reason === 'notAlive');
});

inSystem('an asker of a dying actor is told, not left waiting', async (system) => {
  const echo = await echoNamed(system, 'echo');
  const asked = system.sender.ask(echo, 'silent', {}, { timeoutMs: 20_000 });
  await system.kill(echo);
  const answer = await asked;
  assert.ok(!answer.ok && answer.error.reason === 'died');
});

inSystem('an unanswered ask times out', async (system) => {
  const echo = await echoNamed(system, 'echo');
  const answer = await system.sender.ask(echo, 'silent', {}, { timeoutMs: 50 });
  assert.ok(!answer.ok && answer.error.reason === 'timedOut');
});

inSystem('an ask or a timer begun while the actor sleeps is timed from then on', async (system) => {
  const echo = await echoNamed(system, 'echo');
  // Nothing has happened for a while: this thread's pump sleeps, for a minute if nobody wakes it.
  await new Promise((resolve) => setTimeout(resolve, 200));
  const answer = await system.sender.ask(echo, 'silent', {}, { timeoutMs: 50 });
  assert.ok(!answer.ok && answer.error.reason === 'timedOut');
});

inSystem(
  'monitors are told the reason, links fail together, children stop before their parent',
  async (system, events) => {
    const watcher = await echoNamed(system, 'watcher');
    const one = await echoNamed(system, 'one');
    const two = await echoNamed(system, 'two');
    system.sender.tell(watcher, 'watch', { actor: one });
    system.sender.tell(two, 'link', { actor: one });
    const adopted = await system.sender.ask(one, 'adopt', { name: 'child', module: echoKind.module.href });
    assert.ok(adopted.ok);
    assert.is(system.inspect().find((line) => line.name === 'child')?.parent, 'one');
    await until('watching and linked', async () => {
      const [a, b] = [await system.sender.ask(watcher, 'downs', {}), await system.sender.ask(two, 'downs', {})];
      return a.ok && b.ok ? true : undefined;
    });
    system.sender.tell(one, 'die', { way: 'exit' });
    const downs = await until<readonly Down[]>('the report', async () => {
      const answer = await system.sender.ask(watcher, 'downs', {});
      return answer.ok && answer.value.downs.length > 0 ? answer.value.downs : undefined;
    });
    assert.equal([downs[0].name, downs[0].reason, downs[0].restarts], ['one', 'exited', true]);
    await until('the link', () =>
      events.find((e) => e.event === 'down' && e.name === 'two' && e.reason === 'linkDown'),
    );
    const order = events.flatMap((event) => (event.event === 'down' ? [event.name] : []));
    assert.ok(order.indexOf('child') < order.indexOf('one'), order.join());
  },
);

inSystem('a blocking actor works in slices, sleeps, answers doorbells and asks others', async (system) => {
  const looper = await system.spawn(looperKind, {}, { name: 'looper' });
  assert.ok(looper.ok);
  const echo = await echoNamed(system, 'echo');
  system.sender.tell(looper.value, 'work', { slices: 1_000 });
  await until('the slices', async () => {
    const answer = await system.sender.ask(looper.value, 'slices', {});
    return answer.ok && answer.value.done === 1_000 ? true : undefined;
  });
  system.sender.ring(looper.value, 0b101);
  await until('the doorbell', async () => {
    const answer = await system.sender.ask(looper.value, 'slices', {});
    return answer.ok && answer.value.flags === 0b101 ? true : undefined;
  });
  const asked = await system.sender.ask(looper.value, 'askOther', { to: echo, value: 9 });
  assert.equal(asked, { ok: true, value: { value: 9 } });
});

inSystem('a blocking actor sleeps inside its slice until it is rung, or there is mail', async (system) => {
  const board = new SharedArrayBuffer(12);
  const looper = await system.spawn(looperKind, { board }, { name: 'looper' });
  assert.ok(looper.ok);
  // What the main program rings comes as mail; an actor uses the doorbell.
  const ringer = await system.spawn(looperKind, {}, { name: 'ringer' });
  assert.ok(ringer.ok);
  system.sender.tell(looper.value, 'nap', { times: 2 });
  for (const naps of [1, 2]) {
    // A question ends a nap too, one that does not count.
    assert.ok((await system.sender.ask(looper.value, 'slices', {})).ok);
    await until('the nap to end', () => {
      system.sender.tell(ringer.value, 'ringOther', { to: looper.value, flags: 0b1 });
      return Atomics.load(new Int32Array(board), 2) >= naps ? true : undefined;
    });
  }
});

inSystem('stopping runs every stop function once', async (system) => {
  const board = new SharedArrayBuffer(8);
  await echoNamed(system, 'one', { board });
  await echoNamed(system, 'two', { board });
  const looper = await system.spawn(looperKind, { board }, { name: 'three' });
  assert.ok(looper.ok);
  await system.close();
  assert.is(new Int32Array(board)[0], 3);
});

inSystem('warm workers become actors, and the next spawn has the next warm worker', async (system) => {
  const warm = { ...echoKind, warm: 1 };
  await system.prepare(warm);
  for (let i = 0; i < 3; i++) {
    const spawned = await system.spawn(warm, {}, { name: `warm${i}` });
    assert.ok(spawned.ok);
    assert.equal(await system.sender.ask(spawned.value, 'echo', { value: i }), { ok: true, value: { value: i } });
  }
  await system.prepare(warm);
  assert.is(system.resources().workers, 4, 'three actors and one waiting');
});

inSystem('workers begun ahead become actors, and nothing takes their place', async (system) => {
  system.begin(echoKind, 2);
  assert.is(system.resources().workers, 2);
  for (let i = 0; i < 3; i++) {
    const spawned = await system.spawn(echoKind, {}, { name: `begun${i}` });
    assert.ok(spawned.ok);
    assert.equal(await system.sender.ask(spawned.value, 'echo', { value: i }), { ok: true, value: { value: i } });
  }
  assert.is(system.resources().workers, 3, 'two begun ahead, one started for its actor');
});

inSystem('an actor that is to start later has its number and its mail at once', async (system) => {
  let opens = (): void => undefined;
  const after = new Promise<void>((resolve) => {
    opens = resolve;
  });
  const spawning = system.spawn(echoKind, {}, { name: 'later', after });
  const found = system.lookup<EchoProtocol>('later');
  assert.ok(found.ok);
  const asked = system.sender.ask(found.value, 'echo', { value: 7 });
  assert.is(system.resources().workers, 0);
  opens();
  assert.equal(await asked, { ok: true, value: { value: 7 } });
  assert.ok((await spawning).ok);
});

inSystem('an actor that is killed before its start has ended', async (system) => {
  const spawning = system.spawn(echoKind, {}, { name: 'never', after: new Promise<void>(() => undefined) });
  const found = system.lookup<EchoProtocol>('never');
  assert.ok(found.ok);
  await system.kill(found.value);
  const spawned = await spawning;
  assert.is(!spawned.ok && spawned.error.reason, 'startThrew');
  assert.is(system.lookup('never').ok, false);
});

inSystem('the queues of an actor that ended are given back while one that has sent to it sleeps', async (system) => {
  const sender = await echoNamed(system, 'sender');
  const alone = system.resources().queueBytes;
  const other = await echoNamed(system, 'other');
  const answer = await system.sender.ask(sender, 'forward', { to: other, value: 1 });
  assert.ok(answer.ok);
  await system.stop(other);
  await until('giving back', () => (system.resources().queueBytes === alone ? true : undefined));
});

test.run();
