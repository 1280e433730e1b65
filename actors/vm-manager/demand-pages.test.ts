/** Memory that comes when it is wanted (gunyah.md 5.5, 5.7, 8.3), and the ioctls that Android's driver adds (8.1). */

import * as assert from 'uvu/assert';
import { bytesOf } from '../../bus/layout/struct.js';
import { strings } from '../../devices/machine/device-tree/tree.js';
import { guestTree, ManagerBench } from '../../test/fixtures/gunyah/manager-bench.js';
import { spec } from '../../test/harness/spec.js';
import { PayloadWriter } from '../resource-manager/payload.js';
import { RM_ERROR as E, EXIT_TYPE, RM_MESSAGE as M, VM_STATE } from '../resource-manager/rm-messages.js';
import {
  AddressRange,
  AuthDesc,
  BootContext,
  CreateGuestMem,
  DtbConfig,
  FnDesc,
  FnVcpuArg,
  MapCmaMem,
  MapMem,
  RunFault,
  TrustedVmArg,
} from './uapi.js';

const test = spec('vm manager: memory on demand');
const PAGE = 0x1000n;
const IMAGE_AT = 0x8000_0000n;
const LENT_AT = 0x9000_0000n;
const SHARED_AT = 0xa000_0000n;
const BYTES = 0x4000n;
const TREE_BYTES = 0x2000n;
const RIGHTS = { rwx: 0x70, rx: 0x50 } as const;
const ACCESS = { lend: 1, share: 2 } as const;
/** States of vcpu_run and actions on the instruction (section 2.9). */
const PAGE_FAULT = 7;
const RETRY = 1;

const need = (value: number | string): number => {
  assert.type(value, 'number', String(value));
  return Number(value);
};

class Setting {
  readonly bench: ManagerBench;
  readonly device: number;
  readonly vm: number;
  constructor(bench: ManagerBench, device: number, vm: number) {
    this.bench = bench;
    this.device = device;
    this.vm = vm;
  }
  static async make(generation: 'P14' | 'P17' = 'P17', statics: readonly number[] = []): Promise<Setting> {
    const bench = await ManagerBench.make(generation, statics);
    const device = bench.open();
    return new Setting(bench, device, need(await bench.ioctl(device, 'CREATE_VM', 0)));
  }
  async file(size = BYTES, flags = 0n): Promise<number> {
    return need(await this.bench.ioctl(this.device, 'CREATE_GUEST_MEM', bytesOf(CreateGuestMem, { flags, size })));
  }
  map(guestMemFd: number, guestAddr: bigint, flags: number, size = BYTES, offset = 0n): Promise<number | string> {
    return this.bench.ioctl(this.vm, 'MAP_MEM', bytesOf(MapMem, { guestAddr, flags, guestMemFd, offset, size }));
  }
  /** A binding of its own for the device tree, which is what the resource manager gets. */
  async image(tree = guestTree([], undefined, { affinity: strings('proxy') })): Promise<void> {
    const fd = await this.file();
    this.bench.contentOf(fd).set(tree);
    assert.is(await this.map(fd, IMAGE_AT, RIGHTS.rwx | ACCESS.lend), 0);
    await this.tree(IMAGE_AT);
  }
  async tree(guestPhysAddr: bigint): Promise<void> {
    const config = bytesOf(DtbConfig, { guestPhysAddr, size: TREE_BYTES });
    assert.is(await this.bench.ioctl(this.vm, 'SET_DTB_CONFIG', config), 0);
  }
  start(): Promise<number | string> {
    return this.bench.ioctl(this.vm, 'VM_START');
  }
  async vcpu(): Promise<number> {
    const desc = bytesOf(FnDesc, { type: 1, argSize: 4, arg: 0n });
    return need(await this.bench.ioctl(this.vm, 'ADD_FUNCTION', desc, bytesOf(FnVcpuArg, { id: 0 })));
  }
  range(guestPhysAddr: bigint, size: bigint): Uint8Array {
    return bytesOf(AddressRange, { guestPhysAddr, size });
  }
  get #guest() {
    return this.bench.bench.partitions.get(this.bench.bench.rm.vms.get(0x80)?.partition ?? -1);
  }
  /** Where the guest and the host VM have a page, and with which rights (read 1, write 2, execute 4); 0: nowhere. */
  ofGuest(address: bigint): number {
    return this.#guest?.parts?.stage2.entry(Number(address / PAGE)) ?? 0;
  }
  ofHost(fd: number, offset = 0n): number {
    const memory = this.bench.manager.memoryOf(fd);
    assert.ok(memory.ok);
    const partition = this.bench.bench.partitions.get(this.bench.host.vm.partition ?? -1);
    return memory.ok ? (partition?.parts?.stage2.entry((memory.value.address + Number(offset)) >>> 12) ?? 0) : 0;
  }
}
const frame = (entry: number): number => (entry & ~0xfff) >>> 0;

