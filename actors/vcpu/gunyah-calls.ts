/**
 * HVC and SMC of a Gunyah VM's vCPU: decodes both call forms, and is the calling processor that the ABI's handlers see
 * (actors/abi/gunyah/caller.ts): registers in the state block, buffers through the guest's own translation, power and
 * scheduling by the VM's shared block. Slow calls block the thread in an ask to the core, as outside the guest, so that the
 * core may meanwhile wait for this very thread's acknowledgement.
 */
import type { Core } from '../../cpu/core.js';
import { newTranslation, WANT } from '../../cpu/mmu/translator.js';
import type { CallerProcessor, CallRegisters, CopyFault, GunyahCaller } from '../abi/gunyah/caller.js';
import { callNumber, type Hypercall } from '../abi/gunyah/calls.js';
import { decodeCall, isFirmwareCall } from '../abi/gunyah/decode.js';
import { hypercall, IDENTIFY, type SlowAnswer } from '../abi/gunyah/dispatch.js';
import { GUNYAH_ERROR } from '../abi/gunyah/errors.js';
import { API_INFO, type Profile } from '../abi/gunyah/identity.js';
import { archCall, serviceCall, watchdogCall } from '../abi/gunyah/services.js';
import { CapabilityReader, LOOKUP } from '../shared-state/capabilities/capability-space.js';
import { BOUND, ObjectTable, SOURCE } from '../shared-state/objects/object-table.js';
import { lockOwner, Ports } from '../shared-state/objects/ports.js';
import type { Stage2Reader } from '../shared-state/stage2/stage2-map.js';
import { ProxiedRun, RUN_STATE, type RunExit } from '../shared-state/vm/proxied-run.js';
import { POWER, type Ring, VmBlock } from '../shared-state/vm/vm-block.js';
import { Watchdog } from '../shared-state/vm/watchdog.js';
import { ProxyRunner } from './proxy-runner.js';
import type { GunyahPlaces } from './vcpu.protocol.js';

/** What of its vCPU the calls need. */
export interface GunyahVcpu {
  readonly core: Core;
  readonly block: VmBlock;
  readonly stage2: Stage2Reader;
  readonly index: number;
  readonly partition: number;
  readonly ring: Ring;
  readonly random: () => number;
  readonly nowMs: () => number;
  /** The vCPU powers off when the call is over. */
  powerOff(): void;
  /** Waits as WFI does when the call is over, in power state `state` (CPU_SUSPEND). */
  suspend(state: bigint): void;
  /** Lets a vCPU that waits for the host run; false when none does. */
  yield(): boolean;
  /** Carries out what others asked meanwhile; called before the guest goes on after having been outside. */
  drain(): void;
  /** Sends a slow call and blocks until the answer is there; undefined when the core does not answer. */
  ask(number: number, args: Uint8Array): { readonly error: number; readonly results: Uint8Array } | undefined;
}

/** How a call went on: it left a value in X0 itself, or PSCI's and SMCCC's own tables are to answer it. */
export type Handled = 'done' | 'arch';

const PAGE = 4096;
const AT_ONCE: ReadonlySet<number> = new Set(
  ['doorbell_send', 'doorbell_receive', 'msgqueue_send', 'msgqueue_receive'].map(callNumber),
);
const ARGUMENTS = 8;
/** P17: emulate, retry, fault. */
const RESUME_ACTION_MAX = 2;
/** How long scheduler_yield gives the processor away when no vCPU waits for it, in milliseconds. */
const YIELD_MS = 0.05;

/** See the head of this file. */
export class GunyahCalls implements GunyahCaller, CallRegisters {
  readonly profile: Profile;
  readonly capabilities: CapabilityReader;
  readonly ports: Ports;
  readonly traceOpen = true;
  readonly entropyReads: number[] = [];
  readonly processor: CallerProcessor;
  readonly watchdog: Watchdog;
  readonly #vcpu: GunyahVcpu;
  readonly #places: GunyahPlaces;
  readonly #words: Int32Array;
  readonly #bytes: Uint8Array;
  readonly #objects: ObjectTable;
  readonly #translation = newTranslation();
  readonly #runner = new ProxyRunner();
  readonly #nap = new Int32Array(new SharedArrayBuffer(4));
  /** Index of the word where argument 0 of the current call lies. */
  #argumentsAt = 0;

