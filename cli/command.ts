/** The `wurley` command: the list of verbs, each in its own file under commands/. */
import { runOnTerminal } from './process-terminal.js';
import type { Verb } from './program.js';

/**
 * The files of verbs, with the verbs in each. Only the file of the verb that was named is evaluated: all of them, with what they
 * import, take three times as long to load as Node does to start.
 */
const FILES: readonly (readonly [verbs: readonly string[], load: () => Promise<Verb>])[] = [
  [['lab'], async () => (await import('./commands/embedded-lab.js')).addEmbeddedLab],
  [['demo'], async () => (await import('./commands/demo.js')).addDemo],
  [['image'], async () => (await import('./commands/image.js')).addImage],
  [['run'], async () => (await import('./commands/run.js')).runVerb()],
  [['up'], async () => (await import('./commands/up.js')).addUp],
  [
    ['ps', 'console', 'logs', 'stop', 'kill', 'restart', 'down', 'trace', 'stats', 'inspect'],
    async () => (await import('./commands/lab.js')).addLabVerbs,
  ],
];

/** The verb that `name` is, or all of them for a help text and for what is none. */
function verbsFor(name: string | undefined): Promise<readonly Verb[]> {
  const named = FILES.filter(([verbs]) => name !== undefined && verbs.includes(name));
  if (name === '--version') return Promise.resolve([]);
  return Promise.all((named.length > 0 ? named : FILES).map(([, load]) => load()));
}

/** Runs the command line `args` on this process's terminal; the exit code. */
export default async function command(args: readonly string[]): Promise<number> {
  return runOnTerminal(await verbsFor(args[0]), args);
}
