/** Runs random programs on QEMU and on our machine, compiled and interpreted, and shrinks those whose digests differ. */
import { type BareMetalRun, runBareMetal } from '../drivers/bare-metal.js';
import { runUnderQemu } from '../drivers/qemu-system.js';
import { buildImage } from './image.js';
import { type Program, programCode } from './programs.js';

/** Has what our CPU has, PAN and UAO too; not JSCVT, which programs leave out. */
const QEMU_CPU = 'neoverse-n1';
const DEADLINE_MS = 180_000;
const MEMORY_MIB = 256;
/** What the runtime prints for a program that ran for a second. */
export const ENDLESS = 'endless';

/** Where an image can run. */
export type Place = 'qemu' | 'jit' | 'interpreter' | 'stepped';

/** The console's lines of one image on one machine, without the closing `done`. Throws when it did not get there. */
export async function runImage(file: string, place: Place): Promise<readonly string[]> {
  const run = { image: file, memoryMiB: MEMORY_MIB, bootargs: '', deadlineMs: DEADLINE_MS };
  let console: string;
  if (place === 'qemu') {
    const outcome = await runUnderQemu({ ...run, cpus: 1, cpu: QEMU_CPU });
    console = outcome.ok ? outcome.value.console : `${outcome.error.console}\n${outcome.error.text}`;
  } else {
    const ours: BareMetalRun = { ...run, jit: place === 'jit', eager: true, stepped: place === 'stepped' };
    const outcome = await runBareMetal(ours);
    console = outcome.stop === 'off' ? outcome.console : `${outcome.console}\nstopped: ${outcome.stop}`;
  }
  const lines = console.trimEnd().split('\n');
  if (lines.at(-1) !== 'done') throw new Error(`${place}: the image ended with ${JSON.stringify(lines.slice(-6))}`);
  return lines.slice(0, -1);
}

/** A program whose digests differ. */
export interface Difference {
  readonly program: Program;
  readonly place: Place;
  readonly digest: string;
  readonly expected: string;
}

/** What a comparison found. */
export interface Comparison {
  readonly differences: readonly Difference[];
  /** Programs that had not ended after a second in QEMU; they compare nothing. */
  readonly endless: number;
}

/** A second is the host's: a program that takes a third of it is stopped on a busy host. One that never ends never does. */
const AGAIN = 5;

/** The digest of one program in an image of its own. */
async function digestAlone(program: Program, place: Place): Promise<string> {
  const image = buildImage([program]);
  try {
    return (await runImage(image.file, place))[0] ?? '';
  } finally {
    image.dispose();
  }
}

/** Runs the programs everywhere; QEMU's digests are the expected ones. */
export async function compareDigests(programs: readonly Program[], places: readonly Place[]): Promise<Comparison> {
  const image = buildImage(programs);
  try {
    const expected = await runImage(image.file, 'qemu');
    if (expected.length !== programs.length) throw new Error(`QEMU printed ${expected.length} digests`);
    const differences: Difference[] = [];
    for (const place of places) {
      const ours = await runImage(image.file, place);
      for (const [i, program] of programs.entries()) {
        const wanted = expected[i] ?? '';
        let digest = ours[i] ?? '';
        for (let n = 0; n < AGAIN && digest === ENDLESS && wanted !== ENDLESS; n++)
          digest = await digestAlone(program, place);
        if (digest !== wanted && wanted !== ENDLESS) differences.push({ program, place, digest, expected: wanted });
      }
    }
    return { differences, endless: expected.filter((line) => line === ENDLESS).length };
  } finally {
    image.dispose();
  }
}

/**
 * The smallest program that still differs at the same place: fewer items, fewer rounds. Tries all candidates of a step in
 * one image.
 */
export async function shrink({ program, place }: Difference): Promise<Program> {
  let smallest = program;
  const items = Array.from({ length: programCode(program).starts.length - 1 }, (_, i) => i);
  const firstThatDiffers = async (candidates: readonly Program[]): Promise<Program | undefined> => {
    if (candidates.length === 0) return undefined;
    return (await compareDigests(candidates, [place])).differences[0]?.program;
  };
  const drop = (indexes: readonly number[]): Program => ({
    ...smallest,
    without: new Set([...smallest.without, ...indexes]),
  });
  for (let size = Math.ceil(items.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (;;) {
      const left = items.filter((item) => !smallest.without.has(item));
      const candidates: Program[] = [];
      for (let from = 0; from < left.length; from += size) candidates.push(drop(left.slice(from, from + size)));
      const found = await firstThatDiffers(candidates);
      if (found === undefined) break;
      smallest = found;
    }
  }
  const fewer = [1, 2, 3, 5].map((rounds) => ({ ...smallest, rounds }));
  return (await firstThatDiffers(fewer)) ?? smallest;
}
