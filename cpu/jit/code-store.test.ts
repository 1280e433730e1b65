import * as assert from 'uvu/assert';
import { spec } from '../../test/harness/spec.js';
import { CodeStore } from './code-store.js';
import type { CompiledModule } from './compile-batch.js';

const test = spec('code store');
const module = new WebAssembly.Module(Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0));

/** A module of `bytes` bytes with one region, at the start of the page at `host`. */
function compiled(id: number, bytes: number, host = id * 4096): CompiledModule {
  return { id, module, bytes, regions: [{ host, offset: 0, name: 'r0', code: Uint32Array.of(1, 0xd65f03c0) }] };
}

test('the oldest modules are forgotten when there are too many bytes', () => {
  const store = new CodeStore({ bytesMax: 100, modulesMax: 1000 });
  for (let id = 1; id <= 3; id++) store.add(compiled(id, 40));
  assert.equal(
    store.modules.map(({ id }) => id),
    [2, 3],
  );
  assert.is(store.find(4096, 0), undefined);
  assert.is(store.find(8192, 0)?.compiled.id, 2);
});

test('or too many modules, however small they are', () => {
  const store = new CodeStore({ bytesMax: 1 << 20, modulesMax: 10 });
  for (let id = 1; id <= 1000; id++) store.add(compiled(id, 1));
  assert.is(store.modules.length, 10);
  assert.is(store.find(990 * 4096, 0), undefined);
  assert.is(store.find(991 * 4096, 0)?.compiled.id, 991);
});

test('what came later for an entry point stays when the older module is forgotten', () => {
  const store = new CodeStore({ bytesMax: 100, modulesMax: 1000 });
  store.add(compiled(1, 40, 4096));
  store.add(compiled(2, 40, 4096));
  store.add(compiled(3, 40));
  assert.equal(
    store.modules.map(({ id }) => id),
    [2, 3],
  );
  assert.is(store.find(4096, 0)?.compiled.id, 2);
});

test.run();
