/** Parcels of memory as the core keeps them: see parcel.protocol.ts. The only place where a frame gets another holder. */
import { assert } from '../../bus/assert.js';
import { err, ok, type Result } from '../../bus/result.js';
import { HYP_PAGE_BYTES } from '../../bus/units.js';
import type { FrameLedger, FrameState } from '../shared-state/frames/frame-ledger.js';
import { STAGE2_PAGES_MAX, STAGE2_RIGHTS } from '../shared-state/stage2/stage2-map.js';
import type { PageRange, ParcelFault, ParcelPiece, Transfer } from './parcel.protocol.js';
import type { Partition } from './partition.js';

const PAGE = HYP_PAGE_BYTES;
const STATE_OF: Readonly<Record<Transfer, FrameState>> = { lend: 'lent', share: 'shared', donate: 'donated' };
/** Parcels of the whole machine; numbers are never reused within one life of the core. */
const PARCELS_MAX = 4096;

/** A run of pages that is contiguous for the owner and in the machine, with one set of rights. */
interface Piece {
  readonly ipa: number;
  readonly host: number;
  readonly bytes: number;
  /** The owner's rights before. */
  readonly rights: number;
}
interface Parcel {
  readonly owner: Partition;
  readonly transfer: Transfer;
  readonly keep: number;
  readonly pieces: Piece[];
  readonly holders: Map<Partition, readonly PageRange[]>;
}

/** What was a parcel: its owner's pieces, one after another at the places one after another. */
export interface HandedParcel {
  readonly owner: Partition;
  readonly pieces: readonly Piece[];
  readonly places: readonly PageRange[];
}

/** Makes sure that no processor and no device of a partition uses what its stage-2 map lost. False: not in time. */
export type Flush = (partition: Partition) => Promise<boolean>;

const isRange = ({ ipa, bytes }: PageRange): boolean =>
  Number.isSafeInteger(ipa) &&
  Number.isSafeInteger(bytes) &&
  ipa >= 0 &&
  ipa % PAGE === 0 &&
  bytes > 0 &&
  bytes % PAGE === 0 &&
  (ipa + bytes) / PAGE <= STAGE2_PAGES_MAX;

/** See the head of this file. */
export class Parcels {
  readonly #memory: Uint8Array;
  readonly #ledger: FrameLedger;
  readonly #flush: Flush;
  readonly #parcels = new Map<number, Parcel>();
  #next = 1;

  constructor(memory: ArrayBufferLike, ledger: FrameLedger, flush: Flush) {
    this.#memory = new Uint8Array(memory);
    this.#ledger = ledger;
    this.#flush = flush;
  }

  /** Parcels there are, for audits. */
  get count(): number {
    return this.#parcels.size;
  }

