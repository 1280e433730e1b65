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
/** A value of {@link features}, to be sent to other threads. */
export type HostFeatures = Readonly<typeof features>;
/** Compiles a module by the engine's optimising compiler. */
export type CompileOptimised = (bytes: Uint8Array<ArrayBuffer>) => WebAssembly.Module;

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
  exportName: string,
): Uint8Array<ArrayBuffer> {
  const params = [type, type, type] as const;
  const body = new FunctionBody(params);
  const lanes = [0, 1, 2].map((i) => body.op(`${shape}.splat`, body.param(i, type)));
  body.return(body.lane(`${shape}.extract_lane`, 0, body.op(`${shape}.relaxed_${operator}`, ...lanes)));
  body.unreachable();
  const module = new ModuleBuilder();
  const index = module.declare(module.type(params, [type]));
  module.setBody(index, body.finish());
  module.exportFunction(exportName, index);
  return module.build();
}

/** Whether all four operators exist and fuse, by the baseline compiler and by the optimising one. */
function fusesMultiplyAdd(optimised: CompileOptimised | undefined): boolean {
  return PROBES.every(({ shape, type, epsilon, operator }) => {
    const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
    const factor = 1 + epsilon;
    const sign = operator === 'madd' ? 1 : -1;
    // Under another name it is another module: the engine would answer the same bytes with the same code.
    const fuses = (name: string, compile: CompileOptimised, calls: number): boolean => {
      const bytes = probeModule(shape, type, operator, name);
      if (!WebAssembly.validate(bytes)) return false;
      // WHY: probeModule exports exactly this.
      const probe = new WebAssembly.Instance(compile(bytes), { env: { memory } }).exports[name] as Probe;
      for (let i = 0; i < calls; i++) probe(factor, factor, i);
      return probe(factor * sign, factor, -1 - 2 * epsilon) === epsilon * epsilon;
    };
    const plain: CompileOptimised = (bytes) => new WebAssembly.Module(bytes);
    if (!fuses('probe', plain, 0)) return false;
    return optimised === undefined ? fuses('probe2', plain, PROBE_CALLS) : fuses('probe3', optimised, 0);
  });
}

type Probe = (a: number, b: number, c: number) => number;

/**
 * Sets {@link features} by trying. To be called after engine flags and before the first code is generated. Without
 * `optimised` the optimising compiler is called for by many calls, which takes a tenth of a second.
 */
export function detectFeatures(optimised?: CompileOptimised): void {
  features.fusedMadd = fusesMultiplyAdd(optimised);
}

/** Sets {@link features} to what another thread of the process has found out. */
export function setFeatures(found: HostFeatures): void {
  features.fusedMadd = found.fusedMadd;
}

/** A short text that differs whenever generated code may. */
export function featureKey(): string {
  return features.fusedMadd ? 'fma' : 'plain';
}
