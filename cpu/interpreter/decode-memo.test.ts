import * as assert from 'uvu/assert';
import { spec } from '../../test/harness/spec.js';
import { Decoder } from '../decode/decoder.js';
import { INSTRUCTIONS } from '../isa/table.js';
import { MEMO, MEMO_BYTES, SAVED_STARTS, STATE, VCPU_AREA_BYTES, WORK } from '../state.js';
import { ModuleBuilder } from '../wasm/module.js';
import { DecodeMemo } from './decode-memo.js';
import { RecordWriter } from './pre-decode.js';
import { addRecall, savedStart } from './recall.js';
import {
  HandlerNumbers,
  PAGE_HOST,
  PAGE_IN_USE,
  RECORD,
  RECORD_BYTES,
  RECORD_PAGE_BYTES,
  REGION_BIT,
} from './record.js';

const test = spec('records by word');
const decoder = new Decoder(INSTRUCTIONS);
const numbers = new HandlerNumbers(INSTRUCTIONS);
/** The vCPU's area lies at 0. */
const ARENA = Math.ceil(VCPU_AREA_BYTES / 4096) * 4096;
const PAGES = 3;
const CODE = ARENA + 65_536;

function make() {
  const memory = new WebAssembly.Memory({ initial: (CODE + 65_536) >> 16, maximum: 4096, shared: true });
  const view = new DataView(memory.buffer);
  const words = new Int32Array(memory.buffer);
  const writer = new RecordWriter(view, numbers, new Uint8Array(numbers.count));
  return { memory, view, words, writer, memo: new DecodeMemo(words, 0) };
}

/** Words of which a third are anything and the others mostly instructions, many of them again and again. */
function* drawn(count: number): Generator<number> {
  let state = 1;
  for (let n = 0; n < count; n++) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    const word = n % 3 === 0 ? state : state & 0x9fff_ffff;
    yield word & (n % 2 === 0 ? -1 : ~0x001e_0300);
  }
}

test('a recalled record is the record that was made, but for mark and count', () => {
  const { memory, view, words, writer, memo } = make();
  let known = 0;
  let n = 0;
  for (const word of drawn(200_000)) {
    n++;
    const [made, recalled] = [ARENA, ARENA + RECORD_BYTES];
    new Uint8Array(memory.buffer, ARENA, 2 * RECORD_BYTES).fill(0);
    for (const at of [made, recalled]) {
      view.setUint16(at + RECORD.handler, n % 2 === 0 ? REGION_BIT : 0, true);
      view.setUint16(at + RECORD.count, n & 0xffff, true);
    }
    writer.write(made, word, decoder.decode(word));
    if (n % 5 !== 0) memo.remember(word, made);
    if (!memo.recall(word, recalled)) continue;
    known++;
    const bytes = (at: number): number[] => [...new Uint8Array(memory.buffer, at, RECORD_BYTES)];
    // An unallocated word takes no mark: no region starts there.
    if (decoder.decode(word) !== undefined) assert.equal(bytes(recalled), bytes(made), `word ${word.toString(16)}`);
  }
  assert.ok(known >= 160_000);
  const table = new SharedArrayBuffer(MEMO_BYTES);
  memo.copyTo(table);
  assert.not(new DecodeMemo(words, 0).recall(0, ARENA), 'nothing is known at first, not even word 0');
  const again = new DecodeMemo(words, 0, table);
  assert.ok([...drawn(200_000)].slice(-1000).filter((word) => again.recall(word, ARENA)).length >= 790);
});

test('where every place is taken, a word keeps its record until two others of its first place have come', () => {
  const { view, words, writer, memo } = make();
  words.fill(0x0101_0101, MEMO.at >> 2, (MEMO.at + MEMO_BYTES) >> 2);
  const place = (word: number): number => Math.imul(word, 0x9e3779b1) >>> 15;
  const first = 0x9100_0400;
  const same: number[] = [];
  for (let word = first + 1; same.length < 2; word++) if (place(word) === place(first)) same.push(word);
  const remember = (word: number): void => {
    writer.write(ARENA, word, decoder.decode(word));
    memo.remember(word, ARENA);
  };
  const knows = (word: number): boolean => memo.recall(word, ARENA + RECORD_BYTES);
  remember(first);
  remember(same[0]!);
  remember(same[0]!);
  assert.ok(knows(first) && knows(same[0]!));
  remember(same[1]!);
  assert.equal([first, ...same].map(knows), [false, true, true]);
  assert.ok(view.getUint16(ARENA + RECORD_BYTES, true) !== 0);
});

test('as many words as a kernel boots with are all known', () => {
  const { view, writer, memo } = make();
  // Of 131,072 places; without moving others one in twenty is forgotten.
  const count = 82_000;
  const drawnWords = [...new Set(drawn(150_000))].slice(0, count);
  const wordAt = (n: number): number => drawnWords[n] ?? 0;
  const clear = (): void => {
    for (let at = 0; at < 2 * RECORD_BYTES; at += 4) view.setInt32(ARENA + at, 0, true);
  };
  for (let n = 0; n < count; n++) {
    clear();
    writer.write(ARENA, wordAt(n), decoder.decode(wordAt(n)));
    memo.remember(wordAt(n), ARENA);
  }
  let known = 0;
  for (let n = 0; n < count; n++) {
    clear();
    if (!memo.recall(wordAt(n), ARENA + RECORD_BYTES)) continue;
    known++;
    if (n % 97 !== 0 || decoder.decode(wordAt(n)) === undefined) continue;
    writer.write(ARENA, wordAt(n), decoder.decode(wordAt(n)));
    for (const at of [0, 8, 12]) {
      assert.is(view.getInt32(ARENA + RECORD_BYTES + at, true), view.getInt32(ARENA + at, true));
    }
  }
  assert.ok(known > count * 0.995, `${known} of ${count}`);
});

