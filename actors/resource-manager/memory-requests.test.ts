/** Memory parcels over RPC (gunyah.md 5.8): each rule and its error, with the ledger as witness. */
import * as assert from 'uvu/assert';
import { type BenchClient, RAM_BASE, RmBench } from '../../test/fixtures/gunyah/rm-bench.js';
import { spec } from '../../test/harness/spec.js';
import { PayloadWriter } from './payload.js';
import { RM_ERROR as E, RM_MESSAGE as M, RM_NOTIFICATION as N } from './rm-messages.js';

const test = spec('rm memory parcels');
const PAGE = 4096;
const PLACE = 0x9000_0000n;

async function three(): Promise<{ bench: RmBench; hlos: BenchClient; a: BenchClient; b: BenchClient }> {
  const bench = new RmBench();
  return { bench, hlos: await bench.vm(), a: await bench.vm(0x80), b: await bench.vm(0x81) };
}

/** MEM_ACCEPT of `pages` pages at PLACE. */
function acceptance(
  handle: number,
  pages: number,
  more: { trans?: number; flags?: number; label?: number; mapVmid?: number; place?: bigint } = {},
): PayloadWriter {
  const out = new PayloadWriter()
    .u32(handle)
    .u8(0)
    .u8(more.trans ?? 1)
    .u8(more.flags ?? 128)
    .u8(0)
    .u32(more.label ?? 7);
  out.u16(0).u16(0);
  out.u16(pages > 0 ? 1 : 0).u16(more.mapVmid ?? 0);
  if (pages > 0) out.u64(more.place ?? PLACE).u64(BigInt(pages * PAGE));
  return out.u16(0).u16(0);
}
const handleAndFlags = (handle: number, flags = 0): PayloadWriter => new PayloadWriter().u32(handle).u32(flags);
const entry = (client: BenchClient, ipa: number): number =>
  client.bench.partitions.get(client.vm.partition ?? -1)?.parts?.stage2.entry(ipa / PAGE) ?? 0;

test('lend, accept, release, reclaim: who can see the page at each step', async () => {
  const { hlos, a } = await three();
  const handle = await hlos.give(M.MEM_LEND, [5], [[0x80, 6]]);
  assert.ok(handle > 0);
  assert.is(entry(hlos, RAM_BASE + 5 * PAGE), 0);
  assert.is((await a.call(M.MEM_RELEASE, handleAndFlags(handle))).error, E.MEM_RELEASED);
  assert.is((await a.call(M.MEM_ACCEPT, acceptance(handle, 1))).error, E.OK);
  assert.is(entry(a, Number(PLACE)) & 7, 3);
  assert.is((await a.call(M.MEM_ACCEPT, acceptance(handle, 1))).error, E.DENIED);
  assert.is((await hlos.call(M.MEM_RECLAIM, handleAndFlags(handle))).error, E.MEM_INUSE);
  assert.is((await a.call(M.MEM_RECLAIM, handleAndFlags(handle))).error, E.HANDLE_INVALID);
  assert.is((await a.call(M.MEM_RELEASE, handleAndFlags(handle))).error, E.OK);
  assert.is(entry(a, Number(PLACE)), 0);
  assert.is((await hlos.call(M.MEM_RECLAIM, handleAndFlags(handle))).error, E.OK);
  assert.is(entry(hlos, RAM_BASE + 5 * PAGE) & 7, 7);
  assert.is((await hlos.call(M.MEM_RECLAIM, handleAndFlags(handle))).error, E.HANDLE_INVALID);
});

test('share keeps the owner its own rights; several borrowers map it', async () => {
  const { hlos, a, b } = await three();
  const handle = await hlos.give(
    M.MEM_SHARE,
    [1, 2],
    [
      [3, 4],
      [0x80, 6],
      [0x81, 4],
    ],
  );
  assert.is(entry(hlos, RAM_BASE + PAGE) & 7, 1);
  for (const [client, rights] of [
    [a, 3],
    [b, 1],
  ] as const) {
    assert.is((await client.call(M.MEM_ACCEPT, acceptance(handle, 2, { trans: 2 }))).error, E.OK);
    assert.is(entry(client, Number(PLACE)) & 7, rights);
  }
  await a.call(M.MEM_RELEASE, handleAndFlags(handle));
  assert.is((await hlos.call(M.MEM_RECLAIM, handleAndFlags(handle))).error, E.MEM_INUSE);
  await b.call(M.MEM_RELEASE, handleAndFlags(handle));
  assert.is((await hlos.call(M.MEM_RECLAIM, handleAndFlags(handle))).error, E.OK);
});

