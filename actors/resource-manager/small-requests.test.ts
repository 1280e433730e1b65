/** Queries, consoles, lent interrupts, reserved addresses (gunyah.md 5.5, 5.6, 5.10, 5.11): payloads both ways, who may, errors. */
import * as assert from 'uvu/assert';
import { strings } from '../../devices/machine/device-tree/tree.js';
import { type BenchClient, guestTree, RmBench, vdevice } from '../../test/fixtures/gunyah/rm-bench.js';
import { spec } from '../../test/harness/spec.js';
import { type PayloadReader, PayloadWriter } from './payload.js';
import { RM_ERROR as E, RM_MESSAGE as M, RM_NOTIFICATION as N } from './rm-messages.js';

const test = spec('rm small requests');
const text = (value: string): Uint8Array => new TextEncoder().encode(value);
const padded = (value: Uint8Array): PayloadWriter => new PayloadWriter().u16(value.length).u16(0).bytes(value).align();

/** A primary VM and a VM of its that runs, with a name, an address of its own and RPC queues. */
async function pair(): Promise<{ bench: RmBench; hlos: BenchClient; guest: BenchClient; vmid: number }> {
  const bench = new RmBench([5]);
  const hlos = await bench.vm();
  const { rest } = await hlos.call(M.VM_ALLOCATE, new PayloadWriter().u32(0));
  const vmid = rest.u32();
  const properties = {
    'image-name': strings('trusty'),
    'vm-uri': strings('vm:one'),
    'vm-guid': strings('00112233-4455-6677-8899-aabbccddeeff'),
  };
  const parcel = await hlos.image(vmid, guestTree([vdevice('rpc', 'rm-rpc')], properties));
  assert.is(await hlos.configure(vmid, parcel), E.OK);
  assert.is(await hlos.simple(M.VM_INIT, vmid), E.OK);
  assert.is(await hlos.simple(M.VM_START, vmid), E.OK);
  return { bench, hlos, guest: bench.client(vmid), vmid };
}
/** Content of the notifications `message` that came since the last look. */
function taken(client: BenchClient, message: number): Uint8Array[] {
  client.receive();
  const found = client.notifications.filter((notice) => notice.message === message).map(({ content }) => content);
  client.notifications.length = 0;
  return found;
}

test('who is who: own VMID by generation, owner, peers, host type', async () => {
  const { bench, hlos, guest, vmid } = await pair();
  assert.equal([...(await guest.call(M.VM_GET_VMID)).rest.bytes(4)], [vmid, 0, 0, 0]);
  assert.is((await guest.call(M.VM_GET_OWNER)).rest.u32(), 3);
  const peers = (await guest.call(M.VM_GET_PEERS)).rest;
  assert.equal([peers.u32(), peers.u32(), peers.rest], [1, 3, 0]);
  const own = (await hlos.call(M.VM_GET_PEERS)).rest;
  assert.equal([own.u32(), own.u32(), own.rest], [1, vmid, 0]);
  assert.is((await guest.call(M.VM_HOST_GET_TYPE)).rest.u32(), 0x0100_0164);
  // v6 sends four zero bytes and takes two.
  const six = await bench.vm(0xa0, 'P6');
  const answer = (await six.call(M.VM_GET_VMID, new PayloadWriter().u32(0))).rest;
  assert.equal([answer.rest, answer.u16()], [2, 0xa0]);
  assert.is((await guest.call(M.VM_GET_VMID, new PayloadWriter().u32(0))).error, E.MSG_INVALID);
});

