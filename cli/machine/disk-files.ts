/**
 * Opens the files of `--disk`: the image, and the backing images its header names. Images are hostile: one that names a
 * backing file outside its own folder is refused, unless the user says that it may.
 */
import { mkdtempSync, realpathSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, isAbsolute, join, relative, resolve } from 'node:path';
import type { FileRights, FileStore } from '../../actors/runtime/files.js';
import { err, ok, type Result } from '../../bus/result.js';
import type { DiskLayer } from '../../devices/virtio-blk/disk-layers.js';
import { emptyImage, HEADER_AREA_BYTES, isQcow2, readHeader } from '../../devices/virtio-blk/qcow2/header.js';
import { codeInWords } from '../host-reasons.js';

/** A disk as the command line asks for it. */
export interface DiskRequest {
  readonly path: string;
  readonly isReadOnly: boolean;
  /** Undefined: what the file looks like. */
  readonly format: 'raw' | 'qcow2' | undefined;
  /** Backing files may lie anywhere. */
  readonly anyBacking: boolean;
}

const LAYERS_MAX = 16;
const SECTOR = 512;

/** `F[,ro][,format=raw|qcow2][,backing=any]`; a comma in a name is doubled. The error is a sentence. */
export function parseDisk(text: string): Result<DiskRequest, string> {
  const [path = '', ...words] = text
    .replaceAll(',,', '\0')
    .split(',')
    .map((part) => part.replaceAll('\0', ','));
  let request: DiskRequest = { path, isReadOnly: false, format: undefined, anyBacking: false };
  if (path === '') return err('--disk takes a file, such as --disk root.qcow2 or --disk data.img,ro');
  for (const word of words) {
    if (word === 'ro') request = { ...request, isReadOnly: true };
    else if (word === 'format=raw' || word === 'format=qcow2')
      request = { ...request, format: word === 'format=raw' ? 'raw' : 'qcow2' };
    else if (word === 'backing=any') request = { ...request, anyBacking: true };
    else return err(`--disk ${path}: "${word}" is none of ro, format=raw, format=qcow2, backing=any`);
  }
  return ok(request);
}

interface OpenedLayer {
  readonly layer: DiskLayer;
  readonly sizeBytes: number;
  readonly backing: { readonly file: string; readonly format: string | undefined } | undefined;
}

/** Opens the files of a disk, the guest's own first. `isThrowAway`: what the guest writes goes into a file that vanishes. */
export function openDisk(
  request: DiskRequest,
  files: FileStore,
  isThrowAway: boolean,
): Result<readonly DiskLayer[], string> {
  const layers: DiskLayer[] = [];
  let next: { path: string; format: 'raw' | 'qcow2' | undefined } | undefined = request;
  let rights: FileRights = request.isReadOnly || isThrowAway ? 'read' : 'read-write';
  let sizeBytes: number | undefined;
  while (next !== undefined) {
    if (layers.length === LAYERS_MAX) return err(`--disk ${request.path}: more than ${LAYERS_MAX} backing files`);
    const opened = openLayer(next.path, next.format, rights, files);
    if (!opened.ok) return opened;
    const { layer, backing } = opened.value;
    layers.push(layer);
    sizeBytes ??= opened.value.sizeBytes;
    const { path } = next;
    next = undefined;
    if (backing !== undefined) {
      const found = locate(path, backing.file, request.anyBacking);
      if (!found.ok) return found;
      if (backing.format !== undefined && backing.format !== 'raw' && backing.format !== 'qcow2')
        return err(`${path}: its backing file has format "${backing.format}"; raw and qcow2 are known`);
      next = { path: found.value, format: backing.format };
    }
    rights = 'read';
  }
  if (!isThrowAway) return ok(layers);
  const overlay = throwAway(sizeBytes ?? 0, files);
  return overlay.ok ? ok([overlay.value, ...layers]) : overlay;
}

function openLayer(
  path: string,
  format: 'raw' | 'qcow2' | undefined,
  rights: FileRights,
  files: FileStore,
): Result<OpenedLayer, string> {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return err(`${path}: disk: there is no such file; qemu-img create or truncate -s makes one`);
  if (!stat.isFile()) return err(`${path}: disk: is no regular file`);
  if (stat.size === 0) return err(`${path}: disk: is empty`);
  const opened = files.open(path, rights);
  if (!opened.ok) return err(`${path}: disk: cannot be opened: ${codeInWords(opened.error.detail)}`);
  const head = new Uint8Array(HEADER_AREA_BYTES);
  const read = files.use(opened.value).read(0, head);
  if (!read.ok) return err(`${path}: disk: cannot be read: ${codeInWords(read.error.detail)}`);
  const looksQcow2 = isQcow2(head);
  const file = opened.value;
  if (format === 'raw' || (format === undefined && !looksQcow2)) {
    const sizeBytes = Math.ceil(stat.size / SECTOR) * SECTOR;
    return ok({ layer: { file, format: 'raw', isGuessed: format === undefined }, sizeBytes, backing: undefined });
  }
  const header = readHeader(head.subarray(0, read.value));
  if (!header.ok) return err(`${path}: qcow2: ${header.error}`);
  const { sizeBytes, backingFile, backingFormat } = header.value;
  const backing = backingFile === undefined ? undefined : { file: backingFile, format: backingFormat };
  return ok({ layer: { file, format: 'qcow2', isGuessed: false }, sizeBytes, backing });
}

/** The path of the backing file that the image at `image` names. */
function locate(image: string, named: string, anywhere: boolean): Result<string, string> {
  if (/^[a-z0-9+]+:/i.test(named)) return err(`${image}: backing file "${printable(named)}" is not a plain file name`);
  try {
    const folder = realpathSync(dirname(image));
    const path = realpathSync(resolve(folder, named));
    const away = relative(folder, path);
    const isOutside = away.startsWith('..') || isAbsolute(away);
    if (!isOutside || anywhere) return ok(path);
  } catch {
    return err(`${image}: its backing file "${printable(named)}" is not there`);
  }
  return err(
    `${image}: its backing file "${printable(named)}" lies in another folder; add ",backing=any" to --disk if you trust the image`,
  );
}

function printable(text: string): string {
  return text.replaceAll(/[^\x20-\x7e]/g, '?').slice(0, 200);
}

/** An empty qcow2 image without a name: gone when the last who has it open closes it. */
function throwAway(sizeBytes: number, files: FileStore): Result<DiskLayer, string> {
  try {
    const folder = mkdtempSync(join(tmpdir(), 'wurley-disk-'));
    try {
      const path = join(folder, 'overlay.qcow2');
      writeFileSync(path, emptyImage(sizeBytes), { mode: 0o600 });
      const opened = files.open(path, 'read-write');
      if (!opened.ok) return err(`--snapshot-disk: ${path} cannot be opened: ${codeInWords(opened.error.detail)}`);
      return ok({ file: opened.value, format: 'qcow2', isGuessed: false });
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  } catch (thrown) {
    return err(
      `--snapshot-disk: no file could be made in ${tmpdir()} (${thrown instanceof Error ? thrown.message : thrown})`,
    );
  }
}
