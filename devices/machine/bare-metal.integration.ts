/** Programs without an operating system, started in QEMU from our boot plans: flat binary, ELF at the start of RAM, gzip. */
import { gzipSync } from 'node:zlib';
import * as assert from 'uvu/assert';
import { hostUnpackers } from '../../cli/image/unpackers.js';
import { elf } from '../../test/harness/kernel-samples.js';
import { bootInQemu, hasQemuSystem } from '../../test/harness/qemu-boot.js';
import { spec } from '../../test/harness/spec.js';
import { faultSentence } from './boot-fault.js';
import { planBoot } from './boot-plan.js';

const test = spec('bare-metal');

/**
 * Prints "Y" on the PL011 when x0 points at a device tree (magic 0xd00dfeed), otherwise "N", and a line feed; then PSCI
 * SYSTEM_OFF. ldr w1,[x0]; w2 = magic as loaded; x3 = UART; compare; two stores; w0 = 0x84000008; hvc; loop.
 */
const WORDS = [
  0xb9400001, 0x5281ba02, 0x72bdbfc2, 0xd2a12003, 0x528009c4, 0x6b02003f, 0x54000041, 0x52800b24, 0xb9000064,
  0x52800144, 0xb9000064, 0x52800100, 0x72b08000, 0xd4000002, 0x14000000,
];
const PROGRAM = new Uint8Array(Uint32Array.from(WORDS).buffer);
const segment = (vaddr: bigint, paddr: number) => ({ vaddr, paddr, bytes: PROGRAM, memoryBytes: 0x1000 });

const CASES: readonly (readonly [string, Uint8Array, number, bigint])[] = [
  ['a flat binary', PROGRAM, 0x4008_0000, 0x4000_0000n],
  ['a gzipped flat binary', gzipSync(PROGRAM), 0x4008_0000, 0x4000_0000n],
  [
    'an ELF with virtual addresses',
    elf(0xffff_0000_0010_0000n, [segment(0xffff_0000_0010_0000n, 0x4010_0000)]),
    0x4010_0000,
    0x4000_0000n,
  ],
  ['an ELF at the start of RAM', elf(0x4000_0000n, [segment(0x4000_0000n, 0x4000_0000)]), 0x4000_0000, 0x4020_0000n],
];

for (const [what, bytes, entry, tree] of CASES) {
  const title = `${what} runs with x0 at the device tree`;
  if (!hasQemuSystem) {
    test.skip(title, 'qemu-system-aarch64 is not installed');
    continue;
  }
  test(title, async () => {
    const machine = { cpus: 1, ramBytes: 128 * 1024 * 1024, virtioSlots: [], hasFirmware: false, pmu: true };
    const plan = await planBoot(
      { machine, kernel: { file: what, bytes }, bootArguments: '', acpi: 'off' },
      hostUnpackers,
    );
    if (!plan.ok) throw new Error(faultSentence(plan.error));
    assert.is(plan.value.entry, entry);
    assert.is(plan.value.registers[0], tree);
    const options = { cpus: 1, memoryMib: 128, marker: 'never printed', deadlineMs: 15_000 };
    const { output, ended } = await bootInQemu(plan.value, options);
    assert.is(output, 'Y\n');
    assert.ok(ended, 'PSCI SYSTEM_OFF ended it');
  });
}

test.run();
