/** The disk that carries the packages into the machine that configures them: one tar archive of a root file system. */
import { type FileHandle, open, readFile } from 'node:fs/promises';
import { ok, type Result } from '../../../bus/result.js';
import type { BootFault } from '../../../devices/machine/boot-fault.js';
import type { PackageRecord } from '../package-index.js';
import type { Report } from '../package-source.js';
import { TAR_END, tarFile, tarNode } from './tar-stream.js';
import { UnpackedPackages } from './unpacked-packages.js';

/** The disk's size is a multiple of this. */
const UNIT_BYTES = 65_536;
/** /bin and its like are links into /usr, from the first file on (Debian's usr-merge). */
const MERGED = ['bin', 'sbin', 'lib'] as const;

/** A package and where its verified file is. */
export interface PackageFile {
  readonly record: PackageRecord;
  readonly path: string;
}

/** What the machine has to be told of the archive. */
export interface Payload {
  /** Packages with a preinst script: name of the control files, name of the package. */
  readonly preinsts: readonly { readonly info: string; readonly name: string }[];
  /** Triggers that unpacking would have set off. */
  readonly triggers: readonly string[];
  /** Its size. */
  readonly bytes: number;
}

/** Writes the disk to `path`: the packages' files and `files` of the root, by path. */
export async function writePayload(
  path: string,
  packages: readonly PackageFile[],
  files: ReadonlyMap<string, string>,
  report: Report,
): Promise<Result<Payload, BootFault>> {
  const file = await open(path, 'w', 0o600);
  try {
    return await fill(file, packages, files, report);
  } finally {
    await file.close();
  }
}

async function fill(
  file: FileHandle,
  packages: readonly PackageFile[],
  files: ReadonlyMap<string, string>,
  report: Report,
): Promise<Result<Payload, BootFault>> {
  let written = 0;
  const write = async (parts: readonly Uint8Array[]): Promise<void> => {
    const bytes = Buffer.concat(parts);
    await file.writeFile(bytes);
    written += bytes.byteLength;
  };
  await write(tarNode('usr'));
  for (const name of MERGED) {
    await write(tarNode(`usr/${name}`));
    await write(tarNode(name, `usr/${name}`));
  }
  const unpacked = new UnpackedPackages();
  for (const [index, { record, path }] of packages.entries()) {
    report('unpacking packages', index / packages.length);
    const parts = await unpacked.add(record.name, new Uint8Array(await readFile(path)));
    if (!parts.ok) return parts;
    await write(parts.value);
  }
  await write(unpacked.records());
  for (const [name, content] of files)
    await write(tarFile(name, Buffer.from(content), name.startsWith('root/') ? 0o600 : 0o644));
  await write([TAR_END]);
  await write([new Uint8Array(UNIT_BYTES - (written % UNIT_BYTES))]);
  return ok({ preinsts: unpacked.preinsts, triggers: unpacked.firedTriggers(), bytes: written });
}
