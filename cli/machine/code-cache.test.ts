import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import type { JournalPage } from '../../cpu/jit/code-journal.js';
import { findSaved, type SavedVolume, savedRegion } from '../../cpu/jit/saved-code.js';
import { REGIONS_TABLE } from '../../cpu/jit/translate.js';
import { MEMO_BYTES } from '../../cpu/state.js';
import type { BootPlan } from '../../devices/machine/boot-plan.js';
import { spec } from '../../test/harness/spec.js';
import { type CodeCache, openCodeCache } from './code-cache.js';
import { readCodeFile, readRecordsFile, trimFolder } from './code-cache-file.js';
import { loadInterpreter } from './interpreter-cache.js';
import { useGuestFlags } from './native-modules.js';

const test = spec('translation cache on disk');
const PLAN: BootPlan = {
  placements: [{ ipa: 0x4008_0000, bytes: new Uint8Array(4096).fill(1), what: 'kernel', reservedBytes: 4096 }],
  entry: 0x4008_0000,
  registers: [0n, 0n, 0n, 0n],
  deviceTree: new Uint8Array(),
  format: 'arm64-image',
};
const ADD = 0x91000400; // add x0, x0, #1
const RET = 0xd65f03c0;

/** A page of `add; ret` pairs, noted at every pair; `destination` is a register. */
function page(destination = 0): JournalPage {
  const bytes = new Uint8Array(4096);
  const view = new DataView(bytes.buffer);
  for (let at = 0; at < 4096; at += 8) {
    view.setUint32(at, ADD + (at << 7) + destination, true);
    view.setUint32(at + 4, RET, true);
  }
  const offsets = Uint16Array.from({ length: 64 }, (_, n) => n * 8);
  return { bytes, warm: offsets.slice(32), hot: offsets.slice(0, 32) };
}

async function until(what: string, found: () => boolean): Promise<void> {
  for (let i = 0; i < 5_000; i++) {
    if (found()) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`${what} did not happen`);
}

/** All volumes of a cache that is opened. */
async function volumesOf(cache: CodeCache): Promise<SavedVolume[]> {
  const all: SavedVolume[] = [];
  for await (const volumes of cache.load()) all.push(...volumes);
  return all;
}

/** A test with a folder for a cache, a list of its files with some suffix, and the folder of those. */
function withCache(
  body: (cache: string, files: (suffix: string) => string[], folder: string) => Promise<void>,
): () => Promise<void> {
  return async () => {
    const cache = mkdtempSync(join(tmpdir(), 'wurley-code-'));
    const folder = join(cache, 'code');
    try {
      await loadInterpreter(cache);
      useGuestFlags();
      await body(cache, (suffix) => readdirSync(folder).filter((name) => name.endsWith(suffix)), folder);
    } finally {
      rmSync(cache, { recursive: true, force: true });
    }
  };
}

test(
  'what one machine noted the next one has compiled; nothing that others could have written or that is damaged is used',
  withCache(async (cache, files, folder) => {
    const first = openCodeCache(cache, PLAN);
    assert.equal(await volumesOf(first), []);
    first.keep([page()]);
    await until('the builder', () => files('.code').length === 1 && files('.todo').length === 0);

    const [volume] = await volumesOf(openCodeCache(cache, PLAN));
    assert.ok(volume !== undefined);
    const view = new DataView(page().bytes.buffer);
    const found = findSaved(volume.index, view, 0, 48, view.getUint32(48, true));
    assert.ok(found >= 0);
    const { number } = savedRegion(volume.index, found);
    const memory = new WebAssembly.Memory({ initial: 65_536, maximum: 65_536, shared: true });
    const { exports } = new WebAssembly.Instance(volume.module, { env: { memory, step: () => 0 } });
    const regions = exports[REGIONS_TABLE];
    assert.ok(regions instanceof WebAssembly.Table);
    assert.type(regions.get(number), 'function');
    const other = { ...PLAN, placements: [{ ...PLAN.placements[0]!, bytes: new Uint8Array(4096) }] };
    assert.equal(await volumesOf(openCodeCache(cache, other)), [], 'what another image noted is not loaded');

    const path = join(folder, files('.code')[0] ?? '');
    const good = readFileSync(path);
    for (const at of [0, 20, 50, good.length >> 1, good.length - 1]) {
      const bad = Buffer.from(good);
      bad[at]! ^= 1;
      writeFileSync(path, bad);
      assert.is(await readCodeFile(path), undefined, `byte ${at}`);
    }
    writeFileSync(path, good.subarray(0, good.length - 1));
    assert.is(await readCodeFile(path), undefined, 'cut off');
    writeFileSync(path, good);
    assert.ok((await readCodeFile(path)) !== undefined);
    chmodSync(path, 0o620);
    assert.is(await readCodeFile(path), undefined, 'the group may write it');
    chmodSync(path, 0o600);
    chmodSync(folder, 0o722);
    assert.equal(await volumesOf(openCodeCache(cache, PLAN)), [], 'others may write the folder');
    chmodSync(folder, 0o700);
    trimFolder(folder, good.length - 1);
    assert.equal(files('.code'), []);
  }),
  { deadlineMs: 180_000 },
);

