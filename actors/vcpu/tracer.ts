/**
 * What one vCPU tells a trace: exceptions and system registers as the core's observer, calls, device accesses and power
 * changes from the shell, and, by stepping, instructions with the registers they change. Made only where a trace is asked for.
 */
import { TRACE_KINDS, type TraceFields, type TraceKind, type TraceWriter } from '../../bus/tap/trace.js';
import type { Core } from '../../cpu/core.js';
import type { CpuState } from '../../cpu/cpu-state.js';
import { Decoder } from '../../cpu/decode/decoder.js';
import { exceptionClassName, faultName, isAbort } from '../../cpu/exceptions/class-names.js';
import { disassemble } from '../../cpu/isa/disassemble.js';
import { INSTRUCTIONS } from '../../cpu/isa/table.js';
import type { PhysicalMemory } from '../../cpu/mmu/translator.js';
import type { CoreObserver } from '../../cpu/observer.js';
import { STATE } from '../../cpu/state.js';
import { ISS, sysregName } from '../../cpu/sysreg/encoding.js';
import { operationName } from '../../cpu/sysreg/operations.js';
import { REGISTER_BY_KEY, SLOT, sysregKeyOf } from '../../cpu/sysreg/registers.js';

const INTERRUPT_VECTORS: Readonly<Record<number, string>> = { 128: 'irq', 256: 'fiq', 384: 'serror' };
const VECTOR_MASK = 0x180;
const IRQ_REGISTERS = {
  [sysregKeyOf('ICC_IAR0_EL1')]: 'acknowledge',
  [sysregKeyOf('ICC_IAR1_EL1')]: 'acknowledge',
  [sysregKeyOf('ICC_EOIR0_EL1')]: 'end',
  [sysregKeyOf('ICC_EOIR1_EL1')]: 'end',
  [sysregKeyOf('ICC_DIR_EL1')]: 'deactivate',
  [sysregKeyOf('ICC_SGI1R_EL1')]: 'send',
} as const;
const PSTATE_FIELDS: Readonly<Record<number, string>> = {
  [3]: 'UAO',
  [4]: 'PAN',
  [5]: 'SPSel',
  [(3 << 3) | 6]: 'DAIFSet',
  [(3 << 3) | 7]: 'DAIFClr',
};

const hex = (value: bigint | number): string => `0x${value.toString(16)}`;

/** See the head of this file. */
export class VcpuTracer implements CoreObserver {
  readonly #writer: TraceWriter;
  readonly #kinds: ReadonlySet<TraceKind>;
  readonly #state: () => CpuState;
  readonly #decoder = new Decoder(INSTRUCTIONS);
  /** The next instruction starts a block, for `block` events. */
  #startsBlock = true;

  /** `state` is asked for only once the core exists. */
  constructor(writer: TraceWriter, kinds: ReadonlySet<TraceKind>, state: () => CpuState) {
    this.#writer = writer;
    this.#kinds = kinds;
    this.#state = state;
  }

  /** Whether the guest must be stepped. */
  get steps(): boolean {
    return this.#kinds.has('insn') || this.#kinds.has('block');
  }

  /** Publishes an event of a kind that was asked for. */
  #emit(kind: TraceKind, fields: TraceFields): void {
    if (this.#kinds.has(kind)) this.#writer.emit(kind, fields);
  }

