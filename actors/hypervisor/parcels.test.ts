/** Memory ownership against a model: one owner per frame, no mapping without a grant, everything back at the end. */
import fc from 'fast-check';
import * as assert from 'uvu/assert';
import { spec } from '../../test/harness/spec.js';
import { FrameLedger } from '../shared-state/frames/frame-ledger.js';
import { FramePool } from './frame-pool.js';
import type { Transfer } from './parcel.protocol.js';
import { Parcels } from './parcels.js';
import { Partition } from './partition.js';

const test = spec('parcels');
const PAGE = 4096;
const FRAMES = 512;
const BASE = 0x4000_0000;
const GIVEN = 0x8000_0000;
const RWX = 7;

interface Bench {
  readonly memory: SharedArrayBuffer;
  readonly ledger: FrameLedger;
  readonly pool: FramePool;
  readonly parcels: Parcels;
  readonly flushed: Partition[];
  readonly vms: Partition[];
  readonly baseline: number;
}

function bench(vmCount: number, pages: number): Bench {
  const memory = new SharedArrayBuffer(FRAMES * PAGE);
  const ledger = new FrameLedger(memory, 0, FRAMES);
  const pool = new FramePool(memory, ledger, PAGE, FRAMES * PAGE);
  const baseline = pool.freeFrames;
  const flushed: Partition[] = [];
  const parcels = new Parcels(memory, ledger, (partition) => {
    flushed.push(partition);
    return Promise.resolve(true);
  });
  const vms = Array.from({ length: vmCount }, (_, index) => {
    const vm = new Partition(index + 1, memory, pool, () => undefined);
    assert.ok(vm.initialize().ok);
    assert.ok(vm.map(BASE, pages * PAGE, RWX).ok);
    return vm;
  });
  return { memory, ledger, pool, parcels, flushed, vms, baseline };
}

const entry = (vm: Partition, ipa: number): number => vm.parts?.stage2.entry(ipa / PAGE) ?? 0;

test("lending takes the owner's access away, and it is gone before the answer", async () => {
  const { parcels, vms, flushed } = bench(2, 4);
  const [owner, other] = vms as [Partition, Partition];
  const host = entry(owner, BASE + PAGE);
  const lent = await parcels.create(owner, 'lend', [{ ipa: BASE + PAGE, bytes: 2 * PAGE }], 0);
  assert.ok(lent.ok);
  assert.equal(flushed, [owner]);
  assert.is(entry(owner, BASE + PAGE), 0);
  assert.not.equal(entry(owner, BASE), 0);
  if (!lent.ok) return;
  const { parcel } = lent.value;
  const place = [{ ipa: GIVEN, bytes: 2 * PAGE }];
  assert.equal(parcels.map(parcel, owner, place, 1), { ok: false, error: 'badArgument' });
  assert.equal(parcels.map(parcel, other, [{ ipa: GIVEN, bytes: PAGE }], 1), { ok: false, error: 'badArgument' });
  assert.equal(parcels.map(parcel, other, [{ ipa: BASE, bytes: 2 * PAGE }], 1), { ok: false, error: 'overlap' });
  assert.equal(parcels.map(parcel, other, place, 0), { ok: false, error: 'badArgument' });
  assert.ok(parcels.map(parcel, other, place, 3).ok);
  assert.is(entry(other, GIVEN), (host & ~0xfff) | 3);
  assert.equal(parcels.map(parcel, other, place, 3), { ok: false, error: 'inUse' });
  assert.equal(parcels.end(parcel, false), { ok: false, error: 'inUse' });
  assert.equal(await parcels.extend(parcel, [{ ipa: BASE, bytes: PAGE }]), { ok: false, error: 'inUse' });
  assert.ok((await parcels.unmap(parcel, other)).ok);
  assert.is(entry(other, GIVEN), 0);
  assert.equal(flushed, [owner, other]);
  assert.equal(await parcels.unmap(parcel, other), { ok: false, error: 'notHeld' });
  assert.ok(parcels.end(parcel, true).ok);
  assert.is(entry(owner, BASE + PAGE), host);
  assert.equal(parcels.end(parcel, false), { ok: false, error: 'noParcel' });
});

