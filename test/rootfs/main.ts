/**
 * `npm run verify:rootfs -- [--mib 1024] [--disk F --key F]`: a whole Debian system under `wurley run`, piece by piece, and the same
 * disk in QEMU. The root is the disk that is named, or is made when it is not in the cache. Exits 1 when anything was wrong.
 */
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { ConsoleSession } from '../drivers/console-session.js';
import { PYTHON_DOWNLOAD, PYTHON_SCRIPT, PYTHON_UPLOAD, streamChunk } from './guest-programs.js';
import {
  givenRoot,
  overlayOf,
  qemuArguments,
  rootInitrd,
  type VerificationRoot,
  verificationRoot,
} from './verification-root.js';

const DEADLINE_MS = 3_600_000;
const MIB = 1 << 20;
const ROOT_ARGUMENTS = 'root=/dev/vda quiet';

const { values } = parseArgs({
  options: { mib: { type: 'string', default: '1024' }, disk: { type: 'string' }, key: { type: 'string' } },
});
const mib = Number(values.mib);
if ((values.disk === undefined) !== (values.key === undefined)) {
  process.stderr.write('verify:rootfs: --disk FILE and --key FILE, the private key that may log in, go together.\n');
  process.exit(64);
}
if (!Number.isInteger(mib) || mib < 1) {
  process.stderr.write('verify:rootfs: --mib wants a whole number of MiB to transfer each way.\n');
  process.exit(64);
}
const say = (line: string): void => void process.stdout.write(`${line}\n`);
let failures = 0;
/** Says what was found, and counts what is wrong. */
function check(what: string, isRight: boolean, detail = ''): void {
  if (!isRight) failures++;
  say(`${isRight ? 'ok   ' : 'FAIL '} ${what}${isRight || detail === '' ? '' : `\n${detail.slice(-2000)}`}`);
}

async function listening(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

async function freePort(): Promise<number> {
  const server = createServer();
  const port = await listening(server);
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Sends the stream to whoever connects. */
async function send(socket: Socket): Promise<void> {
  for (let index = 0; index < mib && !socket.destroyed; index++)
    if (!socket.write(streamChunk(index))) await new Promise((resolve) => socket.once('drain', resolve));
  socket.end();
}

/** SHA-256 of the stream. */
function streamSum(): string {
  const hash = createHash('sha256');
  for (let index = 0; index < mib; index++) hash.update(streamChunk(index));
  return hash.digest('hex');
}

/** A TCP transfer of `mib` MiB each way, checked at both ends. */
async function transfers(guest: ConsoleSession): Promise<void> {
  const sum = streamSum();
  let received = '';
  const source = createServer((socket) => void send(socket));
  const sink = createServer((socket) => {
    const hash = createHash('sha256');
    let bytes = 0;
    socket.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      hash.update(chunk);
    });
    socket.on('end', () => {
      received = `${bytes} ${hash.digest('hex')}`;
      socket.end('thanks\n');
    });
  });
  const [from, to] = [await listening(source), await listening(sink)];
  const started = performance.now();
  const down = await guest.run(`python3 -c '${PYTHON_DOWNLOAD}' ${from}`);
  const downMs = performance.now() - started;
  check(
    `${mib} MiB from the host arrive whole (${rate(downMs)})`,
    down.output.includes(`${mib * MIB} ${sum}`),
    down.output,
  );
  const again = performance.now();
  const up = await guest.run(`python3 -c '${PYTHON_UPLOAD}' ${to} ${mib}`);
  const upMs = performance.now() - again;
  check(
    `${mib} MiB to the host arrive whole (${rate(upMs)})`,
    received === `${mib * MIB} ${sum}`,
    `${received} ${up.output}`,
  );
  source.close();
  sink.close();
}

const rate = (ms: number): string => `${((mib / ms) * 1000).toFixed(1)} MiB/s`;

/** Progress: the same line again says nothing. */
let said = '';
function eachOnce(line: string): void {
  if (line !== said) say(`  ${line}`);
  said = line;
}

