/** Reader of Unix `ar` archives, the outer shell of a Debian package (deb(5), ar(5)). The bytes are hostile. */
import { ok, type Result } from '../../bus/result.js';
import { type BootFault, refuse } from '../../devices/machine/boot-fault.js';

/** A member of the archive; `bytes` is a view of the archive's bytes. */
export interface ArMember {
  readonly name: string;
  readonly bytes: Uint8Array;
}

const MAGIC = '!<arch>\n';
const HEADER_BYTES = 60;
/** A Debian package has three members; more than this is not one. */
const MEMBERS_MAX = 16;

/** Splits an archive into its members; `file` names it in faults. */
export function readAr(file: string, bytes: Uint8Array): Result<readonly ArMember[], BootFault> {
  const textAt = (at: number, length: number): string => String.fromCharCode(...bytes.subarray(at, at + length));
  if (textAt(0, MAGIC.length) !== MAGIC) return refuse(file, 'ar magic', 'is missing: this is no Debian package');
  const members: ArMember[] = [];
  for (let at = MAGIC.length; at < bytes.byteLength; ) {
    if (at + HEADER_BYTES > bytes.byteLength) return refuse(file, 'ar header', 'is cut off');
    if (members.length === MEMBERS_MAX) return refuse(file, 'ar members', `are more than ${MEMBERS_MAX}`);
    if (textAt(at + 58, 2) !== '`\n') return refuse(file, `ar member ${members.length}`, 'has no header end mark');
    const name = textAt(at, 16)
      .trimEnd()
      .replace(/\/$/, '')
      .replace(/[^ -~]/g, '?');
    const sizeText = textAt(at + 48, 10).trimEnd();
    const size = /^\d+$/.test(sizeText) ? Number(sizeText) : Number.NaN;
    const start = at + HEADER_BYTES;
    if (!(start + size <= bytes.byteLength))
      return refuse(file, `ar member ${name}`, 'has a size that reaches past the end of the file');
    members.push({ name, bytes: bytes.subarray(start, start + size) });
    at = start + size + (size % 2);
  }
  return ok(members);
}
