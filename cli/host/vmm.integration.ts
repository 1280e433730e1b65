/** A VMM of one's own on the host, by the driver's calls: it runs a VM's processor and is its devices. */
import * as assert from 'uvu/assert';
import type { GunyahDevice } from '../../actors/vm-manager/gunyah-device.js';
import { FN, FnIoeventfdArg, MAP } from '../../actors/vm-manager/uapi.js';
import type { Result } from '../../bus/result.js';
import { strings } from '../../devices/machine/device-tree/tree.js';
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
  const arg = new Uint8Array(FnIoeventfdArg.sizeBytes);
  const written = { datamatch: 0n, addr: EVENT, len: 4, fd: event, flags: 0, padding: 0 };
  FnIoeventfdArg.write(new DataView(arg.buffer), 0, written);
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
test.run();