test('P17: lent and shared pages come at the guest’s first access, with hypercalls of the driver, and go back', async () => {
  const s = await Setting.make();
  const { bench } = s;
  await s.image();
  const [lent, shared] = [await s.file(), await s.file()];
  bench.contentOf(lent)[0x1000] = 7;
  assert.is(await s.map(lent, LENT_AT, RIGHTS.rx), 0);
  assert.is(await s.map(shared, SHARED_AT, RIGHTS.rwx | ACCESS.share), 0);
  assert.is(await s.start(), 0);
  assert.ok(bench.requests.includes(M.VM_SET_DEMAND_PAGING));
  assert.is(bench.requests.filter((id) => id === M.MEM_LEND || id === M.MEM_SHARE).length, 1, 'the image alone');
  const vcpu = await s.vcpu();
  const guest = bench.guestVcpu(0x80, 0);
  const page = new DataView(bench.runPage(vcpu).buffer);
  let ran = bench.ioctl(vcpu, 'VCPU_RUN');
  await guest.turn(bench);

  // Private memory: the host loses it; it may be read and fetched from.
  const before = s.ofHost(lent, PAGE);
  guest.park(PAGE_FAULT, [LENT_AT + PAGE + 8n, 0n, 0n]);
  assert.equal(await guest.turn(bench), { value: 0n, action: RETRY });
  assert.equal(bench.calls, [0x61, 0x2b]);
  assert.is(s.ofGuest(LENT_AT + PAGE), frame(before) | 5);
  assert.is(s.ofHost(lent, PAGE), 0, 'lent');
  assert.is(bench.bench.memory[frame(before)], 7, 'as the VMM wrote it');
  assert.is(s.ofGuest(LENT_AT), 0, 'its neighbours stay');

  // Shared memory: both have it, and nobody executes it in the guest.
  guest.park(PAGE_FAULT, [SHARED_AT, 1n, 0n]);
  await guest.turn(bench);
  assert.is(s.ofGuest(SHARED_AT), frame(s.ofHost(shared)) | 3);
  assert.ok(s.ofHost(shared) !== 0);

  // A second processor was as fast: there is nothing to do but to try again.
  guest.park(PAGE_FAULT, [SHARED_AT + 4n, 1n, 0n]);
  assert.is((await guest.turn(bench)).action, RETRY);

  // A write to what may not be written is the VMM's, and so is an address without memory, until it has some.
  guest.park(PAGE_FAULT, [LENT_AT, 1n, 0n]);
  assert.is(await ran, 0);
  const fault = RunFault.read(page, 0);
  assert.equal(fault.ok && [fault.value.exitReason, fault.value.address, fault.value.error], [3, LENT_AT, -1]);
  page.setUint8(RunFault.offsets.action, 1);
  ran = bench.ioctl(vcpu, 'VCPU_RUN');
  assert.is((await guest.turn(bench)).action, 2, 'the fault goes to the guest');
  guest.park(PAGE_FAULT, [0xb000_0000n, 0n, 0n]);
  assert.is(await ran, 0);
  assert.is(page.getInt32(RunFault.offsets.error, true), -2);
  const more = await s.file();
  assert.is(await s.map(more, 0xb000_0000n, RIGHTS.rwx), 0, 'while it runs');
  page.setUint8(RunFault.offsets.action, 2);
  ran = bench.ioctl(vcpu, 'VCPU_RUN');
  assert.is((await guest.turn(bench)).action, RETRY);
  guest.park(PAGE_FAULT, [0xb000_0000n, 0n, 0n]);
  await guest.turn(bench);
  assert.ok(s.ofGuest(0xb000_0000n) !== 0);

  // RECLAIM_REGION: back to the host, private memory empty; it comes again when it is wanted.
  assert.is(await bench.ioctl(s.vm, 'RECLAIM_REGION', s.range(LENT_AT + 1n, PAGE)), 'EINVAL');
  assert.is(await bench.ioctl(s.vm, 'RECLAIM_REGION', s.range(LENT_AT, 1n)), 'EINVAL');
  assert.is(await bench.ioctl(s.vm, 'RECLAIM_REGION', s.range(LENT_AT, BYTES)), 0);
  assert.is(s.ofGuest(LENT_AT + PAGE), 0);
  assert.is(s.ofHost(lent, PAGE), before);
  assert.is(bench.contentOf(lent)[0x1000], 0);
  guest.park(PAGE_FAULT, [LENT_AT + PAGE, 0n, 0n]);
  await guest.turn(bench);
  assert.is(s.ofGuest(LENT_AT + PAGE), frame(before) | 5);
  // MAP_MEM with the unmap flag takes the binding away with its pages.
  assert.is(await s.map(more, 0xb000_0000n, RIGHTS.rwx | 0x100), 0);
  assert.is(s.ofGuest(0xb000_0000n), 0);

  const ended = bench.bench.rm.vms.get(0x80);
  assert.ok(ended !== undefined);
  if (ended !== undefined) await bench.bench.rm.exited(ended, EXIT_TYPE.VM_EXIT, 0, 0);
  assert.is(await ran, 0);
  await bench.close(vcpu);
  await bench.close(s.vm);
  assert.is(s.ofHost(lent, PAGE), before, 'all back');
  assert.is(bench.bench.extents.count, 0);
});

