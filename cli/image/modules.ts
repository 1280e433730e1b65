/**
 * Kernel modules: what each says about itself in its `.modinfo` section, and which a machine like ours needs. Debian's
 * packages carry no modules.dep (depmod makes it at installation), so dependencies and aliases are read from the modules.
 */
import { ok, type Result } from '../../bus/result.js';
import { type BootFault, refuse } from '../../devices/machine/boot-fault.js';

/** A module, unpacked. */
export interface KernelModule {
  /** Name with underscores, as the kernel counts it. */
  readonly name: string;
  /** Path below lib/modules/VERSION, without a compression suffix. */
  readonly path: string;
  readonly bytes: Uint8Array;
  /** Names of the modules it needs first. */
  readonly depends: readonly string[];
  readonly aliases: readonly string[];
}

/** Modules a guest of ours can use, where the kernel has them as modules: buses, devices, file systems, Hyper-V. */
export const WANTED_MODULES: readonly string[] = [
  ...['virtio_mmio', 'virtio_blk', 'virtio_net', 'virtio_console', 'virtio_rng', 'virtio_balloon'],
  ...['9pnet_virtio', '9p', 'virtiofs', 'vmw_vsock_virtio_transport', 'vsock'],
  ...['hv_vmbus', 'hv_storvsc', 'hv_netvsc', 'hv_utils', 'hv_sock', 'hv_balloon', 'sd_mod'],
  ...[
    'ext4',
    'crc32c_generic',
    'overlay',
    'squashfs',
    'loop',
    'af_packet',
    'gpio_keys',
    'evdev',
    'rtc_pl031',
    'qemu_fw_cfg',
  ],
];

/** `drivers/char/hw_random/virtio-rng.ko.xz` is the module virtio_rng. */
export function moduleName(path: string): string {
  const file = path.slice(path.lastIndexOf('/') + 1);
  return file.replace(/\.ko(\.(xz|gz|zst))?$/, '').replaceAll('-', '_');
}

/** The bytes of ELF section `wanted` of a relocatable object; undefined when anything about it is out of bounds. */
function sectionOf(bytes: Uint8Array, wanted: string): Uint8Array | undefined {
  if (bytes.byteLength < 64) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(0) !== 0x7f454c46 || view.getUint16(58, true) !== 64) return undefined;
  const table = Number(view.getBigUint64(40, true));
  const count = view.getUint16(60, true);
  const namesIndex = view.getUint16(62, true);
  if (table + count * 64 > bytes.byteLength || namesIndex >= count) return undefined;
  const section = (index: number): Uint8Array | undefined => {
    const offset = Number(view.getBigUint64(table + index * 64 + 24, true));
    const size = Number(view.getBigUint64(table + index * 64 + 32, true));
    return offset + size <= bytes.byteLength ? bytes.subarray(offset, offset + size) : undefined;
  };
  const names = section(namesIndex);
  if (names === undefined) return undefined;
  const needle = new TextEncoder().encode(`${wanted}\0`);
  for (let index = 0; index < count; index++) {
    const at = view.getUint32(table + index * 64, true);
    if (needle.every((byte, i) => names[at + i] === byte)) return section(index);
  }
  return undefined;
}

/** Reads a module's `key=value` strings. */
export function readModule(path: string, bytes: Uint8Array): Result<KernelModule, BootFault> {
  const section = sectionOf(bytes, '.modinfo');
  if (section === undefined) return refuse(path, '.modinfo', 'is missing: this is no kernel module');
  const pairs = Buffer.from(section.buffer, section.byteOffset, section.byteLength).toString('latin1').split('\0');
  const valuesOf = (key: string): string[] =>
    pairs.filter((pair) => pair.startsWith(`${key}=`)).map((pair) => pair.slice(key.length + 1));
  const depends = (valuesOf('depends')[0] ?? '').split(',').filter((name) => /^[\w-]+$/.test(name));
  const aliases = valuesOf('alias').filter((alias) => /^[\x21-\x7e]+$/.test(alias));
  return ok({
    name: moduleName(path),
    path,
    bytes,
    depends: depends.map((name) => name.replaceAll('-', '_')),
    aliases,
  });
}

/** Names of `wanted` and of everything they need, by following `dependsOf`; unknown names are built in or absent. */
export function closeOver(
  wanted: readonly string[],
  dependsOf: (name: string) => readonly string[] | undefined,
): Set<string> {
  const needed = new Set<string>();
  const pending = [...wanted];
  for (let name = pending.pop(); name !== undefined; name = pending.pop()) {
    const depends = needed.has(name) ? undefined : dependsOf(name);
    if (depends === undefined) continue;
    needed.add(name);
    pending.push(...depends);
  }
  return needed;
}

/** modules.dep: each module's path, then the paths of all it needs, nearest last (depmod(8)). */
export function modulesDep(modules: readonly KernelModule[]): string {
  const byName = new Map(modules.map((module) => [module.name, module]));
  const lines = modules.map((module) => {
    const needed = closeOver(module.depends, (name) => byName.get(name)?.depends);
    needed.delete(module.name);
    // A module comes before what it needs, so that loading from the right end works.
    const ordered = [...needed].sort((a, b) => depth(b, byName) - depth(a, byName));
    return `${module.path}: ${ordered.map((name) => byName.get(name)?.path ?? '').join(' ')}`.trimEnd();
  });
  return `${lines.join('\n')}\n`;
}

/** Length of the longest chain of dependencies below `name`; cycles, which cannot be real, count as ended. */
function depth(name: string, byName: ReadonlyMap<string, KernelModule>, seen: readonly string[] = []): number {
  const depends = seen.includes(name) ? [] : (byName.get(name)?.depends ?? []);
  return depends.reduce((deepest, next) => Math.max(deepest, 1 + depth(next, byName, [...seen, name])), 0);
}

/** modules.alias: `alias PATTERN MODULE` lines. */
export function modulesAlias(modules: readonly KernelModule[]): string {
  return modules.flatMap((module) => module.aliases.map((alias) => `alias ${alias} ${module.name}\n`)).join('');
}
