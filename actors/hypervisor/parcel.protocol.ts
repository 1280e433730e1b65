/**
 * Memory that changes hands between partitions, as the core offers it: lent (the owner loses access), shared (the owner
 * keeps some), donated (the owner changes). Who may do what with whom is policy and not decided here; that a frame has one
 * owner, and that nobody keeps a mapping after it was taken back, is.
 */
import type { Ask } from '../runtime/protocol.js';
import type { MapRights, PartitionFault, PartitionRef } from './partition.protocol.js';

/** How a parcel leaves its owner. */
export type Transfer = 'lend' | 'share' | 'donate';

/** A range of a partition's guest-physical addresses, in whole pages. */
export interface PageRange {
  readonly ipa: number;
  readonly bytes: number;
}

/** Frames of a parcel, in its order. */
export interface ParcelPiece {
  readonly host: number;
  readonly bytes: number;
}

/** A parcel by number. */
export interface ParcelRef {
  readonly parcel: number;
}

/** Why an operation on a parcel was refused. */
export type ParcelFault =
  | PartitionFault
  | 'noParcel'
  /** A page is not there, not the partition's own, or already lent, shared or donated. */
  | 'notOwned'
  /** The parcel is mapped: by that partition already, or by anybody when it should end. */
  | 'inUse'
  /** The partition has not mapped the parcel. */
  | 'notHeld';

/** The verbs. */
export type ParcelVerbs = {
  /** Makes a parcel of `ranges` of the partition. `keep`: rights its owner retains (share only). */
  createParcel: Ask<
    PartitionRef & { transfer: Transfer; ranges: readonly PageRange[]; keep: MapRights },
    ParcelRef & { pieces: readonly ParcelPiece[] },
    ParcelFault
  >;
  /** Adds further ranges of the owner, before anybody maps it. */
  extendParcel: Ask<ParcelRef & { ranges: readonly PageRange[] }, { pieces: readonly ParcelPiece[] }, ParcelFault>;
  /** Maps the parcel into another partition at `places`, in order; they hold as many bytes as the parcel. */
  mapParcel: Ask<
    ParcelRef & PartitionRef & { places: readonly PageRange[]; rights: MapRights },
    undefined,
    ParcelFault
  >;
  /** Takes the mapping back; answered when no processor or device of the partition can use it any more. */
  unmapParcel: Ask<ParcelRef & PartitionRef, undefined, ParcelFault>;
  /** As mapParcel for a donated parcel: the frames become the partition's own, and the parcel ends. */
  acceptDonation: Ask<
    ParcelRef & PartitionRef & { places: readonly PageRange[]; rights: MapRights },
    undefined,
    ParcelFault
  >;
  /**
   * Makes the pages of a lent parcel that the partition alone maps pages of its extent `extent`, where they are and lent as they
   * are, and ends the parcel: from here on they go back one by one, as those that came when they were wanted.
   */
  pageParcel: Ask<ParcelRef & PartitionRef & { extent: number }, undefined, ParcelFault>;
  /** Ends a parcel that nobody maps: its owner has its pages as before. `zero` empties them first. */
  endParcel: Ask<ParcelRef & { zero: boolean }, undefined, ParcelFault>;
};
