/** The verbs that look at a running lab and steer it: clients of its control socket and nothing else (docs/control.md). */
import type { Command } from 'commander';
import { err, ok, type Result } from '../../bus/result.js';
import { type ClientFault, ControlClient } from '../lab/control-client.js';
import type { LabView, VmView } from '../lab/control-views.js';
import type { LabStatistics } from '../lab/lab-statistics.js';
import { statisticsTable } from '../lab/statistics-table.js';
import { spanText, table } from '../lab/table.js';
import { WholeLines } from '../lab/whole-lines.js';
import { EXIT_USAGE, type Terminal, type Verb } from '../program.js';
import { EscapeReader } from '../terminal/escape.js';
import { rawMode } from '../terminal/raw-terminal.js';

/** No lab, or none that answers (sysexits.h EX_UNAVAILABLE). */
const EXIT_UNAVAILABLE = 69;
/** The lab refused (sysexits.h EX_TEMPFAIL for what may be asked again, EX_DATAERR otherwise). */
const EXIT_BUSY = 75;
const EXIT_DATA = 65;

interface LabOption {
  readonly lab?: string;
}
interface Failure {
  readonly exitCode: number;
  readonly text: string;
}
type Outcome = Result<number, Failure>;

/** A refusal's exit code: unknown names and bad arguments are usage, conflicts may be tried again. */
function failed({ text, status }: ClientFault): Result<never, Failure> {
  if (status === undefined) return err({ text, exitCode: EXIT_UNAVAILABLE });
  if (status === 400 || status === 404) return err({ text, exitCode: EXIT_USAGE });
  return err({ text, exitCode: status === 409 || status === 503 ? EXIT_BUSY : EXIT_DATA });
}

const vmPath = (vm: string, rest: string): string => `/v1/vms/${encodeURIComponent(vm)}/${rest}`;

/** A verb that asks a lab. */
type Ask<O> = (client: ControlClient, args: readonly string[], options: O, terminal: Terminal) => Promise<Outcome>;

/** Declares `name` with its options by `declare`; `ask` is carried out with the lab's client. */
function labVerb<O extends LabOption>(
  name: string,
  about: string,
  declare: (verb: Command) => Command,
  ask: Ask<O>,
): Verb {
  return (program, terminal, done) => {
    const verb = program.command(name).description(about);
    declare(verb)
      .option('--lab <name>', 'the lab, where several run')
      .action(async () => {
        const options = verb.opts<O>();
        const client = await ControlClient.find(options.lab, process.env);
        const outcome = client.ok
          ? await ask(client.value, verb.args, options, terminal)
          : err({ text: client.error, exitCode: EXIT_UNAVAILABLE });
        if (!outcome.ok) terminal.err(`wurley: ${outcome.error.text}.\n`);
        done(outcome.ok ? outcome.value : outcome.error.exitCode);
      });
  };
}

const VM_ARGUMENT = (verb: Command): Command => verb.argument('<vm>', 'name of the VM');
const stateText = ({ state, end }: VmView): string => {
  if (end === null || state === 'running' || state === 'starting') return state;
  return end.detail === '' ? `${state} (${end.reason})` : `${state} (${end.reason}: ${end.detail})`;
};

const addPs = labVerb(
  'ps',
  'list the VMs of a running lab',
  (verb) => verb,
  async (client, _args, _options, terminal) => {
    const vms = await client.json<readonly VmView[]>('GET', '/v1/vms');
    if (!vms.ok) return failed(vms.error);
    const rows = vms.value.map((vm) => [
      ...[vm.name, String(vm.vmid), stateText(vm), vm.state === 'running' ? spanText(vm.upSeconds) : '-'],
      ...[String(vm.restarts), vm.madeBy ?? '-'],
    ]);
    terminal.out(table([['VM', 'VMID', 'state', 'up', 'restarts', 'made by'], ...rows], [1, 4]));
    return ok(0);
  },
);

const addInspect = labVerb(
  'inspect',
  'print everything about a lab as JSON',
  (verb) => verb,
  async (client, _args, _options, terminal) => {
    const view = await client.json<LabView>('GET', '/v1/lab');
    if (!view.ok) return failed(view.error);
    terminal.out(`${JSON.stringify(view.value, undefined, 2)}\n`);
    return ok(0);
  },
);

