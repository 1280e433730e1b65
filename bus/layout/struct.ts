/**
 * `struct()` declares a packed little-endian wire layout once: explicit widths, explicit offsets, explicit padding. Gaps,
 * overlaps, misaligned fields and wrong totals are refused when the module loads. Fields are declared in fields.ts.
 */
import { assert } from '../assert.js';
import { ok, type Result } from '../result.js';
import { type Fault, fail } from '../status.js';

/** One field: where it lies and how it is read and written. `T` is the type of its value. */
export interface Field<T> {
  /** Offset from the start of the struct, in bytes. */
  readonly at: number;
  /** Width in bytes. */
  readonly sizeBytes: number;
  /** Offsets must be a multiple of this, in bytes. */
  readonly alignBytes: number;
  /** What the table printer shows, such as `u32`. */
  readonly type: string;
  /** Reads the value at absolute offset `at` of `view`. */
  get(view: DataView, at: number): T;
  /** Writes the value at absolute offset `at` of `view`. */
  put(view: DataView, at: number, value: T): void;
  /** The path below this field of the first reserved byte that is not zero (empty string: this field), if any. */
  dirty(view: DataView, at: number): string | undefined;
  /** True for declared padding: absent from the value. */
  readonly reserved?: true;
}

/** Declared padding; see `mustBeZero` in fields.ts. */
export interface Reserved extends Field<undefined> {
  readonly reserved: true;
}

/** The fields of a struct by name. */
export type Fields = Readonly<Record<string, Field<never> | Field<unknown>>>;
type ValueOf<F> = F extends Field<infer T> ? T : never;
type NamesOf<F extends Fields> = { [K in keyof F]: F[K] extends Reserved ? never : K }[keyof F] & string;

/** The value type of a struct: its fields without the padding. */
export type Of<S> = S extends Struct<infer F> ? { readonly [K in NamesOf<F>]: ValueOf<F[K]> } : never;

/** A declared layout. `offsets` and `sizeBytes` serve code that reads single words itself with Atomics. */
export interface Struct<F extends Fields> {
  readonly name: string;
  /** Total width in bytes. */
  readonly sizeBytes: number;
  /** The widest alignment among the fields, in bytes. */
  readonly alignBytes: number;
  readonly fields: F;
  /** Offset of every field, in bytes. */
  readonly offsets: { readonly [K in keyof F]: number };
  /** Reads a value at `at` bytes into `view`; refuses a view too short and reserved bytes that are not zero. */
  read(view: DataView, at: number): Result<Of<Struct<F>>, Fault<'badArgument'>>;
  /** Writes `value` at `at` bytes into `view`, padding as zeros; the caller guarantees the room (asserted). */
  write(view: DataView, at: number, value: Of<Struct<F>>): void;
}

/** `value` as bytes of their own. */
export function bytesOf<T>(
  layout: { readonly sizeBytes: number; write(view: DataView, at: number, value: T): void },
  value: T,
): Uint8Array {
  const bytes = new Uint8Array(layout.sizeBytes);
  layout.write(new DataView(bytes.buffer), 0, value);
  return bytes;
}

/** Declares the layout `name` of exactly `sizeBytes` bytes. Throws an `AssertionFailure` when the fields do not tile it. */
export function struct<const F extends Fields>(name: string, sizeBytes: number, fields: F): Struct<F> {
  checkTiling(name, sizeBytes, fields);
  // WHY: the mapped types of a struct cannot be followed by the compiler through Object.entries; the loops below visit
  // exactly the declared fields, and each field's get and put agree on its type.
  const entries = Object.entries(fields) as [string, Field<unknown>][];
  const offsets = Object.fromEntries(entries.map(([key, field]) => [key, field.at])) as Struct<F>['offsets'];
  return Object.freeze({
    name,
    sizeBytes,
    alignBytes: entries.reduce((widest, [, field]) => Math.max(widest, field.alignBytes), 1),
    fields,
    offsets,
    read(view: DataView, at: number) {
      if (!Number.isInteger(at) || at < 0 || at + sizeBytes > view.byteLength) return fail('badArgument', name);
      const value: Record<string, unknown> = {};
      for (const [key, field] of entries) {
        const dirty = field.dirty(view, at + field.at);
        if (dirty !== undefined) return fail('badArgument', `${name}.${key}${dirty}`);
        if (field.reserved === undefined) value[key] = field.get(view, at + field.at);
      }
      return ok(value as Of<Struct<F>>);
    },
    write(view: DataView, at: number, value: Of<Struct<F>>) {
      assert(at >= 0 && at + sizeBytes <= view.byteLength, `${name}: no room at offset ${at}`);
      const source = value as Record<string, unknown>;
      for (const [key, field] of entries) field.put(view, at + field.at, source[key]);
    },
  });
}

/** Fields in order of offset must tile [0, sizeBytes) exactly, each aligned. */
function checkTiling(name: string, sizeBytes: number, fields: Fields): void {
  let end = 0;
  let last = 'the start';
  for (const [key, field] of Object.entries(fields).sort(([, a], [, b]) => a.at - b.at)) {
    assert(Number.isInteger(field.at) && field.at >= 0, `${name}.${key}: offset ${field.at} is not a whole number`);
    assert(
      field.at % field.alignBytes === 0,
      `${name}.${key}: offset ${field.at} is not aligned to ${field.alignBytes}`,
    );
    assert(field.at >= end, `${name}.${key}: at ${field.at} overlaps ${last}, which ends at ${end}`);
    assert(field.at === end, `${name}: gap of ${field.at - end} bytes between ${last} and ${key}`);
    end = field.at + field.sizeBytes;
    last = key;
  }
  assert(end === sizeBytes, `${name}: fields end at ${end}, declared total is ${sizeBytes}`);
}
