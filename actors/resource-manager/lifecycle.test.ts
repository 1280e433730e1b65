/** VM lifecycle (gunyah.md 5.5, 6): every request in every state, the effects of each, exits and their notifications. */
import fc from 'fast-check';
import * as assert from 'uvu/assert';
import { readTree } from '../../devices/machine/device-tree/read-tree.js';
import { cells, findNode, strings } from '../../devices/machine/device-tree/tree.js';
import { type BenchClient, guestTree, RAM_BASE, RmBench, vdevice } from '../../test/fixtures/gunyah/rm-bench.js';
import { spec } from '../../test/harness/spec.js';
import { RIGHTS } from '../abi/gunyah/rights.js';
import { OBJECT_TYPE } from '../shared-state/objects/object-table.js';
import { PayloadReader, PayloadWriter } from './payload.js';
import { RM_ERROR as E, EXIT_TYPE, RM_MESSAGE as M, RM_NOTIFICATION as N, VM_STATE as S } from './rm-messages.js';

const test = spec('rm lifecycle');

async function host(): Promise<{ bench: RmBench; hlos: BenchClient }> {
  const bench = new RmBench();
  return { bench, hlos: await bench.vm() };
}
async function allocate(hlos: BenchClient): Promise<number> {
  const { error, rest } = await hlos.call(M.VM_ALLOCATE, new PayloadWriter().u32(0));
  assert.is(error, E.OK);
  return rest.u32();
}
/** A VM that was configured and initialised. */
async function ready(hlos: BenchClient, tree = guestTree()): Promise<{ vmid: number; parcel: number }> {
  const vmid = await allocate(hlos);
  const parcel = await hlos.image(vmid, tree);
  assert.is(await hlos.configure(vmid, parcel), E.OK);
  assert.is(await hlos.simple(M.VM_INIT, vmid), E.OK);
  return { vmid, parcel };
}
const state = (bench: RmBench, vmid: number): number => bench.rm.vms.get(vmid)?.state ?? S.NONE;
const stop = (vmid: number, flags: number): PayloadWriter => new PayloadWriter().u16(vmid).u8(flags).u8(0).u32(3);
/** VM_STATUS notifications of a VM as the states they name. */
const states = (hlos: BenchClient): number[] =>
  hlos.notifications.filter(({ message }) => message === N.VM_STATUS).map(({ content }) => content[4] ?? 0);

test('allocation: dynamic VMIDs 0x80 to 0xbe for the primary VM alone, static ones if the platform lists them', async () => {
  const bench = new RmBench([40]);
  const hlos = await bench.vm();
  const other = await bench.vm(40);
  assert.is((await other.call(M.VM_ALLOCATE, new PayloadWriter().u32(0))).error, E.DENIED);
  assert.is((await hlos.call(M.VM_ALLOCATE, new PayloadWriter().u16(0).u16(1))).error, E.MSG_INVALID);
  assert.is((await hlos.call(M.VM_ALLOCATE, new PayloadWriter().u16(0))).error, E.MSG_INVALID);
  for (const vmid of [40, 41, 3, 64, 0x80, 0xff]) assert.is(await hlos.simple(M.VM_ALLOCATE, vmid), E.NORESOURCE);
  for (let vmid = 0x80; vmid < 0xbf; vmid++) assert.is(await allocate(hlos), vmid);
  assert.is(await hlos.simple(M.VM_ALLOCATE, 0), E.NORESOURCE);
  assert.is(await hlos.simple(M.VM_DEALLOCATE, 0x90), E.OK);
  assert.is(await hlos.simple(M.VM_DEALLOCATE, 0x90), E.VMID_INVALID);
  assert.is(await hlos.simple(M.VM_DEALLOCATE, 3), E.DENIED);
  assert.is(await allocate(hlos), 0x90);
});

