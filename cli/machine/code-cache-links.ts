/** Connects a machine's vCPUs with the translation cache: compiled code goes to them, what they noted comes back. */
import { createObjectChannel, type ObjectEnd, ObjectPort } from '../../actors/runtime/object-channel.js';
import type { ActorRef } from '../../actors/runtime/protocol.js';
import type { ActorSystem } from '../../actors/runtime/system.js';
import type { VcpuProtocol } from '../../actors/vcpu/vcpu.protocol.js';
import type { JournalPage } from '../../cpu/jit/code-journal.js';
import type { SavedVolume } from '../../cpu/jit/saved-code.js';
import type { CodeCache } from './code-cache.js';

const ASK = { timeoutMs: 5_000 } as const;

/** See the head of this file. */
export class CodeCacheLinks {
  readonly #cache: CodeCache;
  readonly #ports: ObjectPort<readonly SavedVolume[], readonly JournalPage[]>[] = [];
  readonly #ends: ObjectEnd[] = [];
  #isClosed = false;

  constructor(cache: CodeCache) {
    this.#cache = cache;
  }

  /** The end for the next vCPU, to go with its config. */
  connect(): ObjectEnd {
    const [ours, theirs] = createObjectChannel();
    this.#ends.push(ours);
    this.#ports.push(new ObjectPort(ours));
    return theirs;
  }

  /** What processor 0 goes on in: see CodeCache. */
  records(): Promise<SharedArrayBuffer> {
    return this.#cache.records();
  }

  /** Begins to read what {@link load} gives first. */
  begin(): void {
    this.#cache.begin();
  }

  /** Reads the cache and gives it to all vCPUs, which have begun without it. */
  async load(): Promise<void> {
    for await (const volumes of this.#cache.load()) {
      if (this.#isClosed) return;
      if (volumes.length > 0) for (const port of this.#ports) port.send(volumes);
    }
  }

  /** Fetches what the vCPUs (in the order in which they were connected) noted and gives it to the cache. */
  async close(system: ActorSystem, processors: readonly ActorRef<VcpuProtocol>[]): Promise<void> {
    const noted = this.#ports.map(async (port, i) => {
      const processor = processors[i];
      // The pages are sent before the answer: when it has come they are there.
      const answer = processor && (await system.sender.ask(processor, 'handOverJournal', {}, ASK));
      return (answer?.ok === true ? port.take() : undefined) ?? [];
    });
    const pages = (await Promise.all(noted)).flat();
    this.#isClosed = true;
    for (const { port } of this.#ends) port.close();
    this.#cache.keep(pages);
  }
}
