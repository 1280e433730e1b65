/** Debian's U-Boot for QEMU's `virt`, unmodified, in flash at 0: to its prompt, and it does what it is told. */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as assert from 'uvu/assert';
import { spec } from '../../test/harness/spec.js';

const test = spec('firmware through wurley run');
const MAIN = join(dirname(fileURLToPath(import.meta.url)), '..', 'main.js');
const U_BOOT = '/usr/lib/u-boot/qemu_arm64/u-boot.bin';
const MINUTE = 60_000;

/** A run whose console is read as it comes and typed at. */
class Dialogue {
  shown = '';
  readonly ended: Promise<number | null>;
  readonly #child;

  constructor(args: readonly string[]) {
    this.#child = spawn(process.execPath, [MAIN, 'run', ...args], { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#child.stdin.on('error', () => undefined);
    this.#child.stdout.on('data', (chunk: Buffer) => {
      this.shown += chunk.toString('latin1').replaceAll('\r', '');
    });
    this.ended = new Promise((resolve) => this.#child.on('close', resolve));
  }

  type(text: string): void {
    this.#child.stdin.write(text);
  }

  /** Waits for `text` after what was shown up to now; answers what came before it. */
  async sees(text: string, from = 0): Promise<string> {
    const end = performance.now() + 2 * MINUTE;
    while (!this.shown.includes(text, from)) {
      if (performance.now() > end) throw new Error(`no ${text} in ${this.shown.slice(from)}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    return this.shown.slice(from, this.shown.indexOf(text, from));
  }

  /** Types a command and answers what it printed. */
  async does(command: string): Promise<string> {
    const from = this.shown.length;
    this.type(`${command}\n`);
    await this.sees('=> ', from + 1);
    return this.shown.slice(from);
  }
}

if (!existsSync(U_BOOT)) test.skip('U-Boot', "Debian's u-boot-qemu is not installed");
else {
  test(
    'U-Boot reaches its prompt, knows the machine, works on memory and turns it off',
    async () => {
      const board = new Dialogue(['--firmware', U_BOOT, '--memory', '256M', '--cpus', '2']);
      await board.sees('DRAM:  256 MiB');
      await board.sees('Hit any key to stop autoboot');
      board.type(' ');
      await board.sees('\n=> ');
      assert.match(await board.does('version'), /U-Boot 20\d\d\.\d\d/);
      const info = await board.does('bdinfo');
      assert.match(info, /-> start {4}= 0x0000000040000000/);
      assert.match(info, /-> size {5}= 0x0000000010000000/);
      await board.does('mw.l 48000000 deadbeef 400');
      await board.does('crc32 48000000 1000 48002000');
      assert.match(await board.does('md.l 48000ff8 4'), /48000ff8: deadbeef deadbeef 00000000 00000000/);
      assert.match(await board.does('cmp.l 48000000 48000800 200'), /Total of 512 word\(s\) were the same/);
      assert.match(await board.does('fdt addr $fdtcontroladdr; fdt print /psci method'), /method = "hvc"/);
      assert.match(await board.does('sleep 1; echo slept'), /slept/);
      board.type('poweroff\n');
      assert.is(await board.ended, 0, board.shown);
    },
    { deadlineMs: 5 * MINUTE },
  );
  test(
    "U-Boot's reset ends the run as a reset",
    async () => {
      const board = new Dialogue(['--firmware', U_BOOT]);
      await board.sees('Hit any key to stop autoboot');
      board.type(' ');
      await board.sees('\n=> ');
      board.type('reset\n');
      assert.is(await board.ended, 3, board.shown);
    },
    { deadlineMs: 5 * MINUTE },
  );
}
test.run();
