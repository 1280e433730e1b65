/** The core's handlers of parcel.protocol.ts. */
import { err, type Result } from '../../bus/result.js';
import type { BodyOf, ErrorsOf, ReplyOf } from '../runtime/protocol.js';
import type { ParcelVerbs } from './parcel.protocol.js';
import type { Parcels } from './parcels.js';
import type { Partition } from './partition.js';

interface ParcelState {
  readonly partitions: ReadonlyMap<number, Partition>;
  readonly parcels: Parcels;
}
type Answer<K extends keyof ParcelVerbs> = Result<ReplyOf<ParcelVerbs, K>, ErrorsOf<ParcelVerbs, K>>;
type ParcelHandlers = {
  readonly [K in keyof ParcelVerbs]: (
    state: ParcelState,
    body: BodyOf<ParcelVerbs, K>,
  ) => Answer<K> | Promise<Answer<K>>;
};

/** The handlers; part of the core's declaration. */
export const parcelVerbs: ParcelHandlers = {
  createParcel({ partitions, parcels }, { partition, transfer, ranges, keep }) {
    const owner = partitions.get(partition);
    return owner === undefined ? err('noPartition') : parcels.create(owner, transfer, ranges, keep);
  },
  extendParcel: ({ parcels }, { parcel, ranges }) => parcels.extend(parcel, ranges),
  mapParcel({ partitions, parcels }, { parcel, partition, places, rights }) {
    const found = partitions.get(partition);
    return found === undefined ? err('noPartition') : parcels.map(parcel, found, places, rights);
  },
  unmapParcel({ partitions, parcels }, { parcel, partition }) {
    const found = partitions.get(partition);
    return found === undefined ? err('noPartition') : parcels.unmap(parcel, found);
  },
  acceptDonation({ partitions, parcels }, { parcel, partition, places, rights }) {
    const found = partitions.get(partition);
    return found === undefined ? err('noPartition') : parcels.acceptDonation(parcel, found, places, rights);
  },
  endParcel: ({ parcels }, { parcel, zero }) => parcels.end(parcel, zero),
};
