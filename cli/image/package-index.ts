/** Debian package indexes: the stanzas of `Packages` files and of `apt-cache show`, and the order of versions. */

/** What is needed of a package's stanza. */
export interface PackageRecord {
  readonly name: string;
  readonly version: string;
  /** The raw Depends field. */
  readonly depends: string;
  /** The raw Pre-Depends field. */
  readonly preDepends: string;
  /** The raw Provides field. */
  readonly provides: string;
  /** `required`, `important`, `standard`, `optional`; empty when the stanza has none. */
  readonly priority: string;
  /** Whether dpkg refuses to be without it. */
  readonly isEssential: boolean;
  /** Path below the archive's base. */
  readonly filename: string;
  readonly sizeBytes: number;
  /** 64 lower-case hexadecimal digits. */
  readonly sha256: string;
}

/** Package names, versions and paths as Debian policy allows them; nothing else reaches a command line or a file name. */
const NAME = /^[a-z0-9][a-z0-9+.-]{1,127}$/;
const VERSION = /^[A-Za-z0-9.+~:-]{1,127}$/;
const FILENAME = /^pool\/[A-Za-z0-9+.~_%/-]{1,400}\.deb$/;
const SHA256 = /^[0-9a-f]{64}$/;
const PACKAGE_BYTES_MAX = 512 * 1024 * 1024;

function toRecord(fields: ReadonlyMap<string, string>): PackageRecord | undefined {
  const name = fields.get('Package') ?? '';
  const version = fields.get('Version') ?? '';
  const filename = fields.get('Filename') ?? '';
  const sha256 = fields.get('SHA256') ?? '';
  const sizeText = fields.get('Size') ?? '';
  const sizeBytes = /^\d{1,10}$/.test(sizeText) ? Number(sizeText) : 0;
  const isSound = NAME.test(name) && VERSION.test(version) && FILENAME.test(filename) && SHA256.test(sha256);
  if (!isSound || filename.includes('..') || sizeBytes === 0 || sizeBytes > PACKAGE_BYTES_MAX) return undefined;
  const field = (key: string): string => fields.get(key) ?? '';
  return {
    ...{ name, version, filename, sizeBytes, sha256 },
    depends: field('Depends'),
    preDepends: field('Pre-Depends'),
    provides: field('Provides'),
    priority: field('Priority'),
    isEssential: field('Essential') === 'yes',
  };
}

/** All sound records of the packages named in `wanted` (absent: of all); stanzas that are not sound are left out. */
export function parseIndex(text: string, wanted?: ReadonlySet<string>): PackageRecord[] {
  const records: PackageRecord[] = [];
  for (const start of stanzaStarts(text, wanted)) {
    const end = text.indexOf('\n\n', start);
    const fields = new Map<string, string>();
    for (const line of text.slice(start, end < 0 ? undefined : end).split('\n')) {
      const colon = line.indexOf(':');
      if (colon > 0 && !line.startsWith(' ') && !fields.has(line.slice(0, colon)))
        fields.set(line.slice(0, colon), line.slice(colon + 1).trim());
    }
    const record = toRecord(fields);
    if (record !== undefined) records.push(record);
  }
  return records;
}

/** Offsets of the wanted stanzas; an index has 60,000, so only lines that can begin one are looked at. */
function* stanzaStarts(text: string, wanted: ReadonlySet<string> | undefined): Generator<number> {
  const key = 'Package: ';
  for (let at = text.indexOf(key); at >= 0; at = text.indexOf(key, at + key.length)) {
    if (at > 0 && text[at - 1] !== '\n') continue;
    const end = text.indexOf('\n', at);
    if (wanted === undefined || wanted.has(text.slice(at + key.length, end < 0 ? undefined : end).trim())) yield at;
  }
}

/** Splits a version into epoch, upstream version and revision (Debian policy 5.6.12). */
function versionParts(version: string): readonly [number, string, string] {
  const colon = version.indexOf(':');
  const rest = version.slice(colon + 1);
  const dash = rest.lastIndexOf('-');
  return [
    colon < 0 ? 0 : Number(version.slice(0, colon)) || 0,
    dash < 0 ? rest : rest.slice(0, dash),
    dash < 0 ? '' : rest.slice(dash + 1),
  ];
}

/** `~` before the end, the end before letters, letters before everything else. */
function rank(character: string | undefined): number {
  if (character === '~') return -1;
  if (character === undefined || /\d/.test(character)) return 0;
  return /[A-Za-z]/.test(character) ? character.charCodeAt(0) : character.charCodeAt(0) + 256;
}

/** Compares non-digits by rank and digits by value, in turn. */
function comparePart(a: string, b: string): number {
  let i = 0;
  let j = 0;
  while (i < a.length || j < b.length) {
    while ((i < a.length && !/\d/.test(a[i] ?? '')) || (j < b.length && !/\d/.test(b[j] ?? ''))) {
      const difference = rank(a[i]) - rank(b[j]);
      if (difference !== 0) return difference;
      i++;
      j++;
    }
    const digitsA = /^\d*/.exec(a.slice(i))?.[0] ?? '';
    const digitsB = /^\d*/.exec(b.slice(j))?.[0] ?? '';
    const difference = BigInt(digitsA || '0') - BigInt(digitsB || '0');
    if (difference !== 0n) return difference < 0n ? -1 : 1;
    i += digitsA.length;
    j += digitsB.length;
  }
  return 0;
}

/** Debian's order of versions: negative when `a` is older than `b`. */
export function compareVersions(a: string, b: string): number {
  const [epochA, upstreamA, revisionA] = versionParts(a);
  const [epochB, upstreamB, revisionB] = versionParts(b);
  return epochA - epochB || comparePart(upstreamA, upstreamB) || comparePart(revisionA, revisionB);
}

/** The newest of `records` that `accept` takes. */
export function newest(
  records: readonly PackageRecord[],
  accept: (record: PackageRecord) => boolean,
): PackageRecord | undefined {
  return records
    .filter(accept)
    .reduce<PackageRecord | undefined>(
      (best, record) => (best === undefined || compareVersions(record.version, best.version) > 0 ? record : best),
      undefined,
    );
}

/** The real kernel package a meta package depends on: `linux-image-6.1.0-56-cloud-arm64` of `... (= 6.1.192-2)`. */
export function kernelDependency(meta: PackageRecord): string | undefined {
  return meta.depends
    .split(',')
    .map((term) => term.trim().split(' ')[0] ?? '')
    .find((name) => /^linux-image-\d/.test(name) && NAME.test(name));
}
