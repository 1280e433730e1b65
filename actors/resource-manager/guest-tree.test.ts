/** Nodes the resource manager adds to a guest's tree (gunyah.md 7.1 to 7.3) and what its configuration node may say (7.4). */
import * as assert from 'uvu/assert';
import { readTree } from '../../devices/machine/device-tree/read-tree.js';
import {
  cells,
  cells64,
  findNode,
  node,
  PRESENT,
  strings,
  type TreeNode,
} from '../../devices/machine/device-tree/tree.js';
import { writeTree } from '../../devices/machine/device-tree/write-tree.js';
import { MEMORY_MAP } from '../../devices/machine/memory-map.js';
import { BenchCaller } from '../../test/fixtures/gunyah/guest-bench.js';
import { type BenchClient, guestTree, RmBench, vdevice } from '../../test/fixtures/gunyah/rm-bench.js';
import { spec } from '../../test/harness/spec.js';
import { ControllerWindows } from '../shared-state/vm/controller-windows.js';
import { PLATFORM_CONTROLLER } from './controller-place.js';
import { FREE_IRQ_START, hypervisorNode, rpcNode, withHypervisor } from './guest-tree.js';
import { PayloadWriter } from './payload.js';
import { RM_ERROR as E, RM_MESSAGE as M } from './rm-messages.js';
import { readVmConfig } from './vm-config.js';

const test = spec('rm guest tree');

/** Starts a VM from `tree`; its tree as it finds it. */
async function started(tree: Uint8Array): Promise<{ root: TreeNode; vmid: number; hlos: BenchClient; bench: RmBench }> {
  const bench = new RmBench();
  const hlos = await bench.vm();
  const vmid = (await hlos.call(M.VM_ALLOCATE, new PayloadWriter().u32(0))).rest.u32();
  const parcel = await hlos.image(vmid, tree);
  assert.is(await hlos.configure(vmid, parcel), E.OK);
  assert.is(await hlos.simple(M.VM_INIT, vmid), E.OK);
  assert.is(await hlos.simple(M.VM_START, vmid), E.OK);
  const found = bench.rm.parcels.get(parcel);
  assert.ok(found !== undefined);
  const read = readTree(
    'guest',
    found === undefined ? new Uint8Array(0) : bench.rm.parcels.read(found, 0x1000, 0x2000),
  );
  assert.ok(read.ok);
  return { root: read.ok ? read.value.root : node('', {}), vmid, hlos, bench };
}
const value = (at: TreeNode | undefined, name: string): readonly number[] | undefined => {
  const bytes = at?.properties.get(name);
  if (bytes === undefined) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Array.from({ length: bytes.length >> 2 }, (_, n) => view.getUint32(n * 4));
};
const names = (at: TreeNode | undefined, name = 'compatible'): readonly string[] =>
  new TextDecoder()
    .decode(at?.properties.get(name) ?? new Uint8Array(0))
    .split('\0')
    .slice(0, -1);
const child = (at: TreeNode | undefined, name: string): TreeNode | undefined =>
  at?.children.find((one) => one.name.split('@')[0] === name);

test('7.2: /hypervisor and who the VM is', async () => {
  const identity = { 'image-name': strings('g'), 'vm-uri': strings('vm:x'), 'vm-guid': strings('00-11') };
  const { root, vmid } = await started(guestTree([], identity));
  const hypervisor = findNode(root, '/hypervisor');
  assert.equal(names(hypervisor), [
    ...['gunyah-hypervisor', 'qcom,gunyah-hypervisor-1.0', 'qcom,gunyah-hypervisor', 'simple-bus'],
  ]);
  assert.equal([value(hypervisor, '#address-cells'), value(hypervisor, '#size-cells')], [[2], [0]]);
  const about = findNode(root, '/hypervisor/qcom,gunyah-vm');
  assert.equal(names(about), ['qcom,gunyah-vm-id-1.0', 'qcom,gunyah-vm-id']);
  assert.equal([value(about, 'qcom,vmid'), value(about, 'qcom,owner-vmid')], [[vmid], [3]]);
  assert.equal(
    ['qcom,vendor', 'qcom,image-name', 'qcom,vm-uri', 'qcom,vm-guid'].map((name) => names(about, name)),
    [['Qualcomm'], ['g'], ['vm:x'], ['00-11']],
  );
  // The primary VM has no owner.
  const host = hypervisorNode({ vmid: 3, owner: undefined, imageName: undefined }, []);
  assert.equal(value(child(host, 'qcom,gunyah-vm'), 'qcom,owner-vmid'), undefined);
});

