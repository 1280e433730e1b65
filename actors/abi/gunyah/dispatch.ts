/**
 * One hypercall from registers to X0: finds the row, looks capabilities up in their order with the rights the row asks
 * for, and calls the handler. Slow calls go to the core with the same row; it repeats the look-up there, where no other
 * thread can change the answer.
 */
import { assert } from '../../../bus/assert.js';
import type { CapabilityReader } from '../../shared-state/capabilities/capability-space.js';
import { LOOKUP } from '../../shared-state/capabilities/capability-space.js';
import { OBJECT_TYPE } from '../../shared-state/objects/object-table.js';
import type { CallRegisters, FastHandler, GunyahCaller } from './caller.js';
import { CALL_BY_NUMBER, HYPERCALLS, type Hypercall } from './calls.js';
import { GUNYAH_ERROR, lookupError } from './errors.js';
import { FAST_CALLS } from './fast-calls.js';

/** The answer of a slow call: X0, and X1 onwards. */
export interface SlowAnswer {
  readonly error: number;
  readonly results: readonly bigint[];
}

/** Sends a slow call to the core and waits for its answer. */
export type AskCore = (call: Hypercall, registers: CallRegisters) => SlowAnswer;

/** One capability argument, prepared for the look-up. */
interface Step {
  readonly index: number;
  readonly type: number;
  readonly rights: number;
  readonly activeOnly: boolean;
}
interface Prepared {
  readonly call: Hypercall;
  readonly steps: readonly Step[];
  readonly handler: FastHandler | undefined;
}

function stepsOf(call: Hypercall): readonly Step[] {
  const order = call.lookupOrder ?? call.args.map((_, index) => index);
  return order.flatMap((index) => {
    const needs = call.args[index]?.needs;
    if (needs === undefined) return [];
    const type = needs.type === 'any' ? 0 : OBJECT_TYPE[needs.type];
    return [{ index, type, rights: needs.rights, activeOnly: needs.activeOnly }];
  });
}

const PREPARED: readonly (Prepared | undefined)[] = CALL_BY_NUMBER.map((call) =>
  call === undefined ? undefined : { call, steps: stepsOf(call), handler: FAST_CALLS[call.n] },
);
for (const call of HYPERCALLS) {
  assert((call.path === 'fast') === (FAST_CALLS[call.n] !== undefined), `${call.name} is ${call.path}`);
}

/** Looks the capability arguments of `call` up; 0 and `objects` filled, or the error. */
export function resolveCapabilities(
  steps: readonly Step[],
  space: CapabilityReader,
  registers: CallRegisters,
  objects: number[],
): number {
  for (const { index, type, rights, activeOnly } of steps) {
    const found = space.lookup(registers.lo(index), registers.hi(index), type, rights, activeOnly);
    if (found !== LOOKUP.ok) return lookupError(found);
    objects[index] = space.object;
  }
  return GUNYAH_ERROR.ok;
}

/** The look-up steps of `call`, for the core. */
export function lookupSteps(call: Hypercall): readonly Step[] {
  return PREPARED[call.n]?.steps ?? [];
}

const objects: number[] = [];

/** Carries out hypercall `n` for `caller`; the answer is X0 as a signed number (identify answers the low word of its X0). */
export function hypercall(n: number, caller: GunyahCaller, registers: CallRegisters, askCore: AskCore): number {
  const prepared = PREPARED[n];
  if (prepared === undefined || prepared.call.path === 'absent') return GUNYAH_ERROR.unimplemented;
  const { call, steps, handler } = prepared;
  if (handler === undefined) {
    const { error, results } = askCore(call, registers);
    results.forEach((value, index) => {
      registers.setResult(index + 1, Number(BigInt.asIntN(32, value)), Number(BigInt.asIntN(32, value >> 32n)));
    });
    return error;
  }
  const refused = resolveCapabilities(steps, caller.capabilities, registers, objects);
  return refused === GUNYAH_ERROR.ok ? handler(caller, registers, objects) : refused;
}

/** Number of hypervisor_identify, whose X0 is the API info word and not an error. */
export const IDENTIFY = 0;
