/**
 * Compiles hot code of one vCPU: collects entry points the interpreter reports, emits their regions in batches of one
 * module (one function per module costs ten times as much per transition, cpu-measurements 3), installs them in the
 * region table and drops them when their page's code changes.
 */
import type { CodePage } from '../code-pages.js';
import type { Decoder } from '../decode/decoder.js';
import { HOT_THRESHOLD } from '../interpreter/loop-ops.js';
import { PAGE_IN_USE, RECORD, RECORD_BYTES } from '../interpreter/record.js';
import type { JumpCache } from '../jump-cache.js';
import { SAVED_STARTS, STATE } from '../state.js';
import type { CodeJournal } from './code-journal.js';
import { CodeStore } from './code-store.js';
import { type CompiledModule, compileBatch } from './compile-batch.js';
import { holdsCode, noteWords, type RegionCode } from './region-code.js';
import { BUDGET_DEFAULT, type CodeBudget, type ModuleInUse, RegionStore } from './region-store.js';
import { type Request, RequestQueue } from './request-queue.js';
import { findSaved, noteStarts, type SavedVolume, savedRegion } from './saved-code.js';
import type { Refusal } from './scanner/refusal.js';
import { type EntryPoint, REGIONS_TABLE, type TranslatedRegion } from './translate.js';

/** Regions compiled into one module, at most: a module and its instance cost 0.3 to 0.5 ms whatever they hold. */
const BATCH_MAX = 64;
/** The same for one that is compiled in the background, which the guest waits for meanwhile with the interpreter. */
const PORTION_MAX = 24;
/** Pauses (budget used up) after which a smaller batch is compiled anyway, on the vCPU's own thread. */
const PATIENCE_PAUSES = 100;
/**
 * Reports of the interpreter (HOT_THRESHOLD arrivals each) that make an entry point worth the vCPU's own time. In the
 * background, where translating costs the guest nothing, the first report is enough.
 */
const REPORTS_HERE = 4;
/**
 * Arrivals that make an entry point worth a place in the journal. Code from the cache costs next to nothing to run, but all of
 * it is read and laid out at each start: with 48 arrivals that was 45 MB for a kernel's boot, and half a second.
 */
const WARM_ARRIVALS = 250;
/** Arrivals that let an entry point become one of a region that is being made anyway: that costs next to nothing. */
const BESIDE_ARRIVALS = 50;
/** Batches the background has at a time. What becomes hot meanwhile goes with the next one: modules are dear, not their regions. */
const IN_FLIGHT_MAX = 1;
/**
 * Pauses without an answer after which the background is taken for lost, and batches are compiled here: some seconds. A batch
 * takes it 0.2 s where it has to share a processor, and compiling here meanwhile would stop the guest for as long.
 */
const LATE_PAUSES = 400_000;

/** Regions of a finished batch that are installed between two runs: some 2 us each. */
const TAKEN_AT_ONCE = 8;

/** A batch that the background has done with: each entry point is in one of the modules, unless nothing could be compiled there. */
export interface FinishedBatch {
  /** Or {@link UNASKED}: modules that were made for others. */
  readonly ticket: number;
  /** Guest instructions translated for it. */
  readonly instructions: number;
  /** Regions the scanner refused. */
  readonly refused: number;
  readonly modules: readonly CompiledModule[];
}

/** Ticket of what was not asked for. */
export const UNASKED = 0;

/** Translates and compiles in another thread. Neither call blocks. */
export interface BackgroundCompiler {
  send(ticket: number, entries: readonly EntryPoint[]): void;
  /** The next finished batch, if there is one. */
  receive(): FinishedBatch | undefined;
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
  /** Where given, translates and compiles elsewhere. */
  readonly background?: BackgroundCompiler | undefined;
  /** How much compiled code is kept. */
  readonly budget?: CodeBudget | undefined;
  /** Compiled code of earlier runs, each volume once, when it has come. */
  readonly saved?: (() => readonly SavedVolume[] | undefined) | undefined;
  /** The page at this host address, if it has records. */
  readonly findPage: (host: number) => CodePage | undefined;
  /** Has all code decoded anew before more is executed. */
  readonly dropCode: () => void;
  /** Where entry points worth compiling before the next run are noted. */
  readonly journal?: CodeJournal | undefined;
  readonly jumpCache: Pick<JumpCache, 'enter' | 'flush'>;
  /** Told when the scanner refuses a region: an emitter bug. The code stays with the interpreter. */
  readonly onRefusal?: (refusal: Refusal) => void;
}

