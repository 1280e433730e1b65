/** `gh.start`: how soon a bare-metal VM is there, started through the resource manager, and what many of them hold. */
import type { LabVm } from '../../cli/lab/lab-host.js';
import { bareWorkerMs, settledRss } from '../bare-worker.js';
import { median, pairedRatio, quantile } from '../measure.js';
import type { Bench, BenchSuite } from '../report.js';
import { HostedVms, RAM_BYTES } from './hosted-vms.js';

const REPEATS = 15;
const VMS = 50;
const MIB = 2 ** 20;

async function run(bench: Bench): Promise<void> {
  bench.note(
    'placement: started from the main thread, one at a time, when the workers kept for the next VM are loaded; from the call to the byte on the console that the first instructions print',
  );
  const vms = await HostedVms.start();
  try {
    const [bare, ours, beats]: [number[], number[], number[]] = [[], [], []];
    for (let repeat = -2; repeat < REPEATS; repeat++) {
      await vms.host.prepare();
      const bareMs = await bareWorkerMs();
      const first = await vms.first('first');
      await vms.end(first.vm);
      await vms.host.prepare();
      const beating = await vms.vm('one');
      await vms.end(beating.vm);
      if (repeat < 0) continue;
      bare.push(bareMs);
      ours.push(first.tookMs);
      beats.push(beating.tookMs);
    }
    const against = `bare Worker (${median(bare).toFixed(1)} ms)`;
    bench.ratio('gh.start', median(ours), 'ms', against, pairedRatio(ours, bare), { op: '<=', bound: 2.5 });
    bench.value('gh.start.p99', quantile(ours, 0.99), 'ms');
    bench.value('gh.start.beat', median(beats), 'ms, until a message of the guest to itself has come back');
    bench.value('gh.start.beat.bare', pairedRatio(beats, bare), 'x a bare Worker');

    const before = await settledRss();
    const alive: LabVm[] = [];
    for (let n = 0; n < VMS; n++) alive.push((await vms.vm(`vm${n}`)).vm);
    // All of them still print, and have touched next to nothing of their memory.
    await Promise.all(alive.map((vm) => vms.prints(vm)));
    const each = ((await settledRss()) - before) / VMS / MIB;
    bench.note(`${VMS} VMs of ${RAM_BYTES / MIB} MiB alive, each printing; memory with the pages they have touched`);
    bench.ratio('gh.start.memory', each, 'MiB', '40 MiB a VM', each / 40, { op: '<=', bound: 1 });
    await Promise.all(alive.map((vm) => vms.end(vm)));
  } finally {
    await vms.close();
  }
}

const suite: BenchSuite = {
  title: 'starting a bare-metal VM through the resource manager, and many of them alive',
  ids: ['gh.start'],
  run,
};
export default suite;