test('8.3 P17: of the device tree’s binding its own pages alone are lent; started, they are pages like the rest and go back as they do', async () => {
  const s = await Setting.make();
  const { bench } = s;
  const fd = await s.file(0x8000n);
  const treeAt = 0x3000n;
  bench.contentOf(fd).set(guestTree([], undefined, { affinity: strings('proxy') }), Number(treeAt));
  assert.is(await s.map(fd, IMAGE_AT, RIGHTS.rwx | ACCESS.lend, 0x8000n), 0);
  await s.tree(IMAGE_AT + treeAt);
  const before = Array.from({ length: 8 }, (_, page) => s.ofHost(fd, BigInt(page) * PAGE));
  assert.is(await s.start(), 0);
  const { rm, running } = bench.bench;
  assert.equal(
    [rm.vms.get(0x80)?.imageBase, [...running.values()][0]?.x.get(0)],
    [IMAGE_AT + treeAt, IMAGE_AT + treeAt],
  );
  assert.is(rm.parcels.all().length, 0, 'it is no parcel any more');
  for (let page = 0; page < 8; page++) {
    const isTree = page === 3 || page === 4;
    const at = BigInt(page) * PAGE;
    assert.is(s.ofGuest(IMAGE_AT + at), isTree ? frame(before[page] ?? 0) | 7 : 0, `page ${page}`);
    assert.is(s.ofHost(fd, at), isTree ? 0 : before[page], `page ${page}`);
  }
  // The rest comes when it is wanted, of the tree nothing a second time.
  const vcpu = await s.vcpu();
  const guest = bench.guestVcpu(0x80, 0);
  const ran = bench.ioctl(vcpu, 'VCPU_RUN');
  await guest.turn(bench);
  for (const [page, calls] of [
    [0n, [0x61, 0x2b]],
    [3n, []],
    [7n, [0x61, 0x2b]],
  ] as const) {
    bench.calls.length = 0;
    guest.park(PAGE_FAULT, [IMAGE_AT + page * PAGE, 1n, 0n]);
    assert.is((await guest.turn(bench)).action, RETRY);
    assert.equal(bench.calls, calls);
  }
  const ended = rm.vms.get(0x80);
  if (ended !== undefined) await rm.exited(ended, EXIT_TYPE.VM_EXIT, 0, 0);
  assert.is(await ran, 0);
  await bench.close(vcpu);
  [bench.calls.length, bench.requests.length] = [0, 0];
  await bench.close(s.vm);
  assert.equal(bench.calls, [0x2c, 0x61, 0x2c, 0x61, 0x2c, 0x61, 0x2c, 0x61]);
  assert.equal(bench.requests, [M.VM_RESET, M.VM_DEALLOCATE]);
  for (let page = 0; page < 8; page++) assert.is(s.ofHost(fd, BigInt(page) * PAGE), before[page], `page ${page}`);
  assert.is(bench.contentOf(fd)[Number(treeAt)], 0, 'private pages come back empty');
  assert.is(bench.bench.extents.count, 0);
  assert.is(bench.bench.parcels.count, 0);
});

