/** The file behind the second flash bank (`--firmware-vars`), in which firmware keeps its variables: opened, or made first. */
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, rmSync, statSync, writeSync } from 'node:fs';
import type { FileStore, FileToken } from '../../actors/runtime/files.js';
import { err, ok, type Result } from '../../bus/result.js';
import { BANK_BYTES } from '../../devices/flash/cfi-table.js';
import { codeInWords, hostReason } from '../host-reasons.js';

/** What the command line asks for. */
export interface VarsRequest {
  readonly path: string;
  /** What a new file is a copy of; undefined: an erased bank. */
  readonly template: string | undefined;
}

/** `FILE[,template=FILE]`; a comma in a name is doubled. The error is a sentence. */
export function parseVars(text: string): Result<VarsRequest, string> {
  const [path = '', ...words] = text
    .replaceAll(',,', '\0')
    .split(',')
    .map((part) => part.replaceAll('\0', ','));
  if (path === '') return err('--firmware-vars takes a file, such as --firmware-vars vars.fd');
  let template: string | undefined;
  for (const word of words) {
    const found = /^template=(.+)$/s.exec(word)?.[1];
    if (found === undefined) return err(`--firmware-vars ${path}: "${word}" is not template=FILE`);
    template = found;
  }
  return ok({ path, template });
}

/** Opens the file, and makes it if there is none. The error is a sentence. */
export function openVars({ path, template }: VarsRequest, files: FileStore): Result<FileToken, string> {
  try {
    const found = statSync(path, { throwIfNoEntry: false });
    if (found === undefined) {
      const made = makeVars(path, template);
      if (!made.ok) return made;
    } else {
      const fault = whyUnfit(found);
      if (fault !== undefined) return err(`${path}: firmware variables: ${fault}`);
    }
  } catch (thrown) {
    return err(`${path}: firmware variables: ${hostReason(thrown)}; give another path`);
  }
  const opened = files.open(path, 'read-write');
  if (opened.ok) return opened;
  const { detail } = opened.error;
  const isReadOnly = detail === 'EACCES' || detail === 'EPERM' || detail === 'EROFS';
  return err(
    isReadOnly
      ? `${path}: firmware variables: may not be written, and firmware keeps its variables there; give a copy of it`
      : `${path}: firmware variables: cannot be opened: ${codeInWords(detail)}; give another path`,
  );
}

function whyUnfit(found: { isFile(): boolean; readonly size: number }): string | undefined {
  if (!found.isFile()) return 'is no regular file';
  if (found.size === BANK_BYTES) return undefined;
  return `has ${found.size} bytes, and a bank of the flash has ${BANK_BYTES}; truncate -s 64M makes a shorter one fit`;
}

/** Makes the file whole under another name first: a run that is interrupted leaves none that is half made. */
function makeVars(path: string, template: string | undefined): Result<undefined, string> {
  let content: Uint8Array;
  if (template === undefined) content = new Uint8Array(BANK_BYTES).fill(0xff);
  else {
    const found = statSync(template, { throwIfNoEntry: false });
    const fault = found === undefined ? 'there is no such file' : whyUnfit(found);
    if (fault !== undefined) return err(`${template}: template of firmware variables: ${fault}`);
    content = readFileSync(template);
  }
  const draft = `${path}.${process.pid}.new`;
  try {
    const file = openSync(draft, 'wx', 0o600);
    try {
      for (let done = 0; done < content.length; ) done += writeSync(file, content, done);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(draft, path);
    return ok();
  } catch (thrown) {
    rmSync(draft, { force: true });
    return err(`${path}: firmware variables: cannot be made: ${hostReason(thrown)}; give another path`);
  }
}
