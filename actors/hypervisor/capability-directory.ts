/**
 * Capability spaces as the core keeps them: who holds which capability to which object, which one is the object's master,
 * and the rules by which they are made, copied, revoked and deleted (gunyah.md 2.2). Only here are spaces written.
 */
import { err, ok, type Result } from '../../bus/result.js';
import { CapabilitySpace, LOOKUP, type Lookup } from '../shared-state/capabilities/capability-space.js';
import type { ObjectTable } from '../shared-state/objects/object-table.js';
import type { CapabilityFault } from './objects.protocol.js';

const FAULT_OF: Readonly<Record<Exclude<Lookup, 0>, CapabilityFault>> = {
  [LOOKUP.null]: 'capNull',
  [LOOKUP.revoked]: 'capRevoked',
  [LOOKUP.wrongType]: 'wrongType',
  [LOOKUP.noRight]: 'noRight',
  [LOOKUP.notActive]: 'badState',
};

/** One capability. */
interface Capability {
  readonly space: number;
  readonly slot: number;
  readonly object: number;
  readonly isMaster: boolean;
  revoked: boolean;
}

/** A capability's id and what it is of. */
export interface Granted {
  readonly id: bigint;
}

const halves = (id: bigint): readonly [number, number] => [
  Number(BigInt.asIntN(32, id)),
  Number(BigInt.asIntN(32, id >> 32n)),
];

/** See the head of this file. */
export class CapabilityDirectory {
  readonly #memory: ArrayBufferLike;
  readonly #objects: ObjectTable;
  /** By the object index of the cspace. */
  readonly #spaces = new Map<number, { readonly space: CapabilitySpace; readonly slots: Map<number, Capability> }>();
  /** Unrevoked capabilities of each object. */
  readonly #holders = new Map<number, Set<Capability>>();

  constructor(memory: ArrayBufferLike, objects: ObjectTable) {
    this.#memory = memory;
    this.#objects = objects;
  }

  /** Opens the space of cspace object `space`: `slots` capabilities at byte `at`, which is zero. */
  open(space: number, at: number, slots: number): void {
    const made = CapabilitySpace.create(this.#memory, at, slots, this.#objects);
    this.#spaces.set(space, { space: made, slots: new Map() });
  }

  /** Number of unrevoked capabilities to `object`. */
  count(object: number): number {
    return this.#holders.get(object)?.size ?? 0;
  }

  /** What capability `id` of `space` names. */
  find(
    space: number,
    id: bigint,
    type: number,
    rights: number,
    activeOnly = true,
  ): Result<{ readonly object: number; readonly rights: number }, CapabilityFault> {
    const found = this.#spaces.get(space);
    if (found === undefined) return err('capNull');
    const status = found.space.lookup(...halves(id), type, rights, activeOnly);
    if (status !== LOOKUP.ok) return err(FAULT_OF[status]);
    return ok({ object: found.space.object, rights: found.space.rights >>> 0 });
  }

  /** Gives `space` a capability to `object`. The first one of an object with all rights is its master. */
  grant(space: number, object: number, rights: number, isMaster = false): Result<Granted, 'spaceFull' | 'capNull'> {
    const found = this.#spaces.get(space);
    if (found === undefined) return err('capNull');
    const slot = found.space.insert(object, rights | 0);
    if (slot < 0) return err('spaceFull');
    const capability = { space, slot, object, isMaster, revoked: false };
    found.slots.set(slot, capability);
    const holders = this.#holders.get(object) ?? new Set();
    this.#holders.set(object, holders.add(capability));
    return ok({ id: found.space.idOf(slot) });
  }

  /** Copies capability `id` of `from` into `to` with at most `mask` of its rights. */
  copy(from: number, id: bigint, to: number, mask: number): Result<Granted, CapabilityFault> {
    const found = this.find(from, id, 0, 0, false);
    return found.ok ? this.grant(to, found.value.object, found.value.rights & mask) : found;
  }

  /** Revokes every other capability to what the master capability `id` names: their users are told so. */
  revokeOthers(space: number, id: bigint): Result<undefined, CapabilityFault> {
    const found = this.find(space, id, 0, 0, false);
    if (!found.ok) return found;
    const master = this.#capability(space, id);
    if (master === undefined || !master.isMaster) return err('noRight');
    const holders = this.#holders.get(master.object) ?? new Set();
    for (const other of holders) {
      if (other === master) continue;
      this.#spaces.get(other.space)?.space.revoke(other.slot);
      other.revoked = true;
      holders.delete(other);
    }
    return ok();
  }

  #capability(space: number, id: bigint): Capability | undefined {
    const found = this.#spaces.get(space);
    return found?.slots.get(found.space.slotOf(id));
  }

  /** Deletes a capability, revoked or not. `last`: its object has none left. */
  delete(space: number, id: bigint): Result<{ readonly object: number; readonly last: boolean }, 'capNull'> {
    const capability = this.#capability(space, id);
    if (capability === undefined) return err('capNull');
    this.#drop(capability);
    const last = !capability.revoked && this.count(capability.object) === 0;
    return ok({ object: capability.object, last });
  }

  #drop(capability: Capability): void {
    const found = this.#spaces.get(capability.space);
    found?.space.remove(capability.slot);
    found?.slots.delete(capability.slot);
    this.#holders.get(capability.object)?.delete(capability);
  }

  /** Deletes every capability to `object`, which is about to end; revoked ones stay until their holders delete them. */
  forget(object: number): void {
    for (const capability of this.#holders.get(object) ?? []) this.#drop(capability);
    this.#holders.delete(object);
  }

  /** Ends a space: its capabilities go. Answers the objects that have none left. */
  close(space: number): readonly number[] {
    const found = this.#spaces.get(space);
    if (found === undefined) return [];
    const orphans: number[] = [];
    for (const capability of [...found.slots.values()]) {
      this.#drop(capability);
      if (!capability.revoked && this.count(capability.object) === 0) orphans.push(capability.object);
    }
    this.#spaces.delete(space);
    return orphans;
  }

  /** Capabilities of all spaces, revoked ones included, for audits. */
  get total(): number {
    return [...this.#spaces.values()].reduce((sum, { slots }) => sum + slots.size, 0);
  }

  /** Capabilities of a space, for audits. */
  size(space: number): number {
    return this.#spaces.get(space)?.slots.size ?? 0;
  }
}
