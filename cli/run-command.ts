/** `wurley run ...` alone: a quarter of what the whole command has to load. */
import { addRun } from './commands/run.js';
import { runOnTerminal } from './process-terminal.js';

/** Runs the command line `args`, whose verb is `run`; the exit code. */
export default function runCommand(args: readonly string[]): Promise<number> {
  return runOnTerminal([addRun], args);
}
