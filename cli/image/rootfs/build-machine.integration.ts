/** The machine that makes a root file system is really gone when it ends otherwise: stuck, or asked to end by its user. */
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { spec } from '../../../test/harness/spec.js';
import { cacheFolder } from '../../cache-folder.js';
import { findImage } from '../store.js';
import { runBuildMachine } from './build-machine.js';
import { BUILD_MARK } from './build-script.js';

const test = spec('the machine that makes root file systems');
const IMAGE = 'debian:6.1-cloud';
const DEADLINE = { deadlineMs: 5 * 60_000 } as const;
/** The threads of this process, as Linux counts them. */
const TASKS = '/proc/self/task';

interface Case {
  /** What PID 1 does once it has said that it configures packages. */
  readonly afterwards: string;
  readonly stillMs?: number;
  /** Whether the user asks for an end as soon as it does that. */
  readonly isInterrupted: boolean;
}

/** Runs a machine whose build never ends; answers the error. */
async function endOf({ afterwards, stillMs, isInterrupted }: Case): Promise<string> {
  const kernel = await findImage(cacheFolder(), IMAGE);
  if (kernel === undefined) throw new Error(`${IMAGE} is not here`);
  const folder = mkdtempSync(join(tmpdir(), 'wurley-build-machine-'));
  const [path, payload] = [join(folder, 'root'), join(folder, 'packages')];
  for (const file of [path, payload]) writeFileSync(file, new Uint8Array(1 << 20));
  const init = `#!/bin/sh\nmount -t devtmpfs dev /dev\necho "${BUILD_MARK}step configuring packages" >/dev/console\n${afterwards}\n`;
  let stop: (() => void) | undefined;
  try {
    const built = await runBuildMachine({
      ...{ cache: cacheFolder(), kernel, payload },
      entries: [{ kind: 'file', path: 'init', mode: 0o755, bytes: new TextEncoder().encode(init) }],
      disk: { path, isReadOnly: false, format: 'raw', anyBacking: false },
      work: { packages: 1, preinsts: 0, payloadBytes: 1 << 20 },
      report: (what) => {
        if (isInterrupted && what === 'configuring packages') stop?.();
      },
      onInterrupt: (given) => {
        stop = given;
        return () => void (stop = undefined);
      },
      ...(stillMs === undefined ? {} : { stillMs }),
    });
    assert.is(stop, undefined, 'nothing is asked to stop any more');
    return built.ok ? 'it was made' : built.error;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Waits until no more threads run than did before. */
async function noWorkers(before: number): Promise<void> {
  for (let n = 0; readdirSync(TASKS).length > before && n < 600; n++)
    await new Promise((resolve) => setTimeout(resolve, 100));
  assert.ok(readdirSync(TASKS).length <= before, 'threads of the machine are left');
}

if (!existsSync(TASKS)) test.skip('builds that do not end', 'needs the /proc of Linux');
else
  test(
    'a build that is stuck, its processor busy, or that its user ends while it sleeps, leaves no machine',
    async () => {
      // The pool of threads that Node makes with the first file it reads is there before.
      await findImage(cacheFolder(), IMAGE);
      const before = readdirSync(TASKS).length;
      const idle = await endOf({ afterwards: 'sleep 100000', isInterrupted: true });
      assert.is(idle, 'interrupted; what was downloaded is kept');
      await noWorkers(before);
      const busy = await endOf({ afterwards: 'while :; do :; done', stillMs: 2_000, isInterrupted: false });
      assert.match(busy, /^the machine that makes it failed: it has not gone on for \S+ minutes \(/);
      await noWorkers(before);
    },
    DEADLINE,
  );
test.run();
