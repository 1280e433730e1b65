/**
 * From entry points to compiled modules. Most often that is one module; where the scanner refuses it, its regions are tried in
 * halves, so that only those that are refused by themselves are lost. A refusal is an emitter bug in any case.
 */
import type { Decoder } from '../decode/decoder.js';
import { compileScanned } from './scanner/compile-scanned.js';
import type { Refusal } from './scanner/refusal.js';
import {
  type EntryPoint,
  type PlacedRegion,
  placeRegions,
  type TranslatedRegion,
  translateRegions,
} from './translate.js';

/** A module with what is in it. */
export interface ScannedModule {
  /** From {@link compileScanned}. */
  readonly module: WebAssembly.Module;
  /** Bytes of WebAssembly. */
  readonly bytes: number;
  readonly regions: readonly TranslatedRegion[];
}

/** A compiled module and the regions in it. */
export interface CompiledModule extends ScannedModule {
  /** Which module of the background's this is: it may hand out one many times. 0: nobody else will. */
  readonly id: number;
}

/** A batch that was compiled. */
export interface CompiledBatch {
  readonly modules: readonly ScannedModule[];
  /** Guest instructions in them. */
  readonly instructions: number;
  /** One for each region that was refused by itself. */
  readonly refusals: readonly Refusal[];
}

/** Translates `entries`, reading code from `view`, and compiles what the scanner accepts. */
export function compileBatch(view: DataView, decoder: Decoder, entries: readonly EntryPoint[]): CompiledBatch {
  const modules: ScannedModule[] = [];
  const refusals: Refusal[] = [];
  let instructions = 0;
  const compile = (placed: readonly PlacedRegion[]): void => {
    const batch = translateRegions(placed);
    if (batch === undefined) return;
    const compiled = compileScanned(batch.bytes);
    if (compiled.ok) {
      modules.push({ module: compiled.value, bytes: batch.bytes.length, regions: batch.regions });
      instructions += batch.instructions;
    } else if (placed.length === 1) refusals.push(compiled.error);
    else {
      const half = placed.length >> 1;
      compile(placed.slice(0, half));
      compile(placed.slice(half));
    }
  };
  compile(placeRegions(view, decoder, entries));
  return { modules, instructions, refusals };
}