interface GraceOptions extends LabOption {
  readonly grace?: string;
}
/** The body for --grace. */
function graceOf({ grace }: GraceOptions): Result<object, Failure> {
  if (grace === undefined) return ok({});
  const graceSeconds = Number(grace);
  if (grace !== '' && graceSeconds >= 0 && graceSeconds <= 86_400) return ok({ graceSeconds });
  return err({ text: `--grace takes a number of seconds, not "${grace}"`, exitCode: EXIT_USAGE });
}
const GRACE = (verb: Command): Command =>
  verb.option('--grace <seconds>', 'time to power off before it is ended by force (10)');

/** stop, kill, restart: one request, and the state after it. */
const changing = (name: string, about: string, declare: (verb: Command) => Command): Verb =>
  labVerb<GraceOptions>(
    name,
    about,
    (verb) => declare(VM_ARGUMENT(verb)),
    async (client, [vm = ''], options, terminal) => {
      const body = graceOf(options);
      if (!body.ok) return body;
      const changed = await client.json<VmView>('POST', vmPath(vm, name), body.value);
      if (!changed.ok) return failed({ ...changed.error, text: `${vm}: ${changed.error.text}` });
      terminal.out(`${changed.value.name}: ${stateText(changed.value)}\n`);
      return ok(0);
    },
  );

const addStop = changing('stop', 'power a VM of a lab off; it is not started again', GRACE);
const addKill = changing('kill', 'end a VM of a lab at once; it is not started again', (verb) => verb);
const addRestart = changing('restart', 'stop a VM of a lab and start it again', GRACE);

const addDown = labVerb<GraceOptions>('down', 'end a lab in order', GRACE, async (client, _args, options, terminal) => {
  const body = graceOf(options);
  if (!body.ok) return body;
  const ended = await client.json<object>('POST', '/v1/down', body.value);
  if (!ended.ok) return failed(ended.error);
  terminal.out(`${client.name}: ended\n`);
  return ok(0);
});

/** Streams to standard output until the answer ends or the user interrupts; `lines`: what makes that leave whole lines. */
async function show(client: ControlClient, path: string, terminal: Terminal, lines?: WholeLines): Promise<Outcome> {
  let release: (() => void) | undefined;
  const streamed = await client.stream(
    path,
    (piece) => (lines === undefined ? void process.stdout.write(piece) : lines.take(piece)),
    (cut) => {
      const interrupted = terminal.onInterrupt(cut);
      process.once('SIGTERM', cut);
      process.stdout.once('error', cut);
      release = () => {
        interrupted();
        process.off('SIGTERM', cut);
      };
    },
  );
  release?.();
  if (!streamed.ok) return failed(streamed.error);
  if (streamed.value) lines?.end();
  else lines?.cut();
  return ok(0);
}

interface LogOptions extends LabOption {
  readonly follow?: boolean;
  readonly tail?: string;
}
const addLogs = labVerb<LogOptions>(
  'logs',
  'print what a VM of a lab has printed',
  (verb) =>
    VM_ARGUMENT(verb).option('-f, --follow', 'go on with what comes').option('--tail <n>', 'only the last lines'),
  (client, [vm = ''], { follow, tail }, terminal) => {
    const query = new URLSearchParams({ ...(follow && { follow: '1' }), ...(tail !== undefined && { tail }) });
    return show(client, vmPath(vm, `log?${query}`), terminal);
  },
);

interface TraceOptions extends LabOption {
  readonly vm?: string;
  readonly only?: string;
  readonly follow?: boolean;
  readonly seconds?: string;
  readonly format: string;
}
const TRACE_SECONDS = '5';
const addTrace = labVerb<TraceOptions>(
  'trace',
  'tell every hypercall of a lab, decoded',
  (verb) =>
    verb
      .option('--vm <name>', 'only calls of this VM')
      .option('--only <groups>', 'some of msgq,bell,rm,hvc')
      .option('-f, --follow', 'until interrupted')
      .option('--seconds <n>', `end after so long (${TRACE_SECONDS})`)
      .option('--format <name>', 'text, json (lines), perfetto (for ui.perfetto.dev)', 'text'),
  (client, _args, { vm, only, follow, seconds, format }, terminal) => {
    const time = follow === true ? {} : { seconds: seconds ?? TRACE_SECONDS };
    const query = new URLSearchParams({
      format,
      ...time,
      ...(vm !== undefined && { vm }),
      ...(only !== undefined && { only }),
    });
    const lines = new WholeLines((text) => void process.stdout.write(text), format === 'perfetto');
    return show(client, `/v1/trace?${query}`, terminal, lines);
  },
);

