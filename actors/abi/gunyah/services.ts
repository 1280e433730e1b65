/**
 * Identification services (gunyah.md 1.3, 1.4), the firmware calls a Gunyah VM answers otherwise than a `virt` machine
 * (1.6), and the watchdog's platform calls. Pure: what a call does to its vCPU is said in the answer.
 */
import { GUNYAH_ERROR } from './errors.js';
import { API_INFO, type Profile, UID_WORDS } from './identity.js';

/** X0 to X3 of an answer as halves: [lo, hi] each. */
export type ServiceAnswer = readonly (readonly [number, number])[];

const SERVICE = {
  vendorCount: 0x8600_ff00,
  vendorUid: 0x8600_ff01,
  vendorRevision: 0x8600_ff03,
  standardUid: 0x8500_ff01,
  standardRevision: 0x8500_ff03,
} as const;
const MINUS_ONE: ServiceAnswer = [[-1, -1]];

/** A service call; unknown ones (CALL_COUNT among them, which is deprecated) answer -1. */
export function serviceCall(id: number, profile: Profile): ServiceAnswer {
  switch (id) {
    case SERVICE.vendorUid:
    case SERVICE.standardUid:
      return UID_WORDS[profile].map((word) => [word | 0, 0] as const);
    case SERVICE.vendorRevision:
      return [[API_INFO.lo, API_INFO.hi]];
    case SERVICE.standardRevision:
      return [
        [1, 0],
        [0, 0],
      ];
    default:
      return MINUS_ONE;
  }
}

/** Functions of the architecture and PSCI ranges that Gunyah answers in its own way; `suspend`: as CPU_SUSPEND. */
const ARCH: ReadonlyMap<number, number | 'suspend' | 'suspendMode'> = new Map<
  number,
  number | 'suspend' | 'suspendMode'
>([
  [0x8000_0000, 0x1_0003], // SMCCC_VERSION
  [0x8400_000c, 'suspend'], // CPU_DEFAULT_SUSPEND
  [0xc400_000c, 'suspend'],
  [0x8400_000f, 'suspendMode'], // PSCI_SET_SUSPEND_MODE
  [0x8400_0005, -1], // MIGRATE and its queries are not there
  [0xc400_0005, -1],
  [0x8400_0006, -1],
  [0x8400_0007, -1],
  [0xc400_0007, -1],
]);
const PLATFORM_COORDINATED = 0;
const OS_INITIATED = 1;
const INVALID_PARAMETERS = -2;

/** How function `id` with w1 = `argument` is answered here: a value of X0, `suspend`, or undefined for PSCI's own table. */
export function archCall(id: number, argument: number): number | 'suspend' | undefined {
  const found = ARCH.get(id);
  if (found !== 'suspendMode') return found;
  return argument === PLATFORM_COORDINATED || argument === OS_INITIATED ? GUNYAH_ERROR.ok : INVALID_PARAMETERS;
}

/** Whether PSCI_FEATURES and SMCCC_ARCH_FEATURES know `id`; undefined: PSCI's own table says. */
export function archImplements(id: number): boolean | undefined {
  const found = ARCH.get(id);
  return found === undefined ? undefined : found !== -1;
}

/** What the watchdog's calls do to it; times in milliseconds. */
export interface WatchdogTimer {
  readonly elapsedMs: number;
  enable(enabled: boolean): void;
  ping(): void;
  setTimes(barkMs: number, biteMs: number): void;
}
const WATCHDOG = {
  control: 0x8600_0005,
  status: 0x8600_0006,
  ping: 0x8600_0007,
  setTime: 0x8600_0008,
} as const;
/** CONTROL: bit 0 enables, bit 1 is always set. */
const CONTROL = { enable: 1, always: 2 } as const;

/**
 * A platform call with w1 and w2, of which those of the watchdog are known where there is one: X0, and X2 where the call has it.
 * Disabling one that is stopped is no error: the driver does so before every start.
 */
export function watchdogCall(
  id: number,
  first: number,
  second: number,
  watchdog: WatchdogTimer | undefined,
): { readonly error: number; readonly elapsedMs?: number } {
  const { ok, argumentInvalid, unimplemented } = GUNYAH_ERROR;
  if (watchdog === undefined) return { error: unimplemented };
  switch (id) {
    case WATCHDOG.control:
      if ((first & ~CONTROL.enable) !== CONTROL.always) return { error: argumentInvalid };
      watchdog.enable((first & CONTROL.enable) !== 0);
      return { error: ok };
    case WATCHDOG.status:
      return { error: ok, elapsedMs: watchdog.elapsedMs };
    case WATCHDOG.ping:
      watchdog.ping();
      return { error: ok };
    case WATCHDOG.setTime:
      if (second === 0) return { error: argumentInvalid };
      watchdog.setTimes(first, second);
      return { error: ok };
    default:
      return { error: unimplemented };
  }
}
