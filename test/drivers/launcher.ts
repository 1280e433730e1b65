/** What the first line of the `wurley` command's launcher gives to the process. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** Below dist/ as below the sources. */
const LAUNCHER = fileURLToPath(new URL('../../../cli/wurley.mjs', import.meta.url));

/** What `#!/usr/bin/env -S NAME=VALUE node` puts into the environment, for whoever starts the compiled program itself. */
export function launcherEnvironment(): Record<string, string> {
  const [line = ''] = readFileSync(LAUNCHER, 'utf8').split('\n', 1);
  return Object.fromEntries([...line.matchAll(/ (\w+)=(\S+)/g)].map(([, name = '', value = '']) => [name, value]));
}
