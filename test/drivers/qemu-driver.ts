/**
 * Runs test cases under qemu-aarch64: a static program reads the arena's image and the frames from its input, loads all
 * registers for each frame, branches to the frame's slot, and writes the frames back as the instructions left them. Blocks
 * return by a branch to the exit; exceptions and jumps elsewhere arrive as signals, whose frame has the same registers.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  ARENA_AT,
  ARENA_BYTES,
  DATA_AT,
  DATA_BYTES,
  EXIT_AT,
  FRAME,
  FRAME_BYTES,
  normalise,
  OUTCOME,
  TEXT_AT,
  WINDOW_AT,
  WINDOW_BYTES,
} from './case-frame.js';

const ASSEMBLER = 'aarch64-linux-gnu-as';
const LINKER = 'aarch64-linux-gnu-ld';
const EMULATOR = 'qemu-aarch64-static';

/** A tool the driver needs and this machine lacks, or undefined. */
export function missingQemuTool(): string | undefined {
  return [ASSEMBLER, LINKER, EMULATOR].find((tool) => spawnSync(tool, ['--version']).status !== 0);
}

/** Most frames of one batch. */
export const BATCH_FRAMES_MAX = 32768;
const INPUT_AT = 0x2b_6d00_0000; // far from powers of two, which the cases use as addresses
const OUTPUT_AT = 0x2d_5b00_0000;
const BUFFER_BYTES = BATCH_FRAMES_MAX * FRAME_BYTES;

// Linux system calls and constants, arm64 (include/uapi/asm-generic/unistd.h, signal.h, mman-common.h).
const CALL = { read: 63, write: 64, exit: 93, sigaltstack: 132, sigaction: 134, mmap: 222 } as const;
const SA_FLAGS = 0x0800_0000 | 0x4000_0000 | 4; // ONSTACK, NODEFER, SIGINFO
const SIGNALS = { ill: 4, trap: 5, bus: 7, fpe: 8, segv: 11 } as const;
/** Where a signal's ucontext holds x0: uc_flags, uc_link, uc_stack, uc_sigmask (1,024 bits), fault_address. */
const UCONTEXT_X = 184;
const UCONTEXT_PSTATE = UCONTEXT_X + 264;
/** First record behind the context: FPSIMD, whose head is followed by fpsr, fpcr and the vectors. */
const UCONTEXT_FP = 464;

const lines = (count: number, line: (i: number) => string): string =>
  Array.from({ length: count }, (_, i) => `  ${line(i)}\n`).join('');

/** mmap(at, bytes, protection, PRIVATE | FIXED | ANONYMOUS | NORESERVE). */
const map = (at: number, bytes: number, protection: number): string => `
  ldr x0, =${at}
  ldr x1, =${bytes}
  mov x2, ${protection}
  ldr x3, =0x4032
  mov x4, -1
  mov x5, 0
  mov x8, ${CALL.mmap}
  svc 0
`;

/** Repeats a read or write until x20 has reached x21; a short end leaves for `finish`. */
const transfer = (label: string, file: number, call: number): string => `
${label}:
  cmp x20, x21
  b.hs ${label}_done
  mov x0, ${file}
  mov x1, x20
  sub x2, x21, x20
  mov x8, ${call}
  svc 0
  cmp x0, 0
  b.le finish
  add x20, x20, x0
  b ${label}
${label}_done:
`;

