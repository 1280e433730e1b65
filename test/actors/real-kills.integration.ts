/**
 * Every actor kind of the product dies in every way while it serves: the supervisor says which and why, restarts it or ends
 * its machine with one sentence, gives everything back, and the machine beside it goes on.
 */
import * as assert from 'uvu/assert';
import type { DownReason } from '../../actors/runtime/services.js';
import type { SystemEvent } from '../../actors/runtime/supervisor.js';
import { STOP } from '../../actors/shared-state/vm/vm-block.js';
import { deathOf } from '../../cli/machine/deaths.js';
import { isExpendable, type Machine } from '../../cli/machine/machine.js';
import { MortalKinds, mortalRef } from '../fixtures/actors/mortal-kinds.js';
import { WAYS, type Way } from '../fixtures/actors/ways-to-die.js';
import { spec } from '../harness/spec.js';
import { loneScene, MortalSystem, machineScene, prints } from './kill-scenes.js';
import { REAL_KINDS, type RealKind } from './real-kinds.js';

const test = spec('every actor kind dies in every way');

/** Every way may look like a spin where a thread takes long to die. */
const REASONS: Record<Way, readonly DownReason[]> = {
  throw: ['threw', 'spun'],
  asyncThrow: ['threw', 'spun'],
  exit: ['exited', 'spun'],
  spin: ['spun'],
  wasmSpin: ['spun'],
  blocked: ['spun'],
  heap: ['outOfMemory', 'spun'],
};
const DEADLINE_MS = 400_000;
/** So many kills of one actor are forgiven by every declaration that restarts at all. */
const KILLS_PER_LIFE = 2;

type Down = Extract<SystemEvent, { event: 'down' }>;

/** The events of a system, and promises of those to come. */
class Witness {
  readonly #waiting: {
    readonly wanted: (event: SystemEvent) => boolean;
    readonly found: (event: SystemEvent) => void;
  }[] = [];

  readonly hear = (event: SystemEvent): void => {
    for (const [at, { wanted, found }] of [...this.#waiting.entries()].toReversed()) {
      if (!wanted(event)) continue;
      this.#waiting.splice(at, 1);
      found(event);
    }
  };

  next(event: 'down' | 'started', name: string): Promise<SystemEvent> {
    return new Promise((found) => {
      this.#waiting.push({ wanted: (heard) => heard.event === event && heard.name === name, found });
    });
  }
}

/** What a system holds beside files, which are given back by who opened them. */
function held(system: MortalSystem): object {
  const { actors, workers, queueBytes } = system.resources();
  return { actors, workers, queueBytes };
}

/** Kills the actor called `name`, checks what the supervisor says of it, and waits for its next life if there is one. */
async function kill(system: MortalSystem, witness: Witness, name: string, way: Way): Promise<Down> {
  const found = system.lookup<never>(name);
  assert.ok(found.ok, `${name} lives`);
  const down = witness.next('down', name);
  const started = witness.next('started', name);
  assert.ok(system.sender.tell(mortalRef(found.value), 'die', { way }).ok);
  const heard = await down;
  assert.ok(heard.event === 'down');
  assert.ok(REASONS[way].includes(heard.reason), `${way}: ${heard.reason}, ${heard.detail}`);
  assert.ok(heard.detail.length > 0 && !heard.detail.includes('\n'), `a reason in one line: ${heard.detail}`);
  if (heard.verdict === 'restart') await started;
  return heard;
}

/** Whether a worker of the kind at `module` has an event loop that turns, in which something can throw later. */
async function waysOf({ module }: RealKind): Promise<readonly Way[]> {
  const { default: declaration } = (await import(new URL(`../../${module}.js`, import.meta.url).href)) as {
    readonly default: { readonly slice?: unknown };
  };
  return WAYS.filter((way) => way !== 'asyncThrow' || declaration.slice === undefined);
}

/** Kills an actor of a machine in every way, in a new machine whenever the old one has ended by it. */
async function killInMachines(kind: RealKind, ways: readonly Way[]): Promise<void> {
  const kinds = new MortalKinds();
  const witness = new Witness();
  const running: Machine[] = [];
  let victim: Machine | undefined;
  const isVictim = (name: string): boolean => name.startsWith('victim') && name.endsWith(`-${kind.name}`);
  const system = new MortalSystem(kinds, isVictim, (event) => {
    witness.hear(event);
    const death = deathOf(event);
    if (death?.startsWith('victim') && !isExpendable(event.event === 'down' ? event.name : '')) {
      victim?.stop(STOP.crash, death);
    }
  });
  try {
    const bystander = await machineScene(system, 'bystander', false);
    running.push(bystander);
    const alone = held(system);
    let kills = 0;
    for (const [n, way] of ways.entries()) {
      const name = `victim${n - kills}-${kind.name}`;
      victim ??= await machineScene(system, `victim${n - kills}`, kind.scene === 'fullMachine');
      running.push(victim);
      await prints(victim);
      const { verdict, reason, detail } = await kill(system, witness, name, way);
      kills += 1;
      if (verdict === 'stop' && !isExpendable(name)) {
        const end = await victim.ended;
        assert.is(end.stop, STOP.crash);
        assert.match(end.detail, new RegExp(`^${name} (failed|ended by itself|ran out of memory|hung) \\(`), reason);
        assert.ok(end.detail.includes(detail));
      } else await prints(victim);
      await prints(bystander);
      if (verdict === 'restart' && kills < KILLS_PER_LIFE && n + 1 < ways.length) continue;
      victim.stop(STOP.requested, 'the test');
      await victim.dispose();
      assert.equal(held(system), alone, `${way}: everything is given back`);
      victim = undefined;
      kills = 0;
    }
    bystander.stop(STOP.requested, 'the test');
    await bystander.dispose();
  } finally {
    for (const machine of running) machine.stop(STOP.requested, 'the test');
    await system.close();
    kinds.close();
  }
  assert.equal([system.resources().actors, system.resources().workers], [0, 0]);
}

/** The same for an actor of no machine. */
async function killAlone(kind: RealKind, ways: readonly Way[]): Promise<void> {
  for (const way of ways) {
    const kinds = new MortalKinds();
    const witness = new Witness();
    const system = new MortalSystem(kinds, (name) => name === kind.name, witness.hear);
    try {
      await loneScene(system);
      const { verdict } = await kill(system, witness, kind.name, way);
      assert.is(verdict, 'restart');
    } finally {
      await system.close();
      kinds.close();
    }
  }
}

for (const kind of REAL_KINDS) {
  test(
    `${kind.module}: one sentence, everything given back, the machine beside it goes on`,
    async () => {
      const ways = await waysOf(kind);
      await (kind.scene === 'alone' ? killAlone(kind, ways) : killInMachines(kind, ways));
    },
    { deadlineMs: DEADLINE_MS },
  );
}
test.run();
