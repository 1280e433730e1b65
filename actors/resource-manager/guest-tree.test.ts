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
import { type BenchClient, guestTree, RmBench, vdevice } from '../../test/fixtures/gunyah/rm-bench.js';
import { spec } from '../../test/harness/spec.js';
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
