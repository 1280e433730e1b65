/** The control interface on a fake host: every operation, and clients that misbehave. */
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Subject } from 'rxjs';
import * as assert from 'uvu/assert';
import { spec } from '../../test/harness/spec.js';
import { callOf, FakeHost } from '../../test/lab/fake-host.js';
import { OPERATIONS } from './control-api.js';
import { ControlClient } from './control-client.js';
import type { LabView, VmView } from './control-views.js';
import type { LabVmSpec } from './lab-file.js';
import type { LabStatistics } from './lab-statistics.js';
import { type LabEnd, type ServedLab, serveLab } from './serve-lab.js';

const test = spec('control');
const folder = mkdtempSync(join(tmpdir(), 'wurley-control-'));
let number = 0;

const vmSpec = (name: string, restart: LabVmSpec['restart']['policy'] = 'never'): LabVmSpec => ({
  ...{ name, boot: { kernel: '/k', initrd: undefined }, append: '', memoryBytes: 64 << 20, cpus: 1 },
  ...{ platform: 'gunyah', profile: 'P17', primary: name === 'a', console: 'pl011', disks: [], rng: false },
  ...{ networks: [], restart: { policy: restart, restartsMax: 2, withinMs: 60_000 } },
});

/** A lab of `a` and `b` on a fake host, served at a socket. */
async function served(restart: LabVmSpec['restart']['policy'] = 'never') {
  const host = new FakeHost();
  const path = join(folder, `lab${++number}.sock`);
  const lab = { name: 'test', vms: [vmSpec('a'), vmSpec('b', restart)], links: [] };
  const shown: string[] = [];
  const interrupts = new Subject<void>();
  const lines = { isTTY: false, columns: 80, isQuiet: false, write: (text: string) => void shown.push(text) };
  let parts: ServedLab | undefined;
  const ended = serveLab({
    ...{ lab, file: '/lab.yaml', host, socket: path, metricsPort: 0, stays: false, interrupts, display: lines },
    nowMs: () => performance.now(),
    onServed: (now) => {
      parts = now;
    },
  });
  const client = new ControlClient('test', path);
  while (host.vms.length < 2) await new Promise((again) => setTimeout(again, 1));
  assert.ok(parts !== undefined);
  const close = async (): Promise<LabEnd> => {
    for (const vm of host.vms) vm.end({ reason: 'off', detail: '' });
    const end = await ended;
    assert.ok(end.ok);
    return end.ok ? end.value : { crashed: [], reset: [], interrupted: false };
  };
  return { host, path, client, close, ended, shown, interrupts, metricsPort: parts?.metricsPort ?? 0 };
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((again) => setTimeout(again, 2));
}

/** Sends bytes as they are; the answer's first line. */
async function raw(path: string, text: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = createConnection(path, () => void socket.write(text));
    let answer = '';
    socket.on('data', (chunk) => {
      answer += chunk.toString('latin1');
      if (answer.includes('\r\n')) {
        socket.destroy();
        resolve(answer.slice(0, answer.indexOf('\r\n')));
      }
    });
    socket.on('error', () => resolve('error'));
    socket.on('close', () => resolve('closed'));
  });
}
const post = (path: string, body: string): string =>
  `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n${body}`;

test('lists, inspects and describes itself; the socket is its user’s alone', async () => {
  const { host, client, path, close } = await served();
  assert.is(statSync(path).mode & 0o777, 0o600);
  host.make('child', 'a');
  const list = await client.json<readonly VmView[]>('GET', '/v1/vms');
  assert.ok(list.ok);
  if (list.ok)
    assert.equal(
      list.value.map(({ name, state, madeBy }) => [name, state, madeBy]),
      [
        ['a', 'running', null],
        ['b', 'running', null],
        ['child', 'running', 'a'],
      ],
    );
  const view = await client.json<LabView>('GET', '/v1/lab');
  assert.ok(view.ok && view.value.pid === process.pid && view.value.vms[0]?.spec?.name === 'a');
  const [lives] = view.ok ? view.value.vms : [];
  assert.equal(lives?.vcpus, [{ index: 0, state: 'running', hostThread: 4711 }]);
  const schema = await client.json<{ paths: Record<string, Record<string, unknown>> }>('GET', '/v1/schema');
  assert.ok(schema.ok);
  for (const { path: at, method } of OPERATIONS) {
    assert.ok(schema.ok && schema.value.paths[at]?.[method.toLowerCase()] !== undefined, at);
  }
  assert.equal(await close(), { crashed: [], reset: [], interrupted: false });
  assert.ok(host.disposed);
});

