/**
 * GICv3 without security extensions (GICD_CTLR.DS = 1) and without ITS, Arm IHI 0069. The state lives in shared memory
 * (gic-layout.ts), so any thread that holds a `Gic` over it may change a line or send an SGI, and the target vCPU is
 * told through `wake` without a third party. Registers are in gic-mmio.ts and gic-cpu-interface.ts.
 *
 * Whoever changes state takes the lock word; critical sections are short and call nothing outside. There are two exceptions:
 * `pulse` posts an edge for the next holder of the lock, and a virtual source's edge is posted to the one vCPU that takes it, in the line of
 * that vCPU's look word (edge-code.ts). Whoever reads pending state takes both first.
 */
import { assert } from '../../../bus/assert.js';
import { VM_CPU } from '../vm/vm-block.js';
import {
  GIC_CPUS_MAX,
  GIC_INTERRUPTS,
  GIC_INTERRUPTS_MAX,
  GIC_STATE_BYTES,
  GICD_STATE,
  GICR_STATE,
  gicCpuAt,
} from './gic-layout.js';

/** Interrupt numbers of each vCPU's own; shared ones follow, in steps of as many. */
export const GIC_PRIVATE = 32;
/** Interrupt number returned when nothing is to be acknowledged. */
export const SPURIOUS = 1023;
/** Number of priority bits implemented: priorities are multiples of 8. */
export const PRIORITY_SHIFT = 3;
const IDLE_PRIORITY = 0x100;
const LOCK_SPINS = 200;
/** The lock word while it is held, and while somebody sleeps until it is free. */
export const GIC_LOCK = { held: 1, wanted: 2 } as const;

/** GICD_CTLR bits. */
export const GICD_CTLR = { enableGroup0: 1 << 0, enableGroup1: 1 << 1, are: 1 << 4, ds: 1 << 6 } as const;

/** The fields that SPIs (distributor) and private interrupts (redistributor) have alike, one bit per interrupt. */
export type InterruptField = 'group' | 'enabled' | 'pending' | 'active' | 'line' | 'edge';

/** Asks vCPU `index` to look at its interrupts. Must not block. */
export type WakeCpu = (index: number) => void;

/** See the head of this file. */
export class Gic {
  readonly #words: Int32Array;
  readonly #bytes: Uint8Array;
  readonly #wake: WakeCpu;
  /** The memory that the state lies in. */
  readonly #all: Int32Array;

  /** A view of the controller state at byte `at` of `memory` (8-byte aligned). */
  constructor(memory: ArrayBufferLike, at: number, wake: WakeCpu) {
    this.#words = new Int32Array(memory, at, GIC_STATE_BYTES / 4);
    this.#bytes = new Uint8Array(memory, at, GIC_STATE_BYTES);
    this.#all = new Int32Array(memory);
    this.#wake = wake;
  }

  /** Sets the reset state for vCPUs with these affinities (MPIDR Aff3..Aff0 packed as in GICR_TYPER). */
  reset(affinities: readonly number[]): void {
    assert(affinities.length > 0 && affinities.length <= GIC_CPUS_MAX, 'a GIC serves 1 to 8 vCPUs');
    this.#bytes.fill(0);
    this.#set(GICD_STATE.control, GICD_CTLR.are | GICD_CTLR.ds);
    this.#set(GICD_STATE.cpus, affinities.length);
    this.#set(GICD_STATE.interrupts, GIC_INTERRUPTS);
    affinities.forEach((affinity, cpu) => {
      const at = gicCpuAt(cpu);
      this.#set(at + GICR_STATE.affinity, affinity);
      this.#set(at + GICR_STATE.waker, 0b110); // ProcessorSleep and ChildrenAsleep
      this.#set(at + GICR_STATE.edge, 0xffff); // SGIs are edge-triggered
    });
  }

  /** Number of vCPUs served. */
  get cpus(): number {
    return this.#get(GICD_STATE.cpus);
  }

