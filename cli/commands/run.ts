/**
 * `wurley run`: boots one machine and puts its console on standard input and output. With a terminal the console is raw and
 * Ctrl-] is the escape; with pipes it serves scripts: what the guest prints and nothing else, and the guest's exit code.
 */
import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { PROFILES, type Profile } from '../../actors/abi/gunyah/identity.js';
import type { SystemEvent } from '../../actors/runtime/supervisor.js';
import type { LogLine } from '../../actors/runtime/system-protocol.js';
import { STOP } from '../../actors/shared-state/vm/vm-block.js';
import { assert } from '../../bus/assert.js';
import { err, ok, type Result } from '../../bus/result.js';
import { faultSentence } from '../../devices/machine/boot-fault.js';
import { type BootPlan, type BootRequest, type NamedBytes, planBoot } from '../../devices/machine/boot-plan.js';
import type { MachineDescription } from '../../devices/machine/description.js';
import { RAM_RANGE } from '../../devices/machine/memory-map.js';
import type { Unpackers } from '../../devices/machine/unpackers.js';
import { cacheFolder } from '../cache-folder.js';
import { hostReason } from '../host-reasons.js';
import { imageArguments } from '../image/boot-arguments.js';
import { CATALOG, findCatalogEntry } from '../image/catalog.js';
import { READY_MARKER, rootBootArchive } from '../image/initramfs.js';
import { progressLine } from '../image/progress-line.js';
import { findRootEntry, ROOT_CATALOG } from '../image/rootfs/root-catalog.js';
import { findRoot } from '../image/rootfs/root-store.js';
import { findImage, type StoredImage } from '../image/store.js';
import { readBootFile } from '../machine/boot-files.js';
import { codeBudgetOf } from '../machine/code-budget.js';
import { codeCacheFolder, openCodeCache } from '../machine/code-cache.js';
import { BITTEN, deathOf } from '../machine/deaths.js';
import { beginMachine, type EarlyStart } from '../machine/early-start.js';
import type { FirstThreads } from '../machine/first-threads.js';
import { openVars, parseVars, type VarsRequest } from '../machine/flash-files.js';
import type { GdbRequest } from '../machine/gdb-stub.js';
import { LateFiles } from '../machine/late-files.js';
import { watchForLost } from '../machine/lost-guest.js';
import { isExpendable, type Machine, type MachineEnd } from '../machine/machine.js';
import { releaseImages } from '../machine/release-images.js';
import { type ConsolePipe, runMachine } from '../machine/run-machine.js';
import { checkNumbers, type RunNumbers, type RunText } from '../machine/run-options.js';
import { ENTROPY, openVirtio, parseVirtio, type VirtioRequest } from '../machine/virtio-options.js';
import { EXIT_SOFTWARE, EXIT_USAGE, type Terminal, type Verb } from '../program.js';
import { bootProgress } from '../terminal/boot-progress.js';
import { ESCAPE_HELP, type EscapeCommand, EscapeReader } from '../terminal/escape.js';
import {
  EXIT_TERMINATED,
  interruptible,
  ORDERLY_END_MS_MAX,
  onTermination,
  rawMode,
} from '../terminal/raw-terminal.js';
import { parseTrace, TRACE_HELP } from '../trace/trace-option.js';
import type { TraceSink } from '../trace/trace-sink.js';

