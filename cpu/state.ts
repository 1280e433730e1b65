/**
 * Layout of one vCPU's state block in the machine's shared memory. Generated code addresses it as base + constant
 * offset. Only the owning vCPU's thread writes it while it runs, except `attention`, which any thread may set
 * (Atomics.or) and the vCPU clears: it asks the vCPU to leave generated code soon.
 *
 * General registers are 8-byte slots. Slot 31 is the current stack pointer; slot 32 always reads zero (the zero register
 * as a source), slot 33 swallows writes (the zero register as a destination), so that generated code needs no test.
 *
 * Condition flags are kept split: N is the sign of `flagN`, Z is `flagZ == 0`, C is `flagC` (0 or 1), V is the sign of
 * `flagV`.
 */

/** Byte offsets within the state block. */
export const STATE = {
  x: 0,
  sp: 31 * 8,
  zero: 32 * 8,
  discard: 33 * 8,
  pc: 272,
  flagN: 280,
  flagZ: 288,
  flagV: 296,
  flagC: 304,
  /**
   * i32: work left before generated code must return; negative or zero means return. The unit is one compiled
   * instruction; all that runs longer counts for more (see {@link WORK}), so that equal budgets take similar times.
   */
  budget: 308,
  /** i32, written by any thread: non-zero asks the vCPU to return to its shell. */
  attention: 312,
  /** i32: address of the pre-decoded record of `pc`'s page (start of page), valid while the interpreter runs. */
  recordBase: 316,
  /** i32: address of the TLB bank for ordinary accesses, and for unprivileged ones (LDTR, STTR). */
  tlb: 320,
  tlbUser: 324,
  /** i32: 0 while SIMD&FP instructions may run at the current exception level, else 1. */
  fpTrap: 328,
  /** i32: 1 while WebAssembly's own arithmetic is exact enough (FPCR default and FPSR.IXC already set). */
  fpFast: 332,
  /** i32: context key of generated code, contextEl0 or contextEl1: see context.ts. */
  context: 336,
  /** i32: current exception level, 0 or 1. */
  el: 340,
  /** i64: detail of an exit (meaning depends on the reason). */
  exitInfo: 344,
  /** 16 bytes: value passed between generated code and helpers. */
  scratch: 352,
  /** Exclusive monitor: i64 virtual address (all ones: open), 16-byte value loaded, i32 access size. */
  monitorAddress: 368,
  monitorValue: 376,
  monitorSize: 392,
  /** i32: FPCR and FPSR as the guest sees them. */
  fpcr: 396,
  fpsr: 400,
  /** i32: DAIF in PSTATE position (bits 9..6). */
  daif: 404,
  /** i32: other PSTATE bits that do not change translation: SPSel (bit 0), PAN (22), UAO (23), IL (20), SS (21). */
  pstate: 408,
  /** i64: guest instructions executed, counted block by block. */
  instructions: 416,
  /** i32: address of the lock word for 16-byte atomic accesses, shared by all vCPUs that share memory. */
  pairLock: 424,
  /** i32, set to 1 by any thread: the event register of WFE. */
  event: 428,
  /** 3 x 16 bytes: vector operands of a SIMD&FP helper; the result replaces the first. */
  operands: 432,
  /** i32: 1 while broadcast maintenance of this vCPU is not yet acknowledged by the others (see RemoteCpus). */
  remotePending: 480,
  /** i32: address of the current address space's first TLB bank; tlb and tlbUser point into the three that begin there. */
  tlbSpace: 484,
  /**
   * i32, written by any thread with Atomics: interrupt lines that are asserted, at their place in DAIF (bit 6 FIQ, 7 IRQ,
   * 8 SError). A line that rises also sets `attention`.
   */
  interrupts: 488,
  /** i32: the lock word of a vCPU that shares memory with no other (see pairLock). */
  ownLock: 492,
  /** i32: 1 while every call is the shell's, because somebody hears of them: none is answered inside generated code. */
  callsWatched: 496,
  /**
   * i32: work that is given to STATE.budget in pieces of STATE.piece: generated code looks between two pieces whether somebody has anything for
   * the vCPU, and goes on. When there is none left it asks for another turn (SystemPeripherals.turn).
   */
  rest: 500,
  piece: 504,
  /** i32: address of the word that other threads set when they have something for this vCPU; `noLook` where there is none. */
  lookAt: 508,
  /** 32 vector registers of 16 bytes. */
  v: 512,
  /** System registers, 8 bytes each; slots are assigned by sysreg/. */
  sysregs: 1024,
  /** Where system registers end. */
  sysregsEnd: 3920,
  /** i32: address of the arena of pre-decoded records. */
  arena: 3920,
  /** i32: arrivals that a record counts from when it was decoded; 0: what it has counted stays. */
  firstCount: 3924,
  /** i32: 1 while there is no other vCPU that IC IVAU concerns. */
  alone: 3928,
  /** i32: host address of the frame that all others were asked last to forget code of, while that is not waited for; -1: none. */
  askedCode: 3932,
  /** i32: 1 while generated code may walk the translation tables itself (see interpreter/reach.ts), else the core does it all. */
  walks: 3944,
  /** i32, bit n: MAIR attribute n is Device memory. */
  walkDevices: 3948,
  /** i64: address bits a descriptor must not have, as they are beyond the output size. */
  walkOutside: 3952,
  /** i32: address of the map from guest pages to frames (FRAME_MAP). */
  walkFrames: 3960,
  /** i32, bit n: half n of the address space is shut to EL0 (E0PD). */
  walkShut: 3964,
  /** Two halves as described by WALK_HALF. */
  walkHalves: 3968,
  /** i32: context keys of EL0 and of EL1 in the current address space (context.ts). */
  contextEl0: 4048,
  contextEl1: 4052,
  /** i32: bits of {@link LONG_WAY}; while one is set, interrupts and exception returns are the core's. */
  longWay: 4056,
  /** i64: interrupts taken inside generated code. */
  irqs: 4064,
  fiqs: 4072,
  /** i32: always 0, see lookAt. */
  noLook: 4080,
  /** i32: so often the word at lookAt may be looked at in WFI before `run` returns; what was used of it is taken off. */
  waitLooks: 4084,
  /** i32, counted up for the shell: words at lookAt that were taken, and interrupts that calls inside generated code have caused. */
  attended: 4088,
  caused: 4092,
} as const;