test('7.1, 7.2, 7.3: RPC queues: capabilities, edge interrupts, sizes, names every generation knows', async () => {
  const { root } = await started(guestTree([vdevice('rpc', 'rm-rpc')]));
  const rpc = child(findNode(root, '/hypervisor'), 'rm-rpc');
  for (const name of ['gunyah-resource-manager', 'gunyah-resource-manager-1-0', 'qcom,resource-manager']) {
    assert.ok(names(rpc).includes(name), name);
  }
  assert.equal(names(rpc).slice(-2), ['qcom,gunyah-message-queue', 'qcom,gunyah-capability']);
  const [txHigh, tx, rxHigh, rx] = value(rpc, 'reg') ?? [];
  assert.equal([txHigh, rxHigh], [0, 0]);
  assert.is(rpc?.name, `rm-rpc@${(rx ?? 0).toString(16)}`);
  assert.is.not(tx, rx);
  // <SPI number edge-rising> twice: transmit, receive.
  const [type, first, flags, type2, second, flags2] = value(rpc, 'interrupts') ?? [];
  assert.equal([type, flags, type2, flags2], [0, 1, 0, 1]);
  assert.equal([first, second], [480, 481]); // interrupts 512 and 513
  assert.equal(value(rpc, 'qcom,free-irq-start'), [0]);
  assert.ok(rpc?.properties.has('qcom,is-full-duplex'));
  for (const side of ['tx', 'rx']) {
    assert.equal([value(rpc, `qcom,${side}-message-size`), value(rpc, `qcom,${side}-queue-depth`)], [[240], [8]]);
  }
  const host = rpcNode({ capability: 0n, virq: 960 }, { capability: 1n, virq: 961 }, true);
  assert.is(host.name, 'qcom,resource-manager-rpc@0000000000000000');
  assert.equal(value(host, 'qcom,free-irq-start'), [FREE_IRQ_START]);
  assert.equal(value(host, 'interrupts'), [0, 928, 1, 0, 929, 1]);
});

test('7.2, 7.4: queues and doorbells: sizes, labels, directions, names pushed in front', async () => {
  const more = {
    label: cells(0x27),
    'queue-depth': cells(4),
    'message-size': cells(64),
    'push-compatible': strings('x,y'),
  };
  const { root, hlos, vmid, bench } = await started(
    guestTree([
      vdevice('pair', 'message-queue-pair', { ...more, 'peer-default': PRESENT }),
      vdevice('out', 'message-queue', { ...more, 'is-sender': PRESENT }),
      vdevice('in', 'message-queue', { ...more, 'is-receiver': PRESENT }),
      vdevice('bell', 'doorbell', { label: cells(5) }),
      vdevice('ring', 'doorbell-source', {
        label: cells(6),
        'source-can-clear': PRESENT,
        'push-compatible': strings('r'),
      }),
    ]),
  );
  const at = (name: string): TreeNode | undefined => child(findNode(root, '/hypervisor'), name);
  assert.equal(names(at('pair')), ['x,y', 'qcom,gunyah-message-queue', 'qcom,gunyah-capability']);
  assert.equal(
    ['label', 'qcom,label', 'peer', 'qcom,peer-vmid', 'qcom,tx-queue-depth', 'qcom,rx-message-size'].map((name) =>
      value(at('pair'), name),
    ),
    [[0x27], [0x27], [3], [3], [4], [64]],
  );
  for (const [name, direction, other] of [
    ['out', 'is-sender', 'is-receiver'],
    ['in', 'is-receiver', 'is-sender'],
  ] as const) {
    assert.equal(names(at(name)), ['x,y', 'qcom,gunyah-message-queue', 'qcom,gunyah-capability']);
    assert.equal([value(at(name), 'tx_message_size'), value(at(name), 'tx_queue_depth')], [[64], [4]]);
    assert.equal([at(name)?.properties.has(direction), at(name)?.properties.has(other)], [true, false]);
    assert.equal([value(at(name), 'reg')?.length, value(at(name), 'interrupts')?.length], [2, 3]);
  }
  assert.equal(names(at('bell')), ['qcom,gunyah-doorbell', 'qcom,gunyah-capability']);
  assert.equal([value(at('bell'), 'interrupts')?.length, value(at('bell'), 'label')], [3, [5]]);
  assert.equal(names(at('ring')), ['r', 'qcom,gunyah-doorbell-source', 'qcom,gunyah-capability']);
  assert.equal([at('ring')?.properties.has('interrupts'), value(at('ring'), 'label')], [false, [6]]);
  // The source's capability: SEND, and RECEIVE because it may clear; the owner's end of the other one is a source that may not.
  const vm = bench.rm.vms.get(vmid);
  const rights = (label: number, holder: number): number => {
    const line = vm?.resources.find((one) => one.label === label && one.holder === holder);
    const space = bench.core.of((holder === 3 ? hlos.vm.partition : vm?.partition) ?? 0)?.cspace ?? 0;
    const found = bench.kernel.capabilities.find(space, line?.capability ?? 0n, 0, 0);
    return found.ok ? found.value.rights : -1;
  };
  assert.equal([rights(6, vmid), rights(5, 3), rights(5, vmid), rights(6, 3)], [3, 1, 2, 2]);
});

