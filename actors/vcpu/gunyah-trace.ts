/** A Gunyah VM's calls as a trace tells them: names of the call, its arguments, its error and its results. */

import type { TraceFields } from '../../bus/tap/trace.js';
import type { CpuState } from '../../cpu/cpu-state.js';
import { CALL_BY_NUMBER } from '../abi/gunyah/calls.js';
import { decodeCall } from '../abi/gunyah/decode.js';
import { IDENTIFY } from '../abi/gunyah/dispatch.js';
import { errorName } from '../abi/gunyah/errors.js';

const hex = (value: bigint | number): string => `0x${value.toString(16)}`;

/**
 * The call that just trapped with `immediate`, before it is carried out: a function that describes it once it has been.
 * Undefined for what PSCI's and SMCCC's own tables answer.
 */
export function describeGunyahCall(
  state: CpuState,
  instruction: 'hvc' | 'smc',
  immediate: number,
): (() => TraceFields) | undefined {
  const asked = decodeCall(instruction, immediate, state.get32(0) >>> 0);
  const register = (n: number): bigint => state.get64(n * 8);
  if (asked.is === 'service') {
    const { id } = asked;
    return () => ({ name: 'service', id: hex(id), result: hex(register(0)) });
  }
  if (asked.is !== 'hypercall') return undefined;
  const call = CALL_BY_NUMBER[asked.n];
  const args = (call?.args ?? []).map(({ name }, n) => [name, hex(register(n + asked.shift))] as const);
  const head = { name: call?.name ?? 'unknown', n: hex(asked.n), ...Object.fromEntries(args) };
  if (asked.n === IDENTIFY) return () => ({ ...head, result: hex(register(0)) });
  return () => {
    const error = Number(BigInt.asIntN(32, register(0)));
    const results = error === 0 ? (call?.results ?? []).map((name, n) => [`>${name}`, hex(register(n + 1))]) : [];
    return { ...head, result: errorName(error), ...Object.fromEntries(results) };
  };
}
