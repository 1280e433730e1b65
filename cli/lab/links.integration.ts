/**
 * Doorbells and shared memory of a lab with real guests (test/guests/links): two VMs ring each other and pass numbers through memory
 * that both may write, beside memory that one of them may only read; and a device's worker that dies.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Subject } from 'rxjs';
import * as assert from 'uvu/assert';
import { DOTS } from '../../test/fixtures/dots.js';
import { guestImage } from '../../test/guests/reports.js';
import { spec } from '../../test/harness/spec.js';
import { VmHost } from '../host/vm-host.js';
import { readLab } from './lab-file.js';
import type { RunningLab } from './running-lab.js';
import { serveLab } from './serve-lab.js';

const test = spec('lab links');
const MINUTE = 60_000;
const folder = mkdtempSync(join(tmpdir(), 'wurley-links-'));
process.once('exit', () => rmSync(folder, { recursive: true, force: true }));

/** Runs a lab until all of its VMs have ended; what each printed, and how it ended. */
async function run(text: string): Promise<ReadonlyMap<string, string>> {
  const lab = readLab(join(folder, 'lab.yaml'), text);
  if (!lab.ok) throw new Error(lab.error);
  const host = await VmHost.start({ primaryGuest: false, onLog: () => undefined });
  if (!host.ok) throw new Error(host.error);
  const logs = new Map<string, () => string>();
  const end = await serveLab({
    ...{ lab: lab.value, file: 'lab.yaml', host: host.value, socket: undefined, metricsPort: undefined },
    ...{ stays: false, interrupts: new Subject<void>(), nowMs: () => performance.now() },
    display: { isTTY: false, columns: 80, isQuiet: true, write: () => undefined },
    onServed: ({ running }) => {
      for (const name of lab.value.vms.map((vm) => vm.name)) {
        logs.set(name, () => Buffer.from(running.members.get(name)?.log.history() ?? []).toString('latin1'));
      }
    },
  });
  assert.ok(end.ok && end.value.crashed.length === 0, JSON.stringify(end));
  return new Map([...logs].map(([name, log]) => [name, log()]));
}

test(
  'doorbells wake, shared memory carries, what is not to be written cannot be',
  async () => {
    const kernel = guestImage('links');
    const said = await run(`vms:
  ping: { kernel: ${kernel}, append: role=ping, platform: gunyah, memory: 64M }
  pong: { kernel: ${kernel}, append: role=pong, platform: gunyah, memory: 8M }
links:
  go: { doorbell: { from: ping, to: pong } }
  back: { doorbell: { from: pong, to: ping } }
  board: { memory: [ping, pong], size: 64K }
  notice: { memory: [ping, pong], size: 4K, writers: [ping] }`);
    const [ping = '', pong = ''] = [said.get('ping'), said.get('pong')];
    // Rung with flag 1 and 4; the source may not receive (53): the lab gives it SEND alone.
    const told = /200 of 200 answers right, (\d+) late, flags 4, receiving at the wrong end 53/.exec(ping);
    assert.ok(told !== null, ping + pong);
    // An interrupt that does not come costs ten seconds; a busy machine may have some.
    assert.ok(Number(told?.[1]) < 5, ping);
    assert.match(pong, /the notice stays, writing to it 1 aborts/);
    assert.match(pong, /answered, flags 1/);
  },
  { deadlineMs: 3 * MINUTE },
);
async function until(what: string, holds: () => boolean): Promise<void> {
  const giveUpMs = performance.now() + 2 * MINUTE;
  while (!holds()) {
    assert.ok(performance.now() < giveUpMs, `still waiting for: ${what}`);
    await new Promise((again) => setTimeout(again, 50));
  }
}

test(
  'a device’s worker that dies is replaced; one that is lost for good ends its VM alone, which says why and comes back',
  async () => {
    writeFileSync(join(folder, 'dots.bin'), new Uint8Array(Uint32Array.from(DOTS).buffer));
    const lab = readLab(
      join(folder, 'devices.yaml'),
      `vms:
  phoenix: { kernel: dots.bin, memory: 64M, restart: { policy: on-failure, max: 1 } }
  witness: { kernel: dots.bin, memory: 64M }`,
    );
    const host = await VmHost.start({ primaryGuest: false, onLog: () => undefined });
    assert.ok(lab.ok && host.ok);
    if (!lab.ok || !host.ok) return;
    const interrupts = new Subject<void>();
    let failure: unknown;
    const scene = async (running: RunningLab): Promise<void> => {
      const member = (name: string) => running.members.get(name);
      const logOf = (name: string): string => Buffer.from(member(name)?.log.history() ?? []).toString('latin1');
      const prints = (name: string): Promise<void> => {
        const before = logOf(name).length;
        return until(`${name} to print`, () => logOf(name).length > before);
      };
      const names = ['phoenix', 'witness'];
      await until('both', () => names.every((name) => logOf(name).includes('.')));
      // Once: the device is there again and its VM does not notice.
      const deaths: string[] = [];
      host.value.events.subscribe((event) => {
        if (event.kind === 'workerDied') deaths.push(`${event.worker} ${event.restarts}`);
      });
      host.value.faultWorker('phoenix-console');
      await until('the death', () => deaths.length > 0);
      assert.equal(deaths, ['phoenix-console true']);
      await prints('phoenix');
      assert.equal([member('phoenix')?.restarts, member('phoenix')?.state], [0, 'running']);
      // For good, as when its supervisor has replaced it too often.
      host.value.killWorker('phoenix-console');
      await until('the restart', () => member('phoenix')?.restarts === 1 && member('phoenix')?.state === 'running');
      assert.match(
        logOf('phoenix'),
        /--- crashed: phoenix-console was killed \([^\n]*---[\s\S]*--- started again \(1\) ---/,
      );
      await prints('phoenix');
      await prints('witness');
      assert.is(member('witness')?.restarts, 0);
      assert.not.ok(deaths.some((death) => death.startsWith('witness')));
    };
    const end = await serveLab({
      ...{ lab: lab.value, file: 'devices.yaml', host: host.value, socket: undefined, metricsPort: undefined },
      ...{ stays: true, interrupts, nowMs: () => performance.now() },
      display: { isTTY: false, columns: 80, isQuiet: true, write: () => undefined },
      onServed: ({ running }) => {
        void scene(running)
          .catch((problem: unknown) => {
            failure = problem;
          })
          .then(() => {
            interrupts.next();
            running.hurry();
          });
      },
    });
    if (failure !== undefined) throw failure;
    assert.ok(end.ok && end.value.interrupted, JSON.stringify(end));
  },
  { deadlineMs: 4 * MINUTE },
);
test.run();
