/**
 * The user's terminal in raw mode, restored whatever happens: on the ordinary way out, on a signal, on an exception. Node
 * restores the mode itself when the process exits; a signal's default action does not, so they are handled.
 */

/** The exit code that means SIGTERM. */
export const EXIT_TERMINATED = 143;

/** Signals that end the program, and the exit code each means (128 + number). */
const SIGNALS = { SIGTERM: EXIT_TERMINATED, SIGHUP: 129, SIGINT: 130 } as const;

/** Puts standard input into raw mode if it is a terminal; answers what restores it. */
export function rawMode(): () => void {
  const { stdin } = process;
  if (!stdin.isTTY) return () => undefined;
  const restore = (): void => {
    if (stdin.isTTY) stdin.setRawMode(false);
  };
  stdin.setRawMode(true);
  process.once('exit', restore);
  return () => {
    process.off('exit', restore);
    restore();
  };
}

/** Signals by which a user or a service manager asks for an end; SIGHUP only says that nobody is there any more. */
const REQUESTS: readonly string[] = ['SIGINT', 'SIGTERM'];

/** Programs such as `timeout` send SIGTERM once and then wait: an orderly end that it began may take so long, in milliseconds. */
export const ORDERLY_END_MS_MAX = 30_000;

/**
 * Calls `stop` with an exit code when the process is asked to end; asked again, it ends at once (`exit` handlers still run,
 * so the terminal is restored). With `request`, the first SIGINT or SIGTERM calls that instead: where it answers true, an orderly
 * end is on its way, and the next signal calls `stop`, as do `orderlyMs` milliseconds after a SIGTERM. Answers what takes all
 * that back.
 */
export function onTermination(
  stop: (exitCode: number) => void,
  request?: (exitCode: number) => boolean,
  orderlyMs = ORDERLY_END_MS_MAX,
): () => void {
  let requested = request === undefined;
  let asked = false;
  let patience: NodeJS.Timeout | undefined;
  const insist = (exitCode: number): void => {
    asked = true;
    stop(exitCode);
  };
  const handlers = Object.entries(SIGNALS).map(([signal, exitCode]) => {
    const handler = (): void => {
      if (asked) process.exit(exitCode);
      if (!requested && REQUESTS.includes(signal)) {
        requested = true;
        if (request?.(exitCode) === true) {
          if (signal === 'SIGTERM') patience = setTimeout(insist, orderlyMs, exitCode);
          return;
        }
      }
      insist(exitCode);
    };
    return [signal, handler] as const;
  });
  for (const [signal, handler] of handlers) process.on(signal, handler);
  return () => {
    clearTimeout(patience);
    for (const [signal, handler] of handlers) process.off(signal, handler);
  };
}

/**
 * For work that can be ended in order for a part of its time: when the process is asked to end, calls what it is given, which answers
 * whether an orderly end is on its way; where none is, the process exits at once. `onAsked` gets the exit code to end with.
 */
export function interruptible(onAsked: (exitCode: number) => void): (stop: () => boolean) => () => void {
  return (stop) =>
    onTermination((exitCode) => {
      onAsked(exitCode);
      if (!stop()) process.exit(exitCode);
    });
}
