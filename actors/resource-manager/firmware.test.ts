/** Firmware of VMs (gunyah.md 5.5, 5.11): donated once, placed by VM_SET_FIRMWARE_MEM, started in place of the image. */
import * as assert from 'uvu/assert';
import { readTree } from '../../devices/machine/device-tree/read-tree.js';
import { cells64, findNode, strings, type TreeNode } from '../../devices/machine/device-tree/tree.js';
import { writeTree } from '../../devices/machine/device-tree/write-tree.js';
import { type BenchClient, guestTree, RAM_BASE, RmBench } from '../../test/fixtures/gunyah/rm-bench.js';
import { spec } from '../../test/harness/spec.js';
import { PayloadWriter } from './payload.js';
import { RM_ERROR as E, RM_MESSAGE as M, VM_STATE as S, VMID } from './rm-messages.js';

const test = spec('rm firmware');
const PAGE = 0x1000;
/** The image takes the first pages of RAM; behind it the memory for firmware, and the donated image. */
const FIRMWARE_AT = RAM_BASE + 0x8000;
const DONATED_AT = RAM_BASE + 0xc000;
const FIRMWARE_IPA = 0x9000_0000n;

/** A guest's tree whose configuration has a place of two pages for firmware. */
function tree(address = FIRMWARE_IPA): Uint8Array {
  const read = readTree('guest', guestTree());
  assert.ok(read.ok);
  if (!read.ok) return new Uint8Array(0);
  const widen = (at: TreeNode): TreeNode => {
    const properties = new Map(at.properties);
    if (at.name === 'memory') {
      properties.set('firmware-address', cells64(address));
      properties.set('firmware-size-max', cells64(BigInt(2 * PAGE)));
    }
    return { ...at, properties, children: at.children.map(widen) };
  };
  return writeTree({ ...read.value, root: widen(read.value.root) });
}

class Setting {
  readonly bench: RmBench;
  readonly hlos: BenchClient;
  constructor(hlos: BenchClient, bench: RmBench) {
    this.hlos = hlos;
    this.bench = bench;
  }
  static async make(): Promise<Setting> {
    const bench = new RmBench();
    return new Setting(await bench.vm(), bench);
  }
  async give(message: number, to: number, at: number, bytes: number): Promise<{ error: number; handle: number }> {
    const out = new PayloadWriter().u8(0).u8(0).u8(0).u8(0).u32(9).u16(1).u16(0).u16(to).u8(7).u8(0);
    out.u16(1).u16(0).u64(BigInt(at)).u64(BigInt(bytes)).u16(0).u16(0);
    const { error, rest } = await this.hlos.call(message, out);
    return { error, handle: error === E.OK ? rest.u32() : 0 };
  }
  /** Donates a page that begins with `words`, and sets it as firmware. */
  async donate(words: Uint8Array, offset = 0n, size = BigInt(PAGE)): Promise<number> {
    this.bench.poke(this.hlos.vm.partition ?? 0, DONATED_AT, words);
    const { error, handle } = await this.give(M.MEM_DONATE, VMID.RM, DONATED_AT, PAGE);
    assert.is(error, E.OK);
    return this.set(handle, offset, size);
  }
  async set(handle: number, offset = 0n, size = BigInt(PAGE)): Promise<number> {
    const out = new PayloadWriter().u16(2).u16(0).u32(handle).u64(offset).u64(size);
    return (await this.hlos.call(M.FW_SET_VM_FIRMWARE, out)).error;
  }
  /** A VM of type 2 in state INIT; its image's parcel. */
  async configured(content = tree()): Promise<{ vmid: number; image: number }> {
    const { rest } = await this.hlos.call(M.VM_ALLOCATE, new PayloadWriter().u32(0));
    const vmid = rest.u32();
    const image = await this.hlos.image(vmid, content);
    assert.is(await this.hlos.configure(vmid, image, 2), E.OK);
    return { vmid, image };
  }
  async place(vmid: number, handle: number, offset: bigint, bytes: bigint): Promise<number> {
    const out = new PayloadWriter().u16(vmid).u16(0).u32(handle).u64(offset).u64(bytes);
    return (await this.hlos.call(M.VM_SET_FIRMWARE_MEM, out)).error;
  }
  state(vmid: number): number {
    return this.bench.rm.vms.get(vmid)?.state ?? S.NONE;
  }
  async start(vmid: number): Promise<number> {
    assert.is(await this.hlos.simple(M.VM_INIT, vmid), E.OK);
    return this.hlos.simple(M.VM_START, vmid);
  }
}