test('names: GET_ID tells them, look-ups find them', async () => {
  const { hlos, vmid } = await pair();
  const { rest } = await hlos.call(M.VM_GET_ID, new PayloadWriter().u16(vmid).u16(0));
  const ids = Array.from({ length: rest.u32() }, () => {
    const type = rest.u8();
    rest.zero(1);
    const value = rest.bytes(rest.u16());
    rest.align();
    return [type, type === 0 ? [...value.subarray(0, 3)] : new TextDecoder().decode(value)];
  });
  assert.equal(ids, [
    [0, [0, 0x11, 0x22]],
    [1, 'vm:one'],
    [2, 'trusty'],
  ]);
  assert.is(rest.rest, 0);
  const found = async (message: number, payload: PayloadWriter | Uint8Array): Promise<number[]> => {
    const answer = (await hlos.call(message, payload)).rest;
    return Array.from({ length: answer.u32() }, () => answer.u32());
  };
  assert.equal(await found(M.VM_LOOKUP_NAME, padded(text('trusty'))), [vmid]);
  assert.equal(await found(M.VM_LOOKUP_NAME, padded(text('trust'))), []);
  assert.equal(await found(M.VM_LOOKUP_URI, padded(text('vm:one'))), [vmid]);
  const guid = Uint8Array.from({ length: 16 }, (_, n) => n * 0x11);
  assert.equal(await found(M.VM_LOOKUP_GUID, guid), [vmid]);
  assert.is((await hlos.call(M.VM_LOOKUP_NAME, padded(text('x'.repeat(80))))).error, E.MSG_INVALID);
  assert.is((await hlos.call(M.VM_LOOKUP_NAME, padded(text('')))).error, E.ARGUMENT_INVALID);
  assert.is(await hlos.simple(M.VM_GET_ID, 0xbe), E.NORESOURCE);
  const { rest: other } = await hlos.call(M.VM_ALLOCATE, new PayloadWriter().u32(0));
  assert.is(await hlos.simple(M.VM_GET_ID, other.u32()), E.VM_STATE);
});

test('states and statuses: who may ask, who may tell', async () => {
  const { bench, hlos, guest, vmid } = await pair();
  const stranger = await bench.vm(0xa0);
  const state = await hlos.call(M.VM_GET_STATE, new PayloadWriter().u16(vmid).u16(0));
  assert.equal([...state.rest.bytes(4)], [3, 0, 0, 0]);
  assert.equal([...(await guest.call(M.VM_GET_STATE, new PayloadWriter().u32(0))).rest.bytes(4)], [3, 0, 0, 0]);
  assert.is(await stranger.simple(M.VM_GET_STATE, vmid), E.DENIED);
  assert.is(await hlos.simple(M.VM_GET_STATE, 0xbe), E.NORESOURCE);
  const status = new PayloadWriter().u8(0).u8(4).u16(7);
  assert.is((await guest.call(M.VM_SET_STATUS, status)).error, E.DENIED); // dynamic
  const fixed = await bench.vm(5);
  assert.is((await fixed.call(M.VM_SET_STATUS, status)).error, E.OK);
  assert.is((await fixed.call(M.VM_SET_STATUS, new PayloadWriter().u8(0).u8(8).u16(0))).error, E.ARGUMENT_INVALID);
  assert.equal([...(await fixed.call(M.VM_GET_STATE, new PayloadWriter().u32(0))).rest.bytes(4)], [3, 4, 7, 0]);
});

test('crash messages: 192 bytes are kept, for the owner', async () => {
  const { hlos, guest, vmid } = await pair();
  assert.is((await guest.call(M.VM_SET_CRASH_MSG, padded(text('x'.repeat(300))))).error, E.OK);
  const { rest } = await hlos.call(M.VM_GET_CRASH_MSG, new PayloadWriter().u16(vmid).u16(0));
  assert.equal([rest.u16(), rest.u16(), rest.rest], [192, 0, 192]);
  assert.is(await guest.simple(M.VM_GET_CRASH_MSG, 3), E.VMID_INVALID);
  assert.is(await guest.simple(M.VM_GET_CRASH_MSG, vmid), E.VMID_INVALID);
});

test('time base: owner or peer, before the start', async () => {
  const { bench, hlos, guest, vmid } = await pair();
  const base = (of: number): PayloadWriter => new PayloadWriter().u16(of).u16(0).u64(5n).u64(7n);
  const refused = await hlos.call(M.VM_SET_TIME_BASE, base(vmid));
  assert.equal([refused.error, refused.rest.rest], [E.VM_STATE, 4]);
  const { rest } = await hlos.call(M.VM_ALLOCATE, new PayloadWriter().u32(0));
  const other = rest.u32();
  assert.is((await hlos.call(M.VM_SET_TIME_BASE, base(other))).error, E.VM_STATE);
  assert.is((await guest.call(M.VM_SET_TIME_BASE, base(other))).error, E.DENIED);
  assert.is((await hlos.call(M.VM_SET_TIME_BASE, base(0xbe))).error, E.VMID_INVALID);
  assert.is(await hlos.simple(M.VM_RESET, other), E.VM_STATE);
  const vm = bench.rm.vms.get(other);
  if (vm !== undefined) vm.state = 1;
  assert.is((await hlos.call(M.VM_SET_TIME_BASE, base(other))).error, E.OK);
  assert.equal(vm?.timeBase, { ns: 5n, ticks: 7n });
});

