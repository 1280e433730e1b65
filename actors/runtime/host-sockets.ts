/** The host's TCP behind {@link Listen}. */
import { err, ok } from '../../bus/result.js';
import type { Listen } from './sockets.js';

/** See {@link Listen}. */
export const listenOnHost: Listen = ({ host, port }, connected) =>
  new Promise((resolve) => {
    // Most workers never listen: node:net is loaded by those that do.
    const { createServer } = process.getBuiltinModule('node:net');
    const server = createServer({ noDelay: true }, (socket) => {
      const handlers = connected({
        write: (bytes) => void socket.write(bytes),
        close: () => void socket.end(),
      });
      socket.on('data', (bytes: Buffer) => handlers.data(bytes));
      socket.on('error', () => socket.destroy());
      socket.on('close', () => handlers.closed());
    });
    server.once('error', (problem: Error & { readonly code?: string }) =>
      resolve(err(problem.code ?? problem.message)),
    );
    server.listen(port, host, () => {
      const address = server.address();
      const bound = typeof address === 'object' && address !== null ? address.port : port;
      resolve(ok({ port: bound, close: () => void server.close() }));
    });
  });
