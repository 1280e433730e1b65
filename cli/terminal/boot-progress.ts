/** A line that says that a machine is starting, on a terminal, until the guest prints something: a slow boot is not a dead one. */

/** What the line needs of the terminal; `write` goes to standard error. */
export interface ProgressTerminal {
  readonly isTTY: boolean;
  write(text: string): void;
  /** Calls `tick` every `ms` milliseconds; answers what ends that. */
  every(ms: number, tick: () => void): () => void;
}

const TICK_MS = 500;
/** Nothing is said of a boot that prints within this. */
const PATIENCE_TICKS = 2;
const CLEAR = '\r\x1b[K';

/** Begins; the answer ends it and clears the line, and may be called more than once. */
export function bootProgress(terminal: ProgressTerminal): () => void {
  if (!terminal.isTTY) return () => undefined;
  let ticks = 0;
  let shown = false;
  let stop: (() => void) | undefined = terminal.every(TICK_MS, () => {
    ticks += 1;
    if (ticks < PATIENCE_TICKS) return;
    shown = true;
    const seconds = Math.floor((ticks * TICK_MS) / 1000);
    terminal.write(`${CLEAR}wurley: the guest is starting (${seconds} s); Ctrl-] h for help`);
  });
  return () => {
    stop?.();
    stop = undefined;
    if (shown) terminal.write(CLEAR);
    shown = false;
  };
}
