/** gdb-multiarch against `wurley run --gdb`: a bare-metal program, and Debian's kernel on two vCPUs. */
import { type ChildProcessWithoutNullStreams, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as assert from 'uvu/assert';
import { spec } from '../../test/harness/spec.js';

const test = spec('gdb');
const GDB = 'gdb-multiarch';
const ASSEMBLER = 'aarch64-linux-gnu-as';
const LINKER = 'aarch64-linux-gnu-ld';
/** Where arm64 kernels of that time are linked. */
const LINKED_AT = 0xffff_8000_0800_0000n;
const LAUNCHER = join(dirname(fileURLToPath(import.meta.url)), '..', '..', 'cli', 'main.js');
const MINUTES = 60_000;
const folder = mkdtempSync(join(tmpdir(), 'wurley-gdb-'));
process.on('exit', () => rmSync(folder, { recursive: true }));

/** Waits until `ready` answers something. */
async function until<T>(what: string, ready: () => T | undefined | false): Promise<T> {
  const deadline = Date.now() + 2 * MINUTES;
  for (;;) {
    const value = ready();
    if (value !== undefined && value !== false) return value;
    if (Date.now() > deadline) throw new Error(`waited in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** A machine under `wurley run --gdb`. */
class Run {
  readonly #child: ChildProcessWithoutNullStreams;
  output = '';
  errors = '';
  exitCode: number | null | undefined;

  constructor(args: readonly string[]) {
    this.#child = spawn(process.execPath, [LAUNCHER, 'run', ...args, '--timeout', '170']);
    this.#child.stdout.on('data', (chunk: Buffer) => {
      this.output += chunk.toString('latin1').replaceAll('\r', '');
    });
    this.#child.stderr.on('data', (chunk: Buffer) => {
      this.errors += chunk.toString();
    });
    this.#child.on('close', (code) => {
      this.exitCode = code;
    });
  }
  type(text: string): void {
    this.#child.stdin.write(text);
  }
  port(): Promise<string> {
    return until('the port', () => /127\.0\.0\.1:(\d+)/.exec(this.errors)?.[1]);
  }
  async end(): Promise<number | null> {
    return until(`the end of the run: ${this.output} ${this.errors}`, () => this.exitCode);
  }
}

/** What GDB prints; `interruptMs`: Ctrl-C so long after the marker was printed. */
async function gdb(port: string, commands: readonly string[], interruptAfter?: string): Promise<string> {
  const always = ['set pagination off', 'set architecture aarch64', `target remote :${port}`];
  const args = [...always, ...commands].flatMap((command) => ['-ex', command]);
  const child = spawn(GDB, ['-nx', '-batch', ...args]);
  let text = '';
  let code: number | null | undefined;
  let interrupted = interruptAfter === undefined;
  const take = (chunk: Buffer): void => {
    text += chunk.toString();
    if (interrupted || !text.includes(interruptAfter ?? '')) return;
    interrupted = true;
    setTimeout(() => child.kill('SIGINT'), 500);
  };
  child.stdout.on('data', take);
  child.stderr.on('data', take);
  child.on('close', (status) => {
    code = status ?? -1;
  });
  await until(`GDB's end: ${text}`, () => code);
  return text;
}

/** mov x1, #0x900_0000; mov w2, #89; str w2, [x1]; mrs x3, currentel; mov w0, #8; movk w0, #0x8400, lsl #16; hvc #0; b . */
const WORDS = [0xd2a12001, 0x52800b22, 0xb9000022, 0xd5384243, 0x52800100, 0x72b08000, 0xd4000002, 0x14000000];

/** An ELF file with these function symbols and nothing else, as a kernel's vmlinux has them. */
function symbolFile(symbols: readonly { readonly address: bigint; readonly name: string }[]): string {
  const sorted = [...symbols].sort((a, b) => (a.address < b.address ? -1 : 1));
  let at = LINKED_AT;
  const lines = sorted.map(({ address, name }) => {
    const skip = address - at;
    at = address;
    return `.skip ${skip}\n.globl ${name}\n.type ${name}, %function\n${name}:\n`;
  });
  const [source, object, file] = ['s', 'o', 'elf'].map((ending) => join(folder, `names.${ending}`));
  if (source === undefined || object === undefined || file === undefined) throw new Error('three names were made');
  writeFileSync(source, `.section .names, "ax", @nobits\n${lines.join('')}.skip 4\n`);
  assert.is(spawnSync(ASSEMBLER, ['-o', object, source]).status, 0);
  const where = `--section-start=.names=0x${LINKED_AT.toString(16)}`;
  const linked = spawnSync(LINKER, ['-e', '0', where, '-o', file, object], { encoding: 'utf8' });
  assert.is(linked.status, 0, linked.stderr);
  return file;
}

const absent = [GDB, ASSEMBLER, LINKER].filter((tool) => spawnSync(tool, ['--version']).status !== 0);
if (absent.length > 0) test.skip('debugs guests', `${absent.join(', ')} is absent`);
else {
  test(
    'a bare-metal program: from its first instruction to its end',
    async () => {
      const program = join(folder, 'program.bin');
      writeFileSync(program, new Uint8Array(Uint32Array.from(WORDS).buffer));
      const run = new Run(['--kernel', program, '--gdb', '0,wait']);
      const text = await gdb(await run.port(), [
        ...['printf "pc %lx\\n", $pc', 'x/3i $pc', 'stepi', 'stepi', 'printf "pc %lx x2 %ld\\n", $pc, $x2'],
        ...['break *0x40080014', 'continue', 'printf "x3 %ld el %ld\\n", $x3, $CurrentEL'],
        ...['x/2xw 0x40080014', 'set var $x5 = 0x1234', 'set var $v3.d.u[1] = 7', 'set {int}0x40090000 = 77'],
        ...['printf "%lx %ld %d\\n", $x5, $v3.d.u[1], *(int*)0x40090000', 'continue'],
      ]);
      assert.match(text, /^pc 40080000$/m);
      assert.match(text, /=> 0x40080000:\tmov\tx1, #0x9000000/);
      assert.match(text, /^pc 40080008 x2 89$/m);
      assert.match(text, /Breakpoint 1, 0x0000000040080014/);
      assert.match(text, /^x3 4 el 4$/m);
      // The breakpoint is not in memory (GDB hides its own; the next word is beside it).
      assert.match(text, /0x40080014:\t0x72b08000\t0xd4000002/);
      assert.match(text, /^1234 7 77$/m);
      assert.match(text, /exited normally/);
      assert.is(await run.end(), 0);
      assert.is(run.output, 'Y');
    },
    { deadlineMs: 3 * MINUTES },
  );

  test(
    "Debian's kernel by its symbols, which fit with KASLR off",
    async () => {
      const run = new Run(['debian:6.1-cloud', '--append', 'nokaslr', '--gdb', '0']);
      run.type(
        "grep -E ' [tT] (__arm64_sys_sync|ksys_sync|el0_svc|el0_svc_common.*|invoke_syscall|do_el0_svc)$' /proc/kallsyms\n",
      );
      run.type('echo ready-now\n');
      await until('the shell', () => /^ready-now$/m.test(run.output));
      const symbols = [...run.output.matchAll(/^([0-9a-f]{16}) [tT] ([\w.]+)$/gm)];
      assert.ok(symbols.length >= 3, run.output);
      const file = symbolFile(
        symbols.map(([, address = '', name = '']) => ({ address: BigInt(`0x${address}`), name })),
      );
      run.type('sleep 1; sync; poweroff -f\n');
      const text = await gdb(await run.port(), [
        ...[`file ${file}`, 'break __arm64_sys_sync', 'continue', 'info symbol $pc', 'break ksys_sync', 'continue'],
        ...[
          'printf "in ksys_sync: %d\\n", $pc - (long)&ksys_sync',
          'printf "from sys_sync: %d\\n", $x30 - (long)&__arm64_sys_sync',
        ],
        ...['delete', 'continue'],
      ]);
      // GDB sets a function's breakpoint behind its first instruction, PACIASP.
      assert.match(text, /Breakpoint 1, 0x[0-9a-f]+ in __arm64_sys_sync \(\)/, text);
      assert.match(text, /^in ksys_sync: [04]$/m);
      assert.match(text, /^from sys_sync: \d{1,2}$/m);
      assert.match(text, /exited normally/);
      assert.is(await run.end(), 0);
    },
    { deadlineMs: 5 * MINUTES },
  );
  test(
    "Debian's kernel on two vCPUs: breakpoints, steps, a watched variable, user memory, Ctrl-C, detach",
    async () => {
      const run = new Run(['debian:6.1-cloud', '--cpus', '2', '--append', 'nokaslr', '--gdb', '0']);
      run.type("grep -E ' (__arm64_sys_sync|vectors)$' /proc/kallsyms; echo ready-now\n");
      await until('the shell', () => /^ready-now$/m.test(run.output));
      const sync = /^([0-9a-f]{16}) T __arm64_sys_sync$/m.exec(run.output)?.[1];
      assert.ok(sync !== undefined, run.output);
      run.type('sleep 1; taskset 1 sync; taskset 2 sync; echo done-now; while :; do :; done\n');
      const text = await gdb(
        await run.port(),
        [
          ...['info threads', `break *0x${sync}`, 'continue', 'set $first = $_thread', 'set $regs = (long*)$x0'],
          // el0_svc's argument: the pc stored there is behind the SVC of the program, in its own memory.
          ...['x/i $regs[32] - 4', 'stepi', `printf "stepped %d\\n", $pc - 0x${sync}`],
          ...['awatch *(long*)$regs', 'continue', 'printf "watched in kernel: %d\\n", ($cpsr >> 2) & 3', 'delete 2'],
          ...['continue', 'printf "threads %d %d\\n", $first, $_thread', 'delete', 'echo going\\n', 'continue'],
          ...['echo interrupted\\n', 'info threads', 'detach'],
        ],
        'going',
      );
      assert.match(text, /Thread 1 "cpu0" \(on\)[\s\S]*Thread 2 "cpu1" \(on\)/);
      assert.match(text, /hit Breakpoint 1/);
      assert.match(text, /:\tsvc\t#0x0/);
      assert.match(text, /^stepped 4$/m);
      assert.match(text, /Hardware access \(read\/write\) watchpoint 2/);
      assert.match(text, /^watched in kernel: 1$/m);
      assert.match(text, /^threads 1 2$/m);
      assert.match(text, /SIGINT[\s\S]*interrupted/);
      await until('the end of the shell command', () => /^done-now$/m.test(run.output));
      // The guest goes on as if nobody had been there; GDB may come again, and kill.
      const again = await gdb(await run.port(), ['printf "again %d\\n", $pc != 0', 'kill']);
      assert.match(again, /^again 1$/m);
      assert.is(await run.end(), 130);
      assert.not.match(run.output, /BUG|WARNING|stall/);
    },
    { deadlineMs: 5 * MINUTES },
  );
}
test.run();