  /** Interrupt numbers implemented. */
  get interrupts(): number {
    return this.#get(GICD_STATE.interrupts);
  }

  /** Implements `interrupts` numbers instead of those of the reset; before anybody has used one. */
  setInterrupts(interrupts: number): void {
    assert(interrupts % 32 === 0 && interrupts > 32 && interrupts <= GIC_INTERRUPTS_MAX, 'a GIC has 64 to 1,024 lines');
    this.#set(GICD_STATE.interrupts, interrupts);
  }

  /** The block of its VM; from here on edges may be posted to its processors. */
  setBlock(at: number): void {
    this.#set(GICD_STATE.block, at);
  }

  #get(at: number): number {
    return this.#words[at >> 2] ?? 0;
  }
  #set(at: number, value: number): void {
    this.#words[at >> 2] = value;
  }

  /** The state that is vCPU `cpu`'s alone, redistributor and CPU interface, as it lies in memory. */
  readPrivate(cpu: number): Uint8Array {
    return this.locked(() => this.#bytes.slice(gicCpuAt(cpu), gicCpuAt(cpu + 1)));
  }
  /** Replaces that state by one that was read; the vCPU's identity stays. False when it has not the length of one. */
  writePrivate(cpu: number, state: Uint8Array): boolean {
    const at = gicCpuAt(cpu);
    if (state.length !== gicCpuAt(cpu + 1) - at) return false;
    this.locked(() => {
      const affinity = this.#get(at + GICR_STATE.affinity);
      this.#bytes.set(state, at);
      this.#set(at + GICR_STATE.affinity, affinity);
      this.#set(at + GICR_STATE.edge, this.#get(at + GICR_STATE.edge) | 0xffff);
      for (let n = 0; n < 32; n++) this.#bytes[at + GICR_STATE.priority + n] &= (0xff << PRIORITY_SHIFT) & 0xff;
    });
    this.#wake(cpu);
    return true;
  }

  /** Runs `body` holding the lock, with everything that was posted taken. */
  locked<T>(body: () => T): T {
    return this.#holding(() => {
      this.#takePosted();
      return body();
    });
  }

  #holding<T>(body: () => T): T {
    this.lock();
    try {
      return body();
    } finally {
      this.unlock();
    }
  }

  /** Takes the lock; every path must reach {@link unlock}. */
  lock(): void {
    const words = this.#words;
    const lock = GICD_STATE.lock >> 2;
    for (let spins = 0; Atomics.compareExchange(words, lock, 0, GIC_LOCK.held) !== 0; spins++) {
      if (spins < LOCK_SPINS) continue;
      // Announce a sleeper so that the holder notifies.
      if (Atomics.exchange(words, lock, GIC_LOCK.wanted) === 0) break;
      Atomics.wait(words, lock, GIC_LOCK.wanted, 1);
    }
    if (Atomics.load(words, GICD_STATE.anyPosted >> 2) !== 0) this.#takePulses();
  }

  /** Moves edges that virtual sources posted to processors to the pending state; later ones are told of by wake-ups of their own. */
  #takePosted(): void {
    const block = this.#get(GICD_STATE.block) >>> 0;
    if (block === 0) return;
    const first = (block + VM_CPU.first + VM_CPU.posted) >>> 2;
    for (let cpu = 0; cpu < this.cpus; cpu++) {
      const at = first + cpu * (VM_CPU.bytes >> 2);
      const interrupt = this.#all[at] === 0 ? 0 : Atomics.exchange(this.#all, at, 0);
      const mask = 1 << (interrupt & 31);
      if (interrupt !== 0) this.setBits('pending', 0, interrupt & ~31, mask, mask);
    }
  }

  /** Moves posted edges to the pending state; the flag first, so that an edge posted meanwhile raises it again. */
  #takePulses(): void {
    const words = this.#words;
    Atomics.store(words, GICD_STATE.anyPosted >> 2, 0);
    for (let word = 1; word < this.interrupts / 32; word++) {
      const at = (GICD_STATE.posted >> 2) + word;
      const posted = Atomics.load(words, at) === 0 ? 0 : Atomics.exchange(words, at, 0);
      if (posted !== 0) this.setBits('pending', 0, word * 32, posted, posted);
    }
  }

  /** Gives the lock back. */
  unlock(): void {
    const lock = GICD_STATE.lock >> 2;
    if (Atomics.exchange(this.#words, lock, 0) === GIC_LOCK.wanted) Atomics.notify(this.#words, lock, 1);
  }

  // ---- state of single interrupts; the caller holds the lock ----

  #fieldAt(field: InterruptField, cpu: number, interrupt: number): number {
    return interrupt < 32 ? gicCpuAt(cpu) + GICR_STATE[field] : GICD_STATE[field] + (interrupt >> 5) * 4;
  }
  /** 32 bits of `field` from interrupt `first` (a multiple of 32) as vCPU `cpu` sees them. */
  bits(field: InterruptField, cpu: number, first: number): number {
    return this.#get(this.#fieldAt(field, cpu, first));
  }
  /** Replaces the bits of `field` under `mask`. */
  setBits(field: InterruptField, cpu: number, first: number, mask: number, value: number): void {
    const at = this.#fieldAt(field, cpu, first);
    const bits = (this.#get(at) & ~mask) | (value & mask);
    this.#set(at, bits);
    if (field !== 'enabled' || first < GIC_PRIVATE || first >= this.interrupts) return;
    const word = 1 << (first >> 5);
    const words = this.#get(GICD_STATE.enabledWords);
    this.#set(GICD_STATE.enabledWords, bits === 0 ? words & ~word : words | word);
  }
  /** Pending as software reads it: latched, or asserted by a level-sensitive line. */
  pendingBits(cpu: number, first: number): number {
    const line = this.bits('line', cpu, first) & ~this.bits('edge', cpu, first);
    return this.bits('pending', cpu, first) | line;
  }
  /** Byte index of an interrupt's priority. */
  #priorityAt(cpu: number, interrupt: number): number {
    return interrupt < 32 ? gicCpuAt(cpu) + GICR_STATE.priority + interrupt : GICD_STATE.priority + interrupt;
  }
  /** Priority of an interrupt, 0 highest. */
  priority(cpu: number, interrupt: number): number {
    return this.#bytes[this.#priorityAt(cpu, interrupt)] ?? 0;
  }
  /** Sets a priority; unimplemented low bits read as zero. */
  setPriority(cpu: number, interrupt: number, value: number): void {
    this.#bytes[this.#priorityAt(cpu, interrupt)] = value & 0xff & ~((1 << PRIORITY_SHIFT) - 1);
  }
  /** GICD_IROUTER's low word of an SPI. */
  route(interrupt: number): number {
    return this.#get(GICD_STATE.route + interrupt * 4);
  }
  /** Sets GICD_IROUTER's low word of an SPI. */
  setRoute(interrupt: number, value: number): void {
    this.#set(GICD_STATE.route + interrupt * 4, value & 0x80ffffff);
  }
  /** A private word of vCPU `cpu`. */
  cpuWord(cpu: number, field: Exclude<keyof typeof GICR_STATE, 'priority'>): number {
    return this.#get(gicCpuAt(cpu) + GICR_STATE[field]);
  }
  /** Sets a private word of vCPU `cpu`. */
  setCpuWord(cpu: number, field: Exclude<keyof typeof GICR_STATE, 'priority'>, value: number): void {
    this.#set(gicCpuAt(cpu) + GICR_STATE[field], value);
  }
  /** GICD_CTLR. */
  get control(): number {
    return this.#get(GICD_STATE.control);
  }
  set control(value: number) {
    const writable = GICD_CTLR.enableGroup0 | GICD_CTLR.enableGroup1;
    this.#set(GICD_STATE.control, (value & writable) | GICD_CTLR.are | GICD_CTLR.ds);
  }

  /** Index of the vCPU with affinity `affinity` (Aff2.Aff1.Aff0), or -1. */
  cpuOf(affinity: number): number {
    for (let cpu = 0; cpu < this.cpus; cpu++) if (this.cpuWord(cpu, 'affinity') === affinity) return cpu;
    return -1;
  }

  // ---- what the outside does ----

  /** Drives the input line of SPI `interrupt` (or PPI, for vCPU `cpu`) to `level`. */
  setLine(interrupt: number, level: boolean, cpu = 0): void {
    assert(interrupt >= 16 && interrupt < this.interrupts, 'lines exist for PPIs and implemented SPIs');
    const first = interrupt & ~31;
    const mask = 1 << (interrupt & 31);
    let changed: boolean;
    // As #holding, without a function made for it: a timer's line changes thousands of times a second.
    this.lock();
    try {
      changed = ((this.bits('line', cpu, first) & mask) !== 0) !== level;
      if (changed) {
        this.setBits('line', cpu, first, mask, level ? mask : 0);
        if (level && (this.bits('edge', cpu, first) & mask) !== 0) this.setBits('pending', cpu, first, mask, mask);
      }
    } finally {
      this.unlock();
    }
    if (changed) this.wakeTargets(interrupt, cpu);
  }

  /**
   * Makes SPI `interrupt` pending as one edge does, whatever its line. Takes no lock: a device's worker may be killed at
   * any point, and must not take the lock along.
   */
  pulse(interrupt: number): void {
    assert(interrupt >= 32 && interrupt < this.interrupts, 'pulses are for implemented SPIs');
    Atomics.or(this.#words, (GICD_STATE.posted >> 2) + (interrupt >> 5), 1 << (interrupt & 31));
    Atomics.store(this.#words, GICD_STATE.anyPosted >> 2, 1);
    this.wakeTargets(interrupt, 0);
  }

  /**
   * A virtual source asserts SPI `interrupt` (gunyah.md section 4): an edge-triggered one becomes pending on every call, a
   * level-sensitive one follows `level`.
   */
  assertSource(interrupt: number, level: boolean): void {
    const first = interrupt & ~31;
    const mask = 1 << (interrupt & 31);
    const isEdge = this.bits('edge', 0, first) & mask;
    const isUp = (this.bits('line', 0, first) & mask) !== 0;
    // An edge that was not taken yet stands for this one too: who takes it does so after what this one tells of was done.
    const isThere = (this.bits('pending', 0, first) & isEdge) !== 0 && isUp === level;
    if (isThere || this.#raise(first, mask, level)) this.wakeTargets(interrupt, 0);
  }

  #raise(first: number, mask: number, level: boolean): boolean {
    return this.#holding(() => {
      if ((this.bits('edge', 0, first) & mask) !== 0) this.setBits('pending', 0, first, mask, mask);
      else if (!level) return false;
      this.setBits('line', 0, first, mask, level ? mask : 0);
      return true;
    });
  }

  /** A virtual source clears SPI `interrupt`: its line falls, and an edge that was not taken yet is forgotten. */
  clearSource(interrupt: number): void {
    const first = interrupt & ~31;
    const mask = 1 << (interrupt & 31);
    this.locked(() => {
      this.setBits('line', 0, first, mask, 0);
      this.setBits('pending', 0, first, mask, 0);
    });
  }

  /**
   * Makes SGI `interrupt` pending at vCPU `target`; with `group` only if it is of that group there (IHI 0069, 12.1: how SGIs are forwarded
   * with one security state).
   */
  sendSgi(interrupt: number, target: number, group?: 0 | 1): void {
    const mask = 1 << interrupt;
    this.#holding(() => {
      if (group === undefined || this.groupOf(target, interrupt) === group)
        this.setBits('pending', target, 0, mask, mask);
    });
    this.#wake(target);
  }

  /** Tells the vCPUs that may take `interrupt`. */
  wakeTargets(interrupt: number, cpu: number): void {
    if (interrupt < 32) {
      this.#wake(cpu);
      return;
    }
    const route = this.route(interrupt);
    if (route < 0) for (let i = 0; i < this.cpus; i++) this.#wake(i);
    else {
      const target = this.cpuOf(route & 0xffffff);
      if (target >= 0) this.#wake(target);
    }
  }

  /** Tells every vCPU: something changed for all. */
  wakeAll(): void {
    for (let cpu = 0; cpu < this.cpus; cpu++) this.#wake(cpu);
  }

  // ---- selection; the caller holds the lock ----

  /**
   * The pending, enabled, inactive interrupt with the highest priority that vCPU `cpu` may take, of the groups that distributor and CPU
   * interface enable, or {@link SPURIOUS}: there is one such at a time (IHI 0069, 4.1), so an interrupt waits behind a more urgent one of
   * the other group. Priority masking and preemption are the caller's.
   */
  highestPending(cpu: number): number {
    const words = this.#words;
    const own = gicCpuAt(cpu) >> 2;
    const control = words[GICD_STATE.control >> 2] ?? 0;
    const isOn = (enable: number, word: number): number =>
      (control & enable) !== 0 && ((words[own + (word >> 2)] ?? 0) & 1) !== 0 ? -1 : 0;
    const group1 = isOn(GICD_CTLR.enableGroup1, GICR_STATE.groupEnable1);
    const group0 = isOn(GICD_CTLR.enableGroup0, GICR_STATE.groupEnable0);
    if ((group0 | group1) === 0) return SPURIOUS;
    let best = SPURIOUS;
    let bestPriority = IDLE_PRIORITY;
    const last = (words[GICD_STATE.interrupts >> 2] ?? 0) >> 5;
    for (let word = 0; word < last; word++) {
      const enabled =
        (word === 0 ? words[own + (GICR_STATE.enabled >> 2)] : words[(GICD_STATE.enabled >> 2) + word]) ?? 0;
      if (enabled === 0) continue;
      const field = (own_: number, shared: number): number =>
        (word === 0 ? words[own + (own_ >> 2)] : words[(shared >> 2) + word]) ?? 0;
      const level = field(GICR_STATE.line, GICD_STATE.line) & ~field(GICR_STATE.edge, GICD_STATE.edge);
      let candidates = (field(GICR_STATE.pending, GICD_STATE.pending) | level) & enabled;
      if (candidates === 0) continue;
      candidates &= ~field(GICR_STATE.active, GICD_STATE.active);
      const group = field(GICR_STATE.group, GICD_STATE.group);
      candidates &= (group & group1) | (~group & group0);
      while (candidates !== 0) {
        const bit = 31 - Math.clz32(candidates & -candidates);
        candidates &= candidates - 1;
        const interrupt = word * 32 + bit;
        const priority = this.priority(cpu, interrupt);
        if (priority < bestPriority && (word === 0 || this.#routesTo(interrupt, cpu))) {
          best = interrupt;
          bestPriority = priority;
        }
      }
    }
    return best;
  }

  /** Group of an interrupt as vCPU `cpu` sees it. */
  groupOf(cpu: number, interrupt: number): 0 | 1 {
    return ((this.bits('group', cpu, interrupt & ~31) >>> (interrupt & 31)) & 1) === 1 ? 1 : 0;
  }

  /** Whether SPI `interrupt` may be taken by vCPU `cpu`. */
  #routesTo(interrupt: number, cpu: number): boolean {
    const route = this.route(interrupt);
    return route < 0 || (route & 0xffffff) === this.cpuWord(cpu, 'affinity');
  }
}
