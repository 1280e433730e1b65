/**
 * Every hypercall of the published interface (gunyah.md section 2) as one table: number, arguments, the capability each
 * needs, results, and where it is carried out. Decoding, rights checks, the trace decoder and the fuzzer read it; the two
 * call forms (HVC immediate and SMCCC) are the same row, see dispatch.ts.
 *
 * Path: `fast` runs on the calling vCPU's thread; `slow` is a message to the core; `absent` answers UNIMPLEMENTED, as the
 * public hypervisor does.
 */
import { assert } from '../../../bus/assert.js';
import type { ObjectType } from '../../shared-state/objects/object-table.js';
import { RIGHT_ACTIVATE, RIGHTS } from './rights.js';

/** A capability argument: the type it must be of (`any` for calls that look at it themselves) and the rights it must carry. */
export interface CapabilityNeed {
  readonly type: ObjectType | 'any';
  readonly rights: number;
  /** False: objects that are not active are taken too (calls that configure). */
  readonly activeOnly: boolean;
}

/** One argument, in register order. */
export interface Argument {
  readonly name: string;
  /** Bits that are looked at; the rest of the register is ignored. */
  readonly bits: 16 | 32 | 64;
  readonly needs?: CapabilityNeed;
}

/** One hypercall. */
export interface Hypercall {
  /** Number n: HVC #(0x6000 + n), or SMCCC 0xC6008000 + n. */
  readonly n: number;
  readonly name: string;
  readonly path: 'fast' | 'slow' | 'absent';
  readonly args: readonly Argument[];
  /** Names of X1.. on success. */
  readonly results: readonly string[];
  /** Order in which capability arguments are looked up, where it is not that of the registers. */
  readonly lookupOrder?: readonly number[];
}

const cap = (name: string, type: ObjectType | 'any', rights: number, activeOnly = true): Argument => ({
  name,
  bits: 64,
  needs: { type, rights, activeOnly },
});
/** The object being configured: any state is looked up, the handler checks it. */
const own = (name: string, type: ObjectType | 'any'): Argument => cap(name, type, RIGHT_ACTIVATE, false);
const wide = (name: string): Argument => ({ name, bits: 64 });
const word = (name: string): Argument => ({ name, bits: 32 });
const half = (name: string): Argument => ({ name, bits: 16 });

const fast = (n: number, name: string, args: readonly Argument[], results: readonly string[] = []): Hypercall => ({
  n,
  name,
  path: 'fast',
  args,
  results,
});
const slow = (n: number, name: string, args: readonly Argument[], results: readonly string[] = []): Hypercall => ({
  n,
  name,
  path: 'slow',
  args,
  results,
});
const absent = (n: number, name: string, args: readonly Argument[] = []): Hypercall => ({
  n,
  name,
  path: 'absent',
  args,
  results: [],
});

const partition = cap('partition', 'partition', RIGHTS.partition.create);
const into = cap('cspace', 'cspace', RIGHTS.cspace.create);
const create = (n: number, what: string): Hypercall => slow(n, `partition_create_${what}`, [partition, into], ['cap']);
const vicSource = cap('vic', 'vic', RIGHTS.vic.bindSource);
const mapping = (rest: readonly Argument[]): readonly Argument[] => [
  cap('addrspace', 'addrspace', RIGHTS.addrspace.map),
  cap('memextent', 'memextent', RIGHTS.memextent.map),
  wide('base'),
  ...rest,
];
const queue = (rights: number): Argument => cap('msgqueue', 'messageQueue', rights);
const bell = (rights: number): Argument => cap('doorbell', 'doorbell', rights);
const thread = (rights: number): Argument => cap('vcpu', 'thread', rights);
const group = (rights: number): Argument => cap('vpm_group', 'powerGroup', rights);
const dog = (rights: number): Argument => cap('watchdog', 'watchdog', rights);
const line = cap('hwirq', 'hwirq', RIGHTS.hwirq.bindVic);
const virtio = (rights: number): Argument => cap('virtio_mmio', 'virtioMmio', rights);
const device = virtio(RIGHTS.virtioMmio.config);

