/** Waiting for the process that fills the translation cache after a machine has ended. */
import { existsSync, readdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

/** How long the cache may take to be compiled. */
const CACHE_MS = 180_000;

/** Waits until nothing is left to compile in the folder of the translation cache; whether there is anything in it then. */
export async function cacheIsReady(folder: string): Promise<boolean> {
  for (let waited = 0; waited < CACHE_MS; waited += 500) {
    await sleep(500);
    const names = existsSync(folder) ? readdirSync(folder) : [];
    if (names.some((name) => name.endsWith('.todo') || name.endsWith('.lock'))) continue;
    if (names.some((name) => name.endsWith('.code'))) return true;
  }
  return false;
}
