/** What a translator does: answers requests of its vCPUs with compiled modules. */
import { Decoder } from '../../cpu/decode/decoder.js';
import { INSTRUCTIONS } from '../../cpu/isa/table.js';
import type { CompiledModule, FinishedBatch } from '../../cpu/jit/jit.js';
import { compileScanned } from '../../cpu/jit/scanner/compile-scanned.js';
import { translateBatch } from '../../cpu/jit/translate.js';
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
    const batch = translateBatch(this.#view, this.#decoder, rest);
    const compiled = batch === undefined ? undefined : compileScanned(batch.bytes);
    if (compiled?.ok === false) {
      this.#counters.refused++;
      this.#log.warn('the scanner refused generated code', { refusal: JSON.stringify(compiled.error) });
    }
    const { instructions = 0, regions = [] } = batch ?? {};
    const bytes = batch?.bytes.length ?? 0;
    if (compiled?.ok === true) {
      const made = { id: this.#nextId++, module: compiled.value, bytes, regions };
      this.#shared?.add(made);
      modules.push(made);
    }
    this.#counters.batches++;
    this.#counters.instructions += instructions;
    this.#counters.bytes += bytes;
    this.#counters.busyMs += this.#clock.monotonicMs() - start;
    return { ticket, instructions, modules };
  }

  statistics(): TranslatorStatistics {
    return { ...this.#counters };
  }
}
