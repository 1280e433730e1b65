/** The initial RAM disk: busybox, an /init that ends in a shell, and the modules a machine of ours can use. */
import { type CpioEntry, writeCpio } from './cpio.js';
import { type KernelModule, modulesAlias, modulesDep } from './modules.js';

/** What /init prints when the shell is about to start: "the guest is up" for tests and benchmarks. */
export const READY_MARKER = 'wurley-init: ready';

/**
 * PID 1. Modules are found by the aliases of the devices that are there, in two rounds: virtio transports, then the
 * devices behind them. A shell that ends is started again; `poweroff -f` and `reboot -f` talk to the kernel directly.
 *
 * `root=` on the kernel command line (a device, LABEL= or UUID=; `rw`, `rootfstype=`) makes it hand over to the init of that
 * file system, with the modules that are here at their place there.
 *
 * `wurley_plain=1` on the kernel command line (the kernel hands it on as a variable) serves scripts: no echo, no prompt,
 * no escape sequences, plain line feeds, and the machine goes off when the shell ends.
 */
const INIT = `#!/bin/sh
export PATH=/bin:/sbin:/usr/bin:/usr/sbin HOME=/root TERM=\${TERM:-vt100}
mount -t proc proc /proc
mount -t sysfs sysfs /sys
[ -e /dev/kmsg ] || mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /tmp
mount -t tmpfs tmpfs /run
probe() { modprobe -qab $(cat /sys/bus/*/devices/*/modalias 2>/dev/null | sort -u) 2>/dev/null; }
probe
[ -e /sys/bus/virtio ] && probe
[ -e /sys/bus/vmbus ] && probe
root= mode=ro type=
for word in $(cat /proc/cmdline); do
  case "$word" in
    root=*) root=\${word#root=} ;;
    rootfstype=*) type="-t \${word#rootfstype=}" ;;
    ro | rw) mode=$word ;;
  esac
done
if [ -n "$root" ]; then
  modprobe -qa virtio_blk sd_mod ext4 crc32c_generic af_packet
  n=0
  while [ $n -lt 100 ]; do
    case "$root" in
      LABEL=* | UUID=*) device=$(findfs "$root" 2>/dev/null) ;;
      *) device=$root ;;
    esac
    [ -b "$device" ] && break
    usleep 100000
    n=$((n + 1))
  done
  mkdir -p /sysroot
  if [ -b "$device" ] && mount $type -o $mode "$device" /sysroot; then
    # The kernel is ours, so the root has no modules of its own for it: those that are here serve it.
    release=$(uname -r)
    if [ -d /sysroot/lib/modules ] && [ ! -e /sysroot/lib/modules/$release ]; then
      mount -t tmpfs modules /sysroot/lib/modules
      mv /lib/modules/$release /sysroot/lib/modules/
      [ -x /sysroot/sbin/depmod ] && chroot /sysroot /sbin/depmod 2>/dev/null
    fi
    umount /dev/pts /tmp
    for folder in proc sys dev run; do mount --move /$folder /sysroot/$folder; done
    exec switch_root /sysroot /sbin/init "$@"
  fi
  echo "wurley-init: no root file system at $root; this is a shell of the initial RAM disk"
fi
hostname wurley
ip link set lo up 2>/dev/null
# The kernel's own requests (a file system to mount, a family of sockets) go to /sbin/modprobe unless it is told otherwise.
[ -e /proc/sys/kernel/modprobe ] && echo /bin/modprobe > /proc/sys/kernel/modprobe
if [ -n "$wurley_plain" ]; then
  setsid cttyhack sh -c 'stty -echo -onlcr; echo "${READY_MARKER}"; exec sh /dev/tty'
  poweroff -f
fi
echo "${READY_MARKER}"
while :; do
  setsid cttyhack sh -l
done
`;

const PROFILE = `PS1='wurley:\\w# '
export PS1
`;

const FOLDERS = ['bin', 'dev', 'etc', 'lib', 'lib/modules', 'mnt', 'proc', 'root', 'run', 'sbin', 'sys', 'tmp', 'usr'];
const MORE_FOLDERS = ['usr/bin', 'usr/sbin', 'var'];

