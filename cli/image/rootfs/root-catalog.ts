/** The root file systems that can be made: Debian's suites by name, and the kernel image that boots each. */
import { type CatalogEntry, findCatalogEntry, type Suite } from '../catalog.js';

/** A root file system by its name. */
export interface RootEntry {
  /** What a user types. */
  readonly name: string;
  /** Debian's name of the release. */
  readonly codename: string;
  /** The image whose kernel and initial RAM disk boot it, and in which it is made. */
  readonly kernelImage: string;
  /** The package that asks for an address by DHCP, which ifupdown calls. */
  readonly dhcpClient: string;
}

/** Everything `wurley image rootfs` knows. */
export const ROOT_CATALOG: readonly RootEntry[] = [
  { name: 'debian:bookworm', codename: 'bookworm', kernelImage: 'debian:6.1-cloud', dhcpClient: 'isc-dhcp-client' },
  { name: 'debian:trixie', codename: 'trixie', kernelImage: 'debian:6.12-cloud', dhcpClient: 'dhcpcd-base' },
];

/** Finds a root file system by name. */
export function findRootEntry(name: string): RootEntry | undefined {
  return ROOT_CATALOG.find((entry) => entry.name === name);
}

/** Where its packages come from. */
export function suitesOf(entry: RootEntry): readonly Suite[] {
  const kernel: CatalogEntry | undefined = findCatalogEntry(entry.kernelImage);
  return kernel?.suites ?? [];
}

/** How much of Debian a root file system has. */
export type Variant = 'standard' | 'minimal';

/** What every variant has beside the packages that Debian calls required: init, devices, a network, a login from afar. */
const BASE: readonly string[] = [
  ...['apt', 'init', 'systemd-sysv', 'udev', 'dbus', 'libpam-systemd', 'kmod', 'login', 'e2fsprogs', 'procps'],
  ...['iproute2', 'ifupdown', 'iputils-ping', 'netbase', 'ca-certificates', 'openssh-server', 'usr-is-merged'],
];

/** Names of the packages to begin with, beside those that Debian calls required. */
export function basePackages(entry: RootEntry): readonly string[] {
  return [...BASE, entry.dhcpClient];
}
