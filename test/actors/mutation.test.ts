/**
 * Do the nets hold? Each of these bugs is planted in a copy of the compiled runtime, and the simulator or the suite of real
 * workers must catch it. A pattern that no longer occurs fails the test: the mutation has to be kept up with the code.
 */
import { spawn } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as assert from 'uvu/assert';
import { spec } from '../harness/spec.js';

const test = spec('planted bugs in actors/runtime');
const DIST = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
/** How long a run with a bug may take before that counts as caught; one without is given much more. */
const NET_MS_MAX = { simulation: 10_000, workers: 60_000 } as const;
const PATIENT_MS = 300_000;

const NETS = {
  simulation: ['test/sim/main.js', '--seed', '1', '--runs', '25'],
  workers: ['actors/runtime/system.test.js'],
} as const;

interface Mutation {
  readonly bug: string;
  readonly file: string;
  readonly from: string;
  readonly to: string;
  readonly net: keyof typeof NETS;
}

const MUTATIONS: readonly Mutation[] = [
  {
    bug: 'lost wake-up: a mailbox with mail does not count as ready',
    file: 'actors/runtime/cell.js',
    from: 'this.#mailbox.mayHaveData() ||',
    to: 'false ||',
    net: 'simulation',
  },
  {
    bug: 'a message stays in the mailbox after it was taken',
    file: 'actors/runtime/cell.js',
    from: 'queue.release();',
    to: 'if (kind % 64 !== 1 && this.parity++ % 2) queue.release();',
    net: 'simulation',
  },
  {
    bug: 'one restart more than allowed',
    file: 'actors/runtime/restart-policy.js',
    from: 'length >= restartsMax',
    to: 'length > restartsMax',
    net: 'simulation',
  },
  {
    bug: 'the locks of a dead worker are not freed',
    file: 'actors/runtime/post-office.js',
    from: 'if (target >= 0) {',
    to: 'if (target >= 1e9) {',
    net: 'simulation',
  },
  {
    bug: 'queue memory of an ended actor is not given back',
    file: 'actors/runtime/post-office.js',
    from: 'this.#regions.release(places.at, places.sizeBytes);',
    to: '',
    net: 'simulation',
  },
  {
    bug: 'the watchdog does not see a spin',
    file: 'actors/runtime/supervisor.js',
    from: "this.#fail(record, 'spun'",
    to: "void (record, 'spun'",
    net: 'simulation',
  },
  {
    bug: 'a producer goes on before its message is in the mailbox',
    file: 'actors/runtime/endpoint.js',
    from: "return 'mailboxFull';",
    to: 'return undefined;',
    net: 'simulation',
  },
  {
    bug: 'askers of a dead actor are not told',
    file: 'actors/runtime/endpoint.js',
    from: 'this.board.noteAsker(slot, this.slot);',
    to: ';',
    net: 'workers',
  },
  {
    bug: 'a moved buffer stays alive at its sender',
    file: 'actors/runtime/endpoint.js',
    from: 'surrender(moving.moves);',
    to: ';',
    net: 'workers',
  },
];

/** Runs `net` in a copy of the compiled program in which `edit` was made; true when the net passes. */
async function passes(net: keyof typeof NETS, edit: (folder: string) => void, msMax: number): Promise<boolean> {
  const folder = mkdtempSync(join(tmpdir(), 'wurley-mutation-'));
  try {
    for (const part of ['actors/runtime', 'bus', 'test/sim', 'test/fixtures', 'test/harness']) {
      cpSync(join(DIST, part), join(folder, part), { recursive: true });
    }
    symlinkSync(realpathSync(join(DIST, '..', 'node_modules')), join(folder, 'node_modules'));
    writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
    edit(folder);
    const [script, ...args] = NETS[net];
    // Without the coverage of the tests themselves: a copy is not what is covered, and would only take longer.
    const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => name !== 'NODE_V8_COVERAGE'));
    const child = spawn(process.execPath, [join(folder, script), ...args], { stdio: 'ignore', env });
    const timer = setTimeout(() => child.kill('SIGKILL'), msMax);
    const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
    clearTimeout(timer);
    return code === 0;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

for (const net of ['simulation', 'workers'] as const) {
  test(`the ${net} net passes without a bug`, async () => assert.ok(await passes(net, () => undefined, PATIENT_MS)), {
    deadlineMs: PATIENT_MS,
  });
}

for (const { bug, file, from, to, net } of MUTATIONS) {
  test(
    `caught: ${bug}`,
    async () => {
      const survived = await passes(
        net,
        (folder) => {
          const text = readFileSync(join(folder, file), 'utf8');
          assert.is(text.split(from).length, 2, `${file} holds the pattern once: ${from}`);
          writeFileSync(join(folder, file), text.replace(from, to));
        },
        NET_MS_MAX[net],
      );
      assert.not(survived, `the ${net} net let it through`);
    },
    { deadlineMs: 2 * NET_MS_MAX.workers },
  );
}

test.run();