test('2.10, 5.7, 7.2: a virtio-mmio device: its page, its node, its line, its interrupts', async () => {
  const device = (name: string, more: Readonly<Record<string, Uint8Array>> = {}): TreeNode =>
    node(name, { 'vdevice-type': strings('virtio-mmio'), 'peer-default': PRESENT, ...more });
  const more = { 'vqs-num': cells(3), label: cells(0x31), dma_base: cells64(0x1000), 'dma-coherent': PRESENT };
  const named = { generate: strings('/hypervisor/vio'), 'push-compatible': strings('x,y') };
  const tree = guestTree([device('a', more), device('b', named)]);
  const { root, vmid, hlos, bench } = await started(tree);
  const bus = findNode(root, '/vsoc');
  assert.equal([names(bus), value(bus, '#address-cells'), value(bus, '#size-cells')], [['simple-bus'], [2], [2]]);
  assert.ok(bus?.properties.get('ranges')?.length === 0);
  const at = child(bus, 'virtio_mmio');
  assert.equal([at?.name, names(at)], ['virtio_mmio@b000000', ['virtio,mmio']]);
  assert.equal(value(at, 'reg'), [0, 0x0b00_0000, 0, 0x1000]);
  const [, spi = 0, trigger] = value(at, 'interrupts') ?? [];
  assert.ok(spi >= 480 && trigger === 1);
  assert.equal([value(at, 'label'), value(at, 'qcom,label'), value(at, 'peer')], [[0x31], [0x31], [3]]);
  assert.equal([value(at, 'dma_base'), at?.properties.has('dma-coherent')], [[0, 0x1000], true]);
  assert.equal(names(child(findNode(root, '/hypervisor'), 'vio')), ['x,y', 'virtio,mmio']);
  const lines = async () => {
    const { rest } = await hlos.call(M.VM_GET_HYP_RESOURCES, new PayloadWriter().u16(vmid).u16(0));
    return Array.from({ length: rest.u32() }, () => {
      const [type, , partner, , label] = [rest.u8(), rest.u8(), rest.u16(), rest.u32(), rest.u32()];
      const [capability, , virq, base, bytes] = [rest.u64(), rest.u32(), rest.u32(), rest.u64(), rest.u64()];
      return { type, partner, label, capability, virq, base, bytes };
    }).filter(({ type }) => type === 6);
  };
  const [first, second] = await lines();
  assert.ok(first !== undefined && second !== undefined && first.virq >= 960 && second.virq > first.virq);
  assert.equal([first?.label, first?.partner, first?.base, first?.bytes], [0x31, vmid, 0x0b80_0000n, 0x1000n]);
  assert.equal([second?.label, second?.base], [0, 0x0b80_1000n]);
  // One page for both: the VM reads it, its owner writes it.
  const vm = bench.rm.vms.get(vmid);
  const partitions = [vm?.partition ?? -1, hlos.vm.partition ?? -1].map((number) => bench.partitions.get(number));
  const [its, own] = partitions.map((partition) => partition?.parts?.stage2);
  const frame = (its?.entry(0xb000) ?? 0) & ~7;
  assert.equal([its?.entry(0xb000), own?.entry(0xb800)], [frame | 1, frame | 3]);
  // A store of the VM's interrupts the owner, which asks why with the capability it was listed, and answers.
  const gic = (index: number) => partitions[index]?.parts?.gic;
  const caller = (index: number): BenchCaller => {
    const number = partitions[index]?.number ?? -1;
    const spaceAt = bench.kernel.table.data(bench.core.of(number)?.cspace ?? 0);
    const where = { memory: bench.buffer, table: bench.kernel.table, spaceAt, number, index: 0 };
    return new BenchCaller({ ...where, ring: () => undefined }, {});
  };
  const pending = (index: number, virq: number): boolean =>
    ((gic(index)?.pendingBits(0, virq & ~31) ?? 0) >>> (virq & 31)) % 2 === 1;
  assert.ok(caller(0).ports.store(frame >>> 0, 0x70, 4, 4n));
  assert.ok(pending(1, first?.virq ?? 0));
  const owner = caller(1);
  assert.equal(owner.call(0x53, first?.capability ?? 0n).slice(0, 3), [0, 0n, 8n]);
  assert.is(owner.call(0x50, first?.capability ?? 0n, 2, 64)[0], 0);
  assert.is(owner.call(0x50, first?.capability ?? 0n, 3, 64)[0], 1); // three queues
  assert.is(owner.call(0x4e, first?.capability ?? 0n, 1)[0], 0);
  assert.ok(pending(0, spi + 32));
  // It goes with the VM.
  const stopped = await hlos.call(M.VM_STOP, new PayloadWriter().u16(vmid).u8(1).u8(0).u32(3));
  assert.equal([stopped.error, await hlos.simple(M.VM_RESET, vmid)], [E.OK, E.OK]);
  assert.is(own?.entry(0xb800), 0);
  assert.is(owner.call(0x53, first?.capability ?? 0n)[0] === 0, false);
  // What cannot be: another peer than the owner, too many queues.
  for (const [bad, error] of [
    [node('c', { 'vdevice-type': strings('virtio-mmio') }), E.ARGUMENT_INVALID],
    [device('c', { peer: strings('vm-name:x') }), E.ARGUMENT_INVALID],
    [device('c', { 'vqs-num': cells(17) }), E.NORESOURCE],
    [device('c', { 'virtio,device-type': cells(2) }), E.NORESOURCE],
  ] as const) {
    const other = new RmBench();
    const client = await other.vm();
    const one = (await client.call(M.VM_ALLOCATE, new PayloadWriter().u32(0))).rest.u32();
    assert.is(await client.configure(one, await client.image(one, guestTree([bad]))), E.OK);
    assert.is(await client.simple(M.VM_INIT, one), error);
  }
});

