/**
 * SYS instructions: cache, TLB and address translation operations (Arm ARM C5.3 to C5.5). There are no caches, so data
 * cache operations only check their address; instruction cache operations tell which pre-decoded code is stale.
 */
import type { CodePages } from '../code-pages.js';
import type { CpuState } from '../cpu-state.js';
import { EC, type Exceptions, ISS_ABORT } from '../exceptions/exceptions.js';
import type { AddressSpace, Invalidation } from '../mmu/address-space.js';
import { AS, type As, FAULT, newTranslation, WANT, type Want } from '../mmu/translator.js';
import { STATE } from '../state.js';
import { ISS, sysregKey } from './encoding.js';
import type { RemoteCpus } from './peripherals.js';
import { SLOT } from './registers.js';

/** The parts of a core that operations involve. */
export interface OperationParts {
  readonly state: CpuState;
  readonly space: AddressSpace;
  readonly pages: CodePages;
  readonly exceptions: Exceptions;
  readonly remote: RemoteCpus;
  /** All pre-decoded code is stale: drop it as soon as generated code has returned. */
  readonly dropCodeLater: () => void;
}

interface Operation {
  readonly name: string;
  /** Lowest exception level; at EL0 SCTLR_EL1.UCI must be set too. */
  readonly level: 0 | 1;
  readonly run: (self: Operations, lo: number, hi: number) => number;
}

/** What is asked of other vCPUs. */
const REQUESTED = { all: 'tlbi-all', asid: 'tlbi-asid', va: 'tlbi-va', 'va-last': 'tlbi-va-last' } as const;

const SCTLR_UCI = 1 << 26;
const nothing = (): number => 0;

function tlbi(name: string, what: Invalidation, shareable: boolean): Operation {
  return { name, level: 1, run: (self, lo, hi) => self.invalidate(what, lo, hi, shareable) };
}

const OPERATIONS: ReadonlyMap<number, Operation> = new Map<number, Operation>([
  [sysregKey(1, 0, 7, 1, 0), { name: 'IC IALLUIS', level: 1, run: (self) => self.allCode(true) }],
  [sysregKey(1, 0, 7, 5, 0), { name: 'IC IALLU', level: 1, run: (self) => self.allCode(false) }],
  [sysregKey(1, 3, 7, 5, 1), { name: 'IC IVAU', level: 0, run: (self, lo, hi) => self.code(lo, hi) }],
  [sysregKey(1, 0, 7, 6, 1), { name: 'DC IVAC', level: 1, run: (self, lo, hi) => self.data(WANT.write, lo, hi) }],
  [sysregKey(1, 0, 7, 6, 2), { name: 'DC ISW', level: 1, run: nothing }],
  [sysregKey(1, 0, 7, 10, 2), { name: 'DC CSW', level: 1, run: nothing }],
  [sysregKey(1, 0, 7, 14, 2), { name: 'DC CISW', level: 1, run: nothing }],
  [sysregKey(1, 3, 7, 10, 1), { name: 'DC CVAC', level: 0, run: (self, lo, hi) => self.data(WANT.read, lo, hi) }],
  [sysregKey(1, 3, 7, 11, 1), { name: 'DC CVAU', level: 0, run: (self, lo, hi) => self.data(WANT.read, lo, hi) }],
  [sysregKey(1, 3, 7, 14, 1), { name: 'DC CIVAC', level: 0, run: (self, lo, hi) => self.data(WANT.read, lo, hi) }],
  [
    sysregKey(1, 0, 7, 8, 0),
    { name: 'AT S1E1R', level: 1, run: (self, lo, hi) => self.at(AS.el1NoPan, WANT.read, lo, hi) },
  ],
  [
    sysregKey(1, 0, 7, 8, 1),
    { name: 'AT S1E1W', level: 1, run: (self, lo, hi) => self.at(AS.el1NoPan, WANT.write, lo, hi) },
  ],
  [sysregKey(1, 0, 7, 8, 2), { name: 'AT S1E0R', level: 1, run: (self, lo, hi) => self.at(AS.el0, WANT.read, lo, hi) }],
  [
    sysregKey(1, 0, 7, 8, 3),
    { name: 'AT S1E0W', level: 1, run: (self, lo, hi) => self.at(AS.el0, WANT.write, lo, hi) },
  ],
  [
    sysregKey(1, 0, 7, 9, 0),
    { name: 'AT S1E1RP', level: 1, run: (self, lo, hi) => self.at(undefined, WANT.read, lo, hi) },
  ],
  [
    sysregKey(1, 0, 7, 9, 1),
    { name: 'AT S1E1WP', level: 1, run: (self, lo, hi) => self.at(undefined, WANT.write, lo, hi) },
  ],
  ...[7, 3].flatMap((crm): (readonly [number, Operation])[] => {
    const shareable = crm === 3;
    const suffix = shareable ? 'IS' : '';
    return [
      [sysregKey(1, 0, 8, crm, 0), tlbi(`TLBI VMALLE1${suffix}`, 'all', shareable)],
      [sysregKey(1, 0, 8, crm, 1), tlbi(`TLBI VAE1${suffix}`, 'va', shareable)],
      [sysregKey(1, 0, 8, crm, 2), tlbi(`TLBI ASIDE1${suffix}`, 'asid', shareable)],
      [sysregKey(1, 0, 8, crm, 3), tlbi(`TLBI VAAE1${suffix}`, 'va', shareable)],
      [sysregKey(1, 0, 8, crm, 5), tlbi(`TLBI VALE1${suffix}`, 'va-last', shareable)],
      [sysregKey(1, 0, 8, crm, 7), tlbi(`TLBI VAALE1${suffix}`, 'va-last', shareable)],
    ];
  }),
]);

