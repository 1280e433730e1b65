/** Damaged device trees and odd initial RAM disks by the thousand, through the boot planner that `wurley run` uses. */
import * as assert from 'uvu/assert';
import { checkPlan, RAM_BYTES, SAMPLE_REQUEST } from '../../test/harness/kernel-samples.js';
import { mutate, seededRandom } from '../../test/harness/mutations.js';
import { spec } from '../../test/harness/spec.js';
import { faultSentence } from './boot-fault.js';
import { planBoot } from './boot-plan.js';
import { machineTree } from './device-tree/machine-tree.js';
import { writeTree } from './device-tree/write-tree.js';
import type { Unpackers } from './unpackers.js';

const test = spec('damaged-trees');
const DAMAGED = 5_000;
const MS_MAX = 1_000;
const BYTES_MAX = 1 << 30;
const unused = async () => ({ ok: false, error: 'is not packed' }) as const;
const NO_UNPACKERS: Unpackers = { gzip: unused, xz: unused, zstd: unused };

/** Plans a boot and checks what comes of it; true when it was refused. */
async function isRefused(more: Partial<typeof SAMPLE_REQUEST>): Promise<boolean> {
  const started = process.cpuUsage();
  const plan = await planBoot({ ...SAMPLE_REQUEST, acpi: 'off', ...more }, NO_UNPACKERS);
  const { user, system } = process.cpuUsage(started);
  assert.ok((user + system) / 1000 < MS_MAX, `took ${(user + system) / 1000} ms`);
  if (plan.ok) checkPlan(plan.value);
  else assert.match(faultSentence(plan.error), /^[^\n]{5,300}$/);
  return !plan.ok;
}

function checkMemory(what: string, refused: number): void {
  const { rss } = process.memoryUsage();
  assert.ok(rss < BYTES_MAX, `resident ${Math.round(rss / 1048576)} MiB`);
  process.stdout.write(`  ${what}: ${refused} of ${DAMAGED} refused, resident ${Math.round(rss / 1048576)} MiB\n`);
}

test(
  `${DAMAGED} damaged device trees each end in a sound plan or one sentence, within a second and 1 GiB`,
  async () => {
    const tree = writeTree(machineTree(SAMPLE_REQUEST.machine, { bootArguments: 'console=ttyAMA0' }));
    assert.not.ok(await isRefused({ deviceTree: { file: 'good', bytes: tree } }));
    const random = seededRandom(77);
    let refused = 0;
    for (let i = 0; i < DAMAGED; i++) {
      const bytes = mutate(tree, random, 64);
      if (await isRefused({ deviceTree: { file: 'bad.dtb', bytes } })) refused += 1;
    }
    assert.ok(refused > DAMAGED / 20);
    checkMemory('trees', refused);
  },
  { deadlineMs: 240_000 },
);

test(
  `${DAMAGED} initial RAM disks of any size and content lie in memory beside the rest, or are refused`,
  async () => {
    const random = seededRandom(78);
    // The planner copies nothing: one large buffer serves for all sizes.
    const content = new Uint8Array(RAM_BYTES + (1 << 20));
    let refused = 0;
    for (let i = 0; i < DAMAGED; i++) {
      const scale = [16, 4096, 1 << 20, RAM_BYTES, content.length][i % 5] ?? 16;
      const bytes = content.subarray(0, Math.floor(random() * scale));
      bytes[0] = Math.floor(random() * 256);
      if (await isRefused({ initrd: { file: 'bad.cpio', bytes } })) refused += 1;
    }
    assert.ok(refused > 0 && refused < DAMAGED);
    assert.ok(await isRefused({ initrd: { file: 'empty', bytes: new Uint8Array(0) } }));
    checkMemory('initial RAM disks', refused);
  },
  { deadlineMs: 240_000 },
);
test.run();
