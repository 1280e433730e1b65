/** What the first line of the `wurley` command's launcher gives to the process. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** Below dist/ as below the sources. */
const LAUNCHER = fileURLToPath(new URL('../../../cli/wurley.mjs', import.meta.url));

const firstLine = (): string => readFileSync(LAUNCHER, 'utf8').split('\n', 1)[0] ?? '';

/** What `#!/usr/bin/env -S NAME=VALUE node --option` puts into the environment, for whoever starts the compiled program itself. */
export function launcherEnvironment(): Record<string, string> {
  return Object.fromEntries(
    [...firstLine().matchAll(/ (\w+)=(\S+)/g)].map(([, name = '', value = '']) => [name, value]),
  );
}

/** The options it gives to Node.js, for the same. */
export function launcherOptions(): readonly string[] {
  const [, options = ''] = firstLine().split(/ node(?= |$)/);
  return options.split(' ').filter((option) => option !== '');
}