test(
  'machines that end together each keep their volume, one that brings what is there already keeps none, and orders of another build wait for that',
  withCache(async (cache, files, folder) => {
    const image = { ...PLAN.placements[0]!, bytes: new Uint8Array(4096).fill(2) };
    const plans = [PLAN, PLAN, PLAN, { ...PLAN, placements: [image] }];
    const machines = plans.map((plan) => openCodeCache(cache, plan));
    for (const machine of machines) assert.equal(await volumesOf(machine), []);
    const other = '1-1-0-another-build.todo';
    writeFileSync(join(folder, other), 'an order');
    for (const [n, machine] of machines.entries()) machine.keep([page(n === 1 ? 1 : 0)]);
    await until('the builders', () => files('.todo').length === 1 && files('.lock').length === 0);
    assert.equal(files('.todo'), [other]);
    const counts = await Promise.all(plans.map(async (plan) => (await volumesOf(openCodeCache(cache, plan))).length));
    assert.equal(counts, [2, 2, 2, 1], files('').join(' '));
  }),
  { deadlineMs: 180_000 },
);

test(
  'guests of one image with other initial RAM disks share its first volume and no further one',
  withCache(async (cache, files) => {
    const withDisk = (fill: number): BootPlan => {
      const disk = { ipa: 0x4800_0000, bytes: new Uint8Array(64).fill(fill), what: 'initrd', reservedBytes: 64 };
      return { ...PLAN, placements: [...PLAN.placements, disk] };
    };
    const plans = [withDisk(1), withDisk(2), PLAN];
    const counts = async () =>
      await Promise.all(plans.map(async (plan) => (await volumesOf(openCodeCache(cache, plan))).length));
    for (const [n, { plan, expected }] of [
      { plan: withDisk(1), expected: [1, 1, 1] },
      { plan: withDisk(2), expected: [1, 2, 1] },
      { plan: withDisk(1), expected: [2, 2, 1] },
    ].entries()) {
      const machine = openCodeCache(cache, plan);
      await volumesOf(machine);
      machine.keep([page(n)]);
      await until('the builder', () => files('.todo').length === 0 && files('.lock').length === 0);
      assert.equal(await counts(), expected, files('').join(' '));
    }
  }),
  { deadlineMs: 180_000 },
);

test(
  'what was known of instruction words is kept with the code, for each workload its own, and nothing damaged is taken',
  withCache(async (cache, files, folder) => {
    const other = { ...PLAN, placements: [{ ...PLAN.placements[0]!, bytes: new Uint8Array(4096).fill(2) }] };
    // Two VMs of a lab, each with a table of its own, and a third that boots what the first does.
    const machines = [PLAN, other, PLAN].map((plan) => openCodeCache(cache, plan));
    const tables: Uint8Array[] = [];
    for (const machine of machines) {
      await volumesOf(machine);
      const table = new Uint8Array(await machine.records());
      assert.ok(table.every((byte) => byte === 0));
      tables.push(table);
    }
    for (const [n, table] of tables.entries()) table.fill(n + 1, 0, 100);
    machines[0]?.keep([page()]);
    machines[1]?.keep([page()]);
    await until('the builders', () => files('.records').length === 2 && files('.todo').length === 0);
    const kept = async (plan: BootPlan): Promise<number[]> => {
      const table = new Uint8Array(await openCodeCache(cache, plan).records());
      return [table[0] ?? -1, table[99] ?? -1, table[100] ?? -1];
    };
    assert.equal(await kept(PLAN), [1, 1, 0]);
    assert.equal(await kept(other), [2, 2, 0]);

    for (const name of files('.records')) {
      const path = join(folder, name);
      const good = readFileSync(path);
      for (const at of [0, 20, 50, good.length - 1]) {
        const bad = Buffer.from(good);
        bad[at]! ^= 1;
        writeFileSync(path, bad);
        assert.is(await readRecordsFile(path, new Uint8Array(MEMO_BYTES)), false, `byte ${at}`);
      }
      writeFileSync(path, good.subarray(0, good.length - 1));
    }
    assert.equal(await kept(PLAN), [0, 0, 0]);
  }),
  { deadlineMs: 180_000 },
);

test.run();
