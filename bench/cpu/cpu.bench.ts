/**
 * The CPU against QEMU's TCG: the same bare-metal image on both (test/guests/bin/bench.elf), in turn, several rounds; a
 * kernel's time is the least of all rounds on each side, because what else the machine does only ever adds. A round has all
 * groups, so that a kernel's measurements lie half a minute apart: another user of the same core (shared-core.ts) comes and goes
 * in seconds, and would be there in all of them on one side and in not all on the other.
 */
import { qemuSystemVersion, runUnderQemu } from '../../test/drivers/qemu-system.js';
import { runUnderWurley } from '../../test/drivers/wurley.js';
import { type BenchLine, guestImage, parseBench } from '../../test/guests/reports.js';
import type { Bench, BenchSuite, Target } from '../report.js';
import { measureInterrupts } from './interrupts.js';
import { measureMemory } from './memory.js';
import { SharedCore } from './shared-core.js';

const ROUNDS = 5;
const SMP_ROUNDS = 5;
const DEADLINE_MS = 120_000;
const MEMORY_MIB = 256;

/** Kernels of a figure, and what their geometric mean must reach as QEMU's time over ours. */
interface Group {
  readonly id: string;
  readonly run: string;
  readonly target: Target;
  readonly cpus: number;
  /** Shortest measurement in guest milliseconds. */
  readonly ms: number;
  /** What each single kernel must reach, if anything. */
  readonly each?: Target;
  /** Only these kernels count; default all of the group. */
  readonly only?: readonly string[];
}

const faster = (bound: number): Target => ({ op: '>=', bound });
const GROUPS: readonly Group[] = [
  { id: 'cpu.integer', run: 'cpu.integer', target: faster(1.2), each: faster(0.8), cpus: 1, ms: 50 },
  { id: 'cpu.fp', run: 'cpu.fp', target: faster(3), cpus: 1, ms: 50 },
  { id: 'cpu.simd', run: 'cpu.simd', target: faster(1.5), cpus: 1, ms: 50 },
  { id: 'cpu.crypto', run: 'cpu.crypto', target: faster(1), cpus: 1, ms: 50 },
  { id: 'cpu.system', run: 'cpu.system', target: faster(1.5), cpus: 1, ms: 30 },
  { id: 'cpu.system.asid', run: 'asid-switch', target: faster(4), cpus: 1, ms: 30 },
  { id: 'cpu.hvc', run: 'cpu.hvc', target: faster(1 / 1.5), cpus: 1, ms: 30 },
  { id: 'cpu.cold', run: 'cpu.cold', target: faster(1 / 3), cpus: 1, ms: 30 },
];

type Times = Map<string, { ns: number; checksum: string }>;

/** Keeps the least time per operation of each kernel. */
function keepLeast(times: Times, lines: readonly BenchLine[]): void {
  for (const { name, iterations, ns, checksum } of lines) {
    const each = ns / iterations;
    const known = times.get(name);
    if (known === undefined || each < known.ns) times.set(name, { ns: each, checksum });
  }
}

/** What was measured of one group on each side. */
interface Measured {
  readonly ours: Times;
  readonly qemu: Times;
}

/** Runs one group once on both sides. */
async function measure(bench: Bench, group: Group, { ours, qemu }: Measured, core: SharedCore): Promise<void> {
  const bootargs = `run=${group.run} ms=${group.ms}`;
  const image = guestImage('bench');
  core.look();
  const theirs = await runUnderQemu({
    image,
    cpus: group.cpus,
    memoryMiB: MEMORY_MIB,
    bootargs,
    cpu: 'cortex-a53',
    deadlineMs: DEADLINE_MS,
  });
  if (theirs.ok) keepLeast(qemu, parseBench(theirs.value.console) ?? []);
  else bench.note(`${group.id}: QEMU: ${theirs.error.text}`);
  core.look();
  const mine = await runUnderWurley({
    boot: ['--kernel', image],
    cpus: group.cpus,
    memoryMiB: MEMORY_MIB,
    bootargs,
    deadlineMs: DEADLINE_MS,
  });
  const lines = mine.ok ? parseBench(mine.value.console) : undefined;
  if (lines !== undefined) keepLeast(ours, lines);
  else
    bench.note(
      `${group.id}: wurley: ${mine.ok ? `exit ${mine.value.exitCode} ${mine.value.errors.slice(-200)}` : mine.error.text}`,
    );
}

