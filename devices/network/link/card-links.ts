/**
 * All links of a card: to its switch or gateway, and straight ones to the other cards at the same switch, which save a frame two
 * wakes. A frame goes straight if it is for the one address that the other's port allows (openPort) and comes from the card's own,
 * so that nothing arrives that the switch would not have forwarded; every other frame is the switch's.
 */
import { macNumber } from '../wire/addresses.js';
import { AT, Ethernet } from '../wire/headers.js';
import { LinkEnd, type LinkMemory, PortRight } from './frame-link.js';

/** A straight way to another card; plain data. */
export interface StraightPath {
  /** This card's end. */
  readonly link: LinkMemory;
  /** The other card's link to the switch, which says under what address it speaks. */
  readonly port: LinkMemory;
}

/** What a card is given. */
export interface CardPlaces {
  readonly link: LinkMemory;
  readonly paths: readonly StraightPath[];
  readonly mac: Uint8Array;
}

/** Bytes of a frame, packet header included, that say where it goes and whence it comes. */
export const ADDRESSED_BYTES: number = AT.ethernet + Ethernet.offsets.type;
const TO = AT.ethernet + Ethernet.offsets.to;
const FROM = AT.ethernet + Ethernet.offsets.from;

interface Path {
  readonly end: LinkEnd;
  readonly right: PortRight;
}

/** See the file comment. Receives as one {@link LinkEnd} does. Belongs to one thread. */
export class CardLinks {
  /** The link to the switch or gateway. */
  readonly main: LinkEnd;
  readonly #paths: readonly Path[];
  readonly #ends: readonly LinkEnd[];
  readonly #mac: number;
  /** Number of the end that {@link next} looked at last. */
  #at = 0;
  #current: LinkEnd;
  /** A bit for each end of which frames were taken and not given back. */
  #taken = 0;

  /** Attaches actor number `self`; see {@link LinkEnd.attach}. */
  constructor({ link, paths, mac }: CardPlaces, self: number, ring: (actor: number) => void) {
    this.main = LinkEnd.attach(link, self, ring);
    this.#paths = paths.map((path) => ({
      end: LinkEnd.attach(path.link, self, ring),
      right: new PortRight(path.port),
    }));
    this.#ends = [this.main, ...this.#paths.map(({ end }) => end)];
    this.#current = this.main;
    this.#mac = macNumber(mac);
  }

  /** {@link LinkEnd.hear} for all of them. */
  hear(actor: number): void {
    for (const end of this.#ends) end.hear(actor);
  }
  /** {@link LinkEnd.resume} for all of them. */
  resume(): void {
    for (const end of this.#ends) end.resume();
  }

  /** Whether there is a choice of where to send a frame. */
  get hasPaths(): boolean {
    return this.#paths.length > 0;
  }

  /** Where the frame at `bytes[at]`, of which {@link ADDRESSED_BYTES} are there, is to be sent. */
  toward(bytes: Uint8Array, at: number): LinkEnd {
    if (macNumber(bytes, at + FROM) !== this.#mac) return this.main;
    const to = macNumber(bytes, at + TO);
    for (const { end, right } of this.#paths) if (right.mac === to) return end;
    return this.main;
  }
  /** Makes what was committed at any link visible. */
  flush(): void {
    for (const end of this.#ends) end.flush();
  }

  /** Whether a frame waits at any link. */
  get waiting(): boolean {
    for (const end of this.#ends) if (end.waiting) return true;
    return false;
  }
  get received(): Uint8Array {
    return this.#current.received;
  }
  get offset(): number {
    return this.#current.offset;
  }
  /** The next frame of the link whose turn it is, or else of another one that has any. */
  next(): number {
    for (let tried = 0; tried < this.#ends.length; tried++) {
      const size = this.#current.waiting ? this.#current.next() : 0;
      if (size > 0) return size;
      this.#step();
    }
    return 0;
  }
  take(): void {
    this.#current.take();
    this.#taken |= 1 << this.#at;
  }
  /** As {@link LinkEnd.free}, for all that gave frames; then it is another link's turn. */
  free(): boolean {
    let more = false;
    for (const [n, end] of this.#ends.entries()) if ((this.#taken & (1 << n)) !== 0 && end.free()) more = true;
    this.#taken = 0;
    this.#step();
    return more;
  }
  /** Drops what waits at any link. */
  drain(): void {
    for (const end of this.#ends) end.drain();
  }

  #step(): void {
    this.#at = (this.#at + 1) % this.#ends.length;
    this.#current = this.#ends[this.#at] ?? this.main;
  }
}
