/**
 * Shapes of the operators generated code may use, from the WebAssembly core specification (section 5.4) and its threads
 * proposal. Written anew here, not shared with the emitter: what is not listed is refused.
 */

/** Expands `'1 4-6'` to 1, 4, 5, 6. */
function expand(ranges: string): number[] {
  return ranges.split(' ').flatMap((range) => {
    const [first = 0, last = first] = range.split('-').map(Number);
    return Array.from({ length: last - first + 1 }, (_, i) => first + i);
  });
}

/** A byte per operator from lists of operators with the same value; 0 for what no list names. */
function table(lists: Readonly<Record<number, string>>): Uint8Array {
  const values = new Uint8Array(256);
  for (const [value, ranges] of Object.entries(lists)) for (const code of expand(ranges)) values[code] = Number(value);
  return values;
}

/** Number of operands of an operator that only computes (no immediates, one result); 0: not such an operator. */
export const OPERANDS = table({
  // eqz; clz..popcnt; float abs..sqrt; conversions and sign extensions
  1: '69 80 103-105 121-123 139-145 153-159 167-196',
  // comparisons; integer arithmetic; float add..copysign
  2: '70-79 81-102 106-120 124-138 146-152 160-166',
});

/** The same for the vector operators (prefix 0xfd), without those that have immediates. */
export const VECTOR_OPERANDS = table({
  1:
    '15-20 77 83 94-100 103-106 116-117 122 124-129 131-132 135-138 148 160-161 163-164 167-170 192-193 195-196 ' +
    '199-202 224-225 227 236-237 239 248-255',
  2:
    '14 35-76 78-81 101-102 107-115 118-121 123 130 133-134 139-147 149-153 155-159 171-174 177 181-186 188-191 ' +
    '203-206 209 213-223 228-235 240-247',
  3: '82',
});

/** Relaxed SIMD's multiply-and-add operators (prefix 0xfd, three operands): the only ones of it that code may use. */
export const isFusedOperator = (sub: number): boolean => sub >= 0x105 && sub <= 0x108;

/** Vector operators with one lane byte: operands. */
export const VECTOR_LANE_OPERANDS = table({ 1: '21-22 24-25 27 29 31 33', 2: '23 26 28 30 32 34' });

/** Bytes accessed by plain loads (0x28..0x35) and stores (0x36..0x3e). */
export const ACCESS_BYTES = table({
  1: '44-45 48-49 58 60',
  2: '46-47 50-51 59 61',
  4: '40 42 52-54 56 62',
  8: '41 43 55 57',
});
/** First plain store. */
export const FIRST_STORE = 0x36;

/** Bytes accessed by vector loads without a lane. */
export const VECTOR_LOAD_BYTES = table({ 1: '7', 2: '8', 4: '9 92', 8: '1-6 10 93', 16: '0' });
/** Bytes accessed by loads and stores of one lane (which come with the whole vector as an operand). */
export const VECTOR_LANE_BYTES = table({ 1: '84 88', 2: '85 89', 4: '86 90', 8: '87 91' });
/** First store of one lane. */
export const FIRST_LANE_STORE = 88;

/** Bytes accessed by atomic operators (prefix 0xfe). */
export const ATOMIC_BYTES = table(
  // Every group of seven: i32, i64, i32 8 and 16 bits, i64 8, 16 and 32 bits.
  (() => {
    const lists: Record<number, string> = { 1: '', 2: '', 4: '', 8: '' };
    for (let group = 0x10; group <= 0x48; group += 7) {
      [4, 8, 1, 2, 1, 2, 4].forEach((bytes, i) => {
        lists[bytes] += `${lists[bytes] === '' ? '' : ' '}${group + i}`;
      });
    }
    return lists;
  })(),
);
/** Atomic loads are below this, stores from here, read-modify-writes after them, compare-exchanges last. */
export const FIRST_ATOMIC = { store: 0x17, readModifyWrite: 0x1e, compareExchange: 0x48 } as const;
