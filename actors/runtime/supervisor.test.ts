import * as assert from 'uvu/assert';
import { echoKind } from '../../test/fixtures/actors/echo.actor.js';
import { spec } from '../../test/harness/spec.js';
import { MemoryFiles } from './files.js';
import type { LaunchOrder } from './launcher.js';
import type { SystemEvent } from './supervisor.js';
import { actorNumber } from './switchboard.js';
import { systemCore } from './system-core.js';

const test = spec('supervisor: when it looks, and what it takes for a spin');
const BUDGET_MS = 20_000;

/** A system with one actor whose thread is played by the test: it says what the thread writes into its record. */
class Played {
  nowMs = 1000.5;
  readonly events: SystemEvent[] = [];
  readonly core;
  isKilled = false;
  #order: LaunchOrder | undefined;
  handled = 0;

  constructor() {
    const launch = (order: LaunchOrder) => {
      this.#order = order;
      return { kill: () => void (this.isKilled = true) };
    };
    const nothing = () => Promise.resolve();
    this.core = systemCore(
      {
        clock: { monotonicMs: () => this.nowMs, unixSeconds: () => 0 },
        seed: 1,
        files: new MemoryFiles(),
        observe: (event) => this.events.push(event),
        log: () => undefined,
        loadKind: () => Promise.resolve(undefined),
        makeLauncher: () => ({ launch, prepare: nothing, begin: () => undefined, close: nothing }),
      },
      { actorsMax: 64, queueMegabytes: 16 },
    );
  }
  get slot(): number {
    return this.#order?.slot ?? 0;
  }
  start(): void {
    const kind = { ...echoKind, declaration: { ...echoKind.declaration, handlerBudgetMs: BUDGET_MS } };
    void this.core.supervisor.spawn(kind, {}, 'played', 0);
    const { slot = 0, generation = 0, incarnation = 0 } = this.#order ?? {};
    this.core.supervisor.report(actorNumber(slot, generation), incarnation, { report: 'started' });
    this.core.supervisor.tick();
  }
  /** The thread awakes and looks at its clock. */
  sees(): void {
    this.core.board.set(this.slot, 'busy', 1);
    this.core.board.set(this.slot, 'seenMs', this.nowMs | 0);
    this.core.board.set(this.slot, 'seenHandled', this.handled);
  }
  /** It begins with so many messages or slices, one after the other. */
  begins(count = 1): void {
    this.handled += count;
    this.core.board.set(this.slot, 'busy', 1);
    this.core.board.set(this.slot, 'handled', this.handled);
  }
  /** Ticks as often as the supervisor wants, until an actor is down or `untilMs`. Answers the number of ticks. */
  tick(untilMs: number, each: () => void = () => undefined): number {
    let ticks = 0;
    for (let dueMs = this.core.supervisor.tick(); this.nowMs + dueMs <= untilMs; ticks++) {
      this.nowMs += dueMs;
      each();
      dueMs = this.core.supervisor.tick();
      if (this.isKilled) break;
    }
    return ticks;
  }
}

test('who goes on with slice after slice is looked at four times a second, as who sleeps', () => {
  const played = new Played();
  played.start();
  const ticks = played.tick(11_000, () => {
    played.sees();
    played.begins();
  });
  assert.ok(ticks >= 38 && ticks <= 42, `${ticks} ticks in ten seconds`);
  assert.not(played.isKilled);
});

test('what began right behind a look at the clock is counted from there', () => {
  for (const phaseMs of [1, 100, 249]) {
    const played = new Played();
    played.start();
    played.nowMs += phaseMs;
    played.sees();
    played.begins();
    const begunMs = played.nowMs;
    played.nowMs += 250 - phaseMs;
    played.tick(begunMs + BUDGET_MS * 2);
    assert.ok(played.isKilled);
    const lateMs = played.nowMs - begunMs - BUDGET_MS;
    assert.ok(lateMs > 0 && lateMs <= 20, `found ${lateMs} ms late`);
  }
});

test('what began later in a turn is counted from the first look at it, and looks are frequent until then', () => {
  const played = new Played();
  played.start();
  played.sees();
  played.begins(3);
  const ticks = played.tick(2_000, () => played.begins(3));
  assert.ok(ticks > 55, `${ticks} ticks in a second`);
  assert.not(played.isKilled);
  const begunMs = played.nowMs;
  played.begins();
  played.tick(begunMs + BUDGET_MS * 2);
  assert.ok(played.isKilled);
  const lateMs = played.nowMs - begunMs - BUDGET_MS;
  assert.ok(lateMs > 0 && lateMs <= 40, `found ${lateMs} ms late`);
});

test('a budget is not used up by what came before', () => {
  const played = new Played();
  played.start();
  // Two handlers of 19.9 s each, the second right behind the first.
  played.sees();
  played.begins();
  played.tick(played.nowMs + BUDGET_MS - 100);
  played.begins();
  played.tick(played.nowMs + BUDGET_MS - 400);
  assert.not(played.isKilled);
});

test.run();
