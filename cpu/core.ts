/**
 * One virtual CPU: the generated interpreter and the JIT bound to a state block, with the system side around them.
 * Exceptions, faults and interrupts are handled inside `run`; it returns only for what its shell must do.
 */
import { CodePages } from './code-pages.js';
import { CpuState, PSTATE } from './cpu-state.js';
import { Decoder } from './decode/decoder.js';
import { DebugUnit, isLoadExclusive } from './exceptions/debug.js';
import { EC, Exceptions, ISS_ALWAYS } from './exceptions/exceptions.js';
import { fpHelper } from './fp/helpers.js';
import { DecodeMemo } from './interpreter/decode-memo.js';
import type { HELPERS } from './interpreter/helpers.js';
import { READS_SECTION, RecordWriter } from './interpreter/pre-decode.js';
import type { HandlerNumbers } from './interpreter/record.js';
import { simdHelper } from './isa/simd/helper.js';
import { INSTRUCTIONS } from './isa/table.js';
import type { CodeJournal } from './jit/code-journal.js';
import { type BackgroundCompiler, Jit } from './jit/jit.js';
import type { CodeBudget } from './jit/region-store.js';
import type { SavedVolume } from './jit/saved-code.js';
import { MemoryAccess } from './memory-access.js';
import { AddressSpace } from './mmu/address-space.js';
import { FAULT, newTranslation, type PhysicalMemory, type Translator, WANT } from './mmu/translator.js';
import { type CoreObserver, type Helper, observeSystem } from './observer.js';
import { EXIT, LONG_WAY, STATE, TLB_BANKS_AT, WORK } from './state.js';
import { SystemRegisters } from './sysreg/access.js';
import { Operations } from './sysreg/operations.js';
import {
  ALONE,
  type MachineHelpers,
  NO_PERIPHERALS,
  type RemoteCpus,
  type RemoteRequest,
  type SystemPeripherals,
  slowHelpers,
} from './sysreg/peripherals.js';
import { PstateInstructions } from './sysreg/pstate.js';
import { SLOT } from './sysreg/registers.js';
import { memoryFill } from './wasm/memory-fill.js';
import { WorkAccount } from './work-account.js';

/** Where a vCPU's memory lies in the shared memory. */
export interface CoreLayout {
  /** Address of the state block; VCPU_AREA_BYTES (cpu/state.ts) long, 64-byte aligned. */
  readonly state: number;
  /** Record arena. */
  readonly arena: number;
  readonly arenaBytes: number;
}

/** The interpreter module compiled, and the numbers its records use. */
export interface Interpreter {
  readonly module: WebAssembly.Module;
  readonly numbers: HandlerNumbers;
}

/** What a core is connected to; all of it may be absent. */
export interface CoreOptions {
  /** False switches compiled code off. */
  readonly jit?: boolean;
  /** Translates and compiles in another thread; absent: in this one. */
  readonly compiler?: BackgroundCompiler | undefined;
  /** Compiled code of earlier runs, each volume once, when it has come. */
  readonly saved?: (() => readonly SavedVolume[] | undefined) | undefined;
  /** Where entry points worth compiling before the next run are noted. */
  readonly journal?: CodeJournal | undefined;
  /** Records of instruction words that {@link Core.copyKnownWords} of the same interpreter has left; absent: none are known. */
  readonly knownWords?: ArrayBufferLike | undefined;
  /** How much compiled code is kept; absent: what Jit thinks right. */
  readonly codeBudget?: CodeBudget | undefined;
  /** Interrupt controller and timers. */
  readonly peripherals?: SystemPeripherals;
  /** What HVC calls inside generated code; it may call `otherwise`, which asks the peripherals. 0: it was answered. */
  readonly hypercall?: ((otherwise: (state: number) => number) => (state: number) => number) | undefined;
  /** What generated code calls in place of these helpers, which it may call for what it does not do itself. */
  readonly machineCode?: ((otherwise: MachineHelpers) => MachineHelpers) | undefined;
  /** The machine's other vCPUs. */
  readonly remote?: RemoteCpus;
  /** Address of the lock word for 16-byte atomics that all vCPUs of one memory share; absent for one that is alone. */
  readonly pairLock?: number;
  /** Address of a map by which `physical.frame` answers (FRAME_MAP of state.ts): generated code then translates addresses itself. */
  readonly frames?: number | undefined;
  /** MPIDR_EL1's affinity fields. */
  readonly affinity?: number;
  /** Hears of exceptions and system registers. */
  readonly observer?: CoreObserver | undefined;
}

