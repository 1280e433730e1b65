/** The memory balloon under Debian's own driver: what the user asks for, the guest gives up and gets back. */
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as assert from 'uvu/assert';
import { HAS_TERMINALS, TerminalRun } from '../../test/drivers/terminal.js';
import { spec } from '../../test/harness/spec.js';

const test = spec('balloon under debian');
const MAIN = join(dirname(fileURLToPath(import.meta.url)), '..', 'main.js');
const MINUTES = 60_000;
/** The guest's memory: 256 MiB, of which the balloon is to have 64 at first, 96 after a press. */
const ARGUMENTS = ['run', 'debian:6.1-cloud', '--memory', '256M', '--balloon', '64M'];

/** The balloon as Ctrl-] b tells it, asked until it is as large as it should be. */
async function heldMiB(terminal: TerminalRun, wanted: number): Promise<{ total: number; free: number }> {
  const line = new RegExp(
    `the balloon holds ${wanted} of ${wanted} MiB; the guest says: (\\d+) MiB in all, (\\d+) MiB free, \\d+ MiB available`,
  );
  for (let tries = 0; tries < 200; tries++) {
    const from = terminal.shown.length;
    terminal.type('\x1db');
    const end = performance.now() + MINUTES;
    while (!terminal.shown.slice(from).includes('available') && performance.now() < end) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    const found = line.exec(terminal.shown.slice(from));
    if (found !== null) return { total: Number(found[1]), free: Number(found[2]) };
  }
  throw new Error(`the balloon never held ${wanted} MiB: ${terminal.shown.slice(-2000)}`);
}

if (!HAS_TERMINALS) test.skip('a balloon shrinks and grows a guest', 'this machine has no script(1)');
else {
  test(
    'a guest has less memory while the balloon holds it, says how much it has, and gets it back',
    async () => {
      const terminal = new TerminalRun(
        ['env', 'WURLEY_CODE_CACHE=off', process.execPath, MAIN, ...ARGUMENTS],
        4 * MINUTES,
      );
      /** MemTotal in MiB, as the guest's kernel counts it. */
      const total = async (mark: string): Promise<number> => {
        terminal.type(`echo ${mark}""ed $(grep MemTotal /proc/meminfo)\n`);
        const line = new RegExp(`${mark}ed MemTotal: (\\d+) kB`);
        await terminal.sees(line, MINUTES);
        return Number(line.exec(terminal.shown)?.[1]) / 1024;
      };
      const isNear = (a: number, b: number): boolean => Math.abs(a - b) <= 2;
      try {
        await terminal.sees('# ', 3 * MINUTES);
        await heldMiB(terminal, 64);
        const said = await heldMiB(terminal, 64); // what it says of a time when the balloon was full
        const first = await total('inflat');
        assert.ok(isNear(said.total, first), `${said.total} MiB said, ${first} seen`);
        assert.ok(said.free > 16 && said.free < said.total);
        terminal.type('\x1d+');
        await terminal.sees('asked to give up 96 of 256 MiB');
        await heldMiB(terminal, 96);
        const more = await heldMiB(terminal, 96);
        const second = await total('grow');
        assert.ok(isNear(first - 32, second) && isNear(more.total, second), `${first} MiB, then ${second}`);
        for (const left of [64, 32, 0]) {
          terminal.type('\x1d-');
          await terminal.sees(`asked to give up ${left} of 256 MiB`);
        }
        await heldMiB(terminal, 0);
        const last = await total('deflat');
        assert.ok(isNear(first + 64, last), `${first} MiB, then ${last}`);
        terminal.type('dmesg | grep -ciE "balloon.*(fail|error)|out of puff"; poweroff -f\n');
        const end = await terminal.ended();
        assert.is(end.exitCode, 0, end.shown);
        assert.match(end.shown, /^0$/m);
      } finally {
        terminal.hangUp();
      }
    },
    { deadlineMs: 5 * MINUTES },
  );
}

test.run();
