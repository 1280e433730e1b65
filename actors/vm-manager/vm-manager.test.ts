/** The userspace interface of the Gunyah drivers: each check and errno of gunyah.md section 8, by the row it cites. */

import * as assert from 'uvu/assert';
import { bytesOf } from '../../bus/layout/struct.js';
import { cells, PRESENT, strings } from '../../devices/machine/device-tree/tree.js';
import { guestTree, ManagerBench, vdevice } from '../../test/fixtures/gunyah/manager-bench.js';
import { spec } from '../../test/harness/spec.js';
import { PROFILES, type Profile } from '../abi/gunyah/identity.js';
import { EXIT_TYPE, RM_MESSAGE as M, VM_STATE } from '../resource-manager/rm-messages.js';
import {
  BootContext,
  CreateGuestMem,
  DtbConfig,
  FnDesc,
  FnIoeventfdArg,
  FnIrqfdArg,
  FnVcpuArg,
  IOCTL,
  MapMem,
  RunFault,
  RunMmio,
  RunStatus,
  UserMemoryRegion,
} from './uapi.js';

const test = spec('vm manager');
const LATER = ['P14', 'P17'] as const;
const BASE = 0x8000_0000n;
const BYTES = 0x1_0000n;
const TREE_AT = 0x4000n;
const TREE_BYTES = 0x2000n;

const region = (over: Partial<Parameters<typeof UserMemoryRegion.write>[2]> = {}): Uint8Array =>
  bytesOf(UserMemoryRegion, {
    ...{ label: 0, flags: 7, guestPhysAddr: BASE, memorySize: BYTES, userspaceAddr: 0n },
    ...over,
  });
const dtb = (guestPhysAddr: bigint, size: bigint): Uint8Array => bytesOf(DtbConfig, { guestPhysAddr, size });

/** A device file and a VM of it. */
async function newVm(generation: Profile): Promise<{ bench: ManagerBench; device: number; vm: number }> {
  const bench = await ManagerBench.make(generation);
  const device = bench.open();
  const vm = await bench.ioctl(device, 'CREATE_VM', 0);
  if (typeof vm !== 'number') throw new Error(vm);
  return { bench, device, vm };
}

/** Gives the VM memory that holds `tree`, by the calls of its generation. */
async function giveImage(bench: ManagerBench, device: number, vm: number, tree = guestTree()): Promise<number> {
  if (bench.generation === 'P17') {
    const memory = await bench.ioctl(device, 'CREATE_GUEST_MEM', bytesOf(CreateGuestMem, { flags: 0n, size: BYTES }));
    if (typeof memory !== 'number') throw new Error(memory);
    const content = bench.contentOf(memory);
    content.set(tree, Number(TREE_AT));
    const map = { guestAddr: BASE, flags: 0x70, guestMemFd: memory, offset: 0n, size: BYTES };
    assert.is(await bench.ioctl(vm, 'MAP_MEM', bytesOf(MapMem, map)), 0);
    return memory;
  }
  const { address, content } = await bench.mmap(Number(BYTES));
  content.set(tree, Number(TREE_AT));
  const flags = bench.generation === 'P6' ? 0xf : 7;
  const ioctl = bench.generation === 'P14' ? 'ANDROID_LEND_USER_MEM' : 'SET_USER_MEM_REGION';
  assert.is(await bench.ioctl(vm, ioctl, region({ flags, userspaceAddr: BigInt(address) })), 0);
  return address;
}

/** A VM that runs. */
async function running(generation: Profile, tree = guestTree()) {
  const made = await newVm(generation);
  const memory = await giveImage(made.bench, made.device, made.vm, tree);
  assert.is(await made.bench.ioctl(made.vm, 'SET_DTB_CONFIG', dtb(BASE + TREE_AT, TREE_BYTES)), 0);
  assert.is(await made.bench.ioctl(made.vm, 'VM_START'), 0);
  return { ...made, memory };
}

