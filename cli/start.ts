/**
 * Starts the `wurley` command: from its bundle, which loads in a tenth of the time, or from the compiled modules. `wurley run` has its
 * first threads begun before the command itself is loaded (machine/first-threads.ts).
 */
import { fileURLToPath } from 'node:url';
import { keepCode, loadBundle } from '../actors/runtime/bundle-file.js';
import { isFresh } from '../actors/runtime/worker-files.js';
import { lowerBackgroundThreads } from './background-threads.js';
import type { FirstThreads } from './machine/first-threads.js';

type Command = (args: readonly string[], first?: FirstThreads) => Promise<number>;
/** What these bundles export; `shared` by the first are the modules that it has and others need not have again. */
interface Loaded {
  readonly default: Command;
}
interface LoadedThreads {
  readonly default: () => FirstThreads | undefined;
  readonly shared?: unknown;
}

/** `wurley run` with one of these starts no machine. */
const STARTS_NONE = ['--help', '-h', '--dump-dtb'] as const;

const bundle = (name: string): URL => new URL(`./${name}.bundle`, import.meta.url);

/** Runs the command line `args`; the exit code. */
export default async function start(args: readonly string[]): Promise<number> {
  lowerBackgroundThreads();
  const code = await (args[0] === 'run' ? run(args) : other(args));
  keepCode();
  return code;
}

async function other(args: readonly string[]): Promise<number> {
  const file = bundle('command');
  // WHY: it is command.ts, compiled.
  const loaded = (isFresh(file) ? loadBundle(fileURLToPath(file)) : await import('./command.js')) as Loaded;
  return await loaded.default(args);
}

async function run(args: readonly string[]): Promise<number> {
  const [threads, command] = [bundle('first-threads'), bundle('run-command')];
  const areFresh = isFresh(threads) && isFresh(command);
  // WHY: these are first-threads.ts and run-command.ts, compiled.
  const begins = (
    areFresh ? loadBundle(fileURLToPath(threads)) : await import('./machine/first-threads.js')
  ) as LoadedThreads;
  const first = args.some((arg) => STARTS_NONE.some((name) => arg.startsWith(name))) ? undefined : begins.default();
  try {
    const loaded = (
      areFresh ? loadBundle(fileURLToPath(command), undefined, begins.shared) : await import('./run-command.js')
    ) as Loaded;
    return await loaded.default(args, first);
  } finally {
    await first?.system.close();
  }
}