test('5.10: console characters go to the other side when it listens', async () => {
  const { bench, hlos, guest, vmid } = await pair();
  const target = (of: number): PayloadWriter => new PayloadWriter().u16(of).u16(0);
  const write = (of: number, what: string): PayloadWriter =>
    new PayloadWriter().u16(of).u16(what.length).bytes(text(what));
  assert.is((await hlos.call(M.VM_CONSOLE_OPEN, target(0))).error, E.ARGUMENT_INVALID); // no console of its own
  assert.is((await hlos.call(M.VM_CONSOLE_OPEN, target(0xbe))).error, E.ARGUMENT_INVALID);
  assert.is((await (await bench.vm(0xa0)).call(M.VM_CONSOLE_OPEN, target(vmid))).error, E.DENIED);
  for (const message of [M.VM_CONSOLE_CLOSE, M.VM_CONSOLE_FLUSH]) {
    assert.is((await guest.call(message, target(0))).error, E.DENIED, 'not open');
  }
  assert.is((await guest.call(M.VM_CONSOLE_WRITE, write(0, 'a'))).error, E.DENIED);
  assert.is((await guest.call(M.VM_CONSOLE_OPEN, target(0))).error, E.OK);
  assert.is((await guest.call(M.VM_CONSOLE_WRITE, write(0, 'lost'))).error, E.OK);
  assert.equal(taken(hlos, N.VM_CONSOLE_CHARS), []);
  assert.is((await hlos.call(M.VM_CONSOLE_OPEN, target(vmid))).error, E.OK);
  assert.is((await guest.call(M.VM_CONSOLE_WRITE, write(0, 'hi'))).error, E.OK);
  assert.equal(taken(hlos, N.VM_CONSOLE_CHARS), [Uint8Array.of(vmid, 0, 2, 0, 0x68, 0x69)]);
  assert.is((await hlos.call(M.VM_CONSOLE_WRITE, write(vmid, 'yo'))).error, E.OK);
  assert.equal(taken(guest, N.VM_CONSOLE_CHARS), [Uint8Array.of(0, 0, 2, 0, 0x79, 0x6f)]);
  assert.is((await guest.call(M.VM_CONSOLE_FLUSH, target(0))).error, E.OK);
  assert.is((await hlos.call(M.VM_CONSOLE_CLOSE, target(vmid))).error, E.OK);
  assert.is((await hlos.call(M.VM_CONSOLE_WRITE, write(vmid, 'x'))).error, E.DENIED);
});

