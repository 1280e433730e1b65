/** The command line on this process's terminal. */
import { readFileSync } from 'node:fs';
import { runProgram, type Terminal, type Verb } from './program.js';

/** Runs `args` with these verbs; the exit code. */
export async function runOnTerminal(verbs: readonly Verb[], args: readonly string[]): Promise<number> {
  const terminal: Terminal = {
    isTTY: process.stdout.isTTY === true,
    columns: process.stdout.columns ?? 100,
    out: (text) => void process.stdout.write(text),
    err: (text) => void process.stderr.write(text),
    onInterrupt(stop) {
      process.once('SIGINT', stop);
      return () => process.off('SIGINT', stop);
    },
  };
  // From dist/cli, in a checkout as in an installed package.
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
    readonly version: string;
  };
  return await runProgram(verbs, args, terminal, version);
}
