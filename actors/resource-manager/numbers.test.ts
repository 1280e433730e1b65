/** The numbers of the resource manager's RPC (gunyah.md 5.2 to 5.4, 5.7, 5.9, 6), written down a second time from the reference. */
import * as assert from 'uvu/assert';
import { spec } from '../../test/harness/spec.js';
import { type ERRNO, errnoOf } from '../vm-manager/errno.js';
import { EXTENT_LABEL, RESOURCE_TYPE } from './resource-types.js';
import { EXIT_TYPE, RM_ERROR, RM_MESSAGE, RM_NOTIFICATION, VM_STATE, VMID } from './rm-messages.js';

const test = spec('rm numbers');

test('5.2: errors, and what v17 makes of each', () => {
  const table: readonly (readonly [keyof typeof RM_ERROR, number, keyof typeof ERRNO])[] = [
    ['UNIMPLEMENTED', 0xffff_ffff, 'EOPNOTSUPP'],
    ['NOMEM', 1, 'ENOMEM'],
    ['NORESOURCE', 2, 'ENODEV'],
    ['DENIED', 3, 'EPERM'],
    ['MSG_INVALID', 4, 'EINVAL'],
    ['BUSY', 5, 'EBUSY'],
    ['ARGUMENT_INVALID', 6, 'EINVAL'],
    ['HANDLE_INVALID', 7, 'EINVAL'],
    ['VALIDATE_FAILED', 8, 'EINVAL'],
    ['MAP_FAILED', 9, 'EINVAL'],
    ['MEM_INVALID', 0xa, 'EINVAL'],
    ['MEM_INUSE', 0xb, 'EINVAL'],
    ['MEM_RELEASED', 0xc, 'EINVAL'],
    ['VMID_INVALID', 0xd, 'EINVAL'],
    ['LOOKUP_FAILED', 0xe, 'EINVAL'],
    ['IRQ_INVALID', 0xf, 'EINVAL'],
    ['IRQ_INUSE', 0x10, 'EINVAL'],
    ['IRQ_RELEASED', 0x11, 'EINVAL'],
    ['IN_USE', 0x12, 'EBADMSG'],
    ['IRQ_NOT_MAPPED', 0x13, 'EBADMSG'],
    ['VM_STATE', 0x14, 'EBADMSG'],
  ];
  assert.is(RM_ERROR.OK, 0);
  assert.is(table.length + 1, Object.keys(RM_ERROR).length);
  for (const [name, code, errno] of table) {
    assert.is(RM_ERROR[name], code, name);
    assert.is(errnoOf(code, 'P17'), errno, name);
    assert.is(errnoOf(code, 'P6'), 'EINVAL', name); // positive errors leak, and ioctls make EINVAL of them
  }
});

test('5.3: VMIDs with a meaning', () => {
  assert.equal([VMID.SELF, VMID.HLOS, VMID.STATIC_MAX, VMID.RM, VMID.ANY], [0, 3, 63, 0xff, 0xfffe]);
  assert.equal([VMID.DYNAMIC_FIRST, VMID.DYNAMIC_END - 1], [0x80, 0xbe]);
});

test('5.4: ids of requests and notifications', () => {
  const mem = [0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x17, 0x18, 0x1a, 0x20, 0x21].map((n) => 0x5100_0000 + n);
  const vm = [
    ...[0x01, 0x02, 0x04, 0x05, 0x06, 0x09, 0x0a, 0x0b, 0x10, 0x11, 0x12, 0x13, 0x15, 0x17, 0x19, 0x20, 0x24, 0x25],
    ...[0x30, 0x31, 0x32, 0x33, 0x34, 0x50, 0x51, 0x52, 0x53, 0x54, 0x55],
    ...[0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0xa0, 0xb0, 0xb1],
  ].map((n) => 0x5600_0000 + n);
  assert.equal(Object.values(RM_MESSAGE), [...mem, ...vm]);
  assert.equal(Object.values(RM_NOTIFICATION), [
    ...[0x5110_0011, 0x5110_0012, 0x5110_0013, 0x5110_0014],
    ...[0x5610_0001, 0x5610_0002, 0x5610_0008, 0x5610_0011, 0x5610_0012, 0x5610_0013, 0x5610_0080],
  ]);
});

test('5.7, 5.9, 6: types of resources, kinds of exits, states', () => {
  assert.equal(Object.values(RESOURCE_TYPE), [0, 1, 2, 3, 4, 5, 6, 8, 9, 10]);
  assert.equal(EXTENT_LABEL, { guestPrivate: 0, hostShared: 1, hostPrivate: 2, guestShared: 3 });
  assert.equal(Object.values(EXIT_TYPE), [0, 1, 2, 3, 4, 5, 6, 7]);
  const { NONE, INIT, READY, RUNNING, PAUSED, LOAD, AUTH, INIT_FAILED, EXITED, RESETTING, RESET } = VM_STATE;
  assert.equal([NONE, INIT, READY, RUNNING, PAUSED, LOAD, AUTH], [0, 1, 2, 3, 4, 5, 6]);
  assert.equal([INIT_FAILED, EXITED, RESETTING, RESET], [8, 9, 10, 11]);
});
test.run();
