/** The `wurley` command: the list of verbs, each in its own file under commands/. */
import { readFileSync } from 'node:fs';
import { addDemo } from './commands/demo.js';
import { addImage } from './commands/image.js';
import { addRun } from './commands/run.js';
import { runProgram, type Terminal, type Verb } from './program.js';

const VERBS: readonly Verb[] = [addDemo, addImage, addRun];

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

// From dist/cli/main.js, in a checkout as in an installed package.
const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  readonly version: string;
};
process.exitCode = await runProgram(VERBS, process.argv.slice(2), terminal, version);
