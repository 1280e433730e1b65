/**
 * The EL1&0 translation regime as its registers describe it (TCR, TTBRs, MAIR, SCTLR), decoded once per write so that a
 * TLB miss reads plain numbers. Field meanings: Arm ARM D17.2.139 (TCR_EL1), D8.2.
 */
import type { CpuState } from '../cpu-state.js';
import { PHYSICAL_BITS } from '../sysreg/id-registers.js';
import { SLOT } from '../sysreg/registers.js';

/** One half of the address space: what TTBR0 or TTBR1 translates. */
export interface RegimeHalf {
  /** False: walks are disabled (EPD). */
  walks: boolean;
  /** Bits of input address. */
  inputBits: number;
  /** log2 of the granule: 12, 14 or 16. */
  granule: number;
  /** Level of the first table. */
  startLevel: number;
  /** Physical address of the first table. */
  base: number;
  /** Bits 63..56 of an address are ignored. */
  topByteIgnored: boolean;
  /** Permission fields of table descriptors are ignored (HPD). */
  flat: boolean;
  /** EL0 accesses fault (E0PD). */
  shutToEl0: boolean;
}

const half = (): RegimeHalf => ({
  walks: true,
  inputBits: 48,
  granule: 12,
  startLevel: 0,
  base: 0,
  topByteIgnored: false,
  flat: false,
  shutToEl0: false,
});

const TG0 = [12, 16, 14, 12] as const;
const TG1 = [12, 14, 12, 16] as const;
const OUTPUT_BITS = [32, 36, 40, 42, 44, 48, 48, 48] as const;

/** See the head of this file. */
export class Regime {
  readonly halves: readonly [RegimeHalf, RegimeHalf] = [half(), half()];
  /** SCTLR_EL1.M, .A, .WXN. */
  enabled = false;
  alignmentCheck = false;
  writeExecuteNever = false;
  /** Effective output size (TCR_EL1.IPS, at most ours) in bits. */
  outputBits = PHYSICAL_BITS;
  /** First address beyond it. */
  outputLimit = 2 ** PHYSICAL_BITS;
  /** Current ASID. */
  asid = 0;
  /** Bit n: MAIR attribute n is Device memory. */
  deviceAttributes = 0;

  /** Takes everything from the registers. */
  load(state: CpuState): void {
    const sctlr = state.get32(SLOT.sctlr);
    this.enabled = (sctlr & 1) !== 0;
    this.alignmentCheck = (sctlr & 2) !== 0;
    this.writeExecuteNever = (sctlr & (1 << 19)) !== 0;
    this.deviceAttributes = 0;
    for (let n = 0; n < 8; n++) {
      const attribute = (state.get32(SLOT.mair + (n & 4)) >>> ((n & 3) * 8)) & 0xff;
      if ((attribute & 0xf0) === 0) this.deviceAttributes |= 1 << n;
    }
    const lo = state.get32(SLOT.tcr);
    const hi = state.get32(SLOT.tcr + 4);
    this.outputBits = Math.min(OUTPUT_BITS[hi & 7]!, PHYSICAL_BITS);
    this.outputLimit = 2 ** this.outputBits;
    const [lower, upper] = this.halves;
    lower.walks = (lo & (1 << 7)) === 0;
    lower.granule = TG0[(lo >>> 14) & 3]!;
    lower.topByteIgnored = (hi & (1 << 5)) !== 0;
    lower.flat = (hi & (1 << 9)) !== 0;
    lower.shutToEl0 = (hi & (1 << 23)) !== 0;
    setSize(lower, lo & 63);
    upper.walks = (lo & (1 << 23)) === 0;
    upper.granule = TG1[(lo >>> 30) & 3]!;
    upper.topByteIgnored = (hi & (1 << 6)) !== 0;
    upper.flat = (hi & (1 << 10)) !== 0;
    upper.shutToEl0 = (hi & (1 << 24)) !== 0;
    setSize(upper, (lo >>> 16) & 63);
    this.loadTables(state);
  }

  /** Takes the table addresses and the ASID from the TTBRs. */
  loadTables(state: CpuState): void {
    setBase(this.halves[0], state.get32(SLOT.ttbr0), state.get32(SLOT.ttbr0 + 4));
    setBase(this.halves[1], state.get32(SLOT.ttbr1), state.get32(SLOT.ttbr1 + 4));
    const tcr = state.get32(SLOT.tcr);
    const owner = (tcr & (1 << 22)) !== 0 ? SLOT.ttbr1 : SLOT.ttbr0;
    const asid = state.get32(owner + 4) >>> 16;
    this.asid = (state.get32(SLOT.tcr + 4) & 16) !== 0 ? asid : asid & 0xff;
  }
}

/** Sizes out of range behave as the nearest allowed one (Arm ARM D8.2.5 permits it). */
function setSize(target: RegimeHalf, tsz: number): void {
  target.inputBits = 64 - Math.min(39, Math.max(16, tsz));
  const stride = target.granule - 3;
  target.startLevel = 4 - Math.ceil((target.inputBits - target.granule) / stride);
}

function setBase(target: RegimeHalf, lo: number, hi: number): void {
  const stride = target.granule - 3;
  const lowest = target.granule + (3 - target.startLevel) * stride;
  const tableBits = Math.max(6, target.inputBits - lowest + 3);
  const base = (hi & 0xffff) * 2 ** 32 + (lo >>> 0);
  target.base = base - (base % 2 ** tableBits);
}
