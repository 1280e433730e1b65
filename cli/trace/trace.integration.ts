/** `wurley run --trace` on a bare-metal program of a few instructions, and on a Debian kernel. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { runUnderWurley } from '../../test/drivers/wurley.js';
import { spec } from '../../test/harness/spec.js';

const test = spec('wurley run --trace');
const folder = mkdtempSync(join(tmpdir(), 'wurley-trace-'));
const MINUTES = 60_000;

/** mov x1, #0x900_0000; mov w2, #89; str w2, [x1]; mrs x3, currentel; mov w0, #8; movk w0, #0x8400, lsl #16; hvc #0; b . */
const WORDS = [0xd2a12001, 0x52800b22, 0xb9000022, 0xd5384243, 0x52800100, 0x72b08000, 0xd4000002, 0x14000000];
const program = join(folder, 'program.bin');
writeFileSync(program, new Uint8Array(Uint32Array.from(WORDS).buffer));

/** The trace of a run, without times. */
async function trace(boot: readonly string[], kinds: string, name: string): Promise<string[]> {
  const file = join(folder, name);
  const more = ['--trace', `${kinds}:${file}`];
  const run = { boot, cpus: 1, memoryMiB: 512, bootargs: '', deadlineMs: 4 * MINUTES, input: 'poweroff -f\n', more };
  const outcome = await runUnderWurley(run);
  assert.ok(outcome.ok && outcome.value.exitCode === 0, JSON.stringify(outcome));
  return readFileSync(file, 'utf8').trimEnd().split('\n');
}

test(
  'every instruction, with what it changes, and what it causes',
  async () => {
    const lines = await trace(['--kernel', program], 'insn,block,hypercall,mmio,power', 'insn.txt');
    const plain = lines.map((line) => line.replace(/^[\d.]+ /, ''));
    assert.equal(plain, [
      'cpu0 power on pc=0x40080000',
      'cpu0 block pc=0x40080000 el=1',
      'cpu0 insn 0x40080000 d2a12001 mov x1, #0x9000000  ; x1=0x9000000',
      'cpu0 insn 0x40080004 52800b22 mov w2, #0x59  ; x2=0x59',
      'cpu0 mmio write device=uart ipa=0x9000000 bytes=4 value=0x59',
      'cpu0 insn 0x40080008 b9000022 str w2, [x1]',
      'cpu0 insn 0x4008000c d5384243 mrs x3, currentel  ; x3=0x4',
      'cpu0 insn 0x40080010 52800100 mov w0, #0x8  ; x0=0x8',
      'cpu0 insn 0x40080014 72b08000 movk w0, #0x8400, lsl #16  ; x0=0x84000008',
      'cpu0 insn 0x40080018 d4000002 hvc #0x0',
      'cpu0 hypercall name=SYSTEM_OFF id=0x84000008 x1=0x9000000 x2=0x59 x3=0x4 result=no-return',
      'cpu0 power machine-stopped',
    ]);
    const times = lines.map((line) => Number.parseFloat(line));
    assert.equal(
      [...times].sort((a, b) => a - b),
      times,
    );
  },
  { deadlineMs: 2 * MINUTES },
);
test(
  'statistics at the end',
  async () => {
    const run = { boot: ['--kernel', program], cpus: 1, memoryMiB: 128, bootargs: '', deadlineMs: MINUTES };
    const outcome = await runUnderWurley({ ...run, more: ['--stats'] });
    assert.ok(outcome.ok);
    if (!outcome.ok) return;
    assert.match(
      outcome.value.errors,
      /^cpu 0: stopped, pc 0x[0-9a-f]+, thread \d+\n {2}about \d+ million instructions/,
    );
    assert.match(outcome.value.errors, /time [\d.]+ s: compiled .*, interpreted .*, exits .*, idle .*\n/);
    assert.match(outcome.value.errors, /exits: .*hvc 1/);
  },
  { deadlineMs: 2 * MINUTES },
);
test(
  'a whole boot as JSON lines: entries and returns of exceptions match',
  async () => {
    const lines = await trace(['debian:6.1-cloud'], 'all', 'boot.jsonl');
    const events = lines.map((line): Record<string, string | number> => JSON.parse(line));
    const count = (test: (event: Record<string, string | number>) => boolean): number => events.filter(test).length;
    const entered = count(({ kind, event }) => kind === 'exception' && event === 'enter');
    const returned = count(({ kind, event }) => kind === 'exception' && event === 'return');
    assert.ok(entered > 1000 && Math.abs(entered - returned) < 10, `${entered} entries, ${returned} returns`);
    assert.ok(
      count(({ event, class: name, esr }) => event === 'enter' && name === 'svc' && esr === '0x56000000') > 100,
    );
    assert.ok(count(({ fault }) => fault === 'translation-l3') > 10);
    assert.ok(count(({ kind, name }) => kind === 'sysreg' && name === 'TTBR0_EL1') > 10);
    assert.ok(count(({ kind, event, intid }) => kind === 'irq' && event === 'acknowledge' && intid === 27) > 10);
    assert.is(
      count(({ kind, name }) => kind === 'hypercall' && name === 'SYSTEM_OFF'),
      1,
    );
    assert.ok(count(({ kind, device }) => kind === 'mmio' && device === 'gicd') > 10);
    assert.is(
      count(({ lost }) => lost !== undefined),
      0,
    );
    assert.is(
      count(({ kind }) => kind === 'end'),
      1,
    );
  },
  { deadlineMs: 5 * MINUTES },
);
process.on('exit', () => rmSync(folder, { recursive: true }));
test.run();