test('5.11: an interrupt is lent, accepted, released, reclaimed, with notifications', async () => {
  const { bench, hlos, guest, vmid } = await pair();
  const lend = (to: number, virq: number): PayloadWriter => new PayloadWriter().u16(to).u16(0).u32(virq).u32(9);
  assert.is((await hlos.call(M.VM_IRQ_LEND, lend(0xbe, 40))).error, E.VMID_INVALID);
  for (const virq of [31, 1020]) assert.is((await hlos.call(M.VM_IRQ_LEND, lend(vmid, virq))).error, E.IRQ_INVALID);
  const { error, rest } = await hlos.call(M.VM_IRQ_LEND, lend(vmid, 40));
  const handle = rest.u32();
  assert.equal([error, rest.rest], [E.OK, 0]);
  assert.is((await hlos.call(M.VM_IRQ_LEND, lend(vmid, 40))).error, E.IRQ_INUSE);
  const tell = (flags: number, to?: number): PayloadWriter => {
    const out = new PayloadWriter().u32(handle).u32(flags);
    return to === undefined ? out : out.u16(1).u16(0).u16(to).u16(0);
  };
  assert.is((await hlos.call(M.VM_IRQ_NOTIFY, tell(1, vmid))).error, E.OK);
  assert.equal(taken(guest, N.VM_IRQ_LENT), [new PayloadWriter().u16(3).u16(0).u32(handle).u32(9).finish()]);
  const accept = (virq: number): PayloadWriter => new PayloadWriter().u32(handle).u32(virq);
  assert.is((await (await bench.vm(0xa0)).call(M.VM_IRQ_ACCEPT, accept(50))).error, E.HANDLE_INVALID);
  assert.is((await guest.call(M.VM_IRQ_ACCEPT, accept(5000))).error, E.IRQ_INVALID);
  const accepted = await guest.call(M.VM_IRQ_ACCEPT, accept(0xffff_ffff));
  assert.equal([accepted.error, accepted.rest.u32()], [E.OK, 40]);
  assert.is((await guest.call(M.VM_IRQ_ACCEPT, accept(41))).error, E.IRQ_INUSE);
  assert.is((await hlos.call(M.VM_IRQ_RECLAIM, new PayloadWriter().u32(handle))).error, E.IRQ_INUSE);
  for (const [flags, message] of [
    [4, N.VM_IRQ_ACCEPTED],
    [2, N.VM_IRQ_RELEASED],
  ] as const) {
    assert.is((await guest.call(M.VM_IRQ_NOTIFY, tell(flags))).error, E.OK);
    assert.equal(taken(hlos, message), [new PayloadWriter().u32(handle).finish()]);
  }
  assert.is((await hlos.call(M.VM_IRQ_NOTIFY, tell(2))).error, E.DENIED);
  const unmap = (virq: number): PayloadWriter => new PayloadWriter().u64(1n).u32(virq);
  assert.is((await guest.call(M.VM_IRQ_UNMAP, unmap(41))).error, E.IRQ_NOT_MAPPED);
  assert.is((await guest.call(M.VM_IRQ_UNMAP, unmap(40))).error, E.OK);
  assert.is((await guest.call(M.VM_IRQ_RELEASE, new PayloadWriter().u32(handle))).error, E.IRQ_RELEASED);
  assert.is((await guest.call(M.VM_IRQ_ACCEPT, accept(41))).error, E.OK);
  assert.is((await guest.call(M.VM_IRQ_RELEASE, new PayloadWriter().u32(handle))).error, E.OK);
  assert.is((await guest.call(M.VM_IRQ_RECLAIM, new PayloadWriter().u32(handle))).error, E.HANDLE_INVALID);
  assert.is((await hlos.call(M.VM_IRQ_RECLAIM, new PayloadWriter().u32(handle))).error, E.OK);
});

test('5.11: addresses are reserved as asked or where there is room, once, and given back', async () => {
  const { guest } = await pair();
  const fixed = (base: bigint, bytes: bigint): PayloadWriter =>
    new PayloadWriter().u8(0).u8(0).u8(0).u8(0).u32(0x4).u32(0).u32(1).u64(base).u64(bytes);
  const any = (base: bigint, region: bigint, bytes: bigint, align: bigint): PayloadWriter =>
    new PayloadWriter().u8(1).u8(0).u8(0).u8(0).u32(0x8).u32(0).u32(1).u64(base).u64(region).u64(bytes).u64(align);
  const call = async (message: number, payload: PayloadWriter): Promise<readonly [number, PayloadReader]> => {
    const { error, rest } = await guest.call(message, payload);
    return [error, rest];
  };
  assert.is((await call(M.IPA_RESERVE, fixed(0x1000n, 0x1000n)))[0], E.OK);
  assert.is((await call(M.IPA_RESERVE, fixed(0x1000n, 0x1000n)))[0], E.NORESOURCE);
  assert.is((await call(M.IPA_RESERVE, fixed(0x1001n, 0x1000n)))[0], E.ARGUMENT_INVALID);
  const [error, rest] = await call(M.IPA_RESERVE, any(0x1000n, 0x8000n, 0x2000n, 0x2000n));
  assert.equal([error, rest.u32(), rest.u64(), rest.rest], [E.OK, 1, 0x2000n, 0]);
  assert.is((await call(M.IPA_RESERVE, any(0x1000n, 0x3000n, 0x1000n, 0x1000n)))[0], E.NORESOURCE);
  assert.is((await call(M.IPA_RESERVE, any(0x1000n, 0x8000n, 0x1000n, 0x1800n)))[0], E.ARGUMENT_INVALID);
  assert.is((await call(M.IPA_UNRESERVE, fixed(0x1000n, 0x2000n)))[0], E.ARGUMENT_INVALID);
  assert.is((await call(M.IPA_UNRESERVE, fixed(0x1000n, 0x1000n)))[0], E.OK);
  assert.is((await call(M.IPA_RESERVE, fixed(0x1000n, 0x1000n)))[0], E.OK);
});
test.run();