  constructor(places: GunyahPlaces, memory: ArrayBufferLike, vcpu: GunyahVcpu) {
    this.profile = places.profile;
    this.#places = places;
    this.#vcpu = vcpu;
    const { words, bytes } = vcpu.core.state;
    this.#words = words;
    this.#bytes = bytes;
    this.#objects = new ObjectTable(memory, places.table);
    this.capabilities = new CapabilityReader(memory, places.space, this.#objects);
    this.ports = new Ports(memory, this.#objects, lockOwner(vcpu.partition, vcpu.index), vcpu.ring);
    this.processor = this.#processor(memory);
    this.watchdog = new Watchdog(memory, vcpu.block, vcpu.nowMs);
  }

  /** What of the watchdog has come due: interrupts are raised; true when the VM ends by it, unless the bite is somebody's. */
  watchdogEvent(): boolean {
    const { watchdog } = this;
    const { object } = watchdog;
    const event = watchdog.take();
    if (event === undefined || object === 0) return false;
    this.ports.assert(object, event === 'bark' ? SOURCE.first : SOURCE.second, true);
    return event === 'bite' && this.#objects.boundTo(object, SOURCE.second) !== BOUND.interrupt;
  }

  /** Whether the vCPU was killed (vcpu_kill). */
  get isKilled(): boolean {
    return this.#objects.state(this.#places.thread) !== 'active';
  }

  /** The active object behind capability `id`; undefined when there is none. */
  objectOf(id: bigint): number | undefined {
    const [lo, hi] = [Number(BigInt.asIntN(32, id)), Number(BigInt.asIntN(32, id >> 32n))];
    return this.capabilities.lookup(lo, hi, 0, 0, true) === LOOKUP.ok ? this.capabilities.object : undefined;
  }

  /** Tells whoever the vCPU's halt interrupt is bound to. */
  announceHalt(): void {
    this.ports.assert(this.#places.thread, SOURCE.first, true);
  }

  /** Tells the vCPU's owner that it wants to be run. */
  announceWakeup(): void {
    this.ports.assert(this.#places.thread, SOURCE.second, true);
  }

  /** Whether the vCPU is inside vcpu_run: then it executes nothing itself. */
  get isRunning(): boolean {
    return this.#runner.isWaiting;
  }

  /** Ends a vcpu_run whose vCPU has parked; false while it runs. `interrupted`: it is asked to park. */
  finishRun(interrupted: boolean): boolean {
    const exit = this.#runner.finish();
    if (exit === undefined) {
      if (interrupted) this.#runner.recall();
      return false;
    }
    this.setResult(0, 0, 0);
    this.#setExit(exit, this);
    return true;
  }

  #setExit({ state, data }: RunExit, registers: CallRegisters): void {
    registers.setResult(1, state, 0);
    data.forEach((value, index) => {
      registers.setResult(index + 2, Number(BigInt.asIntN(32, value)), Number(BigInt.asIntN(32, value >> 32n)));
    });
  }

  /** Answers the call that just trapped with `immediate`. */
  handle(instruction: 'hvc' | 'smc', immediate: number): Handled {
    const base = this.#vcpu.core.state.at >>> 2;
    const asked = decodeCall(instruction, immediate, (this.#words[base] ?? 0) >>> 0);
    switch (asked.is) {
      case 'hypercall': {
        this.#argumentsAt = base + asked.shift * 2;
        const error = hypercall(asked.n, this, this, this.#askCore);
        if (asked.n === IDENTIFY) this.setResult(0, API_INFO.lo, API_INFO.hi);
        else this.setResult(0, error, error >> 31);
        return 'done';
      }
      case 'service':
        serviceCall(asked.id, this.profile).forEach(([lo, hi], index) => {
          this.setResult(index, lo, hi);
        });
        return 'done';
      case 'arch': {
        const answer = archCall(asked.id, this.#words[base + 2] ?? 0);
        if (answer === undefined) return 'arch';
        if (answer === 'suspend') this.#vcpu.suspend(BigInt((this.#words[base + 2] ?? 0) >>> 0));
        const value = answer === 'suspend' ? 0 : answer;
        this.setResult(0, value, value >> 31);
        return 'done';
      }
      case 'platform': {
        const [first, second] = [this.#words[base + 2] ?? 0, this.#words[base + 4] ?? 0];
        const timer = this.watchdog.object === 0 ? undefined : this.watchdog;
        const { error, elapsedMs } = watchdogCall(asked.id, first >>> 0, second >>> 0, timer);
        this.setResult(0, error, error >> 31);
        if (elapsedMs !== undefined) this.setResult(2, elapsedMs, 0);
        return 'done';
      }
      default:
        // Everything that is nobody's.
        this.setResult(0, -1, -1);
        return 'done';
    }
  }

  /**
   * As {@link handle} for an HVC inside generated code, of which only calls that change nothing about the calling vCPU are
   * answered: those on queues and doorbells, and constants. `later`: nothing was done.
   */
  handleAtOnce(immediate: number): Handled | 'later' {
    const base = this.#vcpu.core.state.at >>> 2;
    const id = (this.#words[base] ?? 0) >>> 0;
    if (immediate === 0 && isFirmwareCall(id)) return archCall(id, 0) === undefined ? 'arch' : 'later';
    const asked = decodeCall('hvc', immediate, id);
    if (asked.is === 'hypercall') {
      if (!AT_ONCE.has(asked.n)) return 'later';
      this.#argumentsAt = base + asked.shift * 2;
      const error = hypercall(asked.n, this, this, this.#askCore);
      this.setResult(0, error, error >> 31);
      return 'done';
    }
    return 'later';
  }

  // ---- registers ----

  lo(index: number): number {
    return this.#words[this.#argumentsAt + index * 2] ?? 0;
  }
  hi(index: number): number {
    return this.#words[this.#argumentsAt + index * 2 + 1] ?? 0;
  }
  setResult(index: number, lo: number, hi: number): void {
    const at = (this.#vcpu.core.state.at >>> 2) + index * 2;
    this.#words[at] = lo;
    this.#words[at + 1] = hi;
  }

  // ---- guest memory ----

  copyIn(lo: number, hi: number, bytes: number, into: Uint8Array, at: number): CopyFault | undefined {
    for (let done = 0; done < bytes; ) {
      const from = this.#host(lo, hi, done, WANT.read);
      if (typeof from !== 'number') return from;
      const here = Math.min(bytes - done, PAGE - (from & (PAGE - 1)));
      into.set(this.#bytes.subarray(from, from + here), at + done);
      done += here;
    }
    return undefined;
  }

  copyOut(lo: number, hi: number, bytes: number, from: Uint8Array, at: number): CopyFault | undefined {
    for (let done = 0; done < bytes; ) {
      const to = this.#host(lo, hi, done, WANT.write);
      if (typeof to !== 'number') return to;
      done += PAGE - (to & (PAGE - 1));
    }
    const { pages } = this.#vcpu.core;
    for (let done = 0; done < bytes; ) {
      const to = this.#host(lo, hi, done, WANT.write);
      if (typeof to !== 'number') return to;
      const here = Math.min(bytes - done, PAGE - (to & (PAGE - 1)));
      pages.written(to, here);
      this.#bytes.set(from.subarray(at + done, at + done + here), to);
      done += here;
    }
    return undefined;
  }

  /** Host address of byte `offset` behind guest virtual address hi:lo, with EL1's rights, then stage 2's. */
  #host(lo: number, hi: number, offset: number, want: 0 | 1): number | CopyFault {
    const low = (lo >>> 0) + offset;
    const high = low >= 2 ** 32 ? (hi >>> 0) + 1 : hi >>> 0;
    if (high >= 2 ** 32) return 'wraps';
    const { core, stage2 } = this.#vcpu;
    const result = this.#translation;
    if (!core.space.walker.translate(low | 0, high | 0, want, false, result)) return 'stage1';
    if (result.host >= 0) return result.host;
    return stage2.entry(Math.floor(result.ipa / PAGE)) === 0 ? 'stage2' : 'stage2Permission';
  }

  // ---- the rest of GunyahCaller ----

  updateTraceFlags(set: bigint, clear: bigint): bigint {
    return this.#objects.updateTraceFlags(set, clear);
  }
  random(): number {
    return this.#vcpu.random();
  }
  nowMs(): number {
    return this.#vcpu.nowMs();
  }

  readonly #askCore = (call: Hypercall): SlowAnswer => {
    const args = new Uint8Array(ARGUMENTS * 8);
    const from = this.#argumentsAt * 4;
    args.set(this.#bytes.subarray(from, from + ARGUMENTS * 8));
    const { block, index } = this.#vcpu;
    block.setOutside(index, true);
    const answer = this.#vcpu.ask(call.n, args);
    block.setOutside(index, false);
    this.#vcpu.drain();
    if (answer === undefined) return { error: GUNYAH_ERROR.failure, results: [] };
    const { error, results } = answer;
    const view = new DataView(results.buffer, results.byteOffset, results.byteLength);
    const words = Array.from({ length: results.byteLength >> 3 }, (_, n) => view.getBigUint64(n * 8, true));
    return { error, results: words };
  };

  #processor(memory: ArrayBufferLike): CallerProcessor {
    const objects = this.#objects;
    const { block, index, ring } = this.#vcpu;
    const blocks = new Map<number, VmBlock>();
    const blockOf = (object: number): VmBlock | undefined => {
      const at = objects.data(object);
      if (at === 0) return undefined;
      const known = blocks.get(at) ?? new VmBlock(memory, at);
      blocks.set(at, known);
      return known;
    };
    return {
      powerOn: (object, entry, context, keep) => {
        const target = blockOf(object);
        const cpu = objects.aux(object);
        if (target === undefined || !target.powerOn(cpu, entry, context, keep)) return false;
        if (target.poke(cpu)) ring(target.actorOf(cpu));
        return true;
      },
      isSelf: (object) => object === this.#places.thread,
      isLast: () => {
        for (let cpu = 0; cpu < block.cpus; cpu++) if (cpu !== index && block.power(cpu) !== POWER.off) return false;
        return true;
      },
      powerOff: () => this.#vcpu.powerOff(),
      yield: () => {
        if (!this.#vcpu.yield()) Atomics.wait(this.#nap, 0, 0, YIELD_MS);
      },
      groupState: (object) => {
        const target = blockOf(object);
        if (target === undefined) return 0;
        for (let cpu = 0; cpu < target.cpus; cpu++) if (target.power(cpu) === POWER.on) return 1;
        return 0;
      },
      run: (object, registers) => {
        const target = blockOf(object);
        if (target === undefined) return GUNYAH_ERROR.objectState;
        const cpu = objects.aux(object);
        const run = new ProxiedRun(memory, target, cpu);
        if (!run.isProxied) return GUNYAH_ERROR.busy;
        const action = this.profile === 'P17' ? registers.lo(2) >>> 0 : 0;
        if (action > RESUME_ACTION_MAX || (action !== 0 && registers.hi(2) !== 0)) return GUNYAH_ERROR.argumentInvalid;
        const value = (BigInt(registers.hi(1) >>> 0) << 32n) | BigInt(registers.lo(1) >>> 0);
        const poke = (): void => {
          if (target.poke(cpu)) ring(target.actorOf(cpu));
        };
        // The results are set when the run ends, see finishRun.
        return this.#runner.begin(run, block.actorOf(index), poke, value, action) ? GUNYAH_ERROR.ok : GUNYAH_ERROR.busy;
      },
      runCheck: (object, registers) => {
        const target = blockOf(object);
        if (target === undefined) return GUNYAH_ERROR.objectState;
        const run = new ProxiedRun(memory, target, objects.aux(object));
        const exit = run.isProxied && !run.hasAttention ? run.peek() : undefined;
        const isParked = exit?.state === RUN_STATE.expectsWakeup || exit?.state === RUN_STATE.poweredOff;
        if (exit === undefined || !isParked) return GUNYAH_ERROR.busy;
        this.#setExit(exit, registers);
        return GUNYAH_ERROR.ok;
      },
    };
  }
}
