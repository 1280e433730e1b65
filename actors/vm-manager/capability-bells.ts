/** Doorbells behind capabilities of the host VM, looked up as its hypercalls would be. */
import { RIGHTS } from '../abi/gunyah/rights.js';
import { CapabilityReader, LOOKUP } from '../shared-state/capabilities/capability-space.js';
import { OBJECT_TYPE } from '../shared-state/objects/object-table.js';
import type { Ports } from '../shared-state/objects/ports.js';
import type { Bell } from './manager-host.js';

/** The doorbell of `capability` in the space at byte `space`, if it may be sent with; flags of the low half only. */
export function bellBehind(memory: ArrayBufferLike, space: number, ports: Ports, capability: bigint): Bell | undefined {
  const capabilities = new CapabilityReader(memory, space, ports.objects);
  const [lo, hi] = [Number(BigInt.asIntN(32, capability)), Number(BigInt.asIntN(32, capability >> 32n))];
  const found = capabilities.lookup(lo, hi, OBJECT_TYPE.doorbell, RIGHTS.doorbell.send, true);
  if (found !== LOOKUP.ok) return undefined;
  const { object, rights } = capabilities;
  return {
    send: (flags) => ports.doorbell(object).send(Number(BigInt.asIntN(32, flags))),
    mask(enable, acknowledge) {
      if ((rights & RIGHTS.doorbell.receive) === 0) return false;
      const low = (flags: bigint): number => Number(BigInt.asIntN(32, flags));
      ports.doorbell(object).mask(low(enable), 0, low(acknowledge), 0);
      return true;
    },
  };
}
