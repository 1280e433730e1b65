/**
 * Every table row of the Gunyah reference (gunyah.md sections 1 to 8), by section, table and our own short id for the row, and the tests that hold it
 * up. gunyah-rows.test.ts checks that each row has one and that each cited test exists. `differs` says where the test shows
 * something else than the row, because this host has nothing behind it.
 */

import type { FILES } from './cited-files.js';

/** A test: a key of {@link FILES} and words of its title. */
export type Citation = readonly [file: keyof typeof FILES, title: string];
/** Rows of one table that the same tests hold up. */
export interface Citations {
  /** Section, and number of the table in it. */
  readonly table: string;
  /** Ids, separated by ` | `. */
  readonly rows: string;
  readonly tests: readonly Citation[];
  readonly differs?: string;
}

const LENGTHS: Citation = ['malformed', 'every request of fixed length'];
const LISTS: Citation = ['malformed', 'requests with lists'];
const UNKNOWN: Citation = ['malformed', 'ids that nobody has'];
const GUEST: Citation = ['guest', 'every check of the guest passes'];
const ROOT: Citation = ['guest', 'a root VM puts VMs together by hypercalls'];
const ORDER: Citation = ['slow', 'every slow call checks its capabilities in order'];
const IOCTLS: Citation = ['manager', '8.1: every ioctl has the number, and the size in it, of its generation'];
const STEPS: Citation = ['life', 'any sequence of requests takes the state machine where section 6 says'];
const RUNNING: Citation = ['life', 'from allocation to running'];
const RESOURCES: Citation = ['life', 'GET_HYP_RESOURCES lists what the caller holds'];
const LAYOUTS: Citation = ['uapi', '8.2: every struct has the layout of the table'];
const PAGING: Citation = ['paging', '5.5, 5.7: SET_DEMAND_PAGING between configuration and INIT'];
const ANDROID: Citation = ['uapi', '8.1, 8.2: Android’s own calls'];
const VIRTIO = [
  GUEST,
  ...['virtio_mmio_configure: one page', 'every call of the device’s side', 'a driver negotiates, makes queues'],
  ...['a reset is asked for by the driver', 'virtio_input: what a device says', 'when a device or its page ends'],
].map((cited): Citation => (typeof cited === 'string' ? ['virtio', cited] : cited));
const VIRTIO_VM: Citation = ['tree', '2.10, 5.7, 7.2: a virtio-mmio device'];

