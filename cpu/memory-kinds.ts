/**
 * The ways guest memory and the state block are accessed: WebAssembly operators, result type, size. A kind's name is
 * its size in bits with u (zero-extended) or s (sign-extended); a trailing x extends to 64 bits instead of 32.
 */
import type { ValueType } from './wasm/module.js';

/** Description of one kind of access. */
interface MemoryKindInfo {
  readonly load: number;
  readonly store: number;
  readonly type: ValueType;
  readonly bytes: number;
  readonly alignLog2: number;
}

/** All kinds; opcodes from the WebAssembly core specification, section 5.4.6. */
export const MEMORY_KINDS = {
  u8: { load: 0x2d, store: 0x3a, type: 'i32', bytes: 1, alignLog2: 0 },
  s8: { load: 0x2c, store: 0x3a, type: 'i32', bytes: 1, alignLog2: 0 },
  u16: { load: 0x2f, store: 0x3b, type: 'i32', bytes: 2, alignLog2: 0 },
  s16: { load: 0x2e, store: 0x3b, type: 'i32', bytes: 2, alignLog2: 0 },
  u32: { load: 0x28, store: 0x36, type: 'i32', bytes: 4, alignLog2: 0 },
  u8x: { load: 0x31, store: 0x3c, type: 'i64', bytes: 1, alignLog2: 0 },
  s8x: { load: 0x30, store: 0x3c, type: 'i64', bytes: 1, alignLog2: 0 },
  u16x: { load: 0x33, store: 0x3d, type: 'i64', bytes: 2, alignLog2: 0 },
  s16x: { load: 0x32, store: 0x3d, type: 'i64', bytes: 2, alignLog2: 0 },
  u32x: { load: 0x35, store: 0x3e, type: 'i64', bytes: 4, alignLog2: 0 },
  s32x: { load: 0x34, store: 0x3e, type: 'i64', bytes: 4, alignLog2: 0 },
  u64: { load: 0x29, store: 0x37, type: 'i64', bytes: 8, alignLog2: 0 },
  f32: { load: 0x2a, store: 0x38, type: 'f32', bytes: 4, alignLog2: 0 },
  f64: { load: 0x2b, store: 0x39, type: 'f64', bytes: 8, alignLog2: 0 },
  // Loads only: the low 32 or 64 bits of a vector whose other bits are zero.
  z32: { load: 0xfd005c, store: 0xfd000b, type: 'v128', bytes: 4, alignLog2: 0 },
  z64: { load: 0xfd005d, store: 0xfd000b, type: 'v128', bytes: 8, alignLog2: 0 },
  v128: { load: 0xfd0000, store: 0xfd000b, type: 'v128', bytes: 16, alignLog2: 0 },
} as const satisfies Readonly<Record<string, MemoryKindInfo>>;

/** Name of a kind of access. */
export type MemoryKind = keyof typeof MEMORY_KINDS;
