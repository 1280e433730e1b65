/**
 * The ACPI tables as firmware takes them from its configuration device: files whose pointers are offsets into files, and the
 * script that has firmware place the files, turn offsets into addresses and compute the checksums again (QEMU's
 * bios-linker-loader; EDK2's QemuFwCfgAcpi). Firmware writes root tables of its own and installs what ours point to.
 */
import type { MachineDescription } from '../description.js';
import { ByteBuilder } from './byte-builder.js';
import { acpiTables } from './tables.js';

const TABLES = 'etc/acpi/tables';
const RSDP = 'etc/acpi/rsdp';
const SCRIPT = 'etc/table-loader';
const COMMAND = { allocate: 1, addPointer: 2, addChecksum: 3 } as const;
const COMMAND_BYTES = 128;
const NAME_BYTES = 56;
/** Where firmware may place a file: anywhere, or (RSDP) where old systems look for it, which arm64 has not. */
const ZONE = { high: 1, fseg: 2 } as const;
const POINTER_BYTES = 8;
/** Offsets in tables: length and checksum of any, the FADT's pointer to the DSDT, the XSDT's first pointer. */
const AT = { length: 4, checksum: 9, dsdt: 140, entries: 36 } as const;
/** Offsets in the RSDP, and what its first checksum covers. */
const RSDP_AT = { checksum: 8, xsdt: 24, extendedChecksum: 32 } as const;
const RSDP_OLD_BYTES = 20;

const command = (number: number, ...files: readonly string[]): ByteBuilder =>
  files.reduce((out, file) => out.text(file, NAME_BYTES), new ByteBuilder().u32(number));
const allocate = (file: string, align: number, zone: number) => command(COMMAND.allocate, file).u32(align).u8(zone);
const addPointer = (from: string, to: string, at: number) =>
  command(COMMAND.addPointer, from, to).u32(at).u8(POINTER_BYTES);
const addChecksum = (file: string, at: number, start: number, bytes: number) =>
  command(COMMAND.addChecksum, file).u32(at, start, bytes);

/** The files by name. */
export function acpiFiles(machine: MachineDescription): ReadonlyMap<string, Uint8Array> {
  const built = acpiTables(machine, 0);
  const tables = built.bytes.slice(0, built.rsdp);
  const rsdp = built.bytes.slice(built.rsdp);
  const view = new DataView(tables.buffer);
  const xsdtAt = Number(new DataView(rsdp.buffer).getBigUint64(RSDP_AT.xsdt, true));
  const lengthOf = (table: number): number => view.getUint32(table + AT.length, true);
  const entries: number[] = [];
  for (let at = xsdtAt + AT.entries; at < xsdtAt + lengthOf(xsdtAt); at += POINTER_BYTES) entries.push(at);
  const [fadtEntry = 0] = entries;
  const fadtAt = Number(view.getBigUint64(fadtEntry, true));
  const script = [allocate(RSDP, 16, ZONE.fseg), allocate(TABLES, 64, ZONE.high)];
  for (const at of [fadtAt + AT.dsdt, ...entries]) script.push(addPointer(TABLES, TABLES, at));
  for (const table of [fadtAt, xsdtAt]) {
    tables[table + AT.checksum] = 0;
    script.push(addChecksum(TABLES, table + AT.checksum, table, lengthOf(table)));
  }
  script.push(addPointer(RSDP, TABLES, RSDP_AT.xsdt));
  for (const [at, bytes] of [
    [RSDP_AT.checksum, RSDP_OLD_BYTES],
    [RSDP_AT.extendedChecksum, rsdp.length],
  ] as const) {
    rsdp[at] = 0;
    script.push(addChecksum(RSDP, at, 0, bytes));
  }
  const out = new ByteBuilder();
  for (const [n, entry] of script.entries()) out.append(entry.bytes()).padTo((n + 1) * COMMAND_BYTES);
  return new Map([
    [RSDP, rsdp],
    [TABLES, tables],
    [SCRIPT, out.bytes()],
  ]);
}