/** See the head of this file. */
export const GUNYAH_ROWS: readonly Citations[] = [
  // ---- 1 ----
  { table: '1.1 a', rows: 'native', tests: [['decode', 'the native form is an immediate'], GUEST] },
  { table: '1.1 a', rows: 'smccc', tests: [['decode', 'the SMCCC form is'], GUEST] },
  {
    table: '1.1 b',
    rows: '00 platform | 11 service',
    tests: [['decode', 'service and platform calls are fast and 32-bit']],
  },
  { table: '1.1 b', rows: '10 hypercall | 01 unused', tests: [['decode', 'the SMCCC form is']] },
  {
    table: '1.2',
    rows: 'x0 | x1-x7',
    tests: [['fast', 'a queue of depth 8'], ['slow', 'services: UID by profile'], GUEST],
  },
  { table: '1.2', rows: 'x8-x17 | x18-x30, sp | simd', tests: [GUEST] },
  {
    table: '1.3 a',
    rows: 'vendor uid | vendor revision | vendor count | standard uid | standard revision | smccc version',
    tests: [['slow', 'services: UID by profile, revisions, and what is not there'], GUEST],
  },
  { table: '1.3 a', rows: 'smccc features', tests: [['psci', 'features, version, migration']] },
  { table: '1.3 a', rows: 'qualcomm probe', tests: [GUEST] },
  { table: '1.3 a', rows: 'identify', tests: [['decode', 'identify answers API version 1'], GUEST] },
  { table: '1.3 b', rows: '13:0 | 14 | 15 | 55:16 | 63:56', tests: [['numbers', '1.3: API word and feature bits']] },
  {
    table: '1.3 c',
    rows: '0 | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10 | 11 | 16 | 31:28',
    tests: [['numbers', '1.3: API word and feature bits']],
  },
  {
    table: '1.4',
    rows: 'uuid | v6 open',
    tests: [
      ['numbers', '1.4: words of the UID'],
      ['slow', 'services: UID by profile'],
    ],
  },
  {
    table: '1.4',
    rows: 'v6 qualcomm | qualcomm uuid',
    tests: [['numbers', '1.4: words of the UID']],
    differs: 'never told: the driver would take this host for Qualcomm’s',
  },
  {
    table: '1.5',
    rows: 'OK | UNIMPLEMENTED | RETRY | ARGUMENT_INVALID | ARGUMENT_SIZE | ARGUMENT_ALIGNMENT | NOMEM | NORESOURCES | ADDR_OVERFLOW | ADDR_UNDERFLOW | ADDR_INVALID | DENIED | BUSY | IDLE | OBJECT_STATE | OBJECT_CONFIG | OBJECT_CONFIGURED | FAILURE | VIRQ_BOUND | VIRQ_NOT_BOUND | CAP_NULL | CAP_REVOKED | WRONG_OBJECT_TYPE | INSUFFICIENT_RIGHTS | CSPACE_FULL | QUEUE_EMPTY | QUEUE_FULL | string errors | allocator errors | MEMDB_EMPTY | MEMDB_NOT_OWNER | MAPPINGS_FULL | EXTENT_TYPE | EXISTING_MAPPING',
    tests: [
      ['numbers', '1.5: every error has the value of the interface'],
      ['hostile', 'no call of a guest gets beyond what its capabilities allow'],
    ],
  },
  {
    table: '1.6',
    rows: 'control | status | ping | set time',
    tests: [GUEST, ['slow', 'watchdog calls: none where there is no watchdog']],
  },
  // ---- 2 ----
  { table: '2.1', rows: 'identify', tests: [['decode', 'identify answers API version 1'], GUEST] },
  { table: '2.1', rows: 'create_partition', tests: [['assembly', 'calls with nothing behind them here']] },
  {
    table: '2.1',
    rows: 'create others | activate | activate_from',
    tests: [
      ['slow', 'objects are created in state init'],
      ['slow', 'a full capability space answers CSPACE_FULL'],
      ['hostile', 'sequences of creation'],
    ],
  },
  { table: '2.1', rows: 'reserved 8', tests: [['numbers', '2: numbers that are reserved']] },
  { table: '2.1', rows: 'reset | reset_from', tests: [['assembly', 'calls with nothing behind them here']] },
  {
    table: '2.2',
    rows: 'delete | copy | revoke_cap | revoke_caps',
    tests: [
      ['slow', 'capabilities are copied with fewer rights'],
      ['directory', 'answers, rights and object lives are those of the model'],
    ],
  },
  { table: '2.2', rows: 'configure', tests: [['slow', 'a new capability space takes 1 to 4,096']] },
  { table: '2.2', rows: 'attach_thread', tests: [['assembly', 'a thread is attached to its parts'], ORDER] },
  {
    table: '2.3',
    rows: 'any | partition | cspace | addrspace | memextent | thread | doorbell | msgqueue | vic | hwirq | vpm group | watchdog | virtio-mmio',
    tests: [
      ['numbers', '2.3: rights of each kind of object'],
      ['hostile', 'sequences of creation'],
    ],
  },
  {
    table: '2.3',
    rows: 'vrtc',
    tests: [['numbers', '2: numbers that are reserved']],
    differs: 'no such object: its calls have no public numbers',
  },
  { table: '2.4', rows: 'bind | unbind', tests: [['slow', 'interrupts are bound once'], ORDER] },
  {
    table: '2.4',
    rows: 'send | receive | reset | mask',
    tests: [
      ['fast', 'a doorbell: old flags'],
      ['fast', 'a level-sensitive doorbell'],
    ],
  },
  { table: '2.4', rows: 'reserved 16', tests: [['numbers', '2: numbers that are reserved']] },
  {
    table: '2.5',
    rows: 'bind_send | bind_receive | unbind_send | unbind_receive',
    tests: [['slow', 'interrupts are bound once'], ORDER],
  },
  {
    table: '2.5',
    rows: 'send | receive',
    tests: [['fast', 'a queue of depth 8'], ['fast', 'sizes and buffers'], GUEST],
  },
  { table: '2.5', rows: 'flush', tests: [['fast', 'flush drops messages']] },
  { table: '2.5', rows: 'reserved 1e', tests: [['numbers', '2: numbers that are reserved']] },
  {
    table: '2.5',
    rows: 'configure_send | configure_receive',
    tests: [['fast', 'configure_send and configure_receive']],
  },
  { table: '2.5', rows: 'configure', tests: [['slow', 'objects are created in state init']] },
  {
    table: '2.6',
    rows: 'hwirq_bind | hwirq_unbind | msi_source',
    tests: [['assembly', 'calls with nothing behind them here']],
    differs: 'no physical lines and no MSI sources: rights are checked, then ARGUMENT_INVALID or WRONG_OBJECT_TYPE',
  },
  {
    table: '2.6',
    rows: 'configure',
    tests: [
      ['assembly', 'vic_configure: processors'],
      ['made', '2.6 vic_configure'],
    ],
  },
  { table: '2.6', rows: 'attach_vcpu', tests: [['assembly', 'a thread is attached to its parts']] },
  { table: '2.6', rows: 'mpidr', tests: [['assembly', 'vgic_set_mpidr_mapping: no overlap']] },
  { table: '2.7', rows: 'attach_thread', tests: [['assembly', 'a thread is attached to its parts']] },
  { table: '2.7', rows: 'configure', tests: [['assembly', 'addrspace_configure: a VMID from 1 to 255']] },
  {
    table: '2.7',
    rows: 'map | unmap | update_access | lookup',
    tests: [
      ['extents', 'a basic extent is mapped whole'],
      ['extents', 'as v17 does it'],
      ['slow', 'mapping calls name their errors'],
    ],
  },
  {
    table: '2.7',
    rows: 'attach_vdma | find_info_area',
    tests: [['assembly', 'calls with nothing behind them here']],
    differs: 'no DMA devices: rights are checked, then WRONG_OBJECT_TYPE',
  },
  { table: '2.7', rows: 'info_area', tests: [['made', '2.7 configure_info_area: a page of its own']] },
  {
    table: '2.7',
    rows: 'attach_vdevice',
    tests: [['made', '2.7 attach_vdevice'], ROOT, ['windows', 'registers that were put elsewhere are the same ones']],
  },
  {
    table: '2.7',
    rows: 'vmmio',
    tests: [
      ['extents', 'VMMIO ranges do not overlap'],
      ['slow', 'mapping calls name their errors'],
    ],
  },
  {
    table: '2.8',
    rows: 'modify | configure',
    tests: [
      ['slow', 'memory extents name their errors'],
      ['extents', 'only owned pages make an extent'],
    ],
  },
  {
    table: '2.8',
    rows: 'derive | donate',
    tests: [
      ['slow', 'memory extents name their errors'],
      ['extents', 'as v17 does it'],
      ['extents', 'only owned pages make an extent'],
    ],
  },
  {
    table: '2.9 a',
    rows: 'configure | set_affinity | set_priority | set_timeslice | bind_virq | unbind_virq | register_write | kill',
    tests: [['slow', 'vCPU objects: scheduling before activation']],
  },
  { table: '2.9 a', rows: 'poweron | poweroff', tests: [['fast', 'vCPU power: flags, self, last, busy']] },
  { table: '2.9 a', rows: 'run | run_check', tests: [GUEST, ['proxied', 'one runner at a time']] },
  {
    table: '2.9 b',
    rows: 'READY | EXPECTS_WAKEUP | POWERED_OFF | VMMIO_READ | VMMIO_WRITE | PSCI_SYSTEM_RESET',
    tests: [GUEST, ['held', 'a read leaves']],
  },
  { table: '2.9 b', rows: 'BLOCKED | FAULT', tests: [['manager', 'VCPU_RUN goes on by itself where the driver does']] },
  { table: '2.9 b', rows: 'PAGE_FAULT', tests: [['held', 'outside the ranges there are page faults under P17']] },
  { table: '2.10', rows: 'yield', tests: [['fast', 'scheduler_yield takes hints 0 and 1 only'], GUEST] },
  { table: '2.10', rows: 'vpm attach_vcpu', tests: [['assembly', 'a thread is attached to its parts']] },
  { table: '2.10', rows: 'vpm bind | vpm unbind | vpm configure', tests: [['slow', 'power groups and watchdogs']] },
  { table: '2.10', rows: 'vpm get_state | trace', tests: [['fast', 'trace flags change unless debugging is locked']] },
  { table: '2.10', rows: 'prng', tests: [['fast', 'entropy: sizes, alignment'], GUEST] },
  { table: '2.10', rows: 'watchdog attach_vcpu', tests: [['assembly', 'a thread is attached to its parts']] },
  { table: '2.10', rows: 'watchdog bind and unbind', tests: [['slow', 'power groups and watchdogs']] },
  {
    table: '2.10',
    rows: 'watchdog configure | watchdog manage',
    tests: [['assembly', 'watchdogs: configured before']],
  },
  {
    table: '2.10',
    rows: 'virtio configure | virtio bind and unbind | assert_virq | set_dev_features | set_queue_num_max | get_drv_features | get_queue_info | get_notification | acknowledge_reset, set_status | virtio_input',
    tests: VIRTIO,
  },
  { table: '2.11', rows: 'uid, identify | send, receive', tests: [GUEST, ['debian', 'two Debian VMs']] },
  { table: '2.11', rows: 'bell send, mask', tests: [['manager', '8.3: an irqfd rings the doorbell of its label']] },
  { table: '2.11', rows: 'vcpu_run', tests: [GUEST, ['manager', 'a vCPU that is run by proxy leaves VCPU_RUN']] },
  { table: '2.11', rows: 'map, unmap, donate', tests: [['extents', 'as v17 does it']] },
  { table: '2.11', rows: 'find_info_area', tests: [['numbers', '2: numbers that are reserved']] },
  // ---- 3, 4 ----
  {
    table: '3 a',
    rows: 'direction | thresholds',
    tests: [
      ['numbers', '3: depth 1 to 255'],
      ['fast', 'a queue of depth 8'],
    ],
  },
  {
    table: '3 a',
    rows: 'depth | message size',
    tests: [
      ['numbers', '3: depth 1 to 255'],
      ['slow', 'objects are created in state init'],
      ['queue', "a queue at Gunyah's limits"],
    ],
  },
  { table: '3 a', rows: 'concurrency', tests: [['hostile', 'no call of a guest gets beyond'], GUEST] },
  {
    table: '3 b',
    rows: 'size | wrap | stage 1 | stage 2 permission | stage 2 other',
    tests: [['fast', 'sizes and buffers: full first']],
  },
  {
    table: '4',
    rows: 'send | receive | receive 0 | reset | mask',
    tests: [
      ['fast', 'a doorbell: old flags'],
      ['bell', 'flags, masks, interrupts and answers are those of the model'],
    ],
  },
  { table: '4', rows: 're-check', tests: [['fast', 'a level-sensitive doorbell interrupt follows the enabled flags']] },
  // ---- 5 ----
  {
    table: '5.1 a',
    rows: 'api | type | sequence | message | content',
    tests: [['packets', 'a header is eight bytes']],
  },
  {
    table: '5.1 b',
    rows: 'content | continuations | most, resource manager | most, Linux | fragment count',
    tests: [['packets', 'fragments: ceil(length / 232) - 1']],
  },
  {
    table: '5.1 b',
    rows: 'repeated header',
    tests: [
      ['packets', 'what does not fit is dropped'],
      ['malformed', 'fragments: interleaved, out of order'],
    ],
  },
  {
    table: '5.1 c',
    rows: 'sequence | reply match',
    tests: [
      ['malformed', 'a sequence number that comes again'],
      ['debian', 'two Debian VMs'],
    ],
  },
  { table: '5.1 c', rows: 'fragment count of requests', tests: [['malformed', 'P6: surplus bytes are ignored']] },
  {
    table: '5.1 c',
    rows: 'push | minimum',
    tests: [
      ['packets', 'what does not fit is dropped'],
      ['debian', 'two Debian VMs'],
    ],
  },
  {
    table: '5.1 c',
    rows: 'interleaving',
    tests: [
      ['packets', 'messages to one client are never interleaved'],
      ['malformed', 'fragments: interleaved'],
    ],
  },
  { table: '5.1 c', rows: 'waiting', tests: [['malformed', 'a client that does not read']] },
  { table: '5.1 c', rows: 'error', tests: [['rmNumbers', '5.2: errors, and what v17 makes of each']] },
  { table: '5.1 c', rows: 'empty replies', tests: [['small', 'who is who']] },
  {
    table: '5.2',
    rows: 'OK | UNIMPLEMENTED | NOMEM | NORESOURCE | DENIED | MSG_INVALID | BUSY | ARGUMENT_INVALID | HANDLE_INVALID | VALIDATE_FAILED | MAP_FAILED | MEM_INVALID | MEM_INUSE | MEM_RELEASED | VMID_INVALID | LOOKUP_FAILED | IRQ_INVALID | IRQ_INUSE | IRQ_RELEASED | IN_USE | IRQ_NOT_MAPPED | VM_STATE',
    tests: [['rmNumbers', '5.2: errors, and what v17 makes of each']],
  },
  {
    table: '5.3',
    rows: 'self | hlos | static | dynamic | rm | any',
    tests: [
      ['rmNumbers', '5.3: VMIDs with a meaning'],
      ['life', 'allocation: dynamic VMIDs'],
    ],
  },
  {
    table: '5.4',
    rows: 'DONATE | ACCEPT | LEND | SHARE | RELEASE | RECLAIM | MEM_NOTIFY | APPEND | LOOKUP_SGL | FW | notify MEM | ALLOCATE | DEALLOCATE | START | STOP | RESET | CONFIG_IMAGE | AUTH_IMAGE | INIT | ids and lookups | OWNER | STATE | CRASH | RESOURCES | VMID | PEERS | TIME_BASE | BOOT_CONTEXT | FIRMWARE_MEM | ADDRESS_LAYOUT | IRQ | STATUS | CONSOLE | EXIT | SET_CRASH | HOST_TYPE | IPA | notify EXITED | notify SHUTDOWN | notify STATUS | notify IRQ | notify CHARS',
    tests: [['rmNumbers', '5.4: ids of requests and notifications'], LENGTHS, LISTS],
  },
  { table: '5.4', rows: 'SUSPEND, RESUME | CAPIDS, IRQS', tests: [UNKNOWN] },
  { table: '5.4', rows: 'DEMAND_PAGING', tests: [PAGING] },
  { table: '5.5', rows: 'ALLOCATE', tests: [['life', 'allocation: dynamic VMIDs'], LENGTHS] },
  { table: '5.5', rows: 'DEALLOCATE | RESET', tests: [STEPS, LENGTHS, ['life', 'a forced stop']] },
  {
    table: '5.5',
    rows: 'CONFIG_IMAGE | INIT | START',
    tests: [STEPS, RUNNING, ['life', 'CONFIG_IMAGE and INIT refuse what is wrong']],
  },
  { table: '5.5', rows: 'AUTH_IMAGE', tests: [['life', 'platform images are authenticated first'], LISTS] },
  { table: '5.5', rows: 'STOP', tests: [['life', 'a forced stop'], LENGTHS] },
  { table: '5.5', rows: 'EXIT', tests: [['life', 'a guest ends itself'], LENGTHS] },
  { table: '5.5', rows: 'GET_STATE | SET_STATUS', tests: [['small', 'states and statuses'], LENGTHS] },
  { table: '5.5', rows: 'GET_VMID | GET_OWNER | GET_PEERS | HOST_TYPE', tests: [['small', 'who is who'], LENGTHS] },
  {
    table: '5.5',
    rows: 'GET_ID | LOOKUP_NAME, URI | LOOKUP_GUID',
    tests: [['small', 'names: GET_ID tells them'], LENGTHS],
  },
  { table: '5.5', rows: 'SET_CRASH | GET_CRASH', tests: [['small', 'crash messages: 192 bytes'], LENGTHS] },
  { table: '5.5', rows: 'TIME_BASE', tests: [['small', 'time base: owner or peer'], LENGTHS] },
  {
    table: '5.5',
    rows: 'FIRMWARE_MEM',
    tests: [['firmware', 'a donated image starts the VM'], ['malformed', 'firmware requests: only for VMs'], LENGTHS],
  },
  {
    table: '5.5',
    rows: 'BOOT_CONTEXT | ADDRESS_LAYOUT',
    tests: [['life', 'boot context and address layout'], LENGTHS],
  },
  { table: '5.5', rows: 'DEMAND_PAGING', tests: [PAGING] },
  {
    table: '5.5.1',
    rows: 'vmid | auth | parcel | image offset | image size | tree offset | tree size',
    tests: [RUNNING, ['life', 'CONFIG_IMAGE and INIT refuse what is wrong'], LENGTHS],
  },
  { table: '5.6', rows: 'v6 | v17 | public', tests: [['small', 'who is who: own VMID by generation']] },
  {
    table: '5.7 a',
    rows: 'type | zero | partner | handle | label | capability | virq handle | virq | base | size',
    tests: [RESOURCES],
  },
  { table: '5.7 b', rows: 'bell source | bell target', tests: [['tree', '7.2, 7.4: queues and doorbells'], RESOURCES] },
  { table: '5.7 b', rows: 'queues | vCPU', tests: [RESOURCES, GUEST] },
  {
    table: '5.7 b',
    rows: 'memory extent | address space',
    tests: [PAGING, ['rmNumbers', '5.7, 5.9, 6: types of resources']],
  },
  {
    table: '5.7 b',
    rows: 'vRTC, watchdog',
    tests: [
      ['life', 'a platform’s VM has a watchdog'],
      ['rmNumbers', '5.7, 5.9, 6: types of resources'],
    ],
  },
  {
    table: '5.7 b',
    rows: 'VPM group',
    tests: [RESOURCES, ['rmNumbers', '5.7, 5.9, 6: types of resources']],
    differs:
      'never listed: the public manager lists a group where its platform asks for its interrupt, no driver of Linux does',
  },
  { table: '5.7 b', rows: 'virtio-mmio', tests: [VIRTIO_VM] },
  {
    table: '5.8 a',
    rows: 'ACL | SGL | ATTR | VMID',
    tests: [LISTS, ['memory', 'requests that break a rule get its error']],
  },
  {
    table: '5.8 b',
    rows: 'type | zero 1 | flags | zero 3 | label | lists',
    tests: [LISTS, ['memory', 'requests that break a rule get its error']],
  },
  { table: '5.8 c', rows: 'APPEND', tests: [['memory', 'APPEND completes a parcel'], LISTS] },
  { table: '5.8 c', rows: 'ACCEPT', tests: [['memory', 'ACCEPT checks type, label'], LISTS] },
  { table: '5.8 c', rows: 'RELEASE | RECLAIM', tests: [['memory', 'lend, accept, release, reclaim'], LENGTHS] },
  { table: '5.8 c', rows: 'NOTIFY', tests: [['memory', 'notifications go to whom they concern'], LISTS] },
  { table: '5.8 c', rows: 'LOOKUP_SGL', tests: [LISTS, ['memory', 'requests that break a rule get its error']] },
  { table: '5.9', rows: 'exit', tests: [['life', 'a guest ends itself'], GUEST] },
  { table: '5.9', rows: 'off | reset | fault', tests: [GUEST, ['manager', 'VCPU_RUN before the start is ENODEV']] },
  { table: '5.9', rows: 'forced stop', tests: [['life', 'a forced stop: STATUS, EXITED of type 7'], GUEST] },
  {
    table: '5.9',
    rows: 'reset2 | watchdog',
    tests: [GUEST, ['life', 'SYSTEM_RESET2 is told with its type and cookie']],
  },
  {
    table: '5.9',
    rows: 'hardware error',
    tests: [['rmNumbers', '5.7, 5.9, 6: types of resources']],
    differs: 'this machine has no hardware that fails asynchronously: a worker that dies is a fault (type 5)',
  },
  {
    table: '5.11',
    rows: 'LEND | ACCEPT | RELEASE, RECLAIM | NOTIFY | UNMAP | notify LENT | notify RELEASED, ACCEPTED',
    tests: [['small', '5.11: an interrupt is lent'], LENGTHS],
  },
  { table: '5.11', rows: 'IPA_RESERVE', tests: [['small', '5.11: addresses are reserved'], LENGTHS] },
  {
    table: '5.11',
    rows: 'FW_SET_VM_FIRMWARE',
    tests: [
      ['firmware', 'a donated image starts the VM'],
      ['firmware', 'what is no image'],
      ['malformed', 'firmware requests: only for VMs'],
    ],
  },
  // ---- 6, 7 ----
  {
    table: '6',
    rows: 'NONE | LOAD | AUTH | INIT | READY | RUNNING | INIT_FAILED | EXITED | RESETTING | RESET',
    tests: [STEPS, ['life', 'CONFIG_IMAGE and INIT refuse what is wrong']],
  },
  { table: '6', rows: 'PAUSED | reserved 7', tests: [['rmNumbers', '5.7, 5.9, 6: types of resources'], STEPS] },
  {
    table: '7.2',
    rows: 'hypervisor | hypervisor of HLOS | vm-id',
    tests: [['tree', '7.2: /hypervisor and who the VM is'], RUNNING],
  },
  {
    table: '7.2',
    rows: 'rpc of HLOS | rpc or pair',
    tests: [
      ['tree', '7.1, 7.2, 7.3: RPC queues'],
      ['tree', '7.2, 7.4: queues and doorbells'],
    ],
  },
  { table: '7.2', rows: 'queue | doorbell', tests: [['tree', '7.2, 7.4: queues and doorbells']] },
  {
    table: '7.2',
    rows: 'shm, virtio, vRTC',
    tests: [['tree', '7.4: what a configuration says is read'], ['debian', 'two Debian VMs'], VIRTIO_VM],
  },
  { table: '7.2', rows: 'watchdog', tests: [GUEST, ['life', 'a platform’s VM has a watchdog']] },
  {
    table: '7.2',
    rows: 'cpus | memory | reserved-memory | chosen | vsoc',
    tests: [['tree', '7.2: what the VMM wrote stays']],
    differs: 'the VMM’s own nodes stay as they are: ours write them',
  },
  {
    table: '7.2',
    rows: 'gic',
    tests: [
      ['tree', '7.2, 7.4: the interrupt controller lies where'],
      ['tree', '7.2: a controller without addresses'],
    ],
  },
  {
    table: '7.3',
    rows: 'v6 | v7-v14 | v17',
    tests: [
      ['tree', '7.1, 7.2, 7.3: RPC queues'],
      ['debian', 'two Debian VMs'],
    ],
  },
  {
    table: '7.4',
    rows: 'image-name | os-type, vm-type | uri, guid | attributes | entry | memory | interrupts',
    tests: [
      ['tree', '7.4: what a configuration says is read'],
      ['tree', '7.2: /hypervisor and who the VM is'],
    ],
  },
  { table: '7.4', rows: 'vcpus', tests: [['life', '7.4: priority and timeslice'], GUEST] },
  {
    table: '7.4',
    rows: 'cpu@n | vdevices | common | queues | doorbells',
    tests: [
      ['tree', '7.2, 7.4: queues and doorbells'],
      ['tree', '7.4: what a configuration says is read'],
    ],
  },
  // ---- 8 ----
  {
    table: '8.1',
    rows: 'CREATE_VM | SET_USER_MEM_REGION | SET_DTB_CONFIG | VM_START | ADD_FUNCTION | VCPU_RUN | VCPU_MMAP_SIZE | REMOVE_FUNCTION | CREATE_GUEST_MEM | MAP_MEM | SET_BOOT_CONTEXT | probe | LEND_USER_MEM | CHECK_EXTENSION',
    tests: [IOCTLS, ['manager', '8.1: what a generation does not have is an unknown ioctl']],
  },
  {
    table: '8.1',
    rows: 'SET_FW_CONFIG | RECLAIM_REGION | MAP_CMA_MEM | SET_AUTH_TYPE',
    tests: [
      ANDROID,
      ['paging', 'SET_FW_CONFIG overflows'],
      ['paging', 'lent and shared pages come'],
      ['paging', 'MAP_CMA_MEM checks as the driver does'],
      ['paging', 'SET_AUTH_TYPE knows trusted VMs alone'],
    ],
  },
  {
    table: '8.2 a',
    rows: 'region | tree | function | vcpu | irqfd | ioeventfd | guest mem | map mem | boot context',
    tests: [LAYOUTS],
  },
  { table: '8.2 a', rows: 'firmware | CMA | auth | trusted VM', tests: [ANDROID] },
  {
    table: '8.2 b',
    rows: 'immediate_exit | exit_reason | union | mmio | status | page fault',
    tests: [LAYOUTS, ['manager', 'a vCPU that is run by proxy leaves VCPU_RUN']],
  },
  {
    table: '8.3',
    rows: 'CREATE_VM argument | CREATE_VM effect',
    tests: [
      ['manager', 'CREATE_VM with an argument other than 0 is EINVAL'],
      ['manager', "'asks nothing' : 'allocates'"],
    ],
  },
  {
    table: '8.3',
    rows: 'unknown on device | unknown on VM',
    tests: [['manager', 'unknown ioctls on the device and on a VM']],
  },
  {
    table: '8.3',
    rows: 'compat',
    tests: [LAYOUTS],
    differs: 'structs are the same for 32-bit callers; there is no second entry',
  },
  {
    table: '8.3',
    rows: 'memory',
    tests: [
      ['manager', '8.3 P6: a region is shared or lent at once'],
      ['manager', '8.3 P14: all regions are given at the start'],
      ['manager', '8.2, 8.3 P17: guest memory files'],
      ['paging', 'lent and shared pages come'],
      ['vmm', 'comes page by page'],
    ],
  },
  {
    table: '8.3',
    rows: 'tree',
    tests: [
      ['manager', 'the size of a device tree is rounded up to a page'],
      ['manager', 'VM_START without a device tree'],
    ],
  },
  {
    table: '8.3',
    rows: 'VM_START',
    tests: [
      ['manager', 'VM_START makes its requests in the order of its generation'],
      ['manager', 'VM_START of a VM that runs answers 0'],
    ],
  },
  {
    table: '8.3',
    rows: 'close',
    tests: [
      ['manager', '8.3 P6: closing stops politely'],
      ['manager', 'closing the last reference stops, resets'],
    ],
  },
  { table: '8.3', rows: 'functions', tests: [['manager', 'functions: bad sizes and flags EINVAL']] },
  {
    table: '8.3',
    rows: 'VCPU_RUN | ioeventfd',
    tests: [
      ['manager', 'a vCPU that is run by proxy leaves VCPU_RUN'],
      ['vmm', 'a processor runs by proxy'],
    ],
  },
  { table: '8.3', rows: 'unknown state', tests: [['manager', 'VCPU_RUN goes on by itself where the driver does']] },
];