/** The guest asked for a reset, which a panicking Debian kernel does too (`panic=-1`); we do not start it again. */
const EXIT_RESET = 3;
/** The machine could not go on: a worker of it died. */
const EXIT_CRASH = EXIT_SOFTWARE;
/** A file is missing or refused (sysexits.h EX_DATAERR). */
const EXIT_DATA = 65;
/** A port or a path that a device wants of this host is not to be had (sysexits.h EX_TEMPFAIL). */
const EXIT_BUSY = 75;
/** --timeout ended the machine (as timeout(1)). */
const EXIT_TIMEOUT = 124;
/** The user ended it with Ctrl-] q, or GDB's kill. */
const EXIT_QUIT = 130;
/** Nobody reads what it prints any more (128 + SIGPIPE). */
const EXIT_PIPE = 141;
/** Its terminal went away (128 + SIGHUP). */
const EXIT_HANGUP = 129;
/** For scripts: only what programs print (see cli/image/initramfs.ts). */
const QUIET_ARGUMENTS = ' quiet';
const PLAIN_ARGUMENTS = `${QUIET_ARGUMENTS} wurley_plain=1`;
/** Hot places that Ctrl-] i and --stats show. */
const HOTTEST_ON_SCREEN = 3;
const HOTTEST_AT_END = 8;
/** The root file system is the first disk; systemd needs more than the busybox of an initial RAM disk. */
const ROOT_ARGUMENT = 'root=/dev/vda';
const ROOT_DEFAULTS = { memory: '1G', cpus: '2' } as const;
/** What a Debian system prints when its console is read. */
const LOGIN_PROMPT = 'login: ';
const PLATFORMS = ['virt', 'gunyah', 'hyperv'] as const;

type Refusal = { readonly exitCode: number; readonly text: string };
const refuse = (exitCode: number, text: string): Result<never, Refusal> => err({ exitCode, text });

/** An option that may be given several times. */
const gather = (text: string, before: readonly string[] = []): readonly string[] => [...before, text];

/** Decompressors, loaded when a kernel is packed: like all that pulls images, a start that needs none of it does not wait for it. */
const unpackers: Unpackers = {
  gzip: async (packed, limitBytes) => (await loadUnpackers()).gzip(packed, limitBytes),
  xz: async (packed, limitBytes) => (await loadUnpackers()).xz(packed, limitBytes),
  zstd: async (packed, limitBytes) => (await loadUnpackers()).zstd(packed, limitBytes),
};
const loadUnpackers = async (): Promise<Unpackers> => (await import('../image/unpackers.js')).hostUnpackers;

