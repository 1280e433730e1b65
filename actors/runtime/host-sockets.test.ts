/** Listening on the loopback interface, as actors do. */
import { once } from 'node:events';
import { connect } from 'node:net';
import * as assert from 'uvu/assert';
import { spec } from '../../test/harness/spec.js';
import { listenOnHost } from './host-sockets.js';
import { loopbackPort } from './sockets.js';

const test = spec('host sockets');

test('bytes go both ways, and the end is told once', async () => {
  const taken: string[] = [];
  let ends = 0;
  const listening = await listenOnHost(loopbackPort(0), (connection) => ({
    data(bytes) {
      taken.push(Buffer.from(bytes).toString());
      connection.write(Buffer.from('answer'));
      connection.close();
    },
    closed: () => void ends++,
  }));
  assert.ok(listening.ok);
  if (!listening.ok) return;
  const socket = connect(listening.value.port, '127.0.0.1');
  socket.write('question');
  const answered: string[] = [];
  socket.on('data', (bytes: Buffer) => answered.push(bytes.toString()));
  await once(socket, 'close');
  assert.equal([taken.join(''), answered.join('')], ['question', 'answer']);
  while (ends === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  assert.is(ends, 1);
  listening.value.close();
});

test('a port that is taken is refused by its name', async () => {
  const first = await listenOnHost(loopbackPort(0), () => ({ data: () => undefined, closed: () => undefined }));
  assert.ok(first.ok);
  if (!first.ok) return;
  const second = await listenOnHost(loopbackPort(first.value.port), () => ({
    data: () => undefined,
    closed: () => undefined,
  }));
  assert.equal(second, { ok: false, error: 'EADDRINUSE' });
  first.value.close();
});
test.run();
