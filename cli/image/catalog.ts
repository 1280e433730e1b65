/** The images that can be pulled: Debian's own kernels, by name, and where Debian publishes them. */

/** One line of an apt source: `base` is the archive's path on a mirror. */
export interface Suite {
  readonly base: 'debian' | 'debian-security';
  readonly suite: string;
}

/** An image by its name. */
export interface CatalogEntry {
  /** What a user types. */
  readonly name: string;
  /** Suites that are asked; the newest version wins. */
  readonly suites: readonly Suite[];
  /** The package that depends on the newest kernel of its kind. */
  readonly metaPackage: string;
  /** Kernel versions that belong to this name start so. */
  readonly versionPrefix: string;
}

const BOOKWORM: readonly Suite[] = [
  { base: 'debian', suite: 'bookworm' },
  { base: 'debian-security', suite: 'bookworm-security' },
];
const TRIXIE: readonly Suite[] = [
  { base: 'debian', suite: 'trixie' },
  { base: 'debian-security', suite: 'trixie-security' },
];

/** Everything `wurley image pull` knows. */
export const CATALOG: readonly CatalogEntry[] = [
  { name: 'debian:6.1-cloud', suites: BOOKWORM, metaPackage: 'linux-image-cloud-arm64', versionPrefix: '6.1.' },
  { name: 'debian:6.1', suites: BOOKWORM, metaPackage: 'linux-image-arm64', versionPrefix: '6.1.' },
  { name: 'debian:6.12-cloud', suites: TRIXIE, metaPackage: 'linux-image-cloud-arm64', versionPrefix: '6.12.' },
  { name: 'debian:6.12', suites: TRIXIE, metaPackage: 'linux-image-arm64', versionPrefix: '6.12.' },
];

/** The package with a statically linked busybox; the same name in every suite. */
export const BUSYBOX_PACKAGE = 'busybox-static';

/** Finds an image by name. */
export function findCatalogEntry(name: string): CatalogEntry | undefined {
  return CATALOG.find((entry) => entry.name === name);
}

/** Files of an image and the working folder of apt are named after it: `debian:6.1-cloud` becomes `debian-6.1-cloud`. */
export function folderName(name: string): string {
  return name.replaceAll(/[^a-z0-9.-]/g, '-');
}