/** Adds the `run` verb to the program; its machine goes on with what was begun `first`. */
export const runVerb =
  (first?: FirstThreads): Verb =>
  (program, terminal, done) => {
    program
      .command('run')
      .description('boot a machine and show its console')
      .argument('[image]', `an image to run: ${[...CATALOG, ...ROOT_CATALOG].map((entry) => entry.name).join(', ')}`)
      .option('--kernel <file>', 'arm64 Image (plain, gzip, EFI zboot), ELF64 or flat binary')
      .option('--initrd <file>', 'initial RAM disk')
      .option('--append <text>', "kernel command line (added to an image's own)")
      .option('--memory <size>', `memory, ${RAM_RANGE}`, '512M')
      .option('--cpus <n>', 'virtual CPUs, 1 to 8', '1')
      .option('--platform <name>', PLATFORMS.join(', '), 'virt')
      .option('--root-vm', 'a Gunyah VM that may put VMs together by hypercalls: it holds its own partition')
      .option('--gunyah-profile <name>', `driver generation of a Gunyah VM: ${PROFILES.join(', ')}`, 'P17')
      .option('--dtb <file>', 'device tree to use instead of the generated one')
      .option('--dump-dtb <file>', 'write the device tree there and end')
      .option('--firmware <file>', 'firmware to start at address 0; it is handed the kernel, if one is given')
      .option(
        '--firmware-vars <file>',
        'where firmware keeps its variables, made if need be; FILE,template=FILE: from that',
      )
      .option('--console <kind>', 'pl011 or virtio (hvc0)', 'pl011')
      .option('--disk <file[,ro]>', 'a disk: raw or qcow2 (may be repeated)', (file, files: string[] = []) => [
        ...files,
        file,
      ])
      .option('--snapshot-disk', 'throw away what the guest writes to its disks')
      .option(
        '--share <dir[,rw]>',
        'a folder for the guest: mount -t 9p -o trans=virtio share /mnt (may be repeated)',
        gather,
      )
      .option(
        '--vsock <path[,cid=N]>',
        'a Unix socket that leads to AF_VSOCK ports of the guest, and PATH_PORT for its own',
      )
      .option(
        '--balloon <size[,deflate-on-oom]>',
        'a memory balloon of that size at first (0: empty); Ctrl-] + and - change it',
      )
      .option('--rng', 'a virtio entropy device with random bytes of this host')
      .option(
        '--net <kind>',
        'user: a card behind a gateway to the networks of this host; switch:NAME: on a switch',
        'none',
      )
      .option('--publish <ports>', 'HOSTPORT:GUESTPORT[/udp]: a port of this host that leads to the guest', gather)
      .option('--mac <address>', 'hardware address of the network card')
      .option('--pcap <file>', 'record the frames of the network card for tcpdump or Wireshark')
      .option('--acpi', 'describe the machine by ACPI instead of a device tree')
      .option('--timeout <seconds>', 'end the machine after this long (exit code 124)')
      .option('--trace <what>', TRACE_HELP)
      .option('--stats', 'at the end, say what each vCPU did: time, instructions, exceptions, hottest places')
      .option('--gdb <port>', 'let GDB connect at this port of 127.0.0.1; PORT,wait: and wait for it')
      .option('--no-jit', 'interpret only')
      .addHelpText(
        'after',
        [
          '\nExit codes:',
          `0 power off, ${EXIT_RESET} reset or panic, ${EXIT_USAGE} command line not understood, ${EXIT_DATA} file refused,`,
          `${EXIT_CRASH} machine failed, ${EXIT_BUSY} port or socket not to be had, ${EXIT_TIMEOUT} timeout, ${EXIT_HANGUP} terminal gone,`,
          `${EXIT_QUIT} Ctrl-] q or a second SIGINT, ${EXIT_PIPE} output closed, ${EXIT_TERMINATED} SIGTERM.`,
        ].join('\n'),
      )
      .action(async (image: string | undefined, given: RunText, command: Command) => {
        const text = image === undefined || findRootEntry(image) === undefined ? given : withDefaults(given, command);
        const ended = await run(image, text, terminal, first);
        if (!ended.ok) terminal.err(`wurley: ${ended.error.text.replace(/\.?$/, '.')}\n`);
        done(ended.ok ? ended.value : ended.error.exitCode);
      });
  };

/** What a root file system needs, where the user has not said it. */
function withDefaults(text: RunText, command: Command): RunText {
  const isDefault = (name: string): boolean => command.getOptionValueSource(name) === 'default';
  const { memory, cpus } = ROOT_DEFAULTS;
  return {
    ...text,
    ...(isDefault('memory') ? { memory } : {}),
    ...(isDefault('cpus') ? { cpus } : {}),
  };
}

