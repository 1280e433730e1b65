/** `--share`: folders of the host for the guest. */

import type { FileStore, FolderToken } from '../../actors/runtime/files.js';
import { err, ok, type Result } from '../../bus/result.js';
import { TAG_BYTES_MAX } from '../../devices/virtio-9p/mount-tag.js';
import { codeInWords } from '../host-reasons.js';

/** A share as the command line asks for it. */
export interface ShareRequest {
  readonly path: string;
  readonly isReadOnly: boolean;
  /** What the guest mounts it by. */
  readonly tag: string;
}

/** Shares of one machine, at most. */
const SHARES_MAX = 8;
const TAG = /^[\w.-]+$/;

/** `DIR[,rw|ro][,tag=NAME]` each; a comma in a name is doubled. Tags are `share`, `share1`, ... unless given. */
export function parseShares(texts: readonly string[]): Result<readonly ShareRequest[], string> {
  if (texts.length > SHARES_MAX)
    return err(`--share was given ${texts.length} times; a machine has ${SHARES_MAX} at most`);
  const shares: ShareRequest[] = [];
  for (const [index, text] of texts.entries()) {
    const [path = '', ...words] = text
      .replaceAll(',,', '\0')
      .split(',')
      .map((part) => part.replaceAll('\0', ','));
    if (path === '') return err('--share takes a folder, such as --share . or --share work,rw');
    let share: ShareRequest = { path, isReadOnly: true, tag: index === 0 ? 'share' : `share${index}` };
    for (const word of words) {
      if (word === 'rw' || word === 'ro') share = { ...share, isReadOnly: word === 'ro' };
      else if (word.startsWith('tag=')) share = { ...share, tag: word.slice('tag='.length) };
      else return err(`--share ${path}: "${word}" is none of rw, ro, tag=NAME`);
    }
    const { tag } = share;
    if (!TAG.test(tag) || tag.length > TAG_BYTES_MAX) {
      return err(`--share ${path}: a tag has 1 to ${TAG_BYTES_MAX} letters, digits, ".", "_" or "-", not "${tag}"`);
    }
    if (shares.some((other) => other.tag === tag)) return err(`--share ${path}: another share has the tag "${tag}"`);
    shares.push(share);
  }
  return ok(shares);
}

/** Opens the folder of a share; the error is a sentence. */
export function openShare({ path, isReadOnly }: ShareRequest, files: FileStore): Result<FolderToken, string> {
  const opened = files.openFolder(path, isReadOnly ? 'read' : 'read-write');
  return opened.ok ? opened : err(`--share: ${path} cannot be opened as a folder: ${codeInWords(opened.error.detail)}`);
}