test('8.1: every ioctl has the number, and the size in it, of its generation', () => {
  for (const [name, row] of Object.entries(IOCTL)) {
    for (const number of Object.values(row.numbers)) {
      const size = (number >>> 16) & 0x3fff;
      assert.is(size, row.bytes, name);
    }
  }
  assert.is(IOCTL.CREATE_VM.numbers.P6, 0x4740);
  assert.is(IOCTL.SET_USER_MEM_REGION.numbers.P6, 0x40204741);
  assert.is(IOCTL.CREATE_GUEST_MEM.numbers.P17, 0x40404708);
});

test('8.1: what a generation does not have is an unknown ioctl', async () => {
  const six = await newVm('P6');
  assert.is(await six.bench.raw(six.vm, 0x40104704, new Uint8Array(16)), 'ENOTTY');
  assert.is(await six.bench.raw(six.vm, 0x4703), 'ENOTTY');
  const seventeen = await newVm('P17');
  assert.is(await seventeen.bench.raw(seventeen.vm, 0x40204701, new Uint8Array(32)), 'ENOTTY');
  assert.is(await seventeen.bench.raw(seventeen.vm, 0x4745), 'ENOTTY');
});

for (const generation of PROFILES) {
  test(`8.3 ${generation}: CREATE_VM with an argument other than 0 is EINVAL`, async () => {
    const bench = await ManagerBench.make(generation);
    assert.is(await bench.ioctl(bench.open(), 'CREATE_VM', 1), 'EINVAL');
    assert.equal(bench.requests, []);
  });

  test(`8.3 ${generation}: CREATE_VM ${generation === 'P17' ? 'asks nothing' : 'allocates'} at once`, async () => {
    const { bench } = await newVm(generation);
    assert.equal(bench.requests, generation === 'P17' ? [] : [M.VM_ALLOCATE]);
  });

  test(`8.3 ${generation}: unknown ioctls on the device and on a VM`, async () => {
    const { bench, device, vm } = await newVm(generation);
    assert.is(await bench.raw(device, 0x4799), generation === 'P6' ? 'EINVAL' : 'ENOTTY');
    assert.is(await bench.raw(vm, 0x4799), 'ENOTTY');
    assert.is(await bench.raw(999, 0x4700), 'EBADF');
  });

  test(`8.3 ${generation}: VM_START makes its requests in the order of its generation`, async () => {
    const { bench } = await running(generation);
    const orders = {
      P6: [M.VM_ALLOCATE, M.MEM_LEND, M.VM_CONFIG_IMAGE, M.VM_INIT, M.VM_START],
      P14: [M.VM_ALLOCATE, M.MEM_LEND, M.VM_CONFIG_IMAGE, M.VM_INIT, M.VM_GET_HYP_RESOURCES, M.VM_START],
      P17: [
        ...[M.VM_ALLOCATE, M.MEM_LEND, M.VM_CONFIG_IMAGE, M.VM_SET_DEMAND_PAGING, M.VM_SET_ADDRESS_LAYOUT],
        ...[M.VM_INIT, M.VM_GET_HYP_RESOURCES, M.VM_START],
      ],
    };
    assert.equal(bench.requests, orders[generation]);
    const [boot] = [...bench.bench.running.values()];
    // Without a boot context a VM begins where its parcel does, which is v17's device tree.
    assert.is(boot?.pc, generation === 'P17' ? BASE + TREE_AT : BASE);
    assert.is(boot?.x.get(0), BASE + TREE_AT);
  });

  test(`8.3 ${generation}: VM_START of a VM that runs answers 0 and asks nothing`, async () => {
    const { bench, vm } = await running(generation);
    const before = bench.requests.length;
    assert.is(await bench.ioctl(vm, 'VM_START'), 0);
    assert.is(bench.requests.length, before);
  });

  test(`8.3 ${generation}: VM_START without a device tree in its memory fails`, async () => {
    const { bench, device, vm } = await newVm(generation);
    await giveImage(bench, device, vm);
    assert.is(await bench.ioctl(vm, 'SET_DTB_CONFIG', dtb(0x1000n, TREE_BYTES)), 0);
    assert.is(await bench.ioctl(vm, 'VM_START'), generation === 'P17' ? 'ENOENT' : 'EINVAL');
    // A repeat: v6 answers 0 whatever happened, the others that there is no such VM.
    assert.is(await bench.ioctl(vm, 'VM_START'), generation === 'P6' ? 0 : 'ENODEV');
  });

  test(`8.3 ${generation}: a configuration the resource manager refuses fails the start`, async () => {
    const { bench, device, vm } = await newVm(generation);
    await giveImage(bench, device, vm, guestTree([], {}));
    await bench.ioctl(vm, 'SET_DTB_CONFIG', dtb(BASE + TREE_AT, TREE_BYTES));
    assert.is(await bench.ioctl(vm, 'VM_START'), 'EINVAL');
    assert.is(await bench.close(vm), 0);
  });

  test(`8.3 ${generation}: the size of a device tree is rounded up to a page`, async () => {
    const { bench, device, vm } = await newVm(generation);
    await giveImage(bench, device, vm);
    assert.is(await bench.ioctl(vm, 'SET_DTB_CONFIG', dtb(BASE + TREE_AT, TREE_BYTES - 0x800n)), 0);
    assert.is(await bench.ioctl(vm, 'VM_START'), 0);
  });
}

