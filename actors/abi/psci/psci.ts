/**
 * PSCI 1.1 (Arm DEN 0022D) as a table: function, identifier, handler. Handlers act on the VM's shared block only, so a
 * call never leaves the calling processor's thread.
 */
import { POWER, type ResetAsked, STOP, type Stop } from '../../shared-state/vm/vm-block.js';

/** What a handler may do. */
export interface PsciServices {
  /** Index of the calling processor. */
  readonly self: number;
  /** Index of the processor with these affinity fields (MPIDR_EL1 format), or -1. */
  cpuOf(mpidr: bigint): number;
  power(cpu: number): number;
  /** Starts processor `cpu`; false when it is not off. */
  powerOn(cpu: number, entry: bigint, context: bigint): boolean;
  /** Whether an address can be executed from: it is in the VM's memory. */
  isMemory(ipa: bigint): boolean;
  /** Ends the VM. */
  end(reason: Exclude<Stop, 0>): void;
  /** Ends the VM by SYSTEM_RESET2; of its type and cookie, those who care are told. */
  endByReset(asked: ResetAsked): void;
  /** Whether SYSTEM_RESET2 takes every reset type, as under Gunyah: what one means is its VM's owner's business. */
  readonly takesAnyReset: boolean;
  /** The caller powers down; the call does not return. */
  powerOff(): void;
  /** The caller waits as with WFI; the call returns success after it. */
  suspend(): void;
  /** Whether function `id` of PSCI or SMCCC is implemented. */
  implements(id: number): boolean;
}

/** Return values (5.2.2), as signed numbers. */
const RETURN = { success: 0, notSupported: -1, invalid: -2, alreadyOn: -4, onPending: -5, invalidAddress: -9 } as const;

/** A call that does not return to its caller's next instruction with a value. */
export const NO_RETURN = Symbol('no return');
type Answer = number | typeof NO_RETURN;

/** One function. `args` are x1 to x3, truncated to 32 bits for the 32-bit form. */
export interface PsciFunction {
  readonly id: number;
  readonly name: string;
  readonly handle: (services: PsciServices, args: readonly [bigint, bigint, bigint]) => Answer;
  /** All it does is to answer: nothing changes, for the caller or for anyone else. */
  readonly onlyAnswers?: true;
}

const AFFINITY_MASK = 0xff00ffffffn;
const SMC64 = 0x4000_0000;
const AFFINITY_LEVEL_MAX = 3n;
/** SYSTEM_RESET2 with reset type 0 is SYSTEM_WARM_RESET; bit 31 marks vendor types. */
const WARM_RESET = 0n;
const CPU_SUSPEND_STATE_MASK = ~0x0301_ffffn & 0xffff_ffffn;

const row = (id: number, name: string, handle: PsciFunction['handle']): PsciFunction => ({ id, name, handle });
const answer = (id: number, name: string, handle: PsciFunction['handle']): PsciFunction => ({
  ...row(id, name, handle),
  onlyAnswers: true,
});
const both = (id: number, name: string, handle: PsciFunction['handle']): readonly PsciFunction[] => [
  row(id, name, handle),
  row((id | SMC64) >>> 0, `${name}64`, handle),
];

function cpuOn(services: PsciServices, [target, entry, context]: readonly [bigint, bigint, bigint]): Answer {
  if ((target & ~AFFINITY_MASK) !== 0n) return RETURN.invalid;
  const cpu = services.cpuOf(target);
  if (cpu < 0) return RETURN.invalid;
  if (!services.isMemory(entry)) return RETURN.invalidAddress;
  if (services.powerOn(cpu, entry, context)) return RETURN.success;
  return services.power(cpu) === POWER.pending ? RETURN.onPending : RETURN.alreadyOn;
}

function affinityInfo(services: PsciServices, [target, level]: readonly [bigint, bigint, bigint]): Answer {
  if ((target & ~AFFINITY_MASK) !== 0n || level > AFFINITY_LEVEL_MAX) return RETURN.invalid;
  if (level === 0n) {
    const cpu = services.cpuOf(target);
    return cpu < 0 ? RETURN.invalid : services.power(cpu);
  }
  // All processors are in cluster 0: a higher level is on when any of it is, and the caller is.
  return target >> (8n * level) === 0n ? POWER.on : RETURN.invalid;
}

function reset2(services: PsciServices, [wide, cookie]: readonly [bigint, bigint, bigint], isWide: boolean): Answer {
  const type = wide & 0xffff_ffffn;
  if (type !== WARM_RESET && !services.takesAnyReset) {
    return (type & 0x8000_0000n) === 0n ? RETURN.invalid : RETURN.notSupported;
  }
  services.endByReset({ type: Number(type), cookie, isWide });
  return NO_RETURN;
}

/** The functions. */
export const PSCI_FUNCTIONS: readonly PsciFunction[] = [
  answer(0x8400_0000, 'PSCI_VERSION', () => 0x1_0001),
  ...both(0x8400_0001, 'CPU_SUSPEND', (services, [state]) => {
    if ((state & CPU_SUSPEND_STATE_MASK) !== 0n) return RETURN.invalid;
    // Power-down states may be answered by standby (5.4.3): execution goes on behind the call.
    services.suspend();
    return RETURN.success;
  }),
  row(0x8400_0002, 'CPU_OFF', (services) => {
    services.powerOff();
    return NO_RETURN;
  }),
  ...both(0x8400_0003, 'CPU_ON', cpuOn),
  answer(0x8400_0004, 'AFFINITY_INFO', affinityInfo),
  answer(0xc400_0004, 'AFFINITY_INFO64', affinityInfo),
  // 2: no trusted OS, nothing to migrate.
  answer(0x8400_0006, 'MIGRATE_INFO_TYPE', () => 2),
  row(0x8400_0008, 'SYSTEM_OFF', (services) => {
    services.end(STOP.off);
    return NO_RETURN;
  }),
  row(0x8400_0009, 'SYSTEM_RESET', (services) => {
    services.end(STOP.reset);
    return NO_RETURN;
  }),
  answer(0x8400_000a, 'PSCI_FEATURES', (services, [id]) =>
    services.implements(Number(id & 0xffff_ffffn)) ? RETURN.success : RETURN.notSupported,
  ),
  row(0x8400_0012, 'SYSTEM_RESET2', (services, args) => reset2(services, args, false)),
  row(0xc400_0012, 'SYSTEM_RESET264', (services, args) => reset2(services, args, true)),
];
