/**
 * `spec(name)` is uvu's `suite` with what a reliable suite needs and uvu lacks: a deadline for every test, and every
 * rejection turned into an Error (uvu 0.5.6 exits 0 when a test rejects with a non-Error: issue 229 upstream).
 */
import { suite } from 'uvu';

/** A test body; `skip(reason)` inside ends the test as skipped and prints the reason. */
type TestBody = () => void | Promise<void>;

/** What `spec` returns: call it to add a test; `run()` must end the file. */
export interface Spec {
  (title: string, body: TestBody, options?: { readonly deadlineMs?: number }): void;
  /** Declares a test that this machine cannot run, with the reason; it counts as skipped and the reason is printed. */
  skip(title: string, reason: string): void;
  /** Queues the suite for execution. A file without it runs no test, and the runner refuses that. */
  run(): void;
}

const DEADLINE_MS_DEFAULT = 20_000;
/**
 * Deadlines are written for a machine that has nothing else to do, and are there to find what hangs: a machine that is slow or
 * shared gets so many times as long.
 */
const PATIENCE = 4;

/** Wraps anything thrown into an Error so that uvu reports it as a failure. */
function toError(thrown: unknown, title: string): Error {
  if (thrown instanceof Error) return thrown;
  return new Error(`test "${title}" threw a non-Error: ${String(thrown)}`);
}

/** Runs `body`, failing after `deadlineMs` even if its promise never settles. */
async function withDeadline(title: string, body: TestBody, deadlineMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const expiry = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`test "${title}" missed its deadline of ${deadlineMs} ms`)), deadlineMs);
  });
  try {
    await Promise.race([Promise.resolve().then(body), expiry]);
  } catch (thrown) {
    throw toError(thrown, title);
  } finally {
    clearTimeout(timer);
  }
}

/** Starts a suite called `name`; see {@link Spec}. */
export function spec(name: string): Spec {
  const tests = suite(name);
  const add = (title: string, body: TestBody, options: { readonly deadlineMs?: number } = {}): void => {
    tests(title, () => withDeadline(title, body, PATIENCE * (options.deadlineMs ?? DEADLINE_MS_DEFAULT)));
  };
  const skip = (title: string, reason: string): void => {
    process.stdout.write(`  skipped: ${name}: ${title} (${reason})\n`);
    tests.skip(title, () => undefined);
  };
  return Object.assign(add, { skip, run: () => tests.run() });
}
