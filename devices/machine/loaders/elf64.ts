/** ELF64 executables for AArch64: PT_LOAD segments at their physical addresses (System V ABI, chapters 4 and 5). */
import { ok, type Result } from '../../../bus/result.js';
import { type BootFault, hex, refuse } from '../boot-fault.js';
import { MEMORY_MAP } from '../memory-map.js';
import { type LoadedImage, MIB, overlaps, type Placement, readU64, viewOf } from './placement.js';

const HEADER_BYTES = 64;
const PROGRAM_HEADER_BYTES = 56;
const CLASS_64 = 2;
const LITTLE_ENDIAN = 1;
const MACHINE_AARCH64 = 183;
const TYPE_EXECUTABLE = 2;
const TYPE_SHARED = 3;
const PT_LOAD = 1;
/** Most program headers that are looked at; real images have fewer than ten. */
const PROGRAM_HEADERS_MAX = 64;

/** Whether `bytes` start with the ELF magic. */
export function isElf(bytes: Uint8Array): boolean {
  return bytes.byteLength >= 4 && viewOf(bytes).getUint32(0, false) === 0x7f454c46;
}

/** A PT_LOAD header, checked. Addresses and sizes are bytes. */
interface Segment {
  readonly virtualAddress: number;
  readonly physicalAddress: number;
  readonly memoryBytes: number;
  readonly bytes: Uint8Array;
}

/** Reads program header `index` at `at`; `undefined` when it is not a segment to load. */
function readSegment(
  file: string,
  bytes: Uint8Array,
  index: number,
  at: number,
  ramBytes: number,
): Result<Segment | undefined, BootFault> {
  const view = viewOf(bytes);
  if (view.getUint32(at, true) !== PT_LOAD) return ok(undefined);
  const field = (name: string): string => `program header ${index} ${name}`;
  const offset = readU64(view, at + 8);
  const virtualAddress = view.getBigUint64(at + 16, true);
  const physicalAddress = readU64(view, at + 24);
  const fileBytes = readU64(view, at + 32);
  const memoryBytes = readU64(view, at + 40);
  if (memoryBytes === 0) return ok(undefined);
  if (offset === undefined || fileBytes === undefined || offset + fileBytes > bytes.byteLength)
    return refuse(file, field('p_filesz'), `reaches past the end of the file (${bytes.byteLength} bytes)`);
  if (memoryBytes === undefined || memoryBytes < fileBytes)
    return refuse(file, field('p_memsz'), 'is less than p_filesz or larger than any memory');
  if (
    physicalAddress === undefined ||
    physicalAddress < MEMORY_MAP.ramBase ||
    physicalAddress + memoryBytes > MEMORY_MAP.ramBase + ramBytes
  )
    return refuse(
      file,
      field('p_paddr'),
      `${hex(view.getBigUint64(at + 24, true))} with ${memoryBytes} bytes is not inside memory (${hex(MEMORY_MAP.ramBase)}, ${ramBytes / MIB} MiB)`,
    );
  // Virtual addresses may be kernel addresses above 2^53; only the distance from e_entry matters, kept as a remainder.
  return ok({
    virtualAddress: Number(BigInt.asUintN(53, virtualAddress)),
    physicalAddress,
    memoryBytes,
    bytes: bytes.subarray(offset, offset + fileBytes),
  });
}

/** Checks the ELF header; answers the program-header table's place. */
function readHeader(file: string, bytes: Uint8Array): Result<{ at: number; count: number; entry: bigint }, BootFault> {
  if (!isElf(bytes)) return refuse(file, 'e_ident', 'does not start with the ELF magic');
  if (bytes.byteLength < HEADER_BYTES) return refuse(file, 'ELF header', `is cut off after ${bytes.byteLength} bytes`);
  const view = viewOf(bytes);
  if (view.getUint8(4) !== CLASS_64) return refuse(file, 'EI_CLASS', 'is not ELF64');
  if (view.getUint8(5) !== LITTLE_ENDIAN) return refuse(file, 'EI_DATA', 'is not little-endian');
  const type = view.getUint16(16, true);
  if (type !== TYPE_EXECUTABLE && type !== TYPE_SHARED)
    return refuse(file, 'e_type', `${type} is not an executable (2) or position-independent (3) image`);
  const machine = view.getUint16(18, true);
  if (machine !== MACHINE_AARCH64) return refuse(file, 'e_machine', `${machine} is not AArch64 (183)`);
  const count = view.getUint16(56, true);
  if (view.getUint16(54, true) !== PROGRAM_HEADER_BYTES) return refuse(file, 'e_phentsize', 'is not 56');
  if (count === 0 || count > PROGRAM_HEADERS_MAX)
    return refuse(file, 'e_phnum', `${count} is not between 1 and ${PROGRAM_HEADERS_MAX}`);
  const at = readU64(view, 32);
  if (at === undefined || at + count * PROGRAM_HEADER_BYTES > bytes.byteLength)
    return refuse(file, 'e_phoff', 'points past the end of the file');
  return ok({ at, count, entry: view.getBigUint64(24, true) });
}

/** Places every PT_LOAD segment at its physical address; the entry is translated with the segment that holds it. */
export function loadElf64(file: string, bytes: Uint8Array, ramBytes: number): Result<LoadedImage, BootFault> {
  const header = readHeader(file, bytes);
  if (!header.ok) return header;
  const segments: Segment[] = [];
  for (let index = 0; index < header.value.count; index++) {
    const segment = readSegment(file, bytes, index, header.value.at + index * PROGRAM_HEADER_BYTES, ramBytes);
    if (!segment.ok) return segment;
    if (segment.value === undefined) continue;
    const { physicalAddress, memoryBytes } = segment.value;
    if (segments.some((s) => overlaps(s.physicalAddress, s.memoryBytes, physicalAddress, memoryBytes)))
      return refuse(file, `program header ${index} p_paddr`, `${hex(physicalAddress)} overlaps another segment`);
    segments.push(segment.value);
  }
  const entry = Number(BigInt.asUintN(53, header.value.entry));
  const home =
    segments.find((s) => entry >= s.virtualAddress && entry - s.virtualAddress < s.memoryBytes) ??
    segments.find((s) => entry >= s.physicalAddress && entry - s.physicalAddress < s.memoryBytes);
  if (home === undefined) return refuse(file, 'e_entry', `${hex(header.value.entry)} is in no loaded segment`);
  const isVirtual = entry >= home.virtualAddress && entry - home.virtualAddress < home.memoryBytes;
  const ipa = isVirtual ? entry - home.virtualAddress + home.physicalAddress : entry;
  if (ipa % 4 !== 0) return refuse(file, 'e_entry', `${hex(header.value.entry)} is not a multiple of 4`);
  const placements = segments.map(
    (s, index): Placement => ({
      what: `segment ${index}`,
      ipa: s.physicalAddress,
      bytes: s.bytes,
      reservedBytes: s.memoryBytes,
    }),
  );
  return ok({ format: 'elf64', placements, entry: ipa, protocol: 'bare' });
}
