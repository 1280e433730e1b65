/** What the firmware configuration device offers, by QEMU's keys and names (docs/specs/fw_cfg.rst; EDK2's QemuFwCfgItem). */
import { assert } from '../../bus/assert.js';

/** Keys of items that are no files. */
const KEY = {
  signature: 0x0000,
  id: 0x0001,
  cpus: 0x0005,
  kernelBytes: 0x0008,
  initrdBytes: 0x000b,
  bootMenu: 0x000e,
  cpusMax: 0x000f,
  kernel: 0x0011,
  initrd: 0x0012,
  commandLineBytes: 0x0014,
  commandLine: 0x0015,
  files: 0x0019,
  firstFile: 0x0020,
} as const;
/** Bits of the `id` item: the selector interface, and DMA. */
const FEATURES = 3;
/** An entry of the directory: size, key, two reserved bytes, name. */
const ENTRY_BYTES = 64;
const NAME_BYTES = 56;
const NAME_AT = 8;

/** An item. */
export interface FwCfgItem {
  readonly key: number;
  readonly bytes: Uint8Array;
}

/** What the items tell. */
export interface FwCfgContent {
  readonly cpus: number;
  /** A kernel for the firmware to start, with its initial RAM disk and command line. */
  readonly kernel?: Uint8Array;
  readonly initrd?: Uint8Array;
  readonly commandLine: string;
  /** Files by name, such as `etc/acpi/tables`. */
  readonly files: ReadonlyMap<string, Uint8Array>;
}

const ascii = (text: string): Uint8Array => Uint8Array.from(text, (letter) => letter.charCodeAt(0));
const u16 = (value: number): Uint8Array => Uint8Array.of(value, value >> 8);
const u32 = (value: number): Uint8Array => Uint8Array.of(value, value >> 8, value >> 16, value >>> 24);

/** The items of `content`. */
export function fwCfgItems({ cpus, kernel, initrd, commandLine, files }: FwCfgContent): readonly FwCfgItem[] {
  const items: FwCfgItem[] = [
    { key: KEY.signature, bytes: ascii('QEMU') },
    { key: KEY.id, bytes: u32(FEATURES) },
    { key: KEY.cpus, bytes: u16(cpus) },
    { key: KEY.cpusMax, bytes: u16(cpus) },
    { key: KEY.bootMenu, bytes: u16(0) },
  ];
  const add = (sizeKey: number, key: number, bytes: Uint8Array): void =>
    void items.push({ key: sizeKey, bytes: u32(bytes.length) }, { key, bytes });
  if (kernel !== undefined) {
    add(KEY.kernelBytes, KEY.kernel, kernel);
    if (initrd !== undefined) add(KEY.initrdBytes, KEY.initrd, initrd);
    if (commandLine !== '') add(KEY.commandLineBytes, KEY.commandLine, ascii(`${commandLine}\0`));
  }
  const directory = new Uint8Array(4 + files.size * ENTRY_BYTES);
  const view = new DataView(directory.buffer);
  view.setUint32(0, files.size, false);
  for (const [n, [name, bytes]] of [...files].entries()) {
    assert(name.length < NAME_BYTES, 'the name of a firmware file fits its entry');
    const [at, key] = [4 + n * ENTRY_BYTES, KEY.firstFile + n];
    view.setUint32(at, bytes.length, false);
    view.setUint16(at + 4, key, false);
    directory.set(ascii(name), at + NAME_AT);
    items.push({ key, bytes });
  }
  items.push({ key: KEY.files, bytes: directory });
  return items;
}
