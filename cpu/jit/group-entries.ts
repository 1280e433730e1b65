/**
 * Which entry points of a page share a region. A function's own start, its loops and the places its calls return to are
 * all reached from elsewhere, and each leads through mostly the same code: one region with several entries is translated,
 * compiled and kept once. Where a further entry would cost the running code something (a loop entered beside its head
 * would have to be left for every round) the entry has a region of its own.
 */
import { loopsOf } from './loop-guesses.js';
import { discoverRegion, explore, type ReadInstruction, type Region } from './region.js';

/** Entries of one region: each is a comparison or two at its head. */
const ENTRIES_MAX = 32;
/** Two regions share code if this part of the smaller one is common to both. */
const COMMON_SHARE = 1 / 2;

/** A region and what decides whether it can have more entries. */
interface Group {
  readonly region: Region;
  /** Offsets of all its instructions: true where entering would cost nothing. */
  readonly offsets: ReadonlyMap<number, boolean>;
}

/**
 * Groups `wanted` (byte offsets in the page), and gives each group what of `beside` leads through its code as well. What is no
 * instruction is left out.
 */
export function groupEntries(
  wanted: Iterable<number>,
  beside: readonly number[],
  read: ReadInstruction,
): readonly Region[] {
  const groups: Group[] = [];
  for (const entry of new Set(wanted)) {
    const region = discoverRegion([entry], read);
    if (region === undefined) continue;
    let merged = groupOf(region);
    // What has grown may have come to share code with the next one as well.
    for (let n = 0; n < groups.length; ) {
      const both = mergeGroups(groups[n]!, merged, read);
      if (both === undefined) n++;
      else {
        groups.splice(n, 1);
        merged = both;
      }
    }
    groups.push(merged);
  }
  const taken = new Set(groups.flatMap(({ region }) => region.entries));
  return groups.map((group) => {
    const inside = beside.filter((entry) => !taken.has(entry) && group.offsets.get(entry) === true);
    const before = beside.filter((entry) => !taken.has(entry) && !group.offsets.has(entry));
    const leading = before.filter((entry) => leadsInto(entry, group, read));
    const { region } = withEntries(group, [...inside, ...leading], read) ?? withEntries(group, inside, read) ?? group;
    for (const entry of region.entries) taken.add(entry);
    return region;
  });
}

/** Tells where in a region a way from outside may come in: anywhere but inside of a loop, which has its head for that. */
function groupOf(region: Region): Group {
  const offsets = new Map<number, boolean>();
  for (const { instructions } of region.blocks.values())
    for (const { offset } of instructions) offsets.set(offset, true);
  for (const [header, body] of loopsOf(region)) {
    for (const { instructions } of body) {
      for (const { offset } of instructions) if (offset !== header.offset) offsets.set(offset, false);
    }
  }
  return { region, offsets };
}

function mergeGroups(a: Group, b: Group, read: ReadInstruction): Group | undefined {
  const [small, large] = a.region.size < b.region.size ? [a, b] : [b, a];
  let common = 0;
  for (const offset of small.offsets.keys()) if (large.offsets.has(offset)) common++;
  if (common < small.region.size * COMMON_SHARE) return undefined;
  // The smaller one comes into the larger one at its entries, or comes from them.
  if (small.region.entries.some((entry) => large.offsets.get(entry) === false)) return undefined;
  if (large.region.entries.some((entry) => small.offsets.get(entry) === false)) return undefined;
  if (a.region.entries.length + b.region.entries.length > ENTRIES_MAX) return undefined;
  return withEntries(large, small.region.entries, read);
}

/** Whether the code from `entry` on comes into the group, only where that costs nothing, and is not larger than it. */
function leadsInto(entry: number, { region, offsets }: Group, read: ReadInstruction): boolean {
  const own = explore([entry], read, offsets, region.size);
  if (own.isFull || own.stops.size === 0) return false;
  for (const offset of own.stops) if (offsets.get(offset) !== true) return false;
  return true;
}

/** The group with further entries, if there is room and no edge has to leave it for them. */
function withEntries(group: Group, entries: readonly number[], read: ReadInstruction): Group | undefined {
  const { region } = group;
  if (entries.length === 0) return group;
  const all = [...region.entries, ...entries].slice(0, ENTRIES_MAX);
  if (all.length <= region.entries.length) return undefined;
  const both = discoverRegion(all, read);
  if (both === undefined || (both.isFull && !region.isFull)) return undefined;
  for (const edge of both.cut) if (!region.cut.has(edge)) return undefined;
  return groupOf(both);
}
