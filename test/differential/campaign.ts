/** Runs random cases of chosen table entries on our drivers and, where it is present, under QEMU, and reports differences. */

import type { Instruction } from '../../cpu/isa/instruction.js';
import { INSTRUCTIONS } from '../../cpu/isa/table.js';
import { FRAME, FRAME_BYTES, SLOTS, writeSlot } from '../drivers/case-frame.js';
import { TestRandom } from '../drivers/fp-operands.js';
import { type Driver, InterpreterDriver } from '../drivers/interpreter-driver.js';
import type { QemuDriver } from '../drivers/qemu-driver.js';
import { type Block, CaseWriter, drawBlock, drawWord } from './generator.js';
import { reviewedDifference } from './reviewed.js';

const BATCH_WORDS = 1024;
/** Batches without a usable case after which a campaign ends. */
const FRUITLESS_MAX = 16;

/** What to run. */
export interface Campaign {
  readonly seed: number;
  /** Cases wanted altogether; entries get equal shares. */
  readonly cases: number;
  /**
   * With single instructions: after that, entries run on until each has had this many cases (0: none). Many random operands
   * of the rare ones, such as CASP, give no usable case.
   */
  readonly casesPerEntryMin: number;
  /** Which entries to run, see {@link testable}; all if empty. */
  readonly only: string;
  /** Operand sets run with each random word: the more, the less is compiled for a case. */
  readonly setsPerWord: number;
  /** Longest block; 1 runs every instruction alone. */
  readonly blockWords: number;
  /** Drivers besides the handlers (which are the reference for them). */
  readonly drivers: readonly Driver[];
  readonly qemu: QemuDriver | undefined;
}

/** What came out. */
export interface CampaignResult {
  readonly cases: number;
  /** Cases run for each entry, by name. */
  readonly perEntry: ReadonlyMap<string, number>;
  /** Differences explained by the reviewed list. */
  readonly reviewed: number;
  /** Descriptions of unexplained differences, at most {@link REPORTS_MAX}. */
  readonly differences: readonly string[];
}

/** Most differences described; beyond it only counting goes on. */
const REPORTS_MAX = Number(process.env['WURLEY_REPORTS'] ?? 40);

/** The parts of a frame that differ, in words a reader understands. */
export function describeDifference(input: DataView, ours: DataView, theirs: DataView, at: number): string {
  const parts: string[] = [];
  const hex = (view: DataView, offset: number, bytes: number): string => {
    let text = '';
    for (let i = bytes - 1; i >= 0; i--)
      text += view
        .getUint8(at + offset + i)
        .toString(16)
        .padStart(2, '0');
    return text;
  };
  const compare = (name: string, offset: number, bytes: number): void => {
    const mine = hex(ours, offset, bytes);
    const other = hex(theirs, offset, bytes);
    if (mine !== other) parts.push(`${name}: ${mine}, expected ${other} (was ${hex(input, offset, bytes)})`);
  };
  for (let i = 0; i < 31; i++) compare(`x${i}`, i * 8, 8);
  compare('sp', FRAME.sp, 8);
  compare('pc', FRAME.pc, 8);
  compare('nzcv', FRAME.nzcv, 4);
  compare('fpcr', FRAME.fpcr, 4);
  compare('fpsr', FRAME.fpsr, 4);
  compare('outcome', FRAME.outcome, 4);
  for (let i = 0; i < 32; i++) compare(`v${i}`, FRAME.v + i * 16, 16);
  for (let i = FRAME.window; i < FRAME_BYTES; i += 8) compare(`window+${i - FRAME.window}`, i, 8);
  return parts.join('; ');
}

/** The input registers that the entry's operands name, for a report. */
function describeOperands(input: DataView, at: number, entry: Instruction, word: number): string {
  const fields: Record<string, number> = {};
  for (const field of entry.fields) fields[field.name] = (word >>> field.shift) & field.mask;
  const parts = entry.registers.map(({ name, kind, number }) => {
    const n = number(fields);
    const wide = (offset: number): string => input.getBigUint64(at + offset, true).toString(16);
    if (kind === 'v') return `${name}=v${n}=${wide(FRAME.v + n * 16 + 8)}_${wide(FRAME.v + n * 16)}`;
    return `${name}=${n === 31 ? (kind === 'x' ? 'zero' : `sp=${wide(FRAME.sp)}`) : `x${n}=${wide(n * 8)}`}`;
  });
  return parts.join(' ');
}

/**
 * Entries whose random words may be run. `only` lists parts of names, separated by commas: those that contain one, and
 * none of the parts marked with a `-`.
 */
export function testable(only: string): readonly Instruction[] {
  const parts = only.toLowerCase().split(',');
  const refused = parts.filter((part) => part.startsWith('-')).map((part) => part.slice(1));
  const wanted = parts.filter((part) => !part.startsWith('-'));
  return INSTRUCTIONS.filter((entry) => {
    const name = entry.name.toLowerCase();
    const included = wanted.length === 0 || wanted.some((part) => name.includes(part));
    return !entry.untested && included && !refused.some((part) => name.includes(part));
  });
}

