/**
 * Where labs have their control sockets: `$XDG_RUNTIME_DIR/wurley/NAME.sock`, or `/tmp/wurley-UID/NAME.sock`. The folder is the
 * user's alone; one that is not is refused, because who may write there could take our place.
 */
import { lstatSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import { err, ok, type Result } from '../../bus/result.js';

const SUFFIX = '.sock';
/** Bytes of sockaddr_un.sun_path with its final zero. */
const PATH_BYTES_MAX = 108;
const OTHERS = 0o077;

/** The folder for `env`. */
export function socketFolder(env: NodeJS.ProcessEnv): string {
  const runtime = env['XDG_RUNTIME_DIR'];
  return runtime === undefined || runtime === '' ? `/tmp/wurley-${process.getuid?.() ?? 0}` : join(runtime, 'wurley');
}

/** The socket of lab `name`. */
export function socketPath(folder: string, name: string): string {
  return join(folder, `${name}${SUFFIX}`);
}

/** Makes the folder if need be and checks whose it is; the error is a sentence. */
function claimFolder(folder: string): Result<undefined, string> {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const found = lstatSync(folder);
    if (!found.isDirectory() || found.uid !== process.getuid?.() || (found.mode & OTHERS) !== 0) {
      return err(`${folder} must be a folder that only you may enter (mode 0700)`);
    }
    return ok();
  } catch (problem) {
    return err(`${folder} cannot be used (${problem instanceof Error ? problem.message : String(problem)})`);
  }
}

/** Whether somebody answers at `path`. */
async function isServed(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection(path);
    const settle = (served: boolean): void => {
      socket.destroy();
      resolve(served);
    };
    socket.once('connect', () => settle(true));
    socket.once('error', () => settle(false));
  });
}

/** The socket that lab `name` may listen at; one that nobody serves any more is removed. The error is a sentence. */
export async function freeSocket(folder: string, name: string): Promise<Result<string, string>> {
  const claimed = claimFolder(folder);
  if (!claimed.ok) return claimed;
  const path = socketPath(folder, name);
  if (Buffer.byteLength(path) >= PATH_BYTES_MAX) return err(`${path} is too long for a socket`);
  if (await isServed(path)) return err(`the lab ${name} is running already (${path})`);
  rmSync(path, { force: true });
  return ok(path);
}

/** Names of the labs that run. */
export async function runningLabs(folder: string): Promise<readonly string[]> {
  let files: readonly string[];
  try {
    files = readdirSync(folder);
  } catch {
    // WHY: no folder, no lab.
    return [];
  }
  const names = files.filter((file) => file.endsWith(SUFFIX)).map((file) => file.slice(0, -SUFFIX.length));
  const served = await Promise.all(names.map((name) => isServed(socketPath(folder, name))));
  return names.filter((_, n) => served[n]).sort();
}
