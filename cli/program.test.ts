import * as assert from 'uvu/assert';
import { spec } from '../test/harness/spec.js';
import { addDemo } from './commands/demo.js';
import { runProgram } from './program.js';

const test = spec('command line');

async function run(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  let out = '';
  let err = '';
  const code = await runProgram([addDemo], args, {
    isTTY: false,
    columns: 100,
    out: (text) => {
      out += text;
    },
    err: (text) => {
      err += text;
    },
    onInterrupt: () => () => undefined,
  });
  return { code, out, err };
}

test('an unknown verb or flag is one sentence and exit code 64', async () => {
  for (const args of [['dmeo'], ['demo', '--colour'], ['demo', '--seconds', 'soon'], ['demo', '--seconds', '0']]) {
    const { code, out, err } = await run(...args);
    assert.is(code, 64, args.join(' '));
    assert.is(out, '');
    assert.match(err, /^wurley: [^\n]+\.\n$/);
  }
});

test('--help lists the verbs and ends with 0', async () => {
  const { code, out, err } = await run('--help');
  assert.is(code, 0);
  assert.match(out, /demo/);
  assert.is(err, '');
});

test('--version prints the version and ends with 0', async () => {
  const { code, out } = await run('--version');
  assert.is(code, 0);
  assert.match(out, /^[^\n]+\n$/);
});

test('the demo moves messages and says so', async () => {
  const { code, out, err } = await run('demo', '--seconds', '1');
  assert.is(code, 0, err);
  const [, moved = '0'] = /([\d,]+) messages in/.exec(out) ?? [];
  assert.ok(Number(moved.replaceAll(',', '')) > 1_000, out);
  assert.match(out, /crash to the answer/);
});

test.run();