test('7.2: what the VMM wrote stays: processors, memory, chosen, controller; its /hypervisor is refused', async () => {
  const written = [
    node('cpus', { '#address-cells': cells(1), '#size-cells': cells(0) }, [
      node('cpu@0', { reg: cells(0), device_type: strings('cpu') }),
    ]),
    node('memory@80000000', { device_type: strings('memory'), reg: cells64(0x8000_0000, 0x40_0000) }),
    node('chosen', { bootargs: strings('console=hvc0') }),
    node('intc@3fff0000', { compatible: strings('arm,gic-v3'), reg: cells64(0x3fff_0000, 0x1_0000) }),
    node('vsoc', { compatible: strings('simple-bus') }),
    node('reserved-memory', {}, [node('buffer@1', { 'no-map': PRESENT })]),
    node('gunyah-vm-config', { 'image-name': strings('v') }, [node('vdevices', {}, [vdevice('rpc', 'rm-rpc')])]),
  ];
  const write = (children: readonly TreeNode[]): Uint8Array =>
    writeTree({
      root: node('', { '#address-cells': cells(2), '#size-cells': cells(2) }, children),
      reservations: [],
      bootCpu: 0,
    });
  const { root } = await started(write(written));
  for (const before of written) {
    const after = root.children.find(({ name }) => name === before.name);
    assert.equal([...(after?.properties ?? [])], [...before.properties], before.name);
    assert.equal(
      after?.children.map(({ name }) => name),
      before.children.map(({ name }) => name),
    );
  }
  assert.is(
    withHypervisor({ root: node('', {}, [node('hypervisor', {})]), reservations: [], bootCpu: 0 }, node('x', {})),
    undefined,
  );
});

