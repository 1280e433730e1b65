/** Where everything is kept that can be had again. */
import { homedir } from 'node:os';
import { join } from 'node:path';

/** The cache folder: `$XDG_CACHE_HOME/wurley`, or `~/.cache/wurley` (XDG base directory specification). */
export function cacheFolder(env: NodeJS.ProcessEnv = process.env): string {
  const configured = env['XDG_CACHE_HOME'];
  return join(configured?.startsWith('/') ? configured : join(homedir(), '.cache'), 'wurley');
}
