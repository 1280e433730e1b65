/** What the scanner accepts and refuses of a module besides the code of its functions: its sections. */
import * as assert from 'uvu/assert';
import { spec } from '../../../test/harness/spec.js';
import { STATE } from '../../state.js';
import { FunctionBody, i32 } from '../../wasm/body.js';
import { ModuleBuilder } from '../../wasm/module.js';
import type { Rule } from './refusal.js';
import { scanModule } from './scan-module.js';

const test = spec('module shape');

/** A module of one function, as generated ones are. */
function goodModule(): Uint8Array<ArrayBuffer> {
  const module = new ModuleBuilder();
  module.importFunction('step', ['i32'], ['i32']);
  const index = module.declare(module.type(['i32'], ['i32']));
  const body = new FunctionBody(['i32']);
  body.return(body.load(0x28, 'i32', 2, body.param(0, 'i32'), STATE.tlb));
  body.unreachable();
  module.setBody(index, body.finish());
  module.exportFunction('r0', index);
  return module.build();
}
const GOOD = goodModule();

/** The sections of a module: [id, content]. */
function sectionsOf(bytes: Uint8Array): [number, number[]][] {
  const sections: [number, number[]][] = [];
  for (let at = 8; at < bytes.length; ) {
    const id = bytes[at++] ?? 0;
    let length = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++] ?? 0;
      length |= (byte & 0x7f) << shift;
      if (byte < 0x80) break;
    }
    sections.push([id, [...bytes.subarray(at, at + length)]]);
    at += length;
  }
  return sections;
}
function assemble(sections: readonly (readonly [number, readonly number[]])[]): Uint8Array<ArrayBuffer> {
  const short = sections.map(([id, content]) => [id, content.length & 0x7f, ...content]);
  assert.ok(sections.every(([, content]) => content.length < 128));
  return new Uint8Array([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, ...short.flat()]);
}
const text = (name: string): number[] => [name.length, ...[...name].map((c) => c.charCodeAt(0))];

/** Expects the good module, with a section replaced or added, to be refused by `rule`. */
function expectShape(title: string, rule: Rule, id: number, content: readonly number[]): void {
  test(`${title}: ${rule}`, () => {
    const sections = sectionsOf(GOOD);
    const changed = [...sections.filter(([other]) => other !== id), [id, content] as const];
    const bytes = assemble(changed.sort((a, b) => a[0] - b[0]));
    assert.ok(WebAssembly.validate(bytes), 'the module is valid WebAssembly');
    const scanned = scanModule(bytes);
    assert.is(scanned.ok ? undefined : scanned.error.rule, rule);
  });
}
const STEP = [...text('env'), ...text('step'), 0, 0];
const MEMORY = [...text('env'), ...text('memory'), 2, 3, 1, 16];

test('the good module is accepted, and so is what the test assembles of its sections', () => {
  assert.ok(scanModule(GOOD).ok);
  assert.ok(scanModule(assemble(sectionsOf(GOOD))).ok);
});
test('a module cut short anywhere is refused', () => {
  for (let length = 0; length < GOOD.length; length++) assert.not.ok(scanModule(GOOD.slice(0, length)).ok);
});
expectShape('an import from elsewhere', 'import', 2, [2, ...text('sys'), ...text('step'), 0, 0, ...MEMORY]);
expectShape('an import not on the list', 'import', 2, [2, ...text('env'), ...text('kill'), 0, 0, ...MEMORY]);
expectShape('an import named like a built-in', 'import', 2, [2, ...text('env'), ...text('toString'), 0, 0, ...MEMORY]);
expectShape('an imported table', 'import', 2, [3, ...STEP, ...MEMORY, ...text('env'), ...text('t'), 1, 0x70, 0, 0]);
expectShape('an imported global', 'import', 2, [3, ...STEP, ...MEMORY, ...text('env'), ...text('g'), 3, 0x7f, 0]);
expectShape('a memory of its own kind', 'import', 2, [2, ...STEP, ...text('env'), ...text('memory'), 2, 1, 1, 16]);
expectShape('a table that may grow', 'table', 4, [1, 0x70, 0, 1]);
expectShape('a table of others than functions', 'table', 4, [1, 0x6f, 1, 1, 1]);
expectShape('two tables', 'table', 4, [2, 0x70, 1, 1, 1, 0x70, 1, 1, 1]);
expectShape('a table with more places than functions', 'table', 4, [1, 0x70, 1, 2, 2]);
expectShape('a global', 'section', 6, [1, 0x7f, 1, 0x41, 0, 0x0b]);
expectShape('a data segment', 'section', 11, [1, 0, 0x41, 0, 0x0b, 1, 7]);
expectShape('a custom section', 'section', 0, [...text('name'), 0]);
expectShape('an exported memory', 'export', 7, [1, ...text('m'), 2, 0]);
expectShape('an exported import', 'export', 7, [1, ...text('f'), 0, 0]);

