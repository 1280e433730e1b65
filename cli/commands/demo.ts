/**
 * `wurley demo`: shows the bus at work between two actors in two workers: raw messages through a queue, typed tells, questions and
 * answers, and a restart after a crash, in turns, so that each is measured with nothing of ours beside it.
 */
import type { ActorRef } from '../../actors/runtime/protocol.js';
import { ActorSystem } from '../../actors/runtime/system.js';
import { createQueue } from '../../bus/message-queue/queue-layout.js';
import { type ListenerProtocol, RAW_BYTES, type TalkerProtocol } from '../demo/demo-protocol.js';
import { listenerKind } from '../demo/listener.actor.js';
import { talkerKind } from '../demo/talker.actor.js';
import { EXIT_SOFTWARE, EXIT_USAGE, type Terminal, type Verb } from '../program.js';

const SECONDS_DEFAULT = 5;
const SECONDS_MAX = 3_600;
const RAW_DEPTH = 1024;
/** Messages per turn: some tens of milliseconds of each. */
const COUNT = { raw: 300_000, tells: 30_720, asks: 1_000 } as const;
const JOB_MS_MAX = 30_000;

/** See the file comment. */
export const addDemo: Verb = (program, terminal, done) => {
  program
    .command('demo')
    .description('show the message bus at work for a few seconds')
    .option('--seconds <n>', `how long to run, 1 .. ${SECONDS_MAX}`, String(SECONDS_DEFAULT))
    .action(async (options: { readonly seconds: string }) => {
      const seconds = Number(options.seconds);
      if (!Number.isInteger(seconds) || seconds < 1 || seconds > SECONDS_MAX) {
        terminal.err(`wurley: --seconds takes a whole number from 1 to ${SECONDS_MAX}, not "${options.seconds}".\n`);
        done(EXIT_USAGE);
        return;
      }
      done(await runDemo(terminal, seconds));
    });
};

/** What has been measured so far. */
interface Board {
  readonly raw: number[];
  readonly tells: number[];
  readonly p50: number[];
  readonly p99: number[];
  readonly restartsMs: number[];
}

interface Actors {
  readonly system: ActorSystem;
  readonly listener: ActorRef<ListenerProtocol>;
  readonly talker: ActorRef<TalkerProtocol>;
}

async function runDemo(terminal: Terminal, seconds: number): Promise<number> {
  const stumbles: string[] = [];
  const system = new ActorSystem({
    onLog: (line) => stumbles.push(`${line.name}: ${line.text}`),
  });
  try {
    const queue = createQueue({ depth: RAW_DEPTH, messageBytesMax: RAW_BYTES, mode: 'single' });
    const listener = await system.spawn(listenerKind, { queue }, { name: 'listener' });
    if (!listener.ok) return refuse(terminal, `the actor listener did not start (${listener.error.reason})`);
    const config = { listener: listener.value, queue };
    const talker = await system.spawn(talkerKind, config, { name: 'talker' });
    if (!talker.ok) return refuse(terminal, `the actor talker did not start (${talker.error.reason})`);
    terminal.out('Two actors in two workers, a bus of queues in shared memory between them. Ctrl-C ends early.\n\n');
    const board: Board = { raw: [], tells: [], p50: [], p99: [], restartsMs: [] };
    const lost = await show(terminal, { system, listener: listener.value, talker: talker.value }, board, seconds);
    if (lost !== undefined) return refuse(terminal, `${lost} (${stumbles.at(-1) ?? 'nothing was logged'})`);
    return 0;
  } finally {
    await system.close();
  }
}

function refuse(terminal: Terminal, what: string): number {
  terminal.err(`wurley: ${what}.\n`);
  return EXIT_SOFTWARE;
}

