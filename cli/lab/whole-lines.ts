/** A stream of lines that may be cut off in the middle, such that what was written is whole: no half line, and an array with its end. */
export class WholeLines {
  readonly #write: (text: string) => void;
  readonly #isArray: boolean;
  readonly #decoder = new TextDecoder();
  /** The last line that is whole, and the beginning of the next. */
  #rest = '';

  /** `isArray`: the lines are a JSON array, an element each, which ends with a line of its own. */
  constructor(write: (text: string) => void, isArray: boolean) {
    this.#write = write;
    this.#isArray = isArray;
  }

  take(piece: Uint8Array): void {
    const text = this.#rest + this.#decoder.decode(piece, { stream: true });
    const end = text.lastIndexOf('\n');
    // The last element has no comma behind it; which that is we know when the stream ends.
    const kept = this.#isArray ? text.lastIndexOf('\n', end - 1) + 1 : end + 1;
    this.#rest = text.slice(kept);
    if (kept > 0) this.#write(text.slice(0, kept));
  }

  /** The stream has ended by itself: all of it. */
  end(): void {
    if (this.#rest !== '') this.#write(this.#rest);
    this.#rest = '';
  }

  /** It was cut off. */
  cut(): void {
    const end = this.#rest.indexOf('\n');
    const last = end < 0 ? '' : this.#rest.slice(0, end);
    this.#rest = '';
    if (!this.#isArray) return;
    if (last === '') this.#write('[]\n');
    else this.#write(last === ']' || last === '[]' ? `${last}\n` : `${last.replace(/,$/, '')}\n]\n`);
  }
}