test('8.3 P17: a tree in a file of large pages is lent in those; a start that fails gives its parcel back', async () => {
  const large = 0x20_0000n;
  const s = await Setting.make();
  const { bench } = s;
  const fd = await s.file(2n * large, 2n);
  const treeAt = 0x5000n;
  // Its configuration has no name, which VM_INIT refuses.
  bench.contentOf(fd).set(guestTree([], {}), Number(treeAt));
  assert.is(await s.map(fd, IMAGE_AT, RIGHTS.rwx | ACCESS.lend, 2n * large), 0);
  await s.tree(IMAGE_AT + treeAt);
  const before = s.ofHost(fd, treeAt);
  assert.is(await s.start(), 'EINVAL');
  assert.is(s.ofHost(fd, treeAt), 0);
  assert.is(s.ofHost(fd, large - PAGE), 0, 'the whole of the page');
  assert.not.equal(s.ofHost(fd, large), 0, 'and no more');
  assert.is(bench.bench.rm.parcels.all().length, 1);
  await bench.close(s.vm);
  assert.is(bench.bench.rm.parcels.all().length, 0);
  assert.is(s.ofHost(fd, treeAt), before);
});

test('P17: a file of large pages gives two megabytes at once', async () => {
  const s = await Setting.make();
  const { bench } = s;
  await s.image();
  const file = await s.file(0x40_0000n, 2n);
  const address = bench.manager.memoryOf(file);
  assert.ok(address.ok);
  const large = 0x20_0000n;
  const skew = address.ok ? (large - (BigInt(address.value.address) % large)) % large : 0n;
  assert.is(await s.map(file, LENT_AT, RIGHTS.rwx, large, skew), 0);
  assert.is(await s.start(), 0);
  const vcpu = await s.vcpu();
  const guest = bench.guestVcpu(0x80, 0);
  const ran = bench.ioctl(vcpu, 'VCPU_RUN');
  await guest.turn(bench);
  guest.park(PAGE_FAULT, [LENT_AT + 0x12_3456n, 1n, 0n]);
  await guest.turn(bench);
  assert.equal(bench.calls, [0x61, 0x2b]);
  for (const at of [0n, 0x10_0000n, large - PAGE]) assert.ok(s.ofGuest(LENT_AT + at) !== 0);
  guest.park(PAGE_FAULT, [IMAGE_AT - PAGE, 0n, 0n]);
  assert.is(await ran, 0);
});

