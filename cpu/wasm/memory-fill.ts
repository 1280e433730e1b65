/**
 * `memory.fill` on the shared memory. V8 fills typed arrays over shared buffers element by element (6.6 us for 32 KiB);
 * the WebAssembly instruction takes 0.3 us, and TLB banks and pre-decoded pages are cleared often.
 */
import { FunctionBody } from './body.js';
import { ModuleBuilder } from './module.js';

/** Fills `bytes` bytes from `address` with the byte `value`. */
export type MemoryFill = (address: number, value: number, bytes: number) => void;

let compiled: WebAssembly.Module | undefined;

/** The module of {@link memoryFill}, made once for each thread: to be called while there is time. */
export function fillModule(): WebAssembly.Module {
  if (compiled !== undefined) return compiled;
  const module = new ModuleBuilder();
  const index = module.declare(module.type(['i32', 'i32', 'i32'], []));
  const body = new FunctionBody(['i32', 'i32', 'i32']);
  for (let i = 0; i < 3; i++) body.push(body.param(i, 'i32'));
  body.rawOp(0xfc0b);
  body.code.byte(0); // memory index
  module.setBody(index, body.finish());
  module.exportFunction('fill', index);
  compiled = new WebAssembly.Module(module.build());
  return compiled;
}

/** Makes the fill function of `memory`. */
export function memoryFill(memory: WebAssembly.Memory): MemoryFill {
  const instance = new WebAssembly.Instance(fillModule(), { env: { memory } });
  // WHY: the module built above exports exactly this function.
  return instance.exports['fill'] as MemoryFill;
}
