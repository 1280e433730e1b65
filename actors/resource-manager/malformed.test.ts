/**
 * Malformed requests and packets (gunyah.md 5.1 to 5.11): per message too short, too long and with reserved fields set; packets
 * out of order, interleaved, repeated; replies that find their queue full. Whatever a client sends is answered or dropped
 * as specified, nothing that was accepted goes unanswered, and nothing changes that should not.
 */
import * as assert from 'uvu/assert';
import { type BenchClient, guestTree, RAM_BASE, RmBench } from '../../test/fixtures/gunyah/rm-bench.js';
import { spec } from '../../test/harness/spec.js';
import { PayloadWriter } from './payload.js';
import { RM_ERROR as E, RM_MESSAGE as M, VM_STATE } from './rm-messages.js';
import { PACKET, packetsOf, RPC, type RpcMessage } from './rpc-packet.js';
import { serveClient } from './rpc-server.js';

const test = spec('rm malformed messages');
const PAGE = 4096;

/** A request of exact length, and where its reserved bytes lie. */
interface Shape {
  readonly message: number;
  readonly payload: Uint8Array;
  /** Bytes that must be zero. */
  readonly reserved?: readonly number[];
  /** Other lengths that are right, too. */
  readonly lengths?: readonly number[];
  /** Error of a reserved byte that is not zero, where it is not MSG_INVALID. */
  readonly reservedError?: number;
}
const bytes = (...values: readonly number[]): Uint8Array => Uint8Array.from(values);
const words = (...values: readonly number[]): Uint8Array => {
  const out = new PayloadWriter();
  for (const value of values) out.u32(value);
  return out.finish();
};
const vmid4 = words(0x80);
const none = bytes();

