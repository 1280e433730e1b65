/** The slow path of accesses: how it touches memory that other vCPUs share. Stage 1 is off, so nothing is in the TLB. */
import * as assert from 'uvu/assert';
import { BareMetalMachine } from '../test/drivers/bare-metal-machine.js';
import { spec } from '../test/harness/spec.js';
import { EXIT } from './state.js';

const test = spec('memory access');
const CODE = 0x4000_0000;
const DATA = 0x4000_2000n;
const VALUE = 0xf1e2_d3c4_b5a6_9788n;
const STLR = 0x089ffc20; // STLRB W0, [X1]; bits 31 and 30: size
const LDAR = 0x08dffc22; // LDARB W2, [X1]

/** Runs `body` and returns the operations of Atomics that it used: name, bytes and address. */
function atomicsUsedIn(body: () => void): string[] {
  const used: string[] = [];
  const originals = { load: Atomics.load, store: Atomics.store };
  const noting =
    (name: 'load' | 'store') =>
    (...args: readonly unknown[]): unknown => {
      const { BYTES_PER_ELEMENT: bytes } = args[0] as Uint8Array;
      used.push(`${name} ${bytes} at ${Number(args[1]) * bytes}`);
      return Reflect.apply(originals[name], Atomics, args);
    };
  Object.assign(Atomics, { load: noting('load'), store: noting('store') });
  try {
    body();
  } finally {
    Object.assign(Atomics, originals);
  }
  return used;
}

// A plain store here let the LDAR behind it, whose page is in the TLB, be performed first: seen by pairs of random programs.
for (let size = 0; size < 4; size++) {
  const bytes = 1 << size;
  test(`STLR and LDAR of ${bytes} bytes that miss the TLB are sequentially consistent accesses`, () => {
    const machine = new BareMetalMachine(1, { jit: false });
    const words = [STLR, LDAR].map((word) => (word | (size << 30)) >>> 0);
    machine.load(CODE, new Uint8Array(new Uint32Array(words).buffer));
    const { core } = machine;
    core.reset(BigInt(CODE), VALUE);
    core.set64(8, DATA);
    const stored = atomicsUsedIn(() => assert.is(core.step(), EXIT.next));
    const [store] = stored.filter((operation) => operation.startsWith(`store ${bytes} at `));
    assert.ok(store, stored.join());
    const loaded = atomicsUsedIn(() => assert.is(core.step(), EXIT.next));
    assert.ok(loaded.includes(`${store}`.replace('store', 'load')), loaded.join());
    assert.is(core.get64(16), BigInt.asUintN(8 * bytes, VALUE));
  });
}

test.run();
