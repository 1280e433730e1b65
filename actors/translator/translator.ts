/** What a translator does: answers requests of its vCPUs with compiled modules. */
import { Decoder } from '../../cpu/decode/decoder.js';
import { INSTRUCTIONS } from '../../cpu/isa/table.js';
import { type CompiledModule, compileBatch } from '../../cpu/jit/compile-batch.js';
import { type FinishedBatch, UNASKED } from '../../cpu/jit/jit.js';
import { describeRefusal } from '../../cpu/jit/scanner/refusal.js';
import { ObjectPort } from '../runtime/object-channel.js';
import type { Clock, Log } from '../runtime/services.js';
import { SharedCode } from './shared-code.js';
import type { TranslationRequest, TranslatorConfig, TranslatorStatistics } from './translator.protocol.js';

/** Modules in one message to a vCPU, which takes one message between two runs. */
const PORTION = 8;

/** What a vCPU has been sent: modules up to the one with this id. */
interface Known {
  upTo: number;
}

/** See the head of this file. */
export class Translator {
  readonly #view: DataView;
  readonly #decoder = new Decoder(INSTRUCTIONS);
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #counters = { batches: 0, instructions: 0, bytes: 0, refused: 0, shared: 0, busyMs: 0 };
  /** Where there is somebody to share with. */
  readonly #shared: SharedCode | undefined;
  #nextId = 1;

  constructor({ memory, vcpus, shared }: TranslatorConfig, clock: Clock, log: Log) {
    this.#view = new DataView(memory.buffer);
    if (vcpus.length > 1) this.#shared = new SharedCode(this.#view, shared);
    this.#clock = clock;
    this.#log = log;
    for (const end of vcpus) {
      const port = new ObjectPort<FinishedBatch, TranslationRequest>(end);
      const known: Known = { upTo: 0 };
      port.listen((request) => {
        const answer = this.#translate(request, known);
        port.send(answer);
        for (const modules of this.#madeForOthers(known, answer))
          port.send({ ticket: UNASKED, instructions: 0, refused: 0, modules });
      });
    }
  }

  /** What the others have had made since this vCPU last asked, in portions. Who does not ask runs nothing new, and gets nothing. */
  *#madeForOthers(known: Known, answer: FinishedBatch): Generator<readonly CompiledModule[]> {
    const isAnswered = new Set(answer.modules.map(({ id }) => id));
    const others = this.#shared?.after(known.upTo).filter(({ id }) => !isAnswered.has(id)) ?? [];
    known.upTo = this.#nextId - 1;
    for (let n = 0; n < others.length; n += PORTION) yield others.slice(n, n + PORTION);
  }

  #translate({ ticket, entries }: TranslationRequest, known: Known): FinishedBatch {
    const start = this.#clock.monotonicMs();
    const found = new Map<CompiledModule, Set<number>>();
    const rest = entries.filter((entry) => {
      const module = entry.isBeside === true ? undefined : this.#shared?.find(entry);
      if (module === undefined) return true;
      const hosts = found.get(module) ?? new Set();
      found.set(module, hosts.add(entry.host));
      return false;
    });
    // What it had before, it has lost in some pages only.
    const modules = [...found].map(([module, hosts]) =>
      module.id > known.upTo ? module : { ...module, regions: module.regions.filter(({ host }) => hosts.has(host)) },
    );
    this.#counters.shared += entries.length - rest.length;
    const { modules: made, instructions, refusals } = compileBatch(this.#view, this.#decoder, rest);
    for (const refusal of refusals)
      this.#log.warn('the scanner refused generated code', { refusal: describeRefusal(refusal) });
    for (const one of made) {
      const module = { id: this.#nextId++, ...one };
      this.#shared?.add(module);
      modules.push(module);
      this.#counters.bytes += one.bytes;
    }
    this.#counters.refused += refusals.length;
    this.#counters.batches++;
    this.#counters.instructions += instructions;
    this.#counters.busyMs += this.#clock.monotonicMs() - start;
    return { ticket, instructions, refused: refusals.length, modules };
  }

  statistics(): TranslatorStatistics {
    return { ...this.#counters };
  }
}
