/** Extents and address spaces by hypercall (gunyah.md 2.7, 2.8): mapping, donation, errors, and everything back at the end. */
import * as assert from 'uvu/assert';
import { RAM_BASE, RmBench } from '../../test/fixtures/gunyah/rm-bench.js';
import { spec } from '../../test/harness/spec.js';
import { GUNYAH_ERROR as E } from '../abi/gunyah/errors.js';
import { ALL_RIGHTS } from '../abi/gunyah/rights.js';
import { slowCall } from '../abi/gunyah/slow-calls.js';
import type { Partition } from './partition.js';

const test = spec('memory extents');
const PAGE = 4096n;
const RWX = 7n | (7n << 4n) | (15n << 16n);
const RW = 6n | (6n << 4n) | (15n << 16n);
const PARTIAL = 1n;
const SPARSE = 1n << 16n;
const AT = 0x9000_0000n;

async function setting() {
  const bench = new RmBench();
  const baseline = bench.pool.freeFrames;
  const [owner, guest] = [await bench.vm(), await bench.vm(0x80)];
  const vms = [owner, guest].map((client) => bench.partitions.get(client.vm.partition ?? -1)) as [Partition, Partition];
  const space = bench.core.of(vms[0].number)?.cspace ?? 0;
  const { kernel } = bench;
  const grant = (object: number): bigint => {
    const granted = kernel.capabilities.grant(space, object, ALL_RIGHTS);
    assert.ok(granted.ok);
    return granted.ok ? granted.value.id : 0n;
  };
  const call = async (n: number, ...args: readonly (bigint | number)[]): Promise<number> =>
    (
      await slowCall(
        bench.core,
        { space },
        n,
        args.map((arg) => BigInt.asUintN(64, BigInt(arg))),
      )
    ).error;
  /** A configured, active extent. */
  const extent = async (base: bigint, pages: bigint, attributes = SPARSE | 7n): Promise<bigint> => {
    const object = kernel.create('memextent', vms[0].number);
    assert.ok(object.ok);
    const cap = grant(object.ok ? object.value : 0);
    if (object.ok) kernel.unpin(object.value);
    assert.is(await call(0x31, cap, base, pages * PAGE, attributes), E.ok);
    assert.is(await call(0x0c, cap), E.ok);
    return cap;
  };
  const entry = (vm: Partition, ipa: bigint): number => vm.parts?.stage2.entry(Number(ipa >> 12n)) ?? 0;
  const addrspace = grant(bench.core.of(vms[1].number)?.addrspace ?? 0);
  return { bench, baseline, owner: vms[0], guest: vms[1], call, extent, entry, addrspace, grant, kernel, space };
}
const BASE = BigInt(RAM_BASE);

test('a basic extent is mapped whole, four times at most, and unmapped', async () => {
  const { call, extent, entry, guest, owner, addrspace } = await setting();
  const me = await extent(BASE, 2n, 6n);
  assert.is(await call(0x2b, addrspace, me, AT + 1n, RW, 0, 0, 0), E.argumentAlignment);
  assert.is(await call(0x2b, addrspace, me, AT, RW | (1n << 3n), 0, 0, 0), E.argumentInvalid);
  assert.is(await call(0x2b, addrspace, me, AT, RW, 1n << 5n, 0, 0), E.argumentInvalid);
  assert.is(await call(0x2b, addrspace, me, AT, RWX, 0, 0, 0), E.denied); // more than the extent allows
  assert.is(await call(0x2b, addrspace, me, AT, RW, PARTIAL, 0, PAGE), E.extentType);
  assert.is(await call(0x2b, addrspace, me, BASE, RW, 0, 0, 0), E.existingMapping);
  assert.is(await call(0x2b, addrspace, me, AT, RW, 0, 0, 0), E.ok);
  assert.is(entry(guest, AT) & ~7, entry(owner, BASE) & ~7);
  assert.is(entry(guest, AT) & 7, 3);
  for (let n = 1n; n < 4n; n++) assert.is(await call(0x2b, addrspace, me, AT + n * 2n * PAGE, RW, 0, 0, 0), E.ok);
  assert.is(await call(0x2b, addrspace, me, AT + 16n * PAGE, RW, 0, 0, 0), E.mappingsFull);
  assert.is(await call(0x2c, addrspace, me, AT + PAGE, 0, 0, 0), E.argumentInvalid);
  assert.is(await call(0x2d, addrspace, me, AT, 4n | (4n << 4n), 0, 0, 0), E.ok);
  assert.is(entry(guest, AT) & 7, 1);
  assert.is(await call(0x5a, addrspace, me, AT + PAGE, 4n * PAGE), E.ok);
  assert.is(await call(0x5a, addrspace, me, AT - PAGE, PAGE), E.argumentInvalid);
  assert.is(await call(0x2c, addrspace, me, AT, 0, 0, 0), E.ok);
  assert.is(entry(guest, AT), 0);
  assert.is(await call(0x30, me, 0, 0, 0), E.ok); // unmap all
  assert.is(entry(guest, AT + 2n * PAGE), 0);
});