test('a reset of a guest’s own VM is not the lab’s, a crash of it is', async () => {
  const { host, close } = await served();
  host.make('child', 'a').end({ reason: 'reset', detail: '' });
  host.make('other', 'a').end({ reason: 'crash', detail: 'host-p4-vcpu0 was killed' });
  assert.equal(await close(), {
    ...{ crashed: ['other crashed: host-p4-vcpu0 was killed'], reset: [], interrupted: false },
  });
});

test('stop asks first, kill does not, restart starts again; what is impossible is a conflict', async () => {
  const { host, client, close } = await served();
  const first = host.vm('b');
  const stopped = await client.json<VmView>('POST', '/v1/vms/b/stop', {});
  assert.ok(stopped.ok && stopped.value.state === 'ended' && stopped.value.end?.reason === 'off' && first.asked);
  const again = await client.json<VmView>('POST', '/v1/vms/b/stop', {});
  assert.ok(!again.ok && again.error.status === 409 && again.error.text === 'the VM does not run');
  const restarted = await client.json<VmView>('POST', '/v1/vms/b/restart', {});
  assert.ok(restarted.ok && restarted.value.state === 'running' && restarted.value.restarts === 1);
  host.obeys = false;
  const forced = await client.json<VmView>('POST', '/v1/vms/b/stop', { graceSeconds: 0.01 });
  assert.ok(forced.ok && forced.value.end?.detail === 'it did not power off within 0.01 s');
  assert.ok((await client.json('POST', '/v1/vms/b/restart', {})).ok); // or the lab would be over
  const killed = await client.json<VmView>('POST', '/v1/vms/a/kill', {});
  assert.ok(killed.ok && killed.value.end?.reason === 'requested');
  host.refusal = 'there is no memory left';
  const refused = await client.json<VmView>('POST', '/v1/vms/a/restart', {});
  assert.ok(!refused.ok && refused.error.status === 500 && refused.error.text === 'there is no memory left');
  await close();
});

test('a policy starts a VM again after a crash, so often and no more', async () => {
  const { host, client, close, ended } = await served('on-failure');
  for (let life = 1; life <= 3; life++) {
    await until(() => host.vms.filter(({ name }) => name === 'b').length === life);
    host.vm('b').print(`life ${life}\n`);
    host.vm('b').end({ reason: 'crash', detail: 'b-vcpu0 was killed' });
  }
  await until(() => host.vm('b').state === 'ended');
  const list = await client.json<readonly VmView[]>('GET', '/v1/vms');
  assert.ok(list.ok && list.value[1]?.restarts === 2 && list.value[1]?.state === 'ended');
  let log = '';
  await client.stream('/v1/vms/b/log', (piece) => (log += piece.toString()));
  assert.match(
    log,
    /life 1[\s\S]*crashed: b-vcpu0 was killed[\s\S]*life 2[\s\S]*life 3[\s\S]*stays down: started again 2 times/,
  );
  assert.ok(host.vm('a').state === 'running');
  await close();
  const end = await ended;
  assert.ok(end.ok && end.value.crashed.length === 1);
});

test('logs: all, the last lines, and what comes', async () => {
  const { host, client, close } = await served();
  host.vm('a').print('one\ntwo\nthr');
  const read = async (query: string): Promise<string> => {
    let text = '';
    await client.stream(`/v1/vms/a/log${query}`, (piece) => (text += piece.toString()));
    return text;
  };
  assert.is(await read(''), 'one\ntwo\nthr');
  assert.is(await read('?tail=2'), 'two\nthr');
  assert.is(await read('?tail=0'), '');
  assert.is(await read('?tail=99'), 'one\ntwo\nthr');
  const following = read('?follow=1&tail=1');
  await until(() => host.vm('a').output.observed);
  await new Promise((again) => setTimeout(again, 50));
  host.vm('a').print('ee\n');
  await close();
  assert.match(await following, /^three\n/);
});

