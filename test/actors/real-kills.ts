/**
 * Kills an actor kind of the product while it serves, in every way it can die: the supervisor must say which and why, restart it
 * or end its machine with one sentence, give everything back, and the machine beside it must go on. What a kill tells is asserted here.
 */
import * as assert from 'uvu/assert';
import type { AnyDeclaration } from '../../actors/runtime/actor.js';
import type { DownReason } from '../../actors/runtime/services.js';
import type { SystemEvent } from '../../actors/runtime/supervisor.js';
import { STOP } from '../../actors/shared-state/vm/vm-block.js';
import { deathOf } from '../../cli/machine/deaths.js';
import { isExpendable, type Machine } from '../../cli/machine/machine.js';
import { MortalKinds, mortalRef } from '../fixtures/actors/mortal-kinds.js';
import { WAYS, type Way } from '../fixtures/actors/ways-to-die.js';
import type { ProcessorLag } from '../harness/processor-lag.js';
import { loneScene, MortalSystem, machineScene, prints, VICTIM_BUDGET_MS } from './kill-scenes.js';
import type { RealKind } from './real-kinds.js';

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
/** So many kills of one actor are forgiven by every declaration that restarts at all. */
const KILLS_PER_LIFE = 2;

/** Machines of one kind whose victim may be taken for hung before it was killed: a thread that got no processor for its whole budget. */
const STARVED_MAX = 3;

/** Ways whose detection counts from the end of the handler's budget. */
const BUDGETED: readonly Way[] = ['spin', 'wasmSpin', 'blocked'];

/** One kill that went as it should. */
export interface RealKill {
  readonly way: Way;
  /** From the worker's last move, or the end of its budget, to the supervisor's word, in milliseconds. */
  readonly delayMs: number;
  /** The longest that a thread of ours had to wait for a processor meanwhile, in milliseconds; 0 when nobody looked. */
  readonly lagMs: number;
}

interface Down {
  readonly event: Extract<SystemEvent, { event: 'down' }>;
  readonly kill: RealKill;
}

/** The events of a system, and promises of those to come. */
class Witness {
  readonly #waiting: {
    readonly wanted: (event: SystemEvent) => boolean;
    readonly found: (event: SystemEvent) => void;
  }[] = [];
  readonly #downs = new Map<string, DownReason>();

  readonly hear = (event: SystemEvent): void => {
    if (event.event === 'down') this.#downs.set(event.name, event.reason);
    for (const [at, { wanted, found }] of [...this.#waiting.entries()].toReversed()) {
      if (!wanted(event)) continue;
      this.#waiting.splice(at, 1);
      found(event);
    }
  };

  /** Why the actor called `name` went down last. */
  downReason(name: string): DownReason | undefined {
    return this.#downs.get(name);
  }

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
async function kill(
  system: MortalSystem,
  witness: Witness,
  name: string,
  way: Way,
  lag: ProcessorLag | undefined,
): Promise<Down> {
  const found = system.lookup<never>(name);
  assert.ok(found.ok, `${name} lives`);
  const down = witness.next('down', name);
  const started = witness.next('started', name);
  lag?.reset();
  assert.ok(system.sender.tell(mortalRef(found.value), 'die', { way }).ok);
  const heard = await down;
  const lagMs = lag?.longestMs ?? 0;
  assert.ok(heard.event === 'down');
  assert.ok(REASONS[way].includes(heard.reason), `${way}: ${heard.reason}, ${heard.detail}`);
  assert.ok(heard.detail.length > 0 && !heard.detail.includes('\n'), `a reason in one line: ${heard.detail}`);
  if (heard.verdict === 'restart') await started;
  const delayMs = heard.atMs - system.diedAtMs() - (BUDGETED.includes(way) ? VICTIM_BUDGET_MS : 0);
  return { event: heard, kill: { way, delayMs, lagMs } };
}

async function declarationOf({ module }: RealKind): Promise<AnyDeclaration> {
  const loaded = (await import(new URL(`../../${module}.js`, import.meta.url).href)) as {
    readonly default: AnyDeclaration;
  };
  return loaded.default;
}

/** Whether a worker of the kind has an event loop that turns, in which something can throw later. */
async function waysOf(kind: RealKind): Promise<readonly Way[]> {
  const { slice } = await declarationOf(kind);
  return WAYS.filter((way) => way !== 'asyncThrow' || slice === undefined);
}

/** Kills an actor of a machine in every way, in a new machine whenever the old one has ended by it. */
async function killInMachines(kind: RealKind, ways: readonly Way[], lag?: ProcessorLag): Promise<RealKill[]> {
  const done: RealKill[] = [];
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
    let starved = 0;
    for (let n = 0; n < ways.length; n++) {
      const way = ways[n] as Way;
      const machine = `victim${n - kills}${'x'.repeat(starved)}`;
      const name = `${machine}-${kind.name}`;
      victim ??= await machineScene(system, machine, kind.scene === 'fullMachine');
      running.push(victim);
      await prints(victim);
      const early = kills === 0 ? witness.downReason(name) : undefined;
      if (early !== undefined) {
        assert.is(early, 'spun', `${name} went down before it was killed`);
        assert.ok(++starved <= STARVED_MAX, `${name} and others before it hung`);
        victim.stop(STOP.requested, 'the test');
        await victim.dispose();
        victim = undefined;
        n--;
        continue;
      }
      const { event, kill: killed } = await kill(system, witness, name, way, lag);
      const { verdict, reason, detail } = event;
      done.push(killed);
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
  return done;
}

/** The same for an actor of no machine. */
async function killAlone(kind: RealKind, ways: readonly Way[], lag?: ProcessorLag): Promise<RealKill[]> {
  const done: RealKill[] = [];
  const { supervision } = await declarationOf(kind);
  for (const way of ways) {
    const kinds = new MortalKinds();
    const witness = new Witness();
    const system = new MortalSystem(kinds, (name) => name === kind.name, witness.hear);
    try {
      await loneScene(system);
      const { event, kill: killed } = await kill(system, witness, kind.name, way, lag);
      assert.is(event.verdict, supervision.restartsMax > 0 ? 'restart' : 'stop');
      done.push(killed);
    } finally {
      await system.close();
      kinds.close();
    }
  }
  return done;
}

/** Kills an actor of `kind` `kills` times, each way it can die in turn; absent: each way once. Throws what was not as it should be. */
export async function killKind(kind: RealKind, kills?: number, lag?: ProcessorLag): Promise<RealKill[]> {
  const possible = await waysOf(kind);
  const ways = Array.from({ length: kills ?? possible.length }, (_, n) => possible[n % possible.length] as Way);
  return await (kind.scene === 'alone' ? killAlone(kind, ways, lag) : killInMachines(kind, ways, lag));
}