test('from allocation to running: registers, memory, tree and notifications', async () => {
  const { bench, hlos } = await host();
  const tree = guestTree([
    vdevice('rpc', 'rm-rpc'),
    vdevice('pair', 'message-queue-pair', { 'peer-default': new Uint8Array(0) }),
  ]);
  const { vmid, parcel } = await ready(hlos, tree);
  assert.is(await hlos.simple(M.VM_START, vmid), E.OK);
  const vm = bench.rm.vms.get(vmid);
  assert.is(vm?.state, S.RUNNING);
  const boot = bench.running.get(vm?.partition ?? -1);
  assert.is(boot?.pc, 0x8000_0000n);
  assert.is(boot?.x.get(0), 0x8000_1000n);
  // Lent: the owner has no access, the VM has all of it.
  const own = bench.partitions.get(hlos.vm.partition ?? -1)?.parts?.stage2;
  const its = bench.partitions.get(vm?.partition ?? -1)?.parts?.stage2;
  assert.is(own?.entry(RAM_BASE / 4096), 0);
  assert.is((its?.entry(0x8_0000) ?? 0) & 7, 7);
  // The tree was extended in place.
  const bytes = bench.rm.parcels.read(bench.rm.parcels.get(parcel) as never, 0x1000, 0x2000);
  const read = readTree('guest', bytes);
  assert.ok(read.ok);
  if (read.ok) {
    const { root } = read.value;
    const about = findNode(root, '/hypervisor/qcom,gunyah-vm');
    assert.equal([...(about?.properties.get('qcom,vmid') ?? [])], [0, 0, 0, vmid]);
    assert.equal([...(about?.properties.get('qcom,owner-vmid') ?? [])], [0, 0, 0, 3]);
    const rpc = findNode(root, '/hypervisor/rm-rpc');
    assert.is(rpc?.properties.get('reg')?.length, 16);
    assert.is(rpc?.properties.get('interrupts')?.length, 24);
    assert.ok(findNode(root, '/hypervisor/pair') !== undefined);
  }
  hlos.receive();
  assert.equal(states(hlos), [S.INIT, S.READY, S.RUNNING]);
});

test('GET_HYP_RESOURCES lists what the caller holds, 44 bytes each, virqs from 960', async () => {
  const { hlos } = await host();
  const devices = ['a', 'b', 'c'].map((name) => vdevice(name, 'message-queue-pair'));
  const { vmid } = await ready(hlos, guestTree([...devices, vdevice('d', 'doorbell-source')]));
  const { error, rest } = await hlos.call(M.VM_GET_HYP_RESOURCES, new PayloadWriter().u16(vmid).u16(0));
  assert.is(error, E.OK);
  const count = rest.u32();
  assert.is(count, 8); // two of each pair, the doorbell, the vCPU
  assert.is(rest.rest, count * 44); // more than one packet
  const lines = Array.from({ length: count }, () => {
    const [type] = [rest.u8(), rest.u8()];
    const partner = rest.u16();
    rest.u32();
    const label = rest.u32();
    const capability = rest.u64();
    rest.u32();
    const virq = rest.u32();
    rest.bytes(16);
    return { type, partner, label, capability, virq };
  });
  assert.equal(
    lines.map(({ type }) => type),
    [2, 3, 2, 3, 2, 3, 1, 4],
  );
  const vcpu = lines.pop();
  assert.equal([vcpu?.partner, vcpu?.label, vcpu?.virq], [vmid, 0, 0]); // it runs by itself
  assert.ok(lines.every(({ partner, virq }) => partner === vmid && virq >= 960 && virq < 1020));
  assert.is(new Set(lines.map(({ virq }) => virq)).size, lines.length);
  assert.is(await hlos.simple(M.VM_GET_HYP_RESOURCES, 0xbe), E.ARGUMENT_INVALID);
  assert.is(await hlos.simple(M.VM_GET_HYP_RESOURCES, await allocate(hlos)), E.NORESOURCE);
});

