/** A Debian kernel behind the user-mode gateway: addresses, transfers both ways, published ports, a recording. */
import { createHash, randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { readFile, rm } from 'node:fs/promises';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, connect, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as later } from 'node:timers/promises';
import * as assert from 'uvu/assert';
import { runUnderWurley } from '../../test/drivers/wurley.js';
import { spec } from '../../test/harness/spec.js';

const test = spec('user network under debian');
const MINUTES = 60_000;
const md5 = (bytes: Uint8Array): string => createHash('md5').update(bytes).digest('hex');
const SETUP = [
  'ip link set eth0 up',
  'udhcpc -q -n -i eth0 -s /bin/true 2>&1 | grep -o "lease of.*obtained from 10.0.2.2"',
  'ip addr add 10.0.2.15/24 dev eth0',
  'ip route add default via 10.0.2.2',
];

async function listening(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

/** A port that is free now. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

test(
  'an address by DHCP, a ping, transfers of 48 MiB each way and a datagram arrive as they were sent',
  async () => {
    const content = randomBytes(48 << 20);
    let uploaded = '';
    const server = createHttpServer((_request, response) => void response.end(content));
    const sink = createServer((socket) => {
      const hash = createHash('md5');
      socket.on('data', (bytes: Buffer) => hash.update(bytes));
      socket.on('end', () => {
        uploaded = hash.digest('hex');
        socket.end('thanks\n');
      });
    });
    const sinkPort = await listening(sink);
    const port = await listening(server);
    // Trivial file transfer (RFC 1350): a request for a name is answered with one block that quotes it.
    const files = createSocket('udp4');
    files.on('message', (bytes, from) => {
      if (bytes[1] !== 1) return;
      const name = bytes.subarray(2, bytes.indexOf(0, 2));
      files.send(Buffer.concat([Buffer.of(0, 3, 0, 1), Buffer.from(`you said ${name}\n`)]), from.port, from.address);
    });
    await new Promise<void>((resolve) => files.bind(0, '127.0.0.1', resolve));
    const recording = join(tmpdir(), `wurley-${process.pid}.pcap`);
    const commands = [
      ...SETUP,
      'ping -c 2 -W 20 10.0.2.2 | grep -o "[0-9] packets received"',
      `wget -q -O /tmp/big http://10.0.2.2:${port}/`,
      'md5sum < /tmp/big',
      `nc 10.0.2.2 ${sinkPort} < /tmp/big`,
      `tftp -g -r hello -l - 10.0.2.2 ${files.address().port}`,
      `wget -q -O - http://10.0.2.2:1/ 2>&1 | grep -o "Connection refused"`,
      'dmesg | grep -ciE "virtio_net.*(error|fail|corrupt)|rx_csum"',
      'poweroff -f',
    ];
    const input = `${commands.join('\n')}\n`;
    const more = ['--net', 'user', '--pcap', recording];
    const run = {
      boot: ['debian:6.1-cloud'],
      cpus: 2,
      memoryMiB: 512,
      bootargs: '',
      deadlineMs: 6 * MINUTES,
      input,
      more,
    };
    const outcome = await runUnderWurley(run);
    server.close();
    sink.close();
    files.close();
    assert.ok(outcome.ok, outcome.ok ? '' : outcome.error.text);
    const { console: said, exitCode, errors } = outcome.value;
    assert.is(exitCode, 0, errors);
    const sum = md5(content);
    const expected = ['lease of 10.0.2.15 obtained from 10.0.2.2', '2 packets received', `${sum}  -`, 'thanks'];
    for (const line of [...expected, 'you said hello', 'Connection refused']) assert.ok(said.includes(line), said);
    assert.is(uploaded, sum);
    const recorded = await readFile(recording);
    await rm(recording);
    assert.is(recorded.readUInt32LE(0), 0xa1b2_3c4d);
    assert.ok(recorded.length > content.length * 2, `${recorded.length}`);
    let frames = 0;
    for (let at = 24; at < recorded.length; at += 16 + recorded.readUInt32LE(at + 8)) frames++;
    assert.ok(frames > 100);
  },
  { deadlineMs: 8 * MINUTES },
);

test(
  'published ports lead into the guest: what it serves and what it receives is whole',
  async () => {
    const [web, sink] = [await freePort(), await freePort()];
    const content = randomBytes(4 << 20);
    const commands = [
      ...SETUP,
      'ping -c 1 -W 20 10.0.2.2 > /dev/null',
      'seq 1 200000 > /tmp/numbers',
      'httpd -p 80 -h /tmp',
      'nc -l -p 2000 < /dev/null > /tmp/received',
      'md5sum < /tmp/received',
      'poweroff -f',
    ];
    const input = `${commands.join('\n')}\n`;
    const more = ['--net', 'user', '--publish', `${web}:80`, '--publish', `127.0.0.1:${sink}:2000/tcp`];
    const run = {
      boot: ['debian:6.1-cloud'],
      cpus: 1,
      memoryMiB: 256,
      bootargs: '',
      deadlineMs: 6 * MINUTES,
      input,
      more,
    };
    const running = runUnderWurley(run);
    let page = '';
    for (let tries = 0; tries < 200 && page === ''; tries++) {
      page = await fetch(`http://127.0.0.1:${web}/numbers`).then(
        (answer) => (answer.ok ? answer.text() : ''),
        () => '',
      );
      if (page === '') await later(1_000);
    }
    const numbers = Array.from({ length: 200_000 }, (_, i) => `${i + 1}\n`).join('');
    assert.ok(page === numbers, `${page.length} bytes of ${numbers.length}`);
    await new Promise<void>((resolve) => {
      const socket = connect({ port: sink, host: '127.0.0.1' });
      socket.on('close', () => resolve());
      socket.on('error', () => resolve());
      socket.end(content);
      socket.resume();
    });
    const outcome = await running;
    assert.ok(outcome.ok, outcome.ok ? '' : outcome.error.text);
    assert.is(outcome.value.exitCode, 0, outcome.value.errors);
    assert.ok(outcome.value.console.includes(`${md5(content)}  -`), outcome.value.console);
  },
  { deadlineMs: 8 * MINUTES },
);

test(
  'two machines of two processes talk over a switch',
  async () => {
    const name = `test-${process.pid}`;
    const card = (last: number): string[] => [
      'ip link set eth0 up',
      `ip addr add 10.9.0.${last}/24 dev eth0`,
      'ping6 -c 1 ::1 > /dev/null',
    ];
    const serving = [
      ...card(1),
      'seq 1 300000 > /tmp/numbers',
      'httpd -p 80 -h /tmp',
      'nc -l -p 2000 < /dev/null',
      'poweroff -f',
    ];
    const asking = [
      ...card(2),
      'until ping -c 1 -W 1 10.9.0.1 > /dev/null; do sleep 1; done',
      'until wget -q -O /tmp/numbers http://10.9.0.1/numbers; do sleep 1; done',
      'md5sum < /tmp/numbers',
      'until echo done | nc 10.9.0.1 2000; do sleep 1; done',
      'poweroff -f',
    ];
    const more = ['--net', `switch:${name}`];
    const base = { boot: ['debian:6.1-cloud'], cpus: 1, memoryMiB: 256, bootargs: '', deadlineMs: 6 * MINUTES, more };
    const [one, two] = await Promise.all(
      [serving, asking].map((commands) => runUnderWurley({ ...base, input: `${commands.join('\n')}\n` })),
    );
    assert.ok(one?.ok && two?.ok, one?.ok === false ? one.error.text + one.error.console : 'the second failed');
    assert.equal([one.value.exitCode, two.value.exitCode], [0, 0], one.value.errors + two.value.errors);
    const numbers = Array.from({ length: 300_000 }, (_, i) => `${i + 1}\n`).join('');
    assert.ok(two.value.console.includes(`${md5(Buffer.from(numbers))}  -`), two.value.console);
    assert.ok(one.value.console.includes('done'), one.value.console);
  },
  { deadlineMs: 8 * MINUTES },
);

test.run();