test('8.3 P6: closing stops politely and reclaims, and memory in use stays where it is', async () => {
  const { bench, vm } = await running('P6');
  bench.requests.length = 0;
  assert.is(await bench.close(vm), 0);
  assert.equal(bench.requests, [M.VM_STOP, M.MEM_RECLAIM]);
  assert.is(bench.bench.rm.parcels.all().length, 1, 'MEM_INUSE');
  assert.is(bench.bench.rm.vms.get(0x80)?.state, VM_STATE.RUNNING);
});

for (const generation of LATER) {
  test(`8.3 ${generation}: closing the last reference stops, resets, reclaims and deallocates`, async () => {
    const { bench, vm } = await running(generation);
    bench.requests.length = 0;
    assert.is(await bench.close(vm), 0);
    // v17's parcel has become pages, which go back by hypercalls.
    const reclaim = generation === 'P17' ? [] : [M.MEM_RECLAIM];
    assert.equal(bench.requests, [M.VM_STOP, M.VM_RESET, ...reclaim, M.VM_DEALLOCATE]);
    assert.is(bench.bench.rm.parcels.all().length, 0);
    assert.is(bench.bench.rm.vms.get(0x80), undefined);
  });

  test(`8.3 ${generation}: a vCPU file keeps its VM alive`, async () => {
    const { bench, vm } = await running(generation);
    const vcpu = await addFunction(bench, vm, 1, bytesOf(FnVcpuArg, { id: 0 }));
    assert.ok(typeof vcpu === 'number');
    assert.is(await bench.close(vm), 0);
    assert.is(bench.bench.rm.vms.get(0x80)?.state, VM_STATE.RUNNING);
    assert.is(await bench.close(Number(vcpu)), 0);
    assert.is(bench.bench.rm.vms.get(0x80), undefined);
  });

  test(`8.3 ${generation}: functions: bad sizes and flags EINVAL, unknown types ENOENT, duplicates EEXIST`, async () => {
    const { bench, vm } = await newVm(generation);
    const event = bench.event();
    const vcpu = bytesOf(FnVcpuArg, { id: 1 });
    const irqfd = bytesOf(FnIrqfdArg, { fd: event, label: 7, flags: 0, padding: 0 });
    const io = { datamatch: 5n, addr: 0x1000n, len: 4, fd: event, flags: 1, padding: 0 };
    assert.is(await addFunction(bench, vm, 1, vcpu, 8), 'EINVAL');
    assert.is(await addFunction(bench, vm, 1, new Uint8Array(300), 257), 'EINVAL');
    assert.is(await addFunction(bench, vm, 9, vcpu), 'ENOENT');
    assert.ok(typeof (await addFunction(bench, vm, 1, vcpu)) === 'number');
    assert.is(await addFunction(bench, vm, 1, vcpu), 'EEXIST');
    assert.is(await addFunction(bench, vm, 2, irqfd), 0);
    assert.is(await addFunction(bench, vm, 2, irqfd), 'EEXIST');
    const odd = bytesOf(FnIrqfdArg, { fd: event, label: 8, flags: 2, padding: 0 });
    assert.is(await addFunction(bench, vm, 2, odd), 'EINVAL');
    const noFile = bytesOf(FnIrqfdArg, { fd: 99, label: 8, flags: 0, padding: 0 });
    assert.is(await addFunction(bench, vm, 2, noFile), 'EBADF');
    assert.is(await addFunction(bench, vm, 3, bytesOf(FnIoeventfdArg, io)), 0);
    assert.is(await addFunction(bench, vm, 3, bytesOf(FnIoeventfdArg, { ...io, addr: 1n, len: 3 })), 'EINVAL');
    // crosvm sets datamatch as 1 << 1 (section 9), which the driver rejects.
    assert.is(await addFunction(bench, vm, 3, bytesOf(FnIoeventfdArg, { ...io, addr: 2n, flags: 2 })), 'EINVAL');
    assert.is(await addFunction(bench, vm, 3, bytesOf(FnIoeventfdArg, { ...io, addr: 3n, len: 0 })), 'EINVAL');
    const desc = bytesOf(FnDesc, { type: 2, argSize: 16, arg: 0n });
    assert.is(await bench.ioctl(vm, 'REMOVE_FUNCTION', desc, irqfd), 0);
    assert.is(await bench.ioctl(vm, 'REMOVE_FUNCTION', desc, irqfd), 'ENOENT');
  });

  test(`8.3 ${generation}: VCPU_RUN before the start is ENODEV, and after the end tells type and reason`, async () => {
    const { bench, device, vm } = await newVm(generation);
    await giveImage(bench, device, vm);
    await bench.ioctl(vm, 'SET_DTB_CONFIG', dtb(BASE + TREE_AT, TREE_BYTES));
    const vcpu = Number(await addFunction(bench, vm, 1, bytesOf(FnVcpuArg, { id: 0 })));
    assert.is(await bench.ioctl(vcpu, 'VCPU_MMAP_SIZE'), 4096);
    assert.is(await bench.raw(vcpu, 0x4799), 'ENOTTY');
    assert.is(await bench.ioctl(vcpu, 'VCPU_RUN'), 'ENODEV');
    assert.is(await bench.ioctl(vm, 'VM_START'), 0);
    const page = bench.runPage(vcpu);
    page[0] = 1;
    assert.is(await bench.ioctl(vcpu, 'VCPU_RUN'), 'EINTR');
    page[0] = 0;
    const running = bench.ioctl(vcpu, 'VCPU_RUN');
    assert.is(await bench.ioctl(vcpu, 'VCPU_RUN'), 'EBUSY');
    const guest = bench.bench.rm.vms.get(0x80);
    assert.ok(guest !== undefined);
    await bench.bench.rm.exited(guest, EXIT_TYPE.PSCI_SYSTEM_RESET2, 1, 0, [4, 5, 6]);
    assert.is(await running, 0);
    const read = RunStatus.read(new DataView(page.buffer), 0);
    assert.ok(read.ok);
    if (!read.ok) return;
    const { exitReason, status, exitType, reasonSize, reason } = read.value;
    assert.equal([exitReason, status, exitType, reasonSize, reason], [2, 2, 3, 16, 1]);
    assert.is(await bench.ioctl(vcpu, 'VCPU_RUN'), 0);
  });

  test(`8.3 ${generation}: a vCPU that is run by proxy leaves VCPU_RUN with its accesses, but for those to event files`, async () => {
    const { bench, vm } = await running(generation, guestTree([], undefined, { affinity: strings('proxy') }));
    const event = bench.event();
    const io = { datamatch: 0n, addr: 0x2000n, len: 4, fd: event, flags: 0, padding: 0 };
    assert.is(await addFunction(bench, vm, 3, bytesOf(FnIoeventfdArg, io)), 0);
    const vcpu = Number(await addFunction(bench, vm, 1, bytesOf(FnVcpuArg, { id: 0 })));
    const guest = bench.guestVcpu(0x80, 0);
    const page = new DataView(bench.runPage(vcpu).buffer);
    const run = (): Promise<number | string> => bench.ioctl(vcpu, 'VCPU_RUN');

    // A read of two bytes: the answer is in the page, and only so much of it arrives.
    let ran = run();
    assert.equal(await guest.turn(bench), { value: 0n, action: 0 });
    assert.is(await run(), 'EBUSY');
    guest.park(4, [0x1004n, 2n, 0n]);
    assert.is(await ran, 0);
    let mmio = RunMmio.read(page, 0);
    assert.ok(mmio.ok);
    if (mmio.ok)
      assert.equal([mmio.value.exitReason, mmio.value.address, mmio.value.len, mmio.value.isWrite], [1, 0x1004n, 2, 0]);
    page.setBigUint64(RunMmio.offsets.data, 0x1122_3344n, true);

    // Interrupted before it runs: the answer is not lost.
    bench.runPage(vcpu)[0] = 1;
    assert.is(await run(), 'EINTR');
    bench.runPage(vcpu)[0] = 0;
    ran = run();
    assert.equal(await guest.turn(bench), { value: 0x3344n, action: 0 });

    // Turns that end, writes to the event file and waiting are the driver's own.
    guest.park(0);
    assert.equal(await guest.turn(bench), { value: 0n, action: 0 });
    guest.park(5, [0x2000n, 4n, 7n]);
    await guest.turn(bench);
    const signalled = bench.manager.readEvent(event);
    assert.equal(signalled, { ok: true, value: 1 });
    guest.park(1, [0n, 1n, 0n]);
    await bench.settle();
    assert.not.ok(guest.hasTurn, 'it waits until the processor calls');
    guest.callAttention();
    await guest.turn(bench);

    // The same address in another width is the caller's, with an action of P17's.
    guest.park(5, [0x2000n, 1n, 9n]);
    assert.is(await ran, 0);
    mmio = RunMmio.read(page, 0);
    assert.ok(mmio.ok);
    if (mmio.ok) assert.equal([mmio.value.address, mmio.value.data, mmio.value.isWrite], [0x2000n, 9n, 1]);
    page.setUint8(RunMmio.offsets.action, 1);
    ran = run();
    assert.is((await guest.turn(bench)).action, generation === 'P17' ? 2 : 0);

    // Called back while it runs.
    bench.runPage(vcpu)[0] = 1;
    bench.manager.kick(vcpu);
    assert.ok(guest.isRecalled);
    guest.park(0);
    assert.is(await ran, 'EINTR');
    bench.runPage(vcpu)[0] = 0;

    if (generation === 'P17') {
      ran = run();
      await guest.turn(bench);
      guest.park(7, [0x9000_0000n, 1n, 0n]);
      assert.is(await ran, 0);
      const fault = RunFault.read(page, 0);
      assert.ok(fault.ok);
      if (fault.ok)
        assert.equal([fault.value.exitReason, fault.value.address, fault.value.error], [3, 0x9000_0000n, -2]);
      page.setUint8(RunFault.offsets.action, 2);
    }

    // The VM ends while it runs.
    ran = run();
    assert.is((await guest.turn(bench)).action, generation === 'P17' ? 1 : 0);
    const ended = bench.bench.rm.vms.get(0x80);
    assert.ok(ended !== undefined);
    if (ended !== undefined) await bench.bench.rm.exited(ended, EXIT_TYPE.VM_EXIT, 1, 0, [4]);
    assert.is(await ran, 0);
    assert.is(page.getUint32(8, true), 2);
  });

  test(`8.3 ${generation}: VCPU_RUN goes on by itself where the driver does: turns, blocks, waits, faults, resets`, async () => {
    const { bench, vm } = await running(generation, guestTree([], undefined, { affinity: strings('proxy') }));
    const vcpu = Number(await addFunction(bench, vm, 1, bytesOf(FnVcpuArg, { id: 0 })));
    const guest = bench.guestVcpu(0x80, 0);
    const ran = bench.ioctl(vcpu, 'VCPU_RUN');
    await guest.turn(bench);
    // READY and BLOCKED are run again at once, the latter after a pause.
    for (const state of [0, 3, 0, 3] as const) {
      guest.park(state);
      assert.equal(await guest.turn(bench), { value: 0n, action: 0 });
    }
    // Waiting, off, faulted, reset: nothing happens until the processor calls.
    for (const state of [1, 2, 6, 0x100] as const) {
      guest.park(state);
      await bench.settle();
      assert.not.ok(guest.hasTurn, `state ${state}`);
      guest.callAttention();
      await guest.turn(bench);
    }
    // The real end is what the resource manager says.
    guest.park(6);
    const ended = bench.bench.rm.vms.get(0x80);
    assert.ok(ended !== undefined);
    if (ended !== undefined) await bench.bench.rm.exited(ended, EXIT_TYPE.SOFTWARE_ERROR, 0, 1);
    assert.is(await ran, 0);
    assert.equal([...bench.runPage(vcpu).subarray(8, 0x16)], [2, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 5, 0]);
  });

  test(`8.2 ${generation}: boot registers: unknown sets and indices are EINVAL, known ones arrive`, async () => {
    const { bench, device, vm } = await newVm(generation);
    const set = (reg: number, value: bigint, reserved = 0): Promise<unknown> =>
      bench.ioctl(vm, 'SET_BOOT_CONTEXT', bytesOf(BootContext, { reg, reserved, value }));
    assert.is(await set(0x300, 0n), 'EINVAL');
    assert.is(await set(0x101, 0n), 'EINVAL');
    assert.is(await set(0x100, 0n, 1), 'EINVAL');
    assert.is(await set(0x100, BASE + 0x100n), 0);
    assert.is(await set(3, 33n), 0);
    await giveImage(bench, device, vm);
    await bench.ioctl(vm, 'SET_DTB_CONFIG', dtb(BASE + TREE_AT, TREE_BYTES));
    assert.is(await bench.ioctl(vm, 'VM_START'), 0);
    const [boot] = [...bench.bench.running.values()];
    assert.is(boot?.pc, BASE + 0x100n);
    assert.is(boot?.x.get(3), 33n);
  });
}