  /** Makes a parcel; see ParcelVerbs.createParcel. */
  async create(
    owner: Partition,
    transfer: Transfer,
    ranges: readonly PageRange[],
    keep: number,
  ): Promise<Result<{ parcel: number; pieces: readonly ParcelPiece[] }, ParcelFault>> {
    if (this.#parcels.size >= PARCELS_MAX) return err('noMemory');
    const isKept = keep === 0 || transfer === 'share';
    if (!isKept || (keep & ~STAGE2_RIGHTS.all) !== 0) return err('badArgument');
    const parcel: Parcel = { owner, transfer, keep, pieces: [], holders: new Map() };
    const number = this.#next++;
    this.#parcels.set(number, parcel);
    const added = await this.#add(parcel, ranges);
    if (added.ok) return ok({ parcel: number, pieces: added.value });
    // What was taken from an owner that did not acknowledge stays out of use until the owner ends.
    if (parcel.pieces.length === 0) this.#parcels.delete(number);
    return added;
  }

  /** Adds ranges to a parcel nobody holds yet. */
  async extend(
    number: number,
    ranges: readonly PageRange[],
  ): Promise<Result<{ pieces: readonly ParcelPiece[] }, ParcelFault>> {
    const parcel = this.#parcels.get(number);
    if (parcel === undefined) return err('noParcel');
    if (parcel.holders.size > 0) return err('inUse');
    const added = await this.#add(parcel, ranges);
    return added.ok ? ok({ pieces: added.value }) : added;
  }

  async #add(parcel: Parcel, ranges: readonly PageRange[]): Promise<Result<readonly ParcelPiece[], ParcelFault>> {
    const { owner, transfer, keep } = parcel;
    const found = this.#owned(owner, ranges);
    if (!found.ok) return found;
    const parts = owner.parts;
    assert(parts !== undefined, 'an owner of pages is initialised');
    const held = { owner: owner.number, state: 'owned' } as const;
    const given = { owner: owner.number, state: STATE_OF[transfer] };
    let lost = false;
    for (const piece of found.value) {
      this.#ledger.move(piece.host, piece.bytes / PAGE, held, given);
      const rights = piece.rights & keep;
      if (rights !== piece.rights) lost = true;
      for (let at = 0; at < piece.bytes; at += PAGE) {
        const page = (piece.ipa + at) / PAGE;
        if (rights === 0) parts.stage2.unmap(page);
        else assert(parts.stage2.map(page, piece.host + at, rights), 'a mapped page has its table');
      }
      parcel.pieces.push(piece);
    }
    if (lost && !(await this.#flush(owner))) return err('notAcknowledged');
    return ok(found.value.map(({ host, bytes }) => ({ host, bytes })));
  }

  /** The pieces behind `ranges`, all of them mapped, owned and not given away; no page twice. */
  #owned(owner: Partition, ranges: readonly PageRange[]): Result<readonly Piece[], ParcelFault> {
    const stage2 = owner.parts?.stage2;
    if (stage2 === undefined) return err('badState');
    if (ranges.length === 0 || !ranges.every(isRange)) return err('badArgument');
    const sorted = [...ranges].sort((a, b) => a.ipa - b.ipa);
    if (sorted.some((range, index) => index > 0 && range.ipa < end(sorted[index - 1]))) return err('notOwned');
    const pieces: Piece[] = [];
    for (const { ipa, bytes } of ranges) {
      let last: Piece | undefined;
      for (let at = ipa; at < ipa + bytes; at += PAGE) {
        const entry = stage2.entry(at / PAGE);
        const host = (entry & ~0xfff) >>> 0;
        const rights = entry & STAGE2_RIGHTS.all;
        if (entry === 0) return err('notOwned');
        const known = this.#ledger.entry(host);
        if (known.owner !== owner.number || known.state !== 'owned') return err('notOwned');
        if (last !== undefined && last.host + last.bytes === host && last.rights === rights) {
          last = { ...last, bytes: last.bytes + PAGE };
          pieces[pieces.length - 1] = last;
        } else {
          last = { ipa: at, host, bytes: PAGE, rights };
          pieces.push(last);
        }
      }
    }
    return ok(pieces);
  }

  /** Checks that `places` are free in `partition` and hold the whole parcel. */
  #placesFor(parcel: Parcel, partition: Partition, places: readonly PageRange[]): ParcelFault | undefined {
    const stage2 = partition.parts?.stage2;
    if (stage2 === undefined) return 'badState';
    if (places.length === 0 || !places.every(isRange)) return 'badArgument';
    const bytes = places.reduce((sum, place) => sum + place.bytes, 0);
    if (bytes !== parcel.pieces.reduce((sum, piece) => sum + piece.bytes, 0)) return 'badArgument';
    const sorted = [...places].sort((a, b) => a.ipa - b.ipa);
    if (sorted.some((place, index) => index > 0 && place.ipa < end(sorted[index - 1]))) return 'overlap';
    for (const { ipa, bytes: size } of places) {
      for (let at = ipa; at < ipa + size; at += PAGE) if (stage2.entry(at / PAGE) !== 0) return 'overlap';
    }
    return undefined;
  }

