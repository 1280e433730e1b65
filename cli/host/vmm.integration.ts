/** A VMM of one's own on the host, by the driver's calls: it runs a VM's processor and is its devices. */

import * as assert from 'uvu/assert';
import type { GunyahDevice } from '../../actors/vm-manager/gunyah-device.js';
import { FN, FnIoeventfdArg, MAP } from '../../actors/vm-manager/uapi.js';
import { bytesOf } from '../../bus/layout/struct.js';
import type { Result } from '../../bus/result.js';
import { cells, cells64, node, PRESENT, strings } from '../../devices/machine/device-tree/tree.js';
import { guestTree } from '../../test/fixtures/gunyah/rm-bench.js';
import { spec } from '../../test/harness/spec.js';
import { VmHost } from './vm-host.js';

const test = spec('a vmm on the host');
const BASE = 0x8000_0000n;
const BYTES = 0x1_0000;
const TREE_AT = 0x4000;
const TREE_BYTES = 0x2000;
const DEVICE = 0x1000n;
const EVENT = 0x2000n;

/** Reads a word of the device, writes it back plus one 100 times, an event each time; then turns itself off. */
const GUEST = [
  0xd2820001, // mov x1, #0x1000
  0xd2840002, // mov x2, #0x2000
  0x52800c83, // mov w3, #100
  0xb9400020, // ldr w0, [x1]
  0x11000400, // add w0, w0, #1
  0xb9000420, // str w0, [x1, #4]
  0xb9000040, // str w0, [x2]
  0x71000463, // subs w3, w3, #1
  0x54ffff61, // b.ne back to ldr
  0x52800100, // mov w0, #8
  0x72b08000, // movk w0, #0x8400, lsl #16: SYSTEM_OFF
  0xd4000002, // hvc #0
];

/** Tells the VMM what GICD_PIDR2 and GICR_TYPER are where its tree says that its controller is, then turns itself off. */
const CONTROLLER_GUEST = [
  0xd2820001, // mov x1, #0x1000
  0xd2a7ffe2, // mov x2, #0x3fff0000
  0xd29ffd03, // mov x3, #0xffe8
  0xb8636840, // ldr w0, [x2, x3]
  0xb9000020, // str w0, [x1]
  0xd2a7ffa2, // mov x2, #0x3ffd0000
  0xb9400840, // ldr w0, [x2, #8]
  0xb9000020, // str w0, [x1]
  0x52800100, // mov w0, #8
  0x72b08000, // movk w0, #0x8400, lsl #16: SYSTEM_OFF
  0xd4000002, // hvc #0
];
/** A controller where crosvm and the samples of the driver have it: among the addresses that are otherwise the VMM's. */
const CONTROLLER = {
  config: node('interrupts', { config: strings('/intc') }),
  node: node('intc', {
    compatible: strings('arm,gic-v3'),
    'interrupt-controller': PRESENT,
    '#interrupt-cells': cells(3),
    reg: cells64(0x3fff_0000, 0x1_0000, 0x3ffd_0000, 0x2_0000),
  }),
};

/** Code and data of a guest without memory at first: pages private to it, and a page it shares with its VMM. */
const CODE_AT = 0x9000_0000n;
const SHARED_AT = 0xa000_0000n;
const PAGED_BYTES = 0x2_0000;
/** Writes to eight pages behind its own, adds one to a word of the shared page, then turns itself off. */
const PAGED_GUEST = [
  0xd2b20021, // mov x1, #0x90010000
  0xd2b40002, // mov x2, #0xa0000000
  0x52800103, // mov w3, #8
  0xf9000023, // str x3, [x1]
  0x91400421, // add x1, x1, #0x1000
  0x71000463, // subs w3, w3, #1
  0x54ffffa1, // b.ne back to str
  0xb9400040, // ldr w0, [x2]
  0x11000400, // add w0, w0, #1
  0xb9000440, // str w0, [x2, #4]
  0x52800100, // mov w0, #8
  0x72b08000, // movk w0, #0x8400, lsl #16: SYSTEM_OFF
  0xd4000002, // hvc #0
];