test('only whole pages that are mapped, owned and free can leave, and none twice', async () => {
  const { parcels, vms } = bench(2, 4);
  const [owner, other] = vms as [Partition, Partition];
  const refused = async (transfer: Transfer, ranges: { ipa: number; bytes: number }[], keep = 0): Promise<string> => {
    const answer = await parcels.create(owner, transfer, ranges, keep);
    return answer.ok ? 'granted' : answer.error;
  };
  assert.is(await refused('lend', []), 'badArgument');
  assert.is(await refused('lend', [{ ipa: BASE + 1, bytes: PAGE }]), 'badArgument');
  assert.is(await refused('lend', [{ ipa: BASE, bytes: 0 }]), 'badArgument');
  assert.is(await refused('lend', [{ ipa: 2 ** 45, bytes: PAGE }]), 'badArgument');
  assert.is(await refused('lend', [{ ipa: BASE, bytes: PAGE }], 1), 'badArgument');
  assert.is(await refused('lend', [{ ipa: BASE + 3 * PAGE, bytes: 2 * PAGE }]), 'notOwned');
  assert.is(
    await refused('lend', [
      { ipa: BASE, bytes: PAGE },
      { ipa: BASE, bytes: PAGE },
    ]),
    'notOwned',
  );
  const shared = await parcels.create(owner, 'share', [{ ipa: BASE, bytes: PAGE }], 1);
  assert.ok(shared.ok);
  assert.is(entry(owner, BASE) & RWX, 1);
  assert.is(await refused('share', [{ ipa: BASE, bytes: PAGE }], 7), 'notOwned');
  if (!shared.ok) return;
  assert.ok(parcels.map(shared.value.parcel, other, [{ ipa: GIVEN, bytes: PAGE }], 7).ok);
  // What was only mapped, not donated, cannot be passed on.
  assert.equal(await parcels.create(other, 'lend', [{ ipa: GIVEN, bytes: PAGE }], 0), { ok: false, error: 'notOwned' });
});

/** The model: who owns each page, whether it is away and how, who holds it. */
interface ModelParcel {
  readonly owner: number;
  readonly transfer: Transfer;
  readonly page: number;
  holder: number | undefined;
  number: number;
}

