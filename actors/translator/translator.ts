/** What a translator does: answers requests of its vCPUs with compiled modules. */
import { Decoder } from '../../cpu/decode/decoder.js';
import { INSTRUCTIONS } from '../../cpu/isa/table.js';
import { compileBatch } from '../../cpu/jit/compile-batch.js';
import type { CompiledModule, FinishedBatch } from '../../cpu/jit/jit.js';
import { describeRefusal } from '../../cpu/jit/scanner/refusal.js';
import { ObjectPort } from '../runtime/object-channel.js';
import type { Clock, Log } from '../runtime/services.js';
import { SharedCode } from './shared-code.js';
import type { TranslationRequest, TranslatorConfig, TranslatorStatistics } from './translator.protocol.js';

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

  constructor({ memory, vcpus, sharedBytesMax }: TranslatorConfig, clock: Clock, log: Log) {
    this.#view = new DataView(memory.buffer);
    if (vcpus.length > 1) this.#shared = new SharedCode(this.#view, sharedBytesMax);
    this.#clock = clock;
    this.#log = log;
    for (const end of vcpus) {
      const port = new ObjectPort<FinishedBatch, TranslationRequest>(end);
      port.listen((request) => port.send(this.#translate(request)));
    }
  }

  #translate({ ticket, entries }: TranslationRequest): FinishedBatch {
    const start = this.#clock.monotonicMs();
    const found = new Set<CompiledModule>();
    const rest = entries.filter((entry) => {
      const module = entry.isBeside === true ? undefined : this.#shared?.find(entry);
      if (module !== undefined) found.add(module);
      return module === undefined;
    });
    const modules = [...found];
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
