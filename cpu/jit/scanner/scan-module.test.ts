/** What the scanner accepts and refuses, on functions written by hand: control flow and locals. */
import { setFlagsFromString } from 'node:v8';
import * as assert from 'uvu/assert';
import { spec } from '../../../test/harness/spec.js';
import { STATE, TLB } from '../../state.js';
import { FunctionBody, i32, i64, type Val } from '../../wasm/body.js';
import { ModuleBuilder } from '../../wasm/module.js';
import type { Rule } from './refusal.js';
import { scanModule } from './scan-module.js';

const INDEX_MASK = (1 << TLB.entriesLog2) - 1;
const test = spec('scan-module');
setFlagsFromString('--experimental-wasm-relaxed-simd'); // Node 22 has it without

/** Writes one function: a small emitter of its own, so that every shape can be had. */
class Writer {
  readonly body = new FunctionBody(['i32']);
  readonly state = this.body.param(0, 'i32');
  readonly va = this.body.local('i64');
  readonly tlb = this.body.local('i32');
  readonly other = this.body.local('i64');

  /** Begins with va = X1 and tlb = STATE.tlb. */
  constructor() {
    this.loadVa();
    this.body.assign(this.tlb, this.loadTlb());
  }
  loadVa(): void {
    this.body.assign(this.va, this.body.load(0x29, 'i64', 3, this.state, 8));
  }
  loadTlb(): Val {
    return this.body.load(0x28, 'i32', 2, this.state, STATE.tlb);
  }
  entry(va: Val = this.va, tlb: Val = this.tlb): Val {
    const { body } = this;
    const offset = body.op(
      'i32.and',
      body.op('i32.wrap_i64', body.op('i64.shr_u', va, i64(7))),
      i32(INDEX_MASK << TLB.entryBytesLog2),
    );
    return body.op('i32.add', tlb, offset);
  }
  page(va: Val): Val {
    return this.body.op('i64.and', va, i64(~0xfffn));
  }
  plus(va: Val, by: number): Val {
    return this.body.op('i64.add', va, i64(by));
  }
  hit(entry: Val, page: Val, write = false): Val {
    const tag = this.body.load(0x29, 'i64', 3, entry, write ? TLB.writeTag : TLB.readTag);
    return this.body.op('i64.eq', page, tag);
  }
  not(condition: Val): Val {
    return this.body.op('i32.eqz', condition);
  }
  host(entry: Val, va: Val = this.va): Val {
    const addend = this.body.load(0x28, 'i32', 2, entry, TLB.addend);
    return this.body.op('i32.add', this.body.op('i32.wrap_i64', va), addend);
  }
  read8(host: Val, offset = 0): void {
    this.body.load(0x29, 'i64', 0, host, offset);
  }
  leave(): void {
    this.body.return(i32(6));
  }
  /** Checks 8 bytes at va, leaving if that fails. */
  check(entry: Val, bytes = 8, write = false): void {
    this.body.openIf(this.not(this.hit(entry, this.page(this.plus(this.va, bytes - 1)), write)));
    this.leave();
    this.body.end();
  }
  step(): void {
    this.body.call(0, [this.state], 'i32');
  }
}

function moduleOf(write: (w: Writer) => void): Uint8Array<ArrayBuffer> {
  const writer = new Writer();
  write(writer);
  writer.leave();
  const module = new ModuleBuilder();
  module.importFunction('step', ['i32'], ['i32']);
  const index = module.declare(module.type(['i32'], ['i32']));
  module.setBody(index, writer.body.finish());
  module.exportFunction('r0', index);
  return module.build();
}

/** Expects the function `write` makes to be valid WebAssembly and refused by `rule`, or accepted. */
function expect(title: string, rule: Rule | undefined, write: (w: Writer) => void): void {
  test(`${title}: ${rule ?? 'accepted'}`, () => {
    const bytes = moduleOf(write);
    assert.ok(WebAssembly.validate(bytes), 'the module is valid WebAssembly');
    const scanned = scanModule(bytes);
    assert.is(scanned.ok ? undefined : scanned.error.rule, rule);
  });
}