for (const generation of ['P6', 'P14'] as const) {
  test(`8.3 ${generation}: regions: misaligned or unknown flags EINVAL, unmapped EFAULT, taken EEXIST`, async () => {
    const { bench, vm } = await newVm(generation);
    const { address } = await bench.mmap(Number(BYTES) * 2);
    const userspaceAddr = BigInt(address);
    const set = (over: Parameters<typeof region>[0]): Promise<unknown> =>
      bench.ioctl(vm, 'SET_USER_MEM_REGION', region({ userspaceAddr, ...over }));
    assert.is(await set({ flags: 0x10 }), 'EINVAL');
    assert.is(await set({ flags: generation === 'P6' ? 0x27 : 0xf }), 'EINVAL');
    assert.is(await set({ guestPhysAddr: BASE + 1n }), 'EINVAL');
    assert.is(await set({ memorySize: 0x800n }), 'EINVAL');
    assert.is(await set({ userspaceAddr: userspaceAddr + 8n }), 'EINVAL');
    assert.is(await set({ guestPhysAddr: (1n << 64n) - 0x1000n }), 'EOVERFLOW');
    assert.is(await set({ userspaceAddr: 0x1000n }), 'EFAULT');
    assert.is(await set({}), 0);
    assert.is(await set({ guestPhysAddr: BASE + BYTES }), 'EEXIST');
    assert.is(await set({ label: 1 }), 'EEXIST');
    const second = { label: 1, guestPhysAddr: BASE + BYTES, userspaceAddr: userspaceAddr + BYTES };
    assert.is(await set(second), 0);
    const given = bench.requests.filter((id) => id === M.MEM_SHARE).length;
    assert.is(given, generation === 'P6' ? 2 : 0);
  });
}

