/**
 * Mixed disk and network load on two machines in this process, whose device workers are killed at random meanwhile: virtio-blk,
 * virtio-net, gateway and switches. Afterwards the host looks for itself at the disk: no acknowledged write may be lost.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ActorSystem } from '../../actors/runtime/system.js';
import { STOP } from '../../actors/shared-state/vm/vm-block.js';
import { cacheFolder } from '../../cli/cache-folder.js';
import { READY_MARKER } from '../../cli/image/initramfs.js';
import { findImage, type StoredImage } from '../../cli/image/store.js';
import { hostUnpackers } from '../../cli/image/unpackers.js';
import { openDisk } from '../../cli/machine/disk-files.js';
import { loadInterpreter } from '../../cli/machine/interpreter-cache.js';
import type { Machine } from '../../cli/machine/machine.js';
import { runMachine } from '../../cli/machine/run-machine.js';
import type { VirtioChoice } from '../../cli/machine/virtio-devices.js';
import { planBoot } from '../../devices/machine/boot-plan.js';
import { seededRandom } from '../harness/mutations.js';
import { Claims, download, FILES, load, NEIGHBOUR } from './device-load.js';

const IMAGE = 'debian:6.1-cloud';
const MIB = 1 << 20;
const NAMES = { loaded: 'vm', neighbour: 'peer' } as const;
/** Between two kills, in milliseconds: from one to four seconds. */
const KILL_MS = { min: 1_000, spread: 3_000 } as const;
/** After the load: for what is still under way, on a slow machine. */
const SLACK_MS = 900_000;

/** What came of it. */
export interface DeviceSoakOutcome {
  readonly kills: ReadonlyMap<string, number>;
  readonly counts: ReadonlyMap<string, number>;
  readonly problems: readonly string[];
}

