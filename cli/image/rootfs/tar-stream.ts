/** Tar archives as dpkg makes and reads them (deb(5)): members of a hostile archive one by one, and new members. */
import { err, ok, type Result } from '../../../bus/result.js';

const BLOCK = 512;
/** Long names (GNU) are members of their own before the one they belong to. */
const LONG_NAME = 'L';
const NAME_BYTES_MAX = 100;
const LONG_BYTES_MAX = 4096;

/** A member; `bytes` is all of it with its header, and the long names before it. */
export interface TarMember {
  /** Without a leading `./` and without a slash at the end; empty for the root. */
  readonly path: string;
  /** Type flag: `0` a file, `5` a folder, `2` a symbolic link, ... */
  readonly type: string;
  readonly bytes: Uint8Array;
  /** Where its own header is in `bytes`. */
  readonly headerAt: number;
  readonly content: Uint8Array;
}

const textOf = (bytes: Uint8Array): string => {
  const end = bytes.indexOf(0);
  return Buffer.from(end < 0 ? bytes : bytes.subarray(0, end)).toString('latin1');
};

/** Takes an archive apart; the error says what is wrong, and where. */
export function readTar(tar: Uint8Array): Result<readonly TarMember[], string> {
  const members: TarMember[] = [];
  let start = 0;
  let longName: string | undefined;
  for (let at = 0; at + BLOCK <= tar.byteLength && tar[at] !== 0; ) {
    const header = tar.subarray(at, at + BLOCK);
    const sizeText = textOf(header.subarray(124, 136)).trim();
    if (!/^[0-7]{1,12}$/.test(sizeText)) return err(`has a member without a size at ${at}`);
    const size = Number.parseInt(sizeText, 8);
    const next = at + BLOCK + Math.ceil(size / BLOCK) * BLOCK;
    if (next > tar.byteLength) return err(`is cut off at ${at}`);
    const content = tar.subarray(at + BLOCK, at + BLOCK + size);
    const type = String.fromCharCode(header[156] || 0x30);
    if (type === LONG_NAME || type === 'K') {
      if (size > LONG_BYTES_MAX) return err(`has a name of ${size} bytes at ${at}`);
      if (type === LONG_NAME) longName = textOf(content);
    } else {
      const prefix = textOf(header.subarray(257, 265)) === 'ustar' ? textOf(header.subarray(345, 500)) : '';
      const short = textOf(header.subarray(0, NAME_BYTES_MAX));
      const name = longName ?? (prefix === '' ? short : `${prefix}/${short}`);
      const path = name
        .replace(/^(\.?\/)+/, '')
        .replace(/\/+$/, '')
        .replace(/^\.$/, '');
      if (path.split('/').includes('..') || /[\n\0]/.test(path))
        return err(`has a member that leaves its place at ${at}`);
      members.push({ path, type, bytes: tar.subarray(start, next), headerAt: at - start, content });
      longName = undefined;
      start = next;
    }
    at = next;
  }
  return ok(members);
}

function setSum(header: Uint8Array): void {
  header.fill(0x20, 148, 156);
  const sum = header.subarray(0, BLOCK).reduce((total, byte) => total + byte, 0);
  header.set(Buffer.from(`${sum.toString(8).padStart(6, '0')}\0 `, 'latin1'), 148);
}

/** Zeros behind `sizeBytes` of content. */
const padding = (sizeBytes: number): Uint8Array => new Uint8Array((BLOCK - (sizeBytes % BLOCK)) % BLOCK);

/** A member for a name that does not fit into a header; nothing when it does. */
function longNameMember(name: Buffer): readonly Uint8Array[] {
  if (name.byteLength <= NAME_BYTES_MAX) return [];
  const header = headerOf(Buffer.from('././@LongLink'), LONG_NAME, name.byteLength + 1, 0);
  return [header, name, new Uint8Array(1), padding(name.byteLength + 1)];
}

function headerOf(name: Buffer, type: string, sizeBytes: number, mode: number): Uint8Array {
  const header = Buffer.alloc(BLOCK);
  name.copy(header, 0, 0, NAME_BYTES_MAX);
  const octal = (value: number, digits: number): string => `${value.toString(8).padStart(digits, '0')}\0`;
  header.write(`${octal(mode, 7)}${octal(0, 7)}${octal(0, 7)}${octal(sizeBytes, 11)}${octal(0, 11)}`, 100, 'latin1');
  header.write(type, 156, 'latin1');
  header.write('ustar  \0root', 257, 'latin1');
  header.write('root', 297, 'latin1');
  setSum(header);
  return header;
}

/** A regular file, in parts. */
export function tarFile(path: string, content: Uint8Array, mode = 0o644): readonly Uint8Array[] {
  const name = Buffer.from(`./${path}`, 'latin1');
  const header = headerOf(name, '0', content.byteLength, mode);
  return [...longNameMember(name), header, content, padding(content.byteLength)];
}

/** A folder or, with `target`, a symbolic link, in parts. */
export function tarNode(path: string, target?: string): readonly Uint8Array[] {
  const name = Buffer.from(target === undefined ? `./${path}/` : `./${path}`, 'latin1');
  const header = Buffer.from(headerOf(name, target === undefined ? '5' : '2', 0, target === undefined ? 0o755 : 0o777));
  header.write(target ?? '', 157, NAME_BYTES_MAX, 'latin1');
  setSum(header);
  return [header];
}

/** The member under another path, with its owner, mode and times, in parts. */
export function renamed(member: TarMember, path: string): readonly Uint8Array[] {
  const name = Buffer.from(`./${path}`, 'latin1');
  const header = Buffer.from(member.bytes.subarray(member.headerAt, member.headerAt + BLOCK));
  header.fill(0, 0, NAME_BYTES_MAX);
  // A prefix would be put before the new name.
  if (textOf(header.subarray(257, 265)) === 'ustar') header.fill(0, 345, 500);
  name.copy(header, 0, 0, NAME_BYTES_MAX);
  setSum(header);
  return [...longNameMember(name), header, member.content, padding(member.content.byteLength)];
}

/** What ends an archive. */
export const TAR_END: Uint8Array = new Uint8Array(2 * BLOCK);
