/**
 * Reads the IPv4 packets a guest sends: checks every length and checksum once, puts fragments together, and hands on what is
 * left. Whatever does not hold together is dropped and counted by reason.
 */
import { addWords, finish, pseudoHeader } from '../wire/checksum.js';
import { FRAGMENT, IP_PROTOCOL, Ipv4 } from '../wire/headers.js';

/** An IPv4 packet's payload: `bytes[at, end)`. Valid until the link's memory is given back. */
export interface Packet {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly from: number;
  readonly to: number;
  readonly protocol: number;
  readonly at: number;
  readonly end: number;
  /** Where its IP header starts, for error messages that quote it; -1 when it came in fragments. */
  readonly headerAt: number;
}

/** Datagrams being put together, and how long they may take, in milliseconds. */
const FRAGMENTED_MAX = 16;
const FRAGMENT_MS_MAX = 15_000;
const PACKET_BYTES_MAX = 65_535;

interface Pieces {
  readonly bytes: Uint8Array;
  /** Which eight-byte units have come. */
  readonly units: Uint8Array;
  unitsHere: number;
  totalBytes: number | undefined;
  readonly startedMs: number;
}

/** See the file comment. */
export class PacketReader {
  /** Packets dropped: a header that does not hold together, a wrong checksum, fragments that never became whole. */
  readonly dropped = { malformed: 0, checksum: 0, fragments: 0 };
  readonly #pieces = new Map<string, Pieces>();
  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
  }

  /** The packet whose IP header is at `bytes[at]`, the frame ending at `end`; undefined when it is dropped or not whole yet. */
  read(bytes: Uint8Array, view: DataView, at: number, end: number, checksumOpen: boolean): Packet | undefined {
    const { versionAndLength, totalBytes, fragment, protocol, from, to } = Ipv4.offsets;
    if (end - at < Ipv4.sizeBytes) return this.#malformed();
    const version = bytes[at + versionAndLength] ?? 0;
    const headerBytes = (version & 0xf) * 4;
    const total = view.getUint16(at + totalBytes);
    if (version >> 4 !== 4 || headerBytes < Ipv4.sizeBytes || total < headerBytes || at + total > end) {
      return this.#malformed();
    }
    if (finish(addWords(bytes, at, at + headerBytes)) !== 0) return this.#badChecksum();
    const head = {
      from: view.getUint32(at + from),
      to: view.getUint32(at + to),
      protocol: bytes[at + protocol] ?? 0,
    };
    const pieces = view.getUint16(at + fragment);
    if ((pieces & (FRAGMENT.more | FRAGMENT.offsetMask)) !== 0) {
      const key = `${head.from} ${head.to} ${head.protocol} ${view.getUint16(at + Ipv4.offsets.identification)}`;
      return this.#piece(key, head, bytes.subarray(at + headerBytes, at + total), pieces);
    }
    const packet = { ...head, bytes, view, at: at + headerBytes, end: at + total, headerAt: at };
    return checksumOpen || this.#holds(packet) ? packet : this.#badChecksum();
  }

  #malformed(): undefined {
    this.dropped.malformed++;
  }
  #badChecksum(): undefined {
    this.dropped.checksum++;
  }

  /** Whether the transport checksum is right (or absent, where a protocol allows that). */
  #holds({ bytes, at, end, from, to, protocol }: Packet): boolean {
    const length = end - at;
    if (protocol === IP_PROTOCOL.icmp) return finish(addWords(bytes, at, end)) === 0;
    if (protocol === IP_PROTOCOL.udp && length >= 8 && bytes[at + 6] === 0 && bytes[at + 7] === 0) return true;
    return finish(addWords(bytes, at, end, pseudoHeader(from, to, protocol, length))) === 0;
  }

  #piece(
    key: string,
    head: { from: number; to: number; protocol: number },
    payload: Uint8Array,
    fragment: number,
  ): Packet | undefined {
    const offset = (fragment & FRAGMENT.offsetMask) * 8;
    const more = (fragment & FRAGMENT.more) !== 0;
    if (offset + payload.length > PACKET_BYTES_MAX || (more && payload.length % 8 !== 0) || payload.length === 0) {
      return this.#malformed();
    }
    const pieces = this.#pieces.get(key) ?? this.#begin(key);
    pieces.bytes.set(payload, offset);
    for (let unit = offset >> 3; unit < (offset + payload.length + 7) >> 3; unit++) {
      if (pieces.units[unit] === 0) pieces.unitsHere++;
      pieces.units[unit] = 1;
    }
    if (!more) pieces.totalBytes = offset + payload.length;
    if (pieces.totalBytes === undefined || pieces.unitsHere !== (pieces.totalBytes + 7) >> 3) return undefined;
    this.#pieces.delete(key);
    const bytes = pieces.bytes.subarray(0, pieces.totalBytes);
    const packet = { ...head, bytes, view: new DataView(bytes.buffer), at: 0, end: bytes.length, headerAt: -1 };
    return this.#holds(packet) ? packet : this.#badChecksum();
  }

  #begin(key: string): Pieces {
    const now = this.#now();
    for (const [old, { startedMs }] of this.#pieces) {
      if (now - startedMs < FRAGMENT_MS_MAX && this.#pieces.size < FRAGMENTED_MAX) break;
      this.#pieces.delete(old);
      this.dropped.fragments++;
    }
    const bytes = new Uint8Array(PACKET_BYTES_MAX + 1);
    const pieces = { bytes, units: new Uint8Array(8192), unitsHere: 0, totalBytes: undefined, startedMs: now };
    this.#pieces.set(key, pieces);
    return pieces;
  }
}
