/** What the head of the `wurley` command's launcher, which is a shell's, gives to the process. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** Below dist/ as below the sources. */
const LAUNCHER = fileURLToPath(new URL('../../../cli/wurley.mjs', import.meta.url));
/** The line for the shell: `// ...; export NAME=VALUE ...; unset NAME; exec node OPTIONS "$0" "$@"`. */
const SHELL_LINE = 1;

const commands = (): readonly string[] => (readFileSync(LAUNCHER, 'utf8').split('\n')[SHELL_LINE] ?? '').split('; ');
const wordsAfter = (command: string): readonly string[] =>
  commands()
    .filter((line) => line.startsWith(`${command} `))
    .flatMap((line) => line.split(' ').slice(command.split(' ').length));

/** What it does to the environment, for whoever starts the compiled program itself; undefined is a variable that it removes. */
export function launcherEnvironment(): Record<string, string | undefined> {
  const changed: Record<string, string | undefined> = {};
  for (const word of wordsAfter('export')) {
    const [name = '', value = ''] = word.split(/=(.*)/s);
    // Quoted: ${NAME-$OTHER}.
    const [, first = '', second = ''] = /^"\$\{(\w+)-\$(\w+)\}"$/.exec(value) ?? [];
    changed[name] = first === '' ? value : (process.env[first] ?? process.env[second] ?? '');
  }
  for (const name of wordsAfter('unset')) changed[name] = undefined;
  return changed;
}

/** The options it gives to Node.js, for the same. */
export function launcherOptions(): readonly string[] {
  return wordsAfter('exec node').filter((word) => word.startsWith('-'));
}
