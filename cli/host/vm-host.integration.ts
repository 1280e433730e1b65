/** A host of several VMs: they run side by side, end alone, and give everything back. */
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { firstValueFrom } from 'rxjs';
import * as assert from 'uvu/assert';
import { DOTS } from '../../test/fixtures/dots.js';
import { guestImage } from '../../test/guests/reports.js';
import { spec } from '../../test/harness/spec.js';
import type { LabEvent, LabVm, VcpuCounters, VmSpec } from '../lab/lab-host.js';
import { VmHost } from './vm-host.js';

const test = spec('vm host');
const MINUTE = 60_000;
const LIVES = 25;

const folder = mkdtempSync(join(tmpdir(), 'wurley-host-'));
const dots = join(folder, 'dots.bin');
writeFileSync(dots, new Uint8Array(Uint32Array.from(DOTS).buffer));
process.once('exit', () => rmSync(folder, { recursive: true, force: true }));

function vmSpec(name: string, over: Partial<VmSpec> = {}): VmSpec {
  return {
    ...{ name, boot: { kernel: dots, initrd: undefined }, append: '', memoryBytes: 64 << 20, cpus: 1 },
    ...{ platform: 'virt', profile: 'P17', primary: false, console: 'pl011', disks: [], rng: false, networks: [] },
    ...over,
  };
}

async function start(host: VmHost, wanted: VmSpec): Promise<LabVm> {
  const started = await host.start(wanted);
  if (!started.ok) throw new Error(started.error);
  return started.value;
}

/** Waits until the VM has printed something new, or something that nobody has heard yet. */
async function prints(vm: LabVm): Promise<string> {
  return Buffer.from(await firstValueFrom(vm.output)).toString('latin1');
}

/** What a VM's vCPUs had done when they had done something, or when it ended. */
async function counts(vm: LabVm): Promise<readonly VcpuCounters[]> {
  while (vm.state === 'running') {
    const counters = await vm.counters();
    if (counters.some(({ instructions }) => instructions > 0)) return counters;
    await delay(20);
  }
  return [];
}

async function hostOf(primaryGuest = false): Promise<VmHost> {
  const host = await VmHost.start({ primaryGuest, onLog: () => undefined });
  if (!host.ok) throw new Error(host.error);
  return host.value;
}

test(
  'VMs run side by side; one is killed, one loses a worker, one is started again; everything comes back',
  async () => {
    const host = await hostOf();
    try {
      const none = host.resources();
      const empty = await host.census();
      const told: LabEvent[] = [];
      host.events.subscribe((event) => told.push(event));
      const [a, b, c] = [
        await start(host, vmSpec('a')),
        await start(host, vmSpec('b')),
        await start(host, vmSpec('c')),
      ];
      for (const vm of [a, b, c]) assert.match(await prints(vm), /\./);
      assert.is((await host.start(vmSpec('b'))).ok, false);
      a.kill('the test');
      assert.equal(await a.ended, { reason: 'requested', detail: 'the test' });
      assert.is(a.state, 'ended');
      host.killWorker('b-vcpu0');
      assert.equal(await b.ended, { reason: 'crash', detail: 'b-vcpu0 was killed (killed on request)' });
      await prints(c);
      const again = await start(host, vmSpec('a'));
      await prints(again);
      const [counted, ...others] = await again.counters();
      assert.equal(others, []);
      // Its vCPU's thread is one of this process and not the first; where the host tells of threads.
      const threads: (number | null)[] = existsSync('/proc/thread-self')
        ? readdirSync('/proc/self/task').map(Number)
        : [null];
      assert.ok(counted !== undefined && threads.includes(counted.hostThread) && counted.hostThread !== process.pid);
      assert.equal(await a.counters(), []);
      for (const vm of [again, c]) {
        vm.kill('over');
        await vm.ended;
      }
      assert.equal(await host.census(), empty);
      assert.equal(host.resources(), none);
      const died = told.filter(({ kind }) => kind === 'workerDied');
      assert.equal(
        died.map((event) => event.kind === 'workerDied' && [event.worker, event.vm, event.restarts]),
        [['b-vcpu0', 'b', false]],
      );
      assert.is(told.filter(({ kind }) => kind === 'ended').length, 4);
    } finally {
      await host.dispose();
    }
  },
  { deadlineMs: 3 * MINUTE },
);