test('generated code makes the records that are known, and leaves the others and those where a kept region may begin', () => {
  const { memory, view, words, writer, memo } = make();
  const module = new ModuleBuilder();
  module.exportFunction('recall', addRecall(module, module.importFunction('decode', ['i32', 'i32'], [])));
  const left: number[] = [];
  const instance = new WebAssembly.Instance(new WebAssembly.Module(module.build()), {
    env: { memory, decode: (_state: number, record: number) => left.push(record) },
  });
  const recall = instance.exports['recall'] as (state: number, record: number) => void;
  view.setInt32(STATE.arena, ARENA, true);
  for (let page = 0; page < PAGES; page++) {
    view.setInt32(ARENA + page * RECORD_PAGE_BYTES + PAGE_HOST, CODE + page * 4096, true);
  }
  const counts = { made: 0, left: 0, start: 0 };
  let n = 0;
  for (const word of drawn(60_000)) {
    n++;
    const [page, offset] = [n % PAGES, (n * 28) & 0xffc];
    const base = ARENA + page * RECORD_PAGE_BYTES;
    const record = base + offset * 4;
    view.setInt32(CODE + page * 4096 + offset, word, true);
    if (n % 3 === 0) {
      writer.write(ARENA + PAGES * RECORD_PAGE_BYTES, word, decoder.decode(word));
      memo.remember(word, ARENA + PAGES * RECORD_PAGE_BYTES);
    }
    const first = n % 4 === 0 ? 750 : 0;
    const before = [n % 2 === 0 ? REGION_BIT : 0, n & 0x3fff] as const;
    const prepare = (): void => {
      new Uint8Array(memory.buffer, record, RECORD_BYTES).fill(0);
      view.setUint16(record + RECORD.handler, before[0], true);
      view.setUint16(record + RECORD.count, before[1], true);
    };
    prepare();
    const isKnown = memo.recall(word, record);
    if (first !== 0) view.setUint16(record + RECORD.count, first, true);
    const expected = [...new Uint8Array(memory.buffer, record, RECORD_BYTES)];
    prepare();
    const bit = savedStart(offset, word) >>> (32 - SAVED_STARTS.bitsLog2);
    const at = SAVED_STARTS.at + (bit >>> 3);
    const isStart = n % 7 === 0;
    view.setUint8(at, isStart ? 1 << (bit & 7) : ~(1 << (bit & 7)));
    view.setInt32(STATE.firstCount, first, true);
    view.setInt32(STATE.budget, 1000, true);
    view.setUint16(base + PAGE_IN_USE, 0, true);
    left.length = 0;
    recall(0, record);
    view.setUint8(at, 0);
    const isMade = isKnown && !isStart;
    assert.equal(left, isMade ? [] : [record]);
    assert.is(view.getInt32(STATE.budget, true), isMade ? 1000 - WORK.recall : 1000);
    assert.is(view.getUint16(base + PAGE_IN_USE, true), isMade ? 1 : 0);
    if (isMade) assert.equal([...new Uint8Array(memory.buffer, record, RECORD_BYTES)], expected);
    counts[isMade ? 'made' : isStart ? 'start' : 'left']++;
  }
  assert.ok(Math.min(counts.made, counts.left, counts.start) > 3000, JSON.stringify(counts));
  assert.ok(words.length > 0);
});

test('another vCPU is lent all that is known, and knows nothing else', () => {
  const { words, writer, memo } = make();
  const other = Math.ceil(VCPU_AREA_BYTES / 65_536) * 65_536;
  const memory = new WebAssembly.Memory({ initial: (3 * other) >> 16, maximum: 4096, shared: true });
  const both = new Int32Array(memory.buffer);
  const [mine, theirs] = [new DecodeMemo(both, 0), new DecodeMemo(both, other)];
  const [made, recalled] = [2 * other, 2 * other + RECORD_BYTES];
  const [known, forgotten] = [0xd65f03c0 | 0, 0xd503201f | 0];
  writer.write(ARENA, known, decoder.decode(known >>> 0));
  both.set(words.subarray(ARENA >> 2, (ARENA + RECORD_BYTES) >> 2), made >> 2);
  mine.remember(known, made);
  theirs.remember(forgotten, made);
  const before = both.slice(other >> 2, (other + MEMO.at) >> 2);
  mine.lendTo(other);
  assert.is(theirs.recall(known, recalled), true);
  assert.equal(
    both.slice(recalled >> 2, (recalled + RECORD_BYTES) >> 2),
    both.slice(made >> 2, (made + RECORD_BYTES) >> 2),
  );
  assert.is(theirs.recall(forgotten, recalled), false);
  assert.equal(both.slice(other >> 2, (other + MEMO.at) >> 2), before);
  assert.equal(
    both.slice((other + MEMO.at + MEMO_BYTES) >> 2, (other + VCPU_AREA_BYTES) >> 2).some((word) => word !== 0),
    false,
  );
  assert.is(memo.recall(known, ARENA), false);
});

test.run();
