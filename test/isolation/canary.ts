/**
 * Runs generated modules in a memory full of canaries: the state block, a TLB that allows a few frames, and nothing else
 * may be written; and nothing else may be read, which shows as two runs that differ only in the forbidden bytes having the
 * same outcome. A call of `step` revokes every frame, as another vCPU's unmapping would.
 */
import vm from 'node:vm';
import { WRITABLE_STATE } from '../../cpu/jit/scanner/state-fields.js';
import { STATE, STATE_BYTES, TLB, TLB_BANK_BYTES, TLB_BANKS_AT } from '../../cpu/state.js';

const STATE_AT = 0x100000;
/** The banks for ordinary and for unprivileged accesses; a vCPU's other banks are not there. */
const BANKS = [0, 1];
const BANKS_AT = STATE_AT + TLB_BANKS_AT;
const BANKS_END = BANKS_AT + BANKS.length * TLB_BANK_BYTES;
const FRAMES_AT = 0x200000;
const MEMORY_BYTES = 0x280000;
/** Virtual address of the first guest page. Its low half lies in the memory, so that an unchecked access hits something. */
const GUEST_VA = 0x7fff00210000n;
const GUEST_PAGES = 8;
const RUN_MS_MAX = 200;
/** Only a script of node:vm can be stopped when generated code loops for ever. */
const RUN = new vm.Script('run()');

/** Rights of guest page i: odd ones are unmapped, page 2 is read-only. */
const isMapped = (page: number): boolean => page % 2 === 0;
const isWritable = (page: number): boolean => isMapped(page) && page !== 2;
/** Frames are apart, so that what runs over the end of one hits canaries. */
const frameOf = (page: number): number => FRAMES_AT + page * 0x3000 + 0x1000;

/** What a run did that it must not; undefined when nothing. */
export type Breach = 'wrote a canary' | 'read a canary' | undefined;

interface Outcome {
  readonly breach: boolean;
  readonly endless: boolean;
  /** State block and mapped frames. */
  readonly visible: Buffer;
}

/** See the head of this file. */
export class CanaryMachine {
  readonly #memory = new WebAssembly.Memory({ initial: MEMORY_BYTES >> 16, maximum: 65536, shared: true });
  readonly #bytes = Buffer.from(this.#memory.buffer);
  readonly #initial: readonly [Buffer, Buffer];
  readonly #expected = Buffer.alloc(MEMORY_BYTES);
  #code: (state: number) => number = () => 0;
  readonly #context = vm.createContext({ run: () => this.#code(STATE_AT) });
  #revoked = false;
  #steps = 0;
  #stepsMax = 0;

  /** `random` draws the register and memory contents. */
  constructor(random: (below: number) => number) {
    const first = Buffer.alloc(MEMORY_BYTES);
    for (let i = 0; i < MEMORY_BYTES; i += 2) first.writeUInt16LE(random(65536), i);
    const second = Buffer.from(first.map((byte) => byte ^ 0x5a));
    // Allowed to be read: equal in both.
    first.copy(second, STATE_AT, STATE_AT, STATE_AT + STATE_BYTES);
    for (const page of pages(isMapped)) first.copy(second, frameOf(page), frameOf(page), frameOf(page) + 4096);
    for (const image of [first, second]) this.#prepare(image);
    this.#initial = [first, second];
  }

