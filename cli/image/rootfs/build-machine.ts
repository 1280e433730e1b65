/** The machine that makes a root file system: ours, with two disks, a script instead of a user, and progress from its console. */
import { readFile } from 'node:fs/promises';
import { ActorSystem } from '../../../actors/runtime/system.js';
import { STOP } from '../../../actors/shared-state/vm/vm-block.js';
import type { MeterReading } from '../../../actors/vcpu/meter.js';
import { err, ok, type Result } from '../../../bus/result.js';
import { faultSentence } from '../../../devices/machine/boot-fault.js';
import { planBoot } from '../../../devices/machine/boot-plan.js';
import { openCodeCache } from '../../machine/code-cache.js';
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
import { BuildProgress, type BuildWork } from './build-progress.js';

const BOOT_ARGUMENTS = 'console=ttyAMA0 panic=-1 quiet';
/** dpkg does one thing at a time. */
const CPUS = 1;
const MEMORY_BYTES = 1024 * 2 ** 20;
/** How often a person is told that it goes on. */
const TICK_MS = 1_000;
/** How long a build may make no step before it is asked whether it is stuck. */
const STILL_MS = 20 * 60_000;
/**
 * It is when its processor was idle for half of that, or has done so much meanwhile as it does in that time at 25 MIPS. One that waited for a
 * processor of a busy host instead is waited for: a build of 54 minutes stood in the host's queue for 43 of them.
 */
const STUCK_INSTRUCTIONS_PER_MS = 25_000;

/** Calls `stop` when the user asks to end; answers what takes that back. */
export type OnInterrupt = (stop: () => void) => () => void;

/** What to run. */
export interface BuildMachine {
  readonly cache: string;
  readonly kernel: StoredImage;
  readonly entries: readonly CpioEntry[];
  /** The new root, and the packages. */
  readonly disk: DiskRequest;
  readonly payload: string;
  readonly work: BuildWork;
  readonly report: Report;
  readonly onInterrupt: OnInterrupt;
  /** Milliseconds without a step after which it may count as stuck. */
  readonly stillMs?: number;
}

/** Runs the machine to its end; the error is a sentence, followed by what the guest said. */
export async function runBuildMachine(build: BuildMachine): Promise<Result<undefined, string>> {
  const { kernel, entries, stillMs = STILL_MS } = build;
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
  const progress = new BuildProgress(build.work, build.report, () => performance.now());
  let stuck: string | undefined;
  let isAsking = false;
  /** What its processor had done when the build last went on. */
  let since: MeterReading | undefined;
  let lookedMs = performance.now();
  const look = async (running: Machine): Promise<void> => {
    const [processor] = await running.statistics();
    const now = processor?.meter;
    const hasMoved = progress.stillMs < performance.now() - lookedMs;
    lookedMs = performance.now();
    if (hasMoved || since === undefined) since = now;
    if (progress.stillMs < stillMs) return;
    if (now !== undefined && since !== undefined && !isStuck(since, now, stillMs)) return;
    stuck ??= `it has not gone on for ${Math.floor(progress.stillMs / 6000) / 10} minutes (${progress.activity})`;
    running.stop(STOP.requested, stuck);
  };
  const watch = setInterval(() => {
    progress.tick();
    if (machine === undefined || isAsking) return;
    isAsking = true;
    void look(machine).finally(() => (isAsking = false));
  }, TICK_MS);
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
    const interpreter = (await loadInterpreter(build.cache)).module;
    const entropy = system.files.open(ENTROPY, 'read');
    const parts = { virtio, trace: undefined, entropy: entropy.ok ? entropy.value : undefined };
    const end = await runMachine(
      system,
      {
        description,
        plan: plan.value,
        interpreter,
        jit: true,
        codeCache: openCodeCache(build.cache, plan.value),
        name: 'vm',
        ...parts,
      },
      {
        showsSerial: false,
        async write(bytes) {
          progress.take(bytes);
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
    if (!end.ok) return err(death ?? end.error.sentence);
    if (progress.isDone && end.value.stop === STOP.off) return ok();
    const why = stuck ?? progress.failure ?? death ?? (end.value.detail || 'the machine ended before it was done');
    return err(`the machine that makes it failed: ${why}\n${progress.lastLines()}`);
  } finally {
    clearInterval(watch);
    release();
    await machine?.dispose();
    await system.close();
  }
}

/** Whether what a processor did between two readings is more than a step of a build takes, or nothing. */
function isStuck(then: MeterReading, now: MeterReading, stillMs: number): boolean {
  return (
    now.idleMs - then.idleMs > stillMs / 2 || now.instructions - then.instructions > stillMs * STUCK_INSTRUCTIONS_PER_MS
  );
}
