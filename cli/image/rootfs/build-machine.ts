/** The machine that makes a root file system: ours, with two disks, a script instead of a user, and progress from its console. */
import { readFile } from 'node:fs/promises';
import { ActorSystem } from '../../../actors/runtime/system.js';
import { STOP } from '../../../actors/shared-state/vm/vm-block.js';
import { err, ok, type Result } from '../../../bus/result.js';
import { faultSentence } from '../../../devices/machine/boot-fault.js';
import { planBoot } from '../../../devices/machine/boot-plan.js';
import { deathOf } from '../../machine/deaths.js';
import { type DiskRequest, openDisk } from '../../machine/disk-files.js';
import { loadInterpreter } from '../../machine/interpreter-cache.js';
import { isExpendable, type Machine } from '../../machine/machine.js';
import { runMachine } from '../../machine/run-machine.js';
import type { VirtioChoice } from '../../machine/virtio-devices.js';
import { ENTROPY } from '../../machine/virtio-options.js';
import { type CpioEntry, writeCpio } from '../cpio.js';
import type { Report } from '../package-source.js';
import type { StoredImage } from '../store.js';
import { hostUnpackers } from '../unpackers.js';
import { BUILD_MARK } from './build-script.js';

const BOOT_ARGUMENTS = 'console=ttyAMA0 panic=-1 quiet';
/** dpkg does one thing at a time. */
const CPUS = 1;
const MEMORY_BYTES = 1024 * 2 ** 20;
/** Lines of the console that a failure shows. */
const LINES_SHOWN = 12;
const CONSOLE_BYTES_MAX = 64 * 1024;

/** What to run. */
export interface BuildMachine {
  readonly cache: string;
  readonly kernel: StoredImage;
  readonly entries: readonly CpioEntry[];
  /** The new root, and the packages. */
  readonly disk: DiskRequest;
  readonly payload: string;
  readonly packages: number;
  readonly report: Report;
  /** Calls `stop` when the user asks to end; returns what takes that back. */
  readonly onInterrupt: (stop: () => void) => () => void;
}

/** Reads the console: progress, and how it ended. */
class Listener {
  readonly #report: Report;
  readonly #steps: number;
  #line = '';
  #done = 0;
  tail = '';
  failure: string | undefined;
  isDone = false;

  constructor(packages: number, report: Report) {
    this.#report = report;
    this.#steps = packages;
  }

  take(bytes: Uint8Array): void {
    const text = Buffer.from(bytes).toString('latin1').replaceAll('\r', '');
    this.tail = (this.tail + text).slice(-CONSOLE_BYTES_MAX);
    const lines = (this.#line + text).split('\n');
    this.#line = (lines.pop() ?? '').slice(-4096);
    for (const line of lines) this.#takeLine(line);
  }

  #takeLine(line: string): void {
    if (line.startsWith('processing: configure: ')) {
      this.#done = Math.min(this.#done + 1, this.#steps);
      this.#report('configuring packages', this.#done / this.#steps);
    }
    if (!line.startsWith(BUILD_MARK)) return;
    const [word = '', ...rest] = line.slice(BUILD_MARK.length).split(' ');
    if (word === 'step') this.#report(rest.join(' '));
    else if (word === 'failed') this.failure ??= rest.join(' ');
    else if (word === 'done') this.isDone = true;
  }

  /** The last lines the guest printed, for a person. */
  lastLines(): string {
    const lines = this.tail.split('\n').filter((line) => line !== '' && !/^(status|processing): /.test(line));
    return lines.slice(-LINES_SHOWN).join('\n');
  }
}

/** Runs the machine to its end; the error is a sentence, followed by what the guest said. */
export async function runBuildMachine(build: BuildMachine): Promise<Result<undefined, string>> {
  const { kernel, entries } = build;
  const description = { cpus: CPUS, ramBytes: MEMORY_BYTES, virtioSlots: [0, 1], hasFirmware: false, pmu: false };
  const initrd = Buffer.concat([await readFile(kernel.initrdPath), writeCpio(entries)]);
  const request = {
    machine: description,
    bootArguments: BOOT_ARGUMENTS,
    kernel: { file: kernel.kernelPath, bytes: new Uint8Array(await readFile(kernel.kernelPath)) },
    initrd: { file: kernel.initrdPath, bytes: new Uint8Array(initrd) },
    acpi: 'off',
  } as const;
  const plan = await planBoot(request, hostUnpackers);
  if (!plan.ok) return err(faultSentence(plan.error));
  let machine: Machine | undefined;
  let death: string | undefined;
  let interrupted = false;
  const system = new ActorSystem({
    onEvent(event) {
      const found = deathOf(event);
      if (found === undefined || isExpendable(event.name)) return;
      death ??= found;
      machine?.stop(STOP.crash, death);
    },
    onLog: () => undefined,
  });
  const listener = new Listener(build.packages, build.report);
  const release = build.onInterrupt(() => {
    interrupted = true;
    machine?.stop(STOP.requested, 'a signal');
  });
  try {
    const disk = openDisk(build.disk, system.files, false);
    if (!disk.ok) return disk;
    const payload = openDisk(
      { path: build.payload, isReadOnly: true, format: 'raw', anyBacking: false },
      system.files,
      false,
    );
    if (!payload.ok) return payload;
    const virtio: readonly VirtioChoice[] = [
      { kind: 'disk', layers: disk.value, isReadOnly: false },
      { kind: 'disk', layers: payload.value, isReadOnly: true },
    ];
    const entropy = system.files.open(ENTROPY, 'read');
    const parts = { virtio, trace: undefined, entropy: entropy.ok ? entropy.value : undefined };
    const end = await runMachine(
      system,
      {
        description,
        plan: plan.value,
        interpreter: (await loadInterpreter(build.cache)).module,
        jit: true,
        name: 'vm',
        ...parts,
      },
      {
        showsSerial: false,
        async write(bytes) {
          listener.take(bytes);
        },
        onInput: () => () => undefined,
      },
      (running) => {
        machine = running;
        if (interrupted) running.stop(STOP.requested, 'a signal');
        if (death !== undefined) running.stop(STOP.crash, death);
      },
    );
    if (interrupted) return err('interrupted; what was downloaded is kept');
    if (!end.ok) return err(death ?? end.error);
    if (listener.isDone && end.value.stop === STOP.off) return ok();
    const why = listener.failure ?? death ?? (end.value.detail || 'the machine ended before it was done');
    return err(`the machine that makes it failed: ${why}\n${listener.lastLines()}`);
  } finally {
    release();
    await machine?.dispose();
    await system.close();
  }
}