const decoder = new Decoder(INSTRUCTIONS);
/** What of the TLB each request invalidates. */
const INVALIDATED = { 'tlbi-all': 'all', 'tlbi-asid': 'asid', 'tlbi-va': 'va', 'tlbi-va-last': 'va-last' } as const;
/** Reasons to return after which the instruction is done, though its effect is the caller's. */
const COMPLETED: ReadonlySet<number> = new Set([EXIT.svc, EXIT.hvc, EXIT.smc, EXIT.wfi, EXIT.wfe, EXIT.sev]);

/** See the head of this file. */
export class Core {
  readonly state: CpuState;
  readonly view: DataView;
  readonly pages: CodePages;
  readonly space: AddressSpace;
  readonly exceptions: Exceptions;
  readonly registers: SystemRegisters;
  readonly access: MemoryAccess;
  readonly debug: DebugUnit;
  readonly work: WorkAccount;
  /** The region table: slot 0 stays empty. */
  readonly table = new WebAssembly.Table({ element: 'anyfunc', initial: 1 });
  /** Absent when compiled code is switched off. */
  readonly jit: Jit | undefined;
  readonly #run: (state: number) => number;
  readonly #step: (state: number) => number;
  readonly #at: number;
  readonly #writer: RecordWriter;
  readonly #memo: DecodeMemo;
  readonly #translator: Translator;
  readonly #physical: PhysicalMemory;
  readonly #peripherals: SystemPeripherals;
  readonly #affinity: number;
  /** A program without a system: exceptions are the shell's, which gave its own translation. */
  readonly #bare: boolean;
  readonly #translation = newTranslation();

