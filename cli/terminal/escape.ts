/** The console's escape: Ctrl-] and a letter. Pure: bytes in, bytes for the guest and commands out. */

/** What a user may ask for behind the escape. */
export type EscapeCommand = 'quit' | 'help' | 'info' | 'powerButton' | 'balloon' | 'inflate' | 'deflate' | 'unknown';

/** Ctrl-]. */
const ESCAPE = 0x1d;
const COMMANDS: Readonly<Record<string, EscapeCommand>> = {
  q: 'quit',
  h: 'help',
  '?': 'help',
  i: 'info',
  s: 'powerButton',
  b: 'balloon',
  '+': 'inflate',
  '-': 'deflate',
};

/** What Ctrl-] h shows. */
export const ESCAPE_HELP = [
  'Ctrl-] q   stop the machine at once',
  'Ctrl-] s   press the power button',
  'Ctrl-] i   what the machine is doing',
  'Ctrl-] b   what the memory balloon holds (--balloon)',
  'Ctrl-] + -   take an eighth of its memory from the guest, give it back',
  'Ctrl-] h   this help',
  'Ctrl-] Ctrl-]   send Ctrl-] to the guest',
] as const;

/** Splits what is typed into bytes for the guest and commands, remembering an escape between calls. */
export class EscapeReader {
  readonly #toGuest: (bytes: Uint8Array) => void;
  readonly #command: (command: EscapeCommand) => void;
  #escaped = false;

  constructor(toGuest: (bytes: Uint8Array) => void, command: (command: EscapeCommand) => void) {
    this.#toGuest = toGuest;
    this.#command = command;
  }

  /** Takes typed bytes in order. */
  take(bytes: Uint8Array): void {
    let from = 0;
    for (const [at, byte] of bytes.entries()) {
      if (this.#escaped) {
        this.#escaped = false;
        from = at + 1;
        if (byte === ESCAPE) this.#toGuest(Uint8Array.of(ESCAPE));
        else this.#command(COMMANDS[String.fromCharCode(byte).toLowerCase()] ?? 'unknown');
      } else if (byte === ESCAPE) {
        if (at > from) this.#toGuest(bytes.subarray(from, at));
        from = at + 1;
        this.#escaped = true;
      }
    }
    if (from < bytes.length) this.#toGuest(bytes.subarray(from));
  }
}