expect('a checked load', undefined, (w) => {
  const entry = w.entry();
  w.check(entry);
  w.read8(w.host(entry));
});
expect('a check that leaves by br_if', undefined, (w) => {
  const exit = w.body.block();
  const entry = w.entry();
  w.body.branchIf(w.not(w.hit(entry, w.page(w.plus(w.va, 7)))), exit);
  w.read8(w.host(entry));
  w.body.end();
});
expect('behind the block that such a br_if leaves', 'unchecked', (w) => {
  const entry = w.entry();
  const exit = w.body.block();
  w.body.branchIf(w.not(w.hit(entry, w.page(w.plus(w.va, 7)))), exit);
  w.body.end();
  w.read8(w.host(entry));
});
expect('an access in the arm of an if on the hit', undefined, (w) => {
  const entry = w.entry();
  w.body.openIf(w.hit(entry, w.page(w.plus(w.va, 7))));
  w.read8(w.host(entry));
  w.body.end();
});
expect('an access in the other arm', 'unchecked', (w) => {
  const entry = w.entry();
  w.body.openIf(w.hit(entry, w.page(w.plus(w.va, 7))));
  w.body.openElse();
  w.read8(w.host(entry));
  w.body.end();
});
expect('an access behind an if whose second arm leaves', undefined, (w) => {
  const entry = w.entry();
  w.body.openIf(w.hit(entry, w.page(w.plus(w.va, 7))));
  w.body.openElse();
  w.leave();
  w.body.end();
  w.read8(w.host(entry));
});
expect('one check for several displacements', undefined, (w) => {
  const first = w.plus(w.va, -16);
  const entry = w.entry(first);
  w.body.openIf(w.not(w.hit(entry, w.page(w.plus(w.va, 31)))));
  w.leave();
  w.body.end();
  w.read8(w.host(entry, first));
  w.read8(w.host(entry, first), 40);
  w.read8(w.host(entry, w.plus(w.va, 24)));
  w.read8(w.host(entry, w.va), 8);
});
expect('a displacement beyond what was checked', 'range', (w) => {
  const entry = w.entry();
  w.check(entry, 16);
  w.read8(w.host(entry), 9);
});
expect('a displacement before what was checked', 'range', (w) => {
  const entry = w.entry();
  w.check(entry, 16);
  w.read8(w.host(entry, w.plus(w.va, -1)), 1);
});
expect('a memory argument that would wrap around', 'range', (w) => {
  const entry = w.entry();
  w.check(entry);
  w.read8(w.host(entry, w.plus(w.va, 1)), 0xffffffff);
});
expect('a check wider than a page', 'unchecked', (w) => {
  const entry = w.entry();
  w.check(entry, 8192);
  w.read8(w.host(entry));
});
expect('a register changed between check and access', 'range', (w) => {
  const entry = w.entry();
  w.check(entry);
  w.body.assign(w.va, w.plus(w.va, 4096));
  w.read8(w.host(entry));
});
expect('a register changed in an arm between check and access', 'unchecked', (w) => {
  const entry = w.entry();
  w.check(entry);
  w.body.openIf(w.body.op('i32.wrap_i64', w.va));
  w.body.assign(w.va, i64(0));
  w.body.end();
  w.read8(w.host(entry));
});
expect('a register changed later in the loop', 'unchecked', (w) => {
  const entry = w.entry();
  w.check(entry);
  const top = w.body.loop();
  w.read8(w.host(entry));
  w.body.assign(w.va, w.plus(w.va, 4096));
  w.body.branchIf(w.body.op('i32.wrap_i64', w.va), top);
  w.body.end();
});
expect('a host address made before a loop with calls', 'stale', (w) => {
  const entry = w.entry();
  w.check(entry);
  const host = w.body.local('i32');
  w.body.assign(host, w.host(entry));
  w.body.loop();
  w.step();
  w.body.end();
  w.read8(host);
});
expect('a host address made before a compare-and-exchange loop', undefined, (w) => {
  const entry = w.entry();
  w.check(entry, 8, true);
  const host = w.host(entry);
  const top = w.body.loop();
  for (const value of [host, i64(0), i64(1)]) w.body.push(value);
  w.body.memory(0xfe000049, 3, 0);
  w.body.branchIf(w.not(w.body.op('i32.wrap_i64', w.body.result('i64'))), top);
  w.body.end();
});
expect('a host address moved on by such a loop', 'address', (w) => {
  const entry = w.entry();
  w.check(entry, 8, true);
  const host = w.body.local('i32');
  w.body.assign(host, w.host(entry));
  const top = w.body.loop();
  w.body.store(0x37, 0, host, i64(0), 0);
  w.body.assign(host, w.body.op('i32.add', host, i32(8)));
  w.body.branchIf(i32(1), top);
  w.body.end();
});
expect('a host address made before a loop that calls', 'address', (w) => {
  const entry = w.entry();
  w.check(entry);
  const host = w.host(entry);
  const top = w.body.loop();
  w.read8(host);
  w.step();
  w.body.branchIf(i32(1), top);
  w.body.end();
});
for (const [title, rule, limit, bytes] of [
  ['the page of an earlier access, all bytes within', undefined, 4089, 8],
  ['the page of an earlier access, one byte may be beyond', 'range', 4090, 8],
  ['the page of an earlier access, not limited', 'range', 4097, 1],
] as const) {
  expect(title, rule, (w) => {
    const entry = w.entry();
    w.check(entry, 1);
    const page = w.page(w.va);
    const other = w.plus(w.va, 100);
    w.body.openIf(w.body.op('i64.lt_u', w.body.op('i64.sub', other, page), i64(limit)));
    w.body.load(bytes === 8 ? 0x29 : 0x31, 'i64', 0, w.host(entry, other), 0);
    w.body.end();
  });
}
expect('the page of an earlier access equal to that of the last byte: the first may be before it', 'range', (w) => {
  const entry = w.entry();
  w.check(entry, 1);
  const other = w.plus(w.va, 100);
  w.body.openIf(w.body.op('i64.eq', w.page(w.plus(other, 7)), w.page(w.va)));
  w.read8(w.host(entry, other));
  w.body.end();
});
expect('the page of an earlier access equal to that of a single byte', undefined, (w) => {
  const entry = w.entry();
  w.check(entry, 1);
  const other = w.plus(w.va, 100);
  w.body.openIf(w.body.op('i64.eq', w.page(other), w.page(w.va)));
  w.body.load(0x31, 'i64', 0, w.host(entry, other), 0);
  w.body.end();
});
expect('the page of an unchecked address', 'unchecked', (w) => {
  const entry = w.entry();
  const other = w.plus(w.va, 100);
  w.body.openIf(w.body.op('i64.lt_u', w.body.op('i64.sub', other, w.page(w.va)), i64(4089)));
  w.read8(w.host(entry, other));
  w.body.end();
});

