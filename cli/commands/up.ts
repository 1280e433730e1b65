/** `wurley up LAB.yaml`: starts the VMs of a lab, shows their consoles and serves its control socket (docs/labs.md). */
import { spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Subject } from 'rxjs';
import { err, ok, type Result } from '../../bus/result.js';
import { VmHost } from '../host/vm-host.js';
import { hostReason } from '../host-reasons.js';
import { ControlClient } from '../lab/control-client.js';
import type { VmView } from '../lab/control-views.js';
import { type Lab, readLab } from '../lab/lab-file.js';
import { labJsonSchema } from '../lab/lab-schema.js';
import { type LabEnd, serveLab } from '../lab/serve-lab.js';
import { freeSocket, socketFolder } from '../lab/socket-path.js';
import { codeCacheFolder } from '../machine/code-cache.js';
import { EXIT_SOFTWARE, EXIT_USAGE, type Terminal, type Verb } from '../program.js';
import { onTermination } from '../terminal/raw-terminal.js';

/** A VM was reset or panicked and was not started again. */
const EXIT_RESET = 3;
/** The lab's file, or one it names, is refused (sysexits.h EX_DATAERR). */
const EXIT_DATA = 65;
/** A lab of this name runs already (EX_TEMPFAIL). */
const EXIT_BUSY = 75;
const PORT_MAX = 65_535;
const READY_TIMEOUT_MS = 120_000;
const READY_LOOK_MS = 50;

interface UpOptions {
  readonly detach?: boolean;
  readonly schema?: boolean;
  readonly stay?: boolean;
  readonly quiet?: boolean;
  readonly name?: string;
  readonly metrics?: string;
}
interface Failure {
  readonly exitCode: number;
  readonly text: string;
}
const refuse = (exitCode: number, text: string): Result<never, Failure> => err({ exitCode, text });

/** See the file comment. */
export const addUp: Verb = (program, terminal, done) => {
  program
    .command('up')
    .description('start the VMs of a lab and show their consoles')
    .argument('[file]', 'the lab (YAML)')
    .option('-d, --detach', 'in the background; wurley ps, logs, down and others look after it')
    .option('--stay', 'go on when every VM has ended (always so with --detach)')
    .option('-q, --quiet', 'do not show consoles')
    .option('--name <name>', 'call the lab so, whatever its file says')
    .option('--metrics <port>', 'serve /metrics for Prometheus on this port of 127.0.0.1; 0: a free one')
    .option('--schema', 'print the JSON Schema of lab files for editors, and end')
    .action(async (file: string | undefined, options: UpOptions) => {
      const ended = await up(file, options, terminal);
      if (!ended.ok) terminal.err(`wurley: ${ended.error.text.replace(/\.?$/, '.')}\n`);
      done(ended.ok ? ended.value : ended.error.exitCode);
    });
};

async function up(file: string | undefined, options: UpOptions, terminal: Terminal): Promise<Result<number, Failure>> {
  if (options.schema === true) {
    terminal.out(`${JSON.stringify(labJsonSchema(), undefined, 2)}\n`);
    return ok(0);
  }
  if (file === undefined) return refuse(EXIT_USAGE, 'wurley up takes the file of a lab');
  const metricsPort = options.metrics === undefined ? undefined : Number(options.metrics);
  if (metricsPort !== undefined && !(Number.isInteger(metricsPort) && metricsPort >= 0 && metricsPort <= PORT_MAX)) {
    return refuse(EXIT_USAGE, `--metrics takes a port, not "${options.metrics}"`);
  }
  if (options.name !== undefined && !/^[a-z][a-z0-9-]{0,31}$/.test(options.name)) {
    return refuse(EXIT_USAGE, `--name takes lower-case letters, digits and "-", not "${options.name}"`);
  }
  const path = resolve(file);
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (problem) {
    return refuse(EXIT_DATA, `${file}: cannot be read: ${hostReason(problem)}`);
  }
  const read = readLab(path, text);
  if (!read.ok) return refuse(EXIT_DATA, read.error);
  const lab = options.name === undefined ? read.value : { ...read.value, name: options.name };
  const socket = await freeSocket(socketFolder(process.env), lab.name);
  if (!socket.ok) return refuse(EXIT_BUSY, socket.error);
  if (options.detach === true) return detach(path, lab, socket.value, options, terminal);
  return serve(path, lab, socket.value, options, metricsPort, terminal);
}