/** Names too few or too odd mean that what was found is not busybox's table. */
const APPLETS_MIN = 100;

/**
 * Names of busybox's applets, from the table inside the binary: NUL-terminated and sorted, beginning with `[` and `[[`.
 * Undefined when there is no such table.
 */
export function busyboxApplets(binary: Uint8Array): readonly string[] | undefined {
  const bytes = Buffer.from(binary.buffer, binary.byteOffset, binary.byteLength);
  for (let at = bytes.indexOf('[\0[[\0'); at >= 0; at = bytes.indexOf('[\0[[\0', at + 1)) {
    const end = bytes.indexOf('\0\0', at);
    const names = bytes.toString('latin1', at, end < 0 ? at : Math.min(end, at + 8192)).split('\0');
    if (names.length >= APPLETS_MIN && names.every((name) => /^[a-z0-9[][a-z0-9._[-]*$/.test(name))) return names;
  }
  return undefined;
}

/** What the archive is made from. */
export interface InitramfsParts {
  /** Kernel release, as `uname -r` says it. */
  readonly release: string;
  readonly busybox: Uint8Array;
  readonly modules: readonly KernelModule[];
  /** Content of the package's modules.builtin: modprobe then knows what needs no module. */
  readonly builtin: Uint8Array;
}

/** Every folder above `path` that is not yet in `known`, outermost first. */
function parentsOf(path: string, known: Set<string>): CpioEntry[] {
  const parts = path.split('/').slice(0, -1);
  const entries: CpioEntry[] = [];
  for (let i = 1; i <= parts.length; i++) {
    const folder = parts.slice(0, i).join('/');
    if (known.has(folder)) continue;
    known.add(folder);
    entries.push({ kind: 'directory', path: folder, mode: 0o755 });
  }
  return entries;
}

/**
 * An archive to follow an image's own initial RAM disk when a root file system is to be booted (`root=` on the kernel's command
 * line): images that were pulled by an earlier version know nothing of it.
 */
export function rootBootArchive(): Uint8Array {
  return writeCpio([{ kind: 'file', path: 'init', mode: 0o755, bytes: new TextEncoder().encode(INIT) }]);
}

/** The archive, uncompressed: unpacking costs the guest more than reading. */
export function buildInitramfs(parts: InitramfsParts): Uint8Array {
  const known = new Set([...FOLDERS, ...MORE_FOLDERS]);
  const text = (content: string): Uint8Array => new TextEncoder().encode(content);
  const entries: CpioEntry[] = [...known].map((path) => ({ kind: 'directory', path, mode: 0o755 }));
  const file = (path: string, bytes: Uint8Array, mode = 0o644): void => {
    entries.push(...parentsOf(path, known), { kind: 'file', path, mode, bytes });
  };
  // The kernel opens /dev/console before anything could mount /dev.
  entries.push({ kind: 'device', path: 'dev/console', mode: 0o600, major: 5, minor: 1 });
  entries.push({ kind: 'device', path: 'dev/null', mode: 0o666, major: 1, minor: 3 });
  file('bin/busybox', parts.busybox, 0o755);
  const applets = busyboxApplets(parts.busybox);
  for (const name of applets ?? ['sh'])
    if (name !== 'busybox') entries.push({ kind: 'symlink', path: `bin/${name}`, target: 'busybox' });
  const install =
    applets === undefined ? INIT.replace('\nexport PATH', '\n/bin/busybox --install -s /bin\nexport PATH') : INIT;
  file('init', text(install), 0o755);
  file('etc/profile', text(PROFILE));
  file('etc/passwd', text('root:x:0:0:root:/root:/bin/sh\n'));
  file('etc/group', text('root:x:0:\n'));
  const folder = `lib/modules/${parts.release}`;
  file(`${folder}/modules.dep`, text(modulesDep(parts.modules)));
  file(`${folder}/modules.alias`, text(modulesAlias(parts.modules)));
  file(`${folder}/modules.builtin`, parts.builtin);
  for (const module of parts.modules) file(`${folder}/${module.path}`, module.bytes);
  return writeCpio(entries);
}