const VMS = 3;
const PAGES = 3;
const step = fc.oneof(
  fc.record({
    do: fc.constantFrom('lend' as const, 'share' as const, 'donate' as const),
    vm: fc.nat(VMS - 1),
    page: fc.nat(PAGES - 1),
  }),
  fc.record({ do: fc.constant('accept' as const), parcel: fc.nat(20), vm: fc.nat(VMS - 1) }),
  fc.record({ do: fc.constant('release' as const), parcel: fc.nat(20), vm: fc.nat(VMS - 1) }),
  fc.record({ do: fc.constant('reclaim' as const), parcel: fc.nat(20) }),
  fc.record({ do: fc.constant('die' as const), vm: fc.nat(VMS - 1) }),
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

/** Runs `steps` on the core and on the model; throws on the first difference. */
async function check(steps: readonly Step[]): Promise<void> {
  const { parcels, vms, ledger, pool, baseline } = bench(VMS, PAGES);
  const alive = vms.map(() => true);
  /** By original VM and page: the frame, and who owns it now. */
  const host = vms.map((vm) => Array.from({ length: PAGES }, (_, page) => entry(vm, BASE + page * PAGE) & ~0xfff));
  const owner = vms.map((_, index) => Array.from({ length: PAGES }, () => index));
  const known: ModelParcel[] = [];
  const open = new Set<ModelParcel>();
  const placeOf = (p: ModelParcel): number => GIVEN + (p.owner * PAGES + p.page) * PAGE;
  const away = (vm: number, page: number): ModelParcel | undefined =>
    [...open].find((p) => p.owner === vm && p.page === page);
  for (const s of steps) {
    if ('page' in s) {
      if (alive[s.vm] !== true) continue;
      const keep = s.do === 'share' ? 5 : 0;
      const made = await parcels.create(
        vms[s.vm] as Partition,
        s.do,
        [{ ipa: BASE + s.page * PAGE, bytes: PAGE }],
        keep,
      );
      const isHere = owner[s.vm]?.[s.page] === s.vm && away(s.vm, s.page) === undefined;
      assert.is(made.ok, isHere, `${s.do} of page ${s.page} of ${s.vm}`);
      if (!made.ok) continue;
      const parcel = { owner: s.vm, transfer: s.do, page: s.page, holder: undefined, number: made.value.parcel };
      known.push(parcel);
      open.add(parcel);
      continue;
    }
    if (s.do === 'die') {
      if (alive[s.vm] !== true) continue;
      alive[s.vm] = false;
      assert.ok(await parcels.forget(vms[s.vm] as Partition));
      (vms[s.vm] as Partition).free();
      for (const p of open) {
        if (p.holder === s.vm) p.holder = undefined;
        if (p.owner === s.vm) open.delete(p);
      }
      continue;
    }
    const p = known[s.parcel % Math.max(1, known.length)];
    if (p === undefined) continue;
    const isOpen = open.has(p);
    if (s.do === 'reclaim') {
      assert.is(parcels.end(p.number, false).ok, isOpen && p.holder === undefined);
      if (isOpen && p.holder === undefined) open.delete(p);
      continue;
    }
    if (alive[s.vm] !== true) continue;
    const vm = vms[s.vm] as Partition;
    if (s.do === 'release') {
      const answer = await parcels.unmap(p.number, vm);
      assert.is(answer.ok, isOpen && p.holder === s.vm);
      if (answer.ok) p.holder = undefined;
      continue;
    }
    const place = [{ ipa: placeOf(p), bytes: PAGE }];
    const answer =
      p.transfer === 'donate' ? parcels.acceptDonation(p.number, vm, place, RWX) : parcels.map(p.number, vm, place, 3);
    // The model's page can have one holder only: a second one is refused by its own rule below.
    const mayHave = isOpen && s.vm !== p.owner && p.holder !== s.vm;
    assert.is(answer.ok, mayHave, `accept of parcel ${p.number} by ${s.vm}`);
    if (!answer.ok) continue;
    if (p.transfer === 'donate') {
      open.delete(p);
      (owner[p.owner] as number[])[p.page] = s.vm;
    } else if (p.holder === undefined) p.holder = s.vm;
    else {
      // A second borrower: give it back at once, so that the model stays small.
      assert.ok((await parcels.unmap(p.number, vm)).ok);
    }
  }
  // Audit: every mapping there is, and every state of the ledger, is the model's.
  for (const [index, vm] of vms.entries()) {
    for (let page = 0; page < PAGES; page++) {
      const p = away(index, page);
      const frame = host[index]?.[page] ?? 0;
      const isOwn = owner[index]?.[page] === index;
      const expected = !isOwn ? 0 : p === undefined ? frame | RWX : p.transfer === 'share' ? frame | 5 : 0;
      if (alive[index] === true) assert.is(entry(vm, BASE + page * PAGE), expected);
      const holder = p?.holder;
      for (const [other, that] of vms.entries()) {
        if (alive[other] !== true || other === index) continue;
        const donated = !isOwn && owner[index]?.[page] === other;
        const at = GIVEN + (index * PAGES + page) * PAGE;
        assert.is(entry(that, at), donated ? frame | RWX : holder === other ? frame | 3 : 0);
      }
      const who = owner[index]?.[page] ?? 0;
      if (alive[who] === true) {
        const state =
          p === undefined ? 'owned' : ({ lend: 'lent', share: 'shared', donate: 'donated' } as const)[p.transfer];
        assert.equal(ledger.entry(frame), { owner: who + 1, state });
      }
    }
  }
  for (const [index, vm] of vms.entries()) {
    if (alive[index] !== true) continue;
    assert.ok(await parcels.forget(vm));
    vm.free();
  }
  assert.is(parcels.count, 0);
  assert.is(pool.freeFrames, baseline);
}

test(
  'any sequence of transfers, deaths included, is as the model says',
  async () => {
    await fc.assert(fc.asyncProperty(fc.array(step, { maxLength: 40 }), check), { numRuns: 200 });
  },
  { deadlineMs: 120_000 },
);

test(
  'every sequence of three steps, on one page of each VM, is as the model says',
  async () => {
    const steps: Step[] = [];
    for (const vm of [0, 1, 2]) {
      for (const transfer of ['lend', 'share', 'donate'] as const) steps.push({ do: transfer, vm, page: 0 });
      for (const parcel of [0, 1]) {
        steps.push({ do: 'accept', parcel, vm }, { do: 'release', parcel, vm });
      }
      steps.push({ do: 'die', vm });
    }
    steps.push({ do: 'reclaim', parcel: 0 }, { do: 'reclaim', parcel: 1 });
    // The first step of interest is a transfer of VM 0: the others are the same with other names.
    for (const first of steps.slice(0, 3)) {
      for (const second of steps) for (const third of steps) await check([first, second, third]);
    }
  },
  { deadlineMs: 120_000 },
);
test.run();
