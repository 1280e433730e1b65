/** ACPI 6.3 tables of the machine as a hardware-reduced platform (ACPI specification, chapter 5). */
import type { MachineDescription } from '../description.js';
import { MEMORY_MAP, mpidrOf, PPI, spiToIntid } from '../memory-map.js';
import { ByteBuilder } from './byte-builder.js';
import { dsdtTerms, UART_PATH } from './dsdt.js';

const HEADER_BYTES = 36;
const OEM_ID = 'WURLEY';
const OEM_TABLE_ID = 'WURLEYVM';
const CREATOR_ID = 'WRLY';

/** FADT flags: control-method power and sleep buttons, no ACPI fixed hardware. */
const FADT_FLAGS = { powerButton: 1 << 4, sleepButton: 1 << 5, hardwareReduced: 1 << 20 } as const;
const ARM_BOOT_FLAGS = { psciCompliant: 1, psciUseHvc: 2 } as const;
const GTDT_FLAGS = { levelActiveHigh: 0, alwaysOn: 4 } as const;
const NO_COUNTER_FRAME = 0xffff_ffff_ffff_ffffn;
/** PL011 as SPCR's interface type and DBG2's serial subtype. */
const PORT_PL011 = 0x0003;
const PORT_SERIAL = 0x8000;

/** The byte that makes `bytes` sum to zero modulo 256. */
function checksum(bytes: Uint8Array): number {
  return -bytes.reduce((sum, byte) => sum + byte, 0) & 0xff;
}

/** A table: standard header, `body`, checksum. */
export function acpiTable(signature: string, revision: number, body: Uint8Array): Uint8Array {
  const out = new ByteBuilder()
    .text(signature)
    .u32(HEADER_BYTES + body.length)
    .u8(revision, 0);
  out.text(OEM_ID, 6, 0x20).text(OEM_TABLE_ID, 8, 0x20).u32(1).text(CREATOR_ID).u32(1).append(body);
  const bytes = out.bytes();
  bytes[9] = checksum(bytes);
  return bytes;
}

/** Generic Address Structure of a 32-bit register in system memory (section 5.2.3.2). */
function memoryRegister(out: ByteBuilder, address: number): ByteBuilder {
  return out.u8(0, 32, 0, 3).u64(address);
}

/** FADT revision 6.3: 276 bytes, nearly all of it the zeros of absent fixed hardware. */
function fadt(machine: MachineDescription, dsdtAddress: number): Uint8Array {
  const body = new ByteBuilder();
  const fieldAt = (offset: number): ByteBuilder => body.padTo(offset - HEADER_BYTES);
  fieldAt(112).u32(FADT_FLAGS.powerButton | FADT_FLAGS.sleepButton | FADT_FLAGS.hardwareReduced);
  fieldAt(129).u16(ARM_BOOT_FLAGS.psciCompliant | ARM_BOOT_FLAGS.psciUseHvc);
  fieldAt(131).u8(3);
  fieldAt(140).u64(dsdtAddress);
  fieldAt(268).text(machine.hypervisorVendor ?? '', 8);
  return acpiTable('FACP', 6, body.bytes());
}

/** MADT: one GICC per vCPU, the distributor, one redistributor region. No ITS is promised. */
function madt(machine: MachineDescription): Uint8Array {
  const out = new ByteBuilder().u32(0, 0);
  for (let index = 0; index < machine.cpus; index++) {
    // Type 11, 80 bytes, UID as in the DSDT, enabled, PMU interrupt, no legacy interface, redistributor not per CPU.
    out
      .u8(11, 80)
      .u16(0)
      .u32(index, index, 1, 0, machine.pmu ? PPI.performanceMonitor : 0);
    out.u64(0, 0, 0, 0).u32(0).u64(0, mpidrOf(index)).u8(0, 0).u16(0);
  }
  out.u8(12, 24).u16(0).u32(0).u64(MEMORY_MAP.gicDistributor.base).u32(0).u8(3, 0, 0, 0);
  const region = MEMORY_MAP.gicRedistributors;
  out.u8(14, 16).u16(0).u64(region.base).u32(region.sizeBytes);
  return acpiTable('APIC', 5, out.bytes());
}

