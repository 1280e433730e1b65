/** A vCPU's share of the host: what its shell does about the run tokens that all vCPUs of a core share. */
import { ObjectTable } from '../shared-state/objects/object-table.js';
import { RunTokens, runTokensAt } from '../shared-state/scheduler/run-tokens.js';
import type { Ring } from '../shared-state/vm/vm-block.js';

const US_PER_MS = 1000;

/** See the file comment. */
export class RunToken {
  readonly #tokens: RunTokens;
  readonly #entry: number;
  readonly #actor: () => number;
  readonly #ring: Ring;
  readonly #nowMs: () => number;

  private constructor(tokens: RunTokens, entry: number, parts: Parts) {
    this.#tokens = tokens;
    this.#entry = entry;
    this.#actor = parts.actor;
    this.#ring = parts.ring;
    this.#nowMs = parts.nowMs;
  }

  /** That of thread object `thread` of the object table at `table`; undefined: it runs without one. */
  static of(memory: ArrayBufferLike, table: number, thread: number, parts: Parts): RunToken | undefined {
    const entry = new ObjectTable(memory, table).runEntry(thread);
    return entry < 0 ? undefined : new RunToken(new RunTokens(memory, runTokensAt(table)), entry, parts);
  }

  get #nowUs(): number {
    return Math.floor(this.#nowMs() * US_PER_MS) | 0;
  }

  /** Whether guest code may run; if not, the actor is rung when it may. */
  acquire(): boolean {
    return this.#tokens.acquire(this.#entry, this.#actor(), this.#nowUs);
  }
  /** Whether another vCPU waits for a token. */
  get isWanted(): boolean {
    return this.#tokens.isContended;
  }
  /** Between two runs: true when the token went to somebody else, because the slice is over or `yields`. */
  handOver(yields = false): boolean {
    if (!this.isWanted) return false;
    const next = this.#tokens.handOver(this.#entry, this.#nowUs, yields);
    if (next !== undefined) this.#ring(next);
    return next !== undefined;
  }
  /** The vCPU sleeps. */
  release(): void {
    const next = this.#tokens.release(this.#entry, this.#nowUs);
    if (next !== 0) this.#ring(next);
  }
}

/** What of its vCPU it needs. */
interface Parts {
  readonly ring: Ring;
  nowMs(): number;
  /** The vCPU's own actor. */
  actor(): number;
}
