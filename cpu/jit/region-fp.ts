/** What a region knows of FPCR and FPSR: only what ends or leaves the region, or is done by a handler, changes them. */
import { FAST_BOUNDS, type FastBounds } from '../isa/fp/fast-bounds.js';
import type { Ops } from '../ops.js';
import { STATE } from '../state.js';
import { type FunctionBody, i32, i64, type Val } from '../wasm/body.js';

/** See the head of this file. */
export class RegionFp {
  readonly #fast: Val;
  readonly #fpcr: Val;
  /** As numbers of the same bits. */
  readonly bounds: FastBounds;

  constructor(body: FunctionBody) {
    this.#fast = body.local('i32');
    this.#fpcr = body.local('i32');
    this.bounds = {
      f64: { plain: body.local('i64'), infinity: body.local('f64') },
      f32: { plain: body.local('i32'), infinity: body.local('f32') },
    };
  }

  /** Reads the state block, by `load`. */
  reload(k: Ops, load: (offset: number) => Val): void {
    k.assign(this.#fast, load(STATE.fpFast));
    k.assign(this.#fpcr, load(STATE.fpcr));
    const { f64, f32 } = this.bounds;
    const wide = (value: bigint): Val => k.select(this.#fast, i64(value), i64(0));
    const narrow = (value: number): Val => k.select(this.#fast, i32(value), i32(0));
    k.assign(f64.plain, wide(FAST_BOUNDS.f64.plain));
    k.assign(f64.infinity, k.op('f64.reinterpret_i64', wide(FAST_BOUNDS.f64.infinity)));
    k.assign(f32.plain, narrow(FAST_BOUNDS.f32.plain));
    k.assign(f32.infinity, k.op('f32.reinterpret_i32', narrow(FAST_BOUNDS.f32.infinity)));
  }

  /** A field of the state block that is known here. */
  field(offset: number): Val | undefined {
    if (offset === STATE.fpFast) return this.#fast;
    return offset === STATE.fpcr ? this.#fpcr : undefined;
  }
}
