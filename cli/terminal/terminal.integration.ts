/** `wurley run` on a real terminal: raw mode, the escape, signals, a closed output; the terminal is as before, always. */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as assert from 'uvu/assert';
import { FIRST_SIZE, HAS_TERMINALS, TerminalRun } from '../../test/drivers/terminal.js';
import { ECHO } from '../../test/fixtures/echo-guest.js';
import { spec } from '../../test/harness/spec.js';

const test = spec('wurley run on a terminal');
const MAIN = join(dirname(fileURLToPath(import.meta.url)), '..', 'main.js');
const MINUTE = 60_000;
/** Prints nothing. */
const SILENT = [0xd503207f, 0x17ffffff] as const; // loop: wfi; b loop

const folder = mkdtempSync(join(tmpdir(), 'wurley-terminal-'));
function program(name: string, words: readonly number[]): string {
  const path = join(folder, name);
  const bytes = Buffer.alloc(words.length * 4);
  for (const [n, word] of words.entries()) bytes.writeUInt32LE(word >>> 0, n * 4);
  writeFileSync(path, bytes);
  return path;
}
const echo = program('echo.bin', ECHO);
const silent = program('silent.bin', SILENT);
const wurley = (...words: string[]): string[] => [process.execPath, MAIN, ...words];
const command = (kernel: string, ...more: string[]): string[] => wurley('run', '--kernel', kernel, ...more);

/** Runs `body` against the echo program on a terminal and checks how it ends. */
async function onTerminal(exitCode: number, body: (terminal: TerminalRun) => Promise<void>): Promise<string> {
  const terminal = new TerminalRun(command(echo), MINUTE);
  await terminal.sees('!');
  await body(terminal);
  const end = await terminal.ended();
  assert.is(end.exitCode, exitCode, end.shown);
  assert.ok(end.before.includes('icanon'));
  assert.is(end.after, end.before, 'the terminal is as before');
  return end.shown;
}

const cases: readonly (readonly [string, number, (terminal: TerminalRun) => Promise<void>])[] = [
  [
    'keys go to the guest as they are, Ctrl-C too; Ctrl-] h, i, s and q are ours',
    130,
    async (terminal) => {
      terminal.type('ab\x03c\x1d\x1dd');
      await terminal.sees('ab\x03c\x1dd');
      terminal.type('\x1dh');
      await terminal.sees('Ctrl-] q   stop the machine at once');
      terminal.type('\x1di');
      await terminal.sees(/cpu 0: running, pc 0x4008/);
      terminal.type('\x1ds');
      await terminal.sees('power button pressed');
      terminal.type('\x1dq');
    },
  ],
  [
    'SIGTERM after a SIGINT',
    143,
    async (terminal) => {
      terminal.signal('SIGINT');
      await terminal.sees('power button pressed; a second signal');
      terminal.signal('SIGTERM');
    },
  ],
  ['SIGHUP', 129, async (terminal) => terminal.signal('SIGHUP')],
  [
    'SIGINT twice',
    130,
    async (terminal) => {
      terminal.signal('SIGINT');
      await terminal.sees('power button pressed; a second signal');
      terminal.signal('SIGINT');
    },
  ],
];

if (!HAS_TERMINALS) test.skip('terminals', 'script(1) of util-linux is not installed');
else {
  for (const [title, exitCode, body] of cases) {
    test(title, async () => void (await onTerminal(exitCode, body)), { deadlineMs: 2 * MINUTE });
  }
  test(
    'a timeout, and a boot that says nothing says so',
    async () => {
      const terminal = new TerminalRun(command(silent, '--timeout', '3'), MINUTE);
      await terminal.sees('the guest is starting');
      const end = await terminal.ended();
      assert.is(end.exitCode, 124, end.shown);
      assert.is(end.after, end.before);
    },
    { deadlineMs: 2 * MINUTE },
  );
  test(
    'a Debian guest on the virtio console knows the size of the window, and learns of another',
    async () => {
      const terminal = new TerminalRun(wurley('run', 'debian:6.1-cloud', '--console', 'virtio'), 3 * MINUTE);
      await terminal.sees('wurley:/#', 2 * MINUTE);
      terminal.type('stty size\n');
      await terminal.sees(`\n${FIRST_SIZE.rows} ${FIRST_SIZE.columns}\n`);
      terminal.resize(132, 44);
      // The new size comes by an interrupt, at its time.
      terminal.type('until stty size | grep -q 132; do usleep 50000; done; stty size\n');
      await terminal.sees('\n44 132\n');
      terminal.type('poweroff -f\n');
      const end = await terminal.ended();
      assert.is(end.exitCode, 0, end.shown);
      assert.is(end.after, end.before.replace('rows 30; columns 90', 'rows 44; columns 132'));
    },
    { deadlineMs: 4 * MINUTE },
  );
  test(
    'a terminal that goes away takes the machine with it',
    async () => {
      const terminal = new TerminalRun(command(echo), MINUTE);
      await terminal.sees('!');
      const pid = terminal.pid;
      terminal.hangUp();
      for (let waited = 0; alive(pid); waited += 50) {
        if (waited > 30_000) throw new Error('it runs on without a terminal');
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    },
    { deadlineMs: 2 * MINUTE },
  );
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

test(
  'an output nobody reads any more ends the machine without a word',
  async () => {
    const child = spawn(process.execPath, [MAIN, 'run', '--kernel', echo], { stdio: ['pipe', 'pipe', 'pipe'] });
    child.stdin.on('error', () => undefined);
    let errors = '';
    child.stderr.on('data', (chunk: Buffer) => {
      errors += chunk.toString();
    });
    await new Promise((resolve) => child.stdout.once('data', resolve));
    child.stdout.destroy();
    // What it is sent it prints: the first bytes meet the closed pipe.
    const typing = setInterval(() => child.stdin.write('x'), 50);
    const code = await new Promise((resolve) => child.on('close', resolve));
    clearInterval(typing);
    assert.is(code, 141);
    assert.is(errors, '');
  },
  { deadlineMs: MINUTE },
);
test('the folder goes', () => rmSync(folder, { recursive: true }));
test.run();
