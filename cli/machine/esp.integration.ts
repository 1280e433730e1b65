/**
 * Debian's UEFI firmware starts EFI/BOOT/BOOTAA64.EFI of a disk by itself, and a Debian kernel from the EFI system partition of a disk, with its initial RAM disk from there; the
 * kernel finds the power button by ACPI.
 */
import { spawnSync } from 'node:child_process';
import { closeSync, existsSync, ftruncateSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import * as assert from 'uvu/assert';
import { Dialogue } from '../../test/drivers/dialogue.js';
import { efiApplication } from '../../test/fixtures/efi-application.js';
import { spec } from '../../test/harness/spec.js';
import { cacheFolder } from '../cache-folder.js';
import { findImage } from '../image/store.js';

const test = spec('UEFI from a disk');
const CODE = '/usr/share/qemu-efi-aarch64/QEMU_EFI.fd';
const IMAGE = 'debian:6.1-cloud';
const SECTOR = 512;
const SECTORS = (96 << 20) / SECTOR;
/** The only partition, and how far from either end of the disk it stays. */
const MARGIN = 2048;
const ENTRIES = { count: 128, bytes: 128 } as const;
const TABLE_SECTORS = (ENTRIES.count * ENTRIES.bytes) / SECTOR;
/** C12A7328-F81F-11D2-BA4B-00A0C93EC93B, an EFI system partition, in GPT's order of bytes. */
const SYSTEM_PARTITION = Buffer.from('28732ac11ff8d211ba4b00a0c93ec93b', 'hex');
const SCRIPT = `fs0:\r\nlinux.efi initrd=initrd.cpio console=ttyAMA0 panic=-1 quiet wurley_plain=1\r\n`;

/** The header of a GUID partition table (UEFI 2.10, 5.3.2) at sector `at`, whose copy is at `copy` and whose entries at `table`. */
function gptHeader(at: number, copy: number, table: number, entries: Uint8Array): Uint8Array {
  const header = Buffer.alloc(SECTOR);
  header.write('EFI PART', 'latin1');
  header.writeUInt32LE(0x10000, 8);
  header.writeUInt32LE(92, 12);
  const sectors: readonly (readonly [number, number])[] = [
    [24, at],
    [32, copy],
    [40, 2 + TABLE_SECTORS],
    [48, SECTORS - 2 - TABLE_SECTORS],
    [72, table],
  ];
  for (const [offset, sector] of sectors) header.writeBigUInt64LE(BigInt(sector), offset);
  header.fill(0x22, 56, 72);
  header.writeUInt32LE(ENTRIES.count, 80);
  header.writeUInt32LE(ENTRIES.bytes, 84);
  header.writeUInt32LE(crc32(entries), 88);
  header.writeUInt32LE(crc32(header.subarray(0, 92)), 16);
  return header;
}

/** A disk with an EFI system partition, still without a file system. */
function writeDisk(path: string): void {
  const entries = Buffer.alloc(ENTRIES.count * ENTRIES.bytes);
  SYSTEM_PARTITION.copy(entries);
  entries.fill(0x11, 16, 32);
  entries.writeBigUInt64LE(BigInt(MARGIN), 32);
  entries.writeBigUInt64LE(BigInt(SECTORS - MARGIN), 40);
  const protective = Buffer.alloc(SECTOR);
  protective[450] = 0xee;
  protective.writeUInt32LE(1, 454);
  protective.writeUInt32LE(SECTORS - 1, 458);
  protective.writeUInt16LE(0xaa55, 510);
  const last = SECTORS - 1;
  const file = openSync(path, 'w');
  ftruncateSync(file, SECTORS * SECTOR);
  const parts: readonly (readonly [number, Uint8Array])[] = [
    [0, protective],
    [1, gptHeader(1, last, 2, entries)],
    [2, entries],
    [last - TABLE_SECTORS, entries],
    [last, gptHeader(last, 1, last - TABLE_SECTORS, entries)],
  ];
  for (const [sector, bytes] of parts) writeSync(file, bytes, 0, bytes.length, sector * SECTOR);
  closeSync(file);
}

function run(program: string, ...args: readonly string[]): void {
  const done = spawnSync(program, args, { encoding: 'latin1', env: { ...process.env, MTOOLS_SKIP_CHECK: '1' } });
  if (done.status !== 0) throw new Error(`${program} ${args.join(' ')}: ${done.error?.message ?? done.stderr}`);
}

/** A FAT file system on the partition with the kernel, its initial RAM disk, and what the firmware's shell does by itself. */
async function makeDisk(folder: string): Promise<string> {
  const image = await findImage(cacheFolder(), IMAGE);
  if (image === undefined) throw new Error(`${IMAGE} is not here`);
  const [disk, script] = [join(folder, 'disk.img'), join(folder, 'startup.nsh')];
  writeDisk(disk);
  writeFileSync(script, SCRIPT);
  const partition = `${disk}@@${MARGIN * SECTOR}`;
  run('mformat', '-i', partition, '-F', '-T', `${SECTORS - 2 * MARGIN + 1}`, '-h', '64', '-s', '32', '::');
  const files: readonly (readonly [string, string])[] = [
    [image.kernelPath, 'linux.efi'],
    [image.initrdPath, 'initrd.cpio'],
    [script, 'startup.nsh'],
  ];
  for (const [from, to] of files) run('mcopy', '-i', partition, from, `::/${to}`);
  return disk;
}

const MISSING = [
  ...(existsSync(CODE) ? [] : ["Debian's qemu-efi-aarch64"]),
  ...('error' in spawnSync('mformat', ['--version']) ? ['mtools'] : []),
];
const NAME = 'the firmware starts a kernel from the EFI system partition, and the power button reaches it by ACPI';
if (MISSING.length > 0) test.skip(NAME, `${MISSING.join(', ')} not installed`);
else
  test(
    NAME,
    async () => {
      const folder = mkdtempSync(join(tmpdir(), 'wurley-esp-'));
      const disk = await makeDisk(folder);
      const guest = new Dialogue(['--firmware', CODE, '--disk', `${disk},ro`, '--acpi'], '');
      try {
        await guest.sees('wurley-init: ready');
        assert.match(guest.shown, /HD\(1,GPT,11111111-1111-1111-1111-111111111111,0x800,/);
        guest.type(
          'cat /proc/cmdline; ls /sys/firmware; dmesg | grep -c "efi: EFI v"; dmesg | grep -o "Power Button .*"\n',
        );
        // The button's line raises an ACPI event of the GPIO block's.
        guest.type('n=; until [ "$n" = 1 ]; do usleep 20000; set -- $(grep ACPI:Event /proc/interrupts); n=$2; ');
        guest.type('[ -n "$said" ] || echo wait""ing; said=1; done; echo pre""ssed; poweroff -f\n');
        await guest.sees('waiting');
        guest.signal('SIGTERM');
        assert.is(await guest.ended, 0, guest.shown + guest.errors);
        const wanted = /linux\.efi initrd=initrd\.cpio .*\nacpi\b.*\n1\n.*Power Button \[PWRB\]\nwaiting\npressed\n/s;
        assert.ok(wanted.test(guest.shown), guest.shown);
      } finally {
        await guest.close();
        rmSync(folder, { recursive: true });
      }
    },
    { deadlineMs: 10 * 60_000 },
  );
/** Sectors of a disk that is one FAT file system. */
const PLAIN_SECTORS = (8 << 20) / SECTOR;
const AUTOMATIC = 'the firmware starts EFI/BOOT/BOOTAA64.EFI of a FAT disk without being told';
if (MISSING.length > 0) test.skip(AUTOMATIC, `${MISSING.join(', ')} not installed`);
else
  test(
    AUTOMATIC,
    async () => {
      const folder = mkdtempSync(join(tmpdir(), 'wurley-boot-'));
      const [disk, application] = [join(folder, 'disk.img'), join(folder, 'application.efi')];
      writeFileSync(application, efiApplication(`started from ${folder}`));
      run('mformat', '-C', '-i', disk, '-T', `${PLAIN_SECTORS}`, '-h', '16', '-s', '32', '::');
      run('mmd', '-i', disk, '::/EFI', '::/EFI/BOOT');
      run('mcopy', '-i', disk, application, '::/EFI/BOOT/BOOTAA64.EFI');
      const guest = new Dialogue(['--firmware', CODE, '--disk', `${disk},ro`], '');
      try {
        await guest.sees(`started from ${folder}`);
        assert.is(await guest.ended, 0, guest.shown + guest.errors);
      } finally {
        await guest.close();
        rmSync(folder, { recursive: true });
      }
    },
    { deadlineMs: 10 * 60_000 },
  );

test.run();