async function serve(
  file: string,
  lab: Lab,
  socket: string,
  { stay, quiet }: UpOptions,
  metricsPort: number | undefined,
  terminal: Terminal,
): Promise<Result<number, Failure>> {
  const opened = await VmHost.start({
    primaryGuest: lab.vms.some(({ primary }) => primary),
    warm: 1,
    codeCacheFolder: codeCacheFolder(),
    onLog: (line) => terminal.err(`${line.name}: ${line.text}\n`),
  });
  if (!opened.ok) return refuse(EXIT_SOFTWARE, opened.error);
  const interrupts = new Subject<void>();
  let exitCode: number | undefined;
  // The second signal ends the VMs at once, in order all the same: what they noted for the translation cache is kept.
  const interrupt = (code: number): void => {
    exitCode ??= code;
    interrupts.next();
  };
  const release = onTermination(interrupt, (code) => {
    interrupt(code);
    return true;
  });
  const ended = await serveLab({
    ...{ lab, file, host: opened.value, socket, metricsPort, stays: stay === true, interrupts },
    display: { isTTY: terminal.isTTY, columns: terminal.columns, isQuiet: quiet === true, write: terminal.out },
    nowMs: () => performance.now(),
    onServed(served) {
      if (served.metricsPort !== undefined)
        terminal.err(`wurley: metrics at http://127.0.0.1:${served.metricsPort}/metrics\n`);
    },
  });
  release();
  if (!ended.ok) return refuse(EXIT_DATA, ended.error);
  return exitCode === undefined ? exitOf(ended.value) : ok(exitCode);
}

function exitOf({ crashed, reset, interrupted }: LabEnd): Result<number, Failure> {
  const [first] = crashed;
  if (interrupted) return ok(0);
  if (first !== undefined) return refuse(EXIT_SOFTWARE, first);
  return ok(reset.length > 0 ? EXIT_RESET : 0);
}

/** Starts the same command in the background and waits until its VMs have started. */
async function detach(
  file: string,
  lab: Lab,
  socket: string,
  { metrics }: UpOptions,
  terminal: Terminal,
): Promise<Result<number, Failure>> {
  const logFile = join(socketFolder(process.env), `${lab.name}.log`);
  const log = openSync(logFile, 'w', 0o600);
  const main = fileURLToPath(new URL('../main.js', import.meta.url));
  const more = metrics === undefined ? [] : ['--metrics', metrics];
  const child = spawn(process.execPath, [main, 'up', file, '--stay', '--quiet', '--name', lab.name, ...more], {
    detached: true,
    stdio: ['ignore', log, log],
  });
  closeSync(log);
  let ended = false;
  child.once('exit', () => {
    ended = true;
  });
  child.once('error', () => {
    ended = true;
  });
  const giveUpMs = performance.now() + READY_TIMEOUT_MS;
  const client = new ControlClient(lab.name, socket);
  const isUp = async (): Promise<boolean> => {
    const vms = await client.json<readonly VmView[]>('GET', '/v1/vms');
    return vms.ok && vms.value.every(({ state }) => state !== 'starting');
  };
  while (!ended && performance.now() < giveUpMs && !(await isUp())) {
    await new Promise((again) => setTimeout(again, READY_LOOK_MS));
  }
  if (ended) {
    const said = readFileSync(logFile, 'utf8').trimEnd().split('\n').at(-1) ?? '';
    return refuse(EXIT_DATA, said.replace(/^wurley: /, '') || `the lab ended at once; ${logFile} may tell why`);
  }
  child.unref();
  terminal.out(`${lab.name}: process ${child.pid}, log ${logFile}\n`);
  return ok(0);
}
