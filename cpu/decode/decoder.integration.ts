/**
 * Every word has at most one meaning (exhaustively), and words are allocated where LLVM says so. WURLEY_DECODE_WORDS sets
 * the size of the second sample, WURLEY_SEED its seed.
 */
import { spawnSync } from 'node:child_process';
import * as assert from 'uvu/assert';
import { TestRandom } from '../../test/drivers/fp-operands.js';
import { bothMatch, overlaps, sharedWord } from '../../test/drivers/table-overlap.js';
import { spec } from '../../test/harness/spec.js';
import { INSTRUCTIONS } from '../isa/table.js';
import { Decoder } from './decoder.js';

const WORDS = Number(process.env['WURLEY_DECODE_WORDS'] ?? 200_000);
const SEED = Number(process.env['WURLEY_SEED'] ?? 0x5eed);
const BATCH_WORDS = 200_000;
const DISASSEMBLER = 'llvm-mc';
const FEATURES = '-mattr=+crc,+lse,+rdm,+rcpc,+dotprod,+jsconv,+sb,+lor,+el3';

const test = spec('cpu/decode against LLVM');
const decoder = new Decoder(INSTRUCTIONS);

test(
  'no word has two meanings',
  () => {
    // Entries whose fixed bits contradict each other share no word; all words that the others share are tried.
    for (const overlap of overlaps(INSTRUCTIONS)) {
      for (let index = 0; index < 2 ** overlap.free.length; index++) {
        const word = sharedWord(overlap, index);
        if (bothMatch(overlap, word))
          assert.unreachable(`${overlap.a.name} and ${overlap.b.name}: ${word.toString(16)}`);
      }
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

/** What LLVM makes of the words: a mnemonic, or undefined where it calls the encoding invalid. */
function disassemble(words: readonly number[]): (string | undefined)[] {
  const hex = (byte: number): string => `0x${byte.toString(16)}`;
  const text = words.map((w) => [w & 255, (w >>> 8) & 255, (w >>> 16) & 255, w >>> 24].map(hex).join(' ')).join('\n');
  const done = spawnSync(DISASSEMBLER, ['--disassemble', '-triple=aarch64', FEATURES], {
    input: text,
    maxBuffer: 1 << 30,
    encoding: 'utf8',
  });
  if (done.status !== 0) throw new Error(`llvm-mc failed: ${done.stderr.slice(0, 500)}`);
  const invalid = new Set<number>();
  for (const match of done.stderr.matchAll(/<stdin>:(\d+):\d+: warning: invalid/g)) invalid.add(Number(match[1]) - 1);
  const lines = done.stdout.split('\n').filter((line) => /^\t[^.]/.test(line));
  let next = 0;
  return words.map((_, i) => (invalid.has(i) ? undefined : (lines[next++] ?? '').trim().split('\t')[0]));
}

/** Random words, half of them near a pattern of ours: one with its free bits random, and sometimes one bit wrong. */
function drawWords(random: TestRandom, count: number): number[] {
  return Array.from({ length: count }, (_, i) => {
    const word = random.u32();
    const entry = INSTRUCTIONS[random.below(INSTRUCTIONS.length)];
    if (i % 2 === 0 || entry === undefined) return word;
    const near = (word & ~entry.mask) | entry.value;
    return (random.below(2) === 0 ? near : near ^ (1 << random.below(32))) >>> 0;
  });
}

if (spawnSync(DISASSEMBLER, ['--version']).status !== 0) {
  test.skip('words are allocated where LLVM says so', `${DISASSEMBLER} is absent`);
} else {
  test(
    `${WORDS} words are allocated where LLVM says so`,
    () => {
      const random = new TestRandom(SEED);
      const differences = new Set<string>();
      for (let done = 0; done < WORDS; done += BATCH_WORDS) {
        const words = drawWords(random, Math.min(BATCH_WORDS, WORDS - done));
        disassemble(words).forEach((mnemonic, i) => {
          const word = words[i] ?? 0;
          const entry = decoder.decode(word);
          if ((entry !== undefined) === (mnemonic !== undefined) || isSystemSpace(word)) return;
          if (mnemonic !== undefined && UNDEFINED_HERE.has(mnemonic)) return;
          differences.add(`${entry?.name ?? 'undefined'}, LLVM: ${mnemonic ?? 'undefined'}`);
        });
      }
      assert.equal([...differences].sort(), []);
    },
    { deadlineMs: 600_000 },
  );
}

test.run();
