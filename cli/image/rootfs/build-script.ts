/**
 * What runs in the machine that makes a root file system: PID 1 of its initial RAM disk. Disk vda becomes the root, vdb carries
 * the unpacked packages (payload.ts), which dpkg configures. It speaks to the host by lines on the console:
 * `wurley-build: step TEXT`, dpkg's own `processing: STAGE: PACKAGE`, `wurley-build: failed TEXT` and `wurley-build: done`.
 */
import type { CpioEntry } from '../cpio.js';
import type { Payload } from './payload.js';

/** Begins the lines that are for the host. */
export const BUILD_MARK = 'wurley-build: ';

/** A record of tar is so many of its blocks; it says how far it is after so many records. */
const RECORD_BLOCKS = 512;
const CHECKPOINT_RECORDS = 16;
/** What tar's count of records is in bytes. */
export const CHECKPOINT_BYTES: number = RECORD_BLOCKS * 512;

/** Packages that must work before any other can be configured, in this order. */
const FIRST = ['base-passwd', 'base-files', 'dpkg', 'libc6', 'perl-base', 'mawk', 'debconf'] as const;

const SCRIPT = `#!/bin/sh
export PATH=/bin:/sbin HOME=/root LC_ALL=C.UTF-8
mount -t proc proc /proc; mount -t sysfs sysfs /sys; mount -t devtmpfs dev /dev 2>/dev/null
exec </dev/null
mkdir -p /target
: >/log
say() { echo "${BUILD_MARK}$*" >/dev/console; }
end() { sync; poweroff -f; sleep 1000; }
fail() { tail -n 25 /log >/dev/console; say "failed $*"; end; }
step() { say "step $*"; }
must() { "$@" >>/log 2>&1 || fail "$*"; }
modprobe -qa virtio_mmio virtio_blk ext4 crc32c_generic
n=0; until [ -b /dev/vdb ] || [ $n -ge 100 ]; do usleep 100000; n=$((n+1)); done

step making the file system
# The disk is new: nothing need be erased, neither now nor by the kernel later.
must /sbin/mke2fs -q -F -t ext4 -L "$wurley_label" -E nodiscard,lazy_itable_init=0,assume_storage_prezeroed=1 /dev/vda
# A build that is cut short begins again: no barriers.
must mount -t ext4 -o noatime,barrier=0,data=writeback /dev/vda /target

step copying the packages
blockdev --setra 4096 /dev/vdb
/sbin/gnu-tar -x -p --numeric-owner --keep-directory-symlink -b ${RECORD_BLOCKS} --checkpoint=${CHECKPOINT_RECORDS} \\
  --checkpoint-action=echo='checkpoint %u' -f /dev/vdb -C /target 2>/dev/console || fail copying the packages
in_root() { chroot /target /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 TERM=dumb \\
  DEBIAN_FRONTEND=noninteractive DEBCONF_NONINTERACTIVE_SEEN=true PERL_BADLANG=0 "$@"; }
mkdir -p /target/proc /target/sys /target/dev /target/run /target/tmp /target/lib/modules
mount -t proc proc /target/proc; mount -t sysfs sysfs /target/sys; mount --bind /dev /target/dev
mkdir -p /dev/pts /dev/shm; mount -t devpts devpts /dev/pts
mount -t tmpfs run /target/run; mount -t tmpfs tmp /target/tmp; chmod 1777 /target/tmp
mkdir -p /target/var/lib/dpkg/updates /target/var/lib/dpkg/alternatives /target/var/lib/dpkg/parts
[ -e /target/usr/bin/awk ] || ln -s mawk /target/usr/bin/awk
[ -e /target/etc/shells ] || : >/target/etc/shells
# Services start when the system does, not now.
printf '#!/bin/sh\\nexit 101\\n' >/target/usr/sbin/policy-rc.d; chmod 755 /target/usr/sbin/policy-rc.d

step configuring packages
preinst() {
  [ -e /target/var/lib/dpkg/info/$1.preinst ] || return 0
  echo "processing: preinst: $2" >/dev/console
  in_root DPKG_MAINTSCRIPT_PACKAGE=$2 DPKG_MAINTSCRIPT_NAME=preinst DPKG_MAINTSCRIPT_ARCH=arm64 DPKG_ADMINDIR=/var/lib/dpkg \\
    DPKG_ROOT= DPKG_MAINTSCRIPT_PACKAGE_REFCOUNT=1 DPKG_RUNNING_VERSION=$dpkg \\
    /var/lib/dpkg/info/$1.preinst install >>/log 2>&1 || fail "preinst of $2"
}
configure() { in_root dpkg --status-fd 8 --force-unsafe-io --force-confold "$@" 8>/dev/console >>/log 2>&1; }
dpkg=$(in_root dpkg-query -f '\${Version}' -W dpkg)
for name in ${FIRST.join(' ')}; do
  case $name in libc6) info=libc6:arm64 ;; *) info=$name ;; esac
  preinst $info $name
  configure --force-depends --configure $name || fail configuring $name
done
for pair in $wurley_preinsts; do
  case " ${FIRST.join(' ')} " in *" \${pair#*=} "*) ;; *) preinst \${pair%=*} \${pair#*=} ;; esac
done
configure --force-depends --configure --pending || configure --configure --pending || fail configuring packages
for trigger in $wurley_triggers; do must in_root dpkg-trigger --no-await --by-package=dpkg $trigger; done
configure --configure --pending || fail configuring packages
in_root dpkg --audit >/audit 2>&1
[ -s /audit ] && { cat /audit >>/log; fail dpkg finds packages that are not right; }

step finishing
[ -d /target/root/.ssh ] && chmod 700 /target/root/.ssh
rm -f /target/usr/sbin/policy-rc.d
case "$wurley_password" in
  none) must in_root passwd -d root ;;
  locked) must in_root passwd -l root ;;
  set:*) echo "root:\${wurley_password#set:}" | in_root chpasswd >>/log 2>&1 || fail setting the password ;;
esac
umount /dev/pts
for d in tmp run dev proc sys; do must umount /target/$d; done
must umount /target
step checking the file system
must /sbin/e2fsck -f -n /dev/vda
say done
end
`;

/** What the script is told. */
export interface BuildParameters {
  /** Label of the file system. */
  readonly label: string;
  readonly payload: Payload;
  /** `none`: no password is asked for on the console; `locked`: none is accepted; `set:TEXT`: that one. */
  readonly password: 'none' | 'locked' | `set:${string}`;
  /** Files of the initial RAM disk: mke2fs and e2fsck with their libraries. */
  readonly tools: readonly CpioEntry[];
}

/** A word for the shell. */
function quoted(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}

/** The entries of the archive that follows an image's initial RAM disk and makes it build. */
export function buildEntries({ label, payload, password, tools }: BuildParameters): readonly CpioEntry[] {
  const variables = [
    `wurley_label=${quoted(label)}`,
    `wurley_password=${quoted(password)}`,
    `wurley_preinsts=${quoted(payload.preinsts.map(({ info, name }) => `${info}=${name}`).join(' '))}`,
    `wurley_triggers=${quoted(payload.triggers.join(' '))}`,
  ];
  const script = SCRIPT.replace('\n', () => `\n${variables.join('\n')}\n`);
  return [{ kind: 'file', path: 'init', mode: 0o755, bytes: new TextEncoder().encode(script) }, ...tools];
}