/** Every request whose length is fixed (5.5, 5.8, 5.10, 5.11); those with lists are below. */
const SHAPES: Readonly<Record<string, Shape>> = {
  VM_ALLOCATE: { message: M.VM_ALLOCATE, payload: words(0), reserved: [2, 3] },
  VM_DEALLOCATE: { message: M.VM_DEALLOCATE, payload: vmid4, reserved: [2, 3] },
  VM_CONFIG_IMAGE: { message: M.VM_CONFIG_IMAGE, payload: words(0x80, 77, 0, 0, 0, 0, 0, 0, 0, 0) },
  VM_AUTH_IMAGE: { message: M.VM_AUTH_IMAGE, payload: words(0x80) },
  VM_INIT: { message: M.VM_INIT, payload: vmid4, reserved: [2, 3] },
  VM_START: { message: M.VM_START, payload: vmid4, reserved: [2, 3] },
  VM_STOP: { message: M.VM_STOP, payload: words(0x80, 3), reserved: [3] },
  VM_RESET: { message: M.VM_RESET, payload: vmid4, reserved: [2, 3] },
  VM_GET_STATE: { message: M.VM_GET_STATE, payload: words(0), reserved: [2, 3] },
  VM_SET_STATUS: { message: M.VM_SET_STATUS, payload: words(0x0004_0400) },
  VM_EXIT: { message: M.VM_EXIT, payload: words(0), reserved: [3] },
  VM_GET_VMID: { message: M.VM_GET_VMID, payload: none },
  VM_GET_OWNER: { message: M.VM_GET_OWNER, payload: none },
  VM_GET_PEERS: { message: M.VM_GET_PEERS, payload: none },
  VM_HOST_GET_TYPE: { message: M.VM_HOST_GET_TYPE, payload: none },
  VM_GET_ID: { message: M.VM_GET_ID, payload: words(0), reserved: [2, 3] },
  VM_LOOKUP_NAME: { message: M.VM_LOOKUP_NAME, payload: bytes(3, 0, 0, 0, 0x61, 0x62, 0x63, 0), reserved: [2, 3, 7] },
  VM_LOOKUP_URI: { message: M.VM_LOOKUP_URI, payload: bytes(1, 0, 0, 0, 0x61, 0, 0, 0), reserved: [2, 3, 5, 6, 7] },
  VM_LOOKUP_GUID: { message: M.VM_LOOKUP_GUID, payload: new Uint8Array(16) },
  VM_SET_CRASH_MSG: {
    message: M.VM_SET_CRASH_MSG,
    payload: bytes(2, 0, 0, 0, 0x61, 0x62, 0, 0),
    reserved: [2, 3, 6, 7],
  },
  VM_GET_CRASH_MSG: { message: M.VM_GET_CRASH_MSG, payload: vmid4, reserved: [2, 3] },
  VM_SET_TIME_BASE: { message: M.VM_SET_TIME_BASE, payload: words(0x80, 0, 0, 0, 0), reserved: [2, 3] },
  VM_SET_FIRMWARE_MEM: { message: M.VM_SET_FIRMWARE_MEM, payload: words(0x80, 1, 0, 0, 0, 0), reserved: [2, 3] },
  VM_SET_BOOT_CONTEXT: {
    ...{ message: M.VM_SET_BOOT_CONTEXT, payload: words(0x80, 0, 5, 0), reserved: [4, 5, 6, 7] },
    lengths: [12], // v6
  },
  VM_SET_ADDRESS_LAYOUT: { message: M.VM_SET_ADDRESS_LAYOUT, payload: words(0x80, 0, 0, 0, 0, 0), reserved: [2, 3] },
  VM_GET_HYP_RESOURCES: { message: M.VM_GET_HYP_RESOURCES, payload: words(0), reserved: [2, 3] },
  MEM_RELEASE: { message: M.MEM_RELEASE, payload: words(1, 0), reserved: [5, 6, 7] },
  MEM_RECLAIM: { message: M.MEM_RECLAIM, payload: words(9999, 0), reserved: [5, 6, 7] },
  VM_IRQ_LEND: { message: M.VM_IRQ_LEND, payload: words(0x80, 40, 1), reserved: [2, 3] },
  VM_IRQ_ACCEPT: { message: M.VM_IRQ_ACCEPT, payload: words(1, 0xffff_ffff) },
  VM_IRQ_RELEASE: { message: M.VM_IRQ_RELEASE, payload: words(1) },
  VM_IRQ_RECLAIM: { message: M.VM_IRQ_RECLAIM, payload: words(1) },
  VM_IRQ_NOTIFY: { message: M.VM_IRQ_NOTIFY, payload: words(1, 2) },
  VM_IRQ_UNMAP: { message: M.VM_IRQ_UNMAP, payload: words(0, 0) },
  IPA_RESERVE: { message: M.IPA_RESERVE, payload: words(0, 0, 0, 1, 0, 1, 0x1000, 0), reserved: [1, 2, 3] },
  IPA_UNRESERVE: { message: M.IPA_UNRESERVE, payload: words(0, 0, 0, 0), reserved: [1, 2, 3] },
  VM_CONSOLE_OPEN: { message: M.VM_CONSOLE_OPEN, payload: vmid4, reserved: [2, 3] },
  VM_CONSOLE_CLOSE: { message: M.VM_CONSOLE_CLOSE, payload: vmid4, reserved: [2, 3] },
  VM_CONSOLE_WRITE: { message: M.VM_CONSOLE_WRITE, payload: bytes(0x80, 0, 2, 0, 0x68, 0x69) },
  VM_CONSOLE_FLUSH: { message: M.VM_CONSOLE_FLUSH, payload: vmid4, reserved: [2, 3] },
  FW_SET_VM_FIRMWARE: {
    ...{ message: M.FW_SET_VM_FIRMWARE, payload: words(2, 1, 0, 0, 0, 0), reserved: [2, 3] },
    reservedError: E.UNIMPLEMENTED,
  },
  FW_MILESTONE: { message: M.FW_MILESTONE, payload: none },
};