test('consoles: many read, one writes, and after it left another', async () => {
  const { host, client, close } = await served();
  const open = async (query: string) => {
    const opened = await client.console('a', query);
    assert.ok(opened.ok, JSON.stringify(opened));
    let text = '';
    if (opened.ok) opened.value.on('data', (chunk) => (text += chunk.toString()));
    return { socket: opened.ok ? opened.value : undefined, text: () => text };
  };
  host.vm('a').print('before\n');
  const [writer, reader] = [await open('write=1&tail=5'), await open('')];
  const second = await client.console('a', 'write=1');
  assert.ok(!second.ok && second.error.status === 409 && /somebody else types/.test(second.error.text));
  host.vm('a').room = 2;
  writer.socket?.write('abc');
  reader.socket?.write('ignored');
  await until(() => host.vm('a').typed.length === 2);
  host.vm('a').room = 100;
  await until(() => host.vm('a').typed.length === 3);
  host.vm('a').print('hello');
  await until(() => writer.text() === 'before\nhello' && reader.text() === 'hello');
  assert.is(Buffer.from(host.vm('a').typed).toString(), 'abc');
  writer.socket?.destroy();
  for (;;) {
    const next = await client.console('a', 'write=1');
    if (next.ok) break;
  }
  const size = await client.json('POST', '/v1/vms/a/size', { columns: 100, rows: 30 });
  assert.ok(size.ok);
  assert.equal(host.vm('a').size, [100, 30]);
  await close();
});

