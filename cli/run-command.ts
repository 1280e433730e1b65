/** `wurley run ...` alone: a quarter of what the whole command has to load. */
import { runVerb } from './commands/run.js';
import type { FirstThreads } from './machine/first-threads.js';
import { runOnTerminal } from './process-terminal.js';

/** Runs the command line `args`, whose verb is `run`; the exit code. The caller closes what was begun `first`. */
export default function runCommand(args: readonly string[], first?: FirstThreads): Promise<number> {
  return runOnTerminal([runVerb(first)], args);
}