test('a donation changes the owner, and the new owner may lend it on', async () => {
  const { bench, hlos, a } = await three();
  const handle = await hlos.give(M.MEM_DONATE, [9], [[0x80, 7]]);
  const frame = (): { owner: number; state: string } => bench.ledger.entry((entry(a, Number(PLACE)) & ~0xfff) >>> 0);
  assert.is((await a.call(M.MEM_ACCEPT, acceptance(handle, 1, { trans: 0 }))).error, E.OK);
  assert.equal(frame(), { owner: a.vm.partition, state: 'owned' });
  assert.is((await hlos.call(M.MEM_RECLAIM, handleAndFlags(handle))).error, E.HANDLE_INVALID);
});

test('requests that break a rule get its error', async () => {
  const { hlos } = await three();
  const denied = async (message: number, pages: number[], acl: [number, number][], flags = 0): Promise<number> =>
    -(await hlos.give(message, pages, acl, flags));
  assert.is(await denied(M.MEM_LEND, [0], []), E.ARGUMENT_INVALID);
  assert.is(await denied(M.MEM_LEND, [], [[0x80, 7]]), E.ARGUMENT_INVALID);
  assert.is(
    await denied(
      M.MEM_LEND,
      [0],
      [
        [0x80, 7],
        [0x80, 4],
      ],
    ),
    E.ARGUMENT_INVALID,
  );
  assert.is(
    await denied(
      M.MEM_LEND,
      [0],
      [
        [0x80, 7],
        [3, 7],
      ],
    ),
    E.ARGUMENT_INVALID,
  );
  assert.is(await denied(M.MEM_SHARE, [0], [[0x80, 7]]), E.ARGUMENT_INVALID);
  assert.is(await denied(M.MEM_LEND, [0], [[0x80, 2]]), E.ARGUMENT_INVALID);
  assert.is(await denied(M.MEM_LEND, [0], [[0x99, 7]]), E.VMID_INVALID);
  assert.is(await denied(M.MEM_DONATE, [0], [[0x80, 6]]), E.DENIED);
  assert.is(
    await denied(
      M.MEM_DONATE,
      [0],
      [
        [0x80, 7],
        [0x81, 7],
      ],
    ),
    E.DENIED,
  );
  assert.is(await denied(M.MEM_LEND, [0], [[0x80, 7]], 4), E.ARGUMENT_INVALID);
  assert.is(await denied(M.MEM_LEND, [0, 0], [[0x80, 7]]), E.MEM_INVALID);
  assert.is(await denied(M.MEM_LEND, [100_000], [[0x80, 7]]), E.MEM_INVALID);
  assert.is((await hlos.call(M.MEM_LEND, new Uint8Array(7))).error, E.MSG_INVALID);
  const many = new PayloadWriter().u32(0).u32(0).u16(513).u16(0);
  for (let n = 0; n < 513; n++) many.u16(0x80).u16(7);
  assert.is((await hlos.call(M.MEM_LEND, many)).error, E.NORESOURCE);
  // 64 parcels of one owner, not one more
  for (let n = 0; n < 64; n++) assert.ok((await hlos.give(M.MEM_LEND, [n], [[0x80, 7]])) > 0);
  assert.is(await denied(M.MEM_LEND, [64], [[0x80, 7]]), E.DENIED);
});

test('APPEND completes a parcel; before that it cannot be accepted', async () => {
  const { hlos, a } = await three();
  const handle = await hlos.give(M.MEM_LEND, [1], [[0x80, 7]], 2);
  const append = (pages: readonly number[], flags: number): PayloadWriter => {
    const out = new PayloadWriter().u32(handle).u8(flags).u8(0).u16(0).u16(pages.length).u16(0);
    for (const page of pages) out.u64(BigInt(RAM_BASE + page * PAGE)).u64(BigInt(PAGE));
    return out;
  };
  assert.is((await a.call(M.MEM_ACCEPT, acceptance(handle, 1))).error, E.MEM_INVALID);
  assert.is((await a.call(M.MEM_APPEND, append([2], 0))).error, E.DENIED);
  assert.is((await hlos.call(M.MEM_APPEND, append([], 0))).error, E.ARGUMENT_INVALID);
  assert.is((await hlos.call(M.MEM_APPEND, append([1], 0))).error, E.MEM_INVALID);
  assert.is((await hlos.call(M.MEM_APPEND, append([3], 0))).error, E.OK);
  assert.is((await hlos.call(M.MEM_APPEND, append([2], 1))).error, E.OK);
  assert.is((await hlos.call(M.MEM_APPEND, append([4], 1))).error, E.DENIED);
  assert.is((await a.call(M.MEM_ACCEPT, acceptance(handle, 3))).error, E.OK);
});

