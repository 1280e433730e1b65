/** One module of all regions that the scanner accepts, for who keeps a module (the translation cache) rather than several (compile-batch.ts). */
import type { Refusal } from './scanner/refusal.js';
import { scanModule } from './scanner/scan-module.js';
import { type PlacedRegion, type TranslatedBatch, translateRegions } from './translate.js';

/** What became of some regions. */
export interface AcceptedBatch {
  /** Scanned as it is; undefined when nothing of it was accepted. */
  readonly batch: TranslatedBatch | undefined;
  /** One for each region that was refused by itself; or, last, one of all others together. Each is an emitter bug. */
  readonly refusals: readonly Refusal[];
}

/**
 * Translates `placed` with its functions in a table. Where the scanner refuses that, what is refused is looked for in halves, and the rest
 * is translated once more: only regions that are refused by themselves are lost.
 */
export function translateAccepted(placed: readonly PlacedRegion[]): AcceptedBatch {
  const refusals: Refusal[] = [];
  /** The batch if it is accepted as it is. */
  const attempt = (regions: readonly PlacedRegion[], whenRefused: (refusal: Refusal) => void) => {
    const batch = translateRegions(regions, true);
    if (batch === undefined) return undefined;
    const scanned = scanModule(batch.bytes);
    if (scanned.ok) return batch;
    whenRefused(scanned.error);
    return undefined;
  };
  const accepted: PlacedRegion[] = [];
  const sift = (regions: readonly PlacedRegion[]): TranslatedBatch | undefined => {
    const batch = attempt(regions, (refusal) => {
      if (regions.length === 1) {
        refusals.push(refusal);
        return;
      }
      const half = regions.length >> 1;
      sift(regions.slice(0, half));
      sift(regions.slice(half));
    });
    if (batch !== undefined) accepted.push(...regions);
    return batch;
  };
  const whole = sift(placed);
  if (whole !== undefined || accepted.length === 0) return { batch: whole, refusals };
  return { batch: attempt(accepted, (refusal) => refusals.push(refusal)), refusals };
}
