/** A worker that dies in a running machine: the machine says which and why and ends; another machine goes on. */
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { ActorSystem } from '../../actors/runtime/system.js';
import { STOP } from '../../actors/shared-state/vm/vm-block.js';
import { planBoot } from '../../devices/machine/boot-plan.js';
import { DOTS } from '../../test/fixtures/dots.js';
import { spec } from '../../test/harness/spec.js';
import { hostUnpackers } from '../image/unpackers.js';
import { deathOf } from './deaths.js';
import { loadInterpreter } from './interpreter-cache.js';
import { type Machine, startMachine } from './machine.js';

const test = spec('worker deaths');
const MINUTE = 60_000;

const interpreter = await loadInterpreter(join(tmpdir(), 'wurley-test-cache'));

async function machineOf(system: ActorSystem, name: string): Promise<Machine> {
  const bytes = new Uint8Array(Uint32Array.from(DOTS).buffer);
  const description = { cpus: 2, ramBytes: 64 << 20, virtioSlots: [], hasFirmware: false, pmu: false };
  const seeds = { kaslrSeed: 1n, rngSeed: new Uint8Array(64) };
  const kernel = { file: 'dots', bytes };
  const plan = await planBoot(
    { machine: description, bootArguments: '', ...seeds, kernel, acpi: 'off' },
    hostUnpackers,
  );
  assert.ok(plan.ok);
  const options = {
    description,
    plan: plan.value,
    interpreter: interpreter.module,
    jit: true,
    virtio: [],
    trace: undefined,
  };
  const started = await startMachine(system, { ...options, name });
  assert.ok(started.ok);
  return started.value;
}

/** Waits until the machine has printed something new. */
async function prints(machine: Machine): Promise<void> {
  const { output } = machine;
  output.read();
  machine.resume();
  for (let waited = 0; output.length === 0; waited += 5) {
    if (waited > MINUTE) throw new Error('the machine prints nothing');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

for (const worker of ['vcpu0', 'vcpu1', 'console', 'core']) {
  test(
    `the ${worker}'s worker is killed: one sentence, everything back, the other machine goes on`,
    async () => {
      const machines = new Map<string, Machine>();
      const system = new ActorSystem({
        onEvent(event) {
          const death = deathOf(event);
          if (death === undefined) return;
          for (const [name, machine] of machines) {
            if (death.startsWith(`${name}-`)) machine.stop(STOP.crash, death);
          }
        },
        onLog: () => undefined,
      });
      try {
        const none = system.resources();
        for (const name of ['one', 'two']) machines.set(name, await machineOf(system, name));
        const [one, two] = [...machines.values()];
        assert.ok(one !== undefined && two !== undefined);
        await prints(one);
        await prints(two);
        const victim = system.lookup<never>(`one-${worker}`);
        assert.ok(victim.ok);
        await system.kill(victim.value);
        const end = await one.ended;
        assert.is(end.stop, STOP.crash);
        assert.is(end.detail, `one-${worker} was killed (killed on request)`);
        await one.flush();
        await one.dispose();
        assert.equal(
          system.inspect().flatMap(({ name }) => (name.startsWith('one-') ? [name] : [])),
          [],
        );
        for (let again = 0; again < 3; again++) await prints(two);
        assert.ok((await two.statistics()).length === 2);
        two.stop(STOP.requested, 'the test');
        await two.dispose();
        assert.equal(system.resources(), none);
      } finally {
        await system.close();
      }
    },
    { deadlineMs: 3 * MINUTE },
  );
}
test.run();