test('8.3 P6: a region is shared or lent at once, and deleted by label with size 0', async () => {
  const { bench, vm } = await newVm('P6');
  const { address } = await bench.mmap(Number(BYTES));
  const userspaceAddr = BigInt(address);
  assert.is(await bench.ioctl(vm, 'SET_USER_MEM_REGION', region({ userspaceAddr })), 0);
  // GET_VMID of v6 takes four bytes and two back (section 5.6).
  assert.equal(bench.requests, [M.VM_ALLOCATE, M.VM_GET_VMID, M.MEM_SHARE]);
  assert.is(await bench.ioctl(vm, 'SET_USER_MEM_REGION', region({ label: 5, memorySize: 0n })), 'EINVAL');
  assert.is(await bench.ioctl(vm, 'SET_USER_MEM_REGION', region({ memorySize: 0n })), 0);
  assert.is(bench.bench.rm.parcels.all().length, 0);
  assert.is(await bench.ioctl(vm, 'SET_USER_MEM_REGION', region({ flags: 0xf, userspaceAddr })), 0);
  assert.is(bench.requests.at(-1), M.MEM_LEND);
});

test('8.3 P14: all regions are given at the start; Android tells its extensions', async () => {
  const { bench, device, vm } = await newVm('P14');
  assert.is(await bench.ioctl(device, 'ANDROID_PROBE', 0), 0);
  assert.is(await bench.ioctl(vm, 'ANDROID_CHECK_EXTENSION', 0), 0);
  assert.is(await bench.ioctl(vm, 'ANDROID_CHECK_EXTENSION', 1), 'EINVAL');
  await giveImage(bench, device, vm);
  const { address } = await bench.mmap(0x2000);
  const more = { label: 1, guestPhysAddr: 0x9000_0000n, memorySize: 0x2000n, userspaceAddr: BigInt(address), flags: 3 };
  assert.is(await bench.ioctl(vm, 'SET_USER_MEM_REGION', region(more)), 0);
  assert.equal(bench.requests, [M.VM_ALLOCATE]);
  await bench.ioctl(vm, 'SET_DTB_CONFIG', dtb(BASE + TREE_AT, TREE_BYTES));
  assert.is(await bench.ioctl(vm, 'VM_START'), 0);
  assert.equal(bench.requests.slice(1, 3), [M.MEM_LEND, M.MEM_SHARE]);
  assert.is(await bench.close(vm), 0);
  assert.is(bench.bench.rm.parcels.all().length, 0);
});

