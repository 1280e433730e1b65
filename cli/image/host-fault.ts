/** What the host's file system refuses, or has no room for, as a fault in one sentence. */
import { statfsSync } from 'node:fs';
import { ok, type Result } from '../../bus/result.js';
import { type BootFault, refuse } from '../../devices/machine/boot-fault.js';
import { codeInWords, errnoOf } from '../host-reasons.js';

const MIB = 2 ** 20;

/** Whether the file system of `folder` has `needed` bytes free for `file`. */
export function roomFor(file: string, field: string, folder: string, needed: number): Result<undefined, BootFault> {
  const { bavail, bsize } = statfsSync(folder);
  const free = bavail * bsize;
  if (free >= needed) return ok();
  const sizes = `${Math.floor(free / MIB)} MiB are free there and ${Math.ceil(needed / MIB)} MiB needed`;
  return refuse(file, field, `no space: ${sizes}`);
}

/** A failure of the host's file system as a sentence about `file` and its `field`; anything else is thrown again. */
export function hostFault(problem: unknown, file: string, field: string): Result<never, BootFault> {
  const code = errnoOf(problem);
  if (code === undefined || !/^E[A-Z0-9]+$/.test(code)) throw problem;
  const at = problem instanceof Error && 'path' in problem ? `, at ${String(problem.path)}` : '';
  // Folders are made where they are missing: what is there already is something else.
  const words = codeInWords(code === 'EEXIST' ? 'ENOTDIR' : code);
  return refuse(file, field, `cannot be written: ${words}${at}`);
}