async function run(
  image: string | undefined,
  text: RunText,
  terminal: Terminal,
  first: FirstThreads | undefined,
): Promise<Result<number, Refusal>> {
  const numbers = checkNumbers(text);
  if (!numbers.ok) return refuse(EXIT_USAGE, numbers.error);
  if (!PLATFORMS.some((name) => name === text.platform)) {
    return refuse(EXIT_USAGE, `--platform takes ${PLATFORMS.join(', ')}, not "${text.platform}"`);
  }
  if (text.platform === 'hyperv') {
    return refuse(EXIT_USAGE, `--platform ${text.platform} is not available yet; --platform virt and gunyah are`);
  }
  if (profileOf(text.gunyahProfile) === undefined) {
    return refuse(EXIT_USAGE, `--gunyah-profile takes ${PROFILES.join(', ')}, not "${text.gunyahProfile}"`);
  }
  if (text.rootVm === true && text.platform !== 'gunyah') {
    return refuse(EXIT_USAGE, '--root-vm needs --platform gunyah');
  }
  if (text.acpi === true && text.platform === 'gunyah') {
    return refuse(
      EXIT_USAGE,
      '--acpi does not go with --platform gunyah: a guest learns of the hypervisor by its device tree',
    );
  }
  const trace = text.trace === undefined ? ok(undefined) : parseTrace(text.trace);
  if (!trace.ok) return refuse(EXIT_USAGE, trace.error);
  const gdb = text.gdb === undefined ? ok(undefined) : (await import('../machine/gdb-stub.js')).parseGdb(text.gdb);
  if (!gdb.ok) return refuse(EXIT_USAGE, gdb.error);
  const virtio = parseVirtio(text);
  if (!virtio.ok) return refuse(EXIT_USAGE, virtio.error);
  const vars = text.firmwareVars === undefined ? ok(undefined) : parseVars(text.firmwareVars);
  if (!vars.ok) return refuse(EXIT_USAGE, vars.error);
  if (vars.value !== undefined && text.firmware === undefined) {
    return refuse(EXIT_USAGE, '--firmware-vars needs --firmware');
  }
  const root = await rootOf(image, text, terminal);
  if (!root.ok) return root;
  const { kernelImage, append, disks } = root.value;
  const late = new LateFiles();
  const request = [kernelImage, { ...text, ...append }, numbers.value, [...disks, ...virtio.value], terminal] as const;
  if (text.dumpDtb !== undefined)
    return dumpDeviceTree(text.dumpDtb, await prepare(...request, undefined, () => undefined));
  const events: Events = { hear: () => undefined };
  const onEvent = (event: SystemEvent): void => events.hear(event);
  const onLog = (line: LogLine): void => terminal.err(`${line.name}: ${line.text}\n`);
  const { cpus } = numbers.value;
  let early: Promise<EarlyStart> | undefined;
  const plan = await prepare(...request, late, () => {
    early = beginMachine(cacheFolder(), { cpus }, { onEvent, onLog }, first);
  });
  const begun = await early;
  try {
    if (!plan.ok) return plan;
    assert(begun !== undefined, 'what was planned was begun');
    const sink =
      trace.value === undefined ? ok(undefined) : (await import('../trace/trace-sink.js')).openTrace(trace.value);
    if (!sink.ok) return refuse(EXIT_DATA, sink.error);
    const extras = { trace: sink.value, gdb: gdb.value, vars: vars.value, late };
    return await boot(plan.value, text, numbers.value, extras, { ...begun, events }, terminal);
  } finally {
    await late.close();
    await begun?.system.close();
  }
}

/** Who hears of actors: known only when there is a machine. */
interface Events {
  hear: (event: SystemEvent) => void;
}

async function dumpDeviceTree(path: string, plan: Result<Prepared, Refusal>): Promise<Result<number, Refusal>> {
  if (!plan.ok) return plan;
  const written = await writeFile(path, plan.value.plan.deviceTree).then(() => undefined, hostReason);
  return written === undefined ? ok(0) : refuse(EXIT_DATA, `${path}: cannot be written: ${written}`);
}

const profileOf = (name: string): Profile | undefined => PROFILES.find((profile) => profile === name);

interface Prepared {
  /** Text the guest prints when it reads its console; what is piped in before would be lost. Absent: at once. */
  readonly readyMarker: string | undefined;
  readonly plan: BootPlan;
  readonly description: MachineDescription;
  readonly virtio: readonly VirtioRequest[];
}