  /**
   * @param translator undefined: the architected MMU. Otherwise addresses translate as it says and every exception is
   *   returned from `run` instead of being taken: a program without system software.
   */
  constructor(
    memory: WebAssembly.Memory,
    layout: CoreLayout,
    interpreter: Interpreter,
    physical: PhysicalMemory,
    translator?: Translator,
    options: CoreOptions = {},
  ) {
    const fill = memoryFill(memory);
    // The TLB's banks see to themselves.
    fill(layout.state, 0, TLB_BANKS_AT);
    const state = new CpuState(memory.buffer, layout.state);
    this.state = state;
    this.view = state.view;
    this.work = new WorkAccount(state);
    this.#memo = new DecodeMemo(state.words, layout.state, options.knownWords);
    state.set32(STATE.arena, layout.arena);
    state.set32(STATE.alone, (options.remote ?? ALONE).isAlone ? 1 : 0);
    state.set32(STATE.askedCode, -1);
    this.#at = layout.state;
    this.#physical = physical;
    this.#writer = new RecordWriter(state.view, interpreter.numbers, readsOf(interpreter.module));
    this.#peripherals = options.peripherals ?? NO_PERIPHERALS;
    this.#affinity = options.affinity ?? 0;
    this.#bare = translator !== undefined;
    const remote = options.remote ?? ALONE;
    this.pages = new CodePages(
      memory.buffer,
      fill,
      layout.state,
      layout.arena,
      layout.arenaBytes,
      (page) => this.jit?.drop(page) ?? [],
      (page) => this.jit?.onPage(page),
    );
    this.debug = new DebugUnit(state);
    const help = { frames: this.#bare ? undefined : options.frames, isWatched: () => this.debug.active };
    this.space = new AddressSpace(state, physical, this.pages, fill, help);
    this.#translator = translator ?? this.space.walker;
    this.exceptions = new Exceptions(state, {
      contextChanged: () => this.space.contextChanged(),
      debugEnabledAt: (el, daif) => this.debug.enabledAt(el, daif),
      observer: options.observer,
    });
    const parts = {
      ...{ state, physical, translator: this.#translator, space: this.space, pages: this.pages, remote },
      ...{ exceptions: this.exceptions, debug: this.debug, peripherals: this.#peripherals },
      dropCodeLater: () => this.#dropCodeLater(),
    };
    const access = new MemoryAccess(parts);
    const registers = new SystemRegisters(parts);
    const operations = new Operations(parts);
    const pstate = new PstateInstructions(parts, registers);
    this.access = access;
    this.registers = registers;
    const slow = slowHelpers(registers, this.#peripherals);
    const machine = options.machineCode?.(slow) ?? slow;
    const helpers: Record<keyof typeof HELPERS, Helper> = {
      probe: this.work.charging(WORK.slowAccess, (_state, lo, hi, bits) => access.probe(lo, hi, bits)),
      loadSlow: this.work.charging(WORK.slowAccess, (_state, lo, hi, bits) => access.load(lo, hi, bits)),
      storeSlow: this.work.charging(WORK.slowAccess, (_state, lo, hi, bits) => access.store(lo, hi, bits)),
      checkSpAlignment: () => this.#checkSpAlignment(),
      hypercall: options.hypercall?.(() => this.#hypercall()) ?? (() => this.#hypercall()),
      fp: (at, code, shape, extra) => fpHelper(this.view, at >>> 0, code, shape, extra),
      simd: (at, code, size) => simdHelper(this.view, at >>> 0, code, size),
      checkStorePair: (_state, lo, hi, bits) => access.checkStorePair(lo, hi, bits),
      sysregRead: machine.read,
      sysregWrite: machine.write,
      system: (_state, iss) => {
        const { flushes } = this.space.counters;
        const status = operations.run(iss);
        if (this.space.counters.flushes !== flushes) this.work.charge(WORK.flush);
        state.set32(STATE.scratch, 1);
        return status;
      },
      pstateWrite: (_state, iss) => pstate.write(iss),
      zeroTrap: (_state, iss) => this.exceptions.record(EC.trappedSystem, iss),
      barrier: () => {
        remote.wait();
        return 0;
      },
      attend: machine.attend,
      turn: this.#turn,
    };
    if (options.observer !== undefined) observeSystem(helpers, state, options.observer);
    // Addresses come as signed numbers from generated code.
    const decode = (_state: number, record: number): void => this.#decode(record >>> 0);
    const instance = new WebAssembly.Instance(interpreter.module, {
      env: { memory, table: this.table, decode, ...helpers },
    });
    // WHY: the module was generated by buildInterpreter, which exports exactly these.
    this.#run = instance.exports['run'] as (state: number) => number;
    const step = instance.exports['step'] as (state: number) => number;
    this.#step = step;
    if (options.jit !== false) {
      const { view, table } = this;
      const { compiler: background, codeBudget: budget, journal, saved } = options;
      const itsPages = {
        findPage: (at: number) => this.pages.find(at),
        dropCode: () => this.pages.dropAll(),
        jumpCache: this.pages.jumpCache,
      };
      const places = { memory, view, state: layout.state, table };
      this.jit = new Jit({ ...places, ...itsPages, decoder, step, background, budget, journal, saved });
    }
    state.setHalves(STATE.monitorAddress, -1, -1);
    state.set32(STATE.lookAt, layout.state + STATE.noLook);
    // One piece, unless who gives turns wants more.
    state.set32(STATE.piece, 0x7fffffff);
    state.set32(STATE.pairLock, options.pairLock ?? layout.state + STATE.ownLock);
    if (this.#bare || options.observer !== undefined) state.set32(STATE.longWay, LONG_WAY.always);
    if (this.#bare) {
      state.set32(SLOT.cpacr, 3 << 20);
      this.space.contextChanged();
    }
  }

  /** Reads a 32-bit field of the state block. */
  get32(offset: number): number {
    return this.state.get32(offset);
  }
  /** Writes a 32-bit field of the state block. */
  set32(offset: number, value: number): void {
    this.state.set32(offset, value);
  }
  /** Reads a 64-bit field of the state block. */
  get64(offset: number): bigint {
    return this.state.get64(offset);
  }
  /** Writes a 64-bit field of the state block. */
  set64(offset: number, value: bigint): void {
    this.state.set64(offset, value);
  }

  /** The state after reset or PSCI CPU_ON: EL1 with SP_EL1, everything masked, MMU off, pc at `entry`, x0 as given. */
  reset(entry: bigint, x0: bigint): void {
    const { state } = this;
    for (let n = 0; n < 32; n++) state.setHalves(n * 8, 0, 0);
    state.bytes.fill(0, state.at + STATE.v, state.at + STATE.v + 512);
    this.registers.reset();
    state.set32(SLOT.mpidr, (1 << 31) | (this.#affinity & 0xffffff));
    state.set32(SLOT.mpidr + 4, this.#affinity >>> 24);
    state.set64(0, x0);
    state.set64(STATE.pc, entry);
    state.set32(STATE.el, 1);
    state.set32(STATE.pstate, PSTATE.spsel);
    state.set32(STATE.daif, PSTATE.daif);
    state.setNzcv(0);
    state.set32(STATE.fpcr, 0);
    state.set32(STATE.fpsr, 0);
    state.set32(STATE.fpFast, 0);
    state.setHalves(STATE.monitorAddress, -1, -1);
    this.debug.update();
    this.space.regimeChanged();
  }

  /**
   * Executes guest code until something needs the shell; for about `budget` (STATE.budget) and at most some hundred
   * instructions more. The result is a value of EXIT: `pause` (budget used up), `wfi` and `wfe` (pc is behind the instruction;
   * no interrupt is pending), `hvc` and `smc` (pc is behind it, exitInfo holds the immediate), and for programs without a
   * system every exception.
   */
  run(budget: number): number {
    this.set32(STATE.budget, budget);
    this.jit?.onPause();
    for (;;) {
      this.settle();
      const left = this.debug.stepping ? this.#stepDebugged() : this.#runCode();
      if (left !== EXIT.next) return left;
      // Exceptions count too: a guest that does nothing but fault must not keep its shell from looking around.
      const rest = this.get32(STATE.budget) - WORK.core;
      this.set32(STATE.budget, rest);
      if (rest <= 0 && !this.work.takesPiece(rest, this.#turn)) return this.#handle(EXIT.pause);
    }
  }
  readonly #turn = (): number => this.#peripherals.turn?.() ?? 0;

  #runCode(): number {
    const reason = this.#run(this.#at);
    return reason === EXIT.next ? EXIT.next : this.#handle(reason);
  }

  /**
   * Executes one instruction, or takes one exception: an interrupt that is due, or the fault of the instruction or of
   * fetching it. Under the guest's own software step, whatever that makes of the instruction. Results as for `run`.
   * `interrupts` false: pending ones stay pending, which is how a debugger steps.
   */
  step(interrupts = true): number {
    if (!this.#bare) {
      const { taken } = this.exceptions;
      this.settle(interrupts);
      if (this.exceptions.taken !== taken) return EXIT.next;
      if (this.debug.stepping) return this.#stepDebugged();
    }
    const reason = this.#stepSettled();
    return reason === EXIT.next || this.#handled ? reason : this.#handle(reason);
  }
  /** What {@link #stepSettled} returned is acted upon already. */
  #handled = false;
  /** Entering a page with breakpoints executed the instruction already. */
  #steppedInPage = false;

  #dropCodeLater(): void {
    this.set32(STATE.longWay, this.get32(STATE.longWay) | LONG_WAY.dropCode);
  }
  /** Between runs of generated code: deferred work, then what must be taken before the next instruction. */
  settle(interrupts = true): void {
    const { state } = this;
    if ((state.get32(STATE.longWay) & LONG_WAY.dropCode) !== 0) {
      state.set32(STATE.longWay, state.get32(STATE.longWay) & ~LONG_WAY.dropCode);
      this.pages.dropAll();
    }
    const pending = Atomics.load(state.words, (state.at + STATE.interrupts) >>> 2);
    if (interrupts && (pending & ~state.get32(STATE.daif)) !== 0) this.exceptions.takeInterrupt(pending);
    if ((state.get32(STATE.pstate) & PSTATE.il) !== 0) this.exceptions.take(EC.illegalState, 0);
  }

  /** Acts on the reason why generated code returned. EXIT.next: go on. */
  #handle(reason: number): number {
    const { state, exceptions } = this;
    switch (reason) {
      case EXIT.page:
        return this.#enterPage();
      case EXIT.hot:
      case EXIT.region:
        return this.#offerToJit(reason);
      case EXIT.pause:
        this.#peripherals.poll();
        return EXIT.pause;
      case EXIT.context:
      case EXIT.resume:
        return EXIT.next;
      case EXIT.sev:
        this.#peripherals.sendEvent();
        return EXIT.next;
      case EXIT.wfi:
      case EXIT.wfe:
        return this.#wait(reason);
      default:
    }
    if (this.#bare) return reason;
    const fromEl0 = state.get32(STATE.el) === 0;
    switch (reason) {
      case EXIT.exception:
        if (this.debug.hostHit !== undefined) return EXIT.debugger;
        if (this.#physical.isHeld === true) return EXIT.held;
        exceptions.takeRecorded();
        return EXIT.next;
      case EXIT.svc:
        this.#advance();
        exceptions.take(EC.svc, state.get32(STATE.exitInfo));
        return EXIT.next;
      case EXIT.eret:
        if (fromEl0) exceptions.take(EC.unknown, 0);
        else exceptions.return();
        return EXIT.next;
      case EXIT.brk:
        exceptions.take(EC.brk, state.get32(STATE.exitInfo));
        return EXIT.next;
      case EXIT.fpTrap:
        exceptions.take(EC.trappedFp, ISS_ALWAYS);
        return EXIT.next;
      case EXIT.hvc:
      case EXIT.smc:
        if (fromEl0) {
          exceptions.take(EC.unknown, 0);
          return EXIT.next;
        }
        this.#advance();
        return reason;
      default: // EXIT.undefined, EXIT.hlt
        exceptions.take(EC.unknown, 0);
        return EXIT.next;
    }
  }

  /** The HVC or SMC that `run` just returned for is not available: it is an undefined instruction after all. */
  refuseCall(): void {
    this.#takeBack(EC.unknown, 0);
  }
  /** The instruction that pc is behind faults after all. */
  #takeBack(ec: number, iss: number): void {
    this.#noteStepped(false);
    this.set64(STATE.pc, this.get64(STATE.pc) - 4n);
    this.exceptions.take(ec, iss);
  }

  #advance(): void {
    const lo = this.get32(STATE.pc);
    this.set32(STATE.pc, lo + 4);
    if (lo === -4) this.set32(STATE.pc + 4, this.get32(STATE.pc + 4) + 1);
  }

  /** WFI, WFE; pc is behind the instruction. */
  #wait(reason: number): number {
    const { state } = this;
    const isWfe = reason === EXIT.wfe;
    if (!this.#bare && state.get32(STATE.el) === 0) {
      if ((state.get32(SLOT.sctlr) & (isWfe ? 1 << 18 : 1 << 16)) === 0) {
        this.#takeBack(EC.trappedWait, ISS_ALWAYS | (isWfe ? 1 : 0));
        return EXIT.next;
      }
    }
    const pending = Atomics.load(state.words, (state.at + STATE.interrupts) >>> 2);
    return (pending & (PSTATE.a | PSTATE.i | PSTATE.f)) !== 0 ? EXIT.next : reason;
  }

  /** One instruction under software step (Arm ARM D2.11). */
  #stepDebugged(): number {
    const { state, exceptions } = this;
    const pstate = state.get32(STATE.pstate);
    const ec = EC.softwareStep + state.get32(STATE.el);
    if ((pstate & PSTATE.ss) === 0) {
      // Active and pending on arrival: nothing was stepped, so the syndrome says nothing of it (ISV = 0).
      exceptions.take(ec, FAULT.debug);
      return EXIT.next;
    }
    const word = this.currentWord();
    const reason = this.#stepSettled();
    const el = state.get32(STATE.el);
    if (reason !== EXIT.next || el + EC.softwareStep !== ec) {
      if (COMPLETED.has(reason) && (el !== 0 || (reason !== EXIT.hvc && reason !== EXIT.smc))) this.#noteStepped(true);
      return reason === EXIT.next || this.#handled ? reason : this.#handle(reason);
    }
    this.#noteStepped(true);
    if (!this.debug.stepping) return EXIT.next;
    const exclusive = word !== undefined && isLoadExclusive(word);
    exceptions.take(ec, (1 << 24) | (exclusive ? 1 << 6 : 0) | FAULT.debug);
    return EXIT.next;
  }

  /** PSTATE.SS: clear once an instruction completed under software step (Arm ARM, SSAdvance); set if it did not after all. */
  #noteStepped(completed: boolean): void {
    const { state, debug } = this;
    if (!debug.stepping) return;
    const pstate = state.get32(STATE.pstate);
    state.set32(STATE.pstate, completed ? pstate & ~PSTATE.ss : pstate | PSTATE.ss);
  }

  /** One instruction; reasons that do not concern stepping are handled. */
  #stepSettled(): number {
    this.#handled = false;
    for (;;) {
      const reason = this.#step(this.#at);
      if (reason !== EXIT.page && reason !== EXIT.context) return reason;
      const before = this.exceptions.taken;
      this.#steppedInPage = false;
      const left = this.#handle(reason);
      if (reason === EXIT.context || left !== EXIT.next) {
        this.#handled = true;
        return left;
      }
      // An exception while the page was entered: the instruction was not executed.
      if (this.exceptions.taken !== before) return EXIT.resume;
      if (this.#steppedInPage) return EXIT.next;
    }
  }

  /** The instruction word at STATE.pc, or undefined if it cannot be fetched. */
  currentWord(): number | undefined {
    const host = this.#codeHost();
    return host < 0 ? undefined : this.view.getUint32(host, true);
  }

  /** The first `count` words at STATE.pc, fewer where its page ends; for statistics. */
  wordsHere(count: number): number[] {
    const host = this.#codeHost();
    if (host < 0) return [];
    const within = Math.min(count, (4096 - (host & 0xfff)) >> 2);
    return Array.from({ length: within }, (_, n) => this.view.getUint32(host + n * 4, true));
  }

  /** Whether the code at hi:lo is compiled, as far as generated code knows its page; for statistics. */
  isCompiled(lo: number, hi: number): boolean {
    const page = this.pages.bound(lo, hi, this.get32(STATE.context));
    return page !== undefined && this.jit?.covers(page, lo & 0xfff) === true;
  }

  /** STATE.pc was reached often, or a region starts there that the jump cache does not know. */
  #offerToJit(reason: number): number {
    const { jit } = this;
    const lo = this.get32(STATE.pc);
    const page = this.pages.bound(lo, this.get32(STATE.pc + 4), this.get32(STATE.context));
    if (jit === undefined || page === undefined) return reason === EXIT.region ? this.step() : EXIT.next;
    if (reason === EXIT.hot) {
      jit.report(page, lo & 0xfff);
      return EXIT.next;
    }
    return jit.enter(page, lo & 0xfff) ? EXIT.next : this.step();
  }

  /** Host address of the instruction at STATE.pc, or -1. */
  #codeHost(): number {
    const [lo, hi] = [this.get32(STATE.pc), this.get32(STATE.pc + 4)];
    const user = this.get32(STATE.el) === 0;
    return this.#translator.translate(lo, hi, WANT.execute, user, this.#translation) ? this.#translation.host : -1;
  }

  /** Makes the page of STATE.pc known to generated code, or takes the fault of fetching from it. */
  #enterPage(): number {
    const { exceptions, translation } = { exceptions: this.exceptions, translation: this.#translation };
    const [lo, hi] = [this.get32(STATE.pc), this.get32(STATE.pc + 4)];
    const el = this.get32(STATE.el);
    if ((lo & 3) !== 0) return this.#fetchFault(EC.pcAlignment, 0, lo, hi);
    if (!this.#bare) {
      const half = this.space.regime.halves[(hi >>> 23) & 1]!;
      // A branch to a tagged address drops the tag (Arm ARM, AArch64.BranchAddr).
      const plain = (hi << 8) >> 8;
      if (half.topByteIgnored && plain !== hi) {
        this.set32(STATE.pc + 4, plain);
        return EXIT.next;
      }
    }
    if (!this.#translator.translate(lo, hi, WANT.execute, el === 0, translation)) {
      return this.#fetchFault(EC.instructionAbort + el, translation.syndrome, lo, hi);
    }
    if (translation.host < 0) {
      if (this.#physical.holds?.(translation.ipa, WANT.execute) === true) return EXIT.held;
      return this.#fetchFault(EC.instructionAbort + el, FAULT.external, lo, hi);
    }
    if (this.debug.active && this.debug.stopsAt(lo, hi)) return EXIT.debugger;
    if (this.debug.active && this.debug.breaksAt(lo, hi)) {
      exceptions.take(EC.breakpoint + el, FAULT.debug);
      return EXIT.next;
    }
    const frame = (translation.host & ~0xfff) >>> 0;
    if (this.pages.find(frame) === undefined) this.space.tlb.retractWrites(frame);
    const page = this.pages.pageAt(frame);
    if (el !== 0 && translation.ofAsid) this.space.keepKernelsApart();
    this.pages.bind(lo, hi, this.get32(STATE.context), page);
    this.space.noteExecuted(lo, hi, translation.blockLog2);
    if (!this.debug.active || !this.debug.hasBreakpoint(lo, hi)) return EXIT.next;
    // One instruction at a time where a breakpoint is near: the page is unbound again, so the next one comes here too.
    const reason = this.#step(this.#at);
    this.#steppedInPage = reason !== EXIT.page;
    this.pages.forgetVirtualPage(lo, hi);
    return reason === EXIT.next || reason === EXIT.page ? EXIT.next : this.#handle(reason);
  }

  #fetchFault(ec: number, iss: number, lo: number, hi: number): number {
    this.exceptions.recordAt(ec, iss, lo, hi);
    if (this.#bare) return EXIT.exception;
    this.exceptions.takeRecorded();
    return EXIT.next;
  }

  /** HVC inside generated code: calls that only answer, at EL1 and when nobody watches. */
  #hypercall(): number {
    const { call } = this.#peripherals;
    return call !== undefined && !this.#bare && this.get32(STATE.el) !== 0 && call() ? 0 : 1;
  }

  /** An access uses a misaligned stack pointer: a fault if SCTLR_EL1.SA (SA0 at EL0) is set. */
  #checkSpAlignment(): number {
    const checked = this.get32(STATE.el) === 0 ? 1 << 4 : 1 << 3;
    return (this.get32(SLOT.sctlr) & checked) === 0 ? 0 : this.exceptions.record(EC.spAlignment, 0);
  }

  #decode(record: number): void {
    const page = this.pages.pageOf(record);
    const offset = (record - page.records) >> 2;
    const word = this.view.getUint32(page.host + offset, true);
    if (this.#memo.recall(word, record)) this.work.charge(WORK.recall);
    else {
      this.work.charge(WORK.decode);
      this.#writer.write(record, word, decoder.decode(word));
      this.#memo.remember(word, record);
    }
    this.pages.noteInUse(page);
    this.jit?.onDecoded(page, offset, word);
  }

  /** The processor whose state block is at `state`, if that is known, knows of instruction words what is known here, and nothing else. It must be off. */
  lendKnownWords(state: number | undefined): void {
    if (state !== undefined) this.#memo.lendTo(state);
  }

  /** Copies the records of instruction words that are known to `table`, MEMO_BYTES long, if there is one. */
  copyKnownWords(table: ArrayBufferLike | undefined): void {
    if (table !== undefined) this.#memo.copyTo(table);
  }

  /** Asserts or releases interrupt lines of this vCPU from its own thread: bits of PSTATE.a, i, f. */
  setInterrupts(mask: number, asserted: boolean): void {
    const { words, at } = this.state;
    const line = (at + STATE.interrupts) >>> 2;
    if (asserted) Atomics.or(words, line, mask);
    else Atomics.and(words, line, ~mask);
  }

  /** Carries out what another vCPU asked for with RemoteCpus.request. Only between runs. */
  maintain(kind: RemoteRequest, lo: number, hi: number): void {
    if (kind === 'code' && hi < 0) this.#dropCodeLater();
    else if (kind === 'code') this.codeWritten(lo >>> 0, (hi + 1) * 4096);
    else this.space.invalidate(INVALIDATED[kind], lo, hi);
  }

  /** Memory that may hold code was written from outside: `bytes` bytes at host address `host`. */
  codeWritten(host: number, bytes: number): void {
    for (let frame = host - (host % 4096); frame < host + bytes; frame += 4096) this.pages.invalidate(frame);
  }

  /** The VM's stage-2 map lost or changed a mapping: no translation made before may be used any more. */
  invalidateStage2(): void {
    this.space.flush();
  }
}

/** See READS_SECTION. */
function readsOf(interpreter: WebAssembly.Module): Uint8Array {
  return new Uint8Array(WebAssembly.Module.customSections(interpreter, READS_SECTION)[0] ?? new ArrayBuffer(0));
}
