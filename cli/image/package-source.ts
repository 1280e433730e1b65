/** Where packages come from: one interface, implemented over the host's apt and over HTTPS. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import type { Result } from '../../bus/result.js';
import type { BootFault } from '../../devices/machine/boot-fault.js';
import type { Suite } from './catalog.js';
import type { PackageRecord } from './package-index.js';

/** Told what is going on: a short text, how much of it is done (0 to 1) where that is known, and what it is at just now. */
export type Report = (what: string, fraction?: number, detail?: string) => void;

/** A source of verified packages. Every answer is covered by Debian's signature, or the source says in `caveat` why not. */
export interface PackageSource {
  readonly kind: 'apt' | 'https';
  /** Brings the signed indexes of `suites` up to date. */
  refresh(suites: readonly Suite[], report: Report): Promise<Result<undefined, BootFault>>;
  /** All versions of the packages named. */
  find(names: readonly string[]): Promise<Result<readonly PackageRecord[], BootFault>>;
  /** All packages there are. */
  all(): Promise<Result<readonly PackageRecord[], BootFault>>;
  /** Fetches a package to `path`, continuing a partial one; the content's checksum is the record's. */
  download(record: PackageRecord, path: string, report: Report): Promise<Result<undefined, BootFault>>;
  /** Fetches many packages, as `download` does; `pathOf` says where each goes. What has arrived stays when a later one fails. */
  downloadAll(
    records: readonly PackageRecord[],
    pathOf: (record: PackageRecord) => string,
    report: Report,
  ): Promise<Result<undefined, BootFault>>;
  /** What a user should know about how far the content was verified; undefined when fully. */
  caveat(): string | undefined;
}

/**
 * Debian's mirror by `scheme`; `WURLEY_DEBIAN_MIRROR` names another one, with its own scheme, up to but without
 * `/debian`.
 */
export function mirrorOf(env: NodeJS.ProcessEnv, scheme: 'http' | 'https'): string {
  return (env['WURLEY_DEBIAN_MIRROR'] ?? `${scheme}://deb.debian.org`).replace(/\/+$/, '');
}

/** SHA-256 of a file, in hexadecimal; undefined when it cannot be read. */
export async function sha256OfFile(path: string): Promise<string | undefined> {
  const hash = createHash('sha256');
  try {
    for await (const chunk of createReadStream(path)) hash.update(chunk);
  } catch {
    return undefined;
  }
  return hash.digest('hex');
}
