/**
 * Compiles hot code of one vCPU: collects entry points the interpreter reports, emits their regions in batches of one
 * module (one function per module costs ten times as much per transition, cpu-measurements 3), installs them in the
 * region table and drops them when their page's code changes.
 */
import { jumpCacheEntry } from '../code-cache-index.js';
import type { CodePage } from '../code-pages.js';
import type { Decoder } from '../decode/decoder.js';
import { RECORD, RECORD_BYTES, REGION_BIT } from '../interpreter/record.js';
import { JUMP_CACHE, STATE } from '../state.js';
import { compileScanned } from './scanner/compile-scanned.js';
import type { Refusal } from './scanner/refusal.js';
import { type EntryPoint, type TranslatedBatch, translateBatch } from './translate.js';

/** Regions compiled into one module, at most. */
const BATCH_MAX = 32;
/** Pauses (budget used up) after which a smaller batch is compiled anyway. */
const PATIENCE_PAUSES = 20;

/** A compiled region. */
interface CompiledRegion {
  readonly slot: number;
}

/** An entry point waiting to be compiled. */
interface Request {
  readonly page: CodePage;
  readonly offset: number;
  /** The page's code changed while the request was in flight. */
  stale: boolean;
}

/** What the JIT needs of its core. */
export interface JitHost {
  readonly memory: WebAssembly.Memory;
  readonly view: DataView;
  readonly state: number;
  readonly table: WebAssembly.Table;
  readonly decoder: Decoder;
  /** The interpreter's `step`. */
  readonly step: (state: number) => number;
  /** Where given, translates and compiles elsewhere; the result comes back through {@link Jit.deliver}. */
  readonly background?: (ticket: number, entries: readonly EntryPoint[]) => void;
  /** Told when the scanner refuses a module: an emitter bug. The code stays with the interpreter. */
  readonly onRefusal?: (refusal: Refusal) => void;
}

/** See the head of this file. */
export class Jit {
  readonly #host: JitHost;
  readonly #regions = new Map<CodePage, Map<number, CompiledRegion>>();
  readonly #requested = new Map<CodePage, Set<number>>();
  readonly #freeSlots: number[] = [];
  #queue: Request[] = [];
  #patience = 0;
  readonly #inFlight = new Map<number, readonly Request[]>();
  #nextTicket = 1;
  /** Counters for statistics: modules and regions compiled, bytes of WebAssembly generated. */
  readonly counters = { modules: 0, regions: 0, instructions: 0, bytes: 0, rejected: 0 };

  constructor(host: JitHost) {
    this.#host = host;
  }

  /** Asks for a region that starts at byte `offset` of `page`. */
  request(page: CodePage, offset: number): void {
    let asked = this.#requested.get(page);
    if (asked === undefined) {
      asked = new Set();
      this.#requested.set(page, asked);
    }
    if (asked.has(offset)) return;
    asked.add(offset);
    this.#queue.push({ page, offset, stale: false });
    if (this.#queue.length === 1) this.#patience = PATIENCE_PAUSES;
    if (this.#queue.length >= BATCH_MAX) this.compileQueue();
  }

  /** Tells that the vCPU paused; compiles what has waited long enough. */
  onPause(): void {
    if (this.#queue.length > 0 && --this.#patience <= 0) this.compileQueue();
  }

  /** Translates and compiles all requested entry points into one module, here or in the background. */
  compileQueue(): void {
    const requests = this.#queue;
    this.#queue = [];
    if (requests.length === 0) return;
    const { background } = this.#host;
    const entries = requests.map(({ page, offset }) => ({ host: page.host, offset }));
    if (background !== undefined) {
      const ticket = this.#nextTicket++;
      this.#inFlight.set(ticket, requests);
      background(ticket, entries);
      return;
    }
    const batch = translateBatch(this.#host.view, this.#host.decoder, entries);
    const compiled = batch === undefined ? undefined : compileScanned(batch.bytes);
    if (compiled?.ok === false) this.#host.onRefusal?.(compiled.error);
    if (batch !== undefined && compiled?.ok === true) this.#instantiate(requests, batch, compiled.value);
    else this.counters.rejected += requests.length;
  }

  /**
   * A background batch is ready; `undefined` if nothing of it could be compiled. `module` must come from
   * {@link compileScanned}.
   */
  deliver(ticket: number, batch: TranslatedBatch | undefined, module: WebAssembly.Module | undefined): void {
    const requests = this.#inFlight.get(ticket);
    this.#inFlight.delete(ticket);
    if (requests === undefined) return;
    if (batch === undefined || module === undefined) this.counters.rejected += requests.length;
    else this.#instantiate(requests, batch, module);
  }

  #instantiate(requests: readonly Request[], batch: TranslatedBatch, module: WebAssembly.Module): void {
    const { memory, step } = this.#host;
    const instance = new WebAssembly.Instance(module, { env: { memory, step } });
    this.counters.modules++;
    this.counters.bytes += batch.bytes.length;
    this.counters.instructions += batch.instructions;
    requests.forEach((request, i) => {
      const name = batch.exports[i];
      if (name === undefined) this.counters.rejected++;
      else if (!request.stale) this.#install(request, instance.exports[name]);
    });
  }

  #install({ page, offset }: Request, code: unknown): void {
    const { table, view } = this.#host;
    let slot = this.#freeSlots.pop();
    if (slot === undefined) {
      slot = this.#nextSlot++;
      if (slot >= table.length) table.grow(Math.max(256, table.length));
    }
    table.set(slot, code);
    this.counters.regions++;
    let ofPage = this.#regions.get(page);
    if (ofPage === undefined) {
      ofPage = new Map();
      this.#regions.set(page, ofPage);
    }
    ofPage.set(offset, { slot });
    const record = page.records + (offset >> 2) * RECORD_BYTES + RECORD.handler;
    view.setUint16(record, view.getUint16(record, true) | REGION_BIT, true);
  }
  #nextSlot = 1;

  /**
   * The interpreter stopped at STATE.pc, byte `offset` of `page`, where a region should start: makes the jump cache know
   * it. Returns false when there is none.
   */
  enter(page: CodePage, offset: number): boolean {
    const region = this.#regions.get(page)?.get(offset);
    if (region === undefined) return false;
    const { view, state } = this.#host;
    const lo = view.getUint32(state + STATE.pc, true);
    const hi = view.getUint32(state + STATE.pc + 4, true);
    const context = view.getUint32(state + STATE.context, true);
    const entry = state + jumpCacheEntry(lo, hi, context);
    view.setUint32(entry + JUMP_CACHE.address, lo, true);
    view.setUint32(entry + JUMP_CACHE.address + 4, hi, true);
    view.setUint32(entry + JUMP_CACHE.context, context, true);
    view.setUint32(entry + JUMP_CACHE.slot, region.slot, true);
    return true;
  }

  /** Drops the regions of `page`: its code changed or its records are gone. The caller flushes the jump cache. */
  drop(page: CodePage): void {
    const { table } = this.#host;
    for (const { slot } of this.#regions.get(page)?.values() ?? []) {
      table.set(slot, null);
      this.#freeSlots.push(slot);
    }
    this.#regions.delete(page);
    this.#requested.delete(page);
    this.#queue = this.#queue.filter((request) => request.page !== page);
    for (const requests of this.#inFlight.values()) {
      for (const request of requests) if (request.page === page) request.stale = true;
    }
  }
}