/** Files and options to a boot plan; `meanwhile` is called while the files are being read, of which `late` takes those that can wait. */
async function prepare(
  image: string | undefined,
  text: RunText,
  { cpus, ramBytes }: RunNumbers,
  virtio: readonly VirtioRequest[],
  terminal: Terminal,
  late: LateFiles | undefined,
  meanwhile: () => void,
): Promise<Result<Prepared, Refusal>> {
  let { kernel, initrd } = text;
  let readyMarker: string | undefined;
  let bootArguments = text.append ?? '';
  let hasRoot = false;
  if (image !== undefined) {
    if (kernel !== undefined) {
      return refuse(EXIT_USAGE, `give an image name or --kernel, not "${image}" and a file`);
    }
    const stored = await imageOf(image, terminal);
    if (!stored.ok) return stored;
    kernel = stored.value.kernelPath;
    initrd ??= stored.value.initrdPath;
    hasRoot = text.initrd === undefined && /(^| )root=/.test(bootArguments);
    const isScript = process.stdin.isTTY !== true || !terminal.isTTY;
    if (isScript && text.initrd === undefined) readyMarker = hasRoot ? LOGIN_PROMPT : READY_MARKER;
    const consoles = imageArguments(text.console === 'virtio');
    const plain = isScript ? (hasRoot ? QUIET_ARGUMENTS : PLAIN_ARGUMENTS) : '';
    bootArguments = `${consoles}${plain} ${bootArguments}`.trimEnd();
  }
  if (kernel === undefined && text.firmware === undefined) {
    return refuse(EXIT_USAGE, 'nothing to run: give an image name (such as debian:6.1-cloud), --kernel or --firmware');
  }
  const files: Record<string, NamedBytes | undefined> = {};
  const wanted = Object.entries({ kernel, initrd, firmware: text.firmware, deviceTree: text.dtb });
  const reading = wanted.map(async ([name, file]) => {
    // Firmware gets a kernel and its initial RAM disk by the piece, and what a root adds to a RAM disk comes after it.
    const canWait = text.firmware === undefined && !(name === 'initrd' && hasRoot);
    const read = file === undefined ? undefined : readBootFile(file, name, ramBytes, canWait ? late : undefined);
    return [name, await read] as const;
  });
  meanwhile();
  for (const [name, read] of await Promise.all(reading)) {
    if (read === undefined) continue;
    if (!read.ok) return refuse(EXIT_DATA, read.error);
    files[name] = read.value;
  }
  if (hasRoot && files['initrd'] !== undefined) {
    const { file, bytes } = files['initrd'];
    files['initrd'] = { file, bytes: new Uint8Array(Buffer.concat([bytes, rootBootArchive()])) };
  }
  const hardware = {
    cpus,
    ramBytes,
    virtioSlots: virtio.map((_, slot) => slot),
    hasFirmware: text.firmware !== undefined,
    pmu: false,
  };
  const description =
    text.platform === 'gunyah'
      ? { ...hardware, extraNodes: (await import('../host/gunyah-platform.js')).primaryNodes(text.rootVm === true) }
      : hardware;
  const seeds = { kaslrSeed: randomBytes(8).readBigUInt64LE(), rngSeed: new Uint8Array(randomBytes(64)) };
  const given = Object.fromEntries(Object.entries(files).filter(([, value]) => value !== undefined));
  const request: BootRequest = {
    machine: description,
    bootArguments,
    ...seeds,
    ...given,
    acpi: acpiOf(text, bootArguments),
  };
  const plan = await planBoot(request, unpackers);
  return plan.ok
    ? ok({ plan: plan.value, description, virtio, readyMarker })
    : refuse(EXIT_DATA, faultSentence(plan.error));
}

/** By ACPI alone if that is asked for; beside the device tree where the kernel is told to prefer it, which would wait for it in vain. */
function acpiOf({ acpi, platform }: RunText, bootArguments: string): BootRequest['acpi'] {
  if (acpi === true) return 'only';
  return platform === 'virt' && /(^|\s)acpi=(force|on)(\s|$)/.test(bootArguments) ? 'offered' : 'off';
}

/** What a root file system adds to a machine. */
interface RootParts {
  /** The image whose kernel is booted. */
  readonly kernelImage: string | undefined;
  readonly append: { readonly append?: string };
  readonly disks: readonly VirtioRequest[];
}

/**
 * The root file system called `image`, made first when it is not there. What the guest writes to it is thrown away: it is the same
 * at each start, and several machines may run from it at once. Anything but a root's name passes as it is.
 */