test('ACCEPT checks type, label, addresses and who maps; without addresses it finds a place', async () => {
  const { hlos, a, b } = await three();
  const handle = await hlos.give(M.MEM_LEND, [1, 2], [[0x80, 7]]);
  const attempt = async (more: Parameters<typeof acceptance>[2], pages = 2): Promise<number> =>
    (await a.call(M.MEM_ACCEPT, acceptance(handle, pages, more))).error;
  assert.is((await b.call(M.MEM_ACCEPT, acceptance(handle, 2))).error, E.HANDLE_INVALID);
  assert.is((await hlos.call(M.MEM_ACCEPT, acceptance(handle, 2))).error, E.DENIED);
  assert.is(await attempt({ trans: 2 }), E.ARGUMENT_INVALID);
  assert.is(await attempt({ flags: 128 | 4, label: 8 }), E.VALIDATE_FAILED);
  assert.is(await attempt({ flags: 128 | 2 }), E.VALIDATE_FAILED);
  assert.is(await attempt({ flags: 128 | 8 }), E.DENIED);
  assert.is(await attempt({ mapVmid: 0x81 }), E.DENIED);
  assert.is(await attempt({ place: BigInt(RAM_BASE) }), E.NORESOURCE);
  assert.is(await attempt({}, 1), E.ARGUMENT_INVALID);
  const { error, rest } = await a.call(M.MEM_ACCEPT, acceptance(handle, 0));
  assert.equal([error, rest.u16(), rest.u16()], [E.OK, 1, 0]);
  const ipa = Number(rest.u64());
  assert.is(Number(rest.u64()), 2 * PAGE);
  assert.is(entry(a, ipa) & 7, 7);
});

test('notifications go to whom they concern, and nobody else may send them', async () => {
  const { hlos, a, b } = await three();
  const handle = await hlos.give(M.MEM_LEND, [1], [[0x80, 7]]);
  const notify = (flags: number, vmids: readonly number[]): PayloadWriter => {
    const out = new PayloadWriter().u32(handle).u32(flags).u32(0x77);
    if (vmids.length > 0) out.u16(vmids.length).u16(0);
    for (const vmid of vmids) out.u16(vmid).u16(0);
    return out;
  };
  assert.is((await hlos.call(M.MEM_NOTIFY, notify(3, []))).error, E.ARGUMENT_INVALID);
  assert.is((await hlos.call(M.MEM_NOTIFY, notify(1, [0x81]))).error, E.ARGUMENT_INVALID);
  assert.is((await b.call(M.MEM_NOTIFY, notify(4, []))).error, E.DENIED);
  assert.is((await a.call(M.MEM_NOTIFY, notify(4, []))).error, E.MEM_RELEASED);
  assert.is((await hlos.call(M.MEM_NOTIFY, notify(1, [0x80]))).error, E.OK);
  a.receive();
  assert.equal(
    a.notifications.map(({ message }) => message),
    [N.MEM_SHARED],
  );
  assert.is(a.notifications[0]?.content.length, 20 + 8 + 12 + 4);
  await a.call(M.MEM_ACCEPT, acceptance(handle, 1));
  assert.is((await a.call(M.MEM_NOTIFY, notify(4, []))).error, E.OK);
  hlos.receive();
  assert.equal(
    hlos.notifications.map(({ message }) => message),
    [N.MEM_ACCEPTED],
  );
  assert.is((await hlos.call(M.MEM_NOTIFY, notify(8, [0x80]))).error, E.OK);
  await a.call(M.MEM_RELEASE, handleAndFlags(handle));
  assert.is((await a.call(M.MEM_NOTIFY, notify(2, []))).error, E.OK);
  hlos.receive();
  assert.is(hlos.notifications.at(-1)?.message, N.MEM_RELEASED);
});

test('what a VM held comes back when it dies, and sanitised memory is empty', async () => {
  const { bench, hlos, a } = await three();
  const text = new TextEncoder().encode('secret');
  bench.poke(hlos.vm.partition ?? -1, RAM_BASE + PAGE, text);
  const handle = await hlos.give(M.MEM_LEND, [1], [[0x80, 7]], 1);
  await a.call(M.MEM_ACCEPT, acceptance(handle, 1));
  const frame = (entry(a, Number(PLACE)) & ~0xfff) >>> 0;
  assert.is(bench.memory[frame], 0);
  await bench.rm.tearDown(a.vm);
  assert.is((await hlos.call(M.MEM_RECLAIM, handleAndFlags(handle))).error, E.OK);
  assert.is(entry(hlos, RAM_BASE + PAGE) & ~0xfff, frame | 0);
});
test.run();
