/** The `wurley` command: the list of verbs, each in its own file under commands/. */
import { readFileSync } from 'node:fs';
import { addDemo } from './commands/demo.js';
import { addEmbeddedLab } from './commands/embedded-lab.js';
import { addImage } from './commands/image.js';
import { addLabVerbs } from './commands/lab.js';
import { addRun } from './commands/run.js';
import { addUp } from './commands/up.js';
import { runProgram, type Terminal, type Verb } from './program.js';

const VERBS: readonly Verb[] = [addEmbeddedLab, addDemo, addImage, addRun, addUp, addLabVerbs];

/** Runs the command line `args` on this process's terminal; the exit code. */
export default async function command(args: readonly string[]): Promise<number> {
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
  // From dist/cli/command.js, in a checkout as in an installed package.
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
    readonly version: string;
  };
  return await runProgram(VERBS, args, terminal, version);
}
