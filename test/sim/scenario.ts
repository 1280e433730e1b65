/**
 * What every simulated run does: a counter with several producers, echo actors that ask, watch, link and adopt each
 * other, a blocking actor, random kills and stops; then faults end, the system is closed, and the invariants are checked.
 */
import type { ActorRef } from '../../actors/runtime/protocol.js';
import { type CounterProtocol, counterKind, LEDGER } from '../fixtures/actors/counter.actor.js';
import { type EchoProtocol, echoKind } from '../fixtures/actors/echo.actor.js';
import { type LooperProtocol, looperKind } from '../fixtures/actors/looper.actor.js';
import { producerKind } from '../fixtures/actors/producer.actor.js';
import { Simulation } from './simulation.js';

/** What a run was. */
export interface RunReport {
  readonly seed: number;
  readonly traceHash: string;
  readonly steps: number;
  readonly simulatedMs: number;
  readonly deaths: number;
  readonly restarts: number;
  readonly injected: ReadonlyMap<string, number>;
  /** Broken invariants; empty is good. */
  readonly problems: readonly string[];
}

/** A counter whose mailbox is often full. */
const smallCounter = { ...counterKind, declaration: { ...counterKind.declaration, mailboxMax: 8 } };
const MESSAGES_PER_PRODUCER = 40;
const ACTIONS = 60;
const BUSY_UNTIL_MS = 3_000;
const END_MS = 60_000;

