/**
 * Debian's UEFI firmware for QEMU's `virt`, unmodified: to its shell, with variables that stay, and with a Debian kernel
 * handed to it.
 */
import { closeSync, existsSync, mkdtempSync, openSync, readSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { Dialogue } from '../../test/drivers/dialogue.js';
import { spec } from '../../test/harness/spec.js';

const test = spec('UEFI through wurley run');
const CODE = '/usr/share/qemu-efi-aarch64/QEMU_EFI.fd';
const PROMPT = 'Shell> ';
const DEADLINE = { deadlineMs: 10 * 60_000 } as const;
const GUID = '11111111-2222-3333-4444-555555555555';
const folder = mkdtempSync(join(tmpdir(), 'wurley-uefi-'));
const vars = join(folder, 'vars.fd');

/** Runs the firmware to its shell and does `body` there. */
async function inShell(more: readonly string[], body: (shell: Dialogue) => Promise<void>): Promise<void> {
  const shell = new Dialogue(['--firmware', CODE, '--firmware-vars', vars, ...more], PROMPT);
  try {
    await shell.sees('any other key to continue');
    shell.type('x');
    await shell.sees(PROMPT);
    await body(shell);
  } finally {
    await shell.close();
  }
}

async function powersOff(shell: Dialogue): Promise<void> {
  shell.type('reset -s\r');
  assert.is(await shell.ended, 0, shell.shown + shell.errors);
}

function bytesOf(file: string, count: number): Buffer {
  const bytes = Buffer.alloc(count);
  const handle = openSync(file, 'r');
  readSync(handle, bytes, 0, count, 0);
  closeSync(handle);
  return bytes;
}

if (!existsSync(CODE)) test.skip('UEFI', "Debian's qemu-efi-aarch64 is not installed");
else {
  test(
    'a variable set in the shell is there in the next run, and can be deleted',
    async () => {
      await inShell(['--cpus', '2'], async (shell) => {
        assert.match(await shell.does('ver'), /EDK II/);
        await shell.does(`setvar Kept -guid ${GUID} -bs -rt -nv =0xcafe0123`);
        assert.match(await shell.does(`setvar Kept -guid ${GUID}`), /23 01 FE CA|CA FE 01 23/i);
        await powersOff(shell);
      });
      assert.is(statSync(vars).size, 64 << 20);
      assert.is(bytesOf(vars, 44).toString('latin1', 40, 44), '_FVH', 'a firmware volume of variables');
      await inShell([], async (shell) => {
        assert.match(await shell.does(`setvar Kept -guid ${GUID}`), /23 01 FE CA|CA FE 01 23/i);
        await shell.does(`setvar Kept -guid ${GUID} =`);
        assert.match(await shell.does(`setvar Kept -guid ${GUID}`), /Unable to get/);
        await powersOff(shell);
      });
    },
    DEADLINE,
  );
}

if (existsSync(CODE)) {
  for (const [name, more] of [
    ['device tree', []],
    ['ACPI', ['--acpi']],
  ] as const) {
    test(
      `firmware starts a Debian kernel that it is handed, with its initial RAM disk and command line (${name})`,
      async () => {
        const run = new Dialogue(['debian:6.1-cloud', '--firmware', CODE, '--cpus', '2', ...more], '# ');
        try {
          run.type('dmesg | grep -c "efi: EFI v"; cat /proc/cmdline; nproc; ls /sys/firmware; poweroff -f\n');
          assert.is(await run.ended, 0, run.shown + run.errors);
          assert.match(run.shown, /\n1\n.*console=ttyAMA0 panic=-1 quiet wurley_plain=1.*\n2\n/s);
          assert.match(run.shown, name === 'ACPI' ? /\nacpi\b/ : /\ndevicetree\b/);
        } finally {
          await run.close();
        }
      },
      DEADLINE,
    );
  }
}

test('the folder goes', () => rmSync(folder, { recursive: true }));
test.run();