test('a donated image starts the VM: its bytes, its registers, its reserved memory; it is the resource manager’s', async () => {
  const s = await Setting.make();
  assert.is(await s.donate(Uint8Array.of(1, 2, 3, 4)), E.OK);
  assert.is(await s.set(1), E.BUSY);
  assert.is((await s.hlos.call(M.FW_MILESTONE)).error, E.OK);
  const donated = s.bench.rm.firmware;
  const reclaim = new PayloadWriter().u32(donated?.handle ?? 0).u32(0);
  assert.is((await s.hlos.call(M.MEM_RECLAIM, reclaim)).error, E.HANDLE_INVALID);
  const { vmid, image } = await s.configured();
  s.bench.poke(s.hlos.vm.partition ?? 0, FIRMWARE_AT, new Uint8Array(2 * PAGE).fill(0xee));
  const memory = await s.give(M.MEM_LEND, vmid, FIRMWARE_AT, 2 * PAGE);
  assert.is(await s.place(vmid, memory.handle, 0n, BigInt(3 * PAGE)), E.ARGUMENT_INVALID);
  assert.is(await s.place(vmid, 77, 0n, BigInt(2 * PAGE)), E.MEM_INVALID);
  assert.is(await s.place(vmid, memory.handle, 0n, BigInt(2 * PAGE)), E.OK);
  assert.is(await s.start(vmid), E.OK);
  const vm = s.bench.rm.vms.get(vmid);
  const boot = s.bench.running.get(vm?.partition ?? -1);
  assert.is(boot?.pc, FIRMWARE_IPA);
  assert.equal(
    [0, 1, 2].map((register) => boot?.x.get(register)),
    [0x8000_1000n, 0x8000_0000n, 0n],
  );
  const entry = s.bench.partitions.get(vm?.partition ?? -1)?.parts?.stage2.entry(Number(FIRMWARE_IPA) / PAGE) ?? 0;
  const host = (entry & ~0xfff) >>> 0;
  assert.is(entry & 7, 7);
  assert.equal([...s.bench.memory.subarray(host, host + 5)], [1, 2, 3, 4, 0]);
  const parcel = s.bench.rm.parcels.get(memory.handle);
  assert.ok(parcel !== undefined);
  if (parcel !== undefined) assert.ok(s.bench.rm.parcels.read(parcel, PAGE, PAGE).every((byte) => byte === 0));
  const read = readTree('guest', s.bench.rm.parcels.read(s.bench.rm.parcels.get(image) as never, PAGE, 2 * PAGE));
  const reserved = read.ok ? findNode(read.value.root, '/reserved-memory/firmware@90000000') : undefined;
  assert.equal(reserved?.properties.get('compatible'), strings('qcom,vm-firmware'));
  assert.equal(reserved?.properties.get('reg'), cells64(FIRMWARE_IPA, BigInt(2 * PAGE)));
  // All of it comes back with the VM, but not the donation.
  const stop = new PayloadWriter().u16(vmid).u8(1).u8(0).u32(3);
  assert.is((await s.hlos.call(M.VM_STOP, stop)).error, E.OK);
  assert.is(await s.hlos.simple(M.VM_RESET, vmid), E.OK);
  for (const handle of [image, memory.handle]) {
    assert.is((await s.hlos.call(M.MEM_RECLAIM, new PayloadWriter().u32(handle).u32(0))).error, E.OK);
  }
  assert.is(s.bench.partitions.get(s.hlos.vm.partition ?? -1)?.parts?.stage2.entry(DONATED_AT / PAGE), 0);
});

test('firmware may lie in the image’s parcel; a VM of type 2 without any, or before the milestone, fails to start', async () => {
  for (const [hasImage, isFixed, isPlaced, address, answer] of [
    [true, true, true, 0x8000_2000n, E.OK],
    [true, true, true, 0x8000_3000n, E.MEM_INVALID], // the range of two pages leaves the image
    [true, false, true, 0x8000_2000n, E.DENIED],
    [true, true, false, 0x8000_2000n, E.NORESOURCE],
    [false, true, false, 0x8000_2000n, E.NORESOURCE],
  ] as const) {
    const s = await Setting.make();
    if (hasImage) assert.is(await s.donate(Uint8Array.of(9)), E.OK);
    if (isFixed) assert.is((await s.hlos.call(M.FW_MILESTONE)).error, E.OK);
    const { vmid, image } = await s.configured(tree(address));
    if (isPlaced) assert.is(await s.place(vmid, image, 0n, BigInt(2 * PAGE)), E.OK);
    else if (!hasImage) assert.is(await s.place(vmid, image, 0n, BigInt(2 * PAGE)), E.DENIED);
    assert.is(await s.start(vmid), answer);
    assert.is(s.state(vmid), answer === E.OK ? S.RUNNING : S.INIT_FAILED);
    if (answer === E.OK) assert.is(s.bench.running.get(s.bench.rm.vms.get(vmid)?.partition ?? -1)?.pc, address);
  }
});

test('what is no image: another’s parcel, a part of one, an offset; memory that is too small', async () => {
  const s = await Setting.make();
  const { vmid } = await s.configured();
  const lent = await s.give(M.MEM_LEND, vmid, FIRMWARE_AT, PAGE);
  assert.is(await s.set(lent.handle), E.HANDLE_INVALID);
  assert.is((await s.give(M.MEM_LEND, VMID.RM, DONATED_AT, PAGE)).error, E.VMID_INVALID);
  const { handle } = await s.give(M.MEM_DONATE, VMID.RM, DONATED_AT, 2 * PAGE);
  assert.is(await s.set(handle, 4096n), E.ARGUMENT_INVALID);
  assert.is(await s.set(handle, 0n, 0n), E.ARGUMENT_INVALID);
  assert.is(await s.set(handle, 0n, 0x2001n), E.ARGUMENT_INVALID);
  assert.is(await s.set(handle, 0n, 0x2000n), E.OK);
  assert.is((await s.hlos.call(M.FW_MILESTONE)).error, E.OK);
  assert.is(await s.place(vmid, lent.handle, 0n, BigInt(PAGE)), E.OK);
  assert.is(await s.start(vmid), E.MEM_INVALID);
});
test.run();
