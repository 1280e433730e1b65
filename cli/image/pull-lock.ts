/**
 * One pull at a time in a cache folder: two would write one list, and one half-fetched package, together. The lock is flock(1)'s of
 * util-linux, which the kernel gives back whatever becomes of its holder; a host without that program has none.
 */
import { spawn } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Report } from './package-source.js';

/** A lock that is free comes sooner than this. */
const FREE_MS = 1000;

/** Calls `body` while no other process of this user's pulls into `cache`; `hasWaited` says that another did until now. */
export async function alonePulling<T>(
  cache: string,
  report: Report,
  body: (hasWaited: boolean) => Promise<T>,
): Promise<T> {
  await mkdir(cache, { recursive: true });
  // cat holds the lock as long as its input is open: as long as this process lives and has not ended it.
  const holder = spawn('flock', [join(cache, 'pull.lock'), 'cat'], { stdio: ['pipe', 'pipe', 'ignore'] });
  let hasWaited = false;
  const patience = setTimeout(() => {
    hasWaited = true;
    report('waiting for another pull to end');
  }, FREE_MS);
  await new Promise<void>((resolve) => {
    holder.stdout.once('data', () => resolve());
    for (const event of ['error', 'close'] as const) holder.once(event, () => resolve());
    holder.stdin.on('error', () => undefined);
    holder.stdin.write('.');
  });
  clearTimeout(patience);
  try {
    return await body(hasWaited);
  } finally {
    holder.stdin.end();
  }
}