test('8.2, 8.3 P17: guest memory files and their bindings', async () => {
  const { bench, device, vm } = await newVm('P17');
  const create = (flags: bigint, size: bigint): Promise<unknown> =>
    bench.ioctl(device, 'CREATE_GUEST_MEM', bytesOf(CreateGuestMem, { flags, size }));
  assert.is(await create(4n, 0x1000n), 'EINVAL');
  assert.is(await create(0n, 0n), 'EINVAL');
  assert.is(await create(0n, 0x800n), 'EINVAL');
  const odd = bytesOf(CreateGuestMem, { flags: 0n, size: 0x1000n });
  odd[0x10] = 1;
  assert.is(await bench.ioctl(device, 'CREATE_GUEST_MEM', odd), 'EINVAL');
  const memory = Number(await create(1n, 0x4000n));
  const map = (over: object): Promise<unknown> => {
    const whole = { guestAddr: BASE, flags: 0x70, guestMemFd: memory, offset: 0n, size: 0x2000n, ...over };
    return bench.ioctl(vm, 'MAP_MEM', bytesOf(MapMem, whole));
  };
  assert.is(await map({ flags: 0x80 }), 'EINVAL');
  assert.is(await map({ flags: 0x73 }), 'EINVAL');
  assert.is(await map({ guestAddr: BASE + 4n }), 'EINVAL');
  assert.is(await map({ size: 0x5000n }), 'EOVERFLOW');
  assert.is(await map({ guestMemFd: 77 }), 'EINVAL');
  assert.is(await map({ flags: 1 }), 'EINVAL');
  assert.is(await map({}), 0);
  assert.is(await map({ guestAddr: BASE + 0x1000n }), 'EEXIST');
  assert.is(await map({ flags: 0x170, size: 0x1000n }), 'ENOENT');
  assert.is(await map({ flags: 0x170 }), 0);
  assert.is(await bench.ioctl(vm, 'SET_DTB_CONFIG', dtb((1n << 64n) - 0x1000n, 0x1000n)), 'EOVERFLOW');
  // The device tree's parcel shared: the entry count is never set (section 8.3).
  assert.is(await map({ flags: 0x72 }), 0);
  await bench.ioctl(vm, 'SET_DTB_CONFIG', dtb(BASE, 0x1000n));
  assert.is(await bench.ioctl(vm, 'VM_START'), 'ENOMEM');
});