function need<T>(answer: Result<T, string>): T {
  if (!answer.ok) throw new Error(answer.error);
  return answer.value;
}

/** A VM's life, from its memory to its end. */
async function life(device: GunyahDevice, memory: Uint8Array): Promise<void> {
  const fd = need(await device.createGuestMem({ flags: 0n, size: BigInt(BYTES) }));
  const { host: at } = need(await device.memoryOf(fd));
  memory.set(new Uint8Array(Uint32Array.from(GUEST).buffer), at);
  memory.set(guestTree([], { 'image-name': strings('own') }, { affinity: strings('proxy') }), at + TREE_AT);
  const vm = need(await device.createVm(0));
  const flags = MAP.forceLend | MAP.read | MAP.write | MAP.exec;
  need(await vm.mapMem({ guestAddr: BASE, flags, guestMemFd: fd, offset: 0n, size: BigInt(BYTES) }));
  need(await vm.setDtbConfig({ guestPhysAddr: BASE + BigInt(TREE_AT), size: BigInt(TREE_BYTES) }));
  need(await vm.setBootContext({ reg: 0x100, reserved: 0, value: BASE }));
  const event = need(await device.eventFile());
  const arg = bytesOf(FnIoeventfdArg, { datamatch: 0n, addr: EVENT, len: 4, fd: event, flags: 0, padding: 0 });
  need(await vm.addFunction(FN.ioeventfd, arg));
  const vcpu = need(await vm.addVcpu(0));
  need(await vm.start());
  const [reads, writes]: [bigint[], bigint[]] = [[], []];
  let events = 0;
  for (;;) {
    const exit = need(await vcpu.run());
    const signalled = await device.readEvent(event);
    if (signalled.ok) events += signalled.value;
    if (exit.kind === 'status') {
      assert.is(exit.status, 2, 'exited');
      break;
    }
    assert.ok(exit.kind === 'mmio', exit.kind);
    if (exit.kind !== 'mmio') break;
    if (exit.isWrite === 1) {
      assert.equal([exit.address, exit.len], [DEVICE + 4n, 4]);
      writes.push(exit.data);
    } else {
      assert.is(exit.address, DEVICE);
      reads.push(BigInt(reads.length * 3));
      need(await vcpu.answerRead(reads.at(-1) ?? 0n));
    }
  }
  assert.is(reads.length, 100);
  assert.equal(
    writes,
    reads.map((value) => value + 1n),
  );
  assert.is(events, 100);
  need(await vcpu.close());
  need(await vm.close());
  need(await device.close(event));
  need(await device.close(fd));
}

/** What a VM finds of its controller. */
async function controllerLife(device: GunyahDevice, memory: Uint8Array): Promise<void> {
  const fd = need(await device.createGuestMem({ flags: 0n, size: BigInt(BYTES) }));
  const { host: at } = need(await device.memoryOf(fd));
  memory.set(new Uint8Array(Uint32Array.from(CONTROLLER_GUEST).buffer), at);
  memory.set(guestTree([], { 'image-name': strings('gic') }, { affinity: strings('proxy') }, CONTROLLER), at + TREE_AT);
  const vm = need(await device.createVm(0));
  const flags = MAP.forceLend | MAP.read | MAP.write | MAP.exec;
  need(await vm.mapMem({ guestAddr: BASE, flags, guestMemFd: fd, offset: 0n, size: BigInt(BYTES) }));
  need(await vm.setDtbConfig({ guestPhysAddr: BASE + BigInt(TREE_AT), size: BigInt(TREE_BYTES) }));
  need(await vm.setBootContext({ reg: 0x100, reserved: 0, value: BASE }));
  const vcpu = need(await vm.addVcpu(0));
  need(await vm.start());
  const told: bigint[] = [];
  for (;;) {
    const exit = need(await vcpu.run());
    if (exit.kind !== 'mmio') break;
    assert.equal([exit.address, exit.isWrite], [DEVICE, 1], 'the controller is not the VMM’s to answer for');
    told.push(exit.data);
  }
  assert.equal(told, [0x3bn, 0x10n]);
  need(await vcpu.close());
  need(await vm.close());
  need(await device.close(fd));
}