test('5.5, 5.7: SET_DEMAND_PAGING between configuration and INIT; extents and address space for an owner that runs the VM', async () => {
  const s = await Setting.make();
  const { bench, host } = s.bench;
  const ranges = (vmid: number, ...of: readonly bigint[]): PayloadWriter => {
    const out = new PayloadWriter()
      .u16(vmid)
      .u16(0)
      .u32(of.length / 2);
    for (const word of of) out.u64(word);
    return out;
  };
  const set = async (body: PayloadWriter): Promise<number> => (await host.call(M.VM_SET_DEMAND_PAGING, body)).error;
  assert.is(await set(ranges(0x80, LENT_AT, PAGE)), E.VMID_INVALID);
  await host.simple(M.VM_ALLOCATE, 0);
  assert.is(await set(ranges(0x80, LENT_AT, PAGE)), E.VM_STATE);
  const parcel = await host.image(0x80, guestTree([], undefined, { affinity: strings('proxy') }));
  assert.is(await host.configure(0x80, parcel), E.OK);
  assert.is(await set(ranges(0x80, LENT_AT + 1n, PAGE)), E.ARGUMENT_INVALID);
  assert.is(await set(ranges(0x80, LENT_AT, 0n)), E.ARGUMENT_INVALID);
  assert.is(await set(ranges(0x80, LENT_AT, PAGE).u32(0)), E.MSG_INVALID);
  assert.is(await set(new PayloadWriter().u16(0x80).u16(0).u32(513)), E.NORESOURCE);
  assert.is(await set(ranges(0x80, LENT_AT, PAGE)), E.OK);
  assert.is(await host.simple(M.VM_INIT, 0x80), E.OK);
  assert.is(await set(ranges(0x80, LENT_AT, PAGE)), E.VM_STATE);
  const { rest } = await host.call(M.VM_GET_HYP_RESOURCES, new PayloadWriter().u16(0x80).u16(0));
  const lines = Array.from({ length: rest.u32() }, () => {
    const type = rest.u8();
    rest.bytes(7);
    const label = rest.u32();
    rest.bytes(32);
    return `${type}.${label}`;
  });
  assert.equal(lines.toSorted(), ['10.0', '4.0', '9.0', '9.1', '9.2', '9.3']);
  assert.is(await host.simple(M.VM_RESET, 0x80), E.OK);
  assert.is(bench.extents.count, 0);
  // Other generations' resource managers do not know it.
  const older = await Setting.make('P14');
  assert.is((await older.bench.host.call(M.VM_SET_DEMAND_PAGING, ranges(0x80))).error, E.UNIMPLEMENTED);
});

for (const generation of ['P14', 'P17'] as const) {
  test(`8.1 ${generation}: SET_FW_CONFIG overflows, and a protected VM without firmware does not start`, async () => {
    const s = await Setting.make(generation);
    assert.is(await s.bench.ioctl(s.vm, 'ANDROID_SET_FW_CONFIG', s.range((1n << 64n) - PAGE, PAGE)), 'EOVERFLOW');
    assert.is(await s.bench.ioctl(s.vm, 'ANDROID_SET_FW_CONFIG', s.range(LENT_AT, PAGE)), 0);
    assert.is(await s.bench.ioctl(s.vm, 'RECLAIM_REGION', s.range(LENT_AT, PAGE)), 0, 'nothing came yet');
    if (generation === 'P14') return;
    await s.image();
    assert.is(await s.start(), 'ENOENT', 'there is no memory for it');
    const t = await Setting.make(generation);
    await t.image();
    assert.is(await t.map(await t.file(), LENT_AT, RIGHTS.rwx), 0);
    assert.is(await t.bench.ioctl(t.vm, 'ANDROID_SET_FW_CONFIG', t.range(LENT_AT, PAGE)), 0);
    t.bench.requests.length = 0;
    // The resource manager was given no firmware.
    assert.is(await t.start(), 'EPERM');
    assert.ok(t.bench.requests.includes(M.VM_SET_FIRMWARE_MEM));
    assert.is(await t.bench.close(t.vm), 0);
    assert.is(t.bench.bench.rm.parcels.all().length, 0);
  });

  test(`8.1 ${generation}: SET_AUTH_TYPE knows trusted VMs alone, and checks their argument`, async () => {
    const s = await Setting.make(generation);
    const arg = bytesOf(TrustedVmArg, { vmId: 45, padding: 0, peripheralId: 28, guestPhysAddr: IMAGE_AT, size: BYTES });
    const set = (type: number, argSize: number, bytes = arg): Promise<number | string> =>
      s.bench.ioctl(s.vm, 'ANDROID_SET_AUTH_TYPE', bytesOf(AuthDesc, { type, argSize, arg: 0n }), bytes);
    assert.is(await set(0, 24), 'ENOENT');
    assert.is(await set(2, 24), 'ENOENT');
    assert.is(await set(1, 25, new Uint8Array(25)), 'EINVAL');
    assert.is(await set(1, 24, new Uint8Array(8)), 'EFAULT');
    const wide = { vmId: 1, padding: 0, peripheralId: 0, guestPhysAddr: (1n << 64n) - PAGE, size: PAGE };
    assert.is(await set(1, 24, bytesOf(TrustedVmArg, wide)), 'EOVERFLOW');
    assert.is(await set(1, 24), 0);
  });
}