/** Reports the kernels of a group and their geometric mean. */
function reportGroup(bench: Bench, group: Group, { ours, qemu }: Measured): void {
  let logs = 0;
  let count = 0;
  for (const [name, mine] of ours) {
    const theirs = qemu.get(name);
    if (theirs === undefined) continue;
    if (theirs.checksum !== mine.checksum)
      throw new Error(`${name}: checksum ${mine.checksum}, QEMU's is ${theirs.checksum}`);
    const ratio = theirs.ns / mine.ns;
    logs += Math.log(ratio);
    count++;
    if (group.each !== undefined)
      bench.ratio(`${group.id}.${name}`, mine.ns, 'ns', `QEMU TCG, ${theirs.ns.toFixed(1)} ns`, ratio, group.each);
    else
      bench.note(
        `${group.id}.${name}: ${mine.ns.toFixed(1)} ns, QEMU ${theirs.ns.toFixed(1)} ns, ${ratio.toFixed(2)}x`,
      );
  }
  if (count === 0) return;
  const mean = Math.exp(logs / count);
  bench.ratio(group.id, mean, 'x', `QEMU TCG, geometric mean of ${count}`, mean, group.target);
}

/** Two vCPUs against one: independent kernels on two cores. */
async function measureSmp(bench: Bench): Promise<void> {
  const image = guestImage('bench');
  const speedUps: number[] = [];
  for (let round = 0; round < SMP_ROUNDS; round++) {
    const run = {
      boot: ['--kernel', image],
      cpus: 2,
      memoryMiB: MEMORY_MIB,
      bootargs: 'run=cpu.smp ms=200',
      deadlineMs: DEADLINE_MS,
    };
    const outcome = await runUnderWurley(run);
    const lines = outcome.ok ? parseBench(outcome.value.console) : undefined;
    const rate = (name: string): number | undefined => {
      const line = lines?.find((candidate) => candidate.name === name);
      return line === undefined ? undefined : line.iterations / line.ns;
    };
    const one = rate('smp-one');
    const two = rate('smp-two');
    if (one !== undefined && two !== undefined) speedUps.push(two / one);
  }
  const best = Math.max(...speedUps);
  if (speedUps.length > 0)
    bench.ratio('cpu.smp', best, 'x', 'one vCPU of the same run, best of rounds', best, faster(1.8));
}

export default {
  title: 'AArch64 kernels against qemu-system-aarch64 -M virt -cpu cortex-a53 (TCG), the same image',
  ids: [...GROUPS.map((group) => group.id), 'cpu.smp', 'cpu.irq', 'cpu.irq.timer', 'cpu.irq.own', 'cpu.memory'],
  async run(bench) {
    const version = qemuSystemVersion();
    if (version === undefined) {
      bench.note('skipped: qemu-system-aarch64 is not installed');
      return;
    }
    bench.note(`${version}; one vCPU thread each unless said; least of ${ROUNDS} rounds, QEMU and Wurley in turn`);
    const measured = GROUPS.map((group) => ({ group, times: { ours: new Map(), qemu: new Map() } satisfies Measured }));
    const core = new SharedCore();
    for (let round = 0; round < ROUNDS; round++)
      for (const { group, times } of measured) await measure(bench, group, times, core);
    for (const { group, times } of measured) reportGroup(bench, group, times);
    const { looks, shared, worst } = core.report;
    bench.note(
      `another user of the core was seen in ${shared} of ${looks} looks, one between two runs; a loop limited by the front end took up to ${worst.toFixed(2)} times as long`,
    );
    await measureSmp(bench);
    await measureInterrupts(bench);
    await measureMemory(bench);
  },
} satisfies BenchSuite;