/** Name of the operation with this key: `TLBI VAE1IS`, `DC ZVA`; undefined where there is none. */
export function operationName(key: number): string | undefined {
  return key === DC_ZVA ? 'DC ZVA' : OPERATIONS.get(key)?.name;
}
/** Has an instruction of its own in isa/system.ts. */
const DC_ZVA = sysregKey(1, 3, 7, 4, 1);

/** See the head of this file. */
export class Operations {
  readonly #parts: OperationParts;
  readonly #translation = newTranslation();

  constructor(parts: OperationParts) {
    this.#parts = parts;
  }

  /** Executes the SYS instruction that would trap with `iss`; its operand is in STATE.scratch. Returns a helper's status. */
  run(iss: number): number {
    const { state, exceptions } = this.#parts;
    const operation = OPERATIONS.get(iss & ISS.keyMask);
    const el = state.get32(STATE.el);
    if (operation === undefined || el < operation.level) return exceptions.record(EC.unknown, 0);
    if (el === 0 && (state.get32(SLOT.sctlr) & SCTLR_UCI) === 0) return exceptions.record(EC.trappedSystem, iss);
    return operation.run(this, state.get32(STATE.scratch), state.get32(STATE.scratch + 4));
  }

  /** TLBI; `shareable` forms reach the other vCPUs too. */
  invalidate(what: Invalidation, lo: number, hi: number, shareable: boolean): number {
    this.#parts.space.invalidate(what, lo, hi);
    if (shareable) this.#parts.remote.request(REQUESTED[what], lo, hi);
    return 0;
  }

  /** IC IALLU(IS). */
  allCode(shareable: boolean): number {
    this.#parts.dropCodeLater();
    if (shareable) this.#parts.remote.request('code', 0, -1);
    return 0;
  }

  /** IC IVAU: by physical page, on every vCPU. */
  code(lo: number, hi: number): number {
    if (!this.#translate(WANT.read, lo, hi)) return 1;
    const { host } = this.#translation;
    if (host < 0) return 0;
    this.#parts.pages.invalidate(host - (host % 4096));
    this.#parts.remote.request('code', host - (host % 4096), 0);
    return 0;
  }

  /** A data cache operation by address: permission to `want` is checked at EL0, and for DC IVAC. */
  data(want: Want, lo: number, hi: number): number {
    return this.#translate(want, lo, hi) ? 0 : 1;
  }

  #translate(want: Want, lo: number, hi: number): boolean {
    const { state, space, exceptions } = this.#parts;
    const user = state.get32(STATE.el) === 0;
    // At EL1 read permission always exists but PAN may stand against it, which these operations ignore.
    const as = user ? AS.el0 : AS.el1NoPan;
    if (space.walker.translateAs(lo, hi, want, as, this.#translation)) return true;
    exceptions.recordDataAbort(this.#translation.syndrome, ISS_ABORT.cacheMaintenance | ISS_ABORT.write, lo, hi);
    return false;
  }

  /** AT: PAR_EL1 gets the result (Arm ARM D17.2.109). `as` undefined: EL1 with the current PAN. */
  at(as: As | undefined, want: Want, lo: number, hi: number): number {
    const { state, space, exceptions } = this.#parts;
    const result = this.#translation;
    if (!space.walker.translateAs(lo, hi, want, as ?? space.accessAs(false), result)) {
      if (result.syndrome >= FAULT.externalOnWalk && result.syndrome < FAULT.externalOnWalk + 4) {
        return exceptions.recordDataAbort(result.syndrome, ISS_ABORT.cacheMaintenance | ISS_ABORT.write, lo, hi);
      }
      state.setHalves(SLOT.par, 1 | (result.syndrome << 1) | (1 << 11), 0);
      return 0;
    }
    const high = Math.floor(result.ipa / 2 ** 32) | ((result.attributes >> 8) << 24);
    const low = (result.ipa % 2 ** 32) & ~0xfff;
    // Bit 9, NS, is UNKNOWN for a Non-secure regime, where all known CPUs have 1.
    state.setHalves(SLOT.par, low | ((result.attributes & 3) << 7) | (1 << 11) | (1 << 9), high);
    return 0;
  }
}
