/** The disassembler's text of integer instructions is GNU objdump's. WURLEY_WORDS sets the sample, WURLEY_SEED its seed. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { drawWord } from '../../test/differential/generator.js';
import { TestRandom } from '../../test/drivers/fp-operands.js';
import { spec } from '../../test/harness/spec.js';
import { Decoder } from '../decode/decoder.js';
import { ASSEMBLY } from './assembly.js';
import { disassemble } from './disassemble.js';
import { INSTRUCTIONS } from './table.js';

const WORDS_PER_ENTRY = Number(process.env['WURLEY_WORDS'] ?? 1000);
const SEED = Number(process.env['WURLEY_SEED'] ?? 0x5eed);
const OBJDUMP = 'aarch64-linux-gnu-objdump';
const BASE = 0x40_0000_0000n;

const test = spec('cpu/isa/disassemble');
const decoder = new Decoder(INSTRUCTIONS);

/** objdump's text of each word, spaces and remarks removed. */
function objdump(words: Uint32Array): string[] {
  const folder = mkdtempSync(join(tmpdir(), 'wurley-words-'));
  const file = join(folder, 'words.bin');
  writeFileSync(file, words);
  const args = ['-D', '-b', 'binary', '-m', 'aarch64', `--adjust-vma=0x${BASE.toString(16)}`, file];
  const done = spawnSync(OBJDUMP, args, { encoding: 'utf8', maxBuffer: 1 << 30 });
  rmSync(folder, { recursive: true });
  if (done.status !== 0) throw new Error(`objdump failed: ${done.stderr.slice(0, 500)}`);
  const lines = done.stdout.split('\n').filter((line) => /^ *[0-9a-f]+:\t/.test(line));
  return lines.map((line) => normal(line.split('\t').slice(2).join(' ')));
}
const normal = (text: string): string =>
  text
    .replace(/\s*(\/\/.*|<.*>)$/, '')
    .replace(/\s+/g, ' ')
    .trim();

if (spawnSync(OBJDUMP, ['--version']).status !== 0) test.skip('reads as objdump prints it', `${OBJDUMP} is absent`);
else {
  test(
    'integer instructions read as objdump prints them',
    () => {
      const random = new TestRandom(SEED);
      const entries = INSTRUCTIONS.filter(({ name }) => ASSEMBLY[name] !== undefined);
      const drawn = entries.flatMap((entry) =>
        Array.from({ length: WORDS_PER_ENTRY }, () => drawWord(entry, random) ?? entry.value),
      );
      const words = new Uint32Array(drawn);
      const expected = objdump(words);
      assert.is(expected.length, words.length);
      const differences = new Map<string, string>();
      words.forEach((word, i) => {
        const ours = normal(disassemble(decoder, word, BASE + BigInt(i * 4)));
        const theirs = expected[i] ?? '';
        // objdump refuses CONSTRAINED UNPREDICTABLE words (LDPSW of equal registers, should-be-one fields).
        if (ours === theirs || theirs.startsWith('.inst')) return;
        differences.set(decoder.decode(word)?.name ?? '', `${word.toString(16).padStart(8, '0')}: ${ours} | ${theirs}`);
      });
      assert.equal([...differences], []);
    },
    { deadlineMs: 120_000 },
  );
}

test.run();