interface StatsOptions extends LabOption {
  readonly follow?: boolean;
  readonly json?: boolean;
  readonly seconds: string;
}
const addStats = labVerb<StatsOptions>(
  'stats',
  'print what the VMs and queues of a lab do',
  (verb) =>
    verb
      .option('-f, --follow', 'again and again, until interrupted')
      .option('--json', 'as JSON')
      .option('--seconds <n>', 'time between two looks', '1'),
  async (client, _args, { follow, json, seconds }, terminal) => {
    const path = `/v1/stats?${new URLSearchParams({ seconds, ...(follow && { follow: '1' }) })}`;
    if (json === true) return show(client, path, terminal);
    if (follow !== true) {
      const statistics = await client.json<LabStatistics>('GET', path);
      if (!statistics.ok) return failed(statistics.error);
      terminal.out(statisticsTable(statistics.value));
      return ok(0);
    }
    let rest = '';
    let release: (() => void) | undefined;
    const streamed = await client.stream(
      path,
      (piece) => {
        const lines = (rest + piece.toString('utf8')).split('\n');
        rest = lines.pop() ?? '';
        for (const line of lines) {
          // WHY: the server's own lines.
          const text = statisticsTable(JSON.parse(line) as LabStatistics);
          terminal.out(terminal.isTTY ? `\u001b[H\u001b[2J${text}` : `${text}\n`);
        }
      },
      (cut) => {
        release = terminal.onInterrupt(cut);
      },
    );
    release?.();
    return streamed.ok ? ok(0) : failed(streamed.error);
  },
);

const CONSOLE_HELP = [
  'Ctrl-] q   leave the console; the VM goes on',
  'Ctrl-] s   press the power button',
  'Ctrl-] h   this help',
  'Ctrl-] Ctrl-]   send Ctrl-] to the VM',
] as const;

interface ConsoleOptions extends LabOption {
  readonly readOnly?: boolean;
  readonly tail: string;
}
const addConsole = labVerb<ConsoleOptions>(
  'console',
  'attach to the console of a VM of a lab; Ctrl-] q leaves it',
  (verb) =>
    VM_ARGUMENT(verb)
      .option('--read-only', 'look only; there may be many who look and one who types')
      .option('--tail <n>', 'begin with so many lines of what was printed before', '10'),
  async (client, [vm = ''], { readOnly, tail }, terminal) => {
    const attached = await client.console(vm, `tail=${encodeURIComponent(tail)}${readOnly === true ? '' : '&write=1'}`);
    if (!attached.ok) return failed({ ...attached.error, text: `${vm}: ${attached.error.text}` });
    const socket = attached.value;
    const { stdin, stdout } = process;
    const isTerminal = stdin.isTTY === true;
    const restore = rawMode();
    const size = (): void => {
      const body = { columns: stdout.columns ?? 80, rows: stdout.rows ?? 24 };
      if (isTerminal && stdout.isTTY) void client.json('POST', vmPath(vm, 'size'), body);
    };
    const say = (line: string): void => terminal.err(`${line}\r\n`);
    const reader = new EscapeReader(
      (bytes) => void socket.write(bytes),
      (command) => {
        if (command === 'quit') socket.end();
        else if (command === 'powerButton') void client.json('POST', vmPath(vm, 'stop'), {});
        else CONSOLE_HELP.forEach(say);
      },
    );
    const typed = (chunk: Buffer): void => {
      if (isTerminal) reader.take(chunk);
      else socket.write(chunk);
    };
    const inputEnded = (): void => void socket.end();
    if (readOnly !== true || isTerminal) {
      stdin.on('data', typed);
      stdin.once('end', inputEnded);
    }
    stdout.on('resize', size);
    size();
    const release = terminal.onInterrupt(() => void socket.end());
    await new Promise<void>((resolve) => {
      socket.on('data', (chunk) => void stdout.write(chunk));
      socket.on('error', () => socket.destroy());
      socket.on('close', () => resolve());
    });
    release();
    stdin.off('data', typed);
    stdin.off('end', inputEnded);
    stdin.pause();
    stdout.off('resize', size);
    restore();
    return ok(0);
  },
);

/** All of them. */
export const addLabVerbs: Verb = (program, terminal, done) => {
  const verbs = [addPs, addConsole, addLogs, addStop, addKill, addRestart, addDown, addTrace, addStats, addInspect];
  for (const verb of verbs) verb(program, terminal, done);
};