/** What requests may change, as text. */
function census(bench: RmBench): string {
  const vms = bench.rm.vms.all().map((vm) => [vm.vmid, vm.state, vm.resources.length, vm.bootContext.size]);
  return JSON.stringify([bench.pool.freeFrames, bench.kernel.count, bench.parcels.count, vms, bench.rm.loans.all()]);
}
/** A primary VM of generation `profile`, and a VM of its in state `LOAD`. */
async function host(profile: 'P6' | 'P17'): Promise<{ bench: RmBench; hlos: BenchClient }> {
  const bench = new RmBench();
  const hlos = await bench.vm(3, profile);
  assert.is((await hlos.call(M.VM_ALLOCATE, words(0))).error, E.OK);
  return { bench, hlos };
}

test('every request of fixed length: one byte less or more, or a reserved one set, is MSG_INVALID and changes nothing', async () => {
  const { bench, hlos } = await host('P17');
  const before = census(bench);
  for (const [name, { message, payload, reserved = [], lengths = [], reservedError = E.MSG_INVALID }] of Object.entries(
    SHAPES,
  )) {
    for (let length = 0; length <= payload.length + 8; length++) {
      if (length === payload.length || lengths.includes(length)) continue;
      const wrong = new Uint8Array(length);
      wrong.set(payload.subarray(0, length));
      assert.is((await hlos.call(message, wrong)).error, E.MSG_INVALID, `${name} of ${length} bytes`);
    }
    for (const at of reserved) {
      const wrong = payload.slice();
      wrong[at] = 0x80;
      assert.is((await hlos.call(message, wrong)).error, reservedError, `${name} with byte ${at} set`);
    }
  }
  assert.is(census(bench), before);
});

test('P6: surplus bytes are ignored, missing ones are not', async () => {
  const { hlos } = await host('P6');
  const exact = new Set([
    'VM_GET_VMID',
    'VM_GET_OWNER',
    'VM_GET_PEERS',
    'VM_HOST_GET_TYPE',
    'FW_MILESTONE',
    'VM_CONSOLE_WRITE',
  ]);
  for (const [name, { message, payload, lengths = [] }] of Object.entries(SHAPES)) {
    if (exact.has(name) || name === 'VM_ALLOCATE') continue;
    const long = new Uint8Array(payload.length + 232);
    long.set(payload);
    const [right, surplus] = [(await hlos.call(message, payload)).error, (await hlos.call(message, long)).error];
    assert.ok(surplus !== E.MSG_INVALID || right === E.MSG_INVALID, `${name} with surplus bytes: ${surplus}`);
    if (payload.length === 0 || lengths.length > 0) continue;
    assert.is((await hlos.call(message, payload.subarray(0, payload.length - 1))).error, E.MSG_INVALID, name);
  }
});

test('requests with lists: entries that are cut, counts that lie, bytes that trail, more than 512', async () => {
  const { bench, hlos } = await host('P17');
  const before = census(bench);
  const acl = (n: number): PayloadWriter => new PayloadWriter().u8(0).u8(0).u8(0).u8(0).u32(7).u16(n).u16(0);
  const lend = acl(1)
    .u16(0x80)
    .u8(7)
    .u8(0)
    .u16(1)
    .u16(0)
    .u64(BigInt(RAM_BASE))
    .u64(BigInt(PAGE))
    .u16(0)
    .u16(0)
    .finish();
  const handled: readonly (readonly [number, Uint8Array, number])[] = [
    [M.MEM_ACCEPT, new PayloadWriter().u32(1).u8(0).u8(1).u8(0).u8(0).u32(7).finish(), E.HANDLE_INVALID],
    [M.MEM_APPEND, new PayloadWriter().u32(1).u32(1).u16(1).u16(0).u64(0n).u64(4096n).finish(), E.HANDLE_INVALID],
    [M.MEM_NOTIFY, new PayloadWriter().u32(1).u32(1).u32(5).u16(1).u16(0).u16(0x80).u16(0).finish(), E.HANDLE_INVALID],
    [M.MEM_QCOM_LOOKUP_SGL, lend, E.LOOKUP_FAILED],
  ];
  for (const message of [M.MEM_LEND, M.MEM_SHARE, M.MEM_DONATE]) {
    for (let length = 0; length < lend.length - 4; length++) {
      const { error } = await hlos.call(message, lend.subarray(0, length));
      // At the boundaries of lists the rest counts as empty, and an empty access list or page list is refused.
      const isBoundary = length === 8 || length === 16;
      assert.is(error, isBoundary ? E.ARGUMENT_INVALID : E.MSG_INVALID, `0x${message.toString(16)} of ${length} bytes`);
    }
    for (const at of [1, 3, 10, 11, 15]) {
      const wrong = lend.slice();
      wrong[at] = 0x80;
      const { error } = await hlos.call(message, wrong);
      assert.is(error, E.MSG_INVALID, `byte ${at}`);
    }
    assert.is((await hlos.call(message, Uint8Array.from([...lend, 0]))).error, E.MSG_INVALID);
    assert.is((await hlos.call(message, acl(513).finish())).error, E.NORESOURCE);
    assert.is((await hlos.call(message, acl(512).finish())).error, E.MSG_INVALID);
  }
  for (const [message, payload, error] of handled) {
    assert.is((await hlos.call(message, payload)).error, error, `0x${message.toString(16)}`);
    assert.is((await hlos.call(message, Uint8Array.from([...payload, 1]))).error, E.MSG_INVALID);
    assert.is((await hlos.call(message, payload.subarray(0, payload.length - 1))).error, E.MSG_INVALID);
  }
  const many = new PayloadWriter().u16(0x80).u16(65);
  assert.is((await hlos.call(M.VM_AUTH_IMAGE, many)).error, E.ARGUMENT_INVALID);
  assert.is(census(bench), before);
});