test('CONFIG_IMAGE and INIT refuse what is wrong, and the VM is in INIT_FAILED', async () => {
  const { bench, hlos } = await host();
  const failed = async (
    attempt: (vmid: number, parcel: number) => Promise<number>,
    tree = guestTree(),
  ): Promise<number> => {
    const vmid = await allocate(hlos);
    const parcel = await hlos.image(vmid, tree);
    const error = await attempt(vmid, parcel);
    assert.is(state(bench, vmid), S.INIT_FAILED);
    assert.is(await hlos.simple(M.VM_RESET, vmid), E.OK);
    assert.is(state(bench, vmid), S.RESET);
    assert.is((await hlos.call(M.MEM_RECLAIM, new PayloadWriter().u32(parcel).u32(0))).error, E.OK);
    assert.is(await hlos.simple(M.VM_DEALLOCATE, vmid), E.OK);
    return error;
  };
  assert.is(await failed((vmid) => hlos.configure(vmid, 999)), E.MEM_INVALID);
  assert.is(await failed((vmid, parcel) => hlos.configure(vmid, parcel, 3)), E.ARGUMENT_INVALID);
  assert.is(await failed((vmid, parcel) => hlos.configure(vmid, parcel, 0, 0x3000, 0x1001)), E.ARGUMENT_INVALID);
  const init = async (vmid: number, parcel: number): Promise<number> => {
    assert.is(await hlos.configure(vmid, parcel), E.OK);
    return hlos.simple(M.VM_INIT, vmid);
  };
  assert.is(await failed(init, new Uint8Array(64)), E.MEM_INVALID);
  assert.is(await failed(init, guestTree([], {})), E.ARGUMENT_INVALID);
  assert.is(await failed(init, guestTree([], { 'image-name': strings('x'.repeat(80)) })), E.ARGUMENT_INVALID);
  assert.is(await failed(init, guestTree([vdevice('x', 'no-such-device')])), E.ARGUMENT_INVALID);
  const short = async (vmid: number, parcel: number): Promise<number> => {
    const bytes = guestTree().length;
    assert.is(await hlos.configure(vmid, parcel, 0, 0x1000, bytes), E.OK);
    assert.is(await hlos.simple(M.VM_INIT, vmid), E.OK);
    return hlos.simple(M.VM_START, vmid); // no room for the overlay
  };
  assert.is(await failed(short), E.NORESOURCE);
  const vmid = await allocate(hlos);
  assert.is(await hlos.configure(0xb0, 1), E.VMID_INVALID);
  assert.is((await hlos.call(M.VM_CONFIG_IMAGE, new PayloadWriter().u16(vmid))).error, E.MSG_INVALID);
  assert.is(state(bench, vmid), S.LOAD);
});

test('7.4: priority and timeslice of a configuration are those of the processors, within the limits', async () => {
  const { bench, hlos } = await host();
  const made = async (vcpus: Readonly<Record<string, Uint8Array>>): Promise<unknown> => {
    const vmid = await allocate(hlos);
    const parcel = await hlos.image(vmid, guestTree([], undefined, vcpus));
    assert.is(await hlos.configure(vmid, parcel), E.OK);
    const error = await hlos.simple(M.VM_INIT, vmid);
    const { partition } = bench.rm.vms.get(vmid) ?? {};
    const schedule = bench.schedules.get(`${partition}.0`);
    assert.is(await hlos.simple(M.VM_RESET, vmid), E.OK);
    assert.is((await hlos.call(M.MEM_RECLAIM, new PayloadWriter().u32(parcel).u32(0))).error, E.OK);
    assert.is(await hlos.simple(M.VM_DEALLOCATE, vmid), E.OK);
    return error === E.OK ? schedule : error;
  };
  // Those of the v6 sample VM.
  const sample = { 'sched-priority': cells(0xffff_ffff), 'sched-timeslice': cells(2000) };
  assert.equal(await made(sample), { priority: 31, timesliceNs: 2_000_000 });
  assert.equal(await made({}), { priority: 32 });
  assert.equal(await made({ affinity: strings('proxy'), 'sched-priority': cells(500) }), { priority: 32 });
  assert.equal(await made({ 'sched-priority': cells(31) }), { priority: 63 });
  for (const wrong of [
    { 'sched-priority': cells(32) },
    { 'sched-priority': cells(-33 >>> 0) },
    { 'sched-timeslice': cells(99) },
    { 'sched-timeslice': cells(100_001) },
    { affinity: strings('anywhere') },
  ]) {
    assert.is(await made(wrong), E.ARGUMENT_INVALID, JSON.stringify(wrong));
  }
});

test('platform images are authenticated first', async () => {
  const { bench, hlos } = await host();
  const vmid = await allocate(hlos);
  assert.is(await hlos.configure(vmid, await hlos.image(vmid, guestTree()), 1), E.OK);
  assert.is(state(bench, vmid), S.AUTH);
  const entries = (count: number, given: number): PayloadWriter => {
    const out = new PayloadWriter().u16(vmid).u16(count);
    for (let n = 0; n < given; n++) out.u32(1).u32(2);
    return out;
  };
  assert.is((await hlos.call(M.VM_AUTH_IMAGE, entries(2, 1))).error, E.MSG_INVALID);
  assert.is((await hlos.call(M.VM_AUTH_IMAGE, entries(65, 65))).error, E.ARGUMENT_INVALID);
  assert.is((await hlos.call(M.VM_AUTH_IMAGE, entries(1, 1))).error, E.OK);
  assert.is(state(bench, vmid), S.INIT);
});

