/** Frames change hands all together or not at all. */
import * as assert from 'uvu/assert';
import { spec } from '../../../test/harness/spec.js';
import { FrameLedger } from './frame-ledger.js';

const test = spec('frame-ledger');

const FRAMES = 3_000;
const PAGE = 4096;
const FREE = { owner: 0, state: 'free' } as const;
const OWNED = { owner: 7, state: 'owned' } as const;

const ledgerOf = (): FrameLedger => new FrameLedger(new SharedArrayBuffer(PAGE + FRAMES * 4), PAGE, FRAMES);

test('frames go from one owner to another, and no others', () => {
  const ledger = ledgerOf();
  ledger.move(100 * PAGE, 2_000, FREE, OWNED);
  ledger.move(500 * PAGE, 1, OWNED, { owner: 9, state: 'lent' });
  assert.equal(
    [99, 100, 500, 2_099, 2_100].map((frame) => ledger.entry(frame * PAGE).owner),
    [0, 7, 9, 7, 0],
  );
  assert.equal(Object.fromEntries(ledger.census()), { '7:owned': 1_999, '9:lent': 1 });
});

for (const wrong of [100, 101, 1_500, 2_098, 2_099]) {
  test(`frame ${wrong} of another is named, and nothing has changed`, () => {
    const ledger = ledgerOf();
    ledger.move(wrong * PAGE, 1, FREE, OWNED);
    assert.throws(() => ledger.move(100 * PAGE, 2_000, FREE, OWNED), new RegExp(`frame ${wrong} is not free`));
    assert.equal(Object.fromEntries(ledger.census()), { '7:owned': 1 });
  });
}

test('what lies beside the frames does not matter', () => {
  const ledger = ledgerOf();
  ledger.move(99 * PAGE, 1, FREE, OWNED);
  ledger.move(200 * PAGE, 1, FREE, OWNED);
  ledger.move(100 * PAGE, 100, FREE, { owner: 8, state: 'owned' });
  assert.equal(
    [99, 100, 199, 200].map((frame) => ledger.entry(frame * PAGE).owner),
    [7, 8, 8, 7],
  );
});

test.run();