/** See the head of this file. */
export function runCampaign(campaign: Campaign): CampaignResult {
  const entries = testable(campaign.only);
  if (entries.length === 0) throw new Error(`no instruction's name contains "${campaign.only}"`);
  const random = new TestRandom(campaign.seed);
  const handlers = new InterpreterDriver('handlers');
  const writer = new CaseWriter(BATCH_WORDS * campaign.setsPerWord, random, handlers);
  const outputs = [handlers, ...campaign.drivers].map(() => new DataView(new ArrayBuffer(writer.bytes.byteLength)));
  const image = new Uint32Array(SLOTS * (128 / 4));
  const perEntry = new Map<string, number>();
  const differences: string[] = [];
  let reviewed = 0;
  let total = 0;
  const check = (name: string, ours: DataView, theirs: DataView, placed: readonly Block[], frames: number[]): void => {
    const mine = new Uint8Array(ours.buffer, ours.byteOffset);
    const other = new Uint8Array(theirs.buffer, theirs.byteOffset);
    frames.forEach((word, i) => {
      const at = i * FRAME_BYTES;
      if (Buffer.compare(mine.subarray(at, at + FRAME_BYTES), other.subarray(at, at + FRAME_BYTES)) === 0) return;
      const which = placed[word];
      if (which === undefined) return;
      const isReviewed = which.entries.some(
        (entry, n) => reviewedDifference(entry, which.words[n] ?? 0, ours, theirs, at) !== undefined,
      );
      if (isReviewed) {
        reviewed++;
        return;
      }
      if (differences.length >= REPORTS_MAX) return;
      const what = describeDifference(writer.view, ours, theirs, at);
      const block = which.entries.map((entry, n) => {
        const code = which.words[n] ?? 0;
        const operands = describeOperands(writer.view, at, entry, code);
        return `${entry.name} ${code.toString(16).padStart(8, '0')} [${operands}]`;
      });
      const control = [FRAME.nzcv, FRAME.fpcr, FRAME.fpsr].map((o) => writer.view.getUint32(at + o, true).toString(16));
      differences.push(`${name}: ${block.join('; ')}: ${what} (nzcv,fpcr,fpsr ${control.join()})`);
    });
  };
  const wanting = (): readonly Instruction[] =>
    total < campaign.cases
      ? entries
      : entries.filter(({ name }) => (perEntry.get(name) ?? 0) < campaign.casesPerEntryMin);
  const single = (from: readonly Instruction[], n: number): Block => {
    const entry = from[n % from.length];
    const word = entry === undefined ? undefined : drawWord(entry, random);
    if (entry === undefined || word === undefined) throw new Error(`${entry?.name}: no word decodes to it`);
    return { entries: [entry], words: [word] };
  };
  let next = 0;
  let fruitless = 0;
  while (differences.length < REPORTS_MAX && fruitless < FRUITLESS_MAX) {
    const chosen = wanting();
    if (chosen.length === 0) break;
    const placed: Block[] = [];
    image.fill(0);
    for (let tries = 0; placed.length < BATCH_WORDS && tries < 4 * BATCH_WORDS; tries++) {
      const block = campaign.blockWords > 1 ? drawBlock(entries, campaign.blockWords, random) : single(chosen, next++);
      if (block.words.length === 0) continue;
      writeSlot(image, placed.length, block.words);
      placed.push(block);
    }
    handlers.load(image);
    const frames: number[] = [];
    placed.forEach((block, slot) => {
      for (let set = 0; set < campaign.setsPerWord; set++) {
        if (!writer.writeCase(frames.length, slot, block)) continue;
        frames.push(slot);
        for (const { name } of block.entries) perEntry.set(name, (perEntry.get(name) ?? 0) + 1);
      }
    });
    total += frames.length;
    fruitless = frames.length === 0 ? fruitless + 1 : 0;
    const drivers = [handlers, ...campaign.drivers];
    drivers.forEach((driver, d) => {
      const output = outputs[d];
      if (output === undefined) return;
      driver.load(image);
      driver.prepare?.(placed.length);
      for (let i = 0; i < frames.length; i++) driver.run(writer.view, output, i * FRAME_BYTES);
    });
    const reference = outputs[0];
    if (reference === undefined) break;
    drivers.forEach((driver, d) => {
      const output = outputs[d];
      if (d > 0 && output !== undefined) check(`${driver.name} against handlers`, output, reference, placed, frames);
    });
    if (campaign.qemu !== undefined) {
      const answers = campaign.qemu.run(image, writer.bytes, frames.length);
      check('handlers against QEMU', reference, answers, placed, frames);
    }
  }
  return { cases: total, perEntry, reviewed, differences };
}