test('8.3 P17: a trusted VM has its own number, is authenticated, and is given its memory whole', async () => {
  const s = await Setting.make('P17', [45]);
  const { bench } = s;
  await s.image(guestTree());
  assert.is(await s.map(await s.file(), LENT_AT, RIGHTS.rwx), 0);
  const arg = bytesOf(TrustedVmArg, { vmId: 45, padding: 0, peripheralId: 28, guestPhysAddr: IMAGE_AT, size: BYTES });
  assert.is(
    await bench.ioctl(s.vm, 'ANDROID_SET_AUTH_TYPE', bytesOf(AuthDesc, { type: 1, argSize: 24, arg: 0n }), arg),
    0,
  );
  const context = bytesOf(BootContext, { reg: 0x100, reserved: 0, value: 4n });
  assert.is(await bench.ioctl(s.vm, 'SET_BOOT_CONTEXT', context), 0);
  assert.is(await s.start(), 0);
  assert.is(bench.bench.rm.vms.get(45)?.state, VM_STATE.RUNNING);
  assert.ok(bench.requests.includes(M.VM_AUTH_IMAGE));
  assert.not.ok(bench.requests.includes(M.VM_SET_DEMAND_PAGING));
  assert.not.ok(bench.requests.includes(M.VM_SET_BOOT_CONTEXT), 'whoever authenticates says where it begins');
  assert.is(bench.requests.filter((id) => id === M.MEM_LEND).length, 2);
  assert.is(await bench.ioctl(s.vm, 'SET_BOOT_CONTEXT', context), 'EINVAL', 'too late');
  assert.is(await bench.close(s.vm), 0);
  assert.is(bench.bench.rm.vms.get(45), undefined);
  assert.is(bench.bench.rm.parcels.all().length, 0);
});

test('8.1 P17: MAP_CMA_MEM checks as the driver does; its memory is given whole before the start, lent or shared', async () => {
  const s = await Setting.make();
  const { bench } = s;
  await s.image();
  const fd = await s.file(0x8000n);
  const map = (over: object): Promise<number | string> => {
    const whole = {
      label: 9,
      padding: 0,
      guestAddr: LENT_AT,
      flags: 0x17,
      guestMemFd: fd,
      offset: 0n,
      size: BYTES,
      ...over,
    };
    return bench.ioctl(s.vm, 'ANDROID_MAP_CMA_MEM', bytesOf(MapCmaMem, whole));
  };
  assert.is(await map({ size: 0n }), 'EINVAL');
  assert.is(await map({ guestAddr: LENT_AT + 4n }), 'EINVAL');
  assert.is(await map({ guestMemFd: 99 }), 'EINVAL');
  assert.is(await map({ guestAddr: (1n << 64n) - PAGE, size: PAGE }), 'EOVERFLOW');
  assert.is(await map({ offset: 0x5000n }), 'EOVERFLOW');
  assert.is(await map({}), 0);
  assert.is(await map({ guestAddr: LENT_AT + PAGE }), 'EEXIST');
  assert.is(await map({ guestAddr: SHARED_AT, flags: 0x23, offset: BYTES }), 0);
  assert.is(await s.start(), 0);
  assert.is(bench.requests.filter((id) => id === M.MEM_LEND).length, 2);
  assert.is(bench.requests.filter((id) => id === M.MEM_SHARE).length, 1);
  // Demand paging of it is not there: the processor's fault is the VMM's.
  const vcpu = await s.vcpu();
  const guest = bench.guestVcpu(0x80, 0);
  const ran = bench.ioctl(vcpu, 'VCPU_RUN');
  await guest.turn(bench);
  guest.park(PAGE_FAULT, [LENT_AT, 0n, 0n]);
  assert.is(await ran, 0);
  const page = new DataView(bench.runPage(vcpu).buffer);
  assert.is(page.getInt32(RunFault.offsets.error, true), -95);
});
test.run();