/** The life of a VM that has nothing but its device tree when it starts. */
async function pagedLife(device: GunyahDevice, memory: Uint8Array): Promise<void> {
  const file = async (bytes: number): Promise<{ fd: number; at: number }> => {
    const fd = need(await device.createGuestMem({ flags: 0n, size: BigInt(bytes) }));
    return { fd, at: need(await device.memoryOf(fd)).host };
  };
  const [image, code, shared] = [await file(TREE_BYTES), await file(PAGED_BYTES), await file(0x1000)];
  memory.set(guestTree([], { 'image-name': strings('paged') }, { affinity: strings('proxy') }), image.at);
  memory.set(new Uint8Array(Uint32Array.from(PAGED_GUEST).buffer), code.at);
  memory.set(Uint8Array.of(41, 0, 0, 0), shared.at);
  const vm = need(await device.createVm(0));
  const flags = MAP.read | MAP.write | MAP.exec;
  for (const [guestAddr, { fd }, size, access] of [
    [BASE, image, TREE_BYTES, MAP.forceLend],
    [CODE_AT, code, PAGED_BYTES, MAP.defaultAccess],
    [SHARED_AT, shared, 0x1000, MAP.forceShare],
  ] as const) {
    need(await vm.mapMem({ guestAddr, flags: flags | access, guestMemFd: fd, offset: 0n, size: BigInt(size) }));
  }
  need(await vm.setDtbConfig({ guestPhysAddr: BASE, size: BigInt(TREE_BYTES) }));
  need(await vm.setBootContext({ reg: 0x100, reserved: 0, value: CODE_AT }));
  const vcpu = need(await vm.addVcpu(0));
  need(await vm.start());
  const exit = need(await vcpu.run());
  assert.is(exit.kind, 'status', 'no page was the VMM’s to answer');
  assert.is(memory[shared.at + 4], 42);
  assert.is(memory[code.at + 0x1_0000], 8, 'written by the guest, where its page was');
  need(await vm.reclaimRegion({ guestPhysAddr: CODE_AT, size: BigInt(PAGED_BYTES) }));
  assert.is(memory[code.at + 0x1_0000], 0, 'private pages come back empty');
  need(await vcpu.close());
  need(await vm.close());
  for (const { fd } of [image, code, shared]) need(await device.close(fd));
}

test(
  'a guest’s memory comes page by page when it is wanted, private and shared, and all of it goes back',
  async () => {
    const host = need(await VmHost.start({ primaryGuest: false, onLog: () => undefined }));
    try {
      const { device, memory } = need(await host.gunyah());
      await pagedLife(device, memory);
      const before = await host.census();
      await pagedLife(device, memory);
      assert.equal(await host.census(), before);
    } finally {
      await host.dispose();
    }
  },
  { deadlineMs: 60_000 },
);
test(
  'a processor runs by proxy: reads and writes end VCPU_RUN, event files do not, the end is in the run page',
  async () => {
    const host = need(await VmHost.start({ primaryGuest: false, onLog: () => undefined }));
    try {
      const { device, memory } = need(await host.gunyah());
      await life(device, memory); // which leaves the host VM a page of tables
      const before = await host.census();
      await life(device, memory);
      assert.equal(await host.census(), before);
    } finally {
      await host.dispose();
    }
  },
  { deadlineMs: 60_000 },
);
test(
  'an interrupt controller lies where the VMM’s tree says, in the middle of what is otherwise the VMM’s',
  async () => {
    const host = need(await VmHost.start({ primaryGuest: false, onLog: () => undefined }));
    try {
      const { device, memory } = need(await host.gunyah());
      await controllerLife(device, memory);
      const before = await host.census();
      await controllerLife(device, memory);
      assert.equal(await host.census(), before);
    } finally {
      await host.dispose();
    }
  },
  { deadlineMs: 60_000 },
);
test.run();