/** A module with its functions. */
interface OpenedModule {
  readonly exports: Readonly<Record<string, unknown>>;
  readonly module: ModuleInUse;
}

const PAGE_BYTES = 4096;
const SAVED_STARTS_BYTES = 1 << (SAVED_STARTS.bitsLog2 - 3);

/** By the name of its function, how much a region is to be preferred to others for its entry points: more code, more entries. */
function weightsOf(regions: readonly TranslatedRegion[]): ReadonlyMap<string, number> {
  const weights = new Map<string, number>();
  for (const { name, code } of regions) weights.set(name, (weights.get(name) ?? code.length * PAGE_BYTES) + 1);
  return weights;
}

/** Where arrivals at byte `offset` of `page` are counted. */
function countAt(page: CodePage, offset: number): number {
  return page.records + (offset >> 2) * RECORD_BYTES + RECORD.count;
}

/** Stands for the number of reports once an entry point was asked for. */
const ASKED = 0x1_0000;

/** See the head of this file. */
export class Jit {
  readonly #host: JitHost;
  /** How often each entry point was reported; what was asked for is at {@link ASKED}. */
  readonly #reports = new Map<CodePage, Map<number, number>>();
  readonly #queue: RequestQueue;
  #patience = 0;
  readonly #inFlight = new Map<number, readonly Request[]>();
  #nextTicket = 1;
  /** The batch that is being installed. */
  #taking: Generator<undefined, void> | undefined;
  #volumes: readonly SavedVolume[] = [];
  /** Volumes of which something was installed. */
  readonly #opened = new Map<SavedVolume, OpenedModule>();
  /** Modules of the background's that were opened, by their ids; those without a region left are forgotten with the next span. */
  readonly #shared = new Map<number, OpenedModule>();
  /** What others of the VM have had compiled, as far as it has come here. */
  readonly #offered: CodeStore;
  /** Pauses since the background last answered or was asked while idle. */
  #waited = 0;
  /** What is installed. */
  readonly store: RegionStore;
  /** Words of each page that regions were made from, a bit each; evicted regions leave theirs. */
  readonly #covered = new Map<CodePage, Uint32Array>();
  /**
   * Counters for statistics: modules opened, entry points installed, `beside` of them unasked and `replaced` of them in the place
   * of older ones, `offered` of them compiled for others, bytes of WebAssembly opened, instructions translated for this vCPU, and of what was asked for, entry points that came
   * to nothing (`rejected`) and regions that the scanner refused: each of those is an emitter bug.
   */
  readonly counters = {
    ...{ modules: 0, regions: 0, beside: 0, replaced: 0, instructions: 0, bytes: 0 },
    ...{ rejected: 0, refused: 0, stale: 0, saved: 0, offered: 0 },
  };

