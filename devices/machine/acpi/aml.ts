/** A small AML encoder: the terms our DSDT needs (ACPI 6.4, chapter 20) and the resource descriptors of section 6.4. */
import { assert } from '../../../bus/assert.js';
import { ByteBuilder } from './byte-builder.js';

/** Encoded AML. */
export type Aml = Uint8Array;

const OP = { name: 0x08, byte: 0x0a, word: 0x0b, dword: 0x0c, string: 0x0d, qword: 0x0e } as const;
const OP2 = { scope: 0x10, buffer: 0x11, method: 0x14, notify: 0x86, extended: 0x5b, device: 0x82 } as const;
const CONSUMER = 1;

function join(...parts: readonly Iterable<number>[]): Aml {
  const out = new ByteBuilder();
  for (const part of parts) out.append(part);
  return out.bytes();
}

/** PkgLength counts itself: 1 byte below 64, otherwise 1 to 3 follow bytes (section 20.2.4). */
function withPackageLength(body: Uint8Array): Aml {
  if (body.length + 1 < 64) return join([body.length + 1], body);
  for (const follow of [1, 2, 3]) {
    const total = body.length + 1 + follow;
    if (total >= 1 << (4 + 8 * follow)) continue;
    const bytes = [(follow << 6) | (total & 15)];
    for (let i = 0; i < follow; i++) bytes.push((total >> (4 + 8 * i)) & 0xff);
    return join(bytes, body);
  }
  assert(false, 'an AML package is shorter than 2^28 bytes');
}

/** A name string: `_HID`, or a path such as `\\_SB.PWRB`; segments are padded to four characters with `_`. */
export function namePath(path: string): Aml {
  const rooted = path.startsWith('\\');
  const segments = (rooted ? path.slice(1) : path).split('.');
  const out = new ByteBuilder();
  if (rooted) out.text('\\');
  if (segments.length === 2) out.u8(0x2e);
  else if (segments.length > 2) out.u8(0x2f, segments.length);
  for (const segment of segments) {
    assert(/^[A-Z_][A-Z0-9_]{0,3}$/.test(segment), 'an AML name segment is one to four of A-Z, 0-9 and _');
    out.text(segment, 4, 0x5f);
  }
  return out.bytes();
}

/** An integer in its shortest encoding. */
export function integer(value: number): Aml {
  const out = new ByteBuilder();
  if (value === 0 || value === 1) out.u8(value);
  else if (value <= 0xff) out.u8(OP.byte, value);
  else if (value <= 0xffff) out.u8(OP.word).u16(value);
  else if (value <= 0xffff_ffff) out.u8(OP.dword).u32(value);
  else out.u8(OP.qword).u64(value);
  return out.bytes();
}

/** A NUL-terminated ASCII string. */
export function text(value: string): Aml {
  return new ByteBuilder().u8(OP.string).text(value).u8(0).bytes();
}

/** `Name (name, value)`. */
export function named(name: string, value: Aml): Aml {
  return join([OP.name], namePath(name), value);
}

/** `Scope (path) { ... }`. */
export function scope(path: string, ...terms: readonly Aml[]): Aml {
  return join([OP2.scope], withPackageLength(join(namePath(path), ...terms)));
}

/** `Device (name) { ... }`. */
export function device(name: string, ...terms: readonly Aml[]): Aml {
  return join([OP2.extended, OP2.device], withPackageLength(join(namePath(name), ...terms)));
}

/** `Method (name, 0, NotSerialized) { ... }`. */
export function method(name: string, ...terms: readonly Aml[]): Aml {
  return join([OP2.method], withPackageLength(join(namePath(name), [0], ...terms)));
}

/** `Notify (path, value)`. */
export function notify(path: string, value: number): Aml {
  return join([OP2.notify], namePath(path), integer(value));
}

/** A resource template: descriptors and an end tag whose zero checksum means "not computed". */
export function resources(...descriptors: readonly Aml[]): Aml {
  const body = join(...descriptors, [0x79, 0]);
  return join([OP2.buffer], withPackageLength(join(integer(body.length), body)));
}

/** `Memory32Fixed (ReadWrite, base, sizeBytes)`. */
export function memory32(base: number, sizeBytes: number): Aml {
  return new ByteBuilder().u8(0x86).u16(9).u8(1).u32(base, sizeBytes).bytes();
}

/** `Interrupt (ResourceConsumer, trigger, ActiveHigh, Exclusive) { intid }`. */
export function interrupt(intid: number, trigger: 'level' | 'edge'): Aml {
  const flags = CONSUMER | (trigger === 'edge' ? 2 : 0);
  return new ByteBuilder().u8(0x89).u16(6).u8(flags, 1).u32(intid).bytes();
}

/** `GpioInt (Edge, ActiveHigh, ExclusiveAndWake, PullUp, 0, controller) { line }` (section 6.4.3.8.1). */
export function gpioInterrupt(controller: string, line: number): Aml {
  const pinsAt = 23;
  const nameAt = pinsAt + 2;
  const end = nameAt + controller.length + 1;
  const out = new ByteBuilder().u8(0x8c).u16(end - 3);
  out.u8(1, 0).u16(CONSUMER, 1).u8(1).u16(0, 0, pinsAt).u8(0).u16(nameAt, end, 0);
  return out.u16(line).text(controller).u8(0).bytes();
}