test('ids that nobody has, and those the public resource manager only names, are UNIMPLEMENTED', async () => {
  const { bench, hlos } = await host('P17');
  const before = census(bench);
  const known = new Set<number>(Object.values(M));
  const named = [0x5600_0007, 0x5600_0008, 0x5600_0021, 0x5600_0022];
  const ranges = [0x5100_0000, 0x5110_0000, 0x5600_0000, 0x5610_0000, 0, 0xffff_ff00].flatMap((first) =>
    Array.from({ length: 256 }, (_, n) => first + n),
  );
  for (const message of [...named, ...ranges.filter((id) => !known.has(id))]) {
    assert.is((await hlos.call(message, words(0x80))).error, E.UNIMPLEMENTED, `0x${message.toString(16)}`);
  }
  assert.is(census(bench), before);
});

test('firmware requests: only for VMs of type 2, only from the primary VM, and never after the milestone', async () => {
  const { bench, hlos } = await host('P17');
  const guest = await bench.vm(0x81);
  const image = (auth: number): Uint8Array => new PayloadWriter().u16(auth).u16(0).u32(5).u64(0n).u64(4096n).finish();
  assert.is((await guest.call(M.FW_SET_VM_FIRMWARE, image(2))).error, E.DENIED);
  assert.is((await guest.call(M.FW_MILESTONE)).error, E.DENIED);
  assert.is((await hlos.call(M.FW_SET_VM_FIRMWARE, image(0))).error, E.ARGUMENT_INVALID);
  assert.is((await hlos.call(M.FW_SET_VM_FIRMWARE, image(2))).error, E.HANDLE_INVALID);
  const memory = (vmid: number): Uint8Array => words(vmid, 1, 0, 0, 0x1000, 0);
  const set = async (client: BenchClient, vmid: number): Promise<readonly number[]> => {
    const { error, rest } = await client.call(M.VM_SET_FIRMWARE_MEM, memory(vmid));
    return [error, rest.rest]; // an error comes with a word of the hypervisor's
  };
  assert.equal(await set(hlos, 0x99), [E.VMID_INVALID, 4]);
  assert.equal(await set(guest, 0x80), [E.DENIED, 4]);
  assert.equal(await set(hlos, 0x80), [E.VM_STATE, 4]);
  const parcel = await hlos.image(0x80, guestTree());
  assert.is(await hlos.configure(0x80, parcel, 0), E.OK);
  assert.equal(await set(hlos, 0x80), [E.ARGUMENT_INVALID, 4]);
  assert.is((await hlos.call(M.FW_MILESTONE)).error, E.OK);
  assert.is((await hlos.call(M.FW_MILESTONE)).error, E.DENIED);
  assert.is((await hlos.call(M.FW_SET_VM_FIRMWARE, image(2))).error, E.DENIED);
});

