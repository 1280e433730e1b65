/**
 * What a translator has made, so that vCPUs that run the same code share it: the second one that asks gets the module the first
 * one has, with V8's machine code of both tiers. Bounded: the oldest modules go first, and live on with who uses them.
 */
import type { CompiledModule } from '../../cpu/jit/compile-batch.js';
import { holdsCode } from '../../cpu/jit/region-code.js';
import type { EntryPoint } from '../../cpu/jit/translate.js';

/** See the head of this file. */
export class SharedCode {
  readonly #view: DataView;
  readonly #bytesMax: number;
  /** By host address of the page, then offset. */
  readonly #byPage = new Map<number, Map<number, CompiledModule>>();
  readonly #modules: CompiledModule[] = [];
  #bytes = 0;

  /** @param bytesMax bytes of WebAssembly kept */
  constructor(view: DataView, bytesMax: number) {
    this.#view = view;
    this.#bytesMax = bytesMax;
  }

  /** Keeps a module. */
  add(module: CompiledModule): void {
    for (const { host, offset } of module.regions) {
      let ofPage = this.#byPage.get(host);
      if (ofPage === undefined) {
        ofPage = new Map();
        this.#byPage.set(host, ofPage);
      }
      ofPage.set(offset, module);
    }
    this.#modules.push(module);
    this.#bytes += module.bytes;
    while (this.#bytes > this.#bytesMax) this.#forgetOldest();
  }

  #forgetOldest(): void {
    const oldest = this.#modules.shift();
    this.#bytes -= oldest?.bytes ?? this.#bytes;
    for (const { host, offset } of oldest?.regions ?? []) {
      const ofPage = this.#byPage.get(host);
      if (ofPage?.get(offset) !== oldest) continue;
      ofPage?.delete(offset);
      if (ofPage?.size === 0) this.#byPage.delete(host);
    }
  }

  /** Modules made after the one with this id, oldest first. */
  after(id: number): readonly CompiledModule[] {
    let from = this.#modules.length;
    while (from > 0 && this.#modules[from - 1]!.id > id) from--;
    return this.#modules.slice(from);
  }

  /** The module with a region that starts there and was made from what the guest's memory holds there now. */
  find({ host, offset }: EntryPoint): CompiledModule | undefined {
    const module = this.#byPage.get(host)?.get(offset);
    const region = module?.regions.find((one) => one.host === host && one.offset === offset);
    return region !== undefined && holdsCode(this.#view, host, region.code) ? module : undefined;
  }
}
