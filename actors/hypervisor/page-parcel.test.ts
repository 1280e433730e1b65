/** A lent parcel becomes pages (parcel.protocol.ts, pageParcel): whose, when not, and that each frame keeps one owner whoever ends first. */
import * as assert from 'uvu/assert';
import { RAM_BASE, RmBench } from '../../test/fixtures/gunyah/rm-bench.js';
import { spec } from '../../test/harness/spec.js';

const test = spec('a parcel becomes pages');
const PAGE = 4096;
const AT = 0x9000_0000;
const RWX = 7;
/** Three pages that are not in order where the owner has them. */
const RANGES = [
  { ipa: RAM_BASE + 4 * PAGE, bytes: 2 * PAGE },
  { ipa: RAM_BASE + PAGE, bytes: PAGE },
];

async function setting() {
  const bench = new RmBench();
  const partition = async (bytes: number): Promise<number> => {
    const made = await bench.createVm(1);
    if (!made.ok) throw new Error(made.error);
    if (bytes > 0) assert.ok(bench.partitions.get(made.value.partition)?.map(RAM_BASE, bytes, RWX).ok);
    return made.value.partition;
  };
  const [owner, vm, other] = [await partition(16 * PAGE), await partition(0), await partition(0)];
  const paging = await bench.createPaging(vm, owner);
  if (!paging.ok) throw new Error(paging.error);
  const frames = [4, 5, 1].map((page) => entry(bench, owner, RAM_BASE + page * PAGE) & ~0xfff);
  const lend = async (transfer: 'lend' | 'share' = 'lend'): Promise<number> => {
    const made = await bench.createParcel(owner, transfer, RANGES, transfer === 'share' ? RWX : 0);
    if (!made.ok) throw new Error(made.error);
    return made.value.parcel;
  };
  const place = [{ ipa: AT, bytes: 3 * PAGE }];
  return { bench, owner, vm, other, paging: paging.value, frames, lend, place };
}
function entry(bench: RmBench, partition: number, ipa: number): number {
  return bench.partitions.get(partition)?.parts?.stage2.entry(ipa / PAGE) ?? 0;
}

test('it must be lent, held by that VM alone, and the extent its own sparse one', async () => {
  const { bench, owner, vm, other, paging, lend, place } = await setting();
  const parcel = await lend();
  const page = async (what: number, to: number, extent: number): Promise<string> => {
    const done = await bench.pageParcel(what, to, extent);
    return done.ok ? 'ok' : done.error;
  };
  assert.is(await page(parcel, vm, paging.guestPrivate), 'notHeld');
  assert.ok((await bench.mapParcel(parcel, vm, place, RWX)).ok);
  assert.is(await page(parcel + 1, vm, paging.guestPrivate), 'noParcel');
  assert.is(await page(parcel, 99, paging.guestPrivate), 'noPartition');
  assert.is(await page(parcel, vm, paging.hostPrivate), 'badArgument', 'a view');
  assert.is(await page(parcel, vm, paging.addrspace), 'badArgument', 'no extent');
  assert.is(await page(parcel, other, paging.guestPrivate), 'badArgument', 'another’s extent');
  assert.ok((await bench.mapParcel(parcel, other, place, RWX)).ok);
  assert.is(await page(parcel, vm, paging.guestPrivate), 'inUse');
  assert.ok((await bench.unmapParcel(parcel, other)).ok);
  assert.is(await page(parcel, vm, paging.guestPrivate), 'ok');
  assert.is(await page(parcel, vm, paging.guestPrivate), 'noParcel');
  assert.is(entry(bench, owner, RAM_BASE + PAGE), 0, 'the owner has lost them still');
  const next = await setting();
  const shared = await next.lend('share');
  assert.ok((await next.bench.mapParcel(shared, next.vm, next.place, RWX)).ok);
  const refused = await next.bench.pageParcel(shared, next.vm, next.paging.guestPrivate);
  assert.is(refused.ok ? 'ok' : refused.error, 'badArgument');
});

test('its pages go back one by one, and with their VM or their owner, to be the owner’s own', async () => {
  for (const end of ['pages', 'vm', 'owner'] as const) {
    const { bench, owner, vm, paging, frames, lend, place } = await setting();
    const parcel = await lend();
    assert.ok((await bench.mapParcel(parcel, vm, place, RWX)).ok);
    assert.ok((await bench.pageParcel(parcel, vm, paging.guestPrivate)).ok);
    assert.equal(
      [0, 1, 2].map((n) => entry(bench, vm, AT + n * PAGE)),
      frames.map((host) => host | RWX),
      'where they were',
    );
    for (const host of frames) assert.equal(bench.ledger.entry(host), { owner, state: 'lent' });
    bench.memory[frames[2] ?? 0] = 7;
    const { guestPrivate, hostPrivate, addrspace } = paging;
    const [ipa, page] = [BigInt(AT + 2 * PAGE), BigInt(RAM_BASE + PAGE)];
    if (end === 'pages') {
      const range = { addrspace, extent: guestPrivate, base: ipa, partial: { offset: page, bytes: BigInt(PAGE) } };
      assert.ok((await bench.extents.unmap(range)).ok);
      const back = await bench.extents.donate('fromProtected', guestPrivate, hostPrivate, page, BigInt(PAGE));
      assert.ok(back.ok, back.ok ? '' : back.error);
      assert.equal([entry(bench, vm, AT + 2 * PAGE), entry(bench, vm, AT)], [0, (frames[0] ?? 0) | RWX]);
    } else await bench.deleteVm(end === 'vm' ? vm : owner);
    if (end === 'owner') {
      for (const n of [0, 1, 2]) assert.is(entry(bench, vm, AT + n * PAGE), 0, 'nothing of another’s is left');
      continue;
    }
    const last = frames[2] ?? 0;
    assert.is(entry(bench, owner, RAM_BASE + PAGE), last | RWX);
    assert.equal(bench.ledger.entry(last), { owner, state: 'owned' });
    assert.is(bench.memory[last], 0, 'empty');
    const first = bench.ledger.entry(frames[0] ?? 0);
    assert.equal(first, { owner, state: end === 'vm' ? 'owned' : 'lent' });
  }
});
test.run();
