import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { spec } from '../../../test/harness/spec.js';
import type { MachineDescription } from '../description.js';
import { device, integer, named, namePath, text } from './aml.js';
import { efiTables } from './efi-tables.js';
import { acpiTable, acpiTables } from './tables.js';

const test = spec('acpi');
const BASE = 0x4010_0000;
const MACHINE: MachineDescription = {
  cpus: 8,
  ramBytes: 512 * 1024 * 1024,
  virtioSlots: Array.from({ length: 32 }, (_, slot) => slot),
  hasFirmware: false,
  pmu: true,
  hypervisorVendor: 'MsHyperV',
};
const hasIasl = spawnSync('iasl', ['-v']).status === 0;
const built = acpiTables(MACHINE, BASE);
const view = new DataView(built.bytes.buffer);
const sum = (bytes: Uint8Array): number => bytes.reduce((total, byte) => (total + byte) & 0xff, 0);

test('RSDP, XSDT and every table are where the pointers say, with right checksums', () => {
  const rsdpAt = built.rsdp - BASE;
  assert.is(String.fromCharCode(...built.bytes.subarray(rsdpAt, rsdpAt + 8)), 'RSD PTR ');
  assert.is(sum(built.bytes.subarray(rsdpAt, rsdpAt + 20)), 0);
  assert.is(sum(built.bytes.subarray(rsdpAt, rsdpAt + 36)), 0);
  const xsdtAt = Number(view.getBigUint64(rsdpAt + 24, true)) - BASE;
  const count = (view.getUint32(xsdtAt + 4, true) - 36) / 8;
  const found: string[] = [];
  for (let i = 0; i < count; i++) {
    const at = Number(view.getBigUint64(xsdtAt + 36 + i * 8, true)) - BASE;
    const table = built.bytes.subarray(at, at + view.getUint32(at + 4, true));
    assert.is(sum(table), 0);
    found.push(String.fromCharCode(...table.subarray(0, 4)));
  }
  assert.equal(found, ['FACP', 'APIC', 'GTDT', 'SPCR', 'DBG2']);
});

test('the FADT is hardware-reduced with PSCI by HVC, points to the DSDT and names the hypervisor', () => {
  const fadt = built.tables.get('FACP');
  assert.ok(fadt);
  const fields = new DataView(fadt.buffer);
  assert.is(fadt.byteLength, 276);
  assert.is((fields.getUint32(112, true) >> 20) & 1, 1);
  assert.is(fields.getUint16(129, true), 3);
  const dsdtAt = Number(fields.getBigUint64(140, true)) - BASE;
  assert.is(String.fromCharCode(...built.bytes.subarray(dsdtAt, dsdtAt + 4)), 'DSDT');
  assert.is(String.fromCharCode(...fadt.subarray(268, 276)), 'MsHyperV');
});

test('names, integers and package lengths have the encodings of chapter 20', () => {
  assert.equal([...namePath('\\_SB.PWRB')], [...Buffer.from('\\\x2e_SB_PWRB', 'latin1')]);
  assert.equal([...integer(1)], [1]);
  assert.equal([...integer(200)], [0x0a, 200]);
  assert.equal([...integer(0x1234)], [0x0b, 0x34, 0x12]);
  // 62 bytes of body: the one-byte form ends at 63 including itself.
  assert.is(device('A', named('B', text('x'.repeat(48))))[2], 4 + 1 + 4 + 1 + 48 + 1 + 1);
  const long = device('A', named('B', text('x'.repeat(60))));
  assert.is(long[2] ?? 0, 0x40 | ((long.byteLength - 2) & 15));
  assert.is(long[3], (long.byteLength - 2) >> 4);
});

test('the EFI system table has a CRC-32 over itself and leads to the RSDP', () => {
  const memory = { ramBase: 0x4000_0000, ramBytes: 1 << 29, tablesBase: BASE, tablesBytes: 0x4_0000 };
  const { bytes, handover } = efiTables(0x4011_0000, built.rsdp, memory);
  const efi = new DataView(bytes.buffer);
  assert.is(String.fromCharCode(...bytes.subarray(0, 8)), 'IBI SYST');
  // Python: zlib.crc32 over the first 120 bytes with the field zeroed, computed here by Node's own zlib trailer.
  const header = bytes.slice(0, 120);
  header.fill(0, 16, 20);
  const packed = spawnSync('gzip', ['-c'], { input: header }).stdout;
  assert.is(efi.getUint32(16, true), packed.readUInt32LE(packed.byteLength - 8));
  const tablesAt = Number(efi.getBigUint64(112, true)) - 0x4011_0000;
  assert.is(Number(efi.getBigUint64(tablesAt + 16, true)), built.rsdp);
  const mapAt = handover.memoryMap - 0x4011_0000;
  let pages = 0;
  for (let at = mapAt; at < mapAt + handover.memoryMapBytes; at += handover.descriptorBytes)
    pages += Number(efi.getBigUint64(at + 24, true));
  assert.is(pages * 4096, 1 << 29);
});

/** Runs iasl on every table; returns what it said. */
function iasl(tables: ReadonlyMap<string, Uint8Array>): string[] {
  const folder = mkdtempSync(join(tmpdir(), 'wurley-acpi-'));
  const said: string[] = [];
  for (const [name, bytes] of tables) {
    if (name === 'RSDP') continue;
    writeFileSync(join(folder, `${name}.dat`), bytes);
    const disassembly = spawnSync('iasl', ['-d', `${name}.dat`], { cwd: folder });
    said.push(`${name}: ${disassembly.stdout}${disassembly.stderr}`);
    const compiled = spawnSync('iasl', ['-oa', '-we', `${name}.dsl`], { cwd: folder });
    said.push(`${name} again (${compiled.status}): ${compiled.stdout}${compiled.stderr}`);
    // The broken table of the last test does not compile again.
    if (compiled.status !== 0) continue;
    const again = readFileSync(join(folder, `${name}.aml`));
    assert.equal([...again.subarray(36)], [...bytes.subarray(36)], `iasl builds the same ${name} from its disassembly`);
  }
  rmSync(folder, { recursive: true });
  return said;
}

if (!hasIasl)
  test.skip('iasl disassembles and recompiles every table without error or warning', 'iasl is not installed');
else
  test('iasl disassembles and recompiles every table without error or warning', () => {
    for (const line of iasl(built.tables)) {
      assert.not.match(
        line.replaceAll(/\b0 (Errors|Warnings)/g, ''),
        /Error|Invalid|Warning|failed|not supported|Unknown/,
      );
    }
  });

if (!hasIasl) test.skip('iasl notices a broken table (the check above can fail)', 'iasl is not installed');
else
  test('iasl notices a broken table (the check above can fail)', () => {
    const broken = acpiTable('APIC', 5, new Uint8Array([0, 0, 0, 0, 0, 0, 0, 0, 200, 3, 0]));
    assert.match(iasl(new Map([['APIC', broken]])).join('\n'), /Error|Invalid|Warning|Unknown|failed/);
  });

test.run();