/** Locals of a remembered page, as the emitter uses them, with each part replaceable. */
class Pages {
  readonly page: Val;
  readonly addend: Val;
  readonly room: Val;
  readonly #w: Writer;
  constructor(w: Writer) {
    this.#w = w;
    this.page = w.body.local('i64');
    this.addend = w.body.local('i32');
    this.room = w.body.local('i64');
  }
  /** Remembers the page of va for reading or writing, in place: page, addend and room of `into`. */
  remember(write = false, into: Pages = this): void {
    const entry = this.#w.entry();
    this.#w.check(entry, 8, write);
    this.#w.body.assign(this.page, this.#w.page(this.#w.va));
    this.#w.body.assign(this.addend, this.#w.body.load(0x28, 'i32', 2, entry, TLB.addend));
    this.#w.body.assign(into.room, i64(4065));
  }
  /** In a loop round: the access by what is remembered, with `otherwise` if nothing fits. */
  use(
    options: { write?: boolean; otherwise?: () => void; room?: Val; before?: () => void; offset?: number } = {},
  ): void {
    const { body, va } = this.#w;
    const within = body.op('i64.lt_u', body.op('i64.sub', va, this.page), options.room ?? this.room);
    body.openIf(within);
    options.before?.();
    const host = body.op('i32.add', body.op('i32.wrap_i64', va), this.addend);
    if (options.write === true) body.store(0x37, 0, host, i64(0), options.offset ?? 0);
    else this.#w.read8(host, options.offset ?? 0);
    body.openElse();
    (options.otherwise ?? (() => this.remember(options.write)))();
    body.end();
  }
  forget(): void {
    this.#w.body.assign(this.room, i64(0));
  }
}
/** A long loop (so that it is not looked through) of `round`. */
function longLoop(w: Writer, round: () => void, moved = w.va): void {
  const top = w.body.loop();
  round();
  for (let i = 0; i < 100; i++) w.body.assign(moved, w.plus(moved, 1));
  w.body.branchIf(w.body.op('i32.wrap_i64', moved), top);
  w.body.end();
}
function expectPages(title: string, rule: Rule | undefined, write: (w: Writer, p: Pages) => void): void {
  expect(`remembered page: ${title}`, rule, (w) => write(w, new Pages(w)));
}

