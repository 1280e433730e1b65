/** Runs the load on every vCPU of a Debian guest and compares each result with the host's; no kernel warning is allowed. */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { checkResult, LOAD_SCRIPT } from './workload.js';

const MAIN = join(dirname(fileURLToPath(import.meta.url)), '..', '..', 'cli', 'main.js');
/** Lines of a kernel log that mean something is wrong. */
const TROUBLE =
  /\b(BUG|WARNING|Oops|Call trace|Kernel panic|Firmware Bug|RCU stall|rcu_\w+ (detected|self-detected)|soft lockup|hung task|blocked for more than|unhandled|Unable to handle)\b/i;
/** Boot, the last round and the shutdown may take this much longer than the load. */
const SLACK_MS = 240_000;
const PROBLEMS_MAX = 20;

/** How to soak. */
export interface SoakOptions {
  readonly image: string;
  readonly minutes: number;
  readonly cpus: number;
  readonly memoryMiB: number;
  /** Hears of progress about once a minute. */
  readonly report: (line: string) => void;
}

/** What came of it. */
export interface SoakOutcome {
  readonly results: number;
  readonly rounds: number;
  readonly exitCode: number | null;
  /** Wrong results, kernel warnings, missing ends; at most some. */
  readonly problems: readonly string[];
  /** Resident memory of the host process in MiB, after a quarter of the time and at the end. */
  readonly residentMiB: readonly [number, number];
}

/** The commands typed at the guest's shell. */
function commands({ minutes, cpus }: SoakOptions): string {
  const hotplug = '/sys/devices/system/cpu/cpu1/online';
  const toggling = `while [ $(date +%s) -lt $e ]; do sleep 20; echo 0 >${hotplug}; sleep 1; echo 1 >${hotplug}; done`;
  return [
    "cat >/tmp/load.sh <<'END_OF_LOAD'",
    `${LOAD_SCRIPT}END_OF_LOAD`,
    `e=$(($(date +%s) + ${Math.round(minutes * 60)}))`,
    // One more than there are processors: they must be taken turns on.
    ...Array.from({ length: cpus + 1 }, (_, worker) => `sh /tmp/load.sh ${worker} $e &`),
    ...(cpus > 1 ? [`(${toggling}) &`] : []),
    'wait',
    'echo "T $(cat /proc/sys/kernel/tainted)"',
    'echo "L begin"; dmesg; echo "L end"',
    'poweroff -f',
    '',
  ].join('\n');
}

function residentMiB(pid: number): number {
  try {
    return Math.round(Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024);
  } catch {
    return 0;
  }
}

/** See the head of this file. */
export function soak(options: SoakOptions): Promise<SoakOutcome> {
  const { image, minutes, cpus, memoryMiB, report } = options;
  const args = [MAIN, 'run', image, '--cpus', String(cpus), '--memory', `${memoryMiB}M`];
  const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'pipe'] });
  child.stdin.on('error', () => undefined);
  child.stdin.write(commands(options)); // left open: the guest's console does not end with what is typed
  const problems: string[] = [];
  const problem = (text: string): void => void (problems.length < PROBLEMS_MAX && problems.push(text.slice(0, 400)));
  const endedWorkers = new Set<string>();
  let results = 0;
  let rounds = 0;
  let sawLog = false;
  const take = (line: string): void => {
    const result = checkResult(line);
    if (result !== undefined) {
      results += 1;
      if (!result.right) problem(`wrong result: ${result.text}`);
      return;
    }
    const end = /^D (\d+) (\d+)$/.exec(line);
    if (end !== null) {
      endedWorkers.add(end[1] ?? '');
      rounds += Number(end[2]);
    } else if (/^T [1-9]/.test(line)) problem(`the kernel is tainted: ${line}`);
    else if (line === 'L end') sawLog = true;
    else if (TROUBLE.test(line)) problem(`the kernel says: ${line}`);
  };
  let rest = '';
  child.stdout.on('data', (chunk: Buffer) => {
    const lines = (rest + chunk.toString('latin1').replaceAll('\r', '')).split('\n');
    rest = lines.pop() ?? '';
    lines.forEach(take);
  });
  let errors = '';
  child.stderr.on('data', (chunk: Buffer) => {
    errors = (errors + chunk.toString('utf8')).slice(-2_000);
  });
  const pid = child.pid ?? 0;
  let early = 0;
  let late = 0;
  const startedMs = performance.now();
  const watching = setInterval(() => {
    const passed = performance.now() - startedMs;
    const now = residentMiB(pid);
    if (now > 0) late = now;
    if (early === 0 && passed > minutes * 15_000) early = now;
    if (Math.floor(passed / 60_000) !== Math.floor((passed - 5_000) / 60_000)) {
      report(
        `${Math.round(passed / 60_000)} min: ${results} results, ${problems.length} problems, ${now} MiB resident`,
      );
    }
  }, 5_000);
  const timer = setTimeout(
    () => {
      problem('the guest did not end in time');
      child.kill('SIGKILL');
    },
    minutes * 60_000 + SLACK_MS,
  );
  return new Promise((resolve) => {
    child.on('close', (exitCode) => {
      clearInterval(watching);
      clearTimeout(timer);
      if (exitCode !== 0) problem(`wurley run ended with ${exitCode}: ${errors}`);
      if (endedWorkers.size !== cpus + 1) problem(`${endedWorkers.size} of ${cpus + 1} workers reached their end`);
      if (!sawLog) problem('the kernel log was not seen to its end');
      resolve({ results, rounds, exitCode, problems, residentMiB: [early, late] });
    });
  });
}
