/** The network options of `wurley run`: --net, --publish, --mac and --pcap. */
import type { FileStore, FileToken } from '../../actors/runtime/files.js';
import { err, ok, type Result } from '../../bus/result.js';
import type { PublishedPort } from '../../devices/network/gateway/gateway.actor.js';
import { parseIp, parseMac } from '../../devices/network/wire/addresses.js';
import { codeInWords } from '../host-reasons.js';

/** The options as text. */
export interface NetworkText {
  readonly net: string;
  readonly publish?: readonly string[];
  readonly mac?: string;
  readonly pcap?: string;
}

/** A network card that was asked for. */
export interface NetworkRequest {
  /** The switch the card is connected to; undefined: a gateway. */
  readonly switchName: string | undefined;
  /** Undefined: of the card's own making. */
  readonly mac: Uint8Array | undefined;
  readonly published: readonly PublishedPort[];
  readonly capturePath: string | undefined;
}

const MAC_EXAMPLE = '52:54:00:12:34:56';
const SWITCH_NAME = /^switch:([a-z0-9][a-z0-9-]{0,31})$/;
const LOOPBACK = '127.0.0.1';
const PORT_MAX = 65_535;
const PUBLISHED_MAX = 64;

/** Checks the options; undefined: no network. The error is a sentence. */
export function parseNetwork(text: NetworkText): Result<NetworkRequest | undefined, string> {
  const publish = text.publish ?? [];
  const switchName = SWITCH_NAME.exec(text.net)?.[1];
  if (switchName === undefined && text.net !== 'user' && text.net !== 'none') {
    return err(`--net takes user, switch:NAME (lower-case letters, digits, -) or none, not "${text.net}"`);
  }
  if (text.net === 'none') {
    if (publish.length > 0) return err('--publish needs --net user');
    if (text.pcap !== undefined) return err('--pcap needs --net user or switch:NAME');
    return text.mac === undefined ? ok(undefined) : err('--mac needs --net user or switch:NAME');
  }
  if (switchName !== undefined && publish.length > 0) return err('--publish needs --net user: a switch has no gateway');
  const mac = text.mac === undefined ? ok(undefined) : parseMac(text.mac);
  if (!mac.ok) return err(`--mac takes six bytes such as ${MAC_EXAMPLE}, the first one even, not "${text.mac}"`);
  if (publish.length > PUBLISHED_MAX)
    return err(`--publish was given ${publish.length} times; ${PUBLISHED_MAX} is the most`);
  const published: PublishedPort[] = [];
  for (const port of publish) {
    const parsed = parsePublished(port);
    if (!parsed.ok) return parsed;
    const { protocol, address, hostPort } = parsed.value;
    if (
      published.some((other) => other.protocol === protocol && other.hostPort === hostPort && other.address === address)
    )
      return err(`--publish: port ${hostPort} of this host is given twice`);
    published.push(parsed.value);
  }
  return ok({ switchName, mac: mac.value, published, capturePath: text.pcap });
}

/** `[ADDRESS:]HOST:GUEST[/tcp|/udp]`. */
function parsePublished(text: string): Result<PublishedPort, string> {
  const refused = err(`--publish takes [ADDRESS:]HOSTPORT:GUESTPORT[/udp] such as 2222:22, not "${text}"`);
  const found = /^(?:([\d.]+):)?(\d{1,5}):(\d{1,5})(?:\/(tcp|udp))?$/.exec(text);
  if (found === null) return refused;
  const [, address = LOOPBACK, host, guest, protocol] = found;
  const [hostPort, guestPort] = [Number(host), Number(guest)];
  const fits = (port: number): boolean => port >= 1 && port <= PORT_MAX;
  if (!fits(hostPort) || !fits(guestPort) || !parseIp(address).ok) return refused;
  return ok({ protocol: protocol === 'udp' ? 'udp' : 'tcp', address, hostPort, guestPort });
}

/** Creates and opens the file frames are recorded in; the error is a sentence. */
export function openCapture(
  path: string | undefined,
  files: FileStore,
  create: (path: string) => string | undefined,
): Result<FileToken | undefined, string> {
  if (path === undefined) return ok(undefined);
  const failure = create(path);
  if (failure !== undefined) return err(`--pcap: ${path} cannot be written: ${codeInWords(failure)}`);
  const opened = files.open(path, 'read-write');
  return opened.ok ? opened : err(`--pcap: ${path} cannot be opened: ${codeInWords(opened.error.detail)}`);
}
