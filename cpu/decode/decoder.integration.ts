/**
 * Every word has at most one meaning (exhaustively), and words are allocated where LLVM says so. WURLEY_DECODE_WORDS sets
 * the size of the second sample, WURLEY_SEED its seed.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { TestRandom } from '../../test/drivers/fp-operands.js';
import { firstWithTwoMeanings, overlaps } from '../../test/drivers/table-overlap.js';
import { spec } from '../../test/harness/spec.js';
import { INSTRUCTIONS } from '../isa/table.js';
import { Decoder } from './decoder.js';

const WORDS = Number(process.env['WURLEY_DECODE_WORDS'] ?? 10_000_000);
const SEED = Number(process.env['WURLEY_SEED'] ?? 0x5eed);
const BATCH_WORDS = 1_000_000;
const DIFFERENCES_MAX = 40;
const DISASSEMBLER = 'llvm-objdump';
const ASSEMBLER = 'aarch64-linux-gnu-as';
const STRIP = 'aarch64-linux-gnu-strip';
const FEATURES = '--mattr=+crc,+lse,+rdm,+rcpc,+dotprod,+jsconv,+sb,+lor,+el3';

const test = spec('cpu/decode against LLVM');
const decoder = new Decoder(INSTRUCTIONS);

test(
  'no word has two meanings',
  () => {
    // Entries whose fixed bits contradict each other share no word; all words that the others share are tried.
    for (const overlap of overlaps(INSTRUCTIONS)) {
      const word = firstWithTwoMeanings(overlap);
      assert.is(word, undefined, `${overlap.a.name} and ${overlap.b.name}: ${word?.toString(16)}`);
    }
  },
  { deadlineMs: 600_000 },
);

/** Mnemonics that LLVM knows and that are undefined here on purpose. */
const UNDEFINED_HERE: ReadonlyMap<string, string> = new Map([
  ['udf', 'permanently undefined: it has no entry'],
  ['dcps1', 'undefined in Non-debug state'],
  ['dcps2', 'undefined in Non-debug state'],
  ['dcps3', 'undefined in Non-debug state'],
  ['drps', 'undefined in Non-debug state'],
  ['sb', 'LLVM warns: CRm should be zero'],
  ['msr', 'LLVM names every register, even those with op0 = 0, which is unallocated'],
]);

/** System registers and instructions are allocated by name, which sysreg/ checks; hints and barriers are compared. */
function isSystemSpace(word: number): boolean {
  return word >>> 22 === 0b1101010100 && word >>> 12 !== 0xd5032 && word >>> 12 !== 0xd5033;
}

/**
 * Calls `visit` with each word's index and what LLVM makes of it: a mnemonic, or undefined where it calls the encoding
 * invalid. A whole batch goes through one object file without symbols, which would say that it is data.
 */
function disassemble(folder: string, words: Uint32Array, visit: (index: number, mnemonic?: string) => void): void {
  const object = join(folder, 'words.o');
  writeFileSync(join(folder, 'words.bin'), words);
  execFileSync(ASSEMBLER, ['-o', object, '-'], { input: `.incbin "${join(folder, 'words.bin')}"\n` });
  execFileSync(STRIP, ['--strip-all', object]);
  const text = execFileSync(DISASSEMBLER, ['-d', '--no-show-raw-insn', '--no-leading-addr', FEATURES, object], {
    maxBuffer: 1 << 29,
    encoding: 'latin1',
  });
  let index = 0;
  for (const [, mnemonic] of text.matchAll(/^\s+\t(\S+)/gm)) {
    visit(index++, mnemonic === '<unknown>' ? undefined : mnemonic);
  }
  assert.is(index, words.length);
}

/** Random words, half of them near a pattern of ours: one with its free bits random, and sometimes one bit wrong. */
function drawWords(random: TestRandom, count: number): Uint32Array {
  return Uint32Array.from({ length: count }, (_, i) => {
    const word = random.u32();
    const entry = INSTRUCTIONS[random.below(INSTRUCTIONS.length)];
    if (i % 2 === 0 || entry === undefined) return word;
    const near = (word & ~entry.mask) | entry.value;
    return (random.below(2) === 0 ? near : near ^ (1 << random.below(32))) >>> 0;
  });
}

const missing = [DISASSEMBLER, ASSEMBLER, STRIP].find((tool) => spawnSync(tool, ['--version']).status !== 0);
const title = `${WORDS} words are allocated where LLVM says so`;
if (missing !== undefined) {
  test.skip(title, `${missing} is absent`);
} else {
  test(
    title,
    () => {
      const random = new TestRandom(SEED);
      const differences = new Set<string>();
      const folder = mkdtempSync(join(tmpdir(), 'wurley-words-'));
      try {
        for (let done = 0; done < WORDS; done += BATCH_WORDS) {
          const words = drawWords(random, Math.min(BATCH_WORDS, WORDS - done));
          disassemble(folder, words, (i, mnemonic) => {
            const word = words[i] ?? 0;
            const entry = decoder.decode(word);
            if ((entry !== undefined) === (mnemonic !== undefined) || isSystemSpace(word)) return;
            if (mnemonic !== undefined && UNDEFINED_HERE.has(mnemonic)) return;
            differences.add(`${entry?.name ?? 'undefined'}, LLVM: ${mnemonic ?? 'undefined'} ${word.toString(16)}`);
          });
        }
      } finally {
        rmSync(folder, { recursive: true });
      }
      assert.equal([...differences].sort().slice(0, DIFFERENCES_MAX), []);
    },
    { deadlineMs: 600_000 },
  );
}

test.run();
