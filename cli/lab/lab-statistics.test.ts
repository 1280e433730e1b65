/** Rates between two looks at a lab, on a fake host and a clock of the test's own. */
import * as assert from 'uvu/assert';
import { spec } from '../../test/harness/spec.js';
import { FakeHost } from '../../test/lab/fake-host.js';
import { LabWatch } from './lab-statistics.js';
import { RunningLab } from './running-lab.js';

const test = spec('lab statistics');

test('a VM that nobody had looked at before is counted over its life, not over the time since the last look', async () => {
  const host = new FakeHost();
  let ms = 0;
  const lab = new RunningLab({ name: 'test', vms: [], links: [] }, host, () => ms);
  const child = host.make('child', 'a');
  const counters = child.counters.bind(child);
  ms = 2000;
  child.counters = () => Promise.resolve([]);
  const looked = new LabWatch(lab, () => ms).once(5);
  await new Promise((again) => setTimeout(again, 0));
  ms = 3000;
  child.counters = counters; // 5 M instructions, 500 ms in the guest and 100 ms in exits since it began
  const { seconds, vms } = await looked;
  assert.is(seconds, 1);
  assert.equal([vms[0]?.upSeconds, vms[0]?.busy.toFixed(3), vms[0]?.mips.toFixed(3)], [3, '0.200', '1.667']);
  child.kill('');
  await lab.down(0);
});
test.run();
