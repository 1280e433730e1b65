/**
 * A machine of QEMU's `virt` whose processor never runs: its buses are driven through qtest, QEMU's own interface for device
 * tests (docs/devel/testing/qtest.rst there), so that a device of ours can be compared with QEMU's access by access.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const QEMU = 'qemu-system-aarch64';
const WIDTH: Readonly<Record<number, string>> = { 1: 'b', 2: 'w', 4: 'l' };
const hex = (value: number): string => `0x${value.toString(16)}`;

/** A load, or with `value` a store, of 1, 2 or 4 bytes at a physical address. */
export interface BusAccess {
  readonly address: number;
  readonly bytes: number;
  readonly value?: number;
}

/** See the head of this file. */
export class QtestMachine {
  readonly #child: ChildProcess;
  readonly #server: Server;
  readonly #socket: Socket;
  readonly #folder: string;
  #text = '';
  #wake: (() => void) | undefined;
  #isOver = false;

  private constructor(child: ChildProcess, server: Server, socket: Socket, folder: string) {
    this.#child = child;
    this.#server = server;
    this.#socket = socket;
    this.#folder = folder;
    socket.on('data', (bytes: Buffer) => {
      this.#text += bytes.toString('latin1');
      this.#wake?.();
    });
    const over = (): void => {
      this.#isOver = true;
      this.#wake?.();
    };
    socket.on('error', over);
    socket.on('close', over);
  }

  /** Starts QEMU with `more` arguments; throws what it says when it does not start. */
  static async start(more: readonly string[] = []): Promise<QtestMachine> {
    const folder = mkdtempSync(join(tmpdir(), 'wurley-qtest-'));
    const path = join(folder, 'qtest');
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(path, resolve));
    const plain = ['-M', 'virt', '-accel', 'tcg', '-S', '-nodefaults', '-display', 'none', '-monitor', 'none'];
    const args = [...plain, '-serial', 'none', '-qtest', `unix:${path}`, '-qtest-log', '/dev/null', ...more];
    const child = spawn(QEMU, args, { stdio: ['ignore', 'ignore', 'pipe'] });
    let said = '';
    child.stderr?.on('data', (bytes: Buffer) => {
      said = (said + bytes.toString()).slice(-4096);
    });
    try {
      const socket = await new Promise<Socket>((resolve, reject) => {
        server.once('connection', resolve);
        child.once('error', reject);
        child.once('close', () => reject(new Error(`${QEMU} ended: ${said}`)));
      });
      return new QtestMachine(child, server, socket, folder);
    } catch (thrown) {
      server.close();
      rmSync(folder, { recursive: true, force: true });
      throw thrown;
    }
  }

  /** Makes the accesses in order; what each load answered, 0 for a store. */
  async access(accesses: readonly BusAccess[]): Promise<readonly number[]> {
    const lines = accesses.map(({ address, bytes, value }) => {
      const width = WIDTH[bytes];
      return value === undefined ? `read${width} ${hex(address)}` : `write${width} ${hex(address)} ${hex(value)}`;
    });
    return (await this.#command(lines)).map((answer) => (answer === '' ? 0 : Number(answer)));
  }

  /** The content of memory that has no registers. */
  async content(address: number, bytes: number): Promise<Uint8Array> {
    const [answer = ''] = await this.#command([`read ${hex(address)} ${hex(bytes)}`]);
    return Buffer.from(answer.slice(2), 'hex');
  }

  /** Gives commands in order; what follows `OK` in their answers. */
  async #command(lines: readonly string[]): Promise<readonly string[]> {
    this.#text = '';
    this.#socket.write(`${lines.join('\n')}\n`);
    for (;;) {
      const answers = this.#text.split('\n');
      if (answers.length > lines.length) {
        const odd = answers.slice(0, lines.length).findIndex((line) => !line.startsWith('OK'));
        if (odd >= 0) throw new Error(`qtest answers "${answers[odd]}" to "${lines[odd]}"`);
        return answers.slice(0, lines.length).map((line) => line.slice(3));
      }
      if (this.#isOver) throw new Error('QEMU ended in the middle of a test');
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** Ends QEMU. */
  async end(): Promise<void> {
    const ended = new Promise((resolve) => this.#child.once('close', resolve));
    this.#child.kill('SIGKILL');
    await ended;
    this.#socket.destroy();
    this.#server.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
