/**
 * Whether the host's `relaxed_madd` multiplies and adds with one rounding, so that it is Arm's FMADD and FMLA. The
 * operators exist where the engine has relaxed SIMD (Node 22; Node 20 with --experimental-wasm-relaxed-simd), and fuse
 * where the processor can. The answer is found by running them, once, before the first code is generated.
 */
import { FunctionBody } from './body.js';
import { ModuleBuilder } from './module.js';
import type { WasmOp } from './opcodes.js';

/** A product whose rounding error is all that is left of the sum: (1 + e)^2 - (1 + 2e) is e^2 if fused, else 0. */
const PROBES = [
  { shape: 'f32x4', type: 'f32', epsilon: 2 ** -15 },
  { shape: 'f64x2', type: 'f64', epsilon: 2 ** -30 },
] as const;

/** A module that applies `relaxed_madd` to three scalars. */
function probeModule(shape: 'f32x4' | 'f64x2', type: 'f32' | 'f64'): Uint8Array<ArrayBuffer> {
  const params = [type, type, type] as const;
  const body = new FunctionBody(params);
  const lanes = [0, 1, 2].map((i) => body.op(`${shape}.splat`, body.param(i, type)));
  const sum = body.op(`${shape}.relaxed_madd` satisfies WasmOp, ...lanes);
  body.return(body.lane(`${shape}.extract_lane`, 0, sum));
  body.unreachable();
  const module = new ModuleBuilder();
  const index = module.declare(module.type(params, [type]));
  module.setBody(index, body.finish());
  module.exportFunction('probe', index);
  return module.build();
}

function detect(): boolean {
  return PROBES.every(({ shape, type, epsilon }) => {
    const bytes = probeModule(shape, type);
    if (!WebAssembly.validate(bytes)) return false;
    const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
    const instance = new WebAssembly.Instance(new WebAssembly.Module(bytes), { env: { memory } });
    // WHY: probeModule exports exactly this.
    const probe = instance.exports['probe'] as (a: number, b: number, c: number) => number;
    const factor = 1 + epsilon;
    return probe(factor, factor, -1 - 2 * epsilon) === epsilon * epsilon;
  });
}

let known: boolean | undefined;

/** See the head of this file. Engine flags must be set before the first call. */
export function hostFusesMultiplyAdd(): boolean {
  known ??= detect();
  return known;
}
