/** The field kinds a `struct()` may hold: unsigned and signed integers, byte strings, padding, nested structs, arrays. */
import { assert } from '../assert.js';
import type { Field, Fields, Of, Reserved, Struct } from './struct.js';

const clean = (): undefined => undefined;

/** Unsigned 8-bit integer at byte `at`. */
export const u8 = (at: number): Field<number> => ({
  at,
  sizeBytes: 1,
  alignBytes: 1,
  type: 'u8',
  get: (view, o) => view.getUint8(o),
  put: (view, o, value) => view.setUint8(o, value),
  dirty: clean,
});
/** Unsigned 16-bit little-endian integer at byte `at`. */
export const u16 = (at: number): Field<number> => ({
  at,
  sizeBytes: 2,
  alignBytes: 2,
  type: 'u16',
  get: (view, o) => view.getUint16(o, true),
  put: (view, o, value) => view.setUint16(o, value, true),
  dirty: clean,
});
/** Unsigned 32-bit little-endian integer at byte `at`. */
export const u32 = (at: number): Field<number> => ({
  at,
  sizeBytes: 4,
  alignBytes: 4,
  type: 'u32',
  get: (view, o) => view.getUint32(o, true),
  put: (view, o, value) => view.setUint32(o, value, true),
  dirty: clean,
});
/** Signed 32-bit little-endian integer at byte `at`. */
export const i32 = (at: number): Field<number> => ({
  at,
  sizeBytes: 4,
  alignBytes: 4,
  type: 'i32',
  get: (view, o) => view.getInt32(o, true),
  put: (view, o, value) => view.setInt32(o, value, true),
  dirty: clean,
});
/** Unsigned 64-bit little-endian integer at byte `at`, a bigint. */
export const u64 = (at: number): Field<bigint> => ({
  at,
  sizeBytes: 8,
  alignBytes: 8,
  type: 'u64',
  get: (view, o) => view.getBigUint64(o, true),
  put: (view, o, value) => view.setBigUint64(o, value, true),
  dirty: clean,
});
/** Signed 64-bit little-endian integer at byte `at`, a bigint. */
export const i64 = (at: number): Field<bigint> => ({
  at,
  sizeBytes: 8,
  alignBytes: 8,
  type: 'i64',
  get: (view, o) => view.getBigInt64(o, true),
  put: (view, o, value) => view.setBigInt64(o, value, true),
  dirty: clean,
});

/** Unsigned 16-bit integer in network (big-endian) byte order at byte `at`; for the Internet's headers only. */
export const net16 = (at: number): Field<number> => ({
  at,
  sizeBytes: 2,
  alignBytes: 2,
  type: 'net16',
  get: (view, o) => view.getUint16(o, false),
  put: (view, o, value) => view.setUint16(o, value, false),
  dirty: clean,
});
/** Unsigned 32-bit integer in network (big-endian) byte order at byte `at`; for the Internet's headers only. */
export const net32 = (at: number): Field<number> => ({
  at,
  sizeBytes: 4,
  alignBytes: 2,
  type: 'net32',
  get: (view, o) => view.getUint32(o, false),
  put: (view, o, value) => view.setUint32(o, value, false),
  dirty: clean,
});

/** `count` raw bytes at byte `at`; reading copies them out, writing demands exactly that many (asserted). */
export const bytes = (at: number, count: number): Field<Uint8Array> => ({
  at,
  sizeBytes: count,
  alignBytes: 1,
  type: `bytes[${count}]`,
  get: (view, o) => new Uint8Array(view.buffer, view.byteOffset + o, count).slice(),
  put(view, o, value) {
    assert(value.byteLength === count, `bytes(${count}) given ${value.byteLength}`);
    new Uint8Array(view.buffer, view.byteOffset + o, count).set(value);
  },
  dirty: clean,
});

/** `count` bytes of padding at byte `at`: refused on read unless zero, zeroed on write, absent from the value. */
export const mustBeZero = (at: number, count: number): Reserved => ({
  at,
  sizeBytes: count,
  alignBytes: 1,
  type: `zero[${count}]`,
  reserved: true,
  get: clean,
  put: (view, o) => void new Uint8Array(view.buffer, view.byteOffset + o, count).fill(0),
  dirty(view, o) {
    let i = 0;
    for (; i + 4 <= count; i += 4) if (view.getUint32(o + i) !== 0) return '';
    for (; i < count; i++) if (view.getUint8(o + i) !== 0) return '';
    return undefined;
  },
});

/** The struct `inner` at byte `at`; its padding is checked with it. */
export function nested<F extends Fields>(at: number, inner: Struct<F>): Field<Of<Struct<F>>> {
  // WHY: the entries are exactly the declared fields; the compiler cannot follow them through the generic F.
  const parts = Object.entries(inner.fields) as [string, Field<unknown>][];
  return {
    at,
    sizeBytes: inner.sizeBytes,
    alignBytes: inner.alignBytes,
    type: inner.name,
    get: (view, o) =>
      Object.fromEntries(
        parts.filter(([, f]) => f.reserved === undefined).map(([key, f]) => [key, f.get(view, o + f.at)]),
      ) as Of<Struct<F>>,
    put: (view, o, value) => inner.write(view, o, value),
    dirty(view, o) {
      for (const [key, f] of parts) {
        const below = f.dirty(view, o + f.at);
        if (below !== undefined) return `.${key}${below}`;
      }
      return undefined;
    },
  };
}

/** `count` elements one after another at byte `at`; `element` is a field constructor such as `u32`. */
export function array<T>(at: number, count: number, element: (at: number) => Field<T>): Field<readonly T[]> {
  const one = element(0);
  assert(one.sizeBytes % one.alignBytes === 0, `array of ${one.type}: elements would be misaligned`);
  const places = Array.from({ length: count }, (_, i) => i * one.sizeBytes);
  return {
    at,
    sizeBytes: count * one.sizeBytes,
    alignBytes: one.alignBytes,
    type: `${one.type}[${count}]`,
    get: (view, o) => places.map((place) => one.get(view, o + place)),
    put(view, o, value) {
      assert(value.length === count, `array of ${count} given ${value.length}`);
      for (const [i, place] of places.entries()) one.put(view, o + place, value[i] as T);
    },
    dirty(view, o) {
      for (const [i, place] of places.entries()) {
        const below = one.dirty(view, o + place);
        if (below !== undefined) return `[${i}]${below}`;
      }
      return undefined;
    },
  };
}