  exceptionEntered(vector: number): void {
    this.#startsBlock = true;
    if (!this.#kinds.has('exception')) return;
    const state = this.#state();
    const entry = {
      from: (state.get32(SLOT.spsr) & 0xf) === 0 ? 'el0' : 'el1',
      elr: hex(state.get64(SLOT.elr)),
      spsr: hex(state.get32(SLOT.spsr) >>> 0),
      vector: hex(vector),
    };
    const interrupt = INTERRUPT_VECTORS[vector & VECTOR_MASK];
    if (interrupt !== undefined) {
      this.#emit('exception', { event: 'enter', class: interrupt, ...entry });
      return;
    }
    const esr = state.get32(SLOT.esr);
    const fault = isAbort(esr) ? { fault: faultName(esr), far: hex(state.get64(SLOT.far)) } : {};
    this.#emit('exception', {
      ...{ event: 'enter', class: exceptionClassName(esr), esr: hex(esr >>> 0), ...fault, ...entry },
    });
  }

  exceptionReturned(from: bigint): void {
    this.#startsBlock = true;
    if (!this.#kinds.has('exception')) return;
    const state = this.#state();
    const to = state.get32(STATE.el) === 0 ? 'el0' : 'el1';
    this.#emit('exception', { event: 'return', to, pc: hex(state.get64(STATE.pc)), eret: hex(from) });
  }

  systemAccess(how: 'read' | 'write' | 'operation' | 'pstate', iss: number, value: bigint): void {
    const key = iss & ISS.keyMask;
    // Generated code keeps pc elsewhere: only stepping knows where the instruction stands.
    const pc = this.steps ? { pc: hex(this.#state().get64(STATE.pc)) } : {};
    const irq = IRQ_REGISTERS[key];
    if (irq !== undefined && (how === 'read' || how === 'write')) {
      const fields = irq === 'send' ? { value: hex(value) } : { intid: Number(value & 0xffffffn) };
      this.#emit('irq', { event: irq, ...fields });
    }
    if (!this.#kinds.has('sysreg')) return;
    if (how === 'operation')
      this.#emit('sysreg', { event: 'do', name: operationName(key) ?? sysregName(key), value: hex(value), ...pc });
    else if (how === 'pstate') {
      const field = PSTATE_FIELDS[(((iss >> 14) & 7) << 3) | ((iss >> 17) & 7)] ?? sysregName(key);
      this.#emit('sysreg', { event: 'write', name: field, value: hex((iss >> 1) & 15), ...pc });
    } else {
      const name = REGISTER_BY_KEY.get(key)?.name ?? sysregName(key);
      this.#emit('sysreg', { event: how, name, value: hex(value), ...pc });
    }
  }

  /** A call of another interface was answered. */
  hypercall(fields: TraceFields): void {
    this.#emit('hypercall', fields);
  }

  /** A call of the guest was answered; `answer` undefined: it does not return. */
  call(name: string, id: number, args: readonly bigint[], answer: number | undefined): void {
    if (!this.#kinds.has('hypercall')) return;
    const given = Object.fromEntries(args.map((value, n) => [`x${n + 1}`, hex(value)]));
    this.#emit('hypercall', { name, id: hex(id), ...given, result: answer === undefined ? 'no-return' : answer });
  }

  /** The vCPU started, went off or its machine stopped. */
  power(event: string, fields: TraceFields = {}): void {
    this.#emit('power', { event, ...fields });
  }

  /** `memory` with its device accesses told; `nameOf` an address's device. */
  watch(memory: PhysicalMemory, nameOf: (ipa: number) => string): PhysicalMemory {
    if (!this.#kinds.has('mmio')) return memory;
    const tell = (event: string, ipa: number, bytes: number, value: bigint | undefined): void => {
      const result = value === undefined ? 'abort' : hex(value);
      this.#emit('mmio', { event, device: nameOf(ipa), ipa: hex(ipa), bytes, value: result });
    };
    return {
      frame: (page, want) => memory.frame(page, want),
      holds: (ipa, want) => memory.holds?.(ipa, want) === true,
      get isHeld() {
        return memory.isHeld === true;
      },
      read(ipa, bytes) {
        const value = memory.read(ipa, bytes);
        tell('read', ipa, bytes, value);
        return value;
      },
      write(ipa, bytes, value) {
        const done = memory.write(ipa, bytes, value);
        tell('write', ipa, bytes, done ? value : undefined);
        return done;
      },
    };
  }

  /** Executes one instruction of `core` and tells of it; a value of EXIT. */
  step(core: Core): number {
    core.settle();
    const { state } = core;
    const pc = state.get64(STATE.pc);
    const word = core.currentWord();
    const startsBlock = this.#startsBlock;
    const entry = word === undefined ? undefined : this.#decoder.decode(word);
    this.#startsBlock = entry !== undefined && entry.flow !== 'next';
    if (startsBlock) this.#emit('block', { pc: hex(pc), el: state.get32(STATE.el) });
    const before = this.#kinds.has('insn') && word !== undefined ? registersOf(state) : undefined;
    const reason = core.step();
    if (before !== undefined && word !== undefined) {
      const text = disassemble(this.#decoder, word, pc);
      const changed = changes(before, registersOf(state));
      this.#emit('insn', { pc: hex(pc), word: word.toString(16).padStart(8, '0'), text, ...changed });
    }
    return reason;
  }
}

/** General registers, stack pointer, flags and vector registers. */
interface Registers {
  readonly x: BigUint64Array;
  readonly v: BigUint64Array;
  readonly nzcv: number;
}
function registersOf(state: CpuState): Registers {
  const copy = (at: number, count: number): BigUint64Array =>
    new BigUint64Array(state.bytes.slice(state.at + at, state.at + at + count * 8).buffer);
  return { x: copy(STATE.x, 32), v: copy(STATE.v, 64), nzcv: state.getNzcv() >>> 28 };
}
function changes(before: Registers, after: Registers): Record<string, string> {
  const changed: Record<string, string> = {};
  after.x.forEach((value, n) => {
    if (value !== before.x[n]) changed[n === 31 ? 'sp' : `x${n}`] = hex(value);
  });
  if (after.nzcv !== before.nzcv) changed['nzcv'] = hex(after.nzcv);
  for (let n = 0; n < 32; n++) {
    const [low, high] = [after.v[2 * n] ?? 0n, after.v[2 * n + 1] ?? 0n];
    if (low !== before.v[2 * n] || high !== before.v[2 * n + 1]) changed[`v${n}`] = hex((high << 64n) | low);
  }
  return changed;
}

/** The kinds of a bit set as it travels in a config, and back. */
export function kindsOf(bits: number): ReadonlySet<TraceKind> {
  return new Set(TRACE_KINDS.filter((_, n) => ((bits >> n) & 1) === 1));
}
