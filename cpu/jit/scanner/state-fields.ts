/** Which bytes of the state block generated code may write. */
import { STATE, STATE_BYTES } from '../../state.js';

/**
 * Byte ranges [from, to). Not among them, above all: the TLB bank pointers, context, exception level and PSTATE (they
 * decide what the guest may reach), and `attention` (other threads write it). System registers are the guest's own: they
 * steer stage 1 only, and take effect there through the walker, which applies stage 2 to whatever they say.
 */
const WRITABLE: readonly (readonly [from: number, to: number])[] = [
  [STATE.x, STATE.discard + 8],
  [STATE.pc, STATE.pc + 8],
  [STATE.flagN, STATE.flagN + 8],
  [STATE.flagZ, STATE.flagZ + 8],
  [STATE.flagV, STATE.flagV + 8],
  [STATE.flagC, STATE.flagC + 4],
  [STATE.budget, STATE.budget + 4],
  [STATE.exitInfo, STATE.exitInfo + 8],
  [STATE.scratch, STATE.scratch + 16],
  [STATE.monitorAddress, STATE.monitorAddress + 8],
  [STATE.monitorValue, STATE.monitorValue + 16],
  [STATE.monitorSize, STATE.monitorSize + 4],
  // What these three decide is only how exactly floating point is computed.
  [STATE.fpFast, STATE.fpFast + 4],
  [STATE.fpcr, STATE.fpcr + 4],
  [STATE.fpsr, STATE.fpsr + 4],
  [STATE.instructions, STATE.instructions + 8],
  [STATE.operands, STATE.operands + 3 * 16],
  [STATE.daif, STATE.daif + 4],
  [STATE.event, STATE.event + 4],
  [STATE.v, STATE.v + 32 * 16],
  [STATE.sysregs, STATE.sysregsEnd],
];

/** 1 for each byte of the state block that generated code may write. */
export const WRITABLE_STATE: Uint8Array = (() => {
  const map = new Uint8Array(STATE_BYTES);
  for (const [from, to] of WRITABLE) map.fill(1, from, to);
  return map;
})();

/** Whether a store of `bytes` at `offset` of the state block is allowed. */
export function mayStoreToState(offset: number, bytes: number): boolean {
  for (let at = offset; at < offset + bytes; at++) if (WRITABLE_STATE[at] !== 1) return false;
  return true;
}
