/** Runs a bare-metal ELF image on {@link BareMetalMachine}: the same contract as qemu-system.ts. */
import { readFileSync } from 'node:fs';
import { err, type Result } from '../../bus/result.js';
import { planBoot } from '../../devices/machine/boot-plan.js';
import { BareMetalMachine, type Stop } from './bare-metal-machine.js';

/** What to run. */
export interface BareMetalRun {
  /** Path of the ELF file. */
  readonly image: string;
  readonly memoryMiB: number;
  /** Goes to /chosen/bootargs of the device tree. */
  readonly bootargs: string;
  readonly deadlineMs: number;
  /** False: interpreter only. */
  readonly jit?: boolean;
  /** Hot code is compiled at once, not when a batch is worth a module. */
  readonly eager?: boolean;
  /** One instruction after the other by Core.step. */
  readonly stepped?: boolean;
  /** Where the machine lies in the host's memory: a multiple of 64 KiB. */
  readonly base?: number;
  /** Receives console output a line at a time. */
  readonly onOutput?: (line: string) => void;
}

/** How the run ended. */
export interface BareMetalOutcome {
  readonly stop: Stop;
  readonly console: string;
  readonly ms: number;
  readonly machine: BareMetalMachine;
}

/** Loads and runs one image to its end. Throws when the image cannot be loaded. */
export async function runBareMetal(run: BareMetalRun): Promise<BareMetalOutcome> {
  const refuse = async (): Promise<Result<Uint8Array, string>> => err('is compressed, which this driver does not read');
  const request = {
    machine: { cpus: 1, ramBytes: run.memoryMiB << 20, virtioSlots: [], hasFirmware: false, pmu: false },
    kernel: { file: run.image, bytes: new Uint8Array(readFileSync(run.image)) },
    bootArguments: run.bootargs,
    acpi: 'off',
  } as const;
  const plan = await planBoot(request, { gzip: refuse, xz: refuse, zstd: refuse });
  if (!plan.ok) throw new Error(JSON.stringify(plan.error));
  const machine = new BareMetalMachine(run.memoryMiB, {
    jit: run.jit ?? true,
    eager: run.eager ?? false,
    stepped: run.stepped ?? false,
    base: run.base ?? 0,
    ...(run.onOutput === undefined ? {} : { onOutput: run.onOutput }),
  });
  for (const { ipa, bytes } of plan.value.placements) machine.load(ipa, bytes);
  machine.core.reset(BigInt(plan.value.entry), plan.value.registers[0]);
  const started = performance.now();
  const stop = machine.run(run.deadlineMs);
  return { stop, console: machine.output, ms: performance.now() - started, machine };
}
