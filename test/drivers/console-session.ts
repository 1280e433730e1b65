/** A Debian system on a serial console: logs in, runs commands one by one and answers what they print and how they end. */
import { type ChildProcess, spawn } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { launcherEnvironment, launcherOptions } from './launcher.js';

const MAIN = join(dirname(fileURLToPath(import.meta.url)), '..', '..', 'cli', 'main.js');
const OUTPUT_CHARS_MAX = 8 << 20;

/** Which machine: ours or QEMU's, with these arguments. */
export interface SessionOptions {
  readonly command: 'wurley' | 'wurley up' | 'qemu-system-aarch64';
  readonly args: readonly string[];
  /** Milliseconds that any one wait may take. */
  readonly deadlineMs: number;
}

/** Between the first Ctrl-C, which presses power buttons, and the second. */
const SECOND_INTERRUPT_MS = 500;

/** How a command in the guest ended. */
export interface GuestRun {
  readonly output: string;
  readonly code: number;
}

/** See the head of this file. */
export class ConsoleSession {
  readonly #child: ChildProcess;
  readonly #deadlineMs: number;
  /** The command's exit code, null when it was killed. */
  readonly ended: Promise<number | null>;
  /** All the guest printed, carriage returns removed, and what the command said on standard error. */
  text = '';
  errors = '';
  #seen = 0;
  #isOver = false;
  #wake: (() => void) | undefined;
  #commands = 0;

  constructor({ command, args, deadlineMs }: SessionOptions) {
    this.#deadlineMs = deadlineMs;
    const verb = command === 'wurley' ? 'run' : 'up';
    const [program, all, more] =
      command === 'qemu-system-aarch64'
        ? [command, args, {}]
        : [process.execPath, [...launcherOptions(), MAIN, verb, ...args], launcherEnvironment()];
    const env = { ...process.env, ...more };
    this.#child = spawn(program, all, { env, stdio: ['pipe', 'pipe', 'pipe'] });
    this.#child.stdin?.on('error', () => undefined); // a guest that ends closes its input
    this.#child.stdout?.on('data', (chunk: Buffer) => {
      if (this.text.length < OUTPUT_CHARS_MAX) this.text += chunk.toString('latin1').replaceAll('\r', '');
      this.#wake?.();
    });
    this.#child.stderr?.on('data', (chunk: Buffer) => {
      this.errors = (this.errors + chunk.toString('utf8')).slice(-65_536);
    });
    this.ended = new Promise((resolve) => {
      this.#child.once('close', (code) => {
        this.#isOver = true;
        this.#wake?.();
        resolve(code);
      });
    });
  }

  /** Waits for `pattern` in what comes after the last match. */
  async expect(pattern: RegExp): Promise<RegExpExecArray> {
    const until = performance.now() + this.#deadlineMs;
    for (;;) {
      const found = pattern.exec(this.text.slice(this.#seen));
      if (found !== null) {
        this.#seen += found.index + found[0].length;
        return found;
      }
      const rest = until - performance.now();
      if (this.#isOver || rest <= 0) {
        const why = this.#isOver ? 'the machine ended' : `${this.#deadlineMs} ms passed`;
        throw new Error(`waiting for ${pattern}: ${why}; the end was:\n${this.text.slice(-3000)}\n${this.errors}`);
      }
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, Math.min(rest, 1000));
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  type(text: string): void {
    this.#child.stdin?.write(text);
  }

  /** Waits for the prompt, logs in as root without a password, and makes the shell one that a program can talk to. */
  async logIn(): Promise<void> {
    await this.expect(/login: /);
    this.type('root\n');
    await this.expect(/# $/);
    this.type("stty -echo; bind 'set enable-bracketed-paste off' 2>/dev/null; PS1=; PS2=; TERM=dumb; echo rea''dy\n");
    await this.expect(/ready\n/);
  }

  /** Runs a line in the guest's shell. */
  async run(line: string): Promise<GuestRun> {
    const mark = `@${++this.#commands}@`;
    const from = this.#seen;
    this.type(`${line}\necho "${mark}$?@"\n`);
    const found = await this.expect(new RegExp(`${mark}(\\d+)@\\n`));
    return { output: this.text.slice(from, this.#seen - found[0].length), code: Number(found[1]) };
  }

  /** Switches the system off as its user would; the exit code of the command. */
  async powerOff(): Promise<number | null> {
    this.type('poweroff\n');
    const timer = setTimeout(() => this.kill(), this.#deadlineMs);
    const code = await this.ended;
    clearTimeout(timer);
    return code;
  }

  /** Ends `wurley` as its user would who does not wait for guests: it puts away what it keeps. The exit code. */
  async interrupt(): Promise<number | null> {
    this.#child.kill('SIGINT');
    const again = setTimeout(() => this.#child.kill('SIGINT'), SECOND_INTERRUPT_MS);
    const timer = setTimeout(() => this.kill(), this.#deadlineMs);
    const code = await this.ended;
    clearTimeout(again);
    clearTimeout(timer);
    return code;
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }
}