async function rootOf(
  image: string | undefined,
  text: RunText,
  terminal: Terminal,
): Promise<Result<RootParts, Refusal>> {
  const entry = image === undefined ? undefined : findRootEntry(image);
  if (entry === undefined) return ok({ kernelImage: image, append: {}, disks: [] });
  const cache = cacheFolder();
  if ((await findRoot(cache, entry.name)) === undefined) {
    terminal.err(
      `wurley: ${entry.name} is not here yet and is made now, which takes a quarter of an hour or more; Ctrl-C ends that.\n`,
    );
  }
  const stream = { isTTY: terminal.isTTY, columns: terminal.columns, write: (line: string) => terminal.err(line) };
  const { report, done } = progressLine(stream, () => performance.now());
  const pulling = { cache, env: process.env, report, now: () => Date.now(), via: 'auto' } as const;
  let asked: number | undefined;
  const onInterrupt = interruptible((exitCode) => void (asked = exitCode));
  const { obtainRoot } = await import('../image/rootfs/obtain-root.js');
  const root = await obtainRoot(entry.name, { ...pulling, onInterrupt });
  done();
  if (!root.ok) return refuse(asked ?? EXIT_DATA, faultSentence(root.error));
  const disk = { path: root.value.path, isReadOnly: false, format: 'qcow2', anyBacking: false } as const;
  const append = `${ROOT_ARGUMENT} ${text.append ?? ''}`.trimEnd();
  return ok({ kernelImage: entry.kernelImage, append: { append }, disks: [{ kind: 'disk', disk, isThrowAway: true }] });
}

/** The image called `name`, pulled first when it is not there. */
async function imageOf(name: string, terminal: Terminal): Promise<Result<StoredImage, Refusal>> {
  if (findCatalogEntry(name) === undefined) {
    const names = [...CATALOG, ...ROOT_CATALOG].map((entry) => entry.name).join(', ');
    return refuse(EXIT_USAGE, `there is no image "${name}"; there are ${names}`);
  }
  const cache = cacheFolder();
  const found = await findImage(cache, name);
  if (found !== undefined) return ok(found);
  terminal.err(`wurley: ${name} is not here yet and is pulled now.\n`);
  const stream = { isTTY: terminal.isTTY, columns: terminal.columns, write: (line: string) => terminal.err(line) };
  const { report, done } = progressLine(stream, () => performance.now());
  const { pullImage } = await import('../image/pull.js');
  const pulled = await pullImage(name, { cache, env: process.env, report, now: () => Date.now(), via: 'auto' });
  done();
  return pulled.ok ? ok(pulled.value.image) : refuse(EXIT_DATA, faultSentence(pulled.error));
}

/** How the user looks inside, and where firmware keeps its variables. */
interface Extras {
  readonly trace: TraceSink | undefined;
  readonly gdb: GdbRequest | undefined;
  readonly vars: VarsRequest | undefined;
  /** Files of the plan that are not read yet. */
  readonly late: LateFiles;
}

