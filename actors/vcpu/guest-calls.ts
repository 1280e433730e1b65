/** HVC of a `virt` machine: PSCI and SMCCC functions by the tables of actors/abi. */
import { NO_RETURN, PSCI_FUNCTIONS, type PsciFunction, type PsciServices } from '../abi/psci/psci.js';
import { SMCCC_FUNCTIONS, type SmcccFunction } from '../abi/smccc/smccc.js';

const NOT_SUPPORTED = -1;
const SMC64 = 0x4000_0000;
const psci = new Map<number, PsciFunction>(PSCI_FUNCTIONS.map((row) => [row.id, row]));
const smccc = new Map<number, SmcccFunction>(SMCCC_FUNCTIONS.map((row) => [row.id, row]));

/** Whether a function with this identifier exists, for PSCI_FEATURES and SMCCC_ARCH_FEATURES. */
export function implementsCall(id: number): boolean {
  return psci.has(id) || smccc.has(id);
}

/** Name of function `id`, for people. */
export function callName(id: number): string {
  return psci.get(id)?.name ?? smccc.get(id)?.name ?? 'unknown';
}

/**
 * Carries out function `id` (w0); `argument(n)` reads x1 to x3 and is asked only for functions that take arguments. Answers
 * the signed value of x0, or undefined when the call does not return with one. Unknown functions answer NOT_SUPPORTED
 * (SMCCC 1.1, section 5.2).
 */
export function guestCall(
  services: PsciServices,
  id: number,
  argument: (index: 1 | 2 | 3) => bigint,
): number | undefined {
  const call = psci.get(id);
  if (call !== undefined) {
    const wide = (id & SMC64) !== 0;
    const read = (index: 1 | 2 | 3): bigint => (wide ? argument(index) : BigInt.asUintN(32, argument(index)));
    // A handler that declares no arguments gets none: reading them costs more than most such calls.
    const args = call.handle.length > 1 ? ([read(1), read(2), read(3)] as const) : NO_ARGUMENTS;
    const answer = call.handle(services, args);
    return answer === NO_RETURN ? undefined : answer;
  }
  const arch = smccc.get(id);
  if (arch === undefined) return NOT_SUPPORTED;
  return arch.handle(Number(BigInt.asUintN(32, argument(1))), implementsCall);
}

/** Answers function `id` if answering is all it does, so that generated code need not be left for it; else undefined. */
export function answerOnly(
  services: PsciServices,
  id: number,
  argument: (index: 1 | 2 | 3) => bigint,
): number | undefined {
  const call = psci.get(id);
  if (call === undefined) return smccc.has(id) ? guestCall(services, id, argument) : undefined;
  if (call.onlyAnswers !== true) return undefined;
  if (call.handle.length > 1) return guestCall(services, id, argument);
  const answer = call.handle(services, NO_ARGUMENTS);
  return answer === NO_RETURN ? undefined : answer;
}

const NO_ARGUMENTS = [0n, 0n, 0n] as const;