test('as v17 does it: donate to protected and map; unmap and donate back', async () => {
  const { bench, call, extent, entry, guest, owner, addrspace, kernel, grant } = await setting();
  const host = await extent(BASE, 8n);
  // The guest's private extent has room for the same offsets and no frames of its own.
  const empty = kernel.create('memextent', owner.number);
  assert.ok(empty.ok);
  const guestPrivate = grant(empty.ok ? empty.value : 0);
  assert.is(await call(0x32, guestPrivate, host, 0, 8n * PAGE, SPARSE | 7n), E.ok);
  assert.is(await call(0x0c, guestPrivate), E.ok);
  bench.poke(owner.number, RAM_BASE + 4096, new TextEncoder().encode('code'));
  const frame = entry(owner, BASE + PAGE) & ~7;
  const donate = (type: number, from: bigint, to: bigint): Promise<number> =>
    call(0x61, type, from, to, PAGE, 2n * PAGE);
  assert.is(await donate(3, guestPrivate, host), E.memdbNotOwner);
  assert.is(await donate(3, host, guestPrivate), E.ok);
  assert.is(entry(owner, BASE + PAGE), 0);
  assert.equal(bench.ledger.entry(frame >>> 0), { owner: owner.number, state: 'lent' });
  assert.is(await donate(3, host, guestPrivate), E.memdbNotOwner);
  assert.is(await call(0x2b, addrspace, guestPrivate, AT, RWX, PARTIAL | 2n, PAGE, 2n * PAGE), E.ok);
  assert.is(entry(guest, AT), frame | 7);
  assert.is(await call(0x2c, addrspace, guestPrivate, AT, PARTIAL | 0x8000_0000n, PAGE, PAGE), E.ok);
  assert.equal([entry(guest, AT), entry(guest, AT + PAGE) !== 0], [0, true]);
  assert.is(await donate(4, guestPrivate, host), E.ok); // what is still mapped goes with it
  assert.is(entry(guest, AT + PAGE), 0);
  assert.is(entry(owner, BASE + PAGE), frame | 7);
  assert.is(bench.memory[frame >>> 0], 0); // came back empty
});

test('VMMIO ranges do not overlap, are removed exactly, and are at most 128', async () => {
  const { call, addrspace } = await setting();
  const range = (base: bigint, bytes: bigint, op: number): Promise<number> => call(0x60, addrspace, base, bytes, op);
  assert.is(await range(0n, PAGE, 2), E.argumentInvalid);
  assert.is(await range(1n, PAGE, 0), E.argumentAlignment);
  assert.is(await range(0n, 4n * PAGE, 0), E.ok);
  assert.is(await range(PAGE, PAGE, 0), E.argumentInvalid);
  assert.is(await range(0n, PAGE, 1), E.argumentInvalid);
  assert.is(await range(0n, 4n * PAGE, 1), E.ok);
  for (let n = 0n; n < 128n; n++) assert.is(await range(n * PAGE, PAGE, 0), E.ok);
  assert.is(await range(128n * PAGE, PAGE, 0), E.noResources);
});

test('only owned pages make an extent, and when VMs or extents end every frame is where it belongs', async () => {
  for (const order of [
    ['owner', 'guest'],
    ['guest', 'owner'],
    ['cap', 'owner', 'guest'],
  ] as const) {
    const { bench, baseline, call, extent, owner, guest, addrspace, kernel, grant, space } = await setting();
    const host = await extent(BASE, 8n);
    const twice = kernel.create('memextent', owner.number);
    assert.ok(twice.ok);
    assert.is(await call(0x31, grant(twice.ok ? twice.value : 0), BASE, PAGE, SPARSE), E.memdbNotOwner);
    assert.is(await call(0x2b, addrspace, host, AT, RWX, PARTIAL, 0, 4n * PAGE), E.ok);
    for (const what of order) {
      if (what === 'cap') {
        const deleted = kernel.capabilities.delete(space, host);
        assert.ok(deleted.ok);
        if (deleted.ok) kernel.collect(deleted.value.object);
        assert.ok(await bench.extents.collect());
        assert.is(guest.parts?.stage2.entry(Number(AT >> 12n)), 0);
        assert.equal(bench.ledger.entry(((owner.parts?.stage2.entry(RAM_BASE / 4096) ?? 0) & ~7) >>> 0).state, 'owned');
      } else await bench.deleteVm(what === 'owner' ? owner.number : guest.number);
    }
    assert.is(bench.pool.freeFrames, baseline, order.join());
  }
});
test.run();
