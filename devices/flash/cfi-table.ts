/**
 * What a chip of the flash answers to a CFI query (JEDEC JESD68.01; Intel command set 0001) and to an identification: the
 * chips of QEMU's `virt`, two of 16 bits side by side. flash.integration.ts compares it with QEMU's.
 */

/** Bytes of one bank. */
export const BANK_BYTES = 0x0400_0000;
/** Bytes that one erase takes, over both chips. */
export const SECTOR_BYTES = 0x4_0000;
/** Bytes of the write buffer, over both chips. */
export const BUFFER_BYTES = 0x1000;
/** Manufacturer (Intel) and device. */
export const IDENTITY = [0x89, 0x18] as const;

const CHIPS = 2;
const SECTORS = BANK_BYTES / SECTOR_BYTES;
const log2 = (bytes: number): number => Math.log2(bytes);

/** The query structure by word address: what stands at 10h, 13h, 1Bh and 27h (JESD68.01, tables 1 to 4), and Intel's part. */
const PARTS: Readonly<Record<number, readonly number[]>> = {
  // "QRY", the Intel extended command set, its table at 31h; no alternate set.
  16: [0x51, 0x52, 0x59, 0x01, 0x00, 0x31, 0x00, 0x00, 0x00, 0x00, 0x00],
  // Supply of 4.5 to 5.5 V, no programming voltage; typical times and their factors as powers of two.
  27: [0x45, 0x55, 0x00, 0x00, 0x07, 0x07, 0x0a, 0x00, 0x04, 0x04, 0x04, 0x00],
  // Size, x8 and x16, write buffer, one region of erase blocks: their number less one, their size in units of 256 bytes.
  39: [
    ...[log2(BANK_BYTES / CHIPS), 0x02, 0x00, log2(BUFFER_BYTES / CHIPS), 0x00, 0x01],
    ...[(SECTORS - 1) & 0xff, (SECTORS - 1) >> 8, ((SECTOR_BYTES / CHIPS) >> 8) & 0xff, (SECTOR_BYTES / CHIPS) >> 16],
  ],
  // "PRI", version 1.0, no optional features; one protection field.
  49: [0x50, 0x52, 0x49, 0x31, 0x30],
  63: [0x01],
};

/** The table. Beyond it a query reads as zero. */
export const CFI_TABLE: Uint8Array = (() => {
  const table = new Uint8Array(0x52);
  for (const [at, bytes] of Object.entries(PARTS)) table.set(bytes, Number(at));
  return table;
})();
