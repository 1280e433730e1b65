/** Capabilities of the host VM, looked up as its hypercalls would be. */
import { CapabilityReader, LOOKUP } from '../shared-state/capabilities/capability-space.js';
import type { Ports } from '../shared-state/objects/ports.js';

/** What a capability leads to, and what may be done with it. */
export interface HeldObject {
  readonly object: number;
  readonly rights: number;
}

/** The active object of type `type` behind `capability` in the space at byte `space`, if `rights` are among its rights. */
export function heldObject(
  memory: ArrayBufferLike,
  space: number,
  ports: Ports,
  capability: bigint,
  type: number,
  rights: number,
): HeldObject | undefined {
  const reader = new CapabilityReader(memory, space, ports.objects);
  const [lo, hi] = [Number(BigInt.asIntN(32, capability)), Number(BigInt.asIntN(32, capability >> 32n))];
  if (reader.lookup(lo, hi, type, rights, true) !== LOOKUP.ok) return undefined;
  return { object: reader.object, rights: reader.rights };
}
