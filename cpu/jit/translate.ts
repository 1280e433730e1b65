/**
 * Translates entry points into the bytes of one WebAssembly module: a pure function of guest memory, so that it can run
 * in another worker than the vCPU's.
 */
import type { Decoder } from '../decode/decoder.js';
import { ModuleBuilder } from '../wasm/module.js';
import { emitRegion } from './emit-region.js';
import { groupEntries } from './group-entries.js';
import { pageReader, type Region } from './region.js';
import { type RegionCode, regionCode } from './region-code.js';

/** Where a region shall be entered: host address of the guest page, and byte offset in it. */
export interface EntryPoint {
  readonly host: number;
  readonly offset: number;
  /** Not asked for: becomes an entry only of a region that another entry point of the page is asked for. */
  readonly isBeside?: boolean;
}

/** An entry of a region that was translated. */
export interface TranslatedRegion extends EntryPoint {
  /** Name under which its function is exported, `r` and its number: the same for all entries of a region. */
  readonly name: string;
  /** What was translated: the words as they were read. The same array for all entries of a region. */
  readonly code: RegionCode;
}

/** A translated batch. */
export interface TranslatedBatch {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Those of the entry points where there is something to translate. */
  readonly regions: readonly TranslatedRegion[];
  /** Guest instructions translated. */
  readonly instructions: number;
}

/** A region of the guest page at host address `host`. */
export interface PlacedRegion {
  readonly host: number;
  readonly region: Region;
}

/** Translates `entries` into one module, reading code from `view`; undefined when none of them is an instruction. */
export function translateBatch(
  view: DataView,
  decoder: Decoder,
  entries: readonly EntryPoint[],
): TranslatedBatch | undefined {
  return translateRegions(placeRegions(view, decoder, entries));
}

/** The regions for `entries`, whose code is read from `view`: those of them that are no instruction are left out. */
export function placeRegions(
  view: DataView,
  decoder: Decoder,
  entries: readonly EntryPoint[],
): readonly PlacedRegion[] {
  const byPage = new Map<number, EntryPoint[]>();
  for (const entry of entries) {
    const ofPage = byPage.get(entry.host);
    if (ofPage === undefined) byPage.set(entry.host, [entry]);
    else ofPage.push(entry);
  }
  const placed: PlacedRegion[] = [];
  for (const [host, ofPage] of byPage) {
    const offsetsOf = (beside: boolean): number[] =>
      ofPage.filter(({ isBeside = false }) => isBeside === beside).map(({ offset }) => offset);
    const read = pageReader((at) => view.getUint32(host + at, true), decoder);
    for (const region of groupEntries(offsetsOf(false), offsetsOf(true), read)) placed.push({ host, region });
  }
  return placed;
}

/** Name of the table in which a module with many regions has them, by their numbers. */
export const REGIONS_TABLE = 'regions';

/** Translates `placed`; undefined if there is none. `inTable`: functions are not exported by name, but in {@link REGIONS_TABLE}. */
export function translateRegions(placed: readonly PlacedRegion[], inTable = false): TranslatedBatch | undefined {
  const module = new ModuleBuilder();
  module.importFunction('step', ['i32'], ['i32']);
  const type = module.type(['i32'], ['i32']);
  let instructions = 0;
  const regions: TranslatedRegion[] = [];
  const functions: number[] = [];
  for (const [n, { host, region }] of placed.entries()) {
    instructions += region.size;
    const index = module.declare(type);
    module.setBody(index, emitRegion(region));
    const name = `r${n}`;
    if (inTable) functions.push(index);
    else module.exportFunction(name, index);
    const code = regionCode(wordsOf(region));
    for (const offset of region.entries) regions.push({ host, offset, name, code });
  }
  if (inTable) {
    module.ownTable(functions);
    module.exportTable(REGIONS_TABLE);
  }
  return regions.length === 0 ? undefined : { bytes: module.build(), regions, instructions };
}

function* wordsOf({ blocks }: Region): Generator<readonly [offset: number, word: number]> {
  for (const { instructions } of blocks.values()) for (const { offset, word } of instructions) yield [offset, word];
}