test('a platform’s VM has a watchdog, which the owner of its processors may freeze', async () => {
  const start = async (auth: number, affinity: string) => {
    const { bench, hlos } = await host();
    const vmid = await allocate(hlos);
    const parcel = await hlos.image(vmid, guestTree([], undefined, { affinity: strings(affinity) }));
    assert.is(await hlos.configure(vmid, parcel, auth), E.OK);
    if (auth === 1) assert.is((await hlos.call(M.VM_AUTH_IMAGE, new PayloadWriter().u16(vmid).u16(0))).error, E.OK);
    assert.is(await hlos.simple(M.VM_INIT, vmid), E.OK);
    const { rest } = await hlos.call(M.VM_GET_HYP_RESOURCES, new PayloadWriter().u16(vmid).u16(0));
    const lines = Array.from({ length: rest.u32() }, () => {
      const type = rest.u8();
      rest.bytes(11);
      const capability = rest.u64();
      rest.bytes(24);
      return { type, capability };
    });
    assert.is(await hlos.simple(M.VM_START, vmid), E.OK);
    const read = readTree('guest', bench.rm.parcels.read(bench.rm.parcels.get(parcel) as never, 0x1000, 0x2000));
    const node = read.ok ? findNode(read.value.root, '/hypervisor/qcom,gh-watchdog') : undefined;
    if (node !== undefined) assert.equal(node.properties.get('compatible'), strings('qcom,gh-watchdog'));
    const cap = lines.find(({ type }) => type === 8)?.capability ?? 0n;
    const interrupts = node?.properties.get('interrupts')?.length ?? 0;
    return { bench, hlos, cap, found: [interrupts, ...lines.map(({ type }) => type)] };
  };
  assert.equal((await start(0, 'static')).found, [0, 4]);
  assert.equal((await start(1, 'static')).found, [12, 4]);
  const { bench, hlos, cap, found } = await start(1, 'proxy');
  assert.equal(found, [12, 8, 4]);
  const { kernel } = bench;
  const space = bench.core.of(hlos.vm.partition ?? 0)?.cspace ?? 0;
  const manage = kernel.capabilities.find(space, cap, OBJECT_TYPE.watchdog, RIGHTS.watchdog.manage);
  assert.ok(manage.ok);
  if (!manage.ok) return;
  assert.is(manage.value.rights, RIGHTS.watchdog.manage);
  const clock = { ms: 0 };
  const dog = kernel.watchdog(manage.value.object, () => clock.ms);
  dog?.setTimes(5, 10);
  dog?.enable(true);
  assert.ok(bench.core.assembly.freezeWatchdog(manage.value.object, true, false).ok);
  clock.ms = 1_000;
  assert.is(dog?.take(), undefined);
});

test('SYSTEM_RESET2 is told with its type and cookie, and whether it was the 64-bit form', async () => {
  for (const isWide of [false, true]) {
    const { bench, hlos } = await host();
    const { vmid } = await ready(hlos);
    assert.is(await hlos.simple(M.VM_START, vmid), E.OK);
    const vm = bench.rm.vms.get(vmid);
    assert.ok(vm !== undefined);
    if (vm !== undefined) await bench.rm.exitedByReset(vm, { type: 0x8000_0001, cookie: 0x2_0000_0003n, isWide });
    hlos.receive();
    const exited = hlos.notifications.filter(({ message }) => message === N.VM_EXITED).pop();
    const told = new PayloadReader(exited?.content ?? new Uint8Array(0));
    assert.equal([told.u16(), told.u16(), told.u32()], [vmid, EXIT_TYPE.PSCI_SYSTEM_RESET2, 16]);
    assert.equal([told.u32(), told.u32(), told.u32(), told.u32()], [isWide ? 0x8000 : 0, 0x8000_0001, 3, 2]);
  }
});

