/** A page that is taken away while a device is inside its window comes back to the core only when the device has left. */
import * as assert from 'uvu/assert';
import { PartitionDriver } from '../../test/drivers/partition.js';
import { spec } from '../../test/harness/spec.js';
import { GuestWindow, REFUSED } from '../shared-state/guest-window/guest-window.js';
import { STAGE2_RIGHTS } from '../shared-state/stage2/stage2-map.js';
import { VmBlock } from '../shared-state/vm/vm-block.js';

const test = spec('unmapping and device windows');
const RAM = 0x4000_0000;
const BYTES = 16 * 4096;
const WINDOW = 7;
/** The core gives up after a time; on a busy machine an attempt may end so, and says nothing. */
const ATTEMPTS = 20;
const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

test(
  'an unmapping is answered when the device inside has left, and not before',
  async () => {
    const driver = new PartitionDriver();
    try {
      await driver.start();
      let proved = false;
      for (let attempt = 0; attempt < ATTEMPTS && !proved; attempt++) {
        const { partition } = await driver.get('createPartition', {});
        const parts = await driver.get('initializePartition', { partition });
        await driver.get('mapGuestMemory', { partition, ipa: RAM, bytes: BYTES, rights: STAGE2_RIGHTS.all });
        const { buffer } = driver.bytes;
        const block = new VmBlock(buffer, parts.block);
        const window = new GuestWindow(buffer, parts, WINDOW);
        assert.ok(window.within(() => window.host(RAM, STAGE2_RIGHTS.all)) > 0);
        // Inside on another thread, as far as the core can tell.
        block.enterWindow(WINDOW);
        let hasLeft = false;
        let early: unknown = 'none';
        const unmapping = driver.ask('unmapGuestMemory', { partition, ipa: RAM, bytes: BYTES }).then((answer) => {
          if (!hasLeft) early = answer;
          return answer;
        });
        const other = new GuestWindow(buffer, parts, WINDOW + 1);
        while (other.within(() => other.host(RAM, STAGE2_RIGHTS.read)) !== REFUSED) await sleep(1);
        await sleep(20);
        assert.ok(early === 'none' || early === 'notAcknowledged', `answered with a device inside: ${String(early)}`);
        hasLeft = true;
        block.leaveWindow(WINDOW);
        proved = (await unmapping) === undefined;
      }
      assert.ok(proved, 'some unmapping was answered in time');
    } finally {
      await driver.close();
    }
  },
  { deadlineMs: 120_000 },
);

test.run();