test('a trace is on while somebody reads it, and narrowed as asked', async () => {
  const { host, client, close } = await served();
  host.queueList = [{ object: 9, name: 'chat', from: 'a', to: 'b', depth: 0, capacity: 8, sent: 2 }];
  const trace = async (query: string, calls: number): Promise<string> => {
    let text = '';
    let cut = (): void => undefined;
    const reading = client.stream(
      `/v1/trace?${query}`,
      (piece) => (text += piece.toString()),
      (stop) => (cut = stop),
    );
    await until(() => host.calls.observed);
    host.calls.next([
      callOf('a', 0x1b, 1000, { object: 9, sequence: 4, message: new Uint8Array(3) }),
      callOf('b', 0x57, 2000),
    ]);
    await until(() => text.split('\n').length > calls);
    cut();
    await reading;
    await until(() => !host.calls.observed);
    return text;
  };
  const both = await trace('', 2);
  assert.match(both, /^0\.000000 a\/0 msgqueue_send\(msgqueue=0x5, .* = ok .*chat #4 -> b 3 B\n/);
  assert.match(both, /b\/0 prng_get_entropy\(/);
  assert.is((await trace('vm=b&format=json', 1)).split('\n').length, 2);
  assert.not.match(await trace('only=msgq', 1), /prng/);
  let timed = '';
  await client.stream('/v1/trace?seconds=0.05&format=perfetto', (piece) => (timed += piece.toString()));
  assert.equal(JSON.parse(timed), []);
  await close();
});

test('statistics and metrics', async () => {
  const { host, client, path, close, metricsPort } = await served();
  host.queueList = [{ object: 9, name: 'chat', from: 'a', to: 'b', depth: 1, capacity: 8, sent: 10 }];
  const looking = client.json<LabStatistics>('GET', '/v1/stats?seconds=0.2');
  await until(() => host.calls.observed);
  host.calls.next([
    callOf('b', 0x1c, 9000, { object: 9, sequence: 10, message: new Uint8Array(3) }),
    callOf('a', 0x1b, 4000, { object: 9, sequence: 10, message: new Uint8Array(3) }),
  ]);
  host.queueList = [{ object: 9, name: 'chat', from: 'a', to: 'b', depth: 1, capacity: 8, sent: 30 }];
  const looked = await looking;
  assert.ok(looked.ok);
  if (looked.ok) {
    const [queue] = looked.value.queues;
    assert.is(queue?.latencyNs?.count, 1);
    assert.ok((queue?.latencyNs?.p50 ?? 0) >= 5000, JSON.stringify(queue));
    assert.ok((queue?.perSecond ?? 0) > 0);
    assert.is(looked.value.vms[0]?.vcpus[0]?.instructions, 5e6);
  }
  assert.match(await raw(path, 'GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n'), /200/);
  const answer = await fetch(`http://127.0.0.1:${metricsPort}/metrics`);
  assert.match(answer.headers.get('content-type') ?? '', /^text\/plain; version=0\.0\.4/);
  assert.match(
    await answer.text(),
    /wurley_queue_messages_total\{lab="test",queue="chat",from="a",to="b",object="9"\} 30\n/,
  );
  assert.is((await fetch(`http://127.0.0.1:${metricsPort}/v1/vms`)).status, 404);
  await close();
});

test('clients that misbehave get a status, and the server goes on', async () => {
  const { host, client, path, close } = await served();
  const answers: readonly (readonly [string, RegExp])[] = [
    ['GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n', /404/],
    ['GET /v1/vms/zz/log HTTP/1.1\r\nHost: x\r\n\r\n', /404/],
    ['GET /v1/vms/%E0%A4%A/log HTTP/1.1\r\nHost: x\r\n\r\n', /404/],
    ['GET /v1/vms/__proto__/log HTTP/1.1\r\nHost: x\r\n\r\n', /404/],
    ['POST /v1/vms HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n', /405/],
    ['GET /v1/vms?colour=red HTTP/1.1\r\nHost: x\r\n\r\n', /400/],
    ['GET /v1/trace?only=everything HTTP/1.1\r\nHost: x\r\n\r\n', /400/],
    ['GET /v1/trace?format=xml HTTP/1.1\r\nHost: x\r\n\r\n', /400/],
    ['GET /v1/trace?vm=zz HTTP/1.1\r\nHost: x\r\n\r\n', /404/],
    ['GET /v1/stats?seconds=x HTTP/1.1\r\nHost: x\r\n\r\n', /400/],
    ['GET /v1/vms/a/log?tail=-1 HTTP/1.1\r\nHost: x\r\n\r\n', /400/],
    ['GET /v1/vms/a/console HTTP/1.1\r\nHost: x\r\n\r\n', /426/],
    ['GET /v1/vms/a/console HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n', /400/],
    ['GET /v1/vms/zz/console HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: wurley-console\r\n\r\n', /404/],
    [post('/v1/vms/a/stop', '{'), /400/],
    [post('/v1/vms/a/stop', '[1]'), /400/],
    [post('/v1/vms/a/stop', 'null'), /400/],
    [post('/v1/vms/a/stop', '{"graceSeconds":"9"}'), /400/],
    [post('/v1/vms/a/stop', '{"__proto__":1}'), /400/],
    [post('/v1/vms/a/size', '{"columns":1.5}'), /400/],
    [post('/v1/vms/a/stop', `{"graceSeconds":${'1'.repeat(70_000)}}`), /413/],
    [post('/v1/vms/a/input', 'x'.repeat(65_000)), /200|503/],
    ['\u0000\u0001\u0002\r\n\r\n', /400/],
    [`GET /${'x'.repeat(100_000)} HTTP/1.1\r\n\r\n`, /400|431/],
  ];
  for (const [text, expected] of answers) assert.match(await raw(path, text), expected, text.slice(0, 60));
  const idle = Array.from({ length: 300 }, () => createConnection(path).on('error', () => undefined));
  await new Promise((again) => setTimeout(again, 50));
  for (const socket of idle) socket.destroy();
  await until(() => host.vm('a').state === 'running');
  let alive = await client.json('GET', '/v1/vms');
  while (!alive.ok) alive = await client.json('GET', '/v1/vms');
  await close();
});

test('down ends the lab in order, an interrupt does too, and a second one at once', async () => {
  const first = await served();
  const downed = await first.client.json('POST', '/v1/down', {});
  assert.ok(downed.ok && first.host.disposed && first.host.vm('a').asked);
  const end = await first.ended;
  assert.ok(end.ok && end.value.interrupted);
  const second = await served();
  second.host.obeys = false;
  second.interrupts.next();
  await until(() => second.host.vm('b').asked);
  assert.is(second.host.vm('b').state, 'running');
  second.interrupts.next();
  assert.ok((await second.ended).ok);
  assert.is(second.host.vm('b').state, 'ended');
});

test('a start that is refused ends what had started, and is a sentence', async () => {
  const host = new FakeHost();
  host.refusal = 'the kernel is no kernel';
  const lab = { name: 'test', vms: [vmSpec('a')], links: [] };
  const ended = await serveLab({
    ...{ lab, file: '/lab.yaml', host, socket: undefined, metricsPort: undefined, stays: false },
    ...{ interrupts: new Subject(), nowMs: () => performance.now() },
    display: { isTTY: false, columns: 80, isQuiet: true, write: () => undefined },
  });
  assert.equal(ended, { ok: false, error: 'vms.a: the kernel is no kernel' });
  assert.ok(host.disposed);
});
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
test.run();