expectPages('across rounds of a short loop', undefined, (w, p) => {
  const top = w.body.loop();
  p.use();
  w.body.branchIf(w.body.op('i32.wrap_i64', w.va), top);
  w.body.end();
});
expectPages('across rounds of a long loop, for writing', undefined, (w, p) =>
  longLoop(w, () => p.use({ write: true })),
);
expectPages('32 bytes', undefined, (w, p) => longLoop(w, () => p.use({ offset: 24 })));
expectPages('a byte more', 'range', (w, p) => longLoop(w, () => p.use({ offset: 25 })));
expectPages('never set, so never used', undefined, (w, p) => longLoop(w, () => p.use({ otherwise: () => w.leave() })));
expectPages('a constant instead of the room: a page of zero would fit addresses near zero', 'address', (w, p) =>
  longLoop(w, () => p.use({ room: i64(4065) })),
);
expectPages('its room another one', 'remembered', (w, p) => {
  const other = new Pages(w);
  longLoop(w, () => p.use({ room: other.room, otherwise: () => p.remember() }));
});
expectPages('set for reading in one loop, used for writing in another', 'tag', (w, p) => {
  longLoop(w, () => p.use());
  longLoop(w, () => p.use({ write: true }));
});
expectPages('set for writing, used for reading too', undefined, (w, p) => {
  longLoop(w, () => p.use({ write: true }));
  longLoop(w, () => p.use({ otherwise: () => w.leave() }));
});
expectPages('page and addend shared by two rooms', 'remembered', (w, p) => {
  const other = new Pages(w);
  longLoop(w, () => p.use());
  p.remember(false, other);
});
expectPages('used before a loop in the loop, and behind it', undefined, (w, p) =>
  longLoop(w, () => {
    p.use();
    longLoop(w, () => undefined, w.other);
    p.use();
  }),
);
expectPages('a call in the loop, forgotten behind it', undefined, (w, p) =>
  longLoop(w, () => {
    p.use();
    w.step();
    p.forget();
  }),
);
expectPages('a call in the loop', 'remembered', (w, p) =>
  longLoop(w, () => {
    p.use();
    w.step();
  }),
);
expectPages('two calls, forgotten behind one', 'remembered', (w, p) =>
  longLoop(w, () => {
    p.use();
    w.step();
    w.step();
    p.forget();
  }),
);
expectPages('forgotten behind a call, and a branch', 'remembered', (w, p) =>
  longLoop(w, () => {
    p.use();
    w.step();
    const end = w.body.block();
    w.body.branchIf(w.body.op('i32.wrap_i64', w.va), end);
    p.forget();
    w.body.end();
  }),
);
expectPages('a call before anything is remembered, not forgotten', 'remembered', (w, p) =>
  longLoop(w, () => {
    w.step();
    w.body.block();
    w.body.end();
    p.use();
  }),
);
expectPages('used between call and forgetting', 'address', (w, p) =>
  longLoop(w, () => {
    w.step();
    p.use();
    p.forget();
  }),
);
for (const between of ['call', 'loop']) {
  expectPages(`a ${between} between comparison and access`, 'stale', (w, p) => {
    const loop = (): void => longLoop(w, () => undefined, w.other);
    const call = (): void => {
      w.step();
      p.forget();
      w.body.block();
      w.body.end();
    };
    longLoop(w, () => {
      w.loadVa();
      p.use({ before: between === 'call' ? call : loop });
    });
  });
}
expectPages('another remembered between comparison and access', 'range', (w, p) =>
  longLoop(w, () => {
    const other = w.body.local('i64');
    w.body.assign(other, w.va);
    p.use({
      before: () => {
        w.body.assign(w.va, w.plus(w.va, 64));
        p.remember();
        w.body.assign(w.va, other);
      },
    });
  }),
);
expectPages('the addend assigned elsewhere', 'remembered', (w, p) => {
  longLoop(w, () => p.use());
  w.body.assign(p.addend, i32(0));
});
expectPages('the page assigned elsewhere', 'remembered', (w, p) => {
  w.body.assign(p.page, i64(0));
  longLoop(w, () => p.use());
});
expectPages('the room not forgotten but enlarged', 'remembered', (w, p) => {
  longLoop(w, () => p.use());
  w.body.assign(p.room, i64(4066));
});
expectPages('a branch within the assignments', 'remembered', (w, p) =>
  longLoop(w, () =>
    p.use({
      otherwise: () => {
        const entry = w.entry();
        w.check(entry);
        w.body.assign(p.page, w.page(w.va));
        const end = w.body.block();
        w.body.branchIf(w.body.op('i32.wrap_i64', w.va), end);
        w.body.assign(p.addend, w.body.load(0x28, 'i32', 2, entry, TLB.addend));
        w.body.assign(p.room, i64(4065));
        w.body.end();
      },
    }),
  ),
);
expectPages('remembered before the check', 'remembered', (w, p) =>
  longLoop(w, () =>
    p.use({
      otherwise: () => {
        const entry = w.entry();
        w.body.assign(p.page, w.page(w.va));
        w.body.assign(p.addend, w.body.load(0x28, 'i32', 2, entry, TLB.addend));
        w.body.assign(p.room, i64(4065));
        w.check(entry);
      },
    }),
  ),
);
expect('a check in a loop before its access', undefined, (w) => {
  const top = w.body.loop();
  const entry = w.entry();
  w.check(entry);
  w.read8(w.host(entry));
  w.body.assign(w.va, w.plus(w.va, 4096));
  w.body.branchIf(w.body.op('i32.wrap_i64', w.va), top);
  w.body.end();
});
expect('the TLB local reloaded in a loop', undefined, (w) => {
  const top = w.body.loop();
  const entry = w.entry();
  w.check(entry);
  w.read8(w.host(entry));
  w.step();
  w.body.assign(w.tlb, w.loadTlb());
  w.body.branchIf(i32(1), top);
  w.body.end();
});
expect('the TLB local overwritten in a loop, behind its use', 'tlbLocal', (w) => {
  const top = w.body.loop();
  const entry = w.entry();
  w.check(entry);
  w.read8(w.host(entry));
  w.body.assign(w.tlb, i32(4096));
  w.body.branchIf(i32(1), top);
  w.body.end();
});
expect('the TLB local overwritten in an arm', 'address', (w) => {
  w.body.openIf(w.body.op('i32.wrap_i64', w.va));
  w.body.assign(w.tlb, i32(4096));
  w.body.end();
  const entry = w.entry();
  w.check(entry);
  w.read8(w.host(entry));
});
expect('a TLB local that may still be zero', 'address', (w) => {
  const tlb = w.body.local('i32');
  w.body.openIf(w.body.op('i32.wrap_i64', w.va));
  w.body.assign(tlb, w.loadTlb());
  w.body.end();
  const entry = w.entry(w.va, tlb);
  w.check(entry);
  w.read8(w.host(entry));
});
expect('a store to the state block by a computed address', 'address', (w) => {
  w.body.store(0x36, 2, w.body.op('i32.add', w.state, i32(8)), i32(0), 0);
});
expect('a fact of the first arm used in the second', 'unchecked', (w) => {
  const entry = w.entry();
  w.body.openIf(w.body.op('i32.wrap_i64', w.va));
  w.check(entry);
  w.body.openElse();
  w.read8(w.host(entry));
  w.body.end();
});
expect('an atomic wait', 'operator', (w) => {
  for (const value of [i32(0), i32(0), i64(0)]) w.body.push(value);
  w.body.memory(0xfe000001, 2, 0);
  w.body.result('i32');
});

expect('a fused multiply-add', undefined, (w) => {
  const a = w.body.load(0xfd0000, 'v128', 4, w.state, STATE.v);
  w.body.store(0xfd000b, 4, w.state, w.body.op('f64x2.relaxed_madd', a, a, a), STATE.v);
});

test.run();