test('8.3: an irqfd rings the doorbell of its label, edge and level', async () => {
  const bell = vdevice('bell-27', 'doorbell', {
    label: cells(0x27),
    'source-can-clear': PRESENT,
    'peer-default': PRESENT,
  });
  for (const flags of [0, 1]) {
    const { bench, vm } = await running('P17', guestTree([bell]));
    const event = bench.event();
    assert.is(await addFunction(bench, vm, 2, bytesOf(FnIrqfdArg, { fd: event, label: 0x27, flags, padding: 0 })), 0);
    const line = bench.bench.rm.vms.get(0x80)?.resources.find(({ holder }) => holder === 0x80);
    const { kernel } = bench.bench;
    const [object = 0] = bench.bench.rm.vms.get(0x80)?.ports ?? [];
    assert.ok(line !== undefined);
    bench.signal(event);
    const seen = kernel.ports.doorbell(object);
    seen.receive(-1, -1);
    assert.is(seen.oldLow, flags === 1 ? 0 : 1, 'a level irqfd clears its own flag');
  }
});

test('conformance 10: two VMs of one open file, and calls in parallel', async () => {
  const { bench, device, vm } = await newVm('P14');
  const others = await Promise.all([1, 2, 3].map(() => bench.ioctl(device, 'CREATE_VM', 0)));
  assert.is(new Set([vm, ...others]).size, 4);
  assert.equal(
    bench.bench.rm.vms.all().map(({ vmid }) => vmid),
    [3, 0x80, 0x81, 0x82, 0x83],
  );
  await Promise.all([vm, ...others.map(Number)].map((fd) => bench.close(fd)));
  assert.equal(
    bench.bench.rm.vms.all().map(({ vmid }) => vmid),
    [3],
  );
});

function addFunction(
  bench: ManagerBench,
  vm: number,
  type: number,
  arg: Uint8Array,
  argSize = arg.length,
): Promise<number | string> {
  return bench.ioctl(vm, 'ADD_FUNCTION', bytesOf(FnDesc, { type, argSize, arg: 0n }), arg);
}
test.run();
