/**
 * Whether something else uses the processor's core. On a host that gives out hardware threads, a virtual machine's processor shares the front
 * end of a core with somebody else's: code that is limited by how many instructions are taken in a cycle, as generated code is, then takes up to
 * 1.85 times as long, code that waits for memory or for its own results as long as ever. Nothing inside the virtual machine tells, so a loop of
 * independent instructions is timed.
 */
import { FunctionBody, i32, i64 } from '../../cpu/wasm/body.js';
import { ModuleBuilder } from '../../cpu/wasm/module.js';

/** Independent sums: more additions are ready in each cycle than any core takes. */
const CHAINS = 8;
/** Rounds of one look, some 0.5 ms, of which the quickest of some is kept. */
const ROUNDS = 200_000;
const TRIES = 5;
/** Looks that took longer than the shortest one by this factor found the core shared. */
const SHARED = 1.3;

type Loop = (rounds: number) => number;

function makeLoop(): Loop {
  const body = new FunctionBody(['i32']);
  const left = body.param(0, 'i32');
  const sums = Array.from({ length: CHAINS }, () => body.local('i64'));
  const again = body.loop();
  for (const [n, sum] of sums.entries()) {
    body.assign(sum, body.op('i64.add', sum, i64(0x9e37 + n)));
    body.assign(sum, body.op('i64.xor', sum, i64(0x79b9 + n)));
    body.resetTemporaries();
  }
  body.assign(left, body.op('i32.add', left, i32(-1)));
  body.openIf(left);
  body.branch(again);
  body.end();
  body.end();
  const all = sums.reduce((one, other) => body.op('i64.xor', one, other));
  body.return(body.op('i32.wrap_i64', all));
  body.unreachable();
  const module = new ModuleBuilder();
  const index = module.declare(module.type(['i32'], ['i32']));
  module.setBody(index, body.finish());
  module.exportFunction('loop', index);
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true }); // every module of ours imports one
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(module.build()), { env: { memory } });
  // WHY: a function of this module, whose type is above.
  return exports['loop'] as Loop;
}

/** Looks at the core of the calling thread, wherever that is at the time. */
export class SharedCore {
  readonly #loop = makeLoop();
  readonly #looks: number[] = [];

  constructor() {
    for (let n = 0; n < 20; n++) this.#loop(ROUNDS); // until it is optimised
  }

  /** Takes some 3 ms. */
  look(): void {
    let least = Number.POSITIVE_INFINITY;
    for (let n = 0; n < TRIES; n++) {
      const started = performance.now();
      this.#loop(ROUNDS);
      least = Math.min(least, performance.now() - started);
    }
    this.#looks.push(least);
  }

  /** In how many of the looks the core was shared, and by what factor the longest one was longer than the shortest. */
  get report(): { readonly looks: number; readonly shared: number; readonly worst: number } {
    const least = Math.min(...this.#looks);
    const shared = this.#looks.filter((ms) => ms > least * SHARED).length;
    return { looks: this.#looks.length, shared, worst: Math.max(...this.#looks) / least };
  }
}
