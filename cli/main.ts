/** Starts the `wurley` command: start.ts, in one piece where the build has made that, since each module costs milliseconds. */
import { statSync } from 'node:fs';
import { createRequire } from 'node:module';

type Start = (args: readonly string[]) => Promise<number>;

/** Written with the bundles (cli/bundle-actors.mjs), and by the compiler with every build. */
const WHOLE = new URL('./start.cjs', import.meta.url);
const COMPILED = new URL('../.tsbuildinfo', import.meta.url);

const modifiedMs = (file: URL): number => statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0;

const isWhole = process.env['NODE_V8_COVERAGE'] === undefined && modifiedMs(WHOLE) >= Math.max(1, modifiedMs(COMPILED));
// WHY: what is required has no type; it is start.ts, bundled.
const start = (isWhole ? createRequire(import.meta.url)('./start.cjs') : await import('./start.js')) as {
  readonly default: Start;
};
process.exitCode = await start.default(process.argv.slice(2));
