import * as assert from 'uvu/assert';
import { spec } from '../../test/harness/spec.js';
import { parseGdb } from './gdb-stub.js';

const test = spec('--gdb');

test('a port, and whether to wait', () => {
  assert.equal(parseGdb('1234'), { ok: true, value: { port: 1234, waits: false } });
  assert.equal(parseGdb('0,wait'), { ok: true, value: { port: 0, waits: true } });
  for (const wrong of ['', 'x', '65536', '-1', '1234,', '1234,now', ':1234', '127.0.0.1:1234']) {
    const parsed = parseGdb(wrong);
    assert.not.ok(parsed.ok, wrong);
    if (!parsed.ok) assert.match(parsed.error, /^--gdb takes PORT/);
  }
});
test.run();
