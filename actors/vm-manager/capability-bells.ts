/** Doorbells behind capabilities of the host VM. */
import { RIGHTS } from '../abi/gunyah/rights.js';
import { OBJECT_TYPE } from '../shared-state/objects/object-table.js';
import type { Ports } from '../shared-state/objects/ports.js';
import { heldObject } from './held-capability.js';
import type { Bell } from './manager-host.js';

/** The doorbell of `capability` in the space at byte `space`, if it may be sent with; flags of the low half only. */
export function bellBehind(memory: ArrayBufferLike, space: number, ports: Ports, capability: bigint): Bell | undefined {
  const held = heldObject(memory, space, ports, capability, OBJECT_TYPE.doorbell, RIGHTS.doorbell.send);
  if (held === undefined) return undefined;
  const { object, rights } = held;
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