const PROGRAM = `
.arch armv8.4-a+fp16
.text
.globl _start
_start:
  b main
.org ${EXIT_AT - TEXT_AT}
  msr tpidr_el0, x30
  adrp x30, place
  ldr x30, [x30, :lo12:place]
${lines(15, (i) => `stp x${2 * i}, x${2 * i + 1}, [x30, ${16 * i}]`)}
  mov x21, x30
  mrs x0, tpidr_el0
  mov x1, sp
  stp x0, x1, [x21, ${FRAME.sp - 8}]
  mrs x0, nzcv
  mrs x1, fpcr
  mrs x2, fpsr
  str xzr, [x21, ${FRAME.pc}]
  str w0, [x21, ${FRAME.nzcv}]
  str w1, [x21, ${FRAME.fpcr}]
  str w2, [x21, ${FRAME.fpsr}]
  str wzr, [x21, ${FRAME.outcome}]
${lines(16, (i) => `stp q${2 * i}, q${2 * i + 1}, [x21, ${FRAME.v + 32 * i}]`)}
done:
  msr fpcr, xzr
  ldr x0, =${WINDOW_AT}
  add x1, x21, ${FRAME.window}
${lines(WINDOW_BYTES / 32, (i) => `ldp q0, q1, [x0, ${32 * i}]\n  stp q0, q1, [x1, ${32 * i}]`)}
  adrp x20, place
  add x20, x20, :lo12:place
  ldp x21, x22, [x20]
  add x21, x21, ${FRAME_BYTES}
  add x22, x22, ${FRAME_BYTES}
  stp x21, x22, [x20]
next:
  adrp x20, place
  add x20, x20, :lo12:place
  ldp x21, x22, [x20]
  ldr x23, [x20, 16]
  cmp x22, x23
  b.hs drain
  ldr x0, =${WINDOW_AT}
  add x1, x22, ${FRAME.window}
${lines(WINDOW_BYTES / 32, (i) => `ldp q0, q1, [x1, ${32 * i}]\n  stp q0, q1, [x0, ${32 * i}]`)}
${lines(16, (i) => `ldp q${2 * i}, q${2 * i + 1}, [x22, ${FRAME.v + 32 * i}]`)}
  ldr w0, [x22, ${FRAME.nzcv}]
  ldr w1, [x22, ${FRAME.fpcr}]
  ldr w2, [x22, ${FRAME.fpsr}]
  msr nzcv, x0
  msr fpcr, x1
  msr fpsr, x2
  ldp x0, x1, [x22, ${FRAME.sp - 8}]
  msr tpidr_el0, x0
  mov sp, x1
  clrex
  ldr x30, [x22, ${FRAME.pc}]
${[0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 24, 26, 28].map((i) => `  ldp x${i}, x${i + 1}, [x22, ${8 * i}]\n`).join('')}
  ldp x22, x23, [x22, ${8 * 22}]
  br x30

on_signal:
  adrp x20, place
  ldr x21, [x20, :lo12:place]
  str w0, [x21, ${FRAME.outcome}]
  add x1, x2, ${UCONTEXT_X}
${lines(16, (i) => `ldp x4, x5, [x1, ${16 * i}]\n  stp x4, x5, [x21, ${16 * i}]`)}
  ldr x4, [x1, 256]
  str x4, [x21, 256]
  ldr w4, [x2, ${UCONTEXT_PSTATE}]
  and w4, w4, 0xf0000000
  ldr w6, [x2, ${UCONTEXT_FP + 8}]
  ldr w7, [x2, ${UCONTEXT_FP + 12}]
  str w4, [x21, ${FRAME.nzcv}]
  str w7, [x21, ${FRAME.fpcr}]
  str w6, [x21, ${FRAME.fpsr}]
  add x1, x2, ${UCONTEXT_FP + 16}
${lines(16, (i) => `ldp q0, q1, [x1, ${32 * i}]\n  stp q0, q1, [x21, ${FRAME.v + 32 * i}]`)}
  b done

main:
${map(ARENA_AT, ARENA_BYTES, 7)}
${map(DATA_AT, DATA_BYTES, 3)}
${map(INPUT_AT, BUFFER_BYTES, 3)}
${map(OUTPUT_AT, BUFFER_BYTES, 3)}
  adrp x0, alternate
  add x0, x0, :lo12:alternate
  mov x1, 0
  mov x8, ${CALL.sigaltstack}
  svc 0
${Object.values(SIGNALS)
  .map(
    (signal) => `
  mov x0, ${signal}
  adrp x1, action
  add x1, x1, :lo12:action
  mov x2, 0
  mov x3, 8
  mov x8, ${CALL.sigaction}
  svc 0
