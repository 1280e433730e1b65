/**
 * A VM's translator: turns hot guest code into compiled modules beside its vCPUs, which never wait for it. It only reads
 * guest memory; what it makes has been through the scanner, and a vCPU whose code changed meanwhile throws it away.
 *
 * It may die without harm: its vCPUs notice that no answers come and compile for themselves.
 */
import { ok } from '../../bus/result.js';
import { setFeatures } from '../../cpu/wasm/features.js';
import { actor, actorKind } from '../runtime/actor.js';
import { MACHINE_HANDLER_BUDGET_MS } from '../runtime/limits.js';
import type { Translator } from './translator.js';
import type { TranslatorConfig, TranslatorProtocol } from './translator.protocol.js';

const translator = actor<TranslatorConfig, TranslatorProtocol, Translator>({
  name: 'translator',
  mailboxMax: 16,
  handlerBudgetMs: MACHINE_HANDLER_BUDGET_MS,
  supervision: { strategy: 'one-for-one', restartsMax: 0, withinMs: 1_000, otherwise: 'stop' },
  async start(config, { clock, log }) {
    // Loaded here: who starts a translator loads this file too.
    const { Translator } = await import('./translator.js');
    if (config.features !== undefined) setFeatures(config.features);
    return ok(new Translator(config, clock, log));
  },
  async warmUp() {
    const [, { practiseAll }] = await Promise.all([import('./translator.js'), import('../../cpu/jit/practice.js')]);
    practiseAll();
  },
  on: {
    statistics: (state) => ok(state.statistics()),
  },
});
export default translator;

/** How its workers are made. */
export const translatorKind = actorKind(translator, { module: new URL(import.meta.url), heapMegabytesMax: 256 });
