/**
 * What the interpreter calls for a record that is not made yet, before the core is asked: copies the record of a word that is known
 * (decode-memo.ts), unless a kept region may begin there, which is for the core to find out (jit/saved-code.ts).
 */
import { MEMO, SAVED_STARTS, STATE, WORK } from '../state.js';
import { i32, type Val } from '../wasm/body.js';
import type { ModuleBuilder } from '../wasm/module.js';
import { WORD_MULTIPLIERS } from './decode-memo.js';
import { Writer } from './reach.js';
import { PAGE_HOST, PAGE_IN_USE, RECORD, RECORD_PAGE_BYTES, REGION_BIT } from './record.js';

const LOAD8 = 0x2d;
const LOAD16 = 0x2f;
const STORE16 = 0x3b;
const STORE32 = 0x36;
/** Multipliers of {@link savedStart}. */
const START_MULTIPLIER = 0x85ebca6b | 0;
const MIXED_MULTIPLIER = 0x9e3779b1 | 0;

/** Hash of `word` at byte `offset` of its page, 32 bits: of where a kept region may begin. */
export function savedStart(offset: number, word: number): number {
  return Math.imul(Math.imul(word, START_MULTIPLIER) ^ (offset << 7), MIXED_MULTIPLIER) >>> 0;
}

/** (state, record): makes the record at `record`. `decode` is the core's. */
function recallBody(decode: number): Uint8Array {
  const w = new Writer(['i32', 'i32']);
  const { body, state } = w;
  const record = body.param(1, 'i32');
  const toCore = (): void => {
    body.call(decode, [state, record]);
    body.rawOp(0x0f);
  };
  const shift = (value: Val, by: number): Val => w.op('i32.shr_u', value, i32(by));
  const arena = w.keep(w.word(state, STATE.arena));
  const page = w.op('i32.div_u', w.op('i32.sub', record, arena), i32(RECORD_PAGE_BYTES));
  const base = w.keep(w.add(arena, w.op('i32.mul', page, i32(RECORD_PAGE_BYTES))));
  const offset = w.keep(shift(w.op('i32.sub', record, base), 2));
  const word = w.keep(w.word(w.add(w.word(base, PAGE_HOST), offset), 0));
  const mixed = w.op('i32.mul', word, i32(START_MULTIPLIER));
  const start = w.op('i32.xor', mixed, w.op('i32.shl', offset, i32(7)));
  const bit = w.keep(shift(w.op('i32.mul', start, i32(MIXED_MULTIPLIER)), 32 - SAVED_STARTS.bitsLog2));
  const byte = body.load(LOAD8, 'i32', 0, w.add(state, shift(bit, 3)), SAVED_STARTS.at);
  w.when(w.and(w.op('i32.shr_u', byte, w.and(bit, i32(7))), i32(1)), toCore);
  const number = body.local('i32');
  const at = body.local('i32');
  for (let n = 0; n < 2 * WORD_MULTIPLIERS.length; n++) {
    if (n % 2 === 1) body.assign(number, w.op('i32.xor', number, i32(1)));
    else body.assign(number, shift(w.op('i32.mul', word, i32(WORD_MULTIPLIERS[n >> 1]!)), 32 - MEMO.slotsLog2));
    body.assign(at, w.add(state, w.op('i32.mul', number, i32(MEMO.slotBytes))));
    w.when(w.op('i32.eq', w.word(at, MEMO.at), word), () => {
      const first = w.keep(w.word(at, MEMO.at + 4));
      w.when(first, () => {
        const mark = w.and(body.load(LOAD16, 'i32', 1, record, RECORD.handler), i32(REGION_BIT));
        body.store(STORE32, 2, record, w.op('i32.or', first, mark), 0);
        const count = w.keep(w.word(state, STATE.firstCount));
        body.store(STORE16, 1, record, w.word(at, MEMO.at + 8), 4);
        w.when(count, () => body.store(STORE16, 1, record, count, RECORD.count));
        body.store(STORE32, 2, record, w.word(at, MEMO.at + 12), 8);
        body.store(STORE32, 2, record, w.word(at, MEMO.at + 16), 12);
        body.store(STORE16, 1, base, i32(1), PAGE_IN_USE);
        body.store(STORE32, 2, state, w.op('i32.sub', w.word(state, STATE.budget), i32(WORK.recall)), STATE.budget);
        body.rawOp(0x0f);
      });
    });
  }
  body.call(decode, [state, record]);
  return body.finish();
}

/** Adds the function to `module`; `decode` is the index of the core's. Returns its index. */
export function addRecall(module: ModuleBuilder, decode: number): number {
  const index = module.declare(module.type(['i32', 'i32'], []));
  module.setBody(index, recallBody(decode));
  return index;
}
