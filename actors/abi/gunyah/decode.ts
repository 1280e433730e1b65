/**
 * From an HVC or SMC to what is meant (gunyah.md 1.1): the native form names a hypercall by the immediate, the SMCCC form
 * by W0. Everything that is nobody's answers -1 in X0 and never an exception.
 */

/** What a trapped call asks for. `shift` is the register its first argument is in. */
export type Asked =
  | { readonly is: 'hypercall'; readonly n: number; readonly shift: 0 | 1 }
  | { readonly is: 'service'; readonly id: number }
  | { readonly is: 'platform'; readonly id: number }
  | { readonly is: 'arch'; readonly id: number }
  | { readonly is: 'nothing' };

const NOTHING: Asked = { is: 'nothing' };
/** Immediate of an HVC that is hypercall 0, and W0 of the same in the SMCCC form. */
export const NATIVE_FIRST = 0x6000;
export const SMCCC_FIRST = 0xc600_8000;
const NATIVE_LAST = 0x61ff;
const FAST = 0x8000_0000;
const SMC64 = 0x4000_0000;
const OWNER_SHIFT = 24;
const OWNER_MASK = 0x3f;
const OWNER = { arch: 0, standard: 4, standardHypervisor: 5, vendorHypervisor: 6 } as const;
/** Bits 23:17 must be zero; bit 16 is a hint. */
const MUST_BE_ZERO = 0x00fe_0000;
const CLASS_SHIFT = 14;
const CLASS = { platform: 0, hypercall: 2, service: 3 } as const;
const NUMBER_MASK = 0x3fff;

/** Whether W0 = `w0` (unsigned) names a fast call of the architecture or of the standard services, PSCI among them. */
export function isFirmwareCall(w0: number): boolean {
  const owner = (w0 >>> OWNER_SHIFT) & OWNER_MASK;
  return (w0 & FAST) !== 0 && (owner === OWNER.arch || owner === OWNER.standard);
}

/** Decodes an HVC (or SMC) with `immediate` and W0 = `w0` (unsigned). */
export function decodeCall(instruction: 'hvc' | 'smc', immediate: number, w0: number): Asked {
  if (immediate !== 0) {
    const native = instruction === 'hvc' && immediate >= NATIVE_FIRST && immediate <= NATIVE_LAST;
    return native ? { is: 'hypercall', n: immediate - NATIVE_FIRST, shift: 0 } : NOTHING;
  }
  const owner = (w0 >>> OWNER_SHIFT) & OWNER_MASK;
  const isFast = (w0 & FAST) !== 0;
  const isWide = (w0 & SMC64) !== 0;
  if (isFirmwareCall(w0)) return { is: 'arch', id: w0 };
  if (owner === OWNER.arch || owner === OWNER.standard) return NOTHING;
  if (owner === OWNER.standardHypervisor) return isFast && !isWide ? { is: 'service', id: w0 } : NOTHING;
  if (owner !== OWNER.vendorHypervisor || (w0 & MUST_BE_ZERO) !== 0) return NOTHING;
  switch ((w0 >>> CLASS_SHIFT) & 3) {
    case CLASS.hypercall:
      return isFast && isWide ? { is: 'hypercall', n: w0 & NUMBER_MASK, shift: 1 } : NOTHING;
    case CLASS.service:
      return isFast && !isWide ? { is: 'service', id: (w0 & ~0x1_0000) >>> 0 } : NOTHING;
    case CLASS.platform:
      return isFast && !isWide ? { is: 'platform', id: (w0 & ~0x1_0000) >>> 0 } : NOTHING;
    default:
      return NOTHING;
  }
}