  constructor(host: JitHost) {
    this.#host = host;
    const budget = host.budget ?? BUDGET_DEFAULT;
    this.store = new RegionStore(host.view, host.table, budget);
    this.#offered = new CodeStore(budget);
    this.#queue = new RequestQueue({
      arrivals: ({ page, offset }) => host.view.getUint16(countAt(page, offset), true),
      forgetArrivals: ({ page, offset }) => this.#setCount(page, offset, 0),
      isNeeded: ({ page, offset }) => !this.store.has(page, offset),
      onForgotten: ({ page, offset }) => this.#forgetReports(page, offset),
    });
    const { view, state, journal } = host;
    view.setInt32(state + STATE.firstCount, journal === undefined ? 0 : HOT_THRESHOLD - WARM_ARRIVALS, true);
    new Uint8Array(view.buffer, state + SAVED_STARTS.at, SAVED_STARTS_BYTES).fill(0);
  }

  /** The interpreter reports byte `offset` of `page` as hot: asks for a region there when that is worth it. */
  report(page: CodePage, offset: number): void {
    const ofPage = this.#reportsOf(page);
    const { journal } = this.#host;
    if (journal !== undefined && !ofPage.has(offset)) {
      journal.note(page, offset, 'warm');
      ofPage.set(offset, 0);
      this.#setCount(page, offset, WARM_ARRIVALS);
      return;
    }
    const reports = (ofPage.get(offset) ?? 0) + 1;
    if (reports >= (this.#inBackground ? 1 : REPORTS_HERE)) {
      this.request(page, offset);
      return;
    }
    ofPage.set(offset, reports);
    this.#setCount(page, offset, 0);
  }

  #setCount(page: CodePage, offset: number, arrivals: number): void {
    this.#host.view.setUint16(countAt(page, offset), arrivals, true);
  }

  /** Arrivals at byte `offset` of `page` count from 0 towards the next report, as if there had been none. */
  #forgetReports(page: CodePage, offset: number): void {
    this.#reports.get(page)?.delete(offset);
    this.#setCount(page, offset, 0);
  }

  /** The interpreter has met the instruction at byte `offset` of `page` for the first time since the page changed. */
  onDecoded(page: CodePage, offset: number, word: number): void {
    const { journal, view } = this.#host;
    for (const volume of this.#volumes) {
      const at = findSaved(volume.index, view, page.host, offset, word);
      if (at < 0) continue;
      this.#installSaved(page, offset, volume, at);
      return;
    }
    if (journal !== undefined) this.#setCount(page, offset, HOT_THRESHOLD - WARM_ARRIVALS);
  }

  #installSaved(page: CodePage, offset: number, volume: SavedVolume, at: number): void {
    let opened = this.#opened.get(volume);
    if (opened === undefined) {
      // Counts as a module without bytes: its code is shared by everyone who uses the volume, and is freed with that.
      opened = this.#open(volume.module, 0);
      this.#opened.set(volume, opened);
    }
    const { number, code } = savedRegion(volume.index, at);
    if (this.store.has(page, offset)) return;
    const regions = opened.exports[REGIONS_TABLE];
    if (!(regions instanceof WebAssembly.Table)) return; // of another build
    this.store.install(page, offset, opened.module, regions.get(number), Infinity);
    this.#cover(page, code);
    this.counters.saved++;
  }

  /** Asks for a region that starts at byte `offset` of `page`, unless that was done before. */
  request(page: CodePage, offset: number): void {
    const ofPage = this.#reportsOf(page);
    if (ofPage.get(offset) === ASKED) return;
    ofPage.set(offset, ASKED);
    this.#host.view.setUint16(page.records + PAGE_IN_USE, 1, true);
    this.#host.journal?.note(page, offset, 'hot');
    this.#queue.add({ page, offset, stale: false });
    if (this.#queue.length === 1) this.#patience = PATIENCE_PAUSES;
    if (this.#queue.length >= BATCH_MAX) this.compileQueue();
  }

  #reportsOf(page: CodePage): Map<number, number> {
    let ofPage = this.#reports.get(page);
    if (ofPage === undefined) {
      ofPage = new Map();
      this.#reports.set(page, ofPage);
    }
    return ofPage;
  }

  /** Tells that the vCPU is outside guest code: takes what the background has done, compiles what has waited long enough. */
  onPause(): void {
    const { background } = this.#host;
    this.#takeSaved();
    if (background !== undefined) {
      if (this.#inFlight.size > 0) this.#waited++;
      if (this.#taking === undefined) {
        const finished = background.receive();
        if (finished !== undefined) this.#deliver(finished);
      }
      if (this.#taking?.next().done === true) this.#taking = undefined;
    }
    if (this.#queue.length === 0) return;
    if (this.#inBackground) {
      if (this.#inFlight.size < IN_FLIGHT_MAX) this.compileQueue();
    } else if (--this.#patience <= 0) this.compileQueue();
  }

  #takeSaved(): void {
    const volumes = this.#host.saved?.();
    if (volumes === undefined) return;
    this.#volumes = [...this.#volumes, ...volumes];
    const { view, state } = this.#host;
    const bits = new Uint8Array(view.buffer, state + SAVED_STARTS.at, SAVED_STARTS_BYTES);
    for (const { index } of volumes) noteStarts(index, bits, SAVED_STARTS.bitsLog2);
    // What was decoded until now was not looked up.
    if (volumes.length > 0) this.#host.dropCode();
  }

  get #inBackground(): boolean {
    return this.#host.background !== undefined && this.#waited < LATE_PAUSES;
  }

  /** Translates and compiles requested entry points as one module, here or in the background. */
  compileQueue(): void {
    const { background } = this.#host;
    const isElsewhere = background !== undefined && this.#inBackground;
    if (isElsewhere && this.#inFlight.size >= IN_FLIGHT_MAX) return;
    const requests = this.#queue.take(isElsewhere ? PORTION_MAX : BATCH_MAX);
    if (requests.length === 0) return;
    const entries = this.#entriesOf(requests);
    if (isElsewhere) {
      const ticket = this.#nextTicket++;
      if (this.#inFlight.size === 0) this.#waited = 0;
      this.#inFlight.set(ticket, requests);
      background.send(ticket, entries);
      return;
    }
    const { view, decoder, onRefusal } = this.#host;
    const { modules, instructions, refusals } = compileBatch(view, decoder, entries);
    for (const refusal of refusals) onRefusal?.(refusal);
    const own = modules.map((module) => ({ id: 0, ...module }));
    const installing = this.#install(requests, { instructions, refused: refusals.length, modules: own });
    while (installing.next().done !== true);
  }

  /** What is asked for, and besides what else of the same pages leads through the same code, as far as is known yet. */
  #entriesOf(requests: readonly Request[]): EntryPoint[] {
    const entries: EntryPoint[] = requests.map(({ page, offset }) => ({ host: page.host, offset }));
    for (const page of new Set(requests.map((request) => request.page))) {
      const beside = new Set([...this.store.replaceable(page), ...this.#arrivedAt(page)]);
      for (const request of requests) if (request.page === page) beside.delete(request.offset);
      for (const offset of beside) entries.push({ host: page.host, offset, isBeside: true });
    }
    return entries;
  }

  /** Offsets of `page` to which the interpreter came often enough. */
  *#arrivedAt(page: CodePage): Generator<number> {
    const { view, journal } = this.#host;
    const reports = this.#reports.get(page);
    for (let offset = 0, at = page.records + RECORD.count; offset < PAGE_BYTES; offset += 4, at += RECORD_BYTES) {
      const count = view.getUint16(at, true);
      if (count < BESIDE_ARRIVALS) continue;
      // With a journal counting begins so that the first report comes early.
      const isFirst = journal !== undefined && reports?.has(offset) !== true;
      if (!isFirst || count >= HOT_THRESHOLD - WARM_ARRIVALS + BESIDE_ARRIVALS) yield offset;
    }
  }

  #deliver(finished: FinishedBatch): void {
    this.#waited = 0;
    if (finished.ticket === UNASKED) {
      for (const compiled of finished.modules) this.#offer(compiled);
      return;
    }
    this.#taking = this.#takeIn(finished);
  }

  /** Until all of it is installed the batch counts as under way, and a page that changes makes its requests stale. */
  *#takeIn(finished: FinishedBatch): Generator<undefined, void> {
    const requests = this.#inFlight.get(finished.ticket);
    if (requests !== undefined) yield* this.#install(requests, finished);
    this.#inFlight.delete(finished.ticket);
  }

  /** Installs a batch, {@link TAKEN_AT_ONCE} regions at a time: an interrupt must not wait for all of them. */
  *#install(
    requests: readonly Request[],
    { instructions, refused, modules }: Omit<FinishedBatch, 'ticket'>,
  ): Generator<undefined, void> {
    this.counters.instructions += instructions;
    this.counters.refused += refused;
    const answered = new Set<Request>();
    for (const compiled of modules) {
      const { exports, module } = this.#openShared(compiled);
      const weights = weightsOf(compiled.regions);
      const unknown: TranslatedRegion[] = [];
      for (const [n, region] of compiled.regions.entries()) {
        if (n > 0 && n % TAKEN_AT_ONCE === 0) yield;
        const page = this.#host.findPage(region.host);
        if (page === undefined) {
          unknown.push(region);
          continue;
        }
        const request = requests.find((one) => one.page === page && one.offset === region.offset);
        if (request?.stale === true) continue;
        if (request !== undefined) answered.add(request);
        const weight = weights.get(region.name) ?? 0;
        if (!this.store.takes(page, region.offset, weight)) continue;
        if (!holdsCode(this.#host.view, page.host, region.code)) {
          // Changed without a word, as it may until the guest says so: what is there now may get hot as well.
          this.counters.stale++;
          this.#reports.get(page)?.delete(region.offset);
          continue;
        }
        if (this.store.has(page, region.offset)) this.counters.replaced++;
        this.store.install(page, region.offset, module, exports[region.name], weight);
        // What is hot for another vCPU will be so here, and costs nothing more.
        this.#reportsOf(page).set(region.offset, ASKED);
        this.#host.journal?.note(page, region.offset, 'hot');
        this.#cover(page, region.code);
        this.counters.regions++;
        if (request === undefined) this.counters.beside++;
      }
      if (unknown.length > 0 && compiled.id !== 0) this.#offered.add({ ...compiled, regions: unknown });
    }
    for (const request of requests) {
      if (request.stale) this.counters.stale++;
      else if (!answered.has(request)) this.counters.rejected++;
    }
    if (this.store.isSpanOver) this.#evict();
  }

  /** What others of the VM run: it is theirs to be hot, so nothing is opened before the guest comes there. */
  #offer(compiled: CompiledModule): void {
    this.#offered.add(compiled);
    for (const { host, offset } of compiled.regions) {
      const page = this.#host.findPage(host);
      if (page !== undefined) this.#markOffer(page, offset);
    }
  }

  #markOffer(page: CodePage, offset: number): void {
    if (!this.store.has(page, offset)) this.store.setMark(page, offset, true);
  }

  /** The page has records from now on. */
  onPage(page: CodePage): void {
    const offsets = this.#offered.offsetsOf(page.host);
    if (offsets !== undefined) for (const offset of offsets) this.#markOffer(page, offset);
  }

  /** Installs what is offered for byte `offset` of `page`; false when there is nothing, or it was made from other code. */
  #takeOffer(page: CodePage, offset: number): boolean {
    const offer = this.#offered.find(page.host, offset);
    if (offer === undefined || !holdsCode(this.#host.view, page.host, offer.region.code)) {
      this.#offered.refuse(page.host, offset);
      this.store.setMark(page, offset, false);
      return false;
    }
    const { compiled, region } = offer;
    const { exports, module } = this.#openShared(compiled);
    this.store.install(page, offset, module, exports[region.name], weightsOf(compiled.regions).get(region.name) ?? 0);
    this.#reportsOf(page).set(offset, ASKED);
    this.#cover(page, region.code);
    this.counters.offered++;
    return true;
  }

  #open(module: WebAssembly.Module, bytes: number): OpenedModule {
    const { memory, step } = this.#host;
    const { exports } = new WebAssembly.Instance(module, { env: { memory, step } });
    return { exports, module: this.store.add(bytes) };
  }

  #openShared({ id, module, bytes }: CompiledModule): OpenedModule {
    const known = this.#shared.get(id);
    if (known !== undefined && known.module.regions.size > 0) return known;
    const opened = this.#open(module, bytes);
    this.counters.modules++;
    this.counters.bytes += bytes;
    if (id !== 0) this.#shared.set(id, opened);
    return opened;
  }

  #cover(page: CodePage, code: RegionCode): void {
    let bits = this.#covered.get(page);
    if (bits === undefined) {
      bits = new Uint32Array(PAGE_BYTES / 4 / 32);
      this.#covered.set(page, bits);
    }
    noteWords(code, bits);
  }

  /** Whether byte `offset` of `page` is part of a region: for statistics. */
  covers(page: CodePage, offset: number): boolean {
    const word = offset >> 2;
    return (((this.#covered.get(page)?.[word >> 5] ?? 0) >>> (word & 31)) & 1) === 1;
  }

  /** Only between runs of generated code: a region that is running must stay. */
  #evict(): void {
    for (const { page, offset } of this.store.evict()) this.#forgetReports(page, offset);
    for (const [id, { module }] of this.#shared) if (module.regions.size === 0) this.#shared.delete(id);
    this.store.collect();
    this.#host.jumpCache.flush();
  }

  /**
   * The interpreter stopped at STATE.pc, byte `offset` of `page`, where a region should start: makes the jump cache know
   * it. Returns false when there is none.
   */
  enter(page: CodePage, offset: number): boolean {
    if (!this.store.has(page, offset) && !this.#takeOffer(page, offset)) return false;
    const region = this.store.enter(page, offset);
    if (region === undefined) return false;
    const { view, state, jumpCache } = this.#host;
    const context = view.getInt32(state + STATE.context, true);
    jumpCache.enter(
      view.getInt32(state + STATE.pc, true),
      view.getInt32(state + STATE.pc + 4, true),
      context,
      region.slot,
    );
    return true;
  }

  /**
   * Drops the regions of `page`: its code changed or its records are gone. Returns their slots of the region table, which the caller
   * has the jump cache forget.
   */
  drop(page: CodePage): readonly number[] {
    this.#host.journal?.drop(page);
    const slots = this.store.drop(page);
    this.#covered.delete(page);
    // What is asked for has been reported. A guest may have all its pages dropped again and again: nothing is made here where there is nothing.
    if (this.#reports.delete(page)) this.#queue.drop(page);
    if (this.#inFlight.size > 0)
      for (const requests of this.#inFlight.values()) {
        for (const request of requests) if (request.page === page) request.stale = true;
      }
    return slots;
  }
}
