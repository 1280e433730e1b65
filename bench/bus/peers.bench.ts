/** Peers of the bus, for orientation: IPC between processes, a Unix socket, a piscina task, ZeroMQ, a ring in C. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Piscina } from 'piscina';
import { median, nowNs } from '../measure.js';
import type { Bench, BenchSuite } from '../report.js';
import { measureCRing } from './c-ring.js';

const TRIPS = 2000;
const BYTES = 64;

/** Median microseconds of `trip`, after some to warm up. */
async function trips(trip: () => Promise<unknown>): Promise<number> {
  const samples: number[] = [];
  for (let i = -200; i < TRIPS; i++) {
    const from = nowNs();
    await trip();
    if (i >= 0) samples.push((nowNs() - from) / 1000);
  }
  return median(samples);
}

async function run(bench: Bench): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'wurley-peers-'));
  const path = join(folder, 'socket');
  const echo = fileURLToPath(new URL('./peer-echo.worker.js', import.meta.url));
  bench.note('placement: the main thread asks, the peer is another process or worker; not pinned to processors');
  const child = fork(echo, [path], { serialization: 'advanced' });
  try {
    await once(child, 'message');
    const message = new Uint8Array(BYTES);
    const ipc = await trips(async () => {
      child.send(message);
      await once(child, 'message');
    });
    bench.value('peer.child-process-ipc.rtt', ipc, 'us p50');
    const socket = connect(path);
    await once(socket, 'connect');
    const unix = await trips(async () => {
      socket.write(message);
      await once(socket, 'data');
    });
    bench.value('peer.unix-socket.rtt', unix, 'us p50');
    socket.destroy();
  } finally {
    child.kill();
    rmSync(folder, { recursive: true, force: true });
  }
  const pool = new Piscina({ filename: echo, minThreads: 1, maxThreads: 1 });
  bench.value('peer.piscina-task.rtt', await trips(() => pool.run(new Uint8Array(BYTES))), 'us p50');
  await pool.destroy();
  await zeromq(bench);
  const ring = measureCRing();
  if (typeof ring === 'string') bench.note(`skipped: ring in C (${ring})`);
  else {
    bench.value('peer.c-ring.rtt', ring.roundTripUs, 'us mean');
    bench.value('peer.c-ring.stream', ring.perSecond, 'msg/s');
  }
}

/** The part of the zeromq package that is used here; it is not among our dependencies. */
interface ZeroMq {
  readonly Pair: new () => {
    bind(address: string): Promise<void>;
    connect(address: string): void;
    send(message: Uint8Array): Promise<void>;
    receive(): Promise<Uint8Array[]>;
    close(): void;
  };
}

async function zeromq(bench: Bench): Promise<void> {
  const name = 'zeromq';
  const loaded = await import(name).then(
    (module: ZeroMq) => module,
    () => undefined,
  );
  if (loaded === undefined) {
    bench.note('skipped: zeromq (the package is not installed)');
    return;
  }
  const [near, far] = [new loaded.Pair(), new loaded.Pair()];
  await near.bind('inproc://wurley');
  far.connect('inproc://wurley');
  const trip = async (): Promise<void> => {
    await near.send(new Uint8Array(BYTES));
    await far.send((await far.receive())[0] ?? new Uint8Array(BYTES));
    await near.receive();
  };
  bench.value('peer.zeromq-inproc.rtt', await trips(trip), 'us p50');
  near.close();
  far.close();
}

const suite: BenchSuite = {
  title: 'peers of the bus, for orientation: IPC, Unix socket, piscina task, ZeroMQ, a ring in C',
  ids: ['peer.*'],
  run,
};
export default suite;
