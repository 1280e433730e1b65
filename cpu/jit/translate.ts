/**
 * Translates entry points into the bytes of one WebAssembly module: a pure function of guest memory, so that it can run
 * in another worker than the vCPU's.
 */
import type { Decoder } from '../decode/decoder.js';
import { ModuleBuilder } from '../wasm/module.js';
import { emitRegion } from './emit-region.js';
import { discoverRegion } from './region.js';
import { type RegionCode, regionCode } from './region-code.js';

/** Where a region shall start: host address of the guest page, and byte offset in it. */
export interface EntryPoint {
  readonly host: number;
  readonly offset: number;
}

/** A region that was translated. */
export interface TranslatedRegion extends EntryPoint {
  /** Name under which its function is exported. */
  readonly name: string;
  /** What was translated: the words as they were read. */
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

/** Translates `entries`, reading code from `view`; undefined when none of them is an instruction. */
export function translateBatch(
  view: DataView,
  decoder: Decoder,
  entries: readonly EntryPoint[],
): TranslatedBatch | undefined {
  const module = new ModuleBuilder();
  module.importFunction('step', ['i32'], ['i32']);
  const type = module.type(['i32'], ['i32']);
  let instructions = 0;
  const regions: TranslatedRegion[] = [];
  for (const { host, offset } of entries) {
    const words = new Map<number, number>();
    // Each word is read once: what is translated and what is noted are the same, whoever writes meanwhile.
    const read = (at: number): number => {
      const word = words.get(at) ?? view.getUint32(host + at, true);
      words.set(at, word);
      return word;
    };
    const region = discoverRegion(offset, read, decoder);
    if (region === undefined) continue;
    for (const block of region.blocks.values()) instructions += block.instructions.length;
    const index = module.declare(type);
    module.setBody(index, emitRegion(region));
    const name = `r${regions.length}`;
    module.exportFunction(name, index);
    regions.push({ host, offset, name, code: regionCode(words) });
  }
  return regions.length === 0 ? undefined : { bytes: module.build(), regions, instructions };
}