`,
  )
  .join('')}
batch:
  adrp x20, head
  add x20, x20, :lo12:head
  add x21, x20, 16
${transfer('read_head', 0, CALL.read)}
  adrp x24, head
  add x24, x24, :lo12:head
  ldr x20, =${ARENA_AT}
  ldr x21, [x24]
  add x21, x20, x21
${transfer('read_code', 0, CALL.read)}
  ldr x20, =${INPUT_AT}
  ldr x21, [x24, 8]
  add x21, x20, x21
${transfer('read_frames', 0, CALL.read)}
  adrp x20, place
  add x20, x20, :lo12:place
  ldr x1, =${OUTPUT_AT}
  ldr x2, =${INPUT_AT}
  stp x1, x2, [x20]
  str x21, [x20, 16]
  b next
drain:
  mov x25, x21
  ldr x20, =${OUTPUT_AT}
  mov x21, x25
  adrp x0, stack_top
  add x0, x0, :lo12:stack_top
  mov sp, x0
${transfer('write_frames', 1, CALL.write)}
  b batch
finish:
  mov x0, 0
  mov x8, ${CALL.exit}
  svc 0
.ltorg
.data
.balign 16
place: .quad 0, 0, 0
head: .quad 0, 0
action: .quad on_signal, ${SA_FLAGS}, 0, 0
alternate: .quad stack, 0, 65536
.bss
.balign 16
stack: .skip 65536
stack_top: .skip 16
`;

const OUTCOME_OF_SIGNAL = new Map<number, number>([
  [0, OUTCOME.done],
  [SIGNALS.ill, OUTCOME.undefined],
  [SIGNALS.segv, OUTCOME.memoryFault],
  [SIGNALS.bus, OUTCOME.memoryFault],
]);

/** The assembled program; {@link QemuDriver.close} removes it. */
export class QemuDriver {
  readonly #folder: string;
  readonly #program: string;
  readonly #cpu: string;

  /** @param cpu QEMU's CPU model: with every extension of ours, and pointer authentication off, whose hints must be NOPs */
  constructor(cpu = 'max,pauth=off,sve=off') {
    this.#cpu = cpu;
    this.#folder = mkdtempSync(join(tmpdir(), 'wurley-cases-'));
    this.#program = join(this.#folder, 'cases');
    writeFileSync(join(this.#folder, 'cases.s'), PROGRAM);
    execFileSync(ASSEMBLER, ['-o', join(this.#folder, 'cases.o'), join(this.#folder, 'cases.s')]);
    const text = `-Ttext=0x${TEXT_AT.toString(16)}`;
    execFileSync(LINKER, ['-static', text, '-o', this.#program, join(this.#folder, 'cases.o')]);
  }

  /** Executes `count` frames over the arena's image; returns the frames as they came out, normalised. */
  run(image: Uint32Array, frames: Uint8Array, count: number): DataView {
    const head = new BigUint64Array([BigInt(image.byteLength), BigInt(count * FRAME_BYTES)]);
    const input = Buffer.concat([
      new Uint8Array(head.buffer),
      new Uint8Array(image.buffer, image.byteOffset, image.byteLength),
      frames.subarray(0, count * FRAME_BYTES),
    ]);
    const done = spawnSync(EMULATOR, ['-cpu', this.#cpu, this.#program], {
      input,
      maxBuffer: count * FRAME_BYTES + 65536,
    });
    if (done.status !== 0 || done.stdout.byteLength !== count * FRAME_BYTES) {
      throw new Error(
        `qemu-aarch64 answered ${done.stdout.byteLength} of ${count * FRAME_BYTES} bytes, status ${done.status}, ` +
          `signal ${done.signal}, ${done.stderr}`,
      );
    }
    const answer = new DataView(done.stdout.buffer, done.stdout.byteOffset, done.stdout.byteLength);
    const asked = new DataView(frames.buffer, frames.byteOffset, frames.byteLength);
    for (let i = 0; i < count; i++) {
      const at = i * FRAME_BYTES;
      const slotAt = Number(asked.getBigUint64(at + FRAME.pc, true));
      const signal = answer.getUint32(at + FRAME.outcome, true);
      const words = asked.getUint32(at + FRAME.words, true);
      if (signal === 0) answer.setBigUint64(at + FRAME.pc, BigInt(EXIT_AT), true);
      normalise(answer, at, slotAt, words, OUTCOME_OF_SIGNAL.get(signal) ?? OUTCOME.other);
    }
    return answer;
  }

  close(): void {
    rmSync(this.#folder, { recursive: true });
  }
}
