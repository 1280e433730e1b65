/** Numbers and layouts of the drivers' userspace interface (gunyah.md 8.1, 8.2), written down a second time from the reference. */
import * as assert from 'uvu/assert';
import { spec } from '../../test/harness/spec.js';
import {
  AddressRange,
  AUTH_TYPE,
  AuthDesc,
  BootContext,
  CMA_LEND,
  CreateGuestMem,
  DtbConfig,
  EXIT_REASON,
  FN,
  FnDesc,
  FnIoeventfdArg,
  FnIrqfdArg,
  FnVcpuArg,
  GUEST_MEM_HUGE,
  ioctlOf,
  MAP,
  MapCmaMem,
  MapMem,
  MEM,
  RUN_PAGE_BYTES,
  RunFault,
  RunMmio,
  RunStatus,
  TrustedVmArg,
  UserMemoryRegion,
  VM_STATUS,
} from './uapi.js';

const test = spec('vm-manager interface');

test('8.2: every struct has the layout of the table', () => {
  const layout = (of: { readonly sizeBytes: number; readonly offsets: object }): unknown => [
    of.sizeBytes,
    { ...of.offsets },
  ];
  assert.equal(layout(UserMemoryRegion), [
    32,
    { label: 0, flags: 4, guestPhysAddr: 8, memorySize: 0x10, userspaceAddr: 0x18 },
  ]);
  assert.equal(layout(DtbConfig), [16, { guestPhysAddr: 0, size: 8 }]);
  assert.equal(layout(FnDesc), [16, { type: 0, argSize: 4, arg: 8 }]);
  assert.equal(layout(FnVcpuArg), [4, { id: 0 }]);
  assert.equal(layout(FnIrqfdArg), [16, { fd: 0, label: 4, flags: 8, padding: 0xc }]);
  assert.equal(layout(FnIoeventfdArg), [
    32,
    { datamatch: 0, addr: 8, len: 0x10, fd: 0x14, flags: 0x18, padding: 0x1c },
  ]);
  assert.equal(layout(MapMem), [32, { guestAddr: 0, flags: 8, guestMemFd: 0xc, offset: 0x10, size: 0x18 }]);
  assert.equal(layout(BootContext), [16, { reg: 0, reserved: 4, value: 8 }]);
  assert.equal([CreateGuestMem.sizeBytes, CreateGuestMem.offsets.flags, CreateGuestMem.offsets.size], [64, 0, 8]);
  const { offsets: mmio } = RunMmio;
  assert.equal([mmio.immediateExit, mmio.exitReason, mmio.address, mmio.data], [0, 8, 0x10, 0x18]);
  assert.equal([mmio.len, mmio.isWrite, mmio.action], [0x20, 0x24, 0x25]);
  const { offsets: status } = RunStatus;
  assert.equal(
    [status.exitReason, status.status, status.exitType, status.reasonSize, status.reason],
    [8, 0x10, 0x14, 0x18, 0x1c],
  );
  const { offsets: fault } = RunFault;
  assert.equal([fault.exitReason, fault.address, fault.error, fault.action], [8, 0x10, 0x18, 0x1c]);
  assert.is(RUN_PAGE_BYTES, 4096);
  assert.equal(
    [EXIT_REASON, VM_STATUS],
    [
      { unknown: 0, mmio: 1, status: 2, pageFault: 3 },
      { loadFailed: 1, exited: 2, crashed: 3 },
    ],
  );
  assert.equal(
    [MEM, FN],
    [
      { read: 1, write: 2, exec: 4, lend: 8 },
      { vcpu: 1, irqfd: 2, ioeventfd: 3 },
    ],
  );
  const { access, defaultAccess, forceLend, forceShare, read, write, exec, unmap } = MAP;
  assert.equal(
    [access, defaultAccess, forceLend, forceShare, read, write, exec, unmap],
    [7, 0, 1, 2, 0x10, 0x20, 0x40, 0x100],
  );
});

test('8.1, 8.2: Android’s own calls have the numbers and structs of the table, from v14 on', () => {
  const calls = {
    ANDROID_LEND_USER_MEM: 0x4020_4111,
    ANDROID_SET_FW_CONFIG: 0x4010_4112,
    RECLAIM_REGION: 0x4010_4113,
    ANDROID_MAP_CMA_MEM: 0x4028_4115,
    ANDROID_SET_AUTH_TYPE: 0x4010_4116,
    ANDROID_CHECK_EXTENSION: 0x4117,
  };
  for (const [name, number] of Object.entries(calls)) {
    assert.is(ioctlOf('vm', number, 'P14'), name);
    assert.is(ioctlOf('vm', number, 'P6'), undefined);
  }
  assert.equal([AddressRange.sizeBytes, { ...AddressRange.offsets }], [16, { guestPhysAddr: 0, size: 8 }]);
  assert.equal(
    [MapCmaMem.sizeBytes, { ...MapCmaMem.offsets }],
    [40, { label: 0, padding: 4, guestAddr: 8, flags: 0x10, guestMemFd: 0x14, offset: 0x18, size: 0x20 }],
  );
  assert.equal([AuthDesc.sizeBytes, { ...AuthDesc.offsets }], [16, { type: 0, argSize: 4, arg: 8 }]);
  assert.equal(
    [TrustedVmArg.sizeBytes, { ...TrustedVmArg.offsets }],
    [24, { vmId: 0, padding: 2, peripheralId: 4, guestPhysAddr: 8, size: 0x10 }],
  );
  assert.equal([AUTH_TYPE, CMA_LEND, GUEST_MEM_HUGE], [{ protectedVm: 0, trustedVm: 1 }, 0x10, 2n]);
});
test.run();