/** GTDT revision 2: the four EL1/EL2 timer interrupts, level-triggered, never losing state. */
function gtdt(): Uint8Array {
  const flags = GTDT_FLAGS.levelActiveHigh | GTDT_FLAGS.alwaysOn;
  const out = new ByteBuilder().u64(NO_COUNTER_FRAME).u32(0);
  for (const intid of [PPI.securePhysicalTimer, PPI.physicalTimer, PPI.virtualTimer, PPI.hypervisorTimer])
    out.u32(intid, flags);
  return acpiTable('GTDT', 2, out.u64(NO_COUNTER_FRAME).u32(0, 0).bytes());
}

/** SPCR revision 2: the console is the PL011 at 115200 baud, interrupt through the GIC. */
function spcr(): Uint8Array {
  const out = memoryRegister(new ByteBuilder().u8(PORT_PL011, 0, 0, 0), MEMORY_MAP.uart.base);
  out.u8(8, 0).u32(spiToIntid(MEMORY_MAP.uart.spi)).u8(7, 0, 1, 0, 0, 0);
  return acpiTable('SPCR', 2, out.u16(0xffff, 0xffff).u8(0, 0, 0).u32(0).u8(0).u32(0).bytes());
}

/** DBG2: the same PL011 as the debug port. */
function dbg2(): Uint8Array {
  const registerAt = 22;
  const sizeAt = registerAt + 12;
  const nameAt = sizeAt + 4;
  const name = `${UART_PATH}\0`;
  const out = new ByteBuilder().u32(HEADER_BYTES + 8, 1);
  out
    .u8(0)
    .u16(nameAt + name.length)
    .u8(1)
    .u16(name.length, nameAt, 0, 0);
  out.u16(PORT_SERIAL, PORT_PL011, 0, registerAt, sizeAt);
  memoryRegister(out, MEMORY_MAP.uart.base).u32(MEMORY_MAP.uart.sizeBytes).text(name);
  return acpiTable('DBG2', 0, out.bytes());
}

/** RSDP revision 2: a checksum over its first 20 bytes and one over all 36. */
function rsdp(xsdtAddress: number): Uint8Array {
  const out = new ByteBuilder().text('RSD PTR ').u8(0).text(OEM_ID, 6, 0x20).u8(2).u32(0, 36);
  const bytes = out.u64(xsdtAddress).u8(0, 0, 0, 0).bytes();
  bytes[8] = checksum(bytes.subarray(0, 20));
  bytes[32] = checksum(bytes);
  return bytes;
}

/** The tables as one blob, to be put at the address they were built for. */
export interface AcpiTables {
  readonly bytes: Uint8Array;
  /** Guest-physical address of the RSDP: what the EFI configuration table points to. */
  readonly rsdp: number;
  /** Each table by signature, for dumps and for tests. */
  readonly tables: ReadonlyMap<string, Uint8Array>;
}

/** Builds all tables to lie at `base` (16-byte aligned); `extraDsdt` are AML terms below `\_SB`. */
export function acpiTables(
  machine: MachineDescription,
  base: number,
  extraDsdt: readonly Uint8Array[] = [],
): AcpiTables {
  const out = new ByteBuilder();
  const place = (bytes: Uint8Array): number => {
    out.padTo(Math.ceil(out.length / 16) * 16);
    const address = base + out.length;
    out.append(bytes);
    return address;
  };
  const dsdt = acpiTable('DSDT', 2, dsdtTerms(machine, extraDsdt));
  const listed: readonly (readonly [string, Uint8Array])[] = [
    ['FACP', fadt(machine, place(dsdt))],
    ['APIC', madt(machine)],
    ['GTDT', gtdt()],
    ['SPCR', spcr()],
    ['DBG2', dbg2()],
  ];
  const xsdt = acpiTable('XSDT', 1, new ByteBuilder().u64(...listed.map(([, bytes]) => place(bytes))).bytes());
  const root = rsdp(place(xsdt));
  return {
    rsdp: place(root),
    bytes: out.bytes(),
    tables: new Map([['DSDT', dsdt], ...listed, ['XSDT', xsdt], ['RSDP', root]]),
  };
}
