/** The disassembler's text is GNU objdump's, for every entry of the table. WURLEY_WORDS sets the sample, WURLEY_SEED its seed. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { drawWord } from '../../test/differential/generator.js';
import { TestRandom } from '../../test/drivers/fp-operands.js';
import { spec } from '../../test/harness/spec.js';
import { Decoder } from '../decode/decoder.js';
import { SYSTEM_REGISTERS } from '../sysreg/registers.js';
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
    'every entry reads as objdump prints it',
    () => {
      const random = new TestRandom(SEED);
      const drawn = INSTRUCTIONS.flatMap((entry) =>
        Array.from({ length: WORDS_PER_ENTRY }, () => drawWord(entry, random) ?? entry.value),
      );
      assert.equal(differencesOf(drawn), []);
    },
    { deadlineMs: 300_000 },
  );
  test('every system register and operation has its name', () => {
    const words = SYSTEM_REGISTERS.flatMap(({ key, read, write }) => [
      ...(read === 'never' ? [] : [systemWord(key) | (1 << 21)]),
      ...(write === 'never' ? [] : [systemWord(key)]),
    ]);
    assert.ok(words.length > 250);
    assert.equal(differencesOf(words), []);
    // Every SYS encoding of op1, CRn, CRm and op2 with x3.
    assert.equal(differencesOf(Array.from({ length: 2 ** 14 }, (_, n) => 0xd5080000 + n * 32 + 3)), []);
  });
}

/** MSR of x7 to the register with this key. */
function systemWord(key: number): number {
  const [op0, op1, crn] = [(key >> 20) & 3, (key >> 14) & 7, (key >> 10) & 15];
  const [crm, op2] = [(key >> 1) & 15, (key >> 17) & 7];
  return (0xd5000000 | (op0 << 19) | (op1 << 16) | (crn << 12) | (crm << 8) | (op2 << 5) | 7) >>> 0;
}

/**
 * Differences that are right: what our table does not have is written by its encoding, what objdump knows by name; MSR
 * (immediate) of one-bit fields ignores the upper bits of its immediate, which objdump refuses.
 */
const REVIEWED: readonly (readonly [ours: RegExp, theirs: RegExp])[] = [
  [/^(mrs x\w+, s\d_|msr s\d_)/, /^(mrs x\w+, \w+|msr \w+, )/],
  [/^sys #/, /^(at|dc|ic|tlbi|cfp|dvp|cpp|cosp|brb|wkdmc|wkdmd|trcit|gcs\w+|sys)\b/],
  [/^msr (pan|uao|spsel), #0x[2-9a-f]$/, /^msr s0_/],
];

/** One difference of each table entry, as text. */
function differencesOf(drawn: readonly number[]): string[] {
  const words = new Uint32Array(drawn);
  const expected = objdump(words);
  assert.is(expected.length, words.length);
  const differences = new Map<string, string>();
  words.forEach((word, i) => {
    const ours = normal(disassemble(decoder, word, BASE + BigInt(i * 4)));
    const theirs = expected[i] ?? '';
    // objdump refuses CONSTRAINED UNPREDICTABLE words (LDPSW of equal registers, should-be-one fields).
    if (ours === theirs || theirs.startsWith('.inst')) return;
    if (REVIEWED.some(([a, b]) => a.test(ours) && b.test(theirs))) return;
    differences.set(decoder.decode(word)?.name ?? '', `${word.toString(16).padStart(8, '0')}: ${ours} | ${theirs}`);
  });
  return [...differences.values()];
}

test.run();
