import { spawnSync } from 'node:child_process';
import * as assert from 'uvu/assert';
import { mutate, seededRandom } from '../../../test/harness/mutations.js';
import { spec } from '../../../test/harness/spec.js';
import { faultSentence } from '../boot-fault.js';
import type { BootChoices, MachineDescription } from '../description.js';
import { chosenOnlyTree, completeTree, machineTree } from './machine-tree.js';
import { readTree } from './read-tree.js';
import { cells, type DeviceTree, findNode, node, strings, TREE_LIMITS, type TreeNode } from './tree.js';
import { writeTree } from './write-tree.js';

const test = spec('device-tree');
const MACHINE: MachineDescription = {
  cpus: 8,
  ramBytes: 512 * 1024 * 1024,
  virtioSlots: [0, 1, 31],
  hasFirmware: true,
  pmu: true,
};
const CHOICES: BootChoices = {
  bootArguments: 'console=ttyAMA0 earlycon',
  initrd: { start: 0x4400_0000, end: 0x4410_0001 },
  kaslrSeed: 0x0123_4567_89ab_cdefn,
  rngSeed: new Uint8Array(32).fill(7),
};
const hasDtc = spawnSync('dtc', ['--version']).status === 0;

/** A value that uvu compares deeply: maps as arrays. */
function plain(at: TreeNode): unknown {
  return [at.name, [...at.properties].map(([name, value]) => [name, [...value]]), at.children.map(plain)];
}

function read(bytes: Uint8Array): DeviceTree {
  const tree = readTree('test.dtb', bytes);
  if (!tree.ok) throw new Error(faultSentence(tree.error));
  return tree.value;
}

test('what is written is what is read', () => {
  const tree: DeviceTree = {
    ...machineTree(MACHINE, CHOICES),
    reservations: [{ address: 0x8_0000_0000n, sizeBytes: 0x1000n }],
    bootCpu: 3,
  };
  const again = read(writeTree(tree));
  assert.equal(plain(again.root), plain(tree.root));
  assert.equal(again.reservations, tree.reservations);
  assert.is(again.bootCpu, 3);
});

test('chosen carries command line, initrd and seeds', () => {
  const chosen = findNode(read(writeTree(machineTree(MACHINE, CHOICES))).root, '/chosen');
  assert.equal(chosen?.properties.get('bootargs'), strings('console=ttyAMA0 earlycon'));
  assert.equal(chosen?.properties.get('linux,initrd-end'), cells(0, 0x4410_0001));
  assert.equal(chosen?.properties.get('kaslr-seed'), cells(0x0123_4567, 0x89ab_cdef));
  assert.is(chosen?.properties.get('rng-seed')?.byteLength, 32);
});

test('a tree for ACPI has nothing but chosen', () => {
  assert.equal(
    chosenOnlyTree(CHOICES).root.children.map((child) => child.name),
    ['chosen'],
  );
});

test("a user's tree keeps its nodes and gets chosen completed", () => {
  const mine: DeviceTree = {
    root: node('', { model: strings('mine') }, [
      node('chosen', { 'stdout-path': strings('/x'), bootargs: strings('old') }),
      node('soc', {}),
    ]),
    reservations: [],
    bootCpu: 0,
  };
  const done = completeTree(mine, MACHINE.ramBytes, CHOICES).root;
  assert.equal(findNode(done, '/chosen')?.properties.get('bootargs'), strings(CHOICES.bootArguments));
  assert.equal(findNode(done, '/chosen')?.properties.get('stdout-path'), strings('/x'));
  assert.ok(findNode(done, '/soc'));
  assert.ok(findNode(done, '/memory'));
  const silent = completeTree(mine, MACHINE.ramBytes, { bootArguments: '' }).root;
  assert.equal(findNode(silent, '/chosen')?.properties.get('bootargs'), strings('old'));
});

if (!hasDtc) test.skip('dtc accepts the tree without a warning and reads it as we do', 'dtc is not installed');
else
  test('dtc accepts the tree without a warning and reads it as we do', () => {
    for (const cpus of [1, 2, 4, 8]) {
      const bytes = writeTree(machineTree({ ...MACHINE, cpus }, CHOICES));
      const run = spawnSync('dtc', ['-I', 'dtb', '-O', 'dtb', '-'], { input: bytes });
      assert.is(run.status, 0);
      assert.is(run.stderr.toString(), '');
      assert.equal(plain(read(run.stdout).root), plain(read(bytes).root));
    }
  });

test('limits are kept: depth, duplicate properties, unterminated blocks', () => {
  let deep: TreeNode = node('leaf', {});
  for (let i = 0; i < TREE_LIMITS.depthMax; i++) deep = node('n', {}, [deep]);
  const tooDeep = readTree('deep.dtb', writeTree({ root: { ...deep, name: '' }, reservations: [], bootCpu: 0 }));
  assert.ok(!tooDeep.ok && tooDeep.error.reason.includes('nests deeper'));
  const bytes = writeTree(machineTree(MACHINE, CHOICES));
  for (const [at, field] of [
    [0, 'magic'],
    [4, 'totalsize'],
    [8, 'off_dt_struct'],
    [12, 'off_dt_strings'],
    [20, 'version'],
  ] as const) {
    const broken = bytes.slice();
    new DataView(broken.buffer).setUint32(at, 0xffff_fff0);
    if (field === 'version') new DataView(broken.buffer).setUint32(at, 3);
    const answer = readTree('broken.dtb', broken);
    assert.is(answer.ok ? 'accepted' : answer.error.field, field);
  }
});

test('5,000 damaged trees each end in a tree or one sentence, quickly', () => {
  const original = writeTree(machineTree(MACHINE, CHOICES));
  const random = seededRandom(1);
  let refused = 0;
  for (let i = 0; i < 5000; i++) {
    const damaged = mutate(original, random);
    // Processor time, not the wall's: the machine may be busy with other work.
    const started = process.cpuUsage();
    const tree = readTree('damaged.dtb', damaged);
    if (tree.ok) writeTree(completeTree(tree.value, MACHINE.ramBytes, CHOICES));
    else {
      refused++;
      assert.match(faultSentence(tree.error), /^damaged\.dtb: [^\n]{5,200}$/);
    }
    const { user, system } = process.cpuUsage(started);
    assert.ok(user + system < 5e6, `took ${(user + system) / 1e6} s`);
  }
  assert.ok(refused > 1000, `${refused} refused`);
});

test.run();
