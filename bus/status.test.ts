import { equal, throws } from 'uvu/assert';
import { spec } from '../test/harness/spec.js';
import { fail, STATUS, statusTable } from './status.js';

const test = spec('status');
test('codes are unique, texts are clauses, exit codes fit a process', () => {
  equal(STATUS.ok, { code: 0, hv: 0, errno: '', exit: 0, text: 'done' });
  for (const [name, row] of Object.entries(STATUS)) {
    equal(row.text.endsWith('.'), false, name);
    equal(row.exit >= 0 && row.exit <= 125, true, name);
    equal(name === 'ok', row.code === 0);
  }
  const row = STATUS.badArgument;
  throws(() => statusTable({ a: row, b: row }), /share the code/);
});
test('a fault names its status, its place and its cause', () => {
  const cause = fail('corrupt', 'QueueHeader.magic').error;
  equal(fail('badArgument', 'spawn.queue', cause), {
    ok: false,
    error: { status: 'badArgument', at: 'spawn.queue', cause },
  });
});
test.run();
