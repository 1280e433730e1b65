import { equal, is } from 'uvu/assert';
import { Decoder } from '../../cpu/decode/decoder.js';
import { INSTRUCTIONS } from '../../cpu/isa/table.js';
import type { JournalPage } from '../../cpu/jit/code-journal.js';
import { spec } from '../../test/harness/spec.js';
import { chooseRegions } from './code-cache-choice.js';

const test = spec('choice of regions for the translation cache');
const decoder = new Decoder(INSTRUCTIONS);
const RET = 0xd65f03c0;
/** add x0, x1, #imm */
const add = (imm: number): number => 0x91000020 + (imm << 10);

/** A page of 32 functions of 32 instructions each, none of them like another's; those of `hot` got hot, all others warm. */
function page(first: number, hot: readonly number[]): JournalPage {
  const bytes = new Uint8Array(4096);
  const view = new DataView(bytes.buffer);
  for (let at = 0; at < 4096; at += 4)
    view.setUint32(at, at % 128 === 124 ? RET : add((first * 32 + (at >> 7)) & 0xfff), true);
  const all = Array.from({ length: 32 }, (_, n) => n);
  const offsets = (list: readonly number[]): Uint16Array<ArrayBuffer> => Uint16Array.from(list, (n) => n * 128);
  return { bytes, hot: offsets(hot), warm: offsets(all.filter((n) => !hot.includes(n))) };
}

function viewOf(pages: readonly JournalPage[]): DataView {
  const bytes = new Uint8Array(pages.length * 4096);
  for (const [n, one] of pages.entries()) bytes.set(one.bytes, n * 4096);
  return new DataView(bytes.buffer);
}

test('hot code first, then warm code, up to the bound', () => {
  const pages = [page(0, [3]), page(1, [5, 6])];
  const chosen = chooseRegions(viewOf(pages), decoder, pages, 5 * 32, () => false);
  equal(
    chosen.map(({ host, region }) => [host, region.entries]),
    [
      [0, [3 * 128]],
      [4096, [5 * 128]],
      [4096, [6 * 128]],
      [0, [0]],
      [0, [128]],
    ],
  );
});

test('what is there already takes no room from what is not', () => {
  const pages = [page(0, [0, 1, 2, 3]), page(1, [])];
  const view = viewOf(pages);
  const before = chooseRegions(view, decoder, pages, 10 * 32, () => false);
  const there = new Set(before.map(({ host, region }) => host + region.entries[0]!));
  const more = chooseRegions(view, decoder, pages, 20 * 32, ({ host, region }) => there.has(host + region.entries[0]!));
  is(before.length, 10);
  is(more.length, 20);
  is(
    more.some(({ host, region }) => there.has(host + region.entries[0]!)),
    false,
  );
});

test('the same code in two pages counts once', () => {
  const pages = [page(0, []), page(0, [])];
  is(chooseRegions(viewOf(pages), decoder, pages, 1e6, () => false).length, 32);
});

test.run();