  /** Maps the pieces one after another at the places one after another. */
  #map(parcel: Parcel, partition: Partition, places: readonly PageRange[], rights: number): boolean {
    const stage2 = partition.parts?.stage2;
    assert(stage2 !== undefined, 'places were checked');
    const hosts = parcel.pieces.flatMap(({ host, bytes }) =>
      Array.from({ length: bytes / PAGE }, (_, page) => host + page * PAGE),
    );
    let next = 0;
    for (const { ipa, bytes } of places) {
      for (let at = ipa; at < ipa + bytes; at += PAGE) {
        const host = hosts[next++];
        if (host !== undefined && stage2.map(at / PAGE, host, rights)) continue;
        this.#withdraw(partition, places);
        return false;
      }
    }
    return true;
  }

  #withdraw(partition: Partition, places: readonly PageRange[]): void {
    const stage2 = partition.parts?.stage2;
    if (stage2 === undefined) return;
    for (const { ipa, bytes } of places) {
      for (let at = ipa; at < ipa + bytes; at += PAGE) stage2.unmap(at / PAGE);
    }
  }

  /** The parcel, if `partition` may receive it with `rights`: as a donation, or lent or shared. */
  #received(number: number, partition: Partition, rights: number, isDonation: boolean): Result<Parcel, ParcelFault> {
    const parcel = this.#parcels.get(number);
    if (parcel === undefined) return err('noParcel');
    const isRight = rights > 0 && (rights & ~STAGE2_RIGHTS.all) === 0;
    const isKind = (parcel.transfer === 'donate') === isDonation;
    return isRight && isKind && partition !== parcel.owner ? ok(parcel) : err('badArgument');
  }

  /** See ParcelVerbs.mapParcel. */
  map(
    number: number,
    partition: Partition,
    places: readonly PageRange[],
    rights: number,
  ): Result<undefined, ParcelFault> {
    const received = this.#received(number, partition, rights, false);
    if (!received.ok) return received;
    const parcel = received.value;
    if (parcel.holders.has(partition)) return err('inUse');
    const refused = this.#placesFor(parcel, partition, places);
    if (refused !== undefined) return err(refused);
    if (!this.#map(parcel, partition, places, rights)) return err('noMemory');
    parcel.holders.set(partition, places);
    return ok();
  }

  /** See ParcelVerbs.unmapParcel. */
  async unmap(number: number, partition: Partition): Promise<Result<undefined, ParcelFault>> {
    const parcel = this.#parcels.get(number);
    if (parcel === undefined) return err('noParcel');
    const places = parcel.holders.get(partition);
    if (places === undefined) return err('notHeld');
    this.#withdraw(partition, places);
    if (!(await this.#flush(partition))) return err('notAcknowledged');
    parcel.holders.delete(partition);
    return ok();
  }

  /** See ParcelVerbs.acceptDonation. */
  acceptDonation(
    number: number,
    partition: Partition,
    places: readonly PageRange[],
    rights: number,
  ): Result<undefined, ParcelFault> {
    const received = this.#received(number, partition, rights, true);
    if (!received.ok) return received;
    const parcel = received.value;
    const refused = this.#placesFor(parcel, partition, places);
    if (refused !== undefined) return err(refused);
    if (!this.#map(parcel, partition, places, rights)) return err('noMemory');
    const from = { owner: parcel.owner.number, state: 'donated' } as const;
    const to = { owner: partition.number, state: 'owned' } as const;
    const runs: ParcelPiece[] = [];
    for (const piece of parcel.pieces) {
      this.#ledger.move(piece.host, piece.bytes / PAGE, from, to);
      parcel.owner.takeOut(piece.ipa, piece.bytes);
      runs.push(piece);
    }
    for (const extent of joined(runs, places)) partition.putIn(extent);
    this.#parcels.delete(number);
    return ok();
  }

  /** See ParcelVerbs.endParcel. */
  end(number: number, zero: boolean): Result<undefined, ParcelFault> {
    const parcel = this.#parcels.get(number);
    if (parcel === undefined) return err('noParcel');
    if (parcel.holders.size > 0) return err('inUse');
    this.#restore(parcel, zero);
    this.#parcels.delete(number);
    return ok();
  }

  /** A lent parcel that `partition` alone maps ends here: its frames stay lent and mapped, and are the caller's to give back. */
  handOver(number: number, partition: Partition): Result<HandedParcel, ParcelFault> {
    const parcel = this.#parcels.get(number);
    if (parcel === undefined) return err('noParcel');
    const places = parcel.holders.get(partition);
    if (places === undefined) return err('notHeld');
    if (parcel.transfer !== 'lend') return err('badArgument');
    if (parcel.holders.size > 1) return err('inUse');
    this.#parcels.delete(number);
    return ok({ owner: parcel.owner, pieces: parcel.pieces, places });
  }

  #restore({ owner, transfer, pieces }: Parcel, zero: boolean): void {
    const given = { owner: owner.number, state: STATE_OF[transfer] };
    for (const { ipa, host, bytes, rights } of pieces) {
      if (zero) this.#memory.fill(0, host, host + bytes);
      this.#ledger.move(host, bytes / PAGE, given, { owner: owner.number, state: 'owned' });
      for (let at = 0; at < bytes; at += PAGE) {
        const isBack = owner.parts?.stage2.map((ipa + at) / PAGE, host + at, rights) ?? true;
        assert(isBack, 'a page that was mapped has its table');
      }
    }
  }

  /** `partition` ends: what it holds of others is theirs to take back, what others hold of it is taken from them. */
  async forget(partition: Partition): Promise<boolean> {
    for (const [number, parcel] of [...this.#parcels]) {
      const places = parcel.holders.get(partition);
      if (places !== undefined) {
        this.#withdraw(partition, places);
        parcel.holders.delete(partition);
      }
      if (parcel.owner !== partition) continue;
      for (const [holder, at] of parcel.holders) {
        this.#withdraw(holder, at);
        if (!(await this.#flush(holder))) return false;
      }
      parcel.holders.clear();
      this.#restore(parcel, true);
      this.#parcels.delete(number);
    }
    return true;
  }
}

function end(range: PageRange | undefined): number {
  return range === undefined ? 0 : range.ipa + range.bytes;
}

/** Frames laid over places, as extents that are contiguous on both sides. */
function joined(
  pieces: readonly ParcelPiece[],
  places: readonly PageRange[],
): readonly { readonly ipa: number; readonly host: number; readonly bytes: number }[] {
  const extents: { ipa: number; host: number; bytes: number }[] = [];
  let place = 0;
  let used = 0;
  for (const { host, bytes } of pieces) {
    for (let done = 0; done < bytes; ) {
      const at = places[place];
      assert(at !== undefined, 'the places hold the parcel');
      const here = Math.min(bytes - done, at.bytes - used);
      extents.push({ ipa: at.ipa + used, host: host + done, bytes: here });
      done += here;
      used += here;
      if (used === at.bytes) {
        place++;
        used = 0;
      }
    }
  }
  return extents;
}
