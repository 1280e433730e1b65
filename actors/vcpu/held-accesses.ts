/**
 * Accesses of a proxy-scheduled vCPU that its runner answers (gunyah.md 2.7, 2.9). An access to a VMMIO range leaves the
 * guest before its instruction has done anything; when the runner has answered, the instruction is executed again and finds
 * the answer here. Only loads and stores of one general register without write-back are decodable; any other is an abort.
 */
import { WANT, type Want } from '../../cpu/mmu/translator.js';
import { RESUME, RUN_STATE, type RunExit } from '../shared-state/vm/proxied-run.js';
import type { VmmioRanges } from '../shared-state/vm/vmmio-ranges.js';

/** What the accesses depend on. */
export interface HeldParts {
  readonly ranges: VmmioRanges;
  /** Whether the runner has the processor: without one nothing is held. */
  isProxied(): boolean;
  /** Whether the page of `ipa` is not in the stage-2 map at all. */
  isUnmapped(ipa: number): boolean;
  /** Whether faults outside all ranges are the runner's too (P17). */
  readonly pageFaults: boolean;
}

interface Wanted {
  readonly kind: 'read' | 'write' | 'page';
  readonly ipa: number;
  readonly bytes: number;
  readonly value: bigint;
}
type Answer = { readonly to: Wanted } & ({ readonly value: bigint } | { readonly abort: true });

/** See the head of this file. */
export class HeldAccesses {
  readonly #parts: HeldParts;
  #wanted: Wanted | undefined;
  #asked: Wanted | undefined;
  #answer: Answer | undefined;

  constructor(parts: HeldParts) {
    this.#parts = parts;
  }

  /** Whether the access that was just refused waits for its answer. */
  get isHeld(): boolean {
    return this.#wanted !== undefined;
  }

  /**
   * The exit for the access that is held; it is held no more, but remembered for {@link resume}. `word` is its instruction:
   * undefined when that is not decodable, whose access is an abort then.
   */
  take(word: number | undefined): RunExit | undefined {
    const wanted = this.#wanted;
    if (wanted === undefined) return undefined;
    this.#wanted = undefined;
    const { kind, ipa, bytes, value } = wanted;
    if (kind !== 'page' && !isSingleRegister(word ?? 0)) {
      this.#answer = { to: wanted, abort: true };
      return undefined;
    }
    this.#asked = wanted;
    if (kind === 'page') return { state: RUN_STATE.pageFault, data: [BigInt(ipa), value, 0n] };
    const state = kind === 'read' ? RUN_STATE.vmmioRead : RUN_STATE.vmmioWrite;
    return { state, data: [BigInt(ipa), BigInt(bytes), kind === 'read' ? 0n : value] };
  }

  /** The runner's answer to the last exit: `value` is what a read gives, `action` one of RESUME. */
  resume(value: bigint, action: number): void {
    const to = this.#asked;
    // A turn can end before the instruction was executed again: what was answered then still holds in the next one.
    if (to === undefined) return;
    this.#asked = undefined;
    this.#answer = undefined;
    if (action === RESUME.retry) return;
    if (action === RESUME.fault) this.#answer = { to, abort: true };
    else if (to.kind !== 'page') this.#answer = { to, value: BigInt.asUintN(to.bytes * 8, value) };
  }

  /** As PhysicalMemory.read of an address where no device is. */
  read(ipa: number, bytes: number): bigint | undefined {
    return this.#access({ kind: 'read', ipa, bytes, value: 0n });
  }
  /** As PhysicalMemory.write. */
  write(ipa: number, bytes: number, value: bigint): boolean {
    return this.#access({ kind: 'write', ipa, bytes, value }) !== undefined;
  }
  /** As PhysicalMemory.holds. */
  holds(ipa: number, want: Want): boolean {
    const answer = this.#answer;
    this.#answer = undefined;
    if (answer !== undefined && 'abort' in answer && answer.to.ipa === ipa) return false;
    if (this.#parts.isProxied()) this.#hold({ kind: 'page', ipa, bytes: 0, value: want === WANT.write ? 1n : 0n });
    return this.isHeld;
  }

  #access(access: Wanted): bigint | undefined {
    const answer = this.#answer;
    this.#answer = undefined;
    if (answer !== undefined && answer.to.ipa === access.ipa) {
      if ('abort' in answer) return undefined;
      if (answer.to.kind === access.kind && answer.to.bytes === access.bytes) return answer.value;
    }
    const { ranges, isProxied } = this.#parts;
    if (!isProxied()) return undefined;
    const { kind, ipa, bytes } = access;
    if (!ranges.has(ipa, bytes)) this.#hold({ kind: 'page', ipa, bytes: 0, value: kind === 'write' ? 1n : 0n });
    else this.#wanted = access;
    return undefined;
  }

  /** A fault on memory that is not there yet. */
  #hold(wanted: Wanted): void {
    const { pageFaults, ranges, isUnmapped } = this.#parts;
    if (pageFaults && isUnmapped(wanted.ipa) && !ranges.has(wanted.ipa, 1)) this.#wanted = wanted;
  }
}

/**
 * Whether a load or store has a syndrome that says all of it (Arm ARM, ESR_ELx.ISV for stage-2 aborts): one general register,
 * no write-back, not exclusive, not atomic.
 */
function isSingleRegister(word: number): boolean {
  // LDAR, STLR, LDLAR, STLLR.
  if ((word & 0x3fa0_0000) >>> 0 === 0x0880_0000) return true;
  if ((word & 0x3a00_0000) >>> 0 !== 0x3800_0000 || (word & 0x0400_0000) !== 0) return false;
  if ((word & 0x0100_0000) !== 0) return true; // unsigned offset
  const form = (word >>> 10) & 3;
  // Register offset has bit 21 set and form 10; unscaled (00) and unprivileged (10) have it clear.
  return (word & 0x0020_0000) !== 0 ? form === 2 : form === 0 || form === 2;
}
