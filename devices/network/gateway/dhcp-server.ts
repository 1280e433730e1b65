/** Gives the guests behind a gateway their addresses (RFC 2131): one per hardware address, for as long as the gateway lives. */
import { macText } from '../wire/addresses.js';
import { Dhcp } from '../wire/headers.js';

const COOKIE = 0x6382_5363;
const BOOT = { request: 1, reply: 2 } as const;
const MESSAGE = { discover: 1, offer: 2, request: 3, decline: 4, ack: 5, nak: 6, release: 7, inform: 8 } as const;
const OPTION = {
  pad: 0,
  mask: 1,
  router: 3,
  nameServer: 6,
  requested: 50,
  lease: 51,
  type: 53,
  server: 54,
  mtu: 26,
  end: 255,
} as const;
const LEASE_SECONDS = 86_400;
const BROADCAST = 0xffff_ffff;

/** What the server tells. */
export interface DhcpFacts {
  readonly server: number;
  readonly mask: number;
  readonly nameServer: number;
  /** First and last address given out. */
  readonly first: number;
  readonly last: number;
  readonly mtu: number;
}

/** An answer: the packet, and where it goes. */
export interface DhcpAnswer {
  readonly payload: Uint8Array;
  readonly to: number;
}

/** See the file comment. */
export class DhcpServer {
  /** Address by hardware address, as text. */
  readonly leases = new Map<string, number>();
  readonly #facts: DhcpFacts;

  constructor(facts: DhcpFacts) {
    this.#facts = facts;
  }

  /** Answers the client's packet `payload`; undefined when there is nothing to say. */
  answer(payload: Uint8Array): DhcpAnswer | undefined {
    if (payload.length < Dhcp.sizeBytes) return undefined;
    const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
    const read = Dhcp.read(view, 0);
    if (!read.ok) return undefined;
    const request = read.value;
    if (request.operation !== BOOT.request || request.cookie !== COOKIE || request.hardwareBytes !== 6)
      return undefined;
    const options = readOptions(payload);
    const type = options.get(OPTION.type)?.[0];
    const mac = macText(request.clientHardware.subarray(0, 6));
    const server = numberOf(options.get(OPTION.server));
    if (server !== undefined && server !== this.#facts.server) return undefined; // it chose another one
    const wanted = numberOf(options.get(OPTION.requested)) ?? request.clientIp;
    const to = request.clientIp === 0 ? BROADCAST : request.clientIp;
    if (type === MESSAGE.release) return undefined;
    if (type === MESSAGE.inform) return { payload: this.#reply(request, MESSAGE.ack, 0), to };
    const address = this.#lease(mac, wanted);
    if (address === undefined) return undefined;
    if (type === MESSAGE.discover) return { payload: this.#reply(request, MESSAGE.offer, address), to };
    if (type !== MESSAGE.request) return undefined;
    if (wanted !== 0 && wanted !== address) return { payload: this.#reply(request, MESSAGE.nak, 0), to: BROADCAST };
    return { payload: this.#reply(request, MESSAGE.ack, address), to };
  }

  /** The address of `mac`: the one it has, the one it asks for if free, or the next free one; undefined when all are given. */
  #lease(mac: string, wanted: number): number | undefined {
    const has = this.leases.get(mac);
    if (has !== undefined) return has;
    const taken = new Set(this.leases.values());
    const { first, last } = this.#facts;
    let address = wanted >= first && wanted <= last && !taken.has(wanted) ? wanted : first;
    while (taken.has(address)) address++;
    if (address > last) return undefined;
    this.leases.set(mac, address);
    return address;
  }

  #reply(
    request: { transaction: number; flags: number; clientIp: number; clientHardware: Uint8Array },
    type: number,
    address: number,
  ): Uint8Array {
    const { server, mask, nameServer, mtu } = this.#facts;
    const options = [OPTION.type, 1, type, OPTION.server, 4, ...four(server)];
    if (type !== MESSAGE.nak) {
      options.push(
        OPTION.mask,
        4,
        ...four(mask),
        OPTION.router,
        4,
        ...four(server),
        OPTION.nameServer,
        4,
        ...four(nameServer),
      );
      options.push(OPTION.mtu, 2, mtu >> 8, mtu & 0xff);
      if (address !== 0) options.push(OPTION.lease, 4, ...four(LEASE_SECONDS));
    }
    options.push(OPTION.end);
    // Some clients refuse what is shorter than a BOOTP packet (300 bytes).
    const payload = new Uint8Array(Math.max(300, Dhcp.sizeBytes + options.length));
    Dhcp.write(new DataView(payload.buffer), 0, {
      operation: BOOT.reply,
      hardware: 1,
      hardwareBytes: 6,
      hops: 0,
      transaction: request.transaction,
      seconds: 0,
      flags: request.flags,
      clientIp: type === MESSAGE.nak ? 0 : request.clientIp,
      yourIp: address,
      serverIp: server,
      relayIp: 0,
      clientHardware: request.clientHardware,
      serverName: new Array<number>(64).fill(0),
      file: new Array<number>(128).fill(0),
      cookie: COOKIE,
    });
    payload.set(options, Dhcp.sizeBytes);
    return payload;
  }
}

function four(address: number): number[] {
  return [address >>> 24, (address >>> 16) & 0xff, (address >>> 8) & 0xff, address & 0xff];
}

function numberOf(bytes: Uint8Array | undefined): number | undefined {
  if (bytes?.length !== 4) return undefined;
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(0);
}

/** Options by number; those cut short end the list. */
function readOptions(payload: Uint8Array): Map<number, Uint8Array> {
  const options = new Map<number, Uint8Array>();
  for (let at = Dhcp.sizeBytes; at < payload.length; ) {
    const kind = payload[at] ?? OPTION.end;
    if (kind === OPTION.end) break;
    if (kind === OPTION.pad) {
      at += 1;
      continue;
    }
    const length = payload[at + 1] ?? 0;
    if (at + 2 + length > payload.length) break;
    options.set(kind, payload.subarray(at + 2, at + 2 + length));
    at += 2 + length;
  }
  return options;
}