/**
 * Why an interrupt is not taken, and an exception not returned from, inside generated code (interpreter/exception-ops.ts): somebody
 * hears of it or there is no system at all; the core has to drop all code first.
 */
export const LONG_WAY = { always: 1, dropCode: 2 } as const;

/** What counts against STATE.budget besides instructions of compiled loops, in their unit. */
export const WORK = {
  /** An interpreted instruction. */
  interpreted: 4,
  /** A computed branch or one to another page, interpreted. */
  elsewhere: 128,
  /** A region left, and what had to be done in between by an instruction's handler. */
  region: 16,
  /** An instruction done by its handler inside a region. */
  handler: 50,
  /** An exception, or another return to the core. */
  core: 200,
  /** An interrupt taken or an exception returned from inside generated code. */
  exception: 50,
  /** An instruction decoded, and one whose record was remembered. */
  decode: 1_000,
  recall: 50,
  /** An access that the TLB does not allow. */
  slowAccess: 400,
  /** The same where generated code fills the TLB. */
  refill: 60,
  /** A system operation that empties the TLB. */
  flush: 1_000,
} as const;

/** How one half of the address space (0 below, 1 above: bit 55 of the address) is translated, for STATE.walkHalves. */
export const WALK_HALF = {
  /** i64: physical address of the first table. */
  base: 0,
  /** i64: bits of an address that must be as in `top`; where a half is not walked here no address is. */
  topMask: 8,
  top: 16,
  /** i64: bits of table descriptors that limit what they lead to. */
  limits: 24,
  /** i32: lowest address bit of the first table's index, and mask of that index. */
  firstLsb: 32,
  firstMask: 36,
  bytes: 40,
} as const;

/**
 * The map of guest pages that generated code reads, two levels of words: the first 2^(pagesLog2 - leafLog2) words hold the address of a
 * leaf or 0, a leaf's 2^leafLog2 words the address of a frame with rights in the low bits (1 read, 2 write), or 0.
 */
export const FRAME_MAP = { pagesLog2: 22, leafLog2: 10, read: 1, write: 2 } as const;

/** Size of the state block in bytes. */
export const STATE_BYTES = 4096;

/** Slots of the general register file, see above. */
export const SLOT_SP = 31;
export const SLOT_ZERO = 32;
export const SLOT_DISCARD = 33;