async function listening(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

function run(program: string, ...args: readonly string[]): string {
  const done = spawnSync(program, args, { encoding: 'latin1', maxBuffer: 64 * MIB });
  if (done.status !== 0)
    throw new Error(`${program} ${args.join(' ')}: ${done.error?.message ?? ''}${done.stdout}${done.stderr}`);
  return done.stdout;
}

/** Runs one machine of the system to its end, typing `commands` at its shell; `take` hears its lines. */
async function machine(
  system: ActorSystem,
  image: StoredImage,
  name: string,
  virtio: readonly VirtioChoice[],
  commands: readonly string[],
  take: (line: string) => void,
  onStart: (machine: Machine) => void,
): Promise<void> {
  const named = (file: string): { file: string; bytes: Uint8Array } => ({ file, bytes: readFileSync(file) });
  const virtioSlots = virtio.map((_, slot) => slot);
  const description = { cpus: 1, ramBytes: 256 * MIB, virtioSlots, hasFirmware: false, pmu: false };
  const plan = await planBoot(
    {
      machine: description,
      bootArguments: 'console=ttyAMA0 panic=-1 quiet wurley_plain=1',
      kernel: named(image.kernelPath),
      initrd: named(image.initrdPath),
      acpi: 'off',
    },
    hostUnpackers,
  );
  if (!plan.ok) throw new Error(plan.error.reason);
  const interpreter = (await loadInterpreter(cacheFolder())).module;
  let line = '';
  let type: ((bytes: Uint8Array) => void) | undefined;
  const pipe = {
    showsSerial: false,
    async write(bytes: Uint8Array) {
      const lines = (line + Buffer.from(bytes).toString('latin1').replaceAll('\r', '')).split('\n');
      line = lines.pop() ?? '';
      for (const whole of lines) {
        if (whole.includes(READY_MARKER)) type?.(Buffer.from(`${commands.join('\n')}\n`));
        take(whole);
      }
    },
    onInput(listener: (bytes: Uint8Array) => void) {
      type = listener;
      return () => undefined;
    },
  };
  const options = { description, plan: plan.value, interpreter, jit: true, virtio, name, trace: undefined };
  const end = await runMachine(system, options, pipe, onStart);
  if (!end.ok) throw new Error(`${name}: ${end.error.sentence}`);
  if (end.value.stop !== STOP.off) throw new Error(`${name} ended otherwise: ${end.value.detail}`);
}

/** Loads for `minutes`, on an image of `format`. */
export async function deviceSoak(
  minutes: number,
  format: 'raw' | 'qcow2',
  seed: number,
  report: (line: string) => void,
): Promise<DeviceSoakOutcome> {
  const image = await findImage(cacheFolder(), IMAGE);
  if (image === undefined) throw new Error(`${IMAGE} is not here (wurley image pull ${IMAGE})`);
  const folder = mkdtempSync(join(tmpdir(), 'wurley-device-soak-'));
  const claims = new Claims();
  const kills = new Map<string, number>();
  const open = new Set<Socket>();
  const source = createServer((socket) => {
    let asked = '';
    open.add(socket);
    socket.on('close', () => open.delete(socket));
    socket.on('error', () => undefined); // as below
    socket.on('data', (bytes: Buffer) => {
      asked += bytes.toString('latin1');
      if (asked.endsWith('\n')) socket.end(download(Number(asked)));
    });
  });
  const sink = createServer((socket) => {
    const hash = createHash('md5');
    socket.on('data', (bytes: Buffer) => hash.update(bytes));
    socket.on('error', () => undefined); // its gateway was killed: the guest hears of it
    socket.on('end', () => socket.end(`${hash.digest('hex')}\n`));
  });
  const system = new ActorSystem({ onLog: () => undefined });
  const machines: Machine[] = [];
  const timers: NodeJS.Timeout[] = [];
  try {
    const raw = join(folder, 'disk.raw');
    run('mke2fs', '-q', '-F', '-t', 'ext4', raw, '192M');
    const path = format === 'raw' ? raw : join(folder, 'disk.qcow2');
    if (format === 'qcow2') run('qemu-img', 'convert', '-q', '-O', 'qcow2', raw, path);
    const layers = openDisk({ path, isReadOnly: false, format, anyBacking: false }, system.files, false);
    if (!layers.ok) throw new Error(layers.error);
    const switchName = `soak-${process.pid}`;
    const card = { mac: undefined, published: [], capture: undefined };
    const virtio: readonly VirtioChoice[] = [
      { kind: 'disk', layers: layers.value, isReadOnly: false },
      { kind: 'net', network: { ...card, switchName: undefined } },
      { kind: 'net', network: { ...card, switchName } },
    ];
    const commands = load(Math.round(minutes * 60), await listening(source), await listening(sink));
    let isLoaded = false;
    const kill = killer(system, seed, kills);
    const tick = (): void => {
      timers.push(setTimeout(tick, kill.pause()));
      if (isLoaded) kill.one();
    };
    tick();
    timers.push(setInterval(() => report(summary(kills, claims.counts)), 60_000));
    timers.push(
      setTimeout(
        () => {
          claims.problems.push('the machines did not end');
          for (const running of machines) running.stop(STOP.requested, 'the deadline');
        },
        minutes * 60_000 + SLACK_MS,
      ),
    );
    const take = (line: string): void => {
      if (line === 'LOAD') isLoaded = true;
      if (line === 'DONE') isLoaded = false;
      claims.take(line);
    };
    const onStart = (running: Machine): void => void machines.push(running);
    const peerCards: readonly VirtioChoice[] = [{ kind: 'net', network: { ...card, switchName } }];
    await Promise.all([
      machine(system, image, NAMES.neighbour, peerCards, NEIGHBOUR, () => undefined, onStart),
      machine(system, image, NAMES.loaded, virtio, commands, take, onStart),
    ]);
    for (const running of machines) await running.dispose();
    await system.close();
    checkDisk(folder, path, format, claims);
    for (const kind of ['W', 'R', 'N', 'U', 'P', 'T'])
      if ((claims.counts.get(kind) ?? 0) === 0) claims.problems.push(`no line of kind ${kind} came`);
    return { kills, counts: claims.counts, problems: claims.problems };
  } finally {
    for (const timer of timers) clearTimeout(timer);
    for (const socket of open) socket.destroy();
    source.close();
    sink.close();
    await system.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Kills a device worker at a time, any of them. */
function killer(system: ActorSystem, seed: number, kills: Map<string, number>): { pause(): number; one(): void } {
  const random = seededRandom(seed);
  const isDevice = (name: string): boolean => /^(vm|peer)-(disk|net)\d+(-gateway|-switch)?$/.test(name);
  return {
    pause: () => KILL_MS.min + random() * KILL_MS.spread,
    one() {
      const running = system.inspect().filter(({ name, state }) => isDevice(name) && state === 'running');
      const victim = running[Math.floor(random() * running.length)];
      if (victim === undefined) return;
      kills.set(victim.name, (kills.get(victim.name) ?? 0) + 1);
      system.fault(victim.ref);
    },
  };
}

/** What is on the disk is what was acknowledged last. */
function checkDisk(folder: string, path: string, format: 'raw' | 'qcow2', claims: Claims): void {
  try {
    const raw = format === 'raw' ? path : join(folder, 'checked.raw');
    if (format === 'qcow2') {
      run('qemu-img', 'check', '-q', path);
      run('qemu-img', 'convert', '-q', '-O', 'raw', path, raw);
    }
    run('e2fsck', '-fn', raw);
    const out = join(folder, 'dumped');
    for (let n = 0; n < FILES; n++) {
      const wanted = claims.files.get(`f${n}`);
      if (wanted === undefined) continue;
      run('debugfs', '-R', `dump /f${n} ${out}`, raw);
      const found = createHash('md5').update(readFileSync(out)).digest('hex');
      if (found !== wanted) claims.problems.push(`f${n} on the disk is not what was acknowledged`);
    }
  } catch (problem) {
    claims.problems.push(problem instanceof Error ? problem.message : String(problem));
  }
}

/** One line that tells how it goes. */
export function summary(kills: ReadonlyMap<string, number>, counts: ReadonlyMap<string, number>): string {
  const list = (map: ReadonlyMap<string, number>): string =>
    [...map]
      .sort()
      .map(([name, count]) => `${name} ${count}`)
      .join(', ');
  return `killed: ${list(kills) || 'none'}; lines: ${list(counts) || 'none'}`;
}