test('a forced stop: STATUS, EXITED of type 7, then the reply; memory comes back after RESET', async () => {
  const { bench, hlos } = await host();
  const { vmid, parcel } = await ready(hlos);
  await hlos.simple(M.VM_START, vmid);
  const reclaim = async (): Promise<number> =>
    (await hlos.call(M.MEM_RECLAIM, new PayloadWriter().u32(parcel).u32(0))).error;
  assert.is((await hlos.call(M.VM_STOP, stop(vmid, 2))).error, E.MSG_INVALID);
  assert.is((await hlos.call(M.VM_STOP, stop(0x99, 1))).error, E.VMID_INVALID);
  assert.is((await hlos.call(M.VM_STOP, stop(vmid, 0))).error, E.OK);
  assert.is(state(bench, vmid), S.RUNNING);
  hlos.notifications.length = 0;
  assert.is((await hlos.call(M.VM_STOP, stop(vmid, 1))).error, E.OK);
  assert.equal(
    hlos.notifications.map(({ message }) => message),
    [N.VM_STATUS, N.VM_EXITED],
  );
  const notice = new PayloadReader(hlos.notifications[1]?.content ?? new Uint8Array(0));
  assert.equal([notice.u16(), notice.u16(), notice.u32(), notice.u32()], [vmid, EXIT_TYPE.FORCED_STOP, 4, 0]);
  assert.is(bench.running.size, 0);
  assert.is(await reclaim(), E.MEM_INUSE);
  assert.is(await hlos.simple(M.VM_RESET, vmid), E.OK);
  hlos.receive();
  assert.equal(states(hlos), [S.EXITED, S.RESETTING, S.RESET]);
  assert.is(await reclaim(), E.OK);
  assert.is(await hlos.simple(M.VM_DEALLOCATE, vmid), E.OK);
});

test('a guest ends itself, with a crash message or without', async () => {
  const { bench, hlos } = await host();
  const { vmid } = await ready(hlos, guestTree([vdevice('rpc', 'rm-rpc')]));
  await hlos.simple(M.VM_START, vmid);
  const guest = bench.client(vmid);
  for (const [flags, code, pad] of [
    [0, 2, 0],
    [0, 5, 0],
    [0, 0, 1],
  ] as const) {
    assert.is((await guest.call(M.VM_EXIT, new PayloadWriter().u16(flags).u8(code).u8(pad))).error, E.MSG_INVALID);
  }
  const crash = new PayloadWriter().u16(5).u16(0).bytes(new TextEncoder().encode('ouch!')).align();
  assert.is((await guest.call(M.VM_SET_CRASH_MSG, crash)).error, E.OK);
  assert.is((await guest.call(M.VM_EXIT, new PayloadWriter().u16(1).u8(3).u8(0))).error, E.OK);
  hlos.receive();
  const exited = hlos.notifications.find(({ message }) => message === N.VM_EXITED);
  const notice = new PayloadReader(exited?.content ?? new Uint8Array(0));
  assert.equal([notice.u16(), notice.u16(), notice.u32(), notice.u32()], [vmid, EXIT_TYPE.VM_EXIT, 4, 1 | (3 << 16)]);
  const { error, rest } = await hlos.call(M.VM_GET_CRASH_MSG, new PayloadWriter().u16(vmid).u16(0));
  assert.equal([error, rest.u16(), rest.u16(), new TextDecoder().decode(rest.bytes(5))], [E.OK, 5, 0, 'ouch!']);
  assert.is((await hlos.call(M.VM_EXIT, new PayloadWriter().u32(0))).error, E.ARGUMENT_INVALID);
  // PSCI SYSTEM_OFF of another one, which left no message.
  await hlos.simple(M.VM_RESET, vmid);
});

test('boot context and address layout change where a VM starts', async () => {
  const { bench, hlos } = await host();
  const vmid = await allocate(hlos);
  const layout = (range: number, base: bigint): PayloadWriter =>
    new PayloadWriter().u16(vmid).u16(0).u32(range).u64(base).u64(0x10_0000n);
  const context = (set: number, index: number, value: bigint): PayloadWriter =>
    new PayloadWriter().u16(vmid).u8(set).u8(index).u32(0).u64(value);
  assert.is((await hlos.call(M.VM_SET_ADDRESS_LAYOUT, layout(0, 0x9000_0000n))).error, E.OK);
  assert.is((await hlos.call(M.VM_SET_ADDRESS_LAYOUT, layout(2, 0n))).error, E.ARGUMENT_INVALID);
  assert.is((await hlos.call(M.VM_SET_ADDRESS_LAYOUT, layout(0, 1n))).error, E.ARGUMENT_INVALID);
  assert.is((await hlos.call(M.VM_SET_BOOT_CONTEXT, context(1, 0, 0n))).error, E.VM_STATE);
  await hlos.configure(vmid, await hlos.image(vmid, guestTree()));
  await hlos.simple(M.VM_INIT, vmid);
  for (const [set, index] of [
    [0, 31],
    [1, 1],
    [2, 2],
    [3, 0],
  ] as const) {
    assert.is((await hlos.call(M.VM_SET_BOOT_CONTEXT, context(set, index, 0n))).error, E.ARGUMENT_INVALID);
  }
  assert.is((await hlos.call(M.VM_SET_BOOT_CONTEXT, context(0, 1, 77n))).error, E.OK);
  assert.is((await hlos.call(M.VM_SET_BOOT_CONTEXT, context(1, 0, 0x9000_0040n))).error, E.OK);
  assert.is(await hlos.simple(M.VM_START, vmid), E.OK);
  const boot = [...bench.running.values()][0];
  assert.equal([boot?.pc, boot?.x.get(0), boot?.x.get(1)], [0x9000_0040n, 0x9000_1000n, 77n]);
});

