/**
 * What is called for SYS instructions before the core is asked: maintenance of caches by address, which there are none of. It only checks
 * the address, and for IC IVAU whether there is decoded code in the page, here or with another vCPU; that is the core's (sysreg/operations.ts).
 */
import { REFILLS, STATE } from '../state.js';
import { ISS, sysregKey } from '../sysreg/encoding.js';
import { SLOT } from '../sysreg/registers.js';
import { i32, i64, type Val } from '../wasm/body.js';
import type { ModuleBuilder } from '../wasm/module.js';
import { Writer } from './reach.js';

const LOAD8 = 0x2d;
const STORE32 = 0x36;
const SCTLR_UCI = 1 << 26;
const IC_IVAU = sysregKey(1, 3, 7, 5, 1);
/** DC CVAC, CVAU, CIVAC. */
const CLEANING = [10, 11, 14].map((crm) => sysregKey(1, 3, 7, crm, 1));

/** (state, iss) -> 0, or 1 when an exception is recorded; STATE.scratch: the operand, then 0 if nothing of the context has changed. */
function systemBody(reach: number, core: number): Uint8Array {
  const w = new Writer(['i32', 'i32']);
  const { body, state } = w;
  const iss = body.param(1, 'i32');
  const coreIf = (condition: Val): void => w.when(condition, () => body.return(body.call(core, [state, iss], 'i32')));
  const key = w.keep(w.and(iss, i32(ISS.keyMask)));
  const isCode = w.keep(w.op('i32.eq', key, i32(IC_IVAU)));
  const known = CLEANING.reduce((all, one) => w.op('i32.or', all, w.op('i32.eq', key, i32(one))), isCode);
  coreIf(w.op('i32.eqz', known));
  const uci = w.and(w.word(state, SLOT.sctlr), i32(SCTLR_UCI));
  coreIf(w.op('i32.eqz', w.op('i32.or', uci, w.word(state, STATE.el))));
  const host = w.keep(body.call(reach, [state, w.wide(state, STATE.scratch), i32(0)], 'i64'));
  coreIf(w.op('i64.eq', host, i64(-1)));
  w.when(isCode, () => {
    const at = w.keep(w.wrap(host));
    const byte = body.load(LOAD8, 'i32', 0, w.add(state, w.op('i32.shr_u', at, i32(15))), REFILLS.at + REFILLS.code);
    coreIf(w.and(w.op('i32.shr_u', byte, w.and(w.op('i32.shr_u', at, i32(12)), i32(7))), i32(1)));
    const isAsked = w.op('i32.eq', w.word(state, STATE.askedCode), w.and(at, i32(-4096)));
    coreIf(w.op('i32.eqz', w.op('i32.or', w.word(state, STATE.alone), isAsked)));
  });
  body.store(STORE32, 2, state, i32(0), STATE.scratch);
  body.return(i32(0));
  body.unreachable();
  return body.finish();
}

/** Adds the function to `module` and puts it in the place of the core's `system` in `indices`; `reach`: see reach.ts. */
export function addCacheOps(module: ModuleBuilder, indices: Map<string, number>, reach: number): void {
  const core = indices.get('system');
  if (core === undefined) return;
  const index = module.declare(module.type(['i32', 'i32'], ['i32']));
  module.setBody(index, systemBody(reach, core));
  indices.set('system', index);
}
