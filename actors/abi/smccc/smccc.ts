/** SMCCC 1.1 (Arm DEN 0028): the architecture's own functions as a table, truthful about a CPU that does not speculate. */

/** One function of the Arm Architecture range; `argument` is w1. The answer is a signed number. */
export interface SmcccFunction {
  readonly id: number;
  readonly name: string;
  readonly handle: (argument: number, isImplemented: (id: number) => boolean) => number;
}

const NOT_SUPPORTED = -1;
/** "Not required": the processor is not affected by what the workaround is for. */
const NOT_REQUIRED = -2;
const VERSION_1_1 = 0x1_0001;

/** Workarounds for speculation, by function identifier. Guest code is not speculated past its own checks here. */
const WORKAROUND_1 = 0x8000_8000;
const WORKAROUND_2 = 0x8000_7fff;
const WORKAROUND_3 = 0x8000_3fff;
/** What SMCCC_ARCH_FEATURES answers for functions that exist only as answers: 1 is "affected: no, call not needed". */
const FEATURE_ANSWERS: ReadonlyMap<number, number> = new Map([
  [WORKAROUND_1, 1],
  [WORKAROUND_2, NOT_REQUIRED],
  [WORKAROUND_3, 1],
]);

/** The functions. */
export const SMCCC_FUNCTIONS: readonly SmcccFunction[] = [
  { id: 0x8000_0000, name: 'SMCCC_VERSION', handle: () => VERSION_1_1 },
  {
    id: 0x8000_0001,
    name: 'SMCCC_ARCH_FEATURES',
    handle: (id, isImplemented) => FEATURE_ANSWERS.get(id) ?? (isImplemented(id) ? 0 : NOT_SUPPORTED),
  },
  { id: WORKAROUND_1, name: 'SMCCC_ARCH_WORKAROUND_1', handle: () => 0 },
  { id: WORKAROUND_3, name: 'SMCCC_ARCH_WORKAROUND_3', handle: () => 0 },
];
