/**
 * The user's terminal in raw mode, restored whatever happens: on the ordinary way out, on a signal, on an exception. Node
 * restores the mode itself when the process exits; a signal's default action does not, so they are handled.
 */

/** Signals that end the program, and the exit code each means (128 + number). */
const SIGNALS = { SIGTERM: 143, SIGHUP: 129, SIGINT: 130 } as const;

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

/** Calls `stop` with an exit code when the process is asked to end; answers what takes that back. */
export function onTermination(stop: (exitCode: number) => void): () => void {
  const handlers = Object.entries(SIGNALS).map(([signal, exitCode]) => [signal, () => stop(exitCode)] as const);
  for (const [signal, handler] of handlers) process.on(signal, handler);
  return () => {
    for (const [signal, handler] of handlers) process.off(signal, handler);
  };
}