/** Logs in over ssh with the key, and copies a file through it. */
async function secureShell(key: string, port: number): Promise<void> {
  const options = ['StrictHostKeyChecking=no', 'UserKnownHostsFile=/dev/null', 'BatchMode=yes', 'ConnectTimeout=300'];
  const args = [...options.flatMap((option) => ['-o', option]), '-i', key, '-p', String(port), 'root@127.0.0.1'];
  const bytes = streamChunk(99);
  const child = spawn('ssh', [...args, 'uname -m; sha256sum'], { stdio: ['pipe', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => void (output += chunk));
  child.stdin.on('error', () => undefined);
  child.stdin.end(bytes);
  const code = await new Promise<number | null>((resolve) => {
    child.once('close', resolve);
    child.once('error', () => resolve(null));
  });
  const sum = createHash('sha256').update(bytes).digest('hex');
  check(
    'ssh through a published port, with a key',
    code === 0 && /aarch64/.test(output) && output.includes(sum),
    output,
  );
}

/** qemu-img finds nothing wrong with the image, and e2fsck nothing with the file system in it, which was unmounted cleanly. */
function checkImage(disk: string): void {
  const run = spawnSync('qemu-img', ['check', disk], { encoding: 'utf8' });
  check('qemu-img check', run.status === 0, `${run.stdout}${run.stderr}`);
  const raw = join(mkdtempSync(join(tmpdir(), 'wurley-fsck-')), 'raw');
  try {
    const converted = spawnSync('qemu-img', ['convert', '-O', 'raw', disk, raw], { encoding: 'utf8' });
    check('qemu-img reads all of it', converted.status === 0, converted.stderr);
    const file = spawnSync('e2fsck', ['-fn', raw], { encoding: 'utf8' });
    check('e2fsck -fn', file.status === 0, file.error?.message ?? `${file.stdout}${file.stderr}`);
  } finally {
    rmSync(dirname(raw), { recursive: true, force: true });
  }
}

/** What must hold of a Debian system that has come up. */
async function checkSystem(guest: ConsoleSession): Promise<void> {
  const state = await guest.run('systemctl is-system-running --wait');
  check(`systemctl is-system-running: ${state.output.trim()}`, state.output.trim() === 'running', state.output);
  const failed = await guest.run('systemctl --failed --no-legend --plain | cat');
  check('systemctl --failed is empty', failed.output.trim() === '', failed.output);
}

async function underWurley(root: VerificationRoot, disk: string): Promise<void> {
  const port = await freePort();
  const more = [
    '--net',
    'user',
    '--publish',
    `${port}:22`,
    '--memory',
    '1G',
    '--cpus',
    '2',
    '--disk',
    `${disk},backing=any`,
  ];
  const started = performance.now();
  const args = ['debian:6.1-cloud', ...more, '--append', ROOT_ARGUMENTS];
  const guest = new ConsoleSession({ command: 'wurley', args, deadlineMs: DEADLINE_MS });
  try {
    await guest.expect(/login: $/);
    check(`a login prompt after ${((performance.now() - started) / 1000).toFixed(1)} s`, true);
    guest.type('\n');
    await guest.logIn();
    await checkSystem(guest);
    const verify = await guest.run('dpkg --verify');
    check('dpkg --verify says nothing', verify.code === 0 && verify.output.trim() === '', verify.output);
    await guest.run(`cat > /root/s.py <<'END'\n${PYTHON_SCRIPT}END`);
    const python = await guest.run('python3 /root/s.py');
    check(
      'a python3 script',
      python.code === 0 && python.output.trim() === 'sum 499999500000 json [1,"two"]',
      python.output,
    );
    await guest.run(
      'printf \'#include <stdio.h>\\nint main(void) { printf("%%d\\\\n", 6 * 7); return 0; }\\n\' > /root/m.c',
    );
    const gcc = await guest.run('gcc -O2 -Wall -o /root/m /root/m.c && /root/m');
    check('gcc compiles a program, which runs', gcc.code === 0 && gcc.output.trim() === '42', gcc.output);
    await secureShell(root.key, port);
    await transfers(guest);
    const log = await guest.run('dmesg | grep -E "I/O error|EXT4-fs error|BUG|Oops|WARNING|virtio.*fail" | cat');
    check("nothing wrong in the kernel's log", log.output.trim() === '', log.output);
    check('power off', (await guest.powerOff()) === 0, guest.text);
  } finally {
    guest.kill();
  }
  checkImage(disk);
}

async function underQemu(root: VerificationRoot, disk: string, folder: string): Promise<void> {
  const initrd = join(folder, 'initrd.cpio');
  writeFileSync(initrd, rootInitrd(root.kernel));
  const args = qemuArguments(root, disk, initrd, `console=ttyAMA0 panic=-1 ${ROOT_ARGUMENTS}`);
  const guest = new ConsoleSession({ command: 'qemu-system-aarch64', args, deadlineMs: DEADLINE_MS });
  try {
    await guest.logIn();
    await checkSystem(guest);
    const ran = await guest.run('/root/m');
    check('QEMU boots the same disk, with the program that was compiled', ran.output.trim() === '42', ran.output);
    check('power off in QEMU', (await guest.powerOff()) === 0, guest.text);
  } finally {
    guest.kill();
  }
  checkImage(disk);
}

async function main(): Promise<void> {
  const { disk: given, key } = values;
  const root =
    given === undefined || key === undefined ? await verificationRoot(eachOnce) : await givenRoot(given, key);
  if (!root.ok) return check(root.error, false);
  checkImage(root.value.disk);
  const folder = mkdtempSync(join(tmpdir(), 'wurley-verify-'));
  try {
    const disk = overlayOf(root.value.disk, join(folder, 'disk.qcow2'));
    if (!disk.ok) return check(disk.error, false);
    await underWurley(root.value, disk.value);
    await underQemu(root.value, disk.value, folder);
    // And back: what QEMU wrote is read by ours.
    const args = ['debian:6.1-cloud', '--memory', '1G', '--cpus', '2', '--disk', `${disk.value},backing=any`];
    const guest = new ConsoleSession({
      command: 'wurley',
      args: [...args, '--append', ROOT_ARGUMENTS],
      deadlineMs: DEADLINE_MS,
    });
    await guest.logIn();
    await checkSystem(guest);
    check('power off', (await guest.powerOff()) === 0, guest.text);
    checkImage(disk.value);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

await main().catch((problem: unknown) => check(problem instanceof Error ? problem.message : String(problem), false));
const given = values.disk === undefined ? '' : ` --disk ${values.disk} --key ${values.key}`;
say(`${failures === 0 ? 'nothing wrong' : `${failures} things wrong`} (npm run verify:rootfs -- --mib ${mib}${given})`);
process.exitCode = failures === 0 ? 0 : 1;
