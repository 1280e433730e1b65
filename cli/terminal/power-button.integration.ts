/** The first SIGINT or SIGTERM to `wurley run` presses the guest's power button and the second ends the machine, with pipes too. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { Dialogue } from '../../test/drivers/dialogue.js';
import { ECHO } from '../../test/fixtures/echo-guest.js';
import { spec } from '../../test/harness/spec.js';

const test = spec('power button by signal');
const MINUTE = 60_000;
const PRESSED = {
  SIGINT: 'wurley: power button pressed; a second signal will end the machine\n',
  SIGTERM: 'wurley: power button pressed; a second signal or 30 s will end the machine\n',
} as const;
/** Waits until Linux's gpio-keys driver has seen the button go down and up again, each an interrupt. */
const SEES_BUTTON =
  'echo wait""ing; until [ "$n" = 2 ]; do usleep 20000; set -- $(grep "GPIO Key Poweroff" /proc/interrupts); n=$2; done';

for (const [signal, exitCode] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const) {
  test(
    `a guest that ignores the button goes on after one ${signal} and ends with the second`,
    async () => {
      const folder = mkdtempSync(join(tmpdir(), 'wurley-button-'));
      const kernel = join(folder, 'echo.bin');
      writeFileSync(
        kernel,
        Uint8Array.from(ECHO.flatMap((word) => [0, 8, 16, 24].map((shift) => (word >>> shift) & 255))),
      );
      const guest = new Dialogue(['--kernel', kernel], '');
      try {
        await guest.sees('!');
        guest.signal(signal);
        await guest.says(PRESSED[signal]);
        guest.type('still here');
        await guest.sees('!still here');
        guest.signal(signal);
        assert.is(await guest.ended, exitCode, guest.errors);
      } finally {
        await guest.close();
        rmSync(folder, { recursive: true });
      }
    },
    { deadlineMs: 5 * MINUTE },
  );
}
test(
  "Debian's gpio-keys driver sees one press, and the run ends with the guest's own exit code",
  async () => {
    const guest = new Dialogue(['debian:6.1'], '');
    try {
      guest.type(`${SEES_BUTTON}; echo pre""ssed; poweroff -f\n`);
      await guest.sees('waiting');
      guest.signal('SIGTERM');
      await guest.sees('pressed');
      assert.is(await guest.ended, 0, guest.errors);
      // Where the image was not here yet, it says that it fetches it, before the guest is there.
      assert.ok(guest.errors.endsWith(PRESSED.SIGTERM), guest.errors);
      assert.is(guest.errors.split('power button').length, 2, guest.errors);
    } finally {
      await guest.close();
    }
  },
  { deadlineMs: 9 * MINUTE },
);
test.run();