/** Runs the planned machine to its end; the exit code. */
async function boot(
  { plan, description, virtio, readyMarker }: Prepared,
  text: RunText,
  { timeoutMs }: RunNumbers,
  { trace, gdb, vars, late }: Extras,
  { interpreter, system, events }: EarlyStart & { readonly events: Events },
  terminal: Terminal,
): Promise<Result<number, Refusal>> {
  const folder = codeCacheFolder();
  const codeCache = folder === undefined ? undefined : openCodeCache(folder, plan);
  let machine: Machine | undefined;
  const onTerminal = process.stdin.isTTY === true;
  // The first death, which may come before there is a machine to end.
  let death: string | undefined;
  events.hear = (event) => {
    const found = deathOf(event);
    if (found === undefined) return;
    if (isExpendable(event.name)) {
      terminal.err(`wurley: ${found}; the machine goes on without it, slower.${onTerminal ? '\r' : ''}\n`);
      return;
    }
    if (machine?.lost(event.name) === true) return;
    death ??= found;
    machine?.stop(STOP.crash, death);
  };
  let early: number | undefined;
  const stopWith = (exitCode: number, why: string): void => {
    early ??= exitCode;
    machine?.stop(STOP.requested, why);
  };
  // As at a computer: the first press of Ctrl-C is the power button, and what the guest makes of it is the guest's affair.
  const pressButton = (exitCode: number): boolean => {
    if (machine === undefined) return false;
    machine.pressPowerButton();
    const end = exitCode === EXIT_TERMINATED ? `a second signal or ${ORDERLY_END_MS_MAX / 1000} s` : 'a second signal';
    terminal.err(`wurley: power button pressed; ${end} will end the machine${onTerminal ? '\r' : ''}\n`);
    return true;
  };
  const release = onTermination((exitCode) => stopWith(exitCode, 'a signal'), pressButton);
  const restore = rawMode();
  const timer =
    timeoutMs === undefined ? undefined : setTimeout(() => stopWith(EXIT_TIMEOUT, 'the timeout'), timeoutMs);
  const { ramBytes } = description;
  const commands = (command: EscapeCommand): void => void obey(command, machine, { terminal, ramBytes }, stopWith);
  const windowSize = (): { columns: number; rows: number } => ({
    columns: process.stdout.columns ?? 80,
    rows: process.stdout.rows ?? 24,
  });
  const progressEnds = bootProgress({
    isTTY: terminal.isTTY && process.stderr.isTTY === true,
    write: terminal.err,
    every(ms, tick) {
      const ticking = setInterval(tick, ms);
      return () => clearInterval(ticking);
    },
  });
  const watchEnds = watchForLost(
    async () => (await machine?.statistics()) ?? [],
    (sentence) => {
      progressEnds();
      terminal.err(`wurley: ${sentence}${onTerminal ? '\r' : ''}\n`);
    },
  );
  const speaks = (): void => {
    progressEnds();
    watchEnds();
  };
  const broken = (): void => stopWith(EXIT_PIPE, 'a closed output');
  process.stdout.on('error', broken);
  // A terminal that is gone (a closed window) reads as an end; typing cannot make one in raw mode.
  const hungUp = (): void => {
    if (onTerminal) stopWith(EXIT_HANGUP, 'a closed terminal');
  };
  for (const event of ['end', 'error'] as const) process.stdin.on(event, hungUp);
  const resize = (): void => machine?.resize(windowSize().columns, windowSize().rows);
  process.stdout.on('resize', resize);
  try {
    const devices = openVirtio(virtio, system.files, windowSize());
    if (!devices.ok) return refuse(EXIT_DATA, devices.error);
    const firmwareVars = vars === undefined ? ok(undefined) : openVars(vars, system.files);
    if (!firmwareVars.ok) return refuse(EXIT_DATA, firmwareVars.error);
    // A host without it gives the guest no such firmware call, and says so by PSCI's and SMCCC's own answers.
    const entropy = system.files.open(ENTROPY, 'read');
    const parts = {
      ...{ virtio: devices.value, trace: trace?.place, gdb },
      entropy: entropy.ok ? entropy.value : undefined,
      firmwareVars: firmwareVars.value,
    };
    const isRoot = text.rootVm === true;
    const gunyah = text.platform === 'gunyah' ? { gunyah: profileOf(text.gunyahProfile) ?? 'P17', isRoot } : {};
    const options = {
      ...gunyah,
      description,
      plan,
      late,
      interpreter,
      jit: text.jit,
      codeCache,
      codeBudget: codeBudgetOf(process.env['WURLEY_JIT_BUDGET']),
      name: 'vm',
      ...parts,
    };
    const end = await runMachine(system, options, consolePipe(commands, readyMarker, speaks), (running) => {
      machine = running;
      releaseImages(plan);
      const { gdbPort } = running;
      if (gdbPort !== undefined) terminal.err(`wurley: GDB may connect: target remote 127.0.0.1:${gdbPort}\n`);
      if (early !== undefined) running.stop(STOP.requested, 'a signal');
      if (death !== undefined) running.stop(STOP.crash, death);
    });
    if (death !== undefined && !end.ok) return refuse(EXIT_SOFTWARE, `the machine failed: ${death}`);
    if (!end.ok) return refuse(end.error.isRefusal ? EXIT_BUSY : EXIT_SOFTWARE, end.error.sentence);
    const statistics = trace === undefined && text.stats !== true ? [] : ((await machine?.statistics()) ?? []);
    trace?.close([{ kind: 'end', ...end.value }, ...statistics]);
    if (text.stats === true) {
      const { statisticsText } = await import('../machine/statistics-text.js');
      for (const cpu of statistics) terminal.err(`${statisticsText(cpu, HOTTEST_AT_END).join('\n')}\n`);
    }
    await machine?.dispose();
    if (early !== undefined) return ok(early);
    return exitOf(end.value);
  } finally {
    clearTimeout(timer);
    speaks();
    for (const event of ['end', 'error'] as const) process.stdin.off(event, hungUp);
    process.stdout.off('resize', resize);
    restore();
    release();
    process.stdin.pause();
  }
}

