/** Hardware and Internet addresses as text and as numbers. */
import { err, ok, type Result } from '../../../bus/result.js';

/** `52:54:00:12:34:56`. */
export function macText(mac: Uint8Array): string {
  return Array.from(mac, (byte) => byte.toString(16).padStart(2, '0')).join(':');
}

/** The six bytes of `52:54:00:12:34:56`; refuses anything else, and group addresses. */
export function parseMac(text: string): Result<Uint8Array, 'badMac'> {
  if (!/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(text)) return err('badMac');
  const mac = Uint8Array.from(text.split(':'), (part) => Number.parseInt(part, 16));
  return ((mac[0] ?? 0) & 1) === 0 ? ok(mac) : err('badMac');
}

/** The hardware address at `bytes[at, at + 6)` as a number. */
export function macNumber(bytes: Uint8Array, at = 0): number {
  const high = ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
  const middle = ((bytes[at + 2] ?? 0) << 8) | (bytes[at + 3] ?? 0);
  const low = ((bytes[at + 4] ?? 0) << 8) | (bytes[at + 5] ?? 0);
  return (high * 0x1_0000 + middle) * 0x1_0000 + low;
}

/** `10.0.2.15` of 0x0a00020f. */
export function ipText(address: number): string {
  return [24, 16, 8, 0].map((shift) => (address >>> shift) & 0xff).join('.');
}

/** 0x0a00020f of `10.0.2.15`. */
export function parseIp(text: string): Result<number, 'badAddress'> {
  const parts = text.split('.');
  if (parts.length !== 4 || !parts.every((part) => /^\d{1,3}$/.test(part) && Number(part) < 256))
    return err('badAddress');
  return ok(parts.reduce((address, part) => address * 256 + Number(part), 0));
}

/** Whether nothing beyond the link may be reached under `address`: this network, multicast, reserved, broadcast. */
export function isUnroutable(address: number): boolean {
  return address >>> 24 === 0 || address >>> 28 >= 0xe;
}