const message = (type: number, sequence: number, id: number, content: Uint8Array): RpcMessage => ({
  ...{ type, sequence, message: id, content },
});
/** Sends packets as they are, and serves the client after each. */
async function push(bench: RmBench, client: BenchClient, packets: readonly Uint8Array[]): Promise<RpcMessage[]> {
  const replies: RpcMessage[] = [];
  const [tx = 0] = client.vm.ports;
  for (const packet of packets) {
    assert.ok(bench.kernel.ports.sender(tx).send(packet).ok);
    await serveClient(bench.rm, client.vm);
    replies.push(...client.receive());
  }
  return replies;
}
const errorOf = ({ content }: RpcMessage): number =>
  new DataView(content.buffer, content.byteOffset).getUint32(0, true);

test('fragments: interleaved, out of order, too many, too few; a new first packet begins anew', async () => {
  const { bench, hlos } = await host('P17');
  const crash = new PayloadWriter().u16(400).u16(0).bytes(new Uint8Array(400).fill(0x61)).finish();
  const [first = none, second = none] = packetsOf(message(PACKET.request, 1, M.VM_SET_CRASH_MSG, crash));
  const [other = none, otherRest = none] = packetsOf(message(PACKET.request, 2, M.VM_SET_CRASH_MSG, crash));
  const ask = packetsOf(message(PACKET.request, 3, M.VM_GET_VMID, none));
  const sequences = (replies: readonly RpcMessage[]): number[] => replies.map(({ sequence }) => sequence);
  assert.equal(sequences(await push(bench, hlos, [first, second])), [1]);
  assert.equal(sequences(await push(bench, hlos, [second, first, second])), [1], 'a continuation first is dropped');
  assert.equal(
    sequences(await push(bench, hlos, [first, other, second, otherRest])),
    [2],
    'the second discards the first',
  );
  assert.equal(
    sequences(await push(bench, hlos, [first, ...ask, second])),
    [3],
    'a whole request between discards, too',
  );
  assert.equal(
    sequences(await push(bench, hlos, [first, otherRest, second])),
    [1],
    'another message’s continuation is dropped',
  );
  assert.equal(sequences(await push(bench, hlos, [first, second, second])), [1], 'one too many is dropped');
  // More fragments than there are bytes for: the request is put together and is too short or too long.
  const more = Array.from({ length: 63 }, (_, n) => {
    const packet = (n === 0 ? first : second).slice();
    packet[1] = (n === 0 ? PACKET.request : PACKET.continuation) | (62 << 2);
    return packet;
  });
  const [long, ...rest] = await push(bench, hlos, more);
  assert.equal([rest.length, long === undefined ? -1 : errorOf(long)], [0, E.MSG_INVALID]);
  // Replies and notifications from a client are nothing the resource manager waits for.
  for (const type of [PACKET.reply, PACKET.notification]) {
    assert.equal(await push(bench, hlos, packetsOf(message(type, 4, M.VM_GET_VMID, none))), []);
  }
});

test('a sequence number that comes again is a request of its own', async () => {
  const { bench, hlos } = await host('P17');
  const request = packetsOf(message(PACKET.request, 0x1234, M.VM_ALLOCATE, words(0)));
  const replies = await push(bench, hlos, [...request, ...request, ...request]);
  assert.equal(
    replies.map((reply) => [reply.sequence, errorOf(reply)]),
    [0, 1, 2].map(() => [0x1234, E.OK]),
  );
  assert.equal(
    bench.rm.vms.all().map(({ vmid }) => vmid),
    [3, 0x80, 0x81, 0x82, 0x83],
  );
});

