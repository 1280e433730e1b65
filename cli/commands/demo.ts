/** `wurley demo`: shows the bus at work: two talkers stream lines into a listener's mailbox, each in a worker of its own. */
import type { ActorRef } from '../../actors/runtime/protocol.js';
import { ActorSystem } from '../../actors/runtime/system.js';
import { DemoCounters } from '../demo/demo-counters.js';
import type { TalkerProtocol } from '../demo/demo-protocol.js';
import { listenerKind } from '../demo/listener.actor.js';
import { talkerKind } from '../demo/talker.actor.js';
import { EXIT_SOFTWARE, EXIT_USAGE, type Terminal, type Verb } from '../program.js';

const SECONDS_DEFAULT = 5;
const SECONDS_MAX = 3_600;
const TALKERS = 2;
const FRAME_MS_TTY = 250;
const FRAME_MS_PLAIN = 1_000;

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

interface Talker {
  readonly name: string;
  readonly ref: ActorRef<TalkerProtocol>;
  readonly counters: DemoCounters;
  handledBefore: number;
}

async function runDemo(terminal: Terminal, seconds: number): Promise<number> {
  const system = new ActorSystem({ onLog: (line) => terminal.err(`${line.name}: ${line.text}\n`) });
  try {
    const counters = Array.from({ length: TALKERS }, () => new DemoCounters());
    const memory = counters.map((set) => set.memory);
    const listener = await system.spawn(listenerKind, { counters: memory }, { name: 'listener' });
    if (!listener.ok) return refuse(terminal, 'listener', listener.error.reason);
    const talkers: Talker[] = [];
    for (const [id, set] of counters.entries()) {
      const name = `talker-${id}`;
      const config = { talker: id, listener: listener.value, counters: set.memory };
      const spawned = await system.spawn(talkerKind, config, { name });
      if (!spawned.ok) return refuse(terminal, name, spawned.error.reason);
      talkers.push({ name, ref: spawned.value, counters: set, handledBefore: 0 });
    }
    terminal.out('Three actors in three workers; every line is a msgpack message in a shared-memory queue,\n');
    terminal.out('a doorbell says when a batch was taken. Ctrl-C ends early.\n\n');
    const startedMs = system.clock.monotonicMs();
    for (const talker of talkers) system.sender.tell(talker.ref, 'go', {});
    await show(terminal, system, talkers, seconds);
    for (const talker of talkers) system.sender.tell(talker.ref, 'quiet', {});
    const ranSeconds = (system.clock.monotonicMs() - startedMs) / 1000;
    summarise(terminal, talkers, ranSeconds);
    return 0;
  } finally {
    await system.close();
  }
}

function refuse(terminal: Terminal, name: string, reason: string): number {
  terminal.err(`wurley: the actor ${name} did not start (${reason}).\n`);
  return EXIT_SOFTWARE;
}

/** Draws until the time is over or the user interrupts: a table that stays in place, or a line a second without a terminal. */
async function show(terminal: Terminal, system: ActorSystem, talkers: Talker[], seconds: number): Promise<void> {
  const untilMs = system.clock.monotonicMs() + seconds * 1000;
  const frameMs = terminal.isTTY ? FRAME_MS_TTY : FRAME_MS_PLAIN;
  let interrupted = false;
  let wake = (): void => undefined;
  const release = terminal.onInterrupt(() => {
    interrupted = true;
    wake();
  });
  let drawn = 0;
  let beforeMs = system.clock.monotonicMs();
  while (!interrupted && system.clock.monotonicMs() < untilMs) {
    const leftMs = untilMs - system.clock.monotonicMs();
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, Math.min(frameMs, leftMs));
      wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    const nowMs = system.clock.monotonicMs();
    const depth = system.inspect().find((line) => line.name === 'listener')?.mailboxDepth ?? 0;
    const lines = talkers.map((talker) => row(talker, depth, (nowMs - beforeMs) / 1000));
    beforeMs = nowMs;
    if (terminal.isTTY) {
      if (drawn > 0) terminal.out(`\u001b[${drawn}A`);
      const table = [HEADER, ...lines];
      for (const line of table) terminal.out(`\u001b[2K${line}\n`);
      drawn = table.length;
    } else for (const line of lines) terminal.out(`${line.trim()}\n`);
  }
  release();
}

const HEADER = `${'queue'.padEnd(22)}${'depth'.padStart(7)}${'messages/s'.padStart(13)}${'doorbell'.padStart(11)}${'rtt p50'.padStart(12)}${'rtt p99'.padStart(12)}`;

function row(talker: Talker, depth: number, seconds: number): string {
  const { counters } = talker;
  const handled = counters.total('handled');
  const rate = Math.round((handled - talker.handledBefore) / Math.max(seconds, 0.001));
  talker.handledBefore = handled;
  const cells = [
    String(depth).padStart(7),
    rate.toLocaleString('en').padStart(13),
    String(counters.total('rings')).padStart(11),
    micro(counters.roundTripQuantile(0.5)).padStart(12),
    micro(counters.roundTripQuantile(0.99)).padStart(12),
  ];
  return `${`${talker.name} > listener`.padEnd(22)}${cells.join('')}`;
}

function micro(microseconds: number | undefined): string {
  return microseconds === undefined ? '-' : `${microseconds.toFixed(1)} us`;
}

function summarise(terminal: Terminal, talkers: readonly Talker[], seconds: number): void {
  const total = (what: 'sent' | 'handled' | 'rings' | 'refused' | 'samples'): number =>
    talkers.reduce((sum, talker) => sum + talker.counters.total(what), 0);
  const rate = Math.round(total('handled') / seconds).toLocaleString('en');
  const p50 = talkers.map((talker) => micro(talker.counters.roundTripQuantile(0.5))).join(' and ');
  terminal.out(
    `\n${total('handled').toLocaleString('en')} messages in ${seconds.toFixed(1)} s (${rate}/s), ` +
      `${total('rings').toLocaleString('en')} doorbell rings, ${total('samples').toLocaleString('en')} round trips (p50 ${p50}), ` +
      `${total('refused')} sends refused by a full mailbox.\n`,
  );
}
