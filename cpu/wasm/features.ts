/**
 * What the host's WebAssembly engine and processor offer beyond the standard, found out by running it. Generated code
 * depends on the answers, so whoever stores generated code must key it by {@link featureKey}.
 */
import { FunctionBody } from './body.js';
import { ModuleBuilder } from './module.js';

/**
 * `fusedMadd`: `relaxed_madd` and `relaxed_nmadd` multiply and add with one rounding, so that they are Arm's FMADD, FMLA and
 * relatives (docs/adr/0031). They exist where the engine has relaxed SIMD: Node 22, or Node 20 with --experimental-wasm-relaxed-simd.
 */
export const features = { fusedMadd: false };

/** A product whose rounding error is all that is left of the sum: (1 + e)^2 - (1 + 2e) is e^2 if fused, else 0. */
const PROBES = [
  { shape: 'f32x4', type: 'f32', epsilon: 2 ** -15, operator: 'madd' },
  { shape: 'f64x2', type: 'f64', epsilon: 2 ** -30, operator: 'madd' },
  { shape: 'f32x4', type: 'f32', epsilon: 2 ** -15, operator: 'nmadd' },
  { shape: 'f64x2', type: 'f64', epsilon: 2 ** -30, operator: 'nmadd' },
] as const;

/** Calls after which the engine's optimising compiler may have replaced the probe's code. */
const PROBE_CALLS = 20_000;

/** A module that applies a fused operator to three scalars. */
function probeModule(
  shape: 'f32x4' | 'f64x2',
  type: 'f32' | 'f64',
  operator: 'madd' | 'nmadd',
): Uint8Array<ArrayBuffer> {
  const params = [type, type, type] as const;
  const body = new FunctionBody(params);
  const lanes = [0, 1, 2].map((i) => body.op(`${shape}.splat`, body.param(i, type)));
  body.return(body.lane(`${shape}.extract_lane`, 0, body.op(`${shape}.relaxed_${operator}`, ...lanes)));
  body.unreachable();
  const module = new ModuleBuilder();
  const index = module.declare(module.type(params, [type]));
  module.setBody(index, body.finish());
  module.exportFunction('probe', index);
  return module.build();
}

/** Whether all four operators exist and fuse, before and after many calls. */
function fusesMultiplyAdd(): boolean {
  return PROBES.every(({ shape, type, epsilon, operator }) => {
    const bytes = probeModule(shape, type, operator);
    if (!WebAssembly.validate(bytes)) return false;
    const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
    const instance = new WebAssembly.Instance(new WebAssembly.Module(bytes), { env: { memory } });
    // WHY: probeModule exports exactly this.
    const probe = instance.exports['probe'] as (a: number, b: number, c: number) => number;
    const factor = 1 + epsilon;
    const sign = operator === 'madd' ? 1 : -1;
    const fuses = (): boolean => probe(factor * sign, factor, -1 - 2 * epsilon) === epsilon * epsilon;
    if (!fuses()) return false;
    for (let i = 0; i < PROBE_CALLS; i++) probe(factor, factor, i);
    return fuses();
  });
}

/** Sets {@link features}. To be called in every thread that generates code, after engine flags and before the first code. */
export function detectFeatures(): void {
  features.fusedMadd = fusesMultiplyAdd();
}

/** A short text that differs whenever generated code may. */
export function featureKey(): string {
  return features.fusedMadd ? 'fma' : 'plain';
}
