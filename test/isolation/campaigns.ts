/** Random campaigns against the scanner. Each throws on the first failure, with the seed that reproduces it. */
import { describeRefusal } from '../../cpu/jit/scanner/refusal.js';
import { scanModule } from '../../cpu/jit/scanner/scan-module.js';
import { CanaryMachine } from './canary.js';
import { loopPage, randomPage, seeded, timesRemembered, translatePage } from './random-regions.js';

/** Translates random pages, a few entry points each; every module must be accepted. */
export function acceptAll(options: { readonly firstSeed: number; readonly seeds: number }): {
  readonly modules: number;
  readonly instructions: number;
  /** Places where code remembers a page. */
  readonly remembered: number;
} {
  let modules = 0;
  let instructions = 0;
  let remembered = 0;
  for (let seed = options.firstSeed; seed < options.firstSeed + options.seeds; seed++) {
    const random = seeded(seed);
    const isLoops = random(3) === 0;
    const mix = { words: 40 + random(300), memory: random(2) === 0, flow: random(4) !== 0 };
    const page = isLoops ? loopPage(random) : randomPage(random, mix);
    const batch = translatePage(page, [0, 4 * random(20), 4 * random(20) + (isLoops ? 0 : 80)]);
    if (batch === undefined) continue;
    modules++;
    instructions += batch.instructions;
    remembered += timesRemembered(batch.bytes);
    const scanned = scanModule(batch.bytes);
    if (!scanned.ok) throw new Error(`seed ${seed}: ${describeRefusal(scanned.error)}`);
  }
  return { modules, instructions, remembered };
}

/** A changed copy of `bytes`, behind the header: one byte changed, removed, doubled, or exchanged with another. */
function mutated(bytes: Uint8Array, from: number, random: (below: number) => number): Uint8Array<ArrayBuffer> {
  const copy = new Uint8Array(bytes);
  const at = from + random(bytes.length - from);
  const byte = copy[at] ?? 0;
  switch (random(4)) {
    case 0:
      copy[at] = random(256);
      break;
    case 1:
      copy[at] = byte ^ (1 << random(8));
      break;
    case 2:
      copy[at] = byte + (random(2) === 0 ? 1 : -1);
      break;
    default: {
      const other = from + random(bytes.length - from);
      copy[at] = copy[other] ?? 0;
      copy[other] = byte;
    }
  }
  return copy;
}

/** Offset of the first byte of the code section's content. */
function codeStart(bytes: Uint8Array): number {
  let at = 8;
  for (;;) {
    const id = bytes[at++];
    let length = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++] ?? 0;
      length |= (byte & 0x7f) << shift;
      if (byte < 0x80) break;
    }
    if (id === 10 || at >= bytes.length) return at;
    at += length;
  }
}

/** Mutates modules of random code; valid mutants that the scanner accepts run among canaries. */
export function mutateAll(options: {
  readonly firstSeed: number;
  readonly modules: number;
  readonly mutantsEach: number;
}): { readonly refused: number; readonly run: number } {
  let refused = 0;
  let run = 0;
  const machine = new CanaryMachine(seeded(options.firstSeed));
  for (let seed = options.firstSeed; seed < options.firstSeed + options.modules; seed++) {
    const random = seeded(seed);
    const mix = { words: 6 + random(20), memory: true, flow: random(3) === 0 };
    const batch = translatePage(random(3) === 0 ? loopPage(random) : randomPage(random, mix), [0]);
    if (batch === undefined) continue;
    const from = codeStart(batch.bytes);
    for (let mutant = 0; mutant < options.mutantsEach; ) {
      const bytes = mutated(batch.bytes, from, random);
      if (!WebAssembly.validate(bytes)) continue;
      mutant++;
      if (!scanModule(bytes).ok) {
        refused++;
        continue;
      }
      machine.aimRegisters(random);
      const breach = machine.run(new WebAssembly.Module(bytes));
      if (breach !== undefined) throw new Error(`seed ${seed}, mutant ${mutant}: it was accepted, and ${breach}`);
      run++;
    }
  }
  return { refused, run };
}
