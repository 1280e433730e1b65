/** Which of the entry points that were noted get a region in the translation cache. */
import type { Decoder } from '../../cpu/decode/decoder.js';
import type { JournalPage } from '../../cpu/jit/code-journal.js';
import { discoverRegion } from '../../cpu/jit/region.js';
import type { EntryPoint } from '../../cpu/jit/translate.js';

/**
 * Guest instructions of a volume: optimising one takes some 50 us, and makes some 100 bytes of machine code. The boot of a Debian root has
 * 400,000 that got hot.
 */
const INSTRUCTIONS_MAX = 450_000;
const PAGE_BYTES = 4096;

/**
 * Chooses entry points, the hot ones first, until there is enough. What is the same code in several pages (or in one page
 * at several times) counts once. Page n of `pages` is at byte n * 4096 of `view`.
 */
export function chooseRegions(view: DataView, decoder: Decoder, pages: readonly JournalPage[]): EntryPoint[] {
  const chosen: EntryPoint[] = [];
  const seen = new Set<string>();
  let instructions = 0;
  for (const heat of ['hot', 'warm'] as const) {
    for (const [n, page] of pages.entries()) {
      for (const offset of [...page[heat]].sort((a, b) => a - b)) {
        if (instructions >= INSTRUCTIONS_MAX) return chosen;
        const host = n * PAGE_BYTES;
        const region = discoverRegion(offset, (at) => view.getUint32(host + at, true), decoder);
        if (region === undefined) continue;
        const words: string[] = [`${offset}`];
        let count = 0;
        for (const block of region.blocks.values()) {
          for (const { offset: at, word } of block.instructions) words.push(`${at}:${word}`);
          count += block.instructions.length;
        }
        const key = words.join();
        if (seen.has(key)) continue;
        seen.add(key);
        instructions += count;
        chosen.push({ host, offset });
      }
    }
  }
  return chosen;
}
