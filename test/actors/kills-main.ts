/** `npm run kills -- [--kills 100] [--kind virtio-blk]`: the campaign behind real-kills.integration.ts. Exits 1 when anything was wrong. */
import { campaignOptions, refuse, wholeNumber } from '../harness/campaign-options.js';
import { ProcessorLag } from '../harness/processor-lag.js';
import { killKind } from './real-kills.js';
import { REAL_KINDS } from './real-kinds.js';

const values = campaignOptions('npm run kills --', 'Kills every actor kind of the product while it serves.', {
  kills: { help: 'kills of each kind', value: '100' },
  kind: { help: "a part of an actor module's path: those kinds only", value: '' },
});
const kills = wholeNumber('kills', values.kills, 1);
const kinds = REAL_KINDS.filter(({ module }) => module.includes(values.kind));
if (kinds.length === 0) refuse(`--kind wants a part of an actor module's path, not "${values.kind}".`);
const say = (line: string): void => void process.stdout.write(`${line}\n`);
const share = (sorted: readonly number[], part: number): number => sorted[Math.ceil(sorted.length * part) - 1] ?? 0;
/** A kill counts as undisturbed when no thread of ours waited longer than this for a processor, in milliseconds. */
const UNDISTURBED_MS = 5;
const all: number[] = [];
const undisturbed: number[] = [];
// Its thread keeps no event loop alive, and there is nothing else yet.
const awake = setInterval(() => undefined, 1_000);
const lag = await ProcessorLag.start();
let wrong = 0;
for (const kind of kinds) {
  const startedMs = performance.now();
  try {
    const done = await killKind(kind, kills, lag);
    const delays = done.map(({ delayMs }) => delayMs).sort((a, b) => a - b);
    const quiet = done.filter(({ lagMs }) => lagMs <= UNDISTURBED_MS).map(({ delayMs }) => delayMs);
    quiet.sort((a, b) => a - b);
    all.push(...delays);
    undisturbed.push(...quiet);
    const worst = [...new Set(done.map(({ way }) => way))].map((way) => {
      const mine = done.filter((one) => one.way === way).map(({ delayMs }) => delayMs);
      return `${way} ${Math.max(...mine).toFixed(0)}`;
    });
    const tookS = Math.round((performance.now() - startedMs) / 1000);
    const withProcessor = `${quiet.length} with a processor free ${share(quiet, 0.99).toFixed(1)} ms`;
    say(
      `${kind.module}: ${delays.length} kills, seen within ${share(delays, 0.99).toFixed(1)} ms (p99), ${withProcessor}; worst: ${worst.join(', ')}; ${tookS} s`,
    );
  } catch (thrown) {
    wrong += 1;
    say(`${kind.module}: ${thrown instanceof Error ? thrown.message : String(thrown)}`);
  }
}
await lag.stop();
clearInterval(awake);
all.sort((a, b) => a - b);
undisturbed.sort((a, b) => a - b);
say(
  `${all.length} kills of ${kinds.length} kinds: seen within p50 ${share(all, 0.5).toFixed(1)} ms, p99 ${share(all, 0.99).toFixed(1)} ms; the ${undisturbed.length} with a processor free p99 ${share(undisturbed, 0.99).toFixed(1)} ms`,
);
say(
  `${wrong === 0 ? 'nothing wrong' : `${wrong} kinds went wrong`} (npm run kills -- --kills ${kills}${values.kind === '' ? '' : ` --kind ${values.kind}`})`,
);
process.exitCode = wrong === 0 ? 0 : 1;
