/**
 * The command line as a function: verbs, arguments and a terminal in, an exit code out. Nothing here ends the process, so
 * tests can call it.
 */
import { Command, CommanderError } from 'commander';
import { STATUS } from '../bus/status.js';

/** Where a verb writes, and what it learns of the terminal. */
export interface Terminal {
  readonly isTTY: boolean;
  /** Width in characters. */
  readonly columns: number;
  out(text: string): void;
  err(text: string): void;
  /** Calls `stop` when the user asks to end (Ctrl-C); returns what takes that back. */
  onInterrupt(stop: () => void): () => void;
}

/** Adds a verb to the program; its action hands the exit code to `done`. */
export type Verb = (program: Command, terminal: Terminal, done: (exitCode: number) => void) => void;

/** Exit code for a command line that is not understood (sysexits.h EX_USAGE). */
export const EXIT_USAGE = STATUS.badArgument.exit;
/** Exit code for a failure of ours (EX_SOFTWARE). */
export const EXIT_SOFTWARE = STATUS.corrupt.exit;

/** The verbs that `args` begins with, as one types them. */
function commandOf(program: Command, args: readonly string[]): string {
  const names = [program.name()];
  let command: Command | undefined = program;
  for (const arg of args) {
    command = command.commands.find((verb) => verb.name() === arg);
    if (command === undefined) break;
    names.push(arg);
  }
  return names.join(' ');
}

/** Runs `args` (without node and script) and answers the exit code. `version` is what `--version` prints. */
export async function runProgram(
  verbs: readonly Verb[],
  args: readonly string[],
  terminal: Terminal,
  version = 'unknown',
): Promise<number> {
  let exitCode = 0;
  let said = '';
  const program = new Command('wurley')
    .description('a host for virtual machines under the Gunyah and Hyper-V interfaces')
    .version(version)
    .enablePositionalOptions()
    .exitOverride()
    .configureOutput({
      writeOut: (text) => terminal.out(text),
      writeErr: (text) => {
        said = text;
      },
      getOutHelpWidth: () => terminal.columns,
    });
  for (const verb of verbs) {
    verb(program, terminal, (code) => {
      exitCode = code;
    });
  }
  for (const command of program.commands) command.copyInheritedSettings(program);
  try {
    if (args.length === 0) {
      terminal.out(program.helpInformation());
      return EXIT_USAGE;
    }
    await program.parseAsync(args, { from: 'user' });
    return exitCode;
  } catch (thrown) {
    if (!(thrown instanceof CommanderError)) {
      terminal.err(`wurley: ${thrown instanceof Error ? thrown.message : String(thrown)}\n`);
      return EXIT_SOFTWARE;
    }
    if (thrown.exitCode === 0) return 0;
    // A verb of several that was not told which.
    if (thrown.code === 'commander.help') {
      terminal.out(said);
      return EXIT_USAGE;
    }
    const what = thrown.message
      .replace(/^error: /, '')
      .replace(/\.?\s*$/s, '')
      .replaceAll(/\s+/g, ' ');
    terminal.err(`wurley: ${what}; "${commandOf(program, args)} --help" lists what there is.\n`);
    return EXIT_USAGE;
  }
}
