/** A separate process (or piscina's worker) that echoes: over its IPC channel, and over a Unix socket when given a path. */
import { createServer } from 'node:net';

const path = process.argv[2];
process.on('message', (message) => void process.send?.(message));
if (path !== undefined && process.send !== undefined) {
  createServer((socket) => socket.setNoDelay(true).pipe(socket)).listen(path, () => void process.send?.('listening'));
}

/** piscina's task. */
export default function echo(message: Uint8Array): Uint8Array {
  return message;
}
