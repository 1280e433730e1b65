/**
 * The little of UEFI a kernel needs to find ACPI: a system table, a configuration table and a memory map, as they look
 * after ExitBootServices and SetVirtualAddressMap to a kernel that was kexec'd. There are no runtime services; the
 * RT-properties table says so, and Linux then calls none (UEFI 2.10, sections 4.3, 4.6, 7.2).
 */
import type { EfiHandover } from '../description.js';
import { ByteBuilder } from './byte-builder.js';

const SYSTEM_TABLE_BYTES = 120;
const DESCRIPTOR_BYTES = 48;
const DESCRIPTOR_VERSION = 1;
/** UEFI 2.8: major in the upper half, minor times ten in the lower. */
const REVISION = (2 << 16) | 80;
const EFI_PAGE_BYTES = 4096;
const VENDOR = 'Wurley';
const TYPE = { bootServicesData: 4, conventional: 7, acpiReclaim: 9 } as const;
const WRITE_BACK = 8n;

/** A GUID in its mixed-endian memory form. */
function guid(textual: string): Uint8Array {
  const [a = '', b = '', c = '', d = '', e = ''] = textual.split('-');
  const out = new ByteBuilder().u32(Number.parseInt(a, 16)).u16(Number.parseInt(b, 16), Number.parseInt(c, 16));
  for (const pair of (d + e).match(/../g) ?? []) out.u8(Number.parseInt(pair, 16));
  return out.bytes();
}

const ACPI_20 = guid('8868e871-e4f1-11d3-bc22-0080c73c8881');
const RT_PROPERTIES = guid('eb66918a-7eef-402a-842e-931d21c38ae9');

/** IEEE 802.3 CRC-32, as UEFI table headers use it. */
function crc32(bytes: Uint8Array): number {
  let crc = ~0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb8_8320 : 0);
  }
  return ~crc >>> 0;
}

/** A piece of RAM in the EFI memory map; both ends are multiples of 64 KiB so that any kernel page size fits. */
interface MemoryRange {
  readonly type: number;
  readonly base: number;
  readonly sizeBytes: number;
}

/** What {@link efiTables} describes. Addresses and sizes are bytes, multiples of 64 KiB. */
export interface EfiMemory {
  readonly ramBase: number;
  readonly ramBytes: number;
  /** The window that holds the ACPI and EFI tables. */
  readonly tablesBase: number;
  readonly tablesBytes: number;
}

/** The EFI structures as one blob for address `base` (8-byte aligned), and where the kernel is to look. */
export function efiTables(
  base: number,
  rsdp: number,
  memory: EfiMemory,
): { readonly bytes: Uint8Array; readonly handover: EfiHandover } {
  const vendorAt = base + SYSTEM_TABLE_BYTES;
  const vendor = new ByteBuilder().u16(...[...`${VENDOR}\0`].map((letter) => letter.charCodeAt(0))).padTo(16);
  const propertiesAt = vendorAt + vendor.length;
  const properties = new ByteBuilder().u16(1, 8).u32(0);
  const configurationAt = propertiesAt + properties.length;
  const configuration = new ByteBuilder().append(ACPI_20).u64(rsdp).append(RT_PROPERTIES).u64(propertiesAt);
  const memoryMapAt = configurationAt + configuration.length;
  const map = memoryMap(memory);

  const system = new ByteBuilder().text('IBI SYST').u32(REVISION, SYSTEM_TABLE_BYTES, 0, 0);
  system.u64(vendorAt).u32(1, 0);
  // Console handles and protocols, runtime services, boot services: all gone by the time a kernel runs.
  system.u64(0, 0, 0, 0, 0, 0, 0, 0).u64(2, configurationAt);
  const systemBytes = system.bytes();
  new DataView(systemBytes.buffer).setUint32(16, crc32(systemBytes), true);

  const bytes = new ByteBuilder()
    .append(systemBytes)
    .append(vendor.bytes())
    .append(properties.bytes())
    .append(configuration.bytes())
    .append(map);
  return {
    bytes: bytes.bytes(),
    handover: {
      systemTable: base,
      memoryMap: memoryMapAt,
      memoryMapBytes: map.length,
      descriptorBytes: DESCRIPTOR_BYTES,
      descriptorVersion: DESCRIPTOR_VERSION,
    },
  };
}

/**
 * All of RAM: what lies below the tables (the device tree), the tables, and the rest. One region must hold every ACPI
 * table, because Linux maps tables region by region (arch/arm64/kernel/acpi.c, acpi_os_ioremap).
 */
function memoryMap({ ramBase, ramBytes, tablesBase, tablesBytes }: EfiMemory): Uint8Array {
  const after = tablesBase + tablesBytes;
  const ranges: readonly MemoryRange[] = [
    { type: TYPE.bootServicesData, base: ramBase, sizeBytes: tablesBase - ramBase },
    { type: TYPE.acpiReclaim, base: tablesBase, sizeBytes: tablesBytes },
    { type: TYPE.conventional, base: after, sizeBytes: ramBase + ramBytes - after },
  ];
  const out = new ByteBuilder();
  for (const { type, base, sizeBytes } of ranges)
    out
      .u32(type, 0)
      .u64(base, 0, sizeBytes / EFI_PAGE_BYTES, WRITE_BACK)
      .u64(0);
  return out.bytes();
}
