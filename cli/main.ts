/** Starts the `wurley` command: from its bundle, which loads in a tenth of the time, or from the compiled modules. */
import { fileURLToPath } from 'node:url';
import { keepCode, loadBundle } from '../actors/runtime/bundle-file.js';
import { isFresh } from '../actors/runtime/worker-files.js';
import { lowerBackgroundThreads } from './background-threads.js';

type Command = (args: readonly string[]) => Promise<number>;

lowerBackgroundThreads();
const args = process.argv.slice(2);
const isRun = args[0] === 'run';
const bundle = new URL(isRun ? './run-command.bundle' : './command.bundle', import.meta.url);
// WHY: both are command.ts or run-command.ts, compiled.
const loaded = (
  isFresh(bundle)
    ? loadBundle(fileURLToPath(bundle))
    : await (isRun ? import('./run-command.js') : import('./command.js'))
) as { readonly default: Command };
process.exitCode = await loaded.default(args);
keepCode();
