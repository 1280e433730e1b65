/**
 * A virtio network card: test/guests/net under Debian 6.1-cloud, `wurley run` against qemu-system-aarch64 (TCG, virtio-mmio), in turn.
 * TCP between guest and host through the user-mode gateway and QEMU's user network, with the same program on the host; TCP and pings
 * between two VMs of a lab over its switch, and between two QEMUs over datagram sockets. The guest's clock counts.
 */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cacheFolder } from '../../cli/cache-folder.js';
import type { StoredImage } from '../../cli/image/store.js';
import type { ConsoleSession } from '../../test/drivers/console-session.js';
import { cacheIsReady } from '../code-cache.js';
import type { Bench, BenchSuite, Target } from '../report.js';
import { guestImage, type Host, startGuest, startLab, writeInitrd } from './linux-guest.js';

const MODULES = ['virtio_mmio', 'virtio_net'];
const BYTES = 64 << 20;
/** Enough for the code of the guest to be compiled: the best one counts. */
const TRANSFERS = 8;
const ROUNDS = 2;
const PINGS = 300;
/** As people ping, with pauses, but not for so long: both sides have gone to sleep by then. */
const PAUSE_US = 10_000;
const PORT = 5001;
const DEADLINE_MS = 60_000;
const HOSTS: readonly Host[] = ['qemu-system-aarch64', 'wurley'];
const atLeast = (bound: number): Target => ({ op: '>=', bound });
const atMost = (bound: number): Target => ({ op: '<=', bound });

/** What was measured, by name: bytes a nanosecond, or nanoseconds of a ping. */
type Figures = Map<string, number>;

/** The host's end: swallows or sends what the guest's program asks for (see test/guests/net). */
function hostServer(): Promise<Server> {
  const block = Buffer.alloc(256 << 10);
  const source = (socket: Socket, bytes: number): void => {
    let left = bytes;
    const more = (): void => {
      while (left > 0) {
        const part = Math.min(left, block.length);
        left -= part;
        if (!socket.write(block.subarray(0, part))) return;
      }
      socket.end();
    };
    socket.on('drain', more);
    more();
  };
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    let verb = '';
    let heard = 0;
    let head = Buffer.alloc(0);
    socket.on('error', () => undefined); // a guest that was ended early: its figure is missing
    socket.on('data', (bytes: Buffer) => {
      if (verb === '') head = Buffer.concat([head, bytes]);
      if (verb === 's') heard += bytes.length;
      else if (head[0] === 0x73) {
        verb = 's';
        heard = head.length - 1;
      } else if (verb === '' && head.length >= 9) {
        verb = 'g';
        source(socket, Number(head.readBigUInt64LE(1)));
      }
    });
    socket.on('end', () => {
      if (verb !== 's') return;
      const count = Buffer.alloc(8);
      count.writeBigUInt64LE(BigInt(heard));
      socket.end(count);
    });
  });
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)));
}

const card = (address: string): string[] => ['ip link set eth0 up', `ip addr add ${address}/24 dev eth0`];
type Verb = 'ping' | 'send' | 'get';
const command = (verb: Verb, address: string, port: number): string =>
  verb === 'ping'
    ? `/net ping ${address} ${PINGS} ${PAUSE_US}`
    : `/net ${verb} ${address} ${port} ${BYTES} ${TRANSFERS}`;
const USER_VERBS: readonly Verb[] = ['send', 'get', 'ping'];
/** Between two QEMUs there is no figure for TCP: their datagram sockets lose frames and do a tenth of their user network. */
const JOINED_VERBS: Readonly<Record<Host, readonly Verb[]>> = {
  wurley: ['ping', 'send', 'get'],
  'qemu-system-aarch64': ['ping'],
};
/** The neighbour may not be there yet. */
const patience = (address: string): string => `until ping -c 1 -W 1 ${address} >/dev/null; do sleep 0.2; done`;

/** Reads the reports of `guest`, which runs `verbs`, into `figures`, the better of two for each. */
async function collect(guest: ConsoleSession, kind: string, verbs: readonly Verb[], figures: Figures): Promise<void> {
  for (const verb of verbs) {
    const name = `${kind}.${verb}`;
    const before = figures.get(name);
    if (verb === 'ping') {
      const [, p50] = await guest.expect(/net ping count \d+ p50 (\d+) p90 \d+ p99 \d+\n/);
      figures.set(name, Math.min(before ?? Number.POSITIVE_INFINITY, Number(p50)));
    } else {
      const [, bytes, ns] = await guest.expect(new RegExp(`net ${verb} bytes (\\d+) ns (\\d+)\n`));
      figures.set(name, Math.max(before ?? 0, Number(bytes) / Number(ns)));
    }
  }
}

/** Runs guests, reads the reports of the last one, and ends them all. */
async function measured(
  host: Host,
  guests: readonly ConsoleSession[],
  kind: string,
  verbs: readonly Verb[],
  figures: Figures,
  bench: Bench,
): Promise<void> {
  const [last] = guests.slice(-1);
  try {
    if (last !== undefined) await collect(last, kind, verbs, figures);
  } catch (problem) {
    bench.note(`${kind}: ${problem instanceof Error ? problem.message : String(problem)}`);
  } finally {
    // As its user would end it, so that the code it was seen to run is there at the next start.
    if (host === 'wurley') await last?.interrupt();
    for (const guest of guests) guest.kill();
    await Promise.all(guests.map((guest) => guest.ended));
    if (host === 'wurley') await cacheIsReady(join(cacheFolder(), 'code'));
  }
}

