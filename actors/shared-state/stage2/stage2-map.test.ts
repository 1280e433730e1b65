/** Ranges of a stage-2 map are what single pages would be, over the ends of leaf tables too. */
import * as assert from 'uvu/assert';
import { spec } from '../../../test/harness/spec.js';
import { STAGE2_RIGHTS, STAGE2_ROOT_BYTES, Stage2Map } from './stage2-map.js';

const test = spec('stage-2 map');
const PAGE = 4096;
const LEAF = 1024;

function make(tables: number): Stage2Map {
  const memory = new SharedArrayBuffer(STAGE2_ROOT_BYTES + (tables + 1) * PAGE);
  let next = STAGE2_ROOT_BYTES + PAGE;
  const end = next + tables * PAGE;
  return new Stage2Map(memory, PAGE, () => {
    const at = next;
    next += PAGE;
    return at < end ? at : undefined;
  });
}

test('a range is mapped page by page, and nothing beside it', () => {
  const map = make(3);
  const [first, pages, frame] = [LEAF - 3, LEAF + 5, 7 * PAGE];
  assert.is(map.mapRange(first, pages, frame, STAGE2_RIGHTS.all), pages);
  for (let page = 0; page < 3 * LEAF; page++) {
    const at = page - first;
    const expected = at >= 0 && at < pages ? frame + at * PAGE : -1;
    assert.is(map.frame(page, STAGE2_RIGHTS.write), expected, `page ${page}`);
  }
  assert.is(map.mapRange(LEAF, 2, frame + 3 * PAGE, STAGE2_RIGHTS.read), 2);
  assert.is(map.frame(LEAF, STAGE2_RIGHTS.write), -1);
  assert.is(map.frame(LEAF + 2, STAGE2_RIGHTS.write), frame + 5 * PAGE);
  assert.is(map.mapRange(LEAF, 1, frame, 0), 1);
  assert.is(map.entry(LEAF), 0);
});

test('frames above 2 GiB keep their number', () => {
  const map = make(1);
  assert.is(map.mapRange(5, 3, 0xffff_c000, STAGE2_RIGHTS.read), 3);
  assert.is(map.frame(7, STAGE2_RIGHTS.read), 0xffff_e000);
});

test('without room for a table it says how far it came', () => {
  const map = make(1);
  assert.is(map.mapRange(0, 2 * LEAF, PAGE, STAGE2_RIGHTS.all), LEAF);
});

test.run();
