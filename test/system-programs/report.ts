/** A program that differs, for a person: what is left of it as a listing, and the words of its digest that differ. */
import { Decoder } from '../../cpu/decode/decoder.js';
import { disassemble } from '../../cpu/isa/disassemble.js';
import { INSTRUCTIONS } from '../../cpu/isa/table.js';
import { type Place, runImage } from './compare.js';
import { buildImage } from './image.js';
import { type Program, programCode } from './programs.js';

const NOP = 0xd503201f;
const WORDS_SHOWN = 12;

/** The arguments of main.js that show the program again. */
function replayArguments({ seed, without, rounds }: Program): string {
  const left = without.size === 0 ? '' : ` --without ${[...without].sort((a, b) => a - b).join()}`;
  return `--show ${seed}${left}${rounds === undefined ? '' : ` --rounds ${rounds}`}`;
}

/** See the head of this file. */
export async function describeProgram(program: Program, place: Place): Promise<string> {
  const lines = [`node dist/test/system-programs/main.js ${replayArguments(program)} --on ${place}`];
  const decoder = new Decoder(INSTRUCTIONS);
  const { words, rounds } = programCode(program);
  words.forEach((word, i) => {
    if (word === NOP) return;
    const text = disassemble(decoder, word >>> 0, BigInt(4 * i));
    lines.push(`${(4 * i).toString(16).padStart(4)}: ${(word >>> 0).toString(16).padStart(8, '0')}  ${text}`);
  });
  lines.push(
    `${rounds} round(s); words of the digest that differ (ESR, ELR, SPSR, FAR of each exception, then the end):`,
  );
  const image = buildImage([program], true);
  const expected = await runImage(image.file, 'qemu');
  const ours = await runImage(image.file, place);
  image.dispose();
  let shown = 0;
  for (let i = 0; i < Math.max(ours.length, expected.length) && shown < WORDS_SHOWN; i++) {
    if (ours[i] === expected[i]) continue;
    lines.push(`word ${i} (of ${expected.length}): ${ours[i]}, expected ${expected[i]}`);
    shown++;
  }
  return lines.join('\n');
}
