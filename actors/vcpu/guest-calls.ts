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

/**
 * Carries out function `id` (w0) with x1 to x3; answers the value of x0, or undefined when the call does not return with
 * one. Unknown functions answer NOT_SUPPORTED (SMCCC 1.1, section 5.2).
 */
export function guestCall(
  services: PsciServices,
  id: number,
  args: readonly [bigint, bigint, bigint],
): bigint | undefined {
  const wide = (id & SMC64) !== 0;
  const [a, b, c] = args;
  const narrow = (value: bigint): bigint => (wide ? value : BigInt.asUintN(32, value));
  const arch = smccc.get(id);
  if (arch !== undefined) return signed(arch.handle(Number(BigInt.asUintN(32, a)), implementsCall));
  const answer = psci.get(id)?.handle(services, [narrow(a), narrow(b), narrow(c)]) ?? NOT_SUPPORTED;
  return answer === NO_RETURN ? undefined : signed(answer);
}

function signed(value: number): bigint {
  return BigInt.asUintN(64, BigInt(value));
}
