/** AF_VSOCK sockets of a Debian guest and Unix sockets of this host: both ways, whole, many, and what goes wrong. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as later } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import * as assert from 'uvu/assert';
import { runUnderWurley } from '../../test/drivers/wurley.js';
import { spec } from '../../test/harness/spec.js';

const test = spec('sockets under debian');
const MINUTES = 60_000;
const PROGRAM = fileURLToPath(new URL('../../../test/guests/bin/vsock.elf', import.meta.url));
const SECTOR = 512;
const LARGE_BYTES = 64 << 20;
const MANY = 200;
const ECHOED_BYTES = 3_000_000;
const MASK = (1n << 64n) - 1n;

/** FNV-1a over 64 bits in two halves, as the guest's program makes it. */
class Sum {
  #high = 0xcbf29ce4;
  #low = 0x84222325;
  add(bytes: Uint8Array): void {
    let [high, low] = [this.#high, this.#low];
    for (const byte of bytes) {
      low = (low ^ byte) >>> 0;
      // times 2^40 + 0x1b3
      const product = low * 0x1b3;
      const carry = Math.floor(product / 2 ** 32);
      high = (Math.imul(high, 0x1b3) + carry + (low << 8)) >>> 0;
      low = product >>> 0;
    }
    [this.#high, this.#low] = [high, low];
  }
  get text(): string {
    return String(((BigInt(this.#high) << 32n) | BigInt(this.#low)) & MASK);
  }
}

async function listen(path: string, serve: (socket: Socket) => void): Promise<Server> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => socket.destroy());
    serve(socket);
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  return server;
}

/** Connects to a port of the guest by `path`, says `content`, ends, and answers all that came back; undefined: refused. */
function exchange(path: string, port: number, content: Uint8Array): Promise<Uint8Array | undefined> {
  return new Promise((resolve) => {
    const parts: Buffer[] = [];
    const socket = connect({ path, allowHalfOpen: true });
    socket.on('error', () => socket.destroy());
    socket.on('close', () => {
      const all = Buffer.concat(parts);
      const end = all.indexOf(0x0a);
      resolve(/^OK \d+$/.test(all.subarray(0, Math.max(end, 0)).toString()) ? all.subarray(end + 1) : undefined);
    });
    socket.on('data', (bytes) => parts.push(bytes));
    socket.on('end', () => socket.destroy());
    socket.write(`CONNECT ${port}\n`);
    socket.end(content);
  });
}

const COMMANDS = [
  'modprobe vmw_vsock_virtio_transport; cat /dev/vda > /tmp/vsock; chmod +x /tmp/vsock; cd /tmp',
  `./vsock send 1000 ${LARGE_BYTES}`,
  './vsock get 1001',
  `./vsock many 1002 ${MANY}`,
  './vsock get 1999',
  './vsock die 1003; echo $?',
  './vsock get 1004; echo $?',
  './vsock serve 2000 2',
  './vsock get 1001',
  'dmesg | grep -ciE "vsock.*(error|fail)"; poweroff -f',
];

test(
  '64 MiB each way, half-closed connections, 200 at once, peers that die, ports where nobody listens',
  async () => {
    const folder = mkdtempSync(join(tmpdir(), 'wurley-vsock-'));
    const path = join(folder, 'vm.sock');
    const disk = join(folder, 'program');
    const program = readFileSync(PROGRAM);
    writeFileSync(disk, Buffer.concat([program, new Uint8Array(SECTOR - (program.length % SECTOR))]));
    const pattern = new Uint8Array(LARGE_BYTES).map((_, i) => (i * 31) ^ (i >> 11));
    const patternSum = new Sum();
    patternSum.add(pattern);
    const received = new Sum();
    let died = '';
    const open = new Set<Socket>();
    const servers = await Promise.all([
      listen(`${path}_1000`, (socket) => {
        let bytes = 0;
        socket.on('data', (chunk: Buffer) => {
          received.add(chunk);
          bytes += chunk.length;
        });
        socket.on('end', () => socket.end(`${bytes} ${received.text}`));
      }),
      listen(`${path}_1001`, (socket) => void socket.end(pattern)),
      listen(`${path}_1002`, (socket) => {
        open.add(socket);
        socket.on('close', () => open.delete(socket));
        socket.pipe(socket);
      }),
      listen(`${path}_1003`, (socket) => {
        const timer = setInterval(() => socket.write(new Uint8Array(65536)), 1);
        socket.on('close', () => {
          clearInterval(timer);
          died = 'noticed';
        });
        socket.on('end', () => socket.end());
      }),
      listen(`${path}_1004`, (socket) => {
        socket.write('half');
        setTimeout(() => socket.destroy(), 200);
      }),
    ]);
    try {
      const run = {
        boot: ['debian:6.1-cloud'],
        cpus: 2,
        memoryMiB: 512,
        bootargs: '',
        deadlineMs: 8 * MINUTES,
        input: `${COMMANDS.join('\n')}\n`,
        more: ['--vsock', `${path},cid=7`, '--disk', `${disk},ro`],
      };
      const running = runUnderWurley(run);
      // Nobody listens there, then somebody does.
      const content = pattern.subarray(0, ECHOED_BYTES);
      let echoed: Uint8Array | undefined;
      let refused = 0;
      let ended = false;
      void running.then(() => {
        ended = true;
      });
      while (echoed === undefined && !ended) {
        echoed = await exchange(path, 2000, content);
        if (echoed === undefined) {
          refused++;
          await later(200);
        }
      }
      const again = await exchange(path, 2000, content.subarray(0, 100));
      const outcome = await running;
      assert.ok(outcome.ok, outcome.ok ? '' : outcome.error.text + outcome.error.console);
      const { console: said, exitCode, errors } = outcome.value;
      assert.is(exitCode, 0, errors);
      const served = new Sum();
      served.add(content);
      served.add(content.subarray(0, 100));
      const lines = [
        `vsock sent ${LARGE_BYTES} sum ${received.text}`,
        `vsock answer ${LARGE_BYTES} ${received.text}`,
        `vsock got ${LARGE_BYTES} sum ${patternSum.text}`,
        `vsock many ${MANY} sum `,
        'vsock failed connect error 104',
        `vsock served ${ECHOED_BYTES + 100} sum ${served.text}`,
      ];
      for (const line of lines) assert.ok(said.includes(line), `${line}\n${said}`);
      assert.match(said, /^vsock got 4 sum \d+\n0$/m);
      assert.ok(refused > 0);
      assert.is(died, 'noticed');
      assert.is(open.size, 0);
      assert.ok(echoed !== undefined && Buffer.compare(echoed, content) === 0);
      assert.is(again?.length, 100);
    } finally {
      for (const server of servers) server.close();
      rmSync(folder, { recursive: true, force: true });
    }
  },
  { deadlineMs: 10 * MINUTES },
);

test.run();