/** Runs the scenario with `seed`. */
export async function runScenario(seed: number): Promise<RunReport> {
  const sim = new Simulation(seed);
  const problems: string[] = [];
  const { supervisor, cell, mail } = sim.core;
  const queueBytesBefore = mail.usedBytes;
  const sender = cell.endpoint;
  let asked = 0;
  let settled = 0;
  const ask = (result: Promise<unknown>): void => {
    asked += 1;
    void result.then((answer) => {
      settled += 1;
      sim.trace(`answer ${JSON.stringify(answer, (_, value) => (typeof value === 'bigint' ? `${value}n` : value))}`);
    });
  };

  const producers = 2 + sim.random.below(3);
  const ledger = new Int32Array(new SharedArrayBuffer(4 * (LEDGER.lastSeen + producers)));
  const progress = Array.from({ length: producers }, () => new Int32Array(new SharedArrayBuffer(8)));
  const echoes: ActorRef<EchoProtocol>[] = [];
  let counter: ActorRef<CounterProtocol> | undefined;
  let looper: ActorRef<LooperProtocol> | undefined;
  let spawning = 0;
  const spawned = <P>(
    what: Promise<{ ok: boolean; value?: ActorRef<never> }>,
    use: (ref: ActorRef<P>) => void,
  ): void => {
    spawning += 1;
    void what.then((result) => {
      spawning -= 1;
      sim.trace(`spawned ${result.ok}`);
      if (result.ok && result.value !== undefined) use({ actor: result.value.actor });
    });
  };
  spawned<CounterProtocol>(sim.spawn(smallCounter, { ledger: ledger.buffer }, 'counter'), (ref) => {
    counter = ref;
    for (let producer = 0; producer < producers; producer++) {
      const config = { to: ref, producer, count: MESSAGES_PER_PRODUCER, progress: progress[producer].buffer };
      spawned(
        sim.spawn(producerKind, config, `producer${producer}`),
        (own) => void sender.tell(own, 'go' as never, {}),
      );
    }
  });
  for (let i = 0; i < 4; i++) {
    const config = sim.random.oneIn(12) ? { refuse: 'refused' } : sim.random.oneIn(12) ? { throwAtStart: 'no' } : {};
    spawned<EchoProtocol>(sim.spawn(echoKind, config, `echo${i}`), (ref) => echoes.push(ref));
  }
  spawned<LooperProtocol>(sim.spawn(looperKind, {}, 'looper'), (ref) => {
    looper = ref;
  });

  for (let action = 0; action < ACTIONS; action++) {
    const atMs = (BUSY_UNTIL_MS * (action + sim.random.below(100) / 100)) / ACTIONS;
    await sim.run(() => sim.nowMs >= atMs, END_MS);
    const one = echoes[sim.random.below(Math.max(1, echoes.length))];
    const two = echoes[sim.random.below(Math.max(1, echoes.length))];
    if (one === undefined || two === undefined) continue;
    switch (sim.random.below(12)) {
      case 0:
        sender.tell(one, 'note', { value: action });
        break;
      case 1:
        ask(sender.ask(one, 'forward', { to: two, value: action }, { timeoutMs: 100 + sim.random.below(1_000) }));
        break;
      case 2:
        ask(sender.ask(one, 'slow', { ms: sim.random.below(80) }));
        break;
      case 3:
        sender.tell(one, 'watch', { actor: two });
        break;
      case 4:
        if (one.actor !== two.actor) sender.tell(one, 'link', { actor: two });
        break;
      case 5:
        sender.tell(one, 'die', { way: 'throw' });
        break;
      case 6:
        ask(sender.ask(one, 'silent', {}, { timeoutMs: 50 + sim.random.below(400) }));
        break;
      case 7:
        if (looper !== undefined) ask(sender.ask(looper, 'askOther', { to: one, value: action }));
        break;
      case 8:
        if (looper !== undefined) sender.tell(looper, 'work', { slices: 20 });
        break;
      case 9:
        sender.ring(one, 1 << sim.random.below(8));
        break;
      case 10:
        if (sim.random.oneIn(6)) void supervisor.kill(one);
        else ask(sender.ask(one, 'echo', { value: action }));
        break;
      case 11:
        if (sim.random.oneIn(6)) void supervisor.stop(one);
        else ask(sender.ask(one, 'notes', {}));
        break;
    }
  }
  sim.faultsOn = false;
  const quiet = await sim.run(() => spawning === 0 && asked === settled && producersDone(), END_MS);
  if (!quiet) problems.push(`not quiet: ${spawning} spawns open, ${asked - settled} asks unanswered, ${stuck()}`);
  let closed = false;
  void supervisor.close().then(() => {
    closed = true;
  });
  if (!(await sim.run(() => closed, END_MS * 2))) problems.push('close() did not end');
  await sim.run(() => sim.workers === 0, END_MS * 3);
  supervisor.tick();

  const [violations = 0, gaps = 0] = ledger;
  if (violations > 0) problems.push(`${violations} messages came twice or out of order`);
  // Whatever crashed, a message is in the mailbox or handled; only one in hand can be lost, and none is here: crashes come between turns.
  if (gaps > 0) problems.push(`${gaps} messages are missing`);
  if (counter !== undefined && !counterEnded()) {
    for (let producer = 0; producer < producers; producer++) {
      const sent = progress[producer][0] ?? 0;
      const seen = ledger[LEDGER.lastSeen + producer] ?? 0;
      if (seen !== sent) problems.push(`producer ${producer} sent ${sent}, the counter saw ${seen}`);
    }
  }
  if (supervisor.size !== 0) problems.push(`${supervisor.size} actors left`);
  if (mail.usedBytes !== queueBytesBefore) problems.push(`${mail.usedBytes - queueBytesBefore} bytes of queues left`);
  checkRestarts();
  // No fault keeps a worker from starting for 30 s, so whoever was not heard of was not listened to.
  const unheard = sim.events.filter(
    (event) => event.event === 'down' && event.detail === 'did not start within its budget',
  );
  if (unheard.length > 0) problems.push(`${unheard.length} starts were never heard of`);
  const deaths = sim.events.filter((event) => event.event === 'down').length;
  const restarts = sim.events.filter((event) => event.event === 'down' && event.verdict === 'restart').length;
  return {
    seed,
    traceHash: sim.traceHash(),
    steps: sim.steps,
    simulatedMs: sim.nowMs,
    deaths,
    restarts,
    injected: sim.injected,
    problems,
  };

  function living(name: string): boolean {
    return supervisor.lookup(name) !== undefined;
  }
  function producersDone(): boolean {
    if (!living('counter')) return true;
    return (
      progress.every((words, i) => !living(`producer${i}`) || (words[0] ?? 0) >= MESSAGES_PER_PRODUCER) && drained()
    );
  }
  function drained(): boolean {
    return progress.every((words, i) => (ledger[LEDGER.lastSeen + i] ?? 0) === (words[0] ?? 0));
  }
  function stuck(): string {
    return progress.map((words, i) => `${words[0]}/${ledger[LEDGER.lastSeen + i]}`).join(' ');
  }
  function counterEnded(): boolean {
    return sim.events.some(
      (e) => e.event === 'down' && e.name === 'counter' && e.verdict !== 'restart' && e.reason !== 'stopped',
    );
  }
  /** No actor is restarted more often within its window than its declaration allows. */
  function checkRestarts(): void {
    const limits = echoKind.declaration.supervision;
    for (let i = 0; i < 4; i++) {
      const restarted = sim.events.filter(
        (e) => e.event === 'down' && e.name === `echo${i}` && e.verdict === 'restart',
      );
      if (restarted.length > limits.restartsMax) problems.push(`echo${i} was restarted ${restarted.length} times`);
    }
  }
}