/** Measures in turns until the time is over or the user interrupts; what went wrong, if anything did. */
async function show(terminal: Terminal, actors: Actors, board: Board, seconds: number): Promise<string | undefined> {
  const { clock } = actors.system;
  const startedMs = clock.monotonicMs();
  const untilMs = startedMs + seconds * 1000;
  let interrupted = false;
  const release = terminal.onInterrupt(() => {
    interrupted = true;
  });
  try {
    let messages = 0;
    let drawn = 0;
    for (let turn = 0; turn === 0 || (!interrupted && clock.monotonicMs() < untilMs); turn++) {
      const lost = await measure(actors, board);
      if (lost !== undefined) return lost;
      messages += COUNT.raw + COUNT.tells + 2 * COUNT.asks;
      if (!terminal.isTTY) continue;
      if (drawn > 0) terminal.out(`\u001b[${drawn}A`);
      const lines = table(board);
      for (const line of lines) terminal.out(`\u001b[2K${line}\n`);
      drawn = lines.length;
    }
    if (!terminal.isTTY) for (const line of table(board)) terminal.out(`${line}\n`);
    const ranSeconds = ((clock.monotonicMs() - startedMs) / 1000).toFixed(1);
    terminal.out(
      `\n${messages.toLocaleString('en')} messages in ${ranSeconds} s, none lost or out of order, ${board.raw.length} turns. ` +
        'Against its peers: npm run bench -- bus\n',
    );
    return undefined;
  } finally {
    release();
  }
}

/** One turn of everything; what went wrong, if anything did. */
async function measure({ system, talker, listener }: Actors, board: Board): Promise<string | undefined> {
  const { sender, clock } = system;
  const options = { timeoutMs: JOB_MS_MAX };
  const raw = await sender.ask(talker, 'raw', { count: COUNT.raw }, options);
  if (!raw.ok) return 'raw messages were lost';
  board.raw.push(raw.value.perSecond);
  const tells = await sender.ask(talker, 'tells', { count: COUNT.tells }, options);
  if (!tells.ok) return 'typed messages were lost';
  board.tells.push(tells.value.perSecond);
  const asks = await sender.ask(talker, 'asks', { count: COUNT.asks }, options);
  if (!asks.ok) return 'a question was not answered';
  board.p50.push(asks.value.p50);
  board.p99.push(asks.value.p99);
  const crashedMs = clock.monotonicMs();
  if (!sender.tell(listener, 'stumble', {}).ok) return 'the listener takes no message';
  // Its mailbox outlives the crash: the question waits there for the next incarnation.
  const back = await sender.ask(listener, 'ping', { value: 1 }, options);
  if (!back.ok) {
    const again = await sender.ask(listener, 'ping', { value: 1 }, options);
    if (!again.ok) return 'the listener did not come back';
  }
  board.restartsMs.push(clock.monotonicMs() - crashedMs);
  return undefined;
}

function table(board: Board): string[] {
  const line = (what: string, middle: string, best: string): string =>
    `${what.padEnd(46)}${middle.padStart(12)}${best.padStart(12)}`;
  const row = (
    what: string,
    samples: readonly number[],
    good: 'high' | 'low',
    text: (value: number) => string,
  ): string => line(what, text(median(samples)), text(good === 'high' ? Math.max(...samples) : Math.min(...samples)));
  return [
    line('', 'median', 'best'),
    row(`message queue, ${RAW_BYTES} bytes, batches of 32`, board.raw, 'high', millions),
    row('actor tell, typed, msgpack', board.tells, 'high', millions),
    row('actor ask and answer, p50', board.p50, 'low', micro),
    row('actor ask and answer, p99', board.p99, 'low', micro),
    row('crash to the answer of the next incarnation', board.restartsMs, 'low', (ms) => `${ms.toFixed(1)} ms`),
  ];
}

function median(samples: readonly number[]): number {
  return [...samples].sort((a, b) => a - b)[samples.length >> 1] ?? 0;
}

function millions(perSecond: number): string {
  return `${(perSecond / 1e6).toFixed(2)} M/s`;
}

function micro(microseconds: number): string {
  return `${microseconds.toFixed(1)} us`;
}
