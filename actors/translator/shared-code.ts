/**
 * What a translator has made, so that vCPUs that run the same code share it: the second one that asks gets the module the first
 * one has, with V8's machine code of both tiers.
 */
import { CodeStore } from '../../cpu/jit/code-store.js';
import type { CompiledModule } from '../../cpu/jit/compile-batch.js';
import { holdsCode } from '../../cpu/jit/region-code.js';
import type { CodeBudget } from '../../cpu/jit/region-store.js';
import type { EntryPoint } from '../../cpu/jit/translate.js';

/** See the head of this file. */
export class SharedCode {
  readonly #view: DataView;
  readonly #store: CodeStore;

  constructor(view: DataView, budget: CodeBudget) {
    this.#view = view;
    this.#store = new CodeStore(budget);
  }

  /** Keeps a module. */
  add(module: CompiledModule): void {
    this.#store.add(module);
  }

  /** Modules made after the one with this id, oldest first. */
  after(id: number): readonly CompiledModule[] {
    const { modules } = this.#store;
    let from = modules.length;
    while (from > 0 && modules[from - 1]!.id > id) from--;
    return modules.slice(from);
  }

  /** The module with a region that starts there and was made from what the guest's memory holds there now. */
  find({ host, offset }: EntryPoint): CompiledModule | undefined {
    const kept = this.#store.find(host, offset);
    return kept !== undefined && holdsCode(this.#view, host, kept.region.code) ? kept.compiled : undefined;
  }
}
