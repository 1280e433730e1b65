/** Writer of `newc` cpio archives, the format of an initial RAM disk (Linux Documentation/driver-api/early-userspace). */
import { assert } from '../../bus/assert.js';

/** What to put into the archive. Paths are relative, without a leading slash; parents come before children. */
export type CpioEntry =
  | { readonly kind: 'directory'; readonly path: string; readonly mode: number }
  | { readonly kind: 'file'; readonly path: string; readonly mode: number; readonly bytes: Uint8Array }
  | { readonly kind: 'symlink'; readonly path: string; readonly target: string }
  | {
      readonly kind: 'device';
      readonly path: string;
      readonly mode: number;
      readonly major: number;
      readonly minor: number;
    };

const TYPE = { directory: 0o040000, file: 0o100000, symlink: 0o120000, device: 0o020000 } as const;
const HEADER_BYTES = 110;
const TRAILER = 'TRAILER!!!';

const pad4 = (bytes: number): number => (bytes + 3) & ~3;

/** One member: header of 13 eight-digit hexadecimal fields, name, content, each padded to 4 bytes. */
function member(
  name: string,
  fields: { inode: number; mode: number; links: number; major: number; minor: number },
  content: Uint8Array,
): Uint8Array {
  const nameBytes = new TextEncoder().encode(`${name}\0`);
  const bodyAt = pad4(HEADER_BYTES + nameBytes.byteLength);
  const out = new Uint8Array(bodyAt + pad4(content.byteLength));
  // Times are zero, so that the same input gives the same archive.
  const numbers = [fields.inode, fields.mode, 0, 0, fields.links, 0, content.byteLength, 0, 0];
  numbers.push(fields.major, fields.minor, nameBytes.byteLength, 0);
  const header = `070701${numbers.map((value) => value.toString(16).padStart(8, '0')).join('')}`;
  assert(header.length === HEADER_BYTES, 'a newc header is 110 characters');
  out.set(new TextEncoder().encode(header));
  out.set(nameBytes, HEADER_BYTES);
  out.set(content, bodyAt);
  return out;
}

/** The archive as one buffer, ended by the trailer and padded to 512 bytes. */
export function writeCpio(entries: readonly CpioEntry[]): Uint8Array {
  const parts = entries.map((entry, index) => {
    const mode = TYPE[entry.kind] | (entry.kind === 'symlink' ? 0o777 : entry.mode);
    const content =
      entry.kind === 'file' ? entry.bytes : new TextEncoder().encode(entry.kind === 'symlink' ? entry.target : '');
    const [major, minor] = entry.kind === 'device' ? [entry.major, entry.minor] : [0, 0];
    return member(
      entry.path,
      { inode: index + 1, mode, links: entry.kind === 'directory' ? 2 : 1, major, minor },
      content,
    );
  });
  parts.push(member(TRAILER, { inode: 0, mode: 0, links: 1, major: 0, minor: 0 }, new Uint8Array(0)));
  const bytes = parts.reduce((sum, part) => sum + part.byteLength, 0);
  const out = new Uint8Array(Math.ceil(bytes / 512) * 512);
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.byteLength;
  }
  return out;
}
