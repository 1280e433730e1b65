import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { spec } from '../../test/harness/spec.js';
import { readTree } from './device-tree/read-tree.js';
import { findNode, type TreeNode } from './device-tree/tree.js';
import { MEMORY_MAP, PPI, VIRTIO_MMIO_SLOTS, virtioMmioSlot, type Window, type WiredWindow } from './memory-map.js';

const test = spec('memory-map');
const QEMU = 'qemu-system-aarch64';
const hasQemu = spawnSync(QEMU, ['--version']).status === 0;

/** The tree QEMU describes its own machine with. */
function qemuTree(): TreeNode {
  const folder = mkdtempSync(join(tmpdir(), 'wurley-map-'));
  const file = join(folder, 'virt.dtb');
  spawnSync(QEMU, [
    '-M',
    `virt,gic-version=3,dumpdtb=${file}`,
    '-cpu',
    'cortex-a57',
    '-nographic',
    '-nic',
    'none',
    '-smp',
    '2',
    '-m',
    '512',
  ]);
  const bytes = readFileSync(file);
  rmSync(folder, { recursive: true });
  const tree = readTree('virt.dtb', bytes);
  if (!tree.ok) throw new Error(tree.error.reason);
  return tree.value.root;
}

function cellsOf(root: TreeNode, path: string, property: string): number[] {
  const value = findNode(root, path)?.properties.get(property);
  assert.ok(value, `QEMU has ${path} ${property}`);
  const view = new DataView(value.buffer, value.byteOffset, value.byteLength);
  return Array.from({ length: value.byteLength / 4 }, (_, i) => view.getUint32(i * 4));
}

if (!hasQemu) test.skip('every address and interrupt is the one QEMU uses', `${QEMU} is not installed`);
else
  test('every address and interrupt is the one QEMU uses', () => {
    const root = qemuTree();
    const same = (path: string, ...windows: readonly Window[]): void => {
      assert.equal(
        cellsOf(root, path, 'reg'),
        windows.flatMap((w) => [0, w.base, 0, w.sizeBytes]),
        path,
      );
    };
    const wired = (path: string, window: WiredWindow, trigger: number): void => {
      same(path, window);
      assert.equal(cellsOf(root, path, 'interrupts'), [0, window.spi, trigger], path);
    };
    same('/intc@8000000', MEMORY_MAP.gicDistributor, MEMORY_MAP.gicRedistributors);
    wired('/pl011@9000000', MEMORY_MAP.uart, 4);
    wired('/pl031@9010000', MEMORY_MAP.rtc, 4);
    wired('/pl061@9030000', MEMORY_MAP.gpio, 4);
    same('/fw-cfg@9020000', MEMORY_MAP.fwCfg);
    same('/memory@40000000', { base: MEMORY_MAP.ramBase, sizeBytes: 512 * 1024 * 1024 });
    for (let slot = 0; slot < VIRTIO_MMIO_SLOTS; slot++) {
      const window = virtioMmioSlot(slot);
      wired(`/virtio_mmio@${window.base.toString(16)}`, window, 1);
    }
    const flash = cellsOf(root, '/flash@0', 'reg');
    assert.equal((flash[3] ?? 0) + (flash[7] ?? 0), MEMORY_MAP.flash.sizeBytes);
    const timers = cellsOf(root, '/timer', 'interrupts').filter((_, i) => i % 3 === 1);
    assert.equal(
      timers.map((ppi) => ppi + 16),
      [PPI.securePhysicalTimer, PPI.physicalTimer, PPI.virtualTimer, PPI.hypervisorTimer],
    );
    assert.equal((cellsOf(root, '/pmu', 'interrupts')[1] ?? 0) + 16, PPI.performanceMonitor);
  });

test('no two windows overlap', () => {
  const windows: Window[] = [
    MEMORY_MAP.flash,
    MEMORY_MAP.gicDistributor,
    MEMORY_MAP.gicRedistributors,
    MEMORY_MAP.uart,
    MEMORY_MAP.rtc,
    MEMORY_MAP.fwCfg,
    MEMORY_MAP.gpio,
    ...Array.from({ length: VIRTIO_MMIO_SLOTS }, (_, slot) => virtioMmioSlot(slot)),
  ].sort((a, b) => a.base - b.base);
  for (let i = 1; i < windows.length; i++) {
    const before = windows[i - 1];
    assert.ok(before && before.base + before.sizeBytes <= (windows[i]?.base ?? 0));
  }
});

test.run();
