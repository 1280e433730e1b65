/**
 * V8 takes the code in every bundle that a machine's threads load: where it refuses it, everything works and starts three times as slowly, which no
 * other test would notice. What changes V8's flags before or while threads load (ADR 287) is how that comes about.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { equal, is, ok } from 'uvu/assert';
import { runUnderWurley } from '../../test/drivers/wurley.js';
import { guestImage } from '../../test/guests/reports.js';
import { spec } from '../../test/harness/spec.js';
import { isFresh } from './worker-files.js';

const test = spec('bundles in use');
const HOST_BUNDLE = new URL('./actor-host.bundle', import.meta.url);

/** Loaded before anything else in every thread: writes down what V8 said to each script that came with code, and sets `flag` late. */
const spy = (log: string, flag: string | undefined): string => `
  const vm = require('node:vm');
  const { appendFileSync } = require('node:fs');
  const { Script } = vm;
  vm.Script = class extends Script {
    constructor(source, options) {
      super(source, options);
      if (options?.cachedData !== undefined)
        appendFileSync(${JSON.stringify(log)}, options.filename + ' ' + this.cachedDataRejected + '\\n');
    }
  };
  require('node:module').syncBuiltinESMExports();
  ${flag === undefined ? '' : `require('node:v8').setFlagsFromString(${JSON.stringify(flag)});`}`;

/** Runs a machine with two processors: names of the bundles whose code V8 took, and of those whose it refused. */
async function bundlesOf(flag?: string): Promise<{ readonly taken: Set<string>; readonly refused: Set<string> }> {
  const folder = mkdtempSync(join(tmpdir(), 'bundles-'));
  const before = process.env['NODE_OPTIONS'];
  try {
    const [program, log] = [join(folder, 'spy.cjs'), join(folder, 'log')];
    writeFileSync(program, spy(log, flag));
    writeFileSync(log, '');
    process.env['NODE_OPTIONS'] = `${before ?? ''} --require ${program}`;
    const boot = ['--kernel', guestImage('suite')];
    const run = await runUnderWurley({ boot, cpus: 2, memoryMiB: 256, bootargs: '', deadlineMs: 120_000 });
    is(run.ok, true, run.ok ? '' : run.error.text);
    const [taken, refused] = [new Set<string>(), new Set<string>()];
    for (const line of readFileSync(log, 'utf8').trim().split('\n')) {
      const [path = '', isRefused] = line.split(' ');
      (isRefused === 'true' ? refused : taken).add(basename(path, '.bundle'));
    }
    return { taken, refused };
  } finally {
    if (before === undefined) delete process.env['NODE_OPTIONS'];
    else process.env['NODE_OPTIONS'] = before;
    rmSync(folder, { recursive: true });
  }
}

if (isFresh(HOST_BUNDLE)) {
  test('V8 takes the code of every bundle that a machine loads', async () => {
    const { taken, refused } = await bundlesOf();
    equal([...refused], [], `in ${fileURLToPath(new URL('../..', import.meta.url))}`);
    for (const name of ['run-command', 'actor-host', 'hypervisor.actor', 'vcpu.actor', 'translator.actor'])
      ok(taken.has(name), `${name} is among ${[...taken].join(', ')}`);
  });

  test('a flag of V8 that is set before is noticed', async () => {
    const { refused } = await bundlesOf('--min-semi-space-size=4');
    ok(refused.has('vcpu.actor') && refused.has('actor-host'), [...refused].join(', '));
  });
} else {
  test.skip('V8 takes the code of every bundle that a machine loads', 'there are no bundles of this build');
}

test.run();
