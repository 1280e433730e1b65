/** The options of `wurley run` as text, and checked. */
import { err, ok, type Result } from '../../bus/result.js';
import { CPUS_MAX, isRamSize, RAM_RANGE } from '../../devices/machine/memory-map.js';

/** What commander hands over. */
export interface RunText {
  readonly kernel?: string;
  readonly initrd?: string;
  readonly append?: string;
  readonly memory: string;
  readonly cpus: string;
  readonly platform: string;
  readonly gunyahProfile: string;
  readonly rootVm?: boolean;
  readonly dtb?: string;
  readonly dumpDtb?: string;
  readonly firmware?: string;
  readonly firmwareVars?: string;
  readonly acpi?: boolean;
  readonly timeout?: string;
  readonly trace?: string;
  readonly gdb?: string;
  readonly stats?: boolean;
  readonly jit: boolean;
  readonly console: string;
  readonly rng?: boolean;
  readonly disk?: readonly string[];
  readonly snapshotDisk?: boolean;
  readonly share?: readonly string[];
  readonly vsock?: string;
  readonly balloon?: string;
  readonly net: string;
  readonly publish?: readonly string[];
  readonly mac?: string;
  readonly pcap?: string;
}

/** The numbers among the options. */
export interface RunNumbers {
  readonly cpus: number;
  readonly ramBytes: number;
  readonly timeoutMs: number | undefined;
}

const UNITS: Readonly<Record<string, number>> = { '': 2 ** 20, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30 };
const TIMEOUT_SECONDS_MAX = 30 * 24 * 3600;

/** `512M`, `1G`, `524288k`, or a number of MiB. */
export function parseMemory(text: string): number | undefined {
  const found = /^(\d{1,9})([kmg]?)i?b?$/i.exec(text);
  if (found === null) return undefined;
  return Number(found[1]) * (UNITS[(found[2] ?? '').toLowerCase()] ?? Number.NaN);
}

/** Checks the numbers; the error is a sentence. */
export function checkNumbers(text: RunText): Result<RunNumbers, string> {
  const cpus = Number(text.cpus);
  if (!Number.isInteger(cpus) || cpus < 1 || cpus > CPUS_MAX) {
    return err(`--cpus takes a whole number from 1 to ${CPUS_MAX}, not "${text.cpus}"`);
  }
  const ramBytes = parseMemory(text.memory);
  if (ramBytes === undefined || !isRamSize(ramBytes)) {
    return err(`--memory takes ${RAM_RANGE} in steps of 2M (such as 512M), not "${text.memory}"`);
  }
  if (text.timeout === undefined) return ok({ cpus, ramBytes, timeoutMs: undefined });
  const seconds = Number(text.timeout);
  if (!(seconds > 0 && seconds <= TIMEOUT_SECONDS_MAX)) {
    return err(`--timeout takes a number of seconds above 0, not "${text.timeout}"`);
  }
  return ok({ cpus, ramBytes, timeoutMs: seconds * 1000 });
}
