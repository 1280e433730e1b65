/**
 * Runs single floating-point instructions under qemu-aarch64-static: assembles one static program with a stub for each
 * instruction, pipes case records into it and reads result records back. Only integration tests use it.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const ASSEMBLER = 'aarch64-linux-gnu-as';
const LINKER = 'aarch64-linux-gnu-ld';
const EMULATOR = 'qemu-aarch64-static';

/** Bytes of a case: a, b, c (u64 each), fpcr, instruction index (u32 each). */
export const CASE_BYTES = 32;
/** Bytes of an answer: result (u64), fpsr, nzcv as in PSTATE bits 31:28 (u32 each). */
export const ANSWER_BYTES = 16;

const BUFFER_CASES = 4096;

/** The first absent tool, or undefined if all three run. */
export function missingOracleTool(): string | undefined {
  return [ASSEMBLER, LINKER, EMULATOR].find((tool) => spawnSync(tool, ['--version']).status !== 0);
}

/**
 * The program's text. A stub is entered with d0/d1/d2 and x0/x1/x2 holding a, b and c, with FPCR set and FPSR zero; it
 * leaves its result in x0 and may set NZCV.
 */
function programText(stubs: readonly string[]): string {
  const bodies = stubs.map((stub, i) => `op${i}:\n  ${stub.split(';').join('\n  ')}\n  ret\n`).join('');
  return `
.arch armv8.4-a+fp16
.text
.globl _start
_start:
  adrp x22, table
  add x22, x22, :lo12:table
more:
  adrp x19, input
  add x19, x19, :lo12:input
  mov x20, x19
fill:
  mov x0, 0
  mov x1, x20
  adrp x2, input_end
  add x2, x2, :lo12:input_end
  sub x2, x2, x1
  cbz x2, filled
  mov x8, 63
  svc 0
  cmp x0, 0
  b.le filled
  add x20, x20, x0
  b fill
filled:
  cmp x19, x20
  b.eq finish
  adrp x21, output
  add x21, x21, :lo12:output
next:
  ldp x0, x1, [x19]
  ldr x2, [x19, 16]
  ldp w3, w4, [x19, 24]
  add x19, x19, ${CASE_BYTES}
  fmov d0, x0
  fmov d1, x1
  fmov d2, x2
  ldr x5, [x22, x4, lsl 3]
  msr fpcr, x3
  msr fpsr, xzr
  msr nzcv, xzr
  blr x5
  mrs x6, fpsr
  mrs x7, nzcv
  msr fpcr, xzr
  str x0, [x21]
  stp w6, w7, [x21, 8]
  add x21, x21, ${ANSWER_BYTES}
  cmp x19, x20
  b.lo next
  adrp x23, output
  add x23, x23, :lo12:output
drain:
  mov x0, 1
  mov x1, x23
  sub x2, x21, x23
  mov x8, 64
  svc 0
  cmp x0, 0
  b.le finish
  add x23, x23, x0
  cmp x23, x21
  b.lo drain
  b more
finish:
  mov x0, 0
  mov x8, 93
  svc 0
${bodies}
.data
.balign 8
table:
${stubs.map((_, i) => `  .quad op${i}`).join('\n')}
.bss
.balign 16
input: .skip ${BUFFER_CASES * CASE_BYTES}
input_end:
output: .skip ${BUFFER_CASES * ANSWER_BYTES}
`;
}

/** An assembled program; call {@link FpOracle.close} to remove it. */
export class FpOracle {
  readonly #folder: string;
  readonly #program: string;

  /** Assembles one stub for each entry; throws if a line does not assemble. */
  constructor(stubs: readonly string[]) {
    this.#folder = mkdtempSync(join(tmpdir(), 'wurley-fp-'));
    this.#program = join(this.#folder, 'oracle');
    writeFileSync(join(this.#folder, 'oracle.s'), programText(stubs));
    execFileSync(ASSEMBLER, ['-o', join(this.#folder, 'oracle.o'), join(this.#folder, 'oracle.s')]);
    execFileSync(LINKER, ['-static', '-o', this.#program, join(this.#folder, 'oracle.o')]);
  }

  /** Executes packed cases and returns as many packed answers. */
  run(cases: Uint8Array): DataView {
    const count = cases.byteLength / CASE_BYTES;
    const done = spawnSync(EMULATOR, ['-cpu', 'max', this.#program], {
      input: cases,
      maxBuffer: count * ANSWER_BYTES + 4096,
    });
    if (done.status !== 0 || done.stdout.byteLength !== count * ANSWER_BYTES) {
      throw new Error(`the oracle answered ${done.stdout.byteLength} bytes, status ${done.status}, ${done.stderr}`);
    }
    return new DataView(done.stdout.buffer, done.stdout.byteOffset, done.stdout.byteLength);
  }

  close(): void {
    rmSync(this.#folder, { recursive: true });
  }
}
