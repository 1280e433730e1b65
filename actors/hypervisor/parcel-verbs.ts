/** The core's handlers of parcel.protocol.ts. */
import { err, ok, type Result } from '../../bus/result.js';
import type { BodyOf, ErrorsOf, ReplyOf } from '../runtime/protocol.js';
import type { Extents } from './extents.js';
import type { GuestCore } from './guest-core.js';
import type { ParcelVerbs } from './parcel.protocol.js';
import type { Parcels } from './parcels.js';
import type { Partition } from './partition.js';

interface ParcelState {
  readonly partitions: ReadonlyMap<number, Partition>;
  readonly parcels: Parcels;
  readonly ports: { existing(): GuestCore | undefined; extents(): Extents | undefined };
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
  pageParcel({ partitions, parcels, ports }, { parcel, partition, extent }) {
    const [found, extents] = [partitions.get(partition), ports.extents()];
    const addrspace = ports.existing()?.of(partition)?.addrspace;
    if (found === undefined || extents === undefined || addrspace === undefined) return err('noPartition');
    if (!extents.canTakeOver(extent, partition)) return err('badArgument');
    const handed = parcels.handOver(parcel, found);
    if (!handed.ok) return handed;
    extents.takeOver(extent, addrspace, handed.value);
    return ok();
  },
  endParcel: ({ parcels }, { parcel, zero }) => parcels.end(parcel, zero),
};
