/** qcow2 images as QEMU makes them: random operations against a model, then qemu-img's opinion of what we left. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { HostFiles } from '../../../actors/runtime/host-files.js';
import { seededRandom } from '../../../actors/runtime/random.js';
import { compareAll, exercise } from '../../../test/drivers/disk-model.js';
import { spec } from '../../../test/harness/spec.js';
import type { DiskImage } from '../disk-image.js';
import { RawImage } from '../raw-image.js';
import { Qcow2Image } from './qcow2-image.js';

const test = spec('qcow2 against qemu-img');
const HAS_QEMU_IMG = spawnSync('qemu-img', ['--version']).status === 0;
const MIB = 1 << 20;

function qemuImg(...args: readonly string[]): void {
  const run = spawnSync('qemu-img', args, { encoding: 'utf8' });
  if (run.status !== 0) throw new Error(`qemu-img ${args.join(' ')}: ${run.stdout}${run.stderr}`);
}

interface Variant {
  readonly title: string;
  /** Of qemu-img create -o. */
  readonly options: string;
  readonly sizeBytes: number;
  readonly backing?: 'raw' | 'compressed' | 'short';
  readonly snapshot?: boolean;
  /** Opens anew without closing, as after the death of a worker. */
  readonly dies?: boolean;
  readonly operations?: number;
}

const VARIANTS: readonly Variant[] = [
  { title: 'as made by default', options: 'compat=1.1', sizeBytes: 24 * MIB },
  { title: 'version 2', options: 'compat=0.10', sizeBytes: 24 * MIB },
  { title: 'lazy refcounts', options: 'lazy_refcounts=on', sizeBytes: 8 * MIB },
  { title: 'small clusters, where the refcount table grows', options: 'cluster_size=512', sizeBytes: 20 * MIB },
  { title: 'large clusters', options: 'cluster_size=2M', sizeBytes: 24 * MIB },
  { title: 'an odd size', options: 'cluster_size=4k', sizeBytes: 5 * MIB + 1536 },
  ...[1, 2, 8, 32, 64].map((bits) => ({
    title: `${bits}-bit refcounts`,
    options: `cluster_size=4k,refcount_bits=${bits}`,
    sizeBytes: 6 * MIB,
  })),
  { title: 'a raw backing file', options: 'cluster_size=16k', sizeBytes: 8 * MIB, backing: 'raw' },
  { title: 'version 2 with a backing file', options: 'compat=0.10', sizeBytes: 8 * MIB, backing: 'raw' },
  { title: 'a compressed backing image', options: 'cluster_size=64k', sizeBytes: 8 * MIB, backing: 'compressed' },
  { title: 'a backing file that is shorter', options: 'cluster_size=64k', sizeBytes: 8 * MIB, backing: 'short' },
  { title: 'an internal snapshot', options: 'cluster_size=8k', sizeBytes: 8 * MIB, snapshot: true },
  { title: 'workers that die', options: 'cluster_size=16k', sizeBytes: 8 * MIB, dies: true },
  { title: 'workers that die, version 2', options: 'compat=0.10,cluster_size=4k', sizeBytes: 8 * MIB, dies: true },
  { title: 'workers that die, a snapshot', options: 'cluster_size=8k', sizeBytes: 8 * MIB, dies: true, snapshot: true },
];

/** The images of one test, in a folder of their own. */
class Workbench {
  // In memory where there is such a place: how long a disk takes to sync is not the matter here.
  readonly folder = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'wurley-qcow2-'));
  readonly files = new HostFiles();
  readonly path = join(this.folder, 'disk.qcow2');
  #backing: { readonly path: string; readonly isRaw: boolean } | undefined;

  file(path: string, rights: 'read' | 'read-write'): ReturnType<HostFiles['use']> {
    const token = this.files.open(path, rights);
    if (!token.ok) throw new Error(token.error.detail);
    return this.files.use(token.value);
  }

  /** Makes the image; its content as a model. */
  create({ options, sizeBytes, backing }: Variant): Uint8Array {
    const model = new Uint8Array(sizeBytes);
    if (backing === undefined) {
      qemuImg('create', '-q', '-f', 'qcow2', '-o', options, this.path, `${sizeBytes}`);
      return model;
    }
    const raw = join(this.folder, 'base.raw');
    const random = seededRandom(5, backing);
    const bytes = backing === 'short' ? sizeBytes / 2 : sizeBytes;
    for (let at = 0; at < bytes; at += 4096) if (!random.oneIn(3)) model.fill(random.below(256), at, at + 3000);
    writeFileSync(raw, model.subarray(0, bytes));
    const isRaw = backing !== 'compressed';
    const path = isRaw ? raw : join(this.folder, 'base.qcow2');
    if (!isRaw) qemuImg('convert', '-q', '-c', '-O', 'qcow2', raw, path);
    this.#backing = { path, isRaw };
    const format = isRaw ? 'raw' : 'qcow2';
    qemuImg('create', '-q', '-f', 'qcow2', '-o', options, '-b', path, '-F', format, this.path, `${sizeBytes}`);
    return model;
  }

  open(recounts: boolean): DiskImage {
    const image = Qcow2Image.open(this.file(this.path, 'read-write'), this.#openBacking(), recounts);
    if (!image.ok) throw new Error(image.error.detail);
    return image.value;
  }
  #openBacking(): DiskImage | undefined {
    if (this.#backing === undefined) return undefined;
    const file = this.file(this.#backing.path, 'read');
    const image = this.#backing.isRaw ? RawImage.open(file, false) : Qcow2Image.open(file, undefined, false);
    if (!image.ok) throw new Error(image.error.detail);
    return image.value;
  }

  /** qemu-img finds nothing wrong, and reads what the model says. */
  judge(model: Uint8Array): void {
    qemuImg('check', '-q', this.path);
    const raw = join(this.folder, 'out.raw');
    qemuImg('convert', '-q', '-O', 'raw', this.path, raw);
    const bytes = readFileSync(raw);
    assert.is(bytes.byteLength, model.byteLength);
    const at = bytes.findIndex((byte, i) => byte !== model[i]);
    assert.is(at, -1, `byte ${at} differs`);
  }

  dispose(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

for (const variant of VARIANTS) {
  const { title, snapshot = false, dies = false, operations = 900 } = variant;
  if (!HAS_QEMU_IMG) {
    test.skip(title, 'qemu-img is not installed');
    continue;
  }
  test(
    title,
    () => {
      const bench = new Workbench();
      try {
        const model = bench.create(variant);
        const random = seededRandom(0x71636f77, title);
        const load = { random, operations: operations / 3, bytesMax: 2 * MIB };
        let image = bench.open(false);
        exercise(image, model, load);
        if (dies && !snapshot) image = bench.open(true);
        else {
          assert.ok(image.close().ok);
          bench.judge(model);
          if (snapshot) qemuImg('snapshot', '-c', 'middle', bench.path);
          image = bench.open(false);
        }
        const before = model.slice();
        compareAll(image, model);
        exercise(image, model, load);
        if (dies) image = bench.open(true);
        exercise(image, model, load);
        compareAll(image, model);
        const closed = image.close();
        assert.ok(closed.ok, closed.ok ? '' : closed.error.detail);
        bench.judge(model);
        if (snapshot) {
          qemuImg('snapshot', '-a', 'middle', bench.path);
          bench.judge(before);
        }
      } finally {
        bench.dispose();
      }
    },
    { deadlineMs: 120_000 },
  );
}

test.run();
