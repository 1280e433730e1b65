/** Gunyah's error codes (gunyah.md 1.5), and the names the core uses for the same things. */
import { LOOKUP, type Lookup } from '../../shared-state/capabilities/capability-space.js';
import type { CopyFault } from './caller.js';

/** X0 of a hypercall, as a signed number; negative ones are sign-extended to 64 bits. */
export const GUNYAH_ERROR = {
  ok: 0,
  unimplemented: -1,
  retry: -2,
  argumentInvalid: 1,
  argumentSize: 2,
  argumentAlignment: 3,
  noMemory: 10,
  noResources: 11,
  addressOverflow: 20,
  addressUnderflow: 21,
  addressInvalid: 22,
  denied: 30,
  busy: 31,
  idle: 32,
  objectState: 33,
  objectConfig: 34,
  objectConfigured: 35,
  failure: 36,
  virqBound: 40,
  virqNotBound: 41,
  capNull: 50,
  capRevoked: 51,
  wrongObjectType: 52,
  insufficientRights: 53,
  cspaceFull: 54,
  queueEmpty: 60,
  queueFull: 61,
  allocatorRange: 100,
  allocatorMemory: 101,
  memdbEmpty: 110,
  memdbNotOwner: 111,
  mappingsFull: 120,
  extentType: 121,
  existingMapping: 200,
} as const;
const NAMES: ReadonlyMap<number, string> = new Map(Object.entries(GUNYAH_ERROR).map(([name, code]) => [code, name]));
/** Name of an error code, for people; the number as text when it has none. */
export function errorName(code: number): string {
  return NAMES.get(code) ?? String(code);
}
/** What a copy between a buffer of the guest and ours failed with (gunyah.md section 3). */
export const COPY_ERROR: Readonly<Record<CopyFault, number>> = {
  stage1: GUNYAH_ERROR.argumentInvalid,
  stage2Permission: GUNYAH_ERROR.denied,
  stage2: GUNYAH_ERROR.addressInvalid,
  wraps: GUNYAH_ERROR.addressOverflow,
};
const LOOKUP_ERROR: Readonly<Record<Lookup, number>> = {
  [LOOKUP.ok]: GUNYAH_ERROR.ok,
  [LOOKUP.null]: GUNYAH_ERROR.capNull,
  [LOOKUP.revoked]: GUNYAH_ERROR.capRevoked,
  [LOOKUP.wrongType]: GUNYAH_ERROR.wrongObjectType,
  [LOOKUP.noRight]: GUNYAH_ERROR.insufficientRights,
  [LOOKUP.notActive]: GUNYAH_ERROR.objectState,
};
/** The error a failed capability lookup is answered with. */
export function lookupError(lookup: Lookup): number {
  return LOOKUP_ERROR[lookup];
}
