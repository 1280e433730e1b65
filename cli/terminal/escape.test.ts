/** The console's escape, typed at once and byte by byte; and the numbers of `wurley run`. */
import * as assert from 'uvu/assert';
import { spec } from '../../test/harness/spec.js';
import { checkNumbers, parseMemory } from '../machine/run-options.js';
import { EscapeReader } from './escape.js';

const test = spec('escape');

function type(text: string, size: number): { guest: string; commands: string[] } {
  let guest = '';
  const commands: string[] = [];
  const reader = new EscapeReader(
    (bytes) => {
      guest += Buffer.from(bytes).toString('latin1');
    },
    (command) => commands.push(command),
  );
  const bytes = Buffer.from(text, 'latin1');
  for (let at = 0; at < bytes.length; at += size) reader.take(bytes.subarray(at, at + size));
  return { guest, commands };
}

for (const size of [1, 2, 64]) {
  test(`bytes and commands, ${size} at a time`, () => {
    assert.equal(type('ls\x1diecho\x1d\x1d!\x1dq', size), { guest: 'lsecho\x1d!', commands: ['info', 'quit'] });
    assert.equal(type('\x1dS\x1dh\x1d?\x1dz', size).commands, ['powerButton', 'help', 'help', 'unknown']);
    assert.equal(type('\x1d+\x1d-\x1db', size).commands, ['inflate', 'deflate', 'balloon']);
  });
}
test('sizes of memory', () => {
  assert.is(parseMemory('512M'), 512 * 2 ** 20);
  assert.is(parseMemory('1g'), 2 ** 30);
  assert.is(parseMemory('128'), 128 * 2 ** 20);
  for (const wrong of ['', '-1M', '12Q', '1e9', 'M', '0x10']) assert.is(parseMemory(wrong), undefined);
});
test('numbers out of range are one sentence', () => {
  const base = {
    ...{ memory: '512M', cpus: '2', platform: 'virt', gunyahProfile: 'P17', jit: true, console: 'pl011', net: 'none' },
  };
  assert.ok(checkNumbers(base).ok);
  for (const wrong of [{ cpus: '9' }, { cpus: 'two' }, { memory: '4G' }, { memory: '65M' }, { timeout: '-1' }]) {
    const checked = checkNumbers({ ...base, ...wrong });
    assert.not.ok(checked.ok);
    if (!checked.ok) assert.match(checked.error, /^--(cpus|memory|timeout) takes /);
  }
});
test.run();
