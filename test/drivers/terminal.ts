/** A command on a terminal of its own (script(1) of util-linux makes one): types, reads, sends signals, and compares modes. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { readlinkSync } from 'node:fs';

/** Whether this host can make terminals. */
export const HAS_TERMINALS = spawnSync('script', ['--version']).status === 0;

/** How a command on a terminal ended. */
export interface TerminalEnd {
  readonly exitCode: number;
  /** Everything the terminal showed, carriage returns removed. */
  readonly shown: string;
  /** The terminal's modes (stty -a) before and after the command. */
  readonly before: string;
  readonly after: string;
}

const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;
const MARK = '@@';

/** The terminal's size in characters when the command starts. */
export const FIRST_SIZE = { columns: 90, rows: 30 } as const;

/** See the head of this file. */
export class TerminalRun {
  readonly #child: ChildProcess;
  readonly #ended: Promise<TerminalEnd>;
  #shown = '';

  /** Starts `command`; the shell around it prints the terminal's modes, the command's process and its exit code. */
  constructor(command: readonly string[], deadlineMs: number) {
    const line = command.map(quoted).join(' ');
    const modes = (name: string): string => `echo "${MARK}${name} $(stty -a | tr '\\n' ' ')"`;
    const shell = [
      // The shell outlives the signals that are meant for the command.
      "trap '' TERM HUP INT",
      `stty cols ${FIRST_SIZE.columns} rows ${FIRST_SIZE.rows}`,
      modes('before'),
      // The command is to be the terminal's foreground program and still tell its number: a shell becomes it.
      `(trap - TERM HUP INT; exec sh -c ${quoted(`echo "${MARK}pid $$"; exec ${line}`)})`,
      'code=$?',
      modes('after'),
      `echo "${MARK}code $code"`,
    ].join('; ');
    this.#child = spawn('script', ['-qec', shell, '/dev/null'], { stdio: ['pipe', 'pipe', 'ignore'] });
    this.#child.stdin?.on('error', () => undefined);
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), deadlineMs);
    this.#child.stdout?.on('data', (chunk: Buffer) => {
      this.#shown += chunk.toString('latin1').replaceAll('\r', '');
    });
    this.#ended = new Promise((resolve) => {
      this.#child.on('close', () => {
        clearTimeout(timer);
        const marked = (name: string): string => new RegExp(`${MARK}${name} (.*)$`, 'm').exec(this.#shown)?.[1] ?? '';
        const exitCode = Number(marked('code') || '-1');
        resolve({ exitCode, shown: this.#shown, before: marked('before'), after: marked('after') });
      });
    });
  }

  /** Everything shown so far. */
  get shown(): string {
    return this.#shown;
  }

  /** Types. */
  type(text: string): void {
    this.#child.stdin?.write(text, 'latin1');
  }

  /** Waits until the terminal shows `text`. */
  async sees(text: string | RegExp, timeoutMs = 60_000): Promise<void> {
    const end = performance.now() + timeoutMs;
    const seen = (): boolean => (typeof text === 'string' ? this.#shown.includes(text) : text.test(this.#shown));
    while (!seen()) {
      if (performance.now() > end || this.#child.exitCode !== null) throw new Error(`no ${text} in: ${this.#shown}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** The command's process. */
  get pid(): number {
    return Number(new RegExp(`^${MARK}pid (\\d+)$`, 'm').exec(this.#shown)?.[1]);
  }

  /** Sends the command a signal. */
  signal(name: NodeJS.Signals): void {
    process.kill(this.pid, name);
  }

  /** Gives the terminal another size, in characters: the command gets a SIGWINCH. */
  resize(columns: number, rows: number): void {
    const terminal = readlinkSync(`/proc/${this.pid}/fd/0`);
    const { status } = spawnSync('stty', ['-F', terminal, 'cols', `${columns}`, 'rows', `${rows}`]);
    if (status !== 0) throw new Error(`stty cannot resize ${terminal}`);
  }

  /** Takes the terminal away. */
  hangUp(): void {
    this.#child.kill('SIGKILL');
  }

  /** How it ended. */
  ended(): Promise<TerminalEnd> {
    return this.#ended;
  }
}