test('an element segment and its table are refused', () => {
  const bytes = assemble(
    [...sectionsOf(GOOD), [4, [1, 0x70, 0, 1]] as const, [9, [1, 0, 0x41, 0, 0x0b, 1, 1]] as const].sort(
      (a, b) => a[0] - b[0],
    ),
  );
  assert.ok(WebAssembly.validate(bytes));
  const scanned = scanModule(bytes);
  assert.is(scanned.ok ? undefined : scanned.error.rule, 'table');
});
test('a table of the own functions may be exported, and holds nothing else', () => {
  const withTable = (elements: readonly number[]): Uint8Array<ArrayBuffer> => {
    const sections = sectionsOf(GOOD).filter(([id]) => id !== 7);
    const added = [[4, [1, 0x70, 1, 1, 1]] as const, [7, [1, ...text('t'), 1, 0]] as const, [9, elements] as const];
    const bytes = assemble([...sections, ...added].sort((a, b) => a[0] - b[0]));
    assert.ok(WebAssembly.validate(bytes));
    return bytes;
  };
  assert.ok(scanModule(withTable([1, 2, 0, 0x41, 0, 0x0b, 0, 1, 1])).ok);
  const wrong = [
    [1, 2, 0, 0x41, 0, 0x0b, 0, 1, 0], // the imported function
    [1, 2, 0, 0x41, 1, 0x0b, 0, 1, 1], // not from 0 on
    [1, 3, 0, 1, 1], // a segment that is only declared
    [2, 2, 0, 0x41, 0, 0x0b, 0, 1, 1, 2, 0, 0x41, 0, 0x0b, 0, 1, 1],
    [1, 6, 0, 0x41, 0, 0x0b, 0x70, 1, 0xd2, 1, 0x0b], // expressions
  ];
  for (const elements of wrong) {
    const scanned = scanModule(withTable(elements));
    assert.is(scanned.ok ? undefined : scanned.error.rule, 'table', elements.join());
  }
});
test('code cannot call through that table', () => {
  const module = new ModuleBuilder();
  module.importFunction('step', ['i32'], ['i32']);
  const type = module.type(['i32'], ['i32']);
  const index = module.declare(type);
  const body = new FunctionBody(['i32']);
  body.return(body.callIndirect(type, 0, i32(0), [body.param(0, 'i32')], 'i32'));
  body.unreachable();
  module.setBody(index, body.finish());
  module.ownTable([index]);
  module.exportTable('regions');
  const bytes = module.build();
  assert.ok(WebAssembly.validate(bytes));
  const scanned = scanModule(bytes);
  assert.is(scanned.ok ? undefined : scanned.error.rule, 'operator');
});
/** A module of one generated-looking function and one of type `type`, with further sections. */
function withOther(
  type: readonly number[],
  ...further: (readonly [number, readonly number[]])[]
): Uint8Array<ArrayBuffer> {
  const hasResult = type.at(-1) !== 0;
  const code = hasResult ? [4, 0, 0x41, 0, 0x0b] : [2, 0, 0x0b];
  const sections: (readonly [number, readonly number[]])[] = [
    [1, [2, 0x60, 1, 0x7f, 1, 0x7f, ...type]],
    [2, [2, ...STEP, ...MEMORY]],
    [3, [2, 0, 1]],
    [7, [0]],
    [10, [2, 4, 0, 0x41, 0, 0x0b, ...code]],
    ...further,
  ];
  return assemble(sections.sort((a, b) => a[0] - b[0]));
}
for (const [title, rule, bytes] of [
  ['a function like the others', undefined, withOther([0x60, 1, 0x7f, 1, 0x7f])],
  ['a state block of 64 bits', 'signature', withOther([0x60, 1, 0x7e, 1, 0x7f])],
  ['a function without a state block', 'signature', withOther([0x60, 0, 1, 0x7f])],
  ['a start function', 'signature', withOther([0x60, 0, 0], [8, [2]])],
] as const) {
  test(`${title}: ${rule ?? 'accepted'}`, () => {
    assert.ok(WebAssembly.validate(bytes), 'the module is valid WebAssembly');
    const scanned = scanModule(bytes);
    assert.is(scanned.ok ? undefined : scanned.error.rule, rule);
  });
}

test.run();
