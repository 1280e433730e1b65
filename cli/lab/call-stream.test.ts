/** The call tap from a vCPU's writer to the stream: on while watched, records whole, losses counted. */
import * as assert from 'uvu/assert';
import { CallTap } from '../../actors/shared-state/call-tap/call-tap.js';
import { CallRecorder } from '../../actors/vcpu/call-recorder.js';
import { CpuState } from '../../cpu/cpu-state.js';
import { VCPU_AREA_BYTES } from '../../cpu/state.js';
import { spec } from '../../test/harness/spec.js';
import { callStream } from './call-stream.js';
import type { CallRecord } from './lab-host.js';

const test = spec('call stream');

/** A vCPU that has registers and a clock. */
function vcpu(tap: CallTap, partition: number) {
  const state = new CpuState(new SharedArrayBuffer(VCPU_AREA_BYTES), 0);
  let now = 1;
  const recorder = new CallRecorder(tap.place, { partition, index: 2, state: () => state, nowMs: () => (now += 0.5) });
  const call = (): void => {
    if (!recorder.isOn) return;
    recorder.called();
    state.set64(0, 0n);
    recorder.answered('smc', 0, undefined);
  };
  return { state, call };
}

test('nothing is recorded before the first and after the last subscriber', async () => {
  const tap = new CallTap();
  const { state, call } = vcpu(tap, 7);
  const other = vcpu(tap, 8);
  const stream = callStream(tap, (partition) => (partition === 7 ? 'seven' : undefined));
  call();
  const seen: CallRecord[] = [];
  const subscription = stream.subscribe((records) => seen.push(...records));
  state.set64(0, 0x8400_0000n);
  state.set64(8, 5n);
  call();
  other.call();
  while (seen.length === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  subscription.unsubscribe();
  call();
  assert.is(seen.length, 1);
  const [first] = seen;
  assert.equal(
    [first?.vm, first?.vcpu, first?.instruction, first?.startNs, first?.durationNs],
    ['seven', 2, 'smc', 1.5e6, 5e5],
  );
  assert.equal(
    [first?.before[0], first?.before[1], first?.after[0], first?.object, first?.message],
    [0x8400_0000n, 5n, 0n, 0, undefined],
  );
  assert.equal(tap.take(10), []);
});

test('guests that call faster than they are told of do not keep the thread from its other work', async () => {
  const tap = new CallTap();
  const { call } = vcpu(tap, 7);
  const stream = callStream(tap, () => 'seven');
  let told = 0;
  const subscription = stream.subscribe((records) => {
    told += records.length;
    // As many calls again, for longer than a turn may last.
    if (told < 100_000) for (let n = 0; n < records.length; n++) call();
  });
  for (let n = 0; n < 4096; n++) call();
  let turns = 0;
  while (told < 100_000) {
    await new Promise((resolve) => setTimeout(resolve, 1));
    turns++;
  }
  subscription.unsubscribe();
  assert.ok(turns >= 100_000 / 2048 / 2, `${turns} turns for ${told} records`);
});

test('a reader that does not keep up learns how many it lost', () => {
  const tap = new CallTap();
  const { call } = vcpu(tap, 1);
  tap.watch(true);
  for (let n = 0; n < 9000; n++) call();
  assert.is(tap.take(10_000).length, 8192);
  call();
  assert.equal(
    tap.take(10).map(({ lost }) => lost),
    [9000 - 8192],
  );
});
test.run();
