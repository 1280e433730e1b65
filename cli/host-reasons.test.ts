import { readFileSync } from 'node:fs';
import * as assert from 'uvu/assert';
import { spec } from '../test/harness/spec.js';
import { codeInWords, hostCode, hostReason } from './host-reasons.js';

const test = spec('cli/host-reasons');

function thrownBy(body: () => unknown): unknown {
  try {
    body();
  } catch (thrown) {
    return thrown;
  }
  return undefined;
}

test('what the host throws is told in words, with its code', () => {
  assert.is(hostReason(thrownBy(() => readFileSync('/no/such/file'))), 'there is no such file or folder (ENOENT)');
  assert.is(hostReason(thrownBy(() => readFileSync('/'))), 'it is a folder (EISDIR)');
});

test('what has no words is told as it is', () => {
  assert.is(codeInWords('EODD'), 'EODD');
  assert.is(hostCode('odd'), 'odd');
  assert.is(hostReason(new Error('odd')), 'Error: odd');
});

test.run();
