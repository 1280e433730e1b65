/** What a translator does: answers requests of its vCPUs with compiled modules. */
import { Decoder } from '../../cpu/decode/decoder.js';
import { INSTRUCTIONS } from '../../cpu/isa/table.js';
import type { FinishedBatch } from '../../cpu/jit/jit.js';
import { compileScanned } from '../../cpu/jit/scanner/compile-scanned.js';
import { translateBatch } from '../../cpu/jit/translate.js';
import { ObjectPort } from '../runtime/object-channel.js';
import type { Clock, Log } from '../runtime/services.js';
import type { TranslationRequest, TranslatorConfig, TranslatorStatistics } from './translator.protocol.js';

/** See the head of this file. */
export class Translator {
  readonly #view: DataView;
  readonly #decoder = new Decoder(INSTRUCTIONS);
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #counters = { batches: 0, instructions: 0, bytes: 0, refused: 0, busyMs: 0 };

  constructor({ memory, vcpus }: TranslatorConfig, clock: Clock, log: Log) {
    this.#view = new DataView(memory.buffer);
    this.#clock = clock;
    this.#log = log;
    for (const end of vcpus) {
      const port = new ObjectPort<FinishedBatch, TranslationRequest>(end);
      port.listen((request) => port.send(this.#translate(request)));
    }
  }

  #translate({ ticket, entries }: TranslationRequest): FinishedBatch {
    const start = this.#clock.monotonicMs();
    const batch = translateBatch(this.#view, this.#decoder, entries);
    const compiled = batch === undefined ? undefined : compileScanned(batch.bytes);
    if (compiled?.ok === false) {
      this.#counters.refused++;
      this.#log.warn('the scanner refused generated code', { refusal: JSON.stringify(compiled.error) });
    }
    const module = compiled?.ok === true ? compiled.value : undefined;
    const { exports = [], code = [], instructions = 0 } = batch ?? {};
    const bytes = batch?.bytes.length ?? 0;
    this.#counters.batches++;
    this.#counters.instructions += instructions;
    this.#counters.bytes += bytes;
    this.#counters.busyMs += this.#clock.monotonicMs() - start;
    return { ticket, exports, code, instructions, bytes, module };
  }

  statistics(): TranslatorStatistics {
    return { ...this.#counters };
  }
}
