/**
 * GDB's remote serial protocol on the wire (GDB manual, "Remote Protocol", Overview): `$data#checksum`, acknowledged by `+` or
 * asked for again by `-`, with `}` as escape; 0x03 outside a packet interrupts. Text is Latin-1, a character a byte.
 */

/** What arrives. `damaged`: a packet whose checksum is wrong. */
export type Arrival =
  | { readonly kind: 'packet'; readonly text: string }
  | { readonly kind: 'interrupt' | 'acknowledged' | 'again' | 'damaged' };

/** Longest packet taken, in characters between `$` and `#`; what is longer is damaged. */
export const PACKET_MAX = 0x4000;
const ESCAPE = '}';

function checksum(body: string): string {
  let sum = 0;
  for (let n = 0; n < body.length; n++) sum = (sum + body.charCodeAt(n)) & 0xff;
  return sum.toString(16).padStart(2, '0');
}

/** A packet with this text, as it is sent. */
export function encodePacket(text: string): string {
  const body = text.replace(/[#$}*]/g, (c) => `${ESCAPE}${String.fromCharCode(c.charCodeAt(0) ^ 0x20)}`);
  return `$${body}#${checksum(body)}`;
}

/** Cuts a stream of bytes into arrivals. */
export class PacketReader {
  #body: string | undefined;
  #check = '';
  #tooLong = false;
  #inCheck = false;

  /** Takes the next bytes. */
  take(bytes: Uint8Array): Arrival[] {
    const arrivals: Arrival[] = [];
    for (const byte of bytes) {
      const arrival = this.#byte(String.fromCharCode(byte));
      if (arrival !== undefined) arrivals.push(arrival);
    }
    return arrivals;
  }

  #byte(c: string): Arrival | undefined {
    if (this.#inCheck) return this.#checkDigit(c);
    if (c === '$') {
      this.#body = '';
      this.#tooLong = false;
    } else if (this.#body !== undefined) {
      if (c === '#') this.#inCheck = true;
      else if (this.#body.length < PACKET_MAX) this.#body += c;
      else this.#tooLong = true;
    } else if (c === '\x03') return { kind: 'interrupt' };
    else if (c === '+') return { kind: 'acknowledged' };
    else if (c === '-') return { kind: 'again' };
    return undefined;
  }

  #checkDigit(c: string): Arrival | undefined {
    this.#check += c;
    if (this.#check.length < 2) return undefined;
    const body = this.#body ?? '';
    const isWhole = !this.#tooLong && this.#check.toLowerCase() === checksum(body);
    this.#inCheck = false;
    this.#check = '';
    this.#body = undefined;
    if (!isWhole) return { kind: 'damaged' };
    const plain = (_: string, escaped: string): string => String.fromCharCode(escaped.charCodeAt(0) ^ 0x20);
    return { kind: 'packet', text: body.replace(/\}([\s\S])/g, plain) };
  }
}

/** Bytes as the protocol's pairs of hexadecimal digits. */
export const toHex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

/** Pairs of digits as bytes; undefined where they are not. */
export function fromHex(text: string): Uint8Array | undefined {
  return /^([0-9a-f]{2})*$/i.test(text) ? new Uint8Array(Buffer.from(text, 'hex')) : undefined;
}
