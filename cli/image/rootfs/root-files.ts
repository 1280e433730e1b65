/** The configuration of a new root file system: what no package decides. */
import { type RootEntry, suitesOf } from './root-catalog.js';

/** systemd's 90 s are too few for a guest whose host is busy with others: few of a minute's seconds are its own. */
const SLOW_HOST = `# On a busy host few of a minute's seconds are this system's own: what is slow is not given up.
[Manager]
DefaultDeviceTimeoutSec=15min
DefaultTimeoutStartSec=15min
`;
/** A login on the console also where the generator that asks for one was ended for being slow; its 90 s are compiled in. */
const CONSOLE_LOGIN = '[Unit]\nWants=serial-getty@ttyAMA0.service\n';

/** Files by path. The root is the first disk; a network card asks for an address by DHCP, and none need be there. */
export function rootFiles(
  entry: RootEntry,
  hostname: string,
  sshKeys: string | undefined,
): ReadonlyMap<string, string> {
  const { codename } = entry;
  const sources = suitesOf(entry).map(({ base, suite }) => `deb http://deb.debian.org/${base} ${suite} main\n`);
  const files = new Map([
    ['etc/hostname', `${hostname}\n`],
    ['etc/hosts', `127.0.0.1\tlocalhost ${hostname}\n::1\t\tlocalhost ip6-localhost ip6-loopback\n`],
    ['etc/fstab', `LABEL=${codename} / ext4 defaults,errors=remount-ro 0 1\n`],
    ['etc/network/interfaces', 'auto lo\niface lo inet loopback\n\nallow-hotplug eth0\niface eth0 inet dhcp\n'],
    ['etc/apt/sources.list', sources.join('')],
    ['etc/default/locale', 'LANG=C.UTF-8\n'],
    ['etc/systemd/system.conf.d/slow-host.conf', SLOW_HOST],
    ['etc/systemd/system/getty.target.d/console.conf', CONSOLE_LOGIN],
  ]);
  if (sshKeys !== undefined) files.set('root/.ssh/authorized_keys', `${sshKeys.trimEnd()}\n`);
  return files;
}
