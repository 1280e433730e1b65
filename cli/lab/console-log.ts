/** What a VM printed: a bounded history that outlives the VM and its restarts, and a stream of what comes. */
import { concat, defer, filter, type Observable, of, Subject } from 'rxjs';

/** Bytes kept of each VM. */
const HISTORY_BYTES_MAX = 1 << 20;
const NEWLINE = 0x0a;

/** See the head of this file. */
export class ConsoleLog {
  readonly #chunks: Uint8Array[] = [];
  readonly #news = new Subject<Uint8Array>();
  #bytes = 0;
  /** Bytes that were printed and are forgotten. */
  #forgotten = 0;

  /** Adds what was printed; whole chunks are forgotten when there is too much. */
  add(chunk: Uint8Array): void {
    if (chunk.length === 0) return;
    // WHY: a copy, because the giver may use its memory again (and a Buffer's slice is none).
    const kept = new Uint8Array(chunk.subarray(-HISTORY_BYTES_MAX));
    this.#chunks.push(kept);
    this.#bytes += kept.length;
    this.#forgotten += chunk.length - kept.length;
    while (this.#bytes > HISTORY_BYTES_MAX) {
      const gone = this.#chunks.shift()?.length ?? 0;
      this.#bytes -= gone;
      this.#forgotten += gone;
    }
    this.#news.next(kept);
  }

  /** A line of ours among what the VM printed. */
  note(text: string): void {
    const last = this.#chunks.at(-1)?.at(-1);
    const before = last === undefined || last === NEWLINE ? '' : '\r\n';
    this.add(new TextEncoder().encode(`${before}--- ${text} ---\r\n`));
  }

  get forgottenBytes(): number {
    return this.#forgotten;
  }

  /** The history, or its last `lines` lines. */
  history(lines?: number): Uint8Array {
    const all = new Uint8Array(this.#bytes);
    let at = 0;
    for (const chunk of this.#chunks) {
      all.set(chunk, at);
      at += chunk.length;
    }
    if (lines === undefined) return all;
    // The last line may not be complete yet: it counts as one.
    let from = all.length - (all.at(-1) === NEWLINE ? 1 : 0);
    for (let n = 0; n < lines && from >= 0; n++) from = from === 0 ? -1 : all.lastIndexOf(NEWLINE, from - 1);
    return lines === 0 ? new Uint8Array(0) : all.slice(from + 1);
  }

  /** The history (or its last lines), then what comes; nothing twice, nothing left out. Completes with {@link close}. */
  follow(lines?: number): Observable<Uint8Array> {
    return defer(() => concat(of(this.history(lines)), this.#news)).pipe(filter((chunk) => chunk.length > 0));
  }

  /** Nothing comes any more. */
  close(): void {
    this.#news.complete();
  }
}