  #prepare(image: Buffer): void {
    image.fill(0xff, BANKS_AT, BANKS_END);
    for (const bank of BANKS) {
      const at = BANKS_AT + bank * TLB_BANK_BYTES;
      image.writeInt32LE(at, STATE_AT + (bank === 0 ? STATE.tlb : STATE.tlbUser));
      for (const page of pages(isMapped)) {
        const va = GUEST_VA + BigInt(page) * 4096n;
        const index = Number((va >> 12n) & BigInt((1 << TLB.entriesLog2) - 1));
        const entry = at + (index << TLB.entryBytesLog2);
        image.writeBigUInt64LE(va, entry + TLB.readTag);
        if (isWritable(page)) image.writeBigUInt64LE(va, entry + TLB.writeTag);
        image.writeInt32LE((frameOf(page) - Number(BigInt.asIntN(32, va))) | 0, entry + TLB.addend);
      }
    }
    image.writeInt32LE(0, STATE_AT + STATE.fpTrap);
    image.writeInt32LE(2_000, STATE_AT + STATE.budget);
  }

  /** Sets all general registers to addresses in and around the guest pages, most of them near page boundaries. */
  aimRegisters(random: (below: number) => number): void {
    for (let n = 0; n < 32; n++) {
      const page = BigInt(random(GUEST_PAGES)) * 4096n;
      const near = random(3) === 0 ? random(4096) : random(2) === 0 ? random(24) : 4096 - random(80);
      const value = random(8) === 0 ? BigInt(random(0x7fffffff)) * 3n : GUEST_VA + page + BigInt(near);
      for (const image of this.#initial) image.writeBigUInt64LE(value, STATE_AT + n * 8);
    }
  }

  /** Runs every function `module` exports, each from the same start, and says what it did wrong. */
  run(module: WebAssembly.Module, stepsMax = 3): Breach {
    this.#stepsMax = stepsMax;
    const instance = new WebAssembly.Instance(module, { env: { memory: this.#memory, step: () => this.#step() } });
    for (const exported of Object.values(instance.exports)) {
      const code = exported as (state: number) => number; // WHY: the scanner allows no other exports
      const breach = this.#breachOf(code);
      if (breach !== undefined) return breach;
    }
    return undefined;
  }

  /**
   * The engine may answer NaNs with other bits once it has optimised a function, so a difference counts only if the same
   * start gives the same outcome before and after it, and does so again: on a machine with a load of 25 one accepted module of
   * hundreds differed once and never more, whereas what really reads a canary does so every time.
   */
  #breachOf(code: (state: number) => number): Breach {
    let reads = 0;
    for (let attempt = 0; attempt < 4; attempt++) {
      const first = this.#outcome(this.#initial[0], code);
      const second = this.#outcome(this.#initial[1], code);
      if (first.breach || second.breach) return 'wrote a canary';
      // An endless loop is stopped at different points, so nothing can be compared.
      if (first.endless || second.endless || first.visible.compare(second.visible) === 0) return undefined;
      const again = this.#outcome(this.#initial[0], code);
      if (again.visible.compare(first.visible) === 0 && ++reads === 2) return 'read a canary';
    }
    return undefined;
  }

  #outcome(initial: Buffer, code: (state: number) => number): Outcome {
    initial.copy(this.#bytes);
    initial.copy(this.#expected);
    this.#revoked = false;
    this.#steps = 0;
    let endless = false;
    try {
      this.#code = code;
      RUN.runInContext(this.#context, { timeout: RUN_MS_MAX });
    } catch (thrown) {
      endless = thrown instanceof Error && 'code' in thrown && thrown.code === 'ERR_SCRIPT_EXECUTION_TIMEOUT';
      // Traps (out of bounds, unreachable, unaligned atomics) are harmless: the code has stopped.
    }
    this.#acceptWrites();
    const breach = this.#bytes.compare(this.#expected) !== 0;
    const parts = [this.#bytes.subarray(STATE_AT, STATE_AT + STATE_BYTES)];
    for (const page of pages(isMapped)) parts.push(this.#bytes.subarray(frameOf(page), frameOf(page) + 4096));
    return { breach, endless, visible: Buffer.concat(parts) };
  }

  /** Takes what may have been written into what is expected. */
  #acceptWrites(): void {
    for (let at = 0; at < STATE_BYTES; at++) {
      if (WRITABLE_STATE[at] === 1) this.#expected[STATE_AT + at] = this.#bytes[STATE_AT + at] ?? 0;
    }
    if (this.#revoked) return;
    for (const page of pages(isWritable)) {
      this.#bytes.copy(this.#expected, frameOf(page), frameOf(page), frameOf(page) + 4096);
    }
  }

  #step(): number {
    this.#acceptWrites();
    this.#revoked = true;
    for (const image of [this.#bytes, this.#expected]) {
      image.fill(0xff, BANKS_AT, BANKS_END);
    }
    return ++this.#steps > this.#stepsMax ? 6 : 0;
  }
}

function pages(which: (page: number) => boolean): number[] {
  return Array.from({ length: GUEST_PAGES }, (_, i) => i).filter(which);
}
