/**
 * Are the nets tight? Each test plants one bug in a copy of the compiled bus and demands that a net catches it. A bug whose
 * place is not found in the compiled text fails its test, so the list cannot rot.
 */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { match } from 'uvu/assert';
import { spec } from '../harness/spec.js';
import { SHIPPED, streamNet, wakeNet } from './nets.js';

const test = spec('planted bugs');

/** What is planted: in `file`, `find` (a pattern, so that formatting does not matter) becomes `replace`. */
interface Bug {
  readonly file: string;
  readonly find: RegExp;
  readonly replace: string;
}

const DEADLINE_MS = 10_000;
/** How long a bug may escape. */
const ESCAPE_MS_MAX = 200_000;
/** For the code as shipped: time for a busy machine, where a planted bug would only make the wait longer. */
const PATIENT_MS = 100_000;
const full = { depth: 5, count: 200_000, pauseEvery: 5000, batch: 1, spins: 200 } as const;
/** A whole run over the bus at `base`; a run that stands still fails after `deadlineMs`. */
type Net = (base: string, deadlineMs?: number) => Promise<void>;
const one: Net = (base, deadlineMs = DEADLINE_MS) =>
  streamNet({ ...full, base, deadlineMs, mode: 'single', producers: 1 });
const batched: Net = (base, deadlineMs = DEADLINE_MS) =>
  streamNet({ ...full, base, deadlineMs, mode: 'single', producers: 1, batch: 4 });
const many: Net = (base, deadlineMs = DEADLINE_MS) =>
  streamNet({ ...full, base, deadlineMs, mode: 'fan-in', producers: 4 });
const wakes: Net = (base, deadlineMs = DEADLINE_MS) => wakeNet(base, 5000, deadlineMs);

async function caught(bug: Bug, net: Net, runs = Number.POSITIVE_INFINITY, deadlineMs = DEADLINE_MS): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'wurley-planted-'));
  try {
    writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
    cpSync(fileURLToPath(SHIPPED), join(folder, 'bus'), { recursive: true });
    const file = join(folder, 'bus', bug.file);
    const text = readFileSync(file, 'utf8');
    const changed = text.replace(bug.find, bug.replace);
    if (changed === text) throw new Error(`${bug.file} has no place like ${bug.find}`);
    writeFileSync(file, changed);
    // On a busy machine the threads of one run may never have run side by side: the net is cast until something is caught.
    let outcome = 'not caught';
    const end = performance.now() + ESCAPE_MS_MAX;
    for (let run = 0; run < runs && outcome === 'not caught' && performance.now() < end; run++) {
      outcome = await net(pathToFileURL(`${join(folder, 'bus')}/`).href, deadlineMs).then(
        () => 'not caught',
        (problem: unknown) => `caught: ${problem instanceof Error ? problem.message : String(problem)}`,
      );
    }
    process.stdout.write(`  ${outcome}\n`);
    return outcome;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const bugs: ReadonlyArray<readonly [string, Bug, Net]> = [
  [
    'lost wake-up: the waiter does not look again after announcing itself',
    {
      file: 'doorbell/parking.js',
      find: /(Atomics\.store\(this\.words, this\.sleepers, 1\);)\s*if \(ready\(\)\)\s*return true;/,
      // The pause makes the gap between announcing and sleeping wide enough to be hit on a machine where threads take turns.
      replace: '$1 for (let i = 0; i < 3000; i++) Atomics.load(this.words, this.sleepers);',
    },
    wakes,
  ],
  [
    'lost wake-up: the sender does not look for sleepers',
    { file: 'message-queue/queue-sender.js', find: /this\.data\.unpark\(\);/g, replace: '' },
    wakes,
  ],
  [
    'off by one at the wrap: the ring is taken to be one slot shorter',
    { file: 'message-queue/queue-sender.js', find: /slotCount - 1/, replace: 'slotCount - 2' },
    one,
  ],
  [
    'missing full check',
    { file: 'message-queue/queue-sender.js', find: /if \(used < this\.depth\)\s*return 0;/, replace: 'return 0;' },
    one,
  ],
  [
    'double publish: staged messages are counted again',
    { file: 'message-queue/queue-sender.js', find: /this\.staged = 0;\s*let hasSpace/, replace: 'let hasSpace' },
    batched,
  ],
  [
    'publish before write: the tail moves when a place is reserved',
    {
      file: 'message-queue/queue-sender.js',
      find: /return (SLOTS_AT \+ \(next & this\.slotMask\))/,
      replace: 'Atomics.store(this.words, WORD.tail, (next + 1) | 0); return $1',
    },
    one,
  ],
  [
    'publish before write: a message that lies elsewhere is copied after its number is stored',
    {
      file: 'message-queue/queue-sender.js',
      find: /copyBytes\(message, this\.bytes, slot/,
      replace: 'Atomics.store(words, slot >> 2, (tail + 1) | 0); $&',
    },
    one,
  ],
  [
    'forgotten release order: the place is given back before the message is read',
    {
      file: 'message-queue/queue-receiver.js',
      find: /this\.sizeSeen = sizeBytes;/,
      replace: 'this.sizeSeen = sizeBytes; Atomics.store(this.words, this.headWord, (this.head + 1) | 0);',
    },
    one,
  ],
  [
    'no lock among producers',
    { file: 'message-queue/queue-sender.js', find: /this\.lock\?\.acquire\(\);/, replace: '' },
    many,
  ],
];

for (const [title, bug, net] of bugs) {
  test(title, async () => match(await caught(bug, net), /^caught/), { deadlineMs: ESCAPE_MS_MAX });
}

test(
  'the same nets pass on the code as shipped',
  async () => {
    const clean: Bug = { file: 'doorbell/parking.js', find: /$/, replace: '\n// unchanged\n' };
    for (const net of [one, batched, many, wakes]) match(await caught(clean, net, 1, PATIENT_MS), /^not caught/);
  },
  { deadlineMs: 420_000 },
);
test.run();
