/** Debian's U-Boot for QEMU's `virt`, unmodified, in flash at 0: to its prompt, and it does what it is told. */
import { existsSync } from 'node:fs';
import * as assert from 'uvu/assert';
import { Dialogue } from '../../test/drivers/dialogue.js';
import { spec } from '../../test/harness/spec.js';

const test = spec('firmware through wurley run');
const U_BOOT = '/usr/lib/u-boot/qemu_arm64/u-boot.bin';
const PROMPT = '=> ';
const MINUTE = 60_000;

if (!existsSync(U_BOOT)) test.skip('U-Boot', "Debian's u-boot-qemu is not installed");
else {
  test(
    'U-Boot reaches its prompt, knows the machine, works on memory and turns it off',
    async () => {
      const board = new Dialogue(['--firmware', U_BOOT, '--memory', '256M', '--cpus', '2'], PROMPT);
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
      const board = new Dialogue(['--firmware', U_BOOT], PROMPT);
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