/** What is between guest and host. */
const USER: Readonly<Record<Host, readonly string[]>> = {
  wurley: ['--net', 'user'],
  'qemu-system-aarch64': ['-netdev', 'user,id=n', '-device', 'virtio-net-device,netdev=n'],
};

/** One of two QEMUs that send each other frames as datagrams. */
function joined(folder: string, side: 0 | 1): readonly string[] {
  const [near, far] = [side, 1 - side].map((n) => join(folder, `card${n}`));
  const ends = `local.type=unix,local.path=${near},remote.type=unix,remote.path=${far}`;
  const device = `virtio-net-device,netdev=n,mac=52:54:00:00:00:0${side + 1}`;
  return ['-netdev', `dgram,id=n,${ends}`, '-device', device];
}

/** Two guests, the second of which reports: VMs of one lab, or two QEMUs. */
function neighbours(
  host: Host,
  image: StoredImage,
  folder: string,
  serving: string,
  asking: string,
): readonly ConsoleSession[] {
  if (host === 'wurley') return [startLab(image, folder, { serving, asking }, DEADLINE_MS)];
  return [serving, asking].map((initrd, n) =>
    startGuest(host, image, initrd, joined(folder, n === 0 ? 0 : 1), DEADLINE_MS),
  );
}

async function runAll(bench: Bench, image: StoredImage, folder: string, port: number): Promise<Map<Host, Figures>> {
  const initrd = (name: string, commands: readonly string[]): string => {
    const path = join(folder, `${name}.cpio`);
    writeInitrd(image, path, 'net', MODULES, commands);
    return path;
  };
  const outside = '10.0.2.2';
  const neighbour = '10.9.0.1';
  const user = initrd('user', [...card('10.0.2.15'), ...USER_VERBS.map((verb) => command(verb, outside, port))]);
  const serving = initrd('serving', [...card(neighbour), `/net serve ${PORT}`]);
  const asking = (host: Host): string => {
    const commands = JOINED_VERBS[host].map((verb) => command(verb, neighbour, PORT));
    return initrd(`asking-${host}`, [...card('10.9.0.2'), patience(neighbour), ...commands]);
  };
  const all = new Map<Host, Figures>(HOSTS.map((host) => [host, new Map()]));
  for (let round = 0; round < ROUNDS; round++) {
    for (const [host, figures] of all) {
      const alone = startGuest(host, image, user, USER[host], DEADLINE_MS);
      await measured(host, [alone], 'host', USER_VERBS, figures, bench);
    }
    for (const [host, figures] of all) {
      const guests = neighbours(host, image, folder, serving, asking(host));
      await measured(host, guests, 'vm', JOINED_VERBS[host], figures, bench);
    }
  }
  return all;
}

const mib = (rate: number): number => (rate * 1e9) / 2 ** 20;

async function run(bench: Bench): Promise<void> {
  const image = await guestImage(bench);
  if (image === undefined) return;
  const folder = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'wurley-net-'));
  const server = await hostServer();
  try {
    const all = await runAll(bench, image, folder, (server.address() as AddressInfo).port);
    const ours = all.get('wurley') ?? new Map<string, number>();
    const theirs = all.get('qemu-system-aarch64') ?? new Map<string, number>();
    const rate = (id: string, mine: string, peer: number | undefined, what: string, bound: number): void => {
      const value = ours.get(mine);
      if (value === undefined || peer === undefined) bench.note(`${id}: no figure`);
      else bench.ratio(id, mib(value), 'MiB/s', `${what}, ${mib(peer).toFixed(0)} MiB/s`, value / peer, atLeast(bound));
    };
    const sent = theirs.get('host.send');
    const got = theirs.get('host.get');
    const faster = sent === undefined || got === undefined ? undefined : Math.max(sent, got);
    rate('net.vm', 'vm.send', faster, "QEMU's user network, its faster direction", 1.0);
    rate('net.host.send', 'host.send', sent, "QEMU's user network", 0.7);
    rate('net.host.receive', 'host.get', got, "QEMU's user network", 0.7);
    const [mine, peer] = [ours.get('vm.ping'), theirs.get('vm.ping')];
    if (mine === undefined || peer === undefined) bench.note('net.rtt: no figure');
    else
      bench.ratio(
        'net.rtt',
        mine / 1e3,
        'us p50',
        `two QEMUs, ${(peer / 1e3).toFixed(0)} us`,
        mine / peer,
        atMost(1.5),
      );
    for (const [host, figures] of all) {
      const text = [...figures].map(([name, value]) =>
        name.endsWith('ping') ? `${name} ${(value / 1e3).toFixed(0)} us` : `${name} ${mib(value).toFixed(0)} MiB/s`,
      );
      bench.note(`${host}: ${text.join(', ')}`);
    }
  } finally {
    server.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

const suite: BenchSuite = {
  title: 'a virtio network card: TCP to the host and between guests, and pings, against QEMU TCG',
  ids: ['net.vm', 'net.host', 'net.rtt'],
  run,
};
export default suite;