function exitOf({ stop, detail }: MachineEnd): Result<number, Refusal> {
  if (stop === STOP.off) return ok(0);
  if (stop === STOP.reset) return ok(EXIT_RESET);
  if (stop === STOP.watchdog) return refuse(EXIT_RESET, `the machine was reset: ${BITTEN}`);
  if (stop === STOP.requested) return ok(EXIT_QUIT); // by a debugger; the other ways are known already
  return refuse(EXIT_CRASH, `the machine failed: ${detail}`);
}

/** After any of these a full output takes more, or never will. */
const OUTPUT_EVENTS = ['drain', 'close', 'error'] as const;

/** Standard input and output as the machine's console; with `readyMarker`, input waits until the guest has printed it. */
function consolePipe(
  command: (command: EscapeCommand) => void,
  readyMarker: string | undefined,
  speaks: () => void,
): ConsolePipe {
  const { stdin, stdout } = process;
  let tail = '';
  let ready: (() => void) | undefined;
  const watch = (bytes: Uint8Array): void => {
    if (readyMarker === undefined || ready === undefined) return;
    tail = (tail + Buffer.from(bytes).toString('latin1')).slice(-4096);
    if (!tail.includes(readyMarker)) return;
    ready();
    ready = undefined;
  };
  return {
    showsSerial: stdout.isTTY === true,
    write(bytes) {
      speaks();
      watch(bytes);
      // A closed output drains nothing: the machine is ended then, and must not wait for it.
      if (stdout.write(bytes) || stdout.destroyed) return Promise.resolve();
      return new Promise((resolve) => {
        const goOn = (): void => {
          for (const event of OUTPUT_EVENTS) stdout.off(event, goOn);
          resolve();
        };
        for (const event of OUTPUT_EVENTS) stdout.on(event, goOn);
      });
    },
    onInput(take) {
      const reader = new EscapeReader(take, command);
      const listener = (chunk: Buffer): void => {
        if (stdin.isTTY) reader.take(chunk);
        else take(chunk);
      };
      const listen = (): void => void stdin.on('data', listener);
      if (readyMarker === undefined) listen();
      else ready = listen;
      return () => {
        ready = undefined;
        stdin.off('data', listener);
        stdin.pause();
      };
    },
  };
}

/** A command behind the escape. */
async function obey(
  command: EscapeCommand,
  machine: Machine | undefined,
  { terminal, ramBytes }: { readonly terminal: Terminal; readonly ramBytes: number },
  stop: (exitCode: number, why: string) => void,
): Promise<void> {
  const say = (line: string): void => terminal.err(`${line}\r\n`);
  switch (command) {
    case 'quit':
      stop(EXIT_QUIT, 'the user');
      return;
    case 'powerButton':
      machine?.pressPowerButton();
      say('wurley: power button pressed');
      return;
    case 'balloon':
    case 'inflate':
    case 'deflate': {
      const { adjustBalloon } = await import('../machine/balloon-text.js');
      say(`wurley: ${await adjustBalloon(machine, command, ramBytes)}`);
      return;
    }
    case 'info': {
      const { statisticsText } = await import('../machine/statistics-text.js');
      for (const cpu of (await machine?.statistics()) ?? []) statisticsText(cpu, HOTTEST_ON_SCREEN).forEach(say);
      return;
    }
    default:
      for (const line of ESCAPE_HELP) say(line);
  }
}