test(
  'a guest that is the primary VM makes a VM of its own beside one that the host launched',
  async () => {
    const host = await hostOf(true);
    try {
      const neighbour = await start(host, vmSpec('neighbour', { platform: 'gunyah' }));
      const empty = await host.census();
      const told: LabEvent[] = [];
      host.events.subscribe((event) => told.push(event));
      const boot = { kernel: guestImage('gunyah'), initrd: undefined };
      const primary = await start(host, vmSpec('primary', { platform: 'gunyah', primary: true, boot }));
      assert.is(primary.vmid, 3);
      let text = '';
      primary.output.subscribe((bytes) => (text += Buffer.from(bytes).toString('latin1')));
      const end = await primary.ended;
      assert.equal(end, { reason: 'off', detail: '' }, text);
      assert.ok(/\b0 failed/.test(text), text);
      const made = told.filter(({ kind }) => kind === 'started').map((event) => event.kind === 'started' && event.vm);
      assert.ok(made.some((vm) => vm !== false && vm.madeBy === 'primary'));
      await prints(neighbour);
      assert.equal(await host.census(), empty);
    } finally {
      await host.dispose();
    }
  },
  { deadlineMs: 5 * MINUTE },
);
test(
  `${LIVES} lives of VMs that the VM manager launched leave frames, queues, threads and descriptors as they were`,
  async () => {
    const host = await hostOf();
    try {
      await host.link({ kind: 'queue', name: 'pair', between: ['one', 'two'], depth: 8, messageBytesMax: 64 });
      const lives = async (name: string): Promise<void> => {
        const vm = await start(host, vmSpec(name, { platform: 'gunyah', rng: true }));
        await prints(vm);
        vm.kill('over');
        assert.equal(await vm.ended, { reason: 'requested', detail: 'over' });
      };
      for (const name of ['one', 'two']) await lives(name);
      const [none, empty, queues] = [host.resources(), await host.census(), host.queues().length];
      for (let n = 0; n < LIVES; n++) await lives(n % 2 === 0 ? 'one' : 'two');
      assert.equal(await host.census(), empty);
      assert.equal(host.resources(), none);
      assert.is(host.queues().length, queues);
    } finally {
      await host.dispose();
    }
  },
  { deadlineMs: 10 * MINUTE },
);
test(
  'a root VM puts VMs together by hypercalls and takes them apart; everything comes back, also what it leaves behind',
  async () => {
    const host = await hostOf(true);
    try {
      // The host's own VM and the resource manager come with the first VM on the platform gunyah, and stay.
      const boot = { kernel: guestImage('assembly'), initrd: undefined };
      const root = (append: string): VmSpec =>
        vmSpec('root', { boot, append, platform: 'gunyah', primary: true, root: true });
      const first = await start(host, root('leave=1'));
      assert.is((await first.ended).reason, 'off');
      const [empty, none] = [await host.census(), host.resources()];
      let text = '';
      const made: LabVm[] = [];
      const ends: string[] = [];
      const counted: Promise<readonly VcpuCounters[]>[] = [];
      const told = host.events.subscribe((event) => {
        if (event.kind === 'started' && event.vm.madeBy !== undefined) {
          made.push(event.vm);
          counted.push(counts(event.vm));
        } else if (event.kind === 'ended') ends.push(`${event.vm.name}: ${event.end.reason}`);
      });
      const callers = new Set<string>();
      const calls = host.calls.subscribe((records) => {
        for (const record of records) callers.add(record.vm);
      });
      const vm = await start(host, root(''));
      vm.output.subscribe((bytes) => {
        text += Buffer.from(bytes).toString('latin1');
      });
      assert.equal(await vm.ended, { reason: 'off', detail: '' }, text);
      calls.unsubscribe();
      told.unsubscribe();
      // What it made was seen, as its own: three VMs a round, by the number of their address space.
      const seen = made.map(({ name, vmid, madeBy }) => `${name} ${vmid} ${madeBy}`);
      const round = ['root-vm7 7 root', 'root-vm8 8 root', 'root-vm7 7 root'];
      assert.equal(seen, [...round, ...round, ...round]);
      const [off, run, killed] = ['root-vm7: off', 'root-vm8: reset', 'root-vm7: requested'];
      assert.equal(ends, [off, run, killed, off, run, killed, off, run, killed, 'root: off']);
      for (const one of made) assert.equal([one.state, (await one.counters()).length], ['ended', 0]);
      const counters = (await Promise.all(counted)).flat();
      assert.ok(
        counters.some(({ instructions }) => instructions > 0),
        JSON.stringify(counters),
      );
      assert.equal([...callers].sort(), ['root', 'root-vm7', 'root-vm8']);
      assert.match(text, /\b(\d+) passed, 0 failed/);
      const last = await start(host, root('leave=1'));
      assert.is((await last.ended).reason, 'off');
      assert.equal(await host.census(), empty);
      assert.equal(host.resources(), none);
    } finally {
      await host.dispose();
    }
  },
  { deadlineMs: 4 * MINUTE },
);
test.run();
