/** Debian's Release files: which checksum the signed index gives for a file (apt-secure(8), repository format). */

/** SHA-256 and size of one file below `dists/SUITE/`. */
export interface ReleaseEntry {
  readonly sha256: string;
  readonly sizeBytes: number;
}

/** The signed text of a clear-signed file without its armour; undefined when it is not one (RFC 4880, section 7). */
export function signedText(inRelease: string): string | undefined {
  const begin = '-----BEGIN PGP SIGNED MESSAGE-----\n';
  const start = inRelease.indexOf('\n\n');
  const end = inRelease.indexOf('\n-----BEGIN PGP SIGNATURE-----');
  if (!inRelease.startsWith(begin) || start < 0 || end < start) return undefined;
  return inRelease.slice(start + 2, end).replaceAll(/^- /gm, '');
}

/** The SHA256 entry of `path` in Release text; undefined when it has none. */
export function releaseEntry(release: string, path: string): ReleaseEntry | undefined {
  const section = /^SHA256:\n((?: .*(?:\n|$))*)/m.exec(release)?.[1] ?? '';
  for (const line of section.split('\n')) {
    const [sha256 = '', size = '', name] = line.trim().split(/\s+/);
    if (name === path && /^[0-9a-f]{64}$/.test(sha256) && /^\d{1,12}$/.test(size))
      return { sha256, sizeBytes: Number(size) };
  }
  return undefined;
}

/** Whether the Release text is past its `Valid-Until`; security suites have one. `nowMs` is the time since the epoch. */
export function isExpired(release: string, nowMs: number): boolean {
  const until = /^Valid-Until: (.*)$/m.exec(release)?.[1];
  return until !== undefined && Date.parse(until) < nowMs;
}

/** The suite's own name for itself, so that one suite's signed file cannot stand in for another's. */
export function isOfSuite(release: string, suite: string): boolean {
  const fields = [/^Codename: (.*)$/m.exec(release)?.[1], /^Suite: (.*)$/m.exec(release)?.[1]];
  return fields.some((name) => name === suite);
}