/** Rows of each table of the reference, so that none is forgotten: two for a line that tells two things side by side. */
export const ROW_COUNTS: Readonly<Record<string, number>> = {
  ...{ '1.1 a': 2, '1.1 b': 4, '1.2': 5, '1.3 a': 9, '1.3 b': 5, '1.3 c': 14, '1.4': 4, '1.5': 34, '1.6': 4 },
  ...{ '2.1': 8, '2.2': 6, '2.3': 14, '2.4': 7, '2.5': 11, '2.6': 6, '2.7': 11, '2.8': 4, '2.9 a': 12, '2.9 b': 9 },
  ...{ '2.10': 22, '2.11': 6, '3 a': 5, '3 b': 5, '4': 6, '5.1 a': 5, '5.1 b': 6, '5.1 c': 9, '5.2': 22, '5.3': 6 },
  ...{ '5.4': 45, '5.5': 25, '5.5.1': 7, '5.6': 3, '5.7 a': 10, '5.7 b': 9, '5.8 a': 4, '5.8 b': 6, '5.8 c': 6 },
  ...{ '5.9': 8, '5.11': 9, '6': 12, '7.2': 15, '7.3': 3, '7.4': 13, '8.1': 18, '8.2 a': 13, '8.2 b': 6, '8.3': 13 },
};