/** The table. */
export const HYPERCALLS: readonly Hypercall[] = [
  fast(0x00, 'hypervisor_identify', [], ['flags0', 'flags1', 'flags2']),
  // 2.1 creation and lifetime
  absent(0x01, 'partition_create_partition'),
  create(0x02, 'cspace'),
  create(0x03, 'addrspace'),
  create(0x04, 'memextent'),
  create(0x05, 'thread'),
  create(0x06, 'doorbell'),
  create(0x07, 'msgqueue'),
  create(0x09, 'watchdog'),
  create(0x0a, 'vic'),
  create(0x0b, 'vpm_group'),
  create(0x48, 'virtio_mmio'),
  slow(0x0c, 'object_activate', [own('object', 'any')]),
  slow(0x0d, 'object_activate_from', [into, wide('object')]),
  absent(0x0e, 'object_reset'),
  absent(0x0f, 'object_reset_from'),
  // 2.2 capability spaces
  slow(0x22, 'cspace_delete_cap_from', [cap('cspace', 'cspace', RIGHTS.cspace.delete), wide('cap')]),
  slow(
    0x23,
    'cspace_copy_cap_from',
    [cap('source', 'cspace', RIGHTS.cspace.copy), wide('cap'), into, word('rights')],
    ['cap'],
  ),
  absent(0x24, 'cspace_revoke_cap_from'),
  slow(0x59, 'cspace_revoke_caps_from', [cap('cspace', 'cspace', RIGHTS.cspace.revoke), wide('master')]),
  slow(0x25, 'cspace_configure', [own('cspace', 'cspace'), word('max_caps')]),
  {
    ...slow(0x3e, 'cspace_attach_thread', [cap('cspace', 'cspace', RIGHTS.cspace.attach), own('thread', 'thread')]),
    lookupOrder: [1, 0],
  },
  // 2.4 doorbells
  slow(0x10, 'doorbell_bind_virq', [bell(RIGHTS.doorbell.bind), vicSource, wide('virq')]),
  slow(0x11, 'doorbell_unbind_virq', [bell(RIGHTS.doorbell.bind)]),
  fast(0x12, 'doorbell_send', [bell(RIGHTS.doorbell.send), wide('new_flags')], ['old_flags']),
  fast(0x13, 'doorbell_receive', [bell(RIGHTS.doorbell.receive), wide('clear_flags')], ['old_flags']),
  fast(0x14, 'doorbell_reset', [bell(RIGHTS.doorbell.receive)]),
  fast(0x15, 'doorbell_mask', [bell(RIGHTS.doorbell.receive), wide('enable_mask'), wide('ack_mask')]),
  // 2.5 message queues
  slow(0x17, 'msgqueue_bind_send_virq', [queue(RIGHTS.messageQueue.bindSend), vicSource, wide('virq')]),
  slow(0x18, 'msgqueue_bind_receive_virq', [queue(RIGHTS.messageQueue.bindReceive), vicSource, wide('virq')]),
  slow(0x19, 'msgqueue_unbind_send_virq', [queue(RIGHTS.messageQueue.bindSend)]),
  slow(0x1a, 'msgqueue_unbind_receive_virq', [queue(RIGHTS.messageQueue.bindReceive)]),
  fast(
    0x1b,
    'msgqueue_send',
    [queue(RIGHTS.messageQueue.send), wide('size'), wide('data'), wide('flags')],
    ['not_full'],
  ),
  fast(
    0x1c,
    'msgqueue_receive',
    [queue(RIGHTS.messageQueue.receive), wide('buffer'), wide('max_size')],
    ['size', 'not_empty'],
  ),
  fast(0x1d, 'msgqueue_flush', [queue(RIGHTS.messageQueue.receive)]),
  fast(0x1f, 'msgqueue_configure_send', [queue(RIGHTS.messageQueue.send), word('not_full'), word('delay')]),
  fast(0x20, 'msgqueue_configure_receive', [queue(RIGHTS.messageQueue.receive), word('not_empty'), word('delay')]),
  slow(0x21, 'msgqueue_configure', [own('msgqueue', 'messageQueue'), wide('create_info')]),
  // 2.6 interrupts
  slow(0x26, 'hwirq_bind_virq', [line, vicSource, wide('virq')]),
  slow(0x27, 'hwirq_unbind_virq', [line]),
  slow(0x28, 'vic_configure', [
    own('vic', 'vic'),
    word('max_vcpus'),
    word('max_virqs'),
    wide('options'),
    word('max_msis'),
  ]),
  slow(0x29, 'vic_attach_vcpu', [cap('vic', 'vic', RIGHTS.vic.attachVcpu), own('vcpu', 'thread'), word('index')]),
  slow(0x56, 'vic_bind_msi_source', [vicSource, wide('msi_source')]),
  slow(0x67, 'vgic_set_mpidr_mapping', [
    own('vic', 'vic'),
    wide('mask'),
    word('aff0_shift'),
    word('aff1_shift'),
    word('aff2_shift'),
    word('aff3_shift'),
    word('mt'),
  ]),
  // 2.7 address spaces
  {
    ...slow(0x2a, 'addrspace_attach_thread', [
      cap('addrspace', 'addrspace', RIGHTS.addrspace.attach),
      own('thread', 'thread'),
    ]),
    lookupOrder: [1, 0],
  },
  slow(0x2b, 'addrspace_map', mapping([wide('attrs'), word('flags'), wide('offset'), wide('size')])),
  slow(0x2c, 'addrspace_unmap', mapping([word('flags'), wide('offset'), wide('size')])),
  slow(0x2d, 'addrspace_update_access', mapping([wide('attrs'), word('flags'), wide('offset'), wide('size')])),
  slow(0x2e, 'addrspace_configure', [own('addrspace', 'addrspace'), half('vmid')]),
  slow(0x2f, 'addrspace_attach_vdma', [
    cap('addrspace', 'addrspace', RIGHTS.addrspace.attach),
    wide('dma_device'),
    word('index'),
  ]),
  slow(
    0x5a,
    'addrspace_lookup',
    [
      cap('addrspace', 'addrspace', RIGHTS.addrspace.lookup),
      cap('memextent', 'memextent', RIGHTS.memextent.lookup),
      wide('base'),
      wide('size'),
    ],
    ['offset', 'size', 'attrs'],
  ),
  slow(0x5b, 'addrspace_configure_info_area', [
    own('addrspace', 'addrspace'),
    cap('memextent', 'memextent', RIGHTS.memextent.attach),
    wide('ipa'),
  ]),
  slow(0x60, 'addrspace_configure_vmmio', [
    cap('addrspace', 'addrspace', RIGHTS.addrspace.addVmmioRange),
    wide('base'),
    wide('size'),
    wide('op'),
  ]),
  slow(0x62, 'addrspace_attach_vdevice', [
    cap('addrspace', 'addrspace', RIGHTS.addrspace.map),
    wide('device'),
    word('index'),
    wide('base'),
    wide('size'),
    wide('flags'),
  ]),
  absent(0x6a, 'addrspace_find_info_area'),
  // 2.8 memory extents
  slow(0x30, 'memextent_modify', [
    cap('memextent', 'memextent', RIGHTS.memextent.map),
    word('flags'),
    wide('offset'),
    wide('size'),
  ]),
  slow(0x31, 'memextent_configure', [own('memextent', 'memextent'), wide('base'), wide('size'), word('attrs')]),
  slow(0x32, 'memextent_configure_derive', [
    own('memextent', 'memextent'),
    cap('parent', 'memextent', RIGHTS.memextent.derive),
    wide('offset'),
    wide('size'),
    word('attrs'),
  ]),
  slow(0x61, 'memextent_donate', [word('options'), wide('from'), wide('to'), wide('offset'), wide('size')]),
  // 2.9 vCPUs
  slow(0x34, 'vcpu_configure', [own('vcpu', 'thread'), wide('options')]),
  fast(0x38, 'vcpu_poweron', [thread(RIGHTS.thread.power), wide('entry'), wide('context'), wide('flags')]),
  fast(0x39, 'vcpu_poweroff', [thread(RIGHTS.thread.power), wide('flags')]),
  slow(0x3a, 'vcpu_kill', [thread(RIGHTS.thread.lifecycle)]),
  slow(0x3d, 'vcpu_set_affinity', [cap('vcpu', 'thread', RIGHTS.thread.affinity, false), half('cpu')]),
  slow(0x46, 'vcpu_set_priority', [cap('vcpu', 'thread', RIGHTS.thread.priority, false), wide('priority')]),
  slow(0x47, 'vcpu_set_timeslice', [cap('vcpu', 'thread', RIGHTS.thread.timeslice, false), wide('ns')]),
  slow(0x5c, 'vcpu_bind_virq', [thread(RIGHTS.thread.bindVirq), vicSource, wide('virq'), word('type')]),
  slow(0x5d, 'vcpu_unbind_virq', [thread(RIGHTS.thread.bindVirq), word('type')]),
  slow(0x64, 'vcpu_register_write', [thread(RIGHTS.thread.writeContext), word('set'), word('index'), wide('value')]),
  fast(
    0x65,
    'vcpu_run',
    [thread(RIGHTS.thread.affinity | RIGHTS.thread.yieldTo), wide('resume0'), wide('resume1'), wide('resume2')],
    ['state', 'data0', 'data1', 'data2'],
  ),
  fast(
    0x68,
    'vcpu_run_check',
    [thread(RIGHTS.thread.bindVirq | RIGHTS.thread.state)],
    ['state', 'data0', 'data1', 'data2'],
  ),
  // 2.10 scheduler, power, trace, entropy, watchdog, virtio
  fast(0x3b, 'scheduler_yield', [word('control'), wide('arg')]),
  slow(0x3c, 'vpm_group_attach_vcpu', [group(RIGHTS.powerGroup.attachVcpu), own('vcpu', 'thread'), word('index')]),
  slow(0x43, 'vpm_group_bind_virq', [group(RIGHTS.powerGroup.bindVirq), vicSource, wide('virq')]),
  slow(0x44, 'vpm_group_unbind_virq', [group(RIGHTS.powerGroup.bindVirq)]),
  fast(0x45, 'vpm_group_get_state', [group(RIGHTS.powerGroup.query)], ['state']),
  slow(0x66, 'vpm_group_configure', [own('vpm_group', 'powerGroup'), wide('flags')]),
  fast(0x3f, 'trace_update_class_flags', [wide('set'), wide('clear')], ['flags']),
  fast(0x57, 'prng_get_entropy', [word('bytes')], ['data0', 'data1', 'data2', 'data3']),
  slow(0x40, 'watchdog_attach_vcpu', [dog(RIGHTS.watchdog.attachVcpu), own('vcpu', 'thread')]),
  slow(0x41, 'watchdog_bind_virq', [dog(RIGHTS.watchdog.bindVirq), vicSource, wide('virq'), wide('flags')]),
  slow(0x42, 'watchdog_unbind_virq', [dog(RIGHTS.watchdog.bindVirq), wide('flags')]),
  slow(0x58, 'watchdog_configure', [own('watchdog', 'watchdog'), wide('flags')]),
  slow(0x63, 'watchdog_manage', [dog(RIGHTS.watchdog.manage), wide('op')]),
  {
    ...slow(0x49, 'virtio_mmio_configure', [
      own('virtio_mmio', 'virtioMmio'),
      cap('memextent', 'memextent', RIGHTS.memextent.attach),
      word('queues'),
      wide('flags'),
      word('device_type'),
    ]),
    lookupOrder: [1, 0],
  },
  slow(0x4a, 'virtio_mmio_bind_backend_virq', [virtio(RIGHTS.virtioMmio.bindBackend), vicSource, wide('virq')]),
  slow(0x4b, 'virtio_mmio_unbind_backend_virq', [virtio(RIGHTS.virtioMmio.bindBackend)]),
  slow(0x4c, 'virtio_mmio_bind_frontend_virq', [virtio(RIGHTS.virtioMmio.bindFrontend), vicSource, wide('virq')]),
  slow(0x4d, 'virtio_mmio_unbind_frontend_virq', [virtio(RIGHTS.virtioMmio.bindFrontend)]),
  fast(0x4e, 'virtio_mmio_backend_assert_virq', [virtio(RIGHTS.virtioMmio.assert), word('interrupt_status')]),
  fast(0x4f, 'virtio_mmio_backend_set_dev_features', [device, word('selector'), word('features')]),
  fast(0x50, 'virtio_mmio_backend_set_queue_num_max', [device, word('queue'), word('max')]),
  fast(0x51, 'virtio_mmio_backend_get_drv_features', [device, word('selector')], ['features']),
  fast(
    0x52,
    'virtio_mmio_backend_get_queue_info',
    [device, word('queue')],
    ['num', 'ready', 'desc', 'driver', 'device'],
  ),
  fast(0x53, 'virtio_mmio_backend_get_notification', [device], ['queues', 'reason']),
  fast(0x54, 'virtio_mmio_backend_acknowledge_reset', [device]),
  fast(0x55, 'virtio_mmio_backend_update_status', [device, word('status')]),
  fast(0x5e, 'virtio_input_configure', [device, wide('ids'), word('properties'), word('event_types'), word('axes')]),
  fast(0x5f, 'virtio_input_set_data', [device, word('select'), word('subsel'), word('size'), wide('data')]),
];

/** Numbers are below this. */
const NUMBERS_MAX = 0x200;
/** The row of number n, or undefined. */
export const CALL_BY_NUMBER: readonly (Hypercall | undefined)[] = (() => {
  const rows: (Hypercall | undefined)[] = Array.from({ length: NUMBERS_MAX }, () => undefined);
  for (const call of HYPERCALLS) {
    assert(rows[call.n] === undefined, `hypercall 0x${call.n.toString(16)} is declared twice`);
    rows[call.n] = call;
  }
  return rows;
})();

/** The number of the call `name`, for code that treats it apart. */
export function callNumber(name: string): number {
  const call = HYPERCALLS.find((row) => row.name === name);
  assert(call !== undefined, `${name} is a hypercall`);
  return call.n;
}
