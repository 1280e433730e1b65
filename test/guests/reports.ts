/**
 * What the guest programs of this folder print, as data, and where their images are. The same functions read the
 * console of QEMU and of Wurley.
 */
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** `test/guests` in the checkout; the compiled file lies three folders below its root, in dist/. */
export const guestsFolder = join(dirname(fileURLToPath(import.meta.url)), '..', '..', '..', 'test', 'guests');

/** The guest programs; each is `test/guests/bin/NAME.elf`. */
export type GuestName =
  | 'assembly'
  | 'gic'
  | 'gunyah'
  | 'interrupts'
  | 'links'
  | 'lateness'
  | 'msgq'
  | 'bench'
  | 'suite'
  | 'programs-O0'
  | 'programs-O1'
  | 'programs-O2'
  | 'programs-O3';

/** Path of a committed guest image. */
export function guestImage(name: GuestName): string {
  return join(guestsFolder, 'bin', `${name}.elf`);
}

/** One `bench NAME iterations N ns T checksum X` line. */
export interface BenchLine {
  readonly name: string;
  /** Operations in the measurement; ns / iterations is the time of one. */
  readonly iterations: number;
  /** Guest time of the measurement in nanoseconds (CNTVCT_EL0). */
  readonly ns: number;
  /** 16 hexadecimal digits; the same on every machine and at every length of measurement. */
  readonly checksum: string;
}

/** The result lines of the benchmark guest, in order; undefined unless the guest ended with `bench done`. */
export function parseBench(console: string): readonly BenchLine[] | undefined {
  if (!/^bench done$/m.test(console)) return undefined;
  const lines = console.matchAll(/^bench (\S+) iterations (\d+) ns (\d+) checksum ([0-9a-f]{16})$/gm);
  return [...lines].map(([, name = '', iterations, ns, checksum = '']) => {
    return { name, iterations: Number(iterations), ns: Number(ns), checksum };
  });
}

/** The guest suite's verdict. */
export interface SuiteReport {
  readonly passed: number;
  readonly failed: number;
  /** Titles and reasons of `# SKIP` lines; they count as passed. */
  readonly skipped: readonly string[];
  /** `not ok` lines, each with the `#` lines before it that say why. */
  readonly failures: readonly string[];
}

/** Reads the suite's console; undefined unless it reached its closing `N passed, N failed` and the counts agree. */
export function parseSuite(console: string): SuiteReport | undefined {
  const closing = /^(\d+) passed, (\d+) failed$/m.exec(console);
  if (closing === null) return undefined;
  const failures: string[] = [];
  const skipped: string[] = [];
  let why: string[] = [];
  let passed = 0;
  for (const line of console.split('\n')) {
    if (line.startsWith('#')) why.push(line);
    if (line.startsWith('not ok ')) failures.push([...why, line].join('\n'));
    if (line.startsWith('ok ')) passed++;
    const skip = /^ok \d+ (.*) # SKIP (.*)$/.exec(line);
    if (skip !== null) skipped.push(`${skip[1]}: ${skip[2]}`);
    if (!line.startsWith('#')) why = [];
  }
  if (passed !== Number(closing[1]) || failures.length !== Number(closing[2])) return undefined;
  return { passed, failed: failures.length, skipped, failures };
}

/** What lateness.elf printed; nanoseconds. */
export interface LatenessReport {
  readonly rounds: number;
  /** Interrupts before their time. */
  readonly early: number;
  readonly p50Ns: number;
  readonly p99Ns: number;
  readonly maxNs: number;
}

/** One line of interrupts.elf: how long interrupts waited for a guest busy in `loop`. */
export interface InterruptsLine {
  readonly loop: string;
  /** `sgi` from the other CPU or `timer`; with `-start` the first ones, while the loop is new. */
  readonly source: string;
  readonly p50Ns: number;
  readonly p99Ns: number;
  readonly maxNs: number;
  /** The part of them that waited longer than 50 us, 0 to 1. */
  readonly lateShare: number;
}

/** Reads the lines of interrupts.elf. */
export function parseInterrupts(console: string): InterruptsLine[] {
  const lines = console.matchAll(/^irq (\S+) (\S+) rounds (\d+) p50 (\d+) p99 (\d+) max (\d+) late (\d+)$/gm);
  return [...lines].map(([, loop = '', source = '', ...numbers]) => {
    const [rounds = 0, p50Ns = 0, p99Ns = 0, maxNs = 0, late = 0] = numbers.map(Number);
    return { loop, source, p50Ns, p99Ns, maxNs, lateShare: late / rounds };
  });
}

/** Reads the report of lateness.elf; undefined when there is none. */
export function parseLateness(console: string): LatenessReport | undefined {
  const found = /^lateness rounds (\d+) early (\d+) p50 (\d+) p99 (\d+) max (\d+)$/m.exec(console);
  if (found === null) return undefined;
  const [rounds = 0, early = 0, p50Ns = 0, p99Ns = 0, maxNs = 0] = found.slice(1).map(Number);
  return { rounds, early, p50Ns, p99Ns, maxNs };
}
