/** Calls as text, JSON, Perfetto's format; the resource manager's packets; histograms and Prometheus' format. */
import * as assert from 'uvu/assert';
import { packetsOf } from '../../actors/resource-manager/rpc-packet.js';
import { spec } from '../../test/harness/spec.js';
import { callOf } from '../../test/lab/fake-host.js';
import { type DecodedCall, decodeRecord } from './call-decode.js';
import { Histogram } from './histogram.js';
import { harmless } from './lab-display.js';
import type { QueueCounters } from './lab-host.js';
import { PerfettoWriter } from './perfetto.js';
import { prometheusText } from './prometheus.js';
import { decodeRmPacket } from './rm-decode.js';
import { callJson, callText } from './trace-format.js';

const test = spec('trace formats');
const QUEUES: readonly QueueCounters[] = [
  { object: 9, name: 'chat', from: 'a', to: 'b', depth: 0, capacity: 8, sent: 2 },
  { object: 3, name: 'rpc', from: 'a', to: 'rm', depth: 0, capacity: 8, sent: 2 },
  { object: 4, name: 'rpc', from: 'rm', to: 'a', depth: 0, capacity: 8, sent: 2 },
];
const decode = (record: Parameters<typeof decodeRecord>[0]): DecodedCall =>
  decodeRecord(record, (object) => QUEUES.find((queue) => queue.object === object));
const packet = (type: number, message: number, content: readonly number[]): Uint8Array =>
  packetsOf({ type, sequence: 7, message, content: Uint8Array.from(content) })[0] ?? new Uint8Array(0);

test('a call with its arguments, result, duration and message', () => {
  const call = decode(callOf('a', 0x1b, 1_500_000, { object: 9, sequence: 4, message: new Uint8Array(3) }));
  assert.is(
    callText(call, 500_000),
    '0.001000 a/0 msgqueue_send(msgqueue=0x5, size=0x3, data=0x40200000, flags=0x0) = ok not_full=0x1 0.5us  chat #4 -> b 3 B',
  );
  const json = JSON.parse(callJson(call, 500_000));
  assert.equal([json.t, json.us, json.name, json.message.peer], [0.001, 0.5, 'msgqueue_send', 'b']);
  assert.equal(call.groups, ['msgq']);
});

test('errors by name, both call forms, PSCI, services, what nobody knows, losses', () => {
  const failed = callOf('a', 0x1c, 0, { after: [60n, 0n, 0n, 0n, 0n], lost: 3 });
  assert.match(callText(decode(failed), 0), /= queueEmpty 0\.5us {2}\(3 calls before it were lost\)$/);
  const smccc = { ...failed, immediate: 0, before: [0xc600_8012n, 6n, 1n, 0n, 0n, 0n, 0n, 0n, 0n] };
  assert.match(callText(decode(smccc), 0), /doorbell_send\(doorbell=0x6, new_flags=0x1\)/);
  assert.equal(decode(smccc).groups, ['bell']);
  const psci = { ...smccc, before: [0x8400_0000n, 0n, 0n, 0n, 0n, 0n, 0n, 0n, 0n], after: [0x10001n, 0n, 0n, 0n, 0n] };
  assert.match(callText(decode(psci), 0), /PSCI_VERSION\(x1=0x0, .*\) = 0x10001 /);
  assert.equal(decode(psci).groups, ['hvc']);
  assert.is(decode({ ...failed, immediate: 0x61f0 }).name, 'hypercall_1f0');
  assert.is(decode({ ...failed, immediate: 0x1234 }).groups[0], 'hvc');
  assert.match(decode(callOf('a', 0, 0, { after: [0x5100_0000_0000_8001n, 0n, 0n, 0n, 0n] })).result, /^0x5100/);
});

test('packets of the resource manager', () => {
  const start = decodeRmPacket(packet(1, 0x5600_0004, [0x80, 0, 0, 0]), 12);
  assert.equal(start, {
    ...{ type: 'request', name: 'VM_START', sequence: 7, continuations: 0 },
    fields: { vmid: 0x80, more: 2 },
  });
  const refused = decodeRmPacket(packet(2, 0x5600_0004, [0x14, 0, 0, 0]), 12);
  assert.equal(refused?.fields, { error: 'VM_STATE' });
  const status = decodeRmPacket(packet(3, 0x5610_0008, [0x80, 0, 3, 0]), 12);
  assert.equal([status?.name, status?.fields['state']], ['VM_STATUS', 'RUNNING']);
  assert.is(decodeRmPacket(packet(1, 0x5600_9999, []), 8)?.name, '0x56009999');
  assert.is(decodeRmPacket(new Uint8Array(7), 7), undefined);
  // Whatever a guest sends is decoded or left out.
  for (let seed = 1, n = 0; n < 2000; n++) {
    const bytes = Uint8Array.from({ length: n % 64 }, () => (seed = (seed * 1103515245 + 12345) >>> 0) >>> 24);
    decodeRmPacket(bytes, bytes.length);
  }
});

interface Event {
  readonly ph: string;
  readonly name: string;
  readonly pid: number;
  readonly tid: number;
  readonly ts: number;
  readonly dur: number;
  readonly id: string;
  readonly args: { readonly name: string };
}

