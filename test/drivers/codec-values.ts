/** What the codec's own reader and writer are compared with, and values to compare them on. */
import fc from 'fast-check';
import { Packr } from 'msgpackr/pack';
import type { Shapes, StructureTable } from '../../bus/codec/structure-table.js';

/** A msgpackr configured as the codec's, with the shapes of `table`. */
export function packrOn(table: StructureTable): Packr {
  return new Packr({
    useRecords: true,
    copyBuffers: true,
    int64AsType: 'bigint',
    moreTypes: false,
    mapsAsObjects: true,
    getStructures: () => table.load(),
    // WHY: msgpackr calls it with what getStructures answered, grown.
    saveStructures: (shapes: unknown) => table.save(shapes as Shapes),
    maxSharedStructures: table.max,
    shouldShareStructure: () => true,
  });
}

/** Nested values of every kind a message may hold, `also` among the leaves; records have up to `keysMax` fields called `names`. */
export function messageValues(
  names: readonly string[],
  keysMax: number,
  ...also: fc.Arbitrary<unknown>[]
): fc.Arbitrary<unknown> {
  const leaf = fc.oneof(
    fc.integer(),
    fc.integer({ min: -70, max: 300 }),
    fc.integer({ min: -40_000, max: 70_000 }),
    fc.double(),
    fc.constantFrom(0, -0, 63, 64, 0xff, 0x100, 0xffff, 0x10000, 2 ** 31, 2 ** 32 - 1, 2 ** 32, -32, -33, -128, -129),
    fc.string({ maxLength: 70 }),
    ...also,
    fc.string({ unit: 'binary', maxLength: 20 }),
    fc.boolean(),
    fc.constant(null),
    fc.constant(undefined),
    fc.uint8Array({ maxLength: 300 }),
    fc.bigInt({ min: -(1n << 63n), max: (1n << 64n) - 1n }),
  );
  return fc.letrec<{ value: unknown }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 4 },
      leaf,
      fc.array(tie('value'), { maxLength: 20 }),
      fc.dictionary(fc.constantFrom(...names), tie('value'), { maxKeys: keysMax, noNullPrototype: true }),
    ),
  })).value;
}