/** The table of section 6 as a model: what each request does in each state; anything else is VM_STATE. */
const LEGAL: Readonly<Record<string, Readonly<Record<number, number>>>> = {
  configure: { [S.LOAD]: S.INIT, [S.RESET]: S.INIT },
  platform: { [S.LOAD]: S.AUTH, [S.RESET]: S.AUTH },
  authenticate: { [S.AUTH]: S.INIT },
  initialise: { [S.INIT]: S.READY },
  start: { [S.READY]: S.RUNNING },
  force: { [S.RUNNING]: S.EXITED },
  reset: { [S.EXITED]: S.RESET, [S.READY]: S.RESET, [S.INIT_FAILED]: S.RESET },
  deallocate: { [S.LOAD]: S.NONE, [S.RESET]: S.NONE },
  breakIt: { [S.LOAD]: S.INIT_FAILED, [S.RESET]: S.INIT_FAILED },
};

test(
  'any sequence of requests takes the state machine where section 6 says, and nowhere else',
  async () => {
    const request = fc.constantFrom(...Object.keys(LEGAL));
    await fc.assert(
      fc.asyncProperty(fc.array(request, { minLength: 1, maxLength: 25 }), async (requests) => {
        const { bench, hlos } = await host();
        const baseline = bench.pool.freeFrames;
        const vmid = await allocate(hlos);
        let parcel = await hlos.image(vmid, guestTree());
        for (const name of requests) {
          const before = state(bench, vmid);
          if (before === S.NONE) break;
          const after = LEGAL[name]?.[before];
          const actions: Record<string, () => Promise<number>> = {
            configure: () => hlos.configure(vmid, parcel),
            platform: () => hlos.configure(vmid, parcel, 1),
            breakIt: () => hlos.configure(vmid, 4711),
            authenticate: async () => (await hlos.call(M.VM_AUTH_IMAGE, new PayloadWriter().u16(vmid).u16(0))).error,
            initialise: () => hlos.simple(M.VM_INIT, vmid),
            start: () => hlos.simple(M.VM_START, vmid),
            force: async () => (await hlos.call(M.VM_STOP, stop(vmid, 1))).error,
            reset: () => hlos.simple(M.VM_RESET, vmid),
            deallocate: () => hlos.simple(M.VM_DEALLOCATE, vmid),
          };
          const error = await (actions[name]?.() ?? Promise.resolve(-1));
          if (after === undefined) {
            assert.is(error, E.VM_STATE, `${name} in state ${before}`);
            assert.is(state(bench, vmid), before);
          } else {
            assert.is(error, name === 'breakIt' ? E.MEM_INVALID : E.OK, `${name} in state ${before}`);
            assert.is(state(bench, vmid), after);
          }
          if (name === 'reset' && error === E.OK) {
            assert.is((await hlos.call(M.MEM_RECLAIM, new PayloadWriter().u32(parcel).u32(0))).error, E.OK);
            parcel = await hlos.image(vmid, guestTree());
          }
          hlos.receive();
        }
        // However it went: afterwards everything of the VM can be returned.
        const vm = bench.rm.vms.get(vmid);
        if (vm !== undefined) await bench.rm.tearDown(vm);
        assert.is((await hlos.call(M.MEM_RECLAIM, new PayloadWriter().u32(parcel).u32(0))).error, E.OK);
        assert.is(bench.pool.freeFrames, baseline);
        assert.is(bench.parcels.count, 0);
      }),
      { numRuns: 60 },
    );
  },
  { deadlineMs: 120_000 },
);
test.run();
