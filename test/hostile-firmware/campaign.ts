/**
 * Damaged firmware: Debian's U-Boot, or the environment it keeps in flash, is damaged and started. Whatever happens is the guest's
 * affair (a prompt, silence, an exception, a reset) as long as nothing is thrown, nothing outside the guest changes, it ends within
 * its bound, and memory does not grow.
 */
import { existsSync, readFileSync } from 'node:fs';
import { crc32 } from 'node:zlib';
import { FIRMWARE_BYTES_MAX } from '../../devices/machine/memory-map.js';
import type { Stop } from '../drivers/bare-metal-machine.js';
import { mutate, seededRandom } from '../harness/mutations.js';
import { FirmwareMachine } from './firmware-machine.js';

const U_BOOT = '/usr/lib/u-boot/qemu_arm64/u-boot.bin';
/** U-Boot's environment in flash: a CRC-32 and strings, each ended by a zero, the last by two (its CONFIG_ENV_SIZE). */
const ENVIRONMENT_BYTES = 0x4_0000;
const ENVIRONMENT = 'bootdelay=-1\0bootcmd=echo from the store\0preboot=\0stdin=serial\0\0';
const HEAD_BYTES = 4;
/** Nothing that works takes so long; what waits for an interrupt that never comes does. */
const RUN_MS_MAX = 20_000;
/** So often it is looked whether U-Boot has come to where it only waits: for what is typed, or for the power switch. */
const LOOK_SLICES = 500;
const WAITS = /(=> |### Please RESET the board ###\s*)$/;

/** How many machines ended how. */
export interface Tally {
  readonly refused: number;
  /** U-Boot said its name; its environment was taken; it was refused. */
  readonly started: number;
  readonly taken: number;
  readonly damaged: number;
  /** By Stop of the machine; `waits`: at its prompt, or for the power switch. */
  readonly ends: Readonly<Record<string, number>>;
  /** Most that the process held, over what it held at the start. */
  readonly grownBytes: number;
}

/** U-Boot's program, or undefined where Debian's u-boot-qemu is not installed. */
export function uBoot(): Uint8Array | undefined {
  return existsSync(U_BOOT) ? new Uint8Array(readFileSync(U_BOOT)) : undefined;
}

/** An environment as U-Boot saves it. */
export function environment(): Uint8Array {
  const bytes = new Uint8Array(ENVIRONMENT_BYTES);
  bytes.set(new TextEncoder().encode(ENVIRONMENT), HEAD_BYTES);
  return seal(bytes);
}
function seal(bytes: Uint8Array): Uint8Array {
  if (bytes.length < ENVIRONMENT_BYTES) return bytes;
  new DataView(bytes.buffer, bytes.byteOffset).setUint32(0, crc32(bytes.subarray(HEAD_BYTES, ENVIRONMENT_BYTES)), true);
  return bytes;
}

/** What a machine that runs for at most `slices` slices has said and how it ended. */
export async function boot(firmware: Uint8Array, variables: Uint8Array, slices: number) {
  const machine = await FirmwareMachine.make(firmware, variables);
  if (typeof machine === 'string') return { refusal: machine } as const;
  const endMs = performance.now() + RUN_MS_MAX;
  let stop: Stop | 'waits' = 'deadline';
  for (let left = slices; left > 0 && stop === 'deadline' && performance.now() < endMs; left -= LOOK_SLICES) {
    stop = machine.run(endMs - performance.now(), Math.min(left, LOOK_SLICES));
    if (stop === 'deadline' && WAITS.test(machine.output.slice(-64))) stop = 'waits';
  }
  if (!machine.isContained) throw new Error('memory outside the guest has changed');
  return { stop, output: machine.output } as const;
}

/**
 * Starts `count` damaged machines, each for at most `slices` slices. Throws what goes wrong, with the number of the case. `hear` is told after
 * each machine how many there were, and what came of them so far.
 */
export async function attack(
  program: Uint8Array,
  seed: number,
  count: number,
  slices: number,
  hear: (machines: number, tally: Tally) => void = () => undefined,
): Promise<Tally> {
  const random = seededRandom(seed);
  const store = environment();
  const ends: Record<string, number> = {};
  const tally = { refused: 0, started: 0, taken: 0, damaged: 0 };
  let [atStart, most] = [Number.POSITIVE_INFINITY, 0];
  const soFar = (): Tally => ({ ...tally, ends: { ...ends }, grownBytes: Math.max(0, most - atStart) });
  for (let n = 0; n < count; n++) {
    if (n > 0) hear(n, soFar());
    try {
      const hitsProgram = random() < 0.6;
      // The first instructions, the whole of it, or a file of any size.
      let firmware = hitsProgram ? mutate(program, random, random() < 0.5 ? 0x4000 : program.length) : program;
      if (hitsProgram && random() < 0.02) firmware = new Uint8Array(random() < 0.5 ? 0 : FIRMWARE_BYTES_MAX + 1);
      let variables = hitsProgram && random() < 0.5 ? store : mutate(store, random);
      // With a right sum what was damaged is read, too.
      if (random() < 0.7) variables = seal(variables);
      const end = await boot(firmware, variables, slices);
      if (end.refusal !== undefined) {
        tally.refused++;
        if (!/^[^\n]{5,300}$/.test(end.refusal)) throw new Error(`refused without a sentence: ${end.refusal}`);
        continue;
      }
      ends[end.stop] = (ends[end.stop] ?? 0) + 1;
      if (end.output.includes('U-Boot 2')) tally.started++;
      if (end.output.includes('from Flash... OK')) tally.taken++;
      if (end.output.includes('bad CRC')) tally.damaged++;
    } catch (thrown) {
      throw new Error(`case ${n} of seed ${seed}`, { cause: thrown });
    }
    if (n % 16 !== 15) continue;
    globalThis.gc?.();
    const held = process.memoryUsage().rss;
    atStart = Math.min(atStart, held);
    most = Math.max(most, held);
  }
  return soFar();
}
