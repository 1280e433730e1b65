/**
 * A whole lab of real VMs through the command line: up in the background, ps, logs, console, trace, stats, kill, restart, down; the
 * ways to get it wrong; and workers that die.
 */
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Subject } from 'rxjs';
import * as assert from 'uvu/assert';
import { guestImage } from '../../test/guests/reports.js';
import { spec } from '../../test/harness/spec.js';
import { addLabVerbs } from '../commands/lab.js';
import { addUp } from '../commands/up.js';
import { VmHost } from '../host/vm-host.js';
import { runProgram } from '../program.js';
import { ControlClient } from './control-client.js';
import type { LabView, VmView } from './control-views.js';
import { readLab } from './lab-file.js';
import type { LabStatistics } from './lab-statistics.js';
import { serveLab } from './serve-lab.js';
import { runningLabs, socketPath } from './socket-path.js';

const test = spec('lab');
const MINUTE = 60_000;
const folder = mkdtempSync(join(tmpdir(), 'wurley-lab-'));
const runtime = join(folder, 'run');
mkdirSync(runtime, { mode: 0o700 });
process.env['XDG_RUNTIME_DIR'] = runtime;
const guests = join(import.meta.dirname, '..', '..', '..', 'cli', 'lab', 'guests');
const examples = join(guests, '..', 'examples');

/** The example, whose client goes on for as long as the test needs. */
const example = readFileSync(join(examples, 'three-vms.yaml'), 'utf8');
const labFile = join(folder, 'pair.yaml');
writeFileSync(labFile, example.replaceAll('../guests', guests).replace('seconds=5', 'seconds=3600'));

/** Runs a command line in this process. */
async function wurley(
  ...args: string[]
): Promise<{ readonly code: number; readonly out: string; readonly err: string }> {
  let [out, err] = ['', ''];
  const code = await runProgram([addUp, addLabVerbs], args, {
    ...{ isTTY: false, columns: 100, onInterrupt: () => () => undefined },
    out: (text) => (out += text),
    err: (text) => (err += text),
  });
  return { code, out, err };
}

async function until(what: string, holds: () => Promise<boolean> | boolean): Promise<void> {
  const giveUpMs = performance.now() + 2 * MINUTE;
  while (!(await holds())) {
    assert.ok(performance.now() < giveUpMs, `still waiting for: ${what}`);
    await new Promise((again) => setTimeout(again, 50));
  }
}

test('command lines that are wrong, files that are missing, no lab: a sentence and its exit code', async () => {
  const bad = join(folder, 'bad.yaml');
  writeFileSync(bad, 'vms:\n  a:\n    kernel: gone.elf\n');
  const cases: readonly (readonly [readonly string[], number, RegExp])[] = [
    [['up'], 64, /takes the file of a lab/],
    [['up', labFile, '--metrics', 'http'], 64, /--metrics takes a port/],
    [['up', labFile, '--name', 'No Name'], 64, /--name takes/],
    [['up', labFile, '--colour'], 64, /unknown option/],
    [
      ['up', join(folder, 'missing.yaml')],
      65,
      /missing\.yaml: cannot be read: there is no such file or folder \(ENOENT\)/,
    ],
    [['up', bad], 65, /^wurley: bad\.yaml:3:13: vms\.a\.kernel names gone\.elf, which is not there\.\n$/],
    [['ps'], 69, /no lab is running/],
    [['stop'], 64, /missing required argument/],
    [['stop', 'a', '--lab', 'nobody'], 69, /no lab called nobody is running/],
  ];
  for (const [args, code, sentence] of cases) {
    const ended = await wurley(...args);
    assert.is(ended.code, code, `${args.join(' ')}: ${ended.err}`);
    assert.match(ended.err, sentence);
    assert.is(ended.err.trimEnd().split('\n').length, 1);
  }
  const schema = await wurley('up', '--schema');
  assert.is(schema.code, 0);
  assert.is(JSON.parse(schema.out).title, 'Wurley lab');
});

interface FlowEvent {
  readonly ph: string;
  readonly id: string;
  readonly pid: number;
}