/** Why generated code returned. Zero and one never reach the caller of `run`. */
export const EXIT = {
  /** (handlers) fall through to the next instruction. */
  next: 0,
  /** (handlers) `pc` holds the next instruction's address. */
  jumped: 1,
  /** The next instruction's page is not in the page cache: translate, then run again. */
  page: 2,
  /** Budget used up or attention requested. */
  pause: 3,
  /** A branch target was reached often: compile it, then run again. */
  hot: 4,
  /** A helper recorded an exception (exitInfo holds its class and syndrome); pc is the instruction's address. */
  exception: 5,
  /** The instruction at pc must be executed by its handler (generated regions only). */
  step: 6,
  /** Instructions the core executes itself; exitInfo holds the immediate. pc is the instruction's address. */
  svc: 7,
  hvc: 8,
  smc: 9,
  brk: 10,
  hlt: 11,
  undefined: 12,
  eret: 13,
  /** SIMD&FP access is trapped. */
  fpTrap: 14,
  /** A compiled region starts at pc but the jump cache does not know it. */
  region: 15,
  /** (core) A debugger outside the guest wants to stop here: at a breakpoint, or before a watched access. */
  debugger: 16,
  /** (core) An access whose outcome is for the shell to find out: PhysicalMemory.isHeld. pc is the instruction's address. */
  held: 17,
  /** The context changed (system register, PSTATE): pc is the next instruction; look everything up again. */
  context: 32,
  /** Wait for interrupt, wait for event; pc is the next instruction. */
  wfi: 33,
  wfe: 34,
  /** An event for all vCPUs (SEV); pc is the next instruction. */
  sev: 35,
  /** (handlers, regions) The context changed and the state block already says so: go on without the core. */
  resume: 36,
} as const;
/** Reasons from this one on leave `pc` at the next instruction; smaller ones at the instruction itself. */
export const EXIT_AFTER = 32;
/** A value of {@link EXIT}. */
export type ExitReason = (typeof EXIT)[keyof typeof EXIT];

/** Software TLB: entries per bank and layout of an entry. An entry matches a page address exactly; see mmu/. */
export const TLB = {
  entriesLog2: 12,
  entryBytesLog2: 5,
  /** i64 page address for which reads are allowed, or all ones. */
  readTag: 0,
  /** i64 page address for which plain writes are allowed, or all ones. */
  writeTag: 8,
  /** i32: host address = addend + low 32 bits of the virtual address. */
  addend: 16,
} as const;
/** Size of one TLB bank in bytes. */
export const TLB_BANK_BYTES = 1 << (TLB.entriesLog2 + TLB.entryBytesLog2);

/**
 * Page cache: which pre-decoded records belong to a page of guest code. Entry: i64 tag (page address | context), i32
 * record address. Jump cache: which region starts at an address. Entry: i64 address, i32 context, i32 table slot.
 * Both follow the state block at fixed offsets, then the TLB banks.
 */
export const PAGE_CACHE = { at: STATE_BYTES, entriesLog2: 12, entryBytesLog2: 4, tag: 0, record: 8 } as const;
const PAGE_CACHE_END = PAGE_CACHE.at + (1 << (PAGE_CACHE.entriesLog2 + PAGE_CACHE.entryBytesLog2));
export const JUMP_CACHE = {
  at: PAGE_CACHE_END,
  entriesLog2: 15,
  entryBytesLog2: 4,
  address: 0,
  context: 8,
  slot: 12,
} as const;
const JUMP_CACHE_END = JUMP_CACHE.at + (1 << (JUMP_CACHE.entriesLog2 + JUMP_CACHE.entryBytesLog2));
/**
 * What generated code notes when it fills the TLB, and what it has to know for that (interpreter/reach.ts, mmu/tlb.ts): a count of
 * fills noted and those, two words each (number of the entry, counted over all banks, times two, plus one if it may be written; number of
 * the frame); blocks larger than a page of which there may be entries, by the low bits of their number (i64 {@link blockKey}, 0: none);
 * a bit for each frame of the memory that holds decoded code.
 */
export const REFILLS = {
  at: JUMP_CACHE_END,
  count: 0,
  list: 64,
  max: 256,
  blocks: 2112,
  blocksLog2: 10,
  code: 10_304,
} as const;
const FRAMES_LOG2 = 20;
const REFILLS_BYTES = REFILLS.code + (1 << (FRAMES_LOG2 - 3));
/** Where the TLB banks begin, relative to the state block. Banks: see mmu/. */
export const TLB_BANKS_AT = REFILLS.at + Math.ceil(REFILLS_BYTES / 4096) * 4096;
/** Number of TLB banks: 8 address-space slots times 3 (EL1, EL0, EL1 without PAN). */
export const TLB_BANKS = 24;
/**
 * Records of instruction words that were decoded before (interpreter/decode-memo.ts): slots of five words, the instruction word and the
 * record without mark and count. A word has four places, two pairs of neighbours. A slot whose second word is 0 is empty.
 */
export const MEMO = { at: TLB_BANKS_AT + TLB_BANKS * TLB_BANK_BYTES, slotsLog2: 17, slotBytes: 20 } as const;
/** Bytes of the table of {@link MEMO}. */
export const MEMO_BYTES = MEMO.slotBytes << MEMO.slotsLog2;
/** A bit for each hash of a place in its page and the word there (jit/saved-code.ts): unset where no kept region begins so. */
export const SAVED_STARTS = { at: MEMO.at + MEMO_BYTES, bitsLog2: 20 } as const;
/** Bytes of a vCPU's whole fixed area; pre-decoded records follow in an arena of their own. */
export const VCPU_AREA_BYTES = SAVED_STARTS.at + (1 << (SAVED_STARTS.bitsLog2 - 3));
