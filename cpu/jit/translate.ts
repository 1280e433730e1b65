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

/** A translated batch. */
export interface TranslatedBatch {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** For each entry point the name under which its function is exported, or undefined if nothing was translated. */
  readonly exports: readonly (string | undefined)[];
  /** For each entry point what was translated: the words as they were read. Empty where nothing was. */
  readonly code: readonly RegionCode[];
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
  const code: RegionCode[] = [];
  const exports = entries.map(({ host, offset }, i) => {
    const words = new Map<number, number>();
    // Each word is read once: what is translated and what is noted are the same, whoever writes meanwhile.
    const read = (at: number): number => {
      const word = words.get(at) ?? view.getUint32(host + at, true);
      words.set(at, word);
      return word;
    };
    const region = discoverRegion(offset, read, decoder);
    code.push(regionCode(region === undefined ? [] : words));
    if (region === undefined) return undefined;
    for (const block of region.blocks.values()) instructions += block.instructions.length;
    const index = module.declare(type);
    module.setBody(index, emitRegion(region));
    module.exportFunction(`r${i}`, index);
    return `r${i}`;
  });
  if (exports.every((name) => name === undefined)) return undefined;
  return { bytes: module.build(), exports, code, instructions };
}
