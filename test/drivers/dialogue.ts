/** A run of `wurley run` with pipes, whose console is read as it comes and typed at. */
import { spawn } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { stripVTControlCharacters } from 'node:util';

const MAIN = join(dirname(fileURLToPath(import.meta.url)), '..', '..', 'cli', 'main.js');
const PATIENCE_MS = 240_000;

/** See the head of this file. */
export class Dialogue {
  /** Without escape sequences and carriage returns. */
  shown = '';
  errors = '';
  #tail = '';
  readonly ended: Promise<number | null>;
  readonly #prompt: string;
  readonly #child;

  /** `prompt`: what the guest prints when it wants a command. */
  constructor(args: readonly string[], prompt: string) {
    this.#prompt = prompt;
    this.#child = spawn(process.execPath, [MAIN, 'run', ...args], { stdio: ['pipe', 'pipe', 'pipe'] });
    this.#child.stdin.on('error', () => undefined);
    this.#child.stdout.on('data', (chunk: Buffer) => {
      const text = this.#tail + chunk.toString('latin1');
      // An escape sequence that is cut in two waits for its rest.
      const open = text.lastIndexOf('\x1b');
      const cut = open >= 0 && !/[A-Za-z]/.test(text.slice(open)) ? open : text.length;
      this.#tail = text.slice(cut);
      this.shown += stripVTControlCharacters(text.slice(0, cut)).replaceAll('\r', '');
    });
    this.#child.stderr.on('data', (chunk: Buffer) => {
      this.errors += chunk.toString();
    });
    this.ended = new Promise((resolve) => this.#child.on('close', resolve));
  }

  type(text: string): void {
    this.#child.stdin.write(text);
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Waits for `text` after what was shown up to `from`; answers what came before it. */
  async sees(text: string, from = 0): Promise<string> {
    const end = performance.now() + PATIENCE_MS;
    while (!this.shown.includes(text, from)) {
      if (performance.now() > end || this.#child.exitCode !== null)
        throw new Error(`no ${text} in ${this.shown.slice(from)}${this.errors}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    return this.shown.slice(from, this.shown.indexOf(text, from));
  }

  /** Waits until the command itself has said `text`, on standard error. */
  async says(text: string): Promise<void> {
    const end = performance.now() + PATIENCE_MS;
    while (!this.errors.includes(text)) {
      if (performance.now() > end || this.#child.exitCode !== null) throw new Error(`no ${text} in ${this.errors}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** Types a command and answers what it printed. */
  async does(command: string): Promise<string> {
    const from = this.shown.length;
    this.type(`${command}\r`);
    await this.sees(this.#prompt, from + 1);
    return this.shown.slice(from);
  }

  /** Kills what is left of it. */
  async close(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.ended;
  }
}
