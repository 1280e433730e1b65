/** Capabilities against a small independent model: copies, rights, revocation, deletion, ids of earlier lives. */
import fc from 'fast-check';
import * as assert from 'uvu/assert';
import { type BenchVm, GuestBench } from '../../test/fixtures/gunyah/guest-bench.js';
import { spec } from '../../test/harness/spec.js';

const test = spec('capability directory');
const SLOTS = 6;

/** The model: every capability ever made, by the id it was given. */
interface Known {
  readonly vm: number;
  readonly id: bigint;
  readonly object: number;
  readonly rights: number;
  readonly isMaster: boolean;
  state: 'valid' | 'revoked' | 'gone';
}

const pick = fc.nat(1000);
const step = fc.oneof(
  fc.record({ do: fc.constant('make' as const), vm: fc.nat(2) }),
  fc.record({ do: fc.constant('copy' as const), cap: pick, to: fc.nat(2), mask: fc.integer() }),
  fc.record({ do: fc.constant('revoke' as const), cap: pick }),
  fc.record({ do: fc.constant('delete' as const), cap: pick }),
  fc.record({ do: fc.constant('look' as const), cap: pick, need: fc.nat(7), vm: fc.nat(2) }),
);

test(
  'answers, rights and object lives are those of the model, for any sequence',
  () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        const bench = new GuestBench();
        const vms = [bench.vm(SLOTS), bench.vm(SLOTS), bench.vm(SLOTS)] as const;
        const { capabilities, table } = bench.kernel;
        const known: Known[] = [];
        const used = (vm: number): number => known.filter((k) => k.vm === vm && k.state !== 'gone').length;
        const space = (vm: number): number => (vms[vm] as BenchVm).space;
        for (const s of steps) {
          const target = 'cap' in s ? known[s.cap % Math.max(1, known.length)] : undefined;
          if (s.do === 'make') {
            const object = bench.doorbell();
            const made = capabilities.grant(space(s.vm), object, 0xffff_ffff, true);
            assert.is(made.ok, used(s.vm) < SLOTS);
            if (made.ok)
              known.push({ vm: s.vm, id: made.value.id, object, rights: 0xffff_ffff, isMaster: true, state: 'valid' });
            bench.kernel.unpin(object); // the capability alone keeps it alive
            continue;
          }
          if (target === undefined) continue;
          if (s.do === 'copy') {
            const made = capabilities.copy(space(target.vm), target.id, space(s.to), s.mask);
            const expected =
              target.state === 'gone' ? 'capNull' : target.state === 'revoked' ? 'capRevoked' : undefined;
            if (expected !== undefined) assert.equal(made, { ok: false, error: expected });
            else if (used(s.to) === SLOTS) assert.equal(made, { ok: false, error: 'spaceFull' });
            else {
              assert.ok(made.ok);
              const rights = (target.rights & s.mask) >>> 0;
              if (made.ok)
                known.push({
                  vm: s.to,
                  id: made.value.id,
                  object: target.object,
                  rights,
                  isMaster: false,
                  state: 'valid',
                });
            }
          } else if (s.do === 'revoke') {
            const answer = capabilities.revokeOthers(space(target.vm), target.id);
            const expected = { gone: 'capNull', revoked: 'capRevoked', valid: target.isMaster ? undefined : 'noRight' }[
              target.state
            ];
            assert.equal(answer.ok ? undefined : answer.error, expected);
            if (answer.ok) {
              for (const other of known) {
                if (other !== target && other.object === target.object && other.state === 'valid')
                  other.state = 'revoked';
              }
            }
          } else if (s.do === 'delete') {
            const answer = capabilities.delete(space(target.vm), target.id);
            assert.is(answer.ok, target.state !== 'gone');
            if (!answer.ok) continue;
            const wasValid = target.state === 'valid';
            target.state = 'gone';
            const left = known.some((k) => k.object === target.object && k.state === 'valid');
            assert.is(answer.value.last, wasValid && !left);
            bench.kernel.collect(target.object);
          } else {
            const found = capabilities.find(space(s.vm), target.id, 0, s.need);
            const owner = known.findLast((k) => k.vm === s.vm && k.id === target.id && k.state !== 'gone');
            const expected =
              owner === undefined
                ? 'capNull'
                : owner.state === 'revoked'
                  ? 'capRevoked'
                  : (owner.rights & s.need) === s.need
                    ? undefined
                    : 'noRight';
            assert.equal(found.ok ? undefined : found.error, expected);
            if (found.ok && owner !== undefined) {
              assert.is(found.value.object, owner.object);
              assert.is(table.state(found.value.object), 'active');
            }
          }
        }
        // Every object with a valid capability lives, every other one has ended.
        const alive = new Set(known.filter((k) => k.state === 'valid').map((k) => k.object)).size;
        assert.is(bench.kernel.count, alive + 6);
      }),
      { numRuns: 150 },
    );
  },
  { deadlineMs: 120_000 },
);

test('frames of everything come back', () => {
  const bench = new GuestBench();
  const vm = bench.vm();
  const before = bench.pool.freeFrames;
  const objects = [bench.queue(255, 1023), bench.doorbell(), bench.queue(1, 1)];
  for (const object of objects) bench.grant(vm, object);
  assert.ok(bench.pool.freeFrames < before);
  for (const object of objects) bench.kernel.destroy(object);
  assert.ok(bench.kernel.hasRetired);
  bench.kernel.releaseRetired();
  assert.is(bench.pool.freeFrames, before);
  assert.is(bench.kernel.capabilities.size(vm.space), 0);
});

test('the limits of a queue and of a space are kept', () => {
  const bench = new GuestBench();
  const queue = bench.object('messageQueue');
  assert.equal(bench.kernel.activate(queue), { ok: false, error: 'badConfig' });
  for (const [depth, bytes] of [
    [0, 240],
    [256, 240],
    [8, 0],
    [8, 1024],
  ] as const) {
    assert.equal(bench.kernel.configureQueue(queue, depth, bytes), { ok: false, error: 'badArgument' });
  }
  assert.ok(bench.kernel.configureQueue(queue, 255, 1023).ok);
  assert.ok(bench.kernel.activate(queue).ok);
  assert.equal(bench.kernel.configureQueue(queue, 8, 240), { ok: false, error: 'badState' });
  assert.equal(bench.kernel.activate(queue), { ok: false, error: 'badState' });
  const space = bench.object('cspace');
  assert.equal(bench.kernel.configureSpace(space, 4097), { ok: false, error: 'badArgument' });
  assert.equal(bench.kernel.activate(space), { ok: false, error: 'badConfig' });
});
test.run();
