/** Messages of a translator actor, what it is started with, and what goes through its object channels. */
import type { CodeBudget } from '../../cpu/jit/region-store.js';
import type { EntryPoint } from '../../cpu/jit/translate.js';
import type { HostFeatures } from '../../cpu/wasm/features.js';
import type { ObjectEnd } from '../runtime/object-channel.js';
import type { Ask } from '../runtime/protocol.js';

/** What a vCPU asks for. */
export interface TranslationRequest {
  /** Its own number for this batch. */
  readonly ticket: number;
  readonly entries: readonly EntryPoint[];
}

/** What a translator counts; all since its start. */
export interface TranslatorStatistics {
  readonly batches: number;
  readonly instructions: number;
  readonly bytes: number;
  /** Regions the scanner refused: each is an emitter bug. */
  readonly refused: number;
  /** Entry points that were answered with what had been made for another vCPU. */
  readonly shared: number;
  /** Time it spent on batches, in milliseconds. */
  readonly busyMs: number;
}

/** A translator's messages. */
export type TranslatorProtocol = {
  statistics: Ask<object, TranslatorStatistics>;
};

/** See the file comment. */
export interface TranslatorConfig {
  /** The VM's memory, whose code it reads. */
  readonly memory: WebAssembly.Memory;
  /** What generated code may use of the host; absent: only what every host has. */
  readonly features?: HostFeatures;
  /** How much is kept for its other vCPUs: what is in use by one of them costs nothing more. */
  readonly shared: CodeBudget;
  /** One end for each vCPU: {@link TranslationRequest} comes in, FinishedBatch (cpu/jit/jit.ts) goes out. */
  readonly vcpus: readonly ObjectEnd[];
}
