/** The `wurley` command's launcher, and what its first line gives to the process. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** See the head of this file; below dist/ as below the sources. */
export const LAUNCHER = fileURLToPath(new URL('../../../cli/wurley.mjs', import.meta.url));

/** What `#!/usr/bin/env -S NAME=VALUE node` puts into the environment, for whoever starts the compiled program itself. */
export function launcherEnvironment(): Record<string, string> {
  const [line = ''] = readFileSync(LAUNCHER, 'utf8').split('\n', 1);
  return Object.fromEntries([...line.matchAll(/ (\w+)=(\S+)/g)].map(([, name = '', value = '']) => [name, value]));
}
