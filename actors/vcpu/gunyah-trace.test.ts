import * as assert from 'uvu/assert';
import { CpuState } from '../../cpu/cpu-state.js';
import { spec } from '../../test/harness/spec.js';
import { CALL_BY_NUMBER } from '../abi/gunyah/calls.js';
import { describeGunyahCall } from './gunyah-trace.js';

const test = spec('gunyah trace');

test('a call has its arguments before, its error and results after', () => {
  const state = new CpuState(new SharedArrayBuffer(4096), 0);
  const call = CALL_BY_NUMBER.find((row) => row !== undefined && row.args.length > 0 && row.results.length > 0);
  assert.ok(call !== undefined);
  if (call === undefined) return;
  state.set64(0, 0x77n);
  const describe = describeGunyahCall(state, 'hvc', 0x6000 + call.n);
  state.set64(0, 0n);
  state.set64(8, 0x99n);
  const told = describe?.();
  assert.is(told?.['name'], call.name);
  assert.is(told?.[call.args[0]?.name ?? ''], '0x77');
  assert.equal([told?.['result'], told?.[`>${call.results[0]}`]], ['ok', '0x99']);
  state.set64(0, 30n);
  assert.equal([describe?.()['result'], describe?.()[`>${call.results[0]}`]], ['denied', undefined]);
});
test('what is not Gunyah has its own description', () => {
  const state = new CpuState(new SharedArrayBuffer(4096), 0);
  state.set64(0, 0x8400_0000n);
  assert.is(describeGunyahCall(state, 'hvc', 0), undefined);
  assert.is(describeGunyahCall(state, 'smc', 1), undefined);
});
test.run();
