/** Which of the entry points that were noted get a region in the translation cache. */
import type { Decoder } from '../../cpu/decode/decoder.js';
import type { JournalPage } from '../../cpu/jit/code-journal.js';
import { groupEntries } from '../../cpu/jit/group-entries.js';
import { pageReader, type Region } from '../../cpu/jit/region.js';
import type { PlacedRegion } from '../../cpu/jit/translate.js';

/**
 * Guest instructions of an image's or a workload's first volume, and of a further one: optimising one takes some 50 us, and makes some 100 bytes of
 * machine code. The boot of a Debian root has 200,000 that got hot.
 */
export const INSTRUCTIONS_MAX = { first: 450_000, more: 60_000 } as const;
const PAGE_BYTES = 4096;

/** What was noted of one content of a page. */
interface Noted {
  readonly host: number;
  readonly hot: Set<number>;
  readonly warm: Set<number>;
}

/**
 * Chooses regions, those with hot entry points first, until there are `instructionsMax` instructions. What is the same code in several
 * pages (or in one page at several times) counts once, and what `isThere` says is there not at all. Page n of `pages` is at byte n * 4096
 * of `view`.
 */
export function chooseRegions(
  view: DataView,
  decoder: Decoder,
  pages: readonly JournalPage[],
  instructionsMax: number,
  isThere: (placed: PlacedRegion) => boolean,
): PlacedRegion[] {
  const chosen: PlacedRegion[] = [];
  const merelyWarm: PlacedRegion[] = [];
  const seen = new Set<string>();
  for (const { host, hot, warm } of distinctPages(pages)) {
    const read = pageReader((at) => view.getUint32(host + at, true), decoder);
    const [hotFirst, others] = [hot, warm].map((offsets) => [...offsets].sort((a, b) => a - b));
    for (const region of groupEntries([...(hotFirst ?? []), ...(others ?? [])], [], read)) {
      const key = keyOf(region);
      if (seen.has(key)) continue;
      seen.add(key);
      (region.entries.some((entry) => hot.has(entry)) ? chosen : merelyWarm).push({ host, region });
    }
  }
  let instructions = 0;
  return [...chosen, ...merelyWarm].filter((placed) => {
    const fits = instructions < instructionsMax && !isThere(placed);
    if (fits) instructions += placed.region.size;
    return fits;
  });
}

/** Several vCPUs, or one at several times, may have noted the same page. */
function distinctPages(pages: readonly JournalPage[]): Iterable<Noted> {
  const byContent = new Map<string, Noted>();
  for (const [n, { bytes, hot, warm }] of pages.entries()) {
    const content = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
    const noted = byContent.get(content) ?? { host: n * PAGE_BYTES, hot: new Set<number>(), warm: new Set<number>() };
    byContent.set(content, noted);
    for (const offset of hot) noted.hot.add(offset);
    for (const offset of warm) noted.warm.add(offset);
  }
  return byContent.values();
}

/** The same for regions with the same entries and the same code. */
function keyOf({ entries, blocks }: Region): string {
  const words = [...entries].sort((a, b) => a - b).map(String);
  for (const { instructions } of blocks.values())
    for (const { offset, word } of instructions) words.push(`${offset}:${word}`);
  return words.join();
}