test('a client that does not read: requests wait in its queue, and every one gets its reply in the end', async () => {
  const { bench, hlos } = await host('P17');
  const [tx = 0] = hlos.vm.ports;
  const sender = bench.kernel.ports.sender(tx);
  let sent = 0;
  let refused = 0;
  for (let n = 0; n < 100; n++) {
    const [packet = none] = packetsOf(message(PACKET.request, n, M.VM_GET_VMID, none));
    if (sender.send(packet).ok) sent++;
    else refused++;
    await serveClient(bench.rm, hlos.vm);
  }
  assert.ok(sent > RPC.queueDepth && refused > 0, `${sent} went out, ${refused} found the queue full`);
  const seen: number[] = [];
  for (let round = 0; round < 100 && seen.length < sent; round++) {
    for (const reply of hlos.receive()) {
      assert.is(errorOf(reply), E.OK);
      seen.push(reply.sequence);
    }
    await serveClient(bench.rm, hlos.vm);
  }
  assert.is(seen.length, sent, 'nothing that was accepted is lost');
  assert.is(new Set(seen).size, sent);
});

/** xorshift32. */
function draws(seed: number): (end: number) => number {
  let state = seed;
  return (end) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % end;
  };
}

test(
  '20,000 messages, whole and broken, from two clients: a valid request is served, the ledger is what it was',
  async () => {
    const bench = new RmBench();
    const [hlos, guest] = [await bench.vm(), await bench.vm(0x81)];
    const before = census(bench);
    const ram = bench.pool.freeFrames;
    const below = draws(0x0600_0001);
    const ids = Object.values(M);
    const shapes = Object.values(SHAPES);
    let packetsSent = 0;
    const content = (): Uint8Array => {
      const kind = below(4);
      if (kind === 0) return Uint8Array.from({ length: below(300) }, () => below(256));
      const base = (shapes[below(shapes.length)] as Shape).payload.slice();
      if (kind === 1 && base.length > 0) base[below(base.length)] = below(256);
      return base;
    };
    for (let n = 0; n < 20_000; n++) {
      const client = below(2) === 0 ? hlos : guest;
      const type = below(12) === 0 ? below(4) : PACKET.request;
      const shape = shapes[below(shapes.length)] as Shape;
      const isRight = below(3) === 0;
      const id = isRight ? shape.message : (ids[below(ids.length)] ?? 0) ^ (below(16) === 0 ? 1 << below(32) : 0);
      // What ends a client is not what is looked for here.
      if (id === M.VM_EXIT) continue;
      const packets = packetsOf(message(type, below(4), id >>> 0, isRight ? shape.payload : content())).map(
        (packet) => {
          if (below(10) !== 0) return packet;
          const broken = packet.slice(0, below(20) === 0 ? 1 + below(packet.length) : packet.length);
          broken[below(Math.min(8, broken.length))] = below(256);
          return broken;
        },
      );
      if (below(8) === 0) packets.reverse();
      if (below(8) === 0) packets.push(...packets);
      const [tx = 0] = client.vm.ports;
      for (const packet of packets) {
        // A client that never reads is told that its queue is full; it reads now and then.
        if (!bench.kernel.ports.sender(tx).send(packet).ok) client.receive();
        packetsSent++;
        if (below(2) === 0) await serveClient(bench.rm, client.vm);
        if (below(3) === 0) client.receive();
      }
    }
    assert.ok(packetsSent > 18_000);
    for (const client of [hlos, guest]) {
      for (let round = 0; round < 400; round++) {
        await serveClient(bench.rm, client.vm);
        client.receive();
      }
      const { error, rest } = await client.call(M.VM_GET_VMID);
      assert.equal([error, rest.u32()], [E.OK, client.vm.vmid]);
    }
    // What was allocated and lent meanwhile ends; then frames, objects and parcels are what they were.
    for (const vm of bench.rm.vms.all()) if (vm.vmid !== 3 && vm.vmid !== 0x81) await bench.rm.remove(vm);
    for (const vm of [hlos.vm, guest.vm]) {
      assert.is(vm.state, VM_STATE.RUNNING);
      bench.rm.parcels.forget(vm.vmid);
      bench.rm.loans.forget(vm.vmid);
    }
    assert.is(census(bench), before);
    assert.is(bench.pool.freeFrames, ram);
  },
  { deadlineMs: 120_000 },
);
test.run();
