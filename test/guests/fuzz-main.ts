/**
 * `npm run fuzz:hypercalls -- [--calls 2000000] [--minutes 30]`: the Gunyah guest (gunyah/) with so many random hypercalls, a
 * quarter from each of four VMs at once, then an audit: what the host holds (frames, kernel objects, capabilities, actors) must
 * be what it held after the same guest with four calls. Then structure-aware calls of VMs that may create objects: a tenth as many from one
 * thread, against a model of capabilities, and as many as the random ones from four vCPUs at once (test/fixtures/gunyah/parallel-campaign.ts). Exits 1 when a check failed, the guest did not end in time, or something was left over.
 */
import { isDeepStrictEqual } from 'node:util';
import { VmHost } from '../../cli/host/vm-host.js';
import { callCampaign } from '../fixtures/gunyah/call-campaign.js';
import { parallelCampaign } from '../fixtures/gunyah/parallel-campaign.js';
import { campaignOptions, wholeNumber } from '../harness/campaign-options.js';
import { guestImage, parseSuite } from './reports.js';

/** VMs that make calls at once; test/guests/gunyah/main.c, `sharing`. */
const VMS = 4;
const MS_PER_MINUTE = 60_000;
const MEMORY_BYTES = 64 << 20;
/** Structured calls: one for so many random ones, so many from each seed. */
const STRUCTURED_SHARE = 10;
const CALLS_PER_SEED = 2500;
const SEED_FIRST = 5000;
/** Calls of each vCPU from one seed of those that are made at once. */
const PARALLEL_CALLS = 12_500;
const PARALLEL_VCPUS = 4;

const values = campaignOptions('npm run fuzz:hypercalls --', 'Random hypercalls of four VMs at once, and an audit.', {
  calls: { help: 'of all four VMs together; their seeds are 1000 to 1003', value: '2000000' },
  minutes: { help: 'after which a guest that has not ended is a failure', value: '30' },
});
const calls = wholeNumber('calls', values.calls, VMS);
const minutes = wholeNumber('minutes', values.minutes, 1);
const each = Math.ceil(calls / VMS);
const say = (line: string): void => void process.stdout.write(`${line}\n`);

/** What must be as before when the guest and its VMs are gone. */
async function holdings(host: VmHost): Promise<object> {
  return { ...(await host.census()), ...host.resources() };
}

/** Runs the guest once; what is wrong with it, a sentence each. */
async function life(host: VmHost, callsEach: number): Promise<string[]> {
  const started = await host.start({
    ...{ name: 'primary', boot: { kernel: guestImage('gunyah'), initrd: undefined }, append: `fuzz=${callsEach}` },
    ...{ memoryBytes: MEMORY_BYTES, cpus: 1, platform: 'gunyah', profile: 'P17', primary: true, console: 'pl011' },
    ...{ disks: [], rng: false, networks: [] },
  });
  if (!started.ok) return [started.error];
  const vm = started.value;
  let text = '';
  vm.output.subscribe((bytes) => {
    text += Buffer.from(bytes).toString('latin1').replaceAll('\r', '');
  });
  const timer = setTimeout(() => vm.kill(`it did not end within ${minutes} minutes`), minutes * MS_PER_MINUTE);
  const end = await vm.ended;
  clearTimeout(timer);
  const report = parseSuite(text);
  const problems = [...(report?.failures ?? [])];
  if (end.reason !== 'off') problems.push(`the guest ended by ${end.reason}: ${end.detail}`);
  if (report === undefined) problems.push(`the guest's report is not complete; its last lines:\n${text.slice(-400)}`);
  else say(`${VMS} x ${callsEach} calls: ${report.passed} checks passed, ${report.failed} failed`);
  return problems;
}

const opened = await VmHost.start({ primaryGuest: true, onLog: () => undefined });
if (!opened.ok) throw new Error(opened.error);
const host = opened.value;
const problems: string[] = [];
try {
  // The first life starts what stays, such as the resource manager.
  problems.push(...(await life(host, 1)));
  const before = await holdings(host);
  problems.push(...(await life(host, each)));
  const after = await holdings(host);
  say(`audit: ${JSON.stringify(after)}`);
  if (!isDeepStrictEqual(after, before)) problems.push(`the host held ${JSON.stringify(before)} before`);
} finally {
  await host.dispose();
}
let made = 0;
for (let seed = SEED_FIRST; made < calls / STRUCTURED_SHARE && problems.length === 0; seed++) {
  const end = await callCampaign(seed, CALLS_PER_SEED);
  made += end.calls;
  problems.push(...end.problems.map((problem) => `structured calls, seed ${seed}: ${problem}`));
}
say(`${made} structured calls, seeds from ${SEED_FIRST}`);
let parallel = 0;
let messages = 0;
for (let seed = SEED_FIRST; parallel < calls && problems.length === 0; seed++) {
  const end = await parallelCampaign(seed, Math.min(PARALLEL_CALLS, Math.ceil(calls / PARALLEL_VCPUS)));
  parallel += end.calls;
  messages += end.messages;
  problems.push(...end.problems.map((problem) => `calls at once, seed ${seed}: ${problem}`));
}
say(
  `${parallel} structured calls of ${PARALLEL_VCPUS} vCPUs at once with ${messages} messages, seeds from ${SEED_FIRST}`,
);
for (const problem of problems) say(`  ${problem}`);
const again = `npm run fuzz:hypercalls -- --calls ${calls} --minutes ${minutes}`;
say(`${problems.length === 0 ? 'nothing wrong' : 'something is wrong'} (${again})`);
process.exitCode = problems.length === 0 ? 0 : 1;