/** A tree whose controller's node is `intc@3fff0000`, with what `more` says of it, and how its configuration names it. */
function controllerTree(more: Readonly<Record<string, Uint8Array | undefined>>, config: Uint8Array = cells(9)) {
  return guestTree(
    [],
    undefined,
    {},
    {
      config: node('interrupts', { config }),
      node: node('intc@3fff0000', {
        compatible: strings('arm,gic-v3'),
        'interrupt-controller': PRESENT,
        '#interrupt-cells': cells(3),
        phandle: cells(9),
        reg: cells64(0x3fff_0000, 0x1_0000, 0x3ffd_0000, 0x2_0000),
        ...more,
      }),
    },
  );
}
const PATHS = { whole: strings('/intc@3fff0000'), short: strings('/intc') } as const;

test('7.2, 7.4: the interrupt controller lies where its node says, which the configuration names by path or phandle', async () => {
  for (const config of [cells(9), PATHS.whole, PATHS.short]) {
    const { root, bench, vmid } = await started(controllerTree({}, config));
    const block = bench.partitions.get(bench.rm.vms.get(vmid)?.partition ?? -1)?.parts?.block;
    assert.ok(block !== undefined);
    if (block === undefined) return;
    const windows = new ControllerWindows(bench.buffer, block);
    assert.ok(windows.isMoved, 'and not where the platform has it');
    assert.equal(windows.at(0x3fff_ffff), { base: 0x3fff_0000, bytes: 0x1_0000, index: 0, isLast: false });
    assert.equal(windows.at(0x3ffd_0000), { base: 0x3ffd_0000, bytes: 0x2_0000, index: 1, isLast: true });
    assert.is(windows.at(0x0800_0000), undefined);
    assert.equal(value(child(root, 'intc'), 'reg')?.[1], 0x3fff_0000, 'the node stays');
  }
});

test('7.2: a controller without addresses is told the platform’s; one that is there already stays where it is', async () => {
  const platform = [PLATFORM_CONTROLLER.distributor, PLATFORM_CONTROLLER.redistributors];
  assert.equal(platform, [MEMORY_MAP.gicDistributor.base, MEMORY_MAP.gicRedistributors.base]);
  const [gicd = 0, gicr = 0] = platform;
  const unplaced = await started(controllerTree({ reg: undefined }));
  const told = child(unplaced.root, 'intc');
  assert.equal(value(told, 'reg'), [0, gicd, 0, 0x1_0000, 0, gicr, 0, 0x2_0000]);
  assert.equal([value(told, '#redistributor-regions'), value(told, 'redistributor-stride')], [[1], [0, 0x2_0000]]);
  const same = await started(controllerTree({ reg: cells64(gicd, 0x1_0000, gicr, 0x10_0000) }));
  for (const { bench, vmid } of [unplaced, same]) {
    const block = bench.partitions.get(bench.rm.vms.get(vmid)?.partition ?? -1)?.parts?.block;
    assert.ok(block !== undefined && !new ControllerWindows(bench.buffer, block).isMoved);
  }
});

