/** The fake host that the tests of this folder drive keeps the contract of {@link LabHost} that they rely on. */
import * as assert from 'uvu/assert';
import { spec } from '../../test/harness/spec.js';
import { FakeHost } from '../../test/lab/fake-host.js';
import type { LabHost } from './lab-host.js';

const test = spec('lab host');

test('a VM that ends completes its output, is told of and may be started again', async () => {
  const host = new FakeHost();
  const told: string[] = [];
  const seen: LabHost = host;
  seen.events.subscribe((event) => told.push(event.kind));
  const first = host.make('a', undefined);
  let complete = false;
  first.output.subscribe({ complete: () => (complete = true) });
  first.end({ reason: 'crash', detail: 'a-vcpu0 was killed' });
  assert.equal(await first.ended, { reason: 'crash', detail: 'a-vcpu0 was killed' });
  assert.ok(complete);
  assert.ok(host.make('a', undefined) === host.vm('a') && host.vm('a') !== first);
  await seen.dispose();
  assert.equal(told, ['started', 'ended', 'started', 'ended']);
});
test.run();
