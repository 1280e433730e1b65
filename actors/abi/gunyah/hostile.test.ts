/**
 * Random and structure-aware hypercalls from two VMs at once: nothing throws, every answer is an error of the ABI, no
 * right is bypassed, the other VM's objects and memory stay as they were, and everything comes back at the end.
 */
import fc from 'fast-check';
import * as assert from 'uvu/assert';
import { callCampaign } from '../../../test/fixtures/gunyah/call-campaign.js';
import { GuestBench } from '../../../test/fixtures/gunyah/guest-bench.js';
import { parallelCampaign } from '../../../test/fixtures/gunyah/parallel-campaign.js';
import { spec } from '../../../test/harness/spec.js';
import { SOURCE } from '../../shared-state/objects/object-table.js';
import { HYPERCALLS } from './calls.js';
import { GUNYAH_ERROR } from './errors.js';
import { RIGHTS } from './rights.js';
import { slowCall } from './slow-calls.js';

const test = spec('gunyah hostile guests');
const ERRORS = new Set<number>(Object.values(GUNYAH_ERROR));
const CANARY = 'the other VM said this';

/** Values that mean something to some call, and values that mean nothing. */
const value = fc.oneof(
  fc.bigInt({ min: 0n, max: 12n }),
  fc.constantFrom(0xffff_ffffn, 0xffff_ffff_ffff_ffffn, 1n << 63n, 0x8000_0000n, 0x1000n, 0x3ffcn, 0x10_0000n, 0x7fffn),
  fc.bigInt({ min: 0n, max: 0xffff_ffff_ffff_ffffn }),
);
const number = fc.oneof(fc.constantFrom(...HYPERCALLS.map(({ n }) => n)), fc.nat(0x3fff));
const call = fc.record({ n: number, args: fc.array(value, { minLength: 8, maxLength: 8 }), first: fc.boolean() });

test(
  'no call of a guest gets beyond what its capabilities allow',
  async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(call, { minLength: 20, maxLength: 120 }), async (calls) => {
        const bench = new GuestBench();
        const { kernel } = bench;
        const core = bench.core();
        const [one, two, victim] = [bench.vm(), bench.vm(), bench.vm()];
        const [queue, bell, partition] = [bench.queue(4, 64), bench.doorbell(), bench.object('partition')];
        kernel.table.setData(partition, 0, 7);
        kernel.table.setState(partition, 'active');
        // What belongs to the third VM: a queue with a message, a doorbell with flags, bound to its interrupts.
        const theirs = bench.queue(4, 64);
        const theirBell = bench.doorbell();
        assert.ok(kernel.bind(theirs, SOURCE.first, victim.vic, 960, true).ok);
        bench.grant(victim, theirs);
        assert.ok(kernel.ports.sender(theirs).send(new TextEncoder().encode(CANARY)).ok);
        kernel.ports.doorbell(theirBell).send(0x55);
        victim.takePending();
        const objectsBefore = kernel.count;
        for (const vm of [one, two]) {
          bench.grant(vm, queue, RIGHTS.messageQueue.send | RIGHTS.messageQueue.receive);
          bench.grant(vm, bell, RIGHTS.doorbell.send);
          bench.grant(vm, vm.space, 0xffff_ffff, true);
          bench.grant(vm, partition, RIGHTS.partition.create);
          bench.grant(vm, theirBell, 0);
        }
        const callers = [one, two].map((vm) => bench.caller(vm));
        for (const { n, args, first } of calls) {
          const [index, vm] = first ? ([0, one] as const) : ([1, two] as const);
          const answer = callers[index]?.call(n, ...args);
          assert.ok(n === 0 || ERRORS.has(answer?.[0] ?? 1000), `call ${n} answered ${answer?.[0]}`);
          const slow = await slowCall(core, { space: vm.space }, n, args);
          assert.ok(ERRORS.has(slow.error), `slow call ${n} answered ${slow.error}`);
        }
        // The third VM notices nothing.
        assert.equal(victim.takePending(), []);
        const into = new Uint8Array(64);
        const got = kernel.ports.receiver(theirs).receive(into);
        assert.is(new TextDecoder().decode(into.subarray(0, got.ok ? got.value.sizeBytes : 0)), CANARY);
        assert.ok(kernel.ports.doorbell(theirBell).receive(-1, -1).ok);
        assert.is(kernel.ports.doorbell(theirBell).oldLow, 0x55);
        // What the guests made ends with their capability spaces, and its frames come back.
        for (const vm of [one, two]) kernel.destroy(vm.space);
        for (const object of kernel.ownedBy(7)) kernel.destroy(object);
        kernel.releaseRetired();
        assert.ok(kernel.count <= objectsBefore - 2, 'no object is left over');
      }),
      { numRuns: 150 },
    );
  },
  { deadlineMs: 120_000 },
);

test(
  'two hundred thousand calls with random registers leave queues and capabilities whole',
  () => {
    const bench = new GuestBench();
    const vm = bench.vm();
    const queue = bench.queue(3, 32);
    const caps = [bench.grant(vm, queue), bench.grant(vm, bench.doorbell()), bench.grant(vm, vm.vic)];
    const caller = bench.caller(vm);
    let state = 0x2545_f491;
    const next = (): number => {
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      return state >>> 0;
    };
    const pick = (): bigint => {
      const kind = next() % 4;
      if (kind === 0) return caps[next() % caps.length] ?? 0n;
      if (kind === 1) return BigInt(next() % 64);
      return kind === 2 ? BigInt(next()) : (BigInt(next()) << 32n) | BigInt(next());
    };
    for (let round = 0; round < 200_000; round++) {
      const n = next() % 0x6b;
      const [error] = caller.call(n, pick(), pick(), pick(), pick());
      assert.ok(n === 0 || ERRORS.has(error), `call ${n} answered ${error}`);
    }
    assert.is(caller.call(0x1d, caps[0] ?? 0n)[0], GUNYAH_ERROR.ok);
    assert.is(caller.call(0x1c, caps[0] ?? 0n, 0, 32)[0], GUNYAH_ERROR.queueEmpty);
    assert.is(caller.call(0x1b, caps[0] ?? 0n, 32, 0, 0)[0], GUNYAH_ERROR.ok);
  },
  { deadlineMs: 120_000 },
);
test(
  'sequences of creation, configuration, activation, use, revocation and deletion answer as a model of capabilities says',
  async () => {
    const seen = new Set<string>();
    for (let seed = 1; seed <= 12; seed++) {
      const { problems, succeeded } = await callCampaign(seed, 2500);
      assert.equal(problems, [], `seed ${seed}`);
      for (const name of succeeded.keys()) seen.add(name);
    }
    // The campaign gets as far as using and ending what it makes.
    for (const name of ['msgqueue_send', 'doorbell_send', 'vic_attach_vcpu', 'cspace_revoke_caps_from', 'vcpu_kill']) {
      assert.ok(seen.has(name), `${name} succeeded: ${[...seen].join(' ')}`);
    }
  },
  { deadlineMs: 120_000 },
);
test(
  'four vCPUs of two VMs make structure-aware calls at once: no right is bypassed, no message torn or lost, nothing is left',
  async () => {
    const { problems, succeeded, messages } = await parallelCampaign(1, 2_000);
    assert.equal(problems, []);
    assert.ok(succeeded > 500 && messages > 100, `${succeeded} calls, ${messages} messages`);
  },
  { deadlineMs: 120_000 },
);
test.run();