test(
  'a lab in the background from up to down',
  async () => {
    // A lab that was killed leaves its socket; the next one of its name takes the place.
    assert.is((await wurley('up', labFile, '-d')).code, 0);
    const client = new ControlClient('pair', socketPath(join(runtime, 'wurley'), 'pair'));
    const view = await client.json<LabView>('GET', '/v1/lab');
    assert.ok(view.ok);
    if (view.ok) process.kill(view.value.pid, 'SIGKILL');
    // A process that is killed answers nothing from then on, but its socket takes connections until it has given its memory back.
    await until('the lab to be gone', async () => (await runningLabs(join(runtime, 'wurley'))).length === 0);
    assert.is((await wurley('ps')).code, 69);
    assert.ok(statSync(socketPath(join(runtime, 'wurley'), 'pair')).isSocket());
    const up = await wurley('up', labFile, '-d', '--metrics', '0');
    assert.is(up.code, 0, up.err);
    try {
      assert.is((await wurley('up', labFile)).code, 75);
      const states = async (): Promise<Record<string, string>> => {
        const list = await client.json<readonly VmView[]>('GET', '/v1/vms');
        return list.ok ? Object.fromEntries(list.value.map(({ name, state }) => [name, state])) : {};
      };
      await until('three VMs', async () => Object.keys(await states()).length === 3);
      assert.equal(await states(), { primary: 'running', client: 'running', echo: 'running' });
      const ps = await wurley('ps');
      assert.match(
        ps.out,
        /^VM +VMID +state +up +restarts +made by\nprimary +3 +running .*\nclient .*\necho .*primary\n$/,
      );
      const log = async (vm: string): Promise<string> => {
        let text = '';
        await client.stream(`/v1/vms/${vm}/log`, (piece) => (text += piece.toString()));
        return text;
      };
      await until('the primary to tell of echo', async () => /\[echo\] up on 8 MiB/.test(await log('primary')));
      await until('the client', async () => /sending bursts of 4/.test(await log('client')));

      let trace = '';
      await until('a whole trace', async () => {
        trace = '';
        const ended = await client.stream(
          '/v1/trace?seconds=2&format=perfetto',
          (piece) => (trace += piece.toString()),
        );
        return ended.ok && ended.value;
      });
      const events: readonly FlowEvent[] = JSON.parse(trace);
      const starts = new Map(events.filter(({ ph }) => ph === 's').map((event) => [event.id, event.pid]));
      const arrows = events.filter(({ ph, id, pid }) => ph === 'f' && (starts.get(id) ?? pid) !== pid);
      assert.ok(arrows.length > 0, `${events.length} events, ${starts.size} sends`);
      let text = '';
      await client.stream('/v1/trace?seconds=1&only=msgq&vm=client', (piece) => (text += piece.toString()));
      assert.match(text, /client\/0 msgqueue_send\(.*\) = ok not_full=0x[01] [\d.]+us {2}chat #\d+ -> primary 56 B\n/);
      assert.not.match(text, /primary\/0/);

      let looks = 0;
      await until('latencies of both directions', async () => {
        const stats = await client.json<LabStatistics>('GET', '/v1/stats?seconds=1');
        assert.ok(stats.ok && stats.value.vms.length === 3);
        const chat = stats.ok ? stats.value.queues.filter(({ name }) => name === 'chat') : [];
        looks++;
        return chat.length === 2 && chat.every(({ latencyNs, sent }) => sent > 0 && (latencyNs?.count ?? 0) > 0);
      });
      const stats = await wurley('stats');
      assert.match(stats.out, /primary +running/, `${looks} looks`);

      assert.match((await wurley('kill', 'client')).out, /^client: ended \(requested: wurley kill\)\n$/);
      assert.is((await wurley('kill', 'client')).code, 75);
      assert.is((await wurley('restart', 'echo')).code, 75);
      assert.equal(await states(), { primary: 'running', client: 'ended', echo: 'running' });
      const again = await wurley('restart', 'client');
      assert.is(again.code, 0, again.err);
      await until('the client to send again', async () =>
        /started again \(1\)[\s\S]*sending bursts/.test(await log('client')),
      );
      // The resource manager ends the VM that the primary one made while it takes the primary one's things back.
      const primary = await wurley('restart', 'primary', '--grace', '0');
      assert.is(primary.code, 0, primary.err);
      await until('echo to be made again', async () => (await log('primary')).split('[echo] up on').length === 3);
      const down = await wurley('down', '--grace', '0');
      assert.is(down.code, 0, down.err);
      await until('the end of the lab', async () => (await wurley('ps')).code === 69);
    } finally {
      const last = await client.json<LabView>('GET', '/v1/lab');
      if (last.ok) process.kill(last.value.pid, 'SIGKILL');
    }
  },
  { deadlineMs: 6 * MINUTE },
);

/** Prints a dot and a line feed, counts a while, and so on: see cli/host/vm-host.integration.ts. */
const DOTS = [
  0xd2a12000, 0x528005c3, 0x39000003, 0x52800143, 0x39000003, 0xd2a00081, 0xf1000421, 0x54ffffe1, 0x17fffff9,
] as const;

test(
  'a worker that dies takes down its VM alone, which says why and comes back if the lab says so',
  async () => {
    writeFileSync(join(folder, 'dots.bin'), new Uint8Array(Uint32Array.from(DOTS).buffer));
    const lab = readLab(
      join(folder, 'deaths.yaml'),
      `vms:
  phoenix: { kernel: dots.bin, memory: 64M, restart: { policy: on-failure, max: 1 } }
  mayfly: { kernel: dots.bin, memory: 64M }
  witness: { kernel: dots.bin, memory: 64M }`,
    );
    const host = await VmHost.start({ primaryGuest: false, onLog: () => undefined });
    assert.ok(lab.ok && host.ok);
    if (!lab.ok || !host.ok) return;
    const interrupts = new Subject<void>();
    const end = await serveLab({
      ...{ lab: lab.value, file: 'deaths.yaml', host: host.value, socket: undefined, metricsPort: undefined },
      ...{ stays: true, interrupts, nowMs: () => performance.now() },
      display: { isTTY: false, columns: 80, isQuiet: true, write: () => undefined },
      onServed: ({ running }) => {
        const member = (name: string) => running.members.get(name);
        const logOf = (name: string): string => Buffer.from(member(name)?.log.history() ?? []).toString();
        const prints = (name: string): Promise<void> => {
          const before = logOf(name).length;
          return until(`${name} to print`, () => logOf(name).length > before);
        };
        void (async () => {
          await until(
            'all three',
            () => running.members.size === 3 && [...running.members.keys()].every((name) => logOf(name).includes('.')),
          );
          host.value.killWorker('phoenix-vcpu0');
          host.value.killWorker('mayfly-vcpu0');
          await until('the restart', () => member('phoenix')?.restarts === 1 && member('phoenix')?.state === 'running');
          assert.match(
            logOf('phoenix'),
            /--- crashed: phoenix-vcpu0 was killed \([^\n]*---[\s\S]*--- started again \(1\) ---/,
          );
          await prints('phoenix');
          await prints('witness');
          await until('the mayfly', () => member('mayfly')?.state === 'ended');
          assert.match(member('mayfly')?.why ?? '', /^crashed: mayfly-vcpu0 was killed/);
          host.value.killWorker('phoenix-vcpu0');
          await until('the last end', () => member('phoenix')?.state === 'ended');
          assert.match(logOf('phoenix'), /stays down: started again 1 times within 60 s/);
          assert.is(member('witness')?.restarts, 0);
          await prints('witness');
        })()
          .then(
            () => interrupts.next(),
            (problem: unknown) => {
              failure = problem;
              interrupts.next();
            },
          )
          .then(() => running.hurry());
      },
    });
    if (failure !== undefined) throw failure;
    assert.ok(end.ok && end.value.crashed.length === 2 && end.value.interrupted);
  },
  { deadlineMs: 4 * MINUTE },
);
let failure: unknown;

test(
  'a VM whose watchdog bites is started again, as often as its lab says',
  async () => {
    const file = join(folder, 'dogs.yaml');
    const restart = '{ policy: on-failure, max: 1, within: 3600 }';
    const vm = `kernel: ${guestImage('gunyah')}, platform: gunyah, memory: 64M, append: bite=1, restart: ${restart}`;
    writeFileSync(file, `vms:\n  first: { ${vm}, primary: true }\n  second: { ${vm} }\n`);
    const ended = await wurley('up', file, '-q');
    assert.is(ended.code, 3, ended.out + ended.err);
    for (const name of ['first', 'second']) {
      const bitten = `${name}: reset or panicked: its watchdog was not pinged in time`;
      assert.is(ended.out.split(bitten).length, 3, ended.out);
      assert.is(ended.out.split(`${name}: started again`).length, 2, ended.out);
      assert.ok(ended.out.includes(`${name}: stays down: started again 1 times within 3600 s`), ended.out);
    }
  },
  { deadlineMs: 4 * MINUTE },
);

test(
  'the embedded lab ends by itself, with every message answered and the lent memory back',
  async () => {
    const main = join(import.meta.dirname, '..', 'main.js');
    const child = spawn(process.execPath, [main, 'lab'], { stdio: ['ignore', 'pipe', 'pipe'] });
    let text = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (text += String(chunk)));
    const code = await new Promise((resolve) => child.once('close', resolve));
    assert.is(code, 0, text);
    for (const line of [
      /^primary \| lent 8 MiB to VM \d+$/m,
      /^primary \| \[echo\] up on 8 MiB that are lent to me$/m,
      /^client {2}\| \d+ messages, every answer right$/m,
      /^primary \| echo has ended; its 8 MiB are mine again/m,
      /^chat +primary +client +\d\/8 +[\d,]+ .*s$/m,
      /^echo +primary +echo +\d\/8 +[\d,]+ .*s$/m, // depths as they were last seen: queues go with their VMs,
      /^[\d,]+ messages between three VMs in [\d.]+ s\./m,
    ]) {
      assert.match(text, line);
    }
  },
  { deadlineMs: 5 * MINUTE },
);

test(
  'the embedded lab ends at once and in order at a second signal',
  async () => {
    const main = join(import.meta.dirname, '..', 'main.js');
    const child = spawn(process.execPath, [main, 'lab'], { stdio: ['ignore', 'pipe', 'pipe'] });
    const ended = new Promise((resolve) => child.once('close', resolve));
    let text = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (text += String(chunk)));
    const sockets = (): string[] => readdirSync(join(runtime, 'wurley')).filter((name) => name.endsWith('.sock'));
    await until('the guests', () => text.includes('up on 8 MiB'));
    const during = sockets();
    child.kill('SIGINT');
    await until('the first signal', () => text.includes('once more ends it at once'));
    child.kill('SIGINT');
    assert.is(await ended, 130, text);
    assert.is(sockets().length, during.length - 1, 'its control socket is gone');
    assert.not.match(text, /messages between three VMs/);
  },
  { deadlineMs: 5 * MINUTE },
);
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
test.run();
