/**
 * Looks ahead through a short loop (compare-and-exchange loops are a few dozen bytes): which locals it assigns, if it
 * calls nothing. What such a loop does not assign keeps its value inside, and the TLB stays as it is.
 */
import {
  ACCESS_BYTES,
  ATOMIC_BYTES,
  isFusedOperator,
  OPERANDS,
  VECTOR_LANE_BYTES,
  VECTOR_LANE_OPERANDS,
  VECTOR_LOAD_BYTES,
  VECTOR_OPERANDS,
} from './operators.js';
import type { Reader } from './reader.js';

/** Loops longer than this are not looked through, so that nested loops cost no more than their length. */
const SHORT_LOOP_BYTES = 256;

/**
 * The locals assigned in the loop whose body starts at the reader's position, or undefined if the loop is not short,
 * calls something or has an operator that is not expected there. The reader is left where it was.
 */
export function assignedInShortLoop(reader: Reader): readonly number[] | undefined {
  const start = reader.position;
  const assigned: number[] = [];
  let depth = 1;
  while (depth > 0) {
    const code = reader.byte();
    if (code === 0x21 || code === 0x22) assigned.push(reader.u32());
    else if (code >= 0x02 && code <= 0x04) {
      depth++;
      reader.byte(); // block type; the scan itself refuses any but the empty one
    } else if (code === 0x0b) depth--;
    else if (!passOver(reader, code)) break;
    if (reader.failed || reader.position - start > SHORT_LOOP_BYTES) break;
  }
  reader.position = start;
  // A read past the end fails again when the scan gets there.
  const complete = depth === 0 && !reader.failed;
  reader.failed = false;
  return complete ? assigned : undefined;
}

/** Passes over the immediates of an operator that assigns no local; false if it is not one expected in a short loop. */
function passOver(reader: Reader, code: number): boolean {
  if (OPERANDS[code] !== 0) return true;
  if (ACCESS_BYTES[code] !== 0) return passMemoryArgument(reader);
  switch (code) {
    case 0x01: // nop
    case 0x05: // else
    case 0x0f: // return
    case 0x1a: // drop
    case 0x1b: // select
      return true;
    case 0x0c: // br
    case 0x0d: // br_if
    case 0x20: // local.get
      reader.u32();
      return true;
    case 0x41:
      reader.s32();
      return true;
    case 0x42:
      reader.s64();
      return true;
    case 0xfd:
      return passVector(reader, reader.u32());
    case 0xfe: {
      const sub = reader.u32();
      return sub <= 0x4e && ATOMIC_BYTES[sub] !== 0 && passMemoryArgument(reader);
    }
    default:
      return false;
  }
}

function passVector(reader: Reader, sub: number): boolean {
  if (sub > 0xff) return isFusedOperator(sub);
  if (VECTOR_OPERANDS[sub] !== 0) return true;
  if (VECTOR_LOAD_BYTES[sub] !== 0 || sub === 11) return passMemoryArgument(reader);
  if (VECTOR_LANE_OPERANDS[sub] !== 0) {
    reader.byte();
    return true;
  }
  if (VECTOR_LANE_BYTES[sub] === 0) return false;
  passMemoryArgument(reader);
  reader.byte();
  return true;
}

function passMemoryArgument(reader: Reader): true {
  reader.u32();
  reader.u32();
  return true;
}