test("Perfetto's format: every flow begins and ends inside a slice of its track", () => {
  const writer = new PerfettoWriter(0);
  const message = new Uint8Array(3);
  const request = callOf('a', 0x1b, 20_000, { object: 3, message: packet(1, 0x5600_0004, [0x80, 0]) });
  const reply = callOf('a', 0x1c, 50_000, { object: 4, message: packet(2, 0x5600_0004, [0, 0, 0, 0]) });
  const calls = [
    callOf('a', 0x1b, 1000, { object: 9, sequence: 4, message }),
    callOf('b', 0x1c, 5000, { object: 9, sequence: 4, message }),
    ...[request, reply],
  ];
  const events: Event[] = JSON.parse(
    writer.text(calls.slice(0, 1).map(decode)) + writer.text(calls.slice(1).map(decode)) + writer.end(),
  );
  const names = events.filter(({ ph, name }) => ph === 'M' && name === 'process_name').map(({ args }) => args.name);
  assert.equal(names, ['a', 'b', 'resource manager']);
  const slices = events.filter(({ ph }) => ph === 'X');
  assert.is(slices.length, 5);
  for (const { dur } of slices) assert.ok(dur > 0);
  const flows = events.filter(({ ph }) => ph === 's' || ph === 'f');
  assert.is(flows.length, 6);
  for (const flow of flows) {
    const inside = slices.some(
      ({ pid, tid, ts, dur }) => pid === flow.pid && tid === flow.tid && ts <= flow.ts && flow.ts <= ts + dur,
    );
    assert.ok(inside, JSON.stringify(flow));
    const ends = flows.filter(({ id }) => id === flow.id).map(({ ph }) => ph);
    assert.equal(ends, ['s', 'f']);
  }
  assert.is(new PerfettoWriter(0).end(), '[]\n');
});

test('percentiles are right within a bucket', () => {
  const histogram = new Histogram();
  for (let n = 1; n <= 1000; n++) histogram.add(n * 1000);
  const { p50, p90, p99, max, count } = histogram.percentiles;
  for (const [got, wanted] of [
    [p50, 500_000],
    [p90, 900_000],
    [p99, 990_000],
  ] as const) {
    assert.ok(got >= wanted && got < wanted * 1.07, `${got} for ${wanted}`);
  }
  assert.equal([max, count], [1e6, 1000]);
  assert.is(new Histogram().percentile(0.5), 0);
  assert.ok(Math.abs(histogram.atMost(250_000) - 250) < 20);
  assert.is(histogram.atMost(1e12), 1000);
});

test("Prometheus' exposition format: each line is a comment or a sample, buckets grow, labels are escaped", () => {
  const histogram = new Histogram();
  for (const ns of [500, 5000, 5e6]) histogram.add(ns);
  const vcpu = {
    ...{ index: 0, state: 'running' as const, instructions: 12.7, guestMs: 1500, exitsMs: 0, idleMs: 0 },
    ...{ exits: { 'a "b"\\': 2 }, interrupts: 4, hostThread: null },
  };
  const vm = {
    name: 'a',
    vmid: 3,
    state: 'running' as const,
    upSeconds: 1,
    restarts: 2,
    mips: 0,
    busy: 0,
    vcpus: [vcpu],
  };
  const queues = QUEUES.map((queue) => ({ ...queue, perSecond: 0, latencyNs: undefined }));
  const text = prometheusText('lab', { seconds: 1, vms: [vm], queues }, (object) =>
    object === 9 ? histogram : undefined,
  );
  const sample = /^[a-z_]+(\{([a-z_]+="([^"\\\n]|\\["\\n])*"(,(?=[a-z]))?)+\})? -?[0-9.e+-]+$/;
  assert.ok(text.endsWith('\n'));
  const typed = new Set<string>();
  for (const line of text.trimEnd().split('\n')) {
    const comment = /^# (HELP|TYPE) ([a-z_]+) /.exec(line);
    if (comment === null) {
      assert.match(line, sample);
      const name = (line.split(/[{ ]/)[0] ?? '').replace(/_(bucket|sum|count)$/, '');
      assert.ok(typed.has(name), line);
    } else if (comment[1] === 'TYPE') {
      assert.not.ok(typed.has(comment[2] ?? ''), 'a metric is described once');
      typed.add(comment[2] ?? '');
    }
  }
  assert.match(text, /reason="a \\"b\\"\\\\"\} 2\n/);
  const buckets = [...text.matchAll(/_bucket\{[^}]*le="([^"]+)"\} (\d+)/g)].map(([, , count]) => Number(count));
  assert.equal(
    [...buckets].sort((a, b) => a - b),
    buckets,
  );
  assert.is(buckets.at(-1), 3);
  assert.match(text, /_count\{[^}]*object="9"\} 3\n/);
});

test('what guests print may colour and nothing else', () => {
  const esc = '\u001b';
  assert.is(
    harmless(`${esc}[31mred${esc}[0m${esc}[2J${esc}[10A${esc}]0;title\u0007\r\u0008${esc}c.`),
    `${esc}[31mred${esc}[0m.`,
  );
  assert.is(harmless(`${esc}[`), '[');
});
test.run();
