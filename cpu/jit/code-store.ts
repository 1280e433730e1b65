/**
 * Compiled code by where it starts, which whoever keeps it has not asked for himself: what a translator has made for any vCPU of a VM, and
 * what a vCPU is offered of that. Bounded: the oldest modules go first, and live on with who uses them.
 */
import type { CompiledModule } from './compile-batch.js';
import type { CodeBudget } from './region-store.js';
import type { TranslatedRegion } from './translate.js';

/** A region with the module it is in. */
export interface Offer {
  readonly compiled: CompiledModule;
  readonly region: TranslatedRegion;
}

/** See the head of this file. */
export class CodeStore {
  readonly #budget: CodeBudget;
  readonly #byPage = new Map<number, Map<number, Offer>>();
  readonly #modules: CompiledModule[] = [];
  #bytes = 0;

  /** @param budget how much is kept: modules of a few instructions are bounded by their number, as each takes mappings of the process's */
  constructor(budget: CodeBudget) {
    this.#budget = budget;
  }

  /** Keeps what `compiled` offers. What it has for an entry point takes the place of what was offered before. */
  add(compiled: CompiledModule): void {
    for (const region of compiled.regions) {
      let ofPage = this.#byPage.get(region.host);
      if (ofPage === undefined) {
        ofPage = new Map();
        this.#byPage.set(region.host, ofPage);
      }
      ofPage.set(region.offset, { compiled, region });
    }
    this.#modules.push(compiled);
    this.#bytes += compiled.bytes;
    const { bytesMax, modulesMax } = this.#budget;
    while (this.#bytes > bytesMax || this.#modules.length > modulesMax) this.#forgetOldest();
  }

  #forgetOldest(): void {
    const oldest = this.#modules.shift();
    this.#bytes -= oldest?.bytes ?? this.#bytes;
    for (const { host, offset } of oldest?.regions ?? []) {
      if (this.#byPage.get(host)?.get(offset)?.compiled === oldest) this.refuse(host, offset);
    }
  }

  /** What is kept, oldest first. */
  get modules(): readonly CompiledModule[] {
    return this.#modules;
  }

  /** Byte offsets at which the page at host address `host` may have regions; undefined: there are none. */
  offsetsOf(host: number): Iterable<number> | undefined {
    return this.#byPage.get(host)?.keys();
  }

  /** What is offered for byte `offset` of the page at `host`. */
  find(host: number, offset: number): Offer | undefined {
    return this.#byPage.get(host)?.get(offset);
  }

  /** Forgets what is offered there: the page holds other code, or somebody has taken it. */
  refuse(host: number, offset: number): void {
    const ofPage = this.#byPage.get(host);
    if (ofPage?.delete(offset) === true && ofPage.size === 0) this.#byPage.delete(host);
  }
}