test('7.4: a controller’s node that cannot be is refused', () => {
  const read = (tree: Uint8Array): unknown => {
    const found = readVmConfig(tree);
    return found.ok ? found.value.config.controller : found.error;
  };
  const wide = {
    'redistributor-stride': cells64(0x4_0000),
    reg: cells64(0x3fff_0000, 0x1_0000, 0x3f00_0000, 0x4_0000),
  };
  assert.equal(read(controllerTree(wide)), {
    ...{ distributor: 0x3fff_0000, redistributors: 0x3f00_0000, stride: 0x4_0000 },
  });
  assert.is(read(guestTree([])), 'platform');
  for (const [wrong, why] of [
    [controllerTree({}, cells(8)), 'a phandle that nobody has'],
    [controllerTree({}, strings('/gic')), 'a path that leads nowhere'],
    [controllerTree({}, cells(9, 9)), 'neither'],
    [controllerTree({ compatible: strings('arm,gic-400') }), 'another controller'],
    [controllerTree({ 'interrupt-controller': undefined }), 'no controller'],
    [controllerTree({ '#interrupt-cells': cells(4) }), 'four words an interrupt'],
    [controllerTree({ '#redistributor-regions': cells(2) }), 'two regions'],
    [controllerTree({ 'redistributor-stride': cells64(0x1_0000) }), 'too near each other'],
    [controllerTree({ 'redistributor-stride': cells64(0x4_0000) }), 'the last one reaches into the distributor'],
    [controllerTree({ 'redistributor-stride': cells(0x2_0000) }), 'a stride of one word'],
    [controllerTree({ reg: cells64(0x3fff_0000, 0x1_0000) }), 'no redistributors'],
    [controllerTree({ reg: cells64(0x3fff_1000, 0x1_0000, 0x3ffd_0000, 0x2_0000) }), 'not at 64 KiB'],
    [controllerTree({ reg: cells64(0x3fff_0000, 0x1_0000, 0x3ffe_0000, 0x2_0000) }), 'one in the other'],
    [controllerTree({ reg: cells64(1n << 44n, 0x1_0000, 0x3ffd_0000, 0x2_0000) }), 'beyond all addresses'],
    [controllerTree({ reg: cells64((1n << 64n) - 0x1_0000n, 0x1_0000, 0x3ffd_0000, 0x2_0000) }), 'at their end'],
  ] as const) {
    assert.is(read(wrong), 'config', why);
  }
});

test('7.4: what a configuration says is read, and what cannot be is refused', () => {
  const read = (tree: Uint8Array) => {
    const found = readVmConfig(tree);
    return found.ok ? found.value.config : found.error;
  };
  const named = { 'image-name': strings('v') };
  const whole = read(
    guestTree(
      [vdevice('shm', 'shm', { 'memory-base': cells64(0x1000), 'memory-size': cells64(0x2000), 'read-only': PRESENT })],
      {
        ...named,
        'os-type': strings('linux'),
        'vm-type': strings('aarch64-guest'),
        'vm-attrs': strings('no-reset', 'crash-fatal'),
        'kernel-entry-offset': cells64(0x80),
      },
      { affinity: strings('sticky') },
    ),
  );
  assert.ok(typeof whole !== 'string');
  if (typeof whole === 'string') return;
  assert.equal([whole.name, whole.baseAddress, whole.entryOffset, whole.cpus], ['v', 0x8000_0000n, 0x80n, 1]);
  assert.equal([...whole.attributes], ['no-reset', 'crash-fatal']);
  assert.equal(whole.vdevices[0]?.shared, { address: 0x1000n, bytes: 0x2000n, isWritable: false });
  const queue = (more: Readonly<Record<string, Uint8Array>>) => read(guestTree([vdevice('q', 'message-queue', more)]));
  for (const wrong of [
    read(guestTree([], {})),
    read(guestTree([], { 'image-name': strings('x'.repeat(80)) })),
    read(guestTree([], { ...named, 'os-type': strings('beos') })),
    read(guestTree([], { ...named, 'vm-type': strings('x86-guest') })),
    read(guestTree([], { ...named, 'vm-attrs': strings('unheard-of') })),
    read(guestTree([vdevice('v', 'vsmmu-v2')])),
    read(guestTree([vdevice('v', 'shm')])),
    queue({ 'queue-depth': cells(0) }),
    queue({ 'queue-depth': cells(256) }),
    queue({ 'message-size': cells(1024) }),
    queue({ peer: strings('vm-uri:one') }),
    read(guestTree([], undefined, { affinity: strings('none') })),
  ]) {
    assert.is(wrong, 'config');
  }
  assert.is(read(new Uint8Array(100)), 'tree');
});
test.run();
