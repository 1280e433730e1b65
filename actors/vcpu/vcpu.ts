/**
 * The shell around one core: what it does between two runs of guest code. `slice` runs for about a millisecond, or until
 * the guest waits, powers off or stops, and says how long the thread may sleep.
 *
 * Isolation: before the first guest instruction after having been outside (asleep, off, waiting) the vCPU drains the
 * requests others made, so they need not wait for it (see vm-block.ts).
 */

import { assert } from '../../bus/assert.js';
import { Core, type Interpreter } from '../../cpu/core.js';
import { PSTATE } from '../../cpu/cpu-state.js';
import { CodeJournal, type JournalPage } from '../../cpu/jit/code-journal.js';
import type { SavedVolume } from '../../cpu/jit/saved-code.js';
import { EXIT, STATE, VCPU_AREA_BYTES } from '../../cpu/state.js';
import { archImplements } from '../abi/gunyah/services.js';
import type { PsciServices } from '../abi/psci/psci.js';
import type { SliceResult } from '../runtime/actor.js';
import { ObjectPort } from '../runtime/object-channel.js';
import { Gic } from '../shared-state/gic/gic.js';
import { GicCpuInterface } from '../shared-state/gic/gic-cpu-interface.js';
import type { FrontEnd, FrontEndServices } from '../shared-state/mmio/front-end.js';
import { Stage2Reader } from '../shared-state/stage2/stage2-map.js';
import type { Act } from '../shared-state/vm/maintenance-requests.js';
import { POWER, type Ring, STOP, VmBlock, waker } from '../shared-state/vm/vm-block.js';
import { CallRecorder } from './call-recorder.js';
import { VcpuDebugger } from './debugger.js';
import { FrontEnds } from './front-ends.js';
import { GenericTimer } from './generic-timer.js';
import type { GicCode } from './gic-code.js';
import { GuestCallAnswers } from './guest-call-answers.js';
import { implementsCall } from './guest-calls.js';
import { GuestMemory } from './guest-memory.js';
import { GunyahCalls } from './gunyah-calls.js';
import { MachineRegisters } from './machine-registers.js';
import { VcpuMeter } from './meter.js';
import { PowerOn } from './power-on.js';
import { makeProxied, type ProxiedVcpu } from './proxied-vcpu.js';
import { RemoteMaintenance } from './remote-maintenance.js';
import { RunToken } from './run-token.js';
import { RunTurns } from './run-turns.js';
import type { VcpuTracer } from './tracer.js';
import type { VcpuConfig, VcpuStatistics } from './vcpu.protocol.js';
import { readStatistics } from './vcpu-statistics.js';
import type { VcpuThread } from './vcpu-thread.js';
import {
  compilerBehind,
  deviceName,
  guestCounter,
  interruptCode,
  makeTracer,
  placeController,
  powerServices,
  queueCalls,
  servicesOf,
  turnClock,
} from './vcpu-wiring.js';
import { WfiWatch } from './wfi-watch.js';

/** Runs per slice. */
const RUNS = 16;
/** A vCPU that is off, or whose VM has stopped, looks this often whether its thread should end. */
const OFF_MS = 1_000;
/** A guest in WFI without a timer sleeps this long at most. */
const WFI_MS_MAX = 1_000;
/** WFE: the event that ends it may be a store we do not see (the global monitor), so it is short. */
const WFE_MS = 0.05;

/** Instructions between two looks while the guest is stepped for a trace. */
const TRACED_STEPS = 200;

type Mode = 'off' | 'running' | 'wfi' | 'wfe' | 'stopped';

/** See the head of this file. */
export class Vcpu {
  readonly index: number;
  readonly core: Core;
  readonly #block: VmBlock;
  readonly #memory: GuestMemory;
  readonly #interface: GicCpuInterface;
  readonly #timer: GenericTimer;
  readonly #remote: RemoteMaintenance;
  readonly #meter: VcpuMeter;
  /** Absent until a debugger's first message. */
  #debugger: VcpuDebugger | undefined;
  readonly #wake: (cpu: number) => void;
  readonly #calls: GuestCallAnswers;
  readonly #gunyah: GunyahCalls | undefined;
  readonly #recorder: CallRecorder | undefined;
  /** Absent on a VM without Gunyah. */
  readonly #proxied: ProxiedVcpu | undefined;
  /** Absent where vCPUs need none. */
  readonly #token: RunToken | undefined;
  readonly #frontEnds = new FrontEnds();
  /** By reason. */
  readonly #exits = new Float64Array(EXIT_REASONS);
  /** Absent where nobody asked for a trace. */
  readonly #tracer: VcpuTracer | undefined;
  readonly frontEndServices: FrontEndServices;
  /** Absent where accesses are traced. */
  #gicCode: GicCode | undefined;
  #mode: Mode = 'off';
  #journal: CodeJournal | undefined;
  #codeCache: ObjectPort<readonly JournalPage[], readonly SavedVolume[]> | undefined;
  readonly #reset: PowerOn;
  #linesChanged = false;
  readonly #thread: VcpuThread;
  readonly #turns: RunTurns;
  readonly #tookMs = new Float64Array(1);
  readonly #watch: WfiWatch;
  /** The call that was just answered gave the run token away. */
  #hasYielded = false;

  constructor(config: VcpuConfig, interpreter: Interpreter, thread: VcpuThread) {
    const { memory, ticket } = config;
    this.#thread = thread;
    const { buffer } = memory;
    const self = ticket.index;
    this.index = self;
    assert(ticket.areaBytes >= VCPU_AREA_BYTES, 'the processor area holds a state block');
    const block = new VmBlock(buffer, ticket.block);
    this.#block = block;
    const ring: Ring = (actor) => {
      if (this.#watch.rings(actor)) this.#turns.watchesNot();
      thread.ring(actor);
    };
    this.#wake = waker(block, ring);
    const gic = new Gic(buffer, ticket.gic, this.#wake);
    const stage2 = new Stage2Reader(buffer, ticket.stage2);
    this.#memory = new GuestMemory(stage2);
    this.#interface = new GicCpuInterface(gic, self);
    const changed = (): void => this.#updateLines();
    placeController(this.#memory, gic, block, config, changed);
    this.#timer = new GenericTimer(thread.clock, config.epochMs, (intid, level) => {
      gic.setLine(intid, level, self);
      this.#linesChanged = true;
    });
    const registers = new MachineRegisters(this.#interface, this.#timer, changed);
    this.#remote = new RemoteMaintenance(block, self, this.#wake, {
      set32: (field, value) => this.core.set32(field, value),
      drain: () => this.#drain(),
    });
    const layout = { state: ticket.area, arena: ticket.arena, arenaBytes: ticket.arenaBytes };
    if (config.jit && config.codeCache !== undefined) {
      this.#journal = new CodeJournal(buffer, self === 0 ? config.records : undefined);
      this.#codeCache = new ObjectPort(config.codeCache);
    }
    const tracer =
      config.trace &&
      makeTracer(
        config.trace,
        self,
        () => this.#timer.ticks(),
        () => this.core.state,
      );
    this.#tracer = tracer;
    const physical = tracer?.watch(this.#memory, (ipa) => deviceName(config, ipa)) ?? this.#memory;
    this.core = new Core(memory, layout, interpreter, physical, undefined, {
      jit: config.jit,
      observer: tracer,
      ...{ journal: this.#journal, knownWords: config.records },
      codeBudget: config.codeBudget,
      saved: () => this.#codeCache?.take(),
      compiler: config.translator === undefined ? undefined : compilerBehind(config.translator),
      peripherals: {
        readRegister: (key) => registers.read(key),
        counter: guestCounter(thread.clock, this.#timer, (nowMs) => this.#turns.counted(nowMs)),
        writeRegister: (key, value) => {
          const known = registers.write(key, value);
          if (this.#linesChanged) this.#updateLines();
          return known;
        },
        poll: () => this.#poll(),
        turn: () => this.#turns.turn(),
        sendEvent: () => this.#sendEvent(),
        call: () => this.#calls.answerAtOnce(),
      },
      machineCode:
        tracer === undefined ? (helpers) => (this.#gicCode = interruptCode(config, helpers, changed)) : undefined,
      hypercall: tracer === undefined ? queueCalls(config, () => this.#gunyah?.ports, ring) : undefined,
      remote: this.#remote,
      ...{ pairLock: block.pairLock, frames: ticket.stage2 },
      affinity: config.affinity ?? self,
    });
    this.core.set32(STATE.lookAt, block.lookAt(self));
    this.#meter = new VcpuMeter(this.core, thread.processorWaitMs, thread.clock.monotonicMs);
    this.#turns = new RunTurns(this.core, this.#meter, {
      ...turnClock(thread.clock, this.#timer, () => this.#poll()),
      isCalled: () => block.seesLook(self),
    });
    this.#reset = new PowerOn(this.core, this.#timer);
    this.#gunyah = this.#gunyahCalls(config, stage2, thread, ring);
    const recorded = { partition: ticket.partition, index: self, state: () => this.core.state };
    this.#recorder =
      config.callTap && new CallRecorder(config.callTap, { ...recorded, nowMs: () => thread.clock.monotonicMs() });
    this.#calls = new GuestCallAnswers({
      ...{ core: this.core, gunyah: this.#gunyah, tracer, recorder: this.#recorder, exits: this.#exits },
      ...{ psci: this.#psci(stage2, gic, config.areas), entropy: thread.entropy, isOff: () => this.#mode === 'off' },
      powerOff: () => block.powerOff(self),
    });
    const turns = { ring: thread.ring, nowMs: () => thread.clock.monotonicMs(), actor: () => block.actorOf(self) };
    this.#token = config.gunyah && RunToken.of(buffer, config.gunyah.table, config.gunyah.thread, turns);
    const places = { memory: memory.buffer, block, index: self, guest: this.#memory, stage2 };
    this.#watch = new WfiWatch({
      nowMs: () => thread.clock.monotonicMs(),
      isCalled: () => block.seesLook(self),
      isInterrupted: () => this.#isNowInterrupted(),
      mustStop: () => this.#token?.isWanted === true || block.stop !== STOP.none || this.#gunyah?.isKilled === true,
      isAwake: thread.isAwake,
      sleeps: (atOnce) => this.#naps(!atOnce),
    });
    this.#proxied = this.#gunyah && makeProxied(places, thread, this.#gunyah);
    this.frontEndServices = servicesOf(config, thread, block, gic, () => this.#drain());
  }

  /** HVC and SMC of a VM under the Gunyah ABI. */
  #gunyahCalls({ gunyah, memory, ticket }: VcpuConfig, stage2: Stage2Reader, thread: VcpuThread, ring: Ring) {
    if (gunyah === undefined) return undefined;
    const { partition } = ticket;
    return new GunyahCalls(gunyah, memory.buffer, {
      ...{ core: this.core, block: this.#block, stage2, index: this.index, partition },
      ...{ ring, random: thread.random, nowMs: () => thread.clock.monotonicMs() },
      powerOff: () => {
        this.#mode = 'off';
      },
      suspend: (state) => {
        this.#mode = 'wfi';
        if (this.#proxied !== undefined) this.#proxied.suspendState = state;
      },
      yield: () => {
        this.#hasYielded = this.#token?.handOver(true) === true;
        return this.#hasYielded;
      },
      drain: () => this.#drain(),
      ask: (number, args) => thread.askCore(gunyah.core, { partition, index: this.index, abi: 'gunyah', number, args }),
    });
  }

  /** Puts a device's registers into the guest's address space; before the first slice. */
  addFrontEnd(base: number, sizeBytes: number, frontEnd: FrontEnd): void {
    this.#memory.addDevice(base, sizeBytes, frontEnd);
    this.#frontEnds.add(frontEnd);
  }

  #psci(stage2: Stage2Reader, gic: Gic, areas: readonly number[] = []): PsciServices {
    const block = this.#block;
    return {
      self: this.index,
      ...powerServices(block, stage2, gic, this.#wake, (cpu) => this.core.lendKnownWords(areas[cpu])),
      end: (reason) => this.#end(() => block.end(reason)),
      endByReset: (asked) => this.#end(() => block.endByReset(this.index, asked)),
      takesAnyReset: this.#gunyah !== undefined,
      powerOff: () => {
        this.#mode = 'off';
      },
      suspend: () => {
        this.#mode = 'wfi';
        if (this.#proxied !== undefined) this.#proxied.suspendState = BigInt.asUintN(32, this.core.get64(8));
      },
      implements: (id) => (this.#gunyah === undefined ? undefined : archImplements(id)) ?? implementsCall(id),
    };
  }

  /** The VM ends: by its guest, or because nobody pinged its watchdog. */
  #end(end: () => void): void {
    this.#frontEnds.settle();
    end();
    this.#gunyah?.announceHalt();
    for (let cpu = 0; cpu < this.#block.cpus; cpu++) this.#wake(cpu);
  }

  /** Milliseconds, `ms` at most, until this must look at the VM's watchdog; what has come due happens at once. */
  #watchdogDueInMs(ms: number): number {
    const gunyah = this.#gunyah;
    if (gunyah === undefined || this.#debugger?.mode === 'held') return ms;
    const due = gunyah.watchdog.dueInMs;
    if (due > 0) return Math.min(ms, due);
    if (gunyah.watchdogEvent()) this.#end(() => this.#block.end(STOP.watchdog));
    return Math.min(ms, gunyah.watchdog.dueInMs);
  }

  get #nowMs(): number {
    return this.#thread.clock.monotonicMs();
  }

  /** Runs the guest for a while; what the thread does next. */
  slice(): SliceResult {
    this.#meter.sliceStarts(this.#nowMs);
    const result = this.#slice();
    this.#meter.sliceEnds(this.#nowMs, result === 'again');
    return result;
  }

  #slice(): SliceResult {
    const block = this.#block;
    block.setSleeping(this.index, false);
    this.#watchdogDueInMs(0);
    for (let run = 0; run < RUNS; run++) {
      if (this.#gunyah?.isRunning === true && !this.#runEnds(this.#gunyah)) return this.#sleep(WFI_MS_MAX);
      if (this.#proxied?.isOn === true) {
        const parked = this.#parked(this.#proxied);
        if (parked !== undefined) return parked;
      }
      if (block.stop !== STOP.none || this.#gunyah?.isKilled === true) {
        if (this.#mode !== 'stopped') this.#tracer?.power('machine-stopped');
        this.#mode = 'stopped';
        return this.#sleep(OFF_MS);
      }
      if (this.#mode === 'off' && !this.#powerOn()) return this.#sleep(OFF_MS);
      if (this.#mode === 'stopped') return this.#sleep(OFF_MS);
      if (this.#debugger?.mode === 'held') {
        this.#token?.release();
        return this.#standStill();
      }
      if (this.#token?.acquire() === false) {
        const waits = this.#standStill();
        if (block.stop === STOP.none) return waits;
        continue;
      }
      block.setOutside(this.index, false);
      this.#drain();
      this.#poll();
      if (this.#debugger?.mode === 'steps') {
        this.#stepForDebugger(this.#debugger);
        continue;
      }
      if (this.#mode !== 'running' && !this.#wakesUp()) {
        if (this.#mode === 'wfi' && this.#proxied?.isOn === true) {
          this.#proxied.parkWaiting();
          continue;
        }
        const ms = this.#mode === 'wfe' ? WFE_MS : WFI_MS_MAX;
        return this.#sleep(Math.min(ms, this.#timer.dueInMs(), this.#frontEnds.settledDueInMs()));
      }
      if (this.#mode === 'wfi') this.#watch.ends();
      this.#mode = 'running';
      this.#handle(this.#runGuest());
      this.#token?.handOver();
    }
    this.#frontEnds.settle();
    return 'again';
  }

  /** Inside vcpu_run: whether it is over. An interrupt of our own ends it, and so does the end of our VM. */
  #runEnds(gunyah: GunyahCalls): boolean {
    this.#block.setOutside(this.index, false);
    this.#drain();
    this.#poll();
    const isOver = this.#block.stop !== STOP.none || gunyah.isKilled;
    return gunyah.finishRun(isOver || this.#isInterrupted) || isOver;
  }

  /** A vCPU that others run: what to do instead of running the guest, or undefined when it has the turn and can go on. */
  #parked(proxied: ProxiedVcpu): SliceResult | undefined {
    const block = this.#block;
    const isOver = block.stop !== STOP.none || this.#gunyah?.isKilled === true;
    if (proxied.hasTurn) {
      if (isOver) {
        if (block.stop === STOP.reset) proxied.parkReset(block.resetAsked);
        else proxied.parkOff(true);
      } else if (this.#mode === 'off' && !this.#powerOn()) proxied.parkOff(false);
      else if (this.#debugger?.mode === 'held') proxied.parkBlocked();
      else if (proxied.isTurnOver) proxied.parkReady();
      else return undefined;
      return 'again';
    }
    // Not our turn: the owner is told when there is something to do.
    if (isOver || (this.#mode === 'off' && block.power(this.index) === POWER.pending)) proxied.callOwner();
    else if (this.#mode === 'wfi' || this.#mode === 'wfe') {
      this.#drain();
      this.#poll();
      if (this.#isInterrupted) {
        this.#mode = 'running';
        proxied.suspendState = undefined;
        proxied.callOwner();
      }
    }
    this.#token?.release();
    block.setOutside(this.index, true);
    block.setSleeping(this.index, true);
    if (block.mustLook(this.index) || proxied.hasTurn) return 'again';
    const ms = this.#mode === 'wfi' ? Math.min(WFI_MS_MAX, this.#timer.dueInMs()) : OFF_MS;
    return { sleepMs: this.#watchdogDueInMs(ms) };
  }

  /** Whether an interrupt is pending, masked or not. */
  get #isInterrupted(): boolean {
    const pending = Atomics.load(this.core.state.words, (this.core.state.at + STATE.interrupts) >>> 2);
    return (pending & (PSTATE.a | PSTATE.i | PSTATE.f)) !== 0;
  }

  /** What a debugger does with this vCPU. */
  get debugger(): VcpuDebugger {
    const codeChanged = (host: number): void => this.#remote.request('code', host - (host % 4096), 0);
    const { core, index } = this;
    this.#debugger ??= new VcpuDebugger({ index, core, report: this.#thread.report, codeChanged });
    return this.#debugger;
  }

  /** A debugger lets the guest go on, by one instruction or freely. `awayMs`: how long its clock stood still in all. */
  debugGo(step: boolean, awayMs: number, turn: number): void {
    this.#timer.setAway(awayMs);
    this.#gunyah?.watchdog.skip(awayMs);
    const debug = this.debugger;
    debug.go(step, turn);
    if (step && this.#mode === 'off') debug.stopped('step');
  }

  /** A debugger holds the vCPU, or it waits for a run token: it is outside the guest until somebody says otherwise. */
  #standStill(): SliceResult {
    this.#block.setOutside(this.index, true);
    this.#block.setSleeping(this.index, true);
    return { sleepMs: this.#watchdogDueInMs(OFF_MS) };
  }

  /** One instruction, without interrupts, which would otherwise be what a step in a kernel leads to. */
  #stepForDebugger(debug: VcpuDebugger): void {
    this.#mode = 'running';
    const reason = this.core.step(false);
    if (reason === EXIT.debugger) debug.stopped('point');
    else {
      if (reason === EXIT.hvc) this.#calls.answer('hvc');
      else if (reason === EXIT.smc) this.#handle(reason);
      debug.stopped('step');
    }
  }

  /** Runs the guest until its budget is used up or something but a call stops it: calls are answered in between. */
  #runGuest(): number {
    const turns = this.#turns;
    this.#hasYielded = false;
    if (this.#tracer?.steps === true) return this.#stepGuest(this.#tracer);
    turns.begins(this.#mayWatch && this.#watch.isLikelyShort);
    this.core.set32(STATE.callsWatched, this.#recorder?.isOn === true ? 1 : 0);
    let reason: number;
    do {
      reason = turns.run();
      if (reason === EXIT.hvc) {
        this.#exits[reason]!++;
        this.#calls.answer('hvc');
        const isInside = this.#mode === 'running' && this.#gunyah?.isRunning !== true;
        if (this.#hasYielded || !isInside || this.#block.stop !== STOP.none) return EXIT.pause;
      } else if (reason === EXIT.wfi) {
        if (!this.#watches()) break;
        this.#exits[reason]!++;
        turns.refill();
      } else if (reason !== EXIT.pause) break;
      reason = EXIT.pause;
    } while (turns.goesOn() && this.#block.stop === STOP.none);
    turns.ends(this.#tookMs);
    this.#tookMs[0]! -= this.#watch.takeWatchedMs();
    this.#meter.ran(this.#tookMs, turns.used - this.core.work.takeCharged());
    return reason;
  }

  /** The guest waits for an interrupt: true when one came while this watched (wfi-watch.ts) or slept. */
  #watches(): boolean {
    const told = this.#gunyah && this.#gunyah.ports.interruptsCaused + this.core.get32(STATE.caused);
    return (told === undefined || this.#mayWatch) && this.#watch.watches(told);
  }
  get #mayWatch(): boolean {
    return this.#token !== undefined && this.#proxied?.isOn !== true;
  }

  #isNowInterrupted(): boolean {
    this.#drain();
    this.#poll();
    return this.#isInterrupted;
  }

  /** Sleeps in WFI without leaving the run; whether an interrupt ended it. False: whoever runs slices is to look what it was. */
  #naps(polls: boolean): boolean {
    const block = this.#block;
    const self = this.index;
    if (block.stop !== STOP.none || this.#gunyah?.isKilled === true || this.#debugger?.mode === 'held') return false;
    block.setOutside(self, true);
    block.setSleeping(self, true);
    const dueMs = this.#watchdogDueInMs(Math.min(WFI_MS_MAX, this.#timer.dueInMs(), this.#frontEnds.settledDueInMs()));
    let isMine = true;
    if (dueMs > 0 && !block.mustLook(self)) {
      this.#token?.release();
      const leftMs = this.#frontEnds.rests(dueMs, this.#thread.clock.monotonicMs, () => block.mustLook(self));
      this.#meter.sleeps++;
      this.#meter.sliceEnds(this.#nowMs);
      isMine = this.#thread.nap(leftMs, polls);
      this.#meter.sliceStarts(this.#nowMs);
    }
    block.setSleeping(self, false);
    this.#frontEnds.wakes();
    this.#turns.woke();
    if (!isMine || this.#token?.acquire() === false) return false;
    block.setOutside(self, false);
    return this.#isNowInterrupted();
  }

  /** As a run, one instruction at a time, for a trace. */
  #stepGuest(tracer: VcpuTracer): number {
    for (let n = 0; n < TRACED_STEPS; n++) {
      const reason = tracer.step(this.core);
      if (reason === EXIT.hvc) {
        this.#exits[reason]!++;
        this.#calls.answer('hvc');
        if (this.#mode !== 'running' || this.#gunyah?.isRunning === true || this.#block.stop !== STOP.none)
          return EXIT.pause;
      } else if (reason !== EXIT.next) return reason;
    }
    return EXIT.pause;
  }

  /** Whether a waiting vCPU goes on. */
  #wakesUp(): boolean {
    if (this.#isInterrupted) return true;
    if (this.#mode !== 'wfe') return false;
    if (this.#waitedForEvent) {
      this.#waitedForEvent = false;
      return true;
    }
    this.#waitedForEvent = true;
    return this.#block.takeEvent(this.index);
  }
  #waitedForEvent = false;

  #sleep(ms: number): SliceResult {
    const block = this.#block;
    block.setOutside(this.index, true);
    block.setSleeping(this.index, true);
    const missed =
      this.#mode !== 'stopped' && (block.mustLook(this.index) || block.power(this.index) === POWER.pending);
    if (missed || ms <= 0) return 'again';
    this.#token?.release();
    this.#meter.sleeps++;
    this.#turns.woke();
    return { sleepMs: this.#mode === 'stopped' ? ms : this.#watchdogDueInMs(ms) };
  }

  /** The processor, brought to its reset state the first time somebody outside the guest looks at it or starts it. */
  resetOnce(): Core {
    if (this.#reset.resetOnce()) this.#linesChanged = true;
    return this.core;
  }

  /** Starts where the registers say; false when the processor is not off. */
  start(): boolean {
    const block = this.#block;
    if (!block.powerOn(this.index, 0n, 0n)) return false;
    block.takePowerOn(this.index);
    this.resetOnce();
    this.#reset.goesOn();
    this.#tracer?.power('on', { pc: `0x${this.core.get64(STATE.pc).toString(16)}` });
    this.#mode = 'running';
    return true;
  }

  /** Off: starts when somebody asked for it. */
  #powerOn(): boolean {
    const block = this.#block;
    block.takeLook(this.index);
    const start = block.takePowerOn(this.index);
    if (start === undefined) return false;
    this.#reset.startAt(start);
    this.#tracer?.power('on', { pc: `0x${start.entry.toString(16)}` });
    this.#linesChanged = true;
    this.#mode = 'running';
    return true;
  }

  /** As {@link resetOnce}, for somebody who writes registers. */
  prepare(): Core {
    const core = this.resetOnce();
    if (this.#mode === 'off') this.#reset.prepare();
    return core;
  }

  #handle(reason: number): void {
    this.#exits[reason]!++;
    switch (reason) {
      case EXIT.wfi:
        this.#mode = 'wfi';
        if (this.#proxied !== undefined) this.#proxied.suspendState = undefined;
        return;
      case EXIT.wfe:
        this.#mode = 'wfe';
        this.#waitedForEvent = false;
        return;
      case EXIT.smc:
        if (this.#gunyah === undefined) this.core.refuseCall();
        else this.#calls.answer('smc');
        return;
      case EXIT.held:
        this.#proxied?.parkHeld(this.core.currentWord());
        return;
      case EXIT.debugger:
        this.debugger.stopped('point');
        return;
      default:
    }
  }

  /** Timers, then whatever others changed. */
  #poll(): void {
    this.#timer.poll();
    const isCalled = this.#block.seesLook(this.index) && this.#block.takeLook(this.index);
    if (isCalled) this.#turns.called();
    if (isCalled || this.#linesChanged) this.#updateLines();
  }

  #updateLines(): void {
    this.#linesChanged = false;
    if (this.#gicCode?.refresh() === 0) return;
    const { irq, fiq } = this.#interface.signals();
    this.core.setInterrupts(PSTATE.i, irq);
    this.core.setInterrupts(PSTATE.f, fiq);
  }

  #sendEvent(): void {
    const block = this.#block;
    block.sendEvent(this.index);
    for (let cpu = 0; cpu < block.cpus; cpu++) if (cpu !== this.index) this.#wake(cpu);
  }

  #drain(): void {
    this.#block.drain(this.index, this.#act);
  }
  /** Does what another vCPU has asked of this one. Made once: each run drains. */
  readonly #act: Act = (kind, lo, hi) => {
    if (kind === 'stage2') this.core.invalidateStage2();
    else if (kind !== 'quiesce') this.core.maintain(kind, lo, hi);
  };

  /** Sends what was noted for the translation cache. Returns the number of pages. */
  handOverJournal(): number {
    const pages = this.#journal?.take() ?? [];
    this.core.copyKnownWords(this.#journal?.words);
    this.#codeCache?.send(pages);
    return pages.length;
  }

  /** What it has done so far. */
  statistics(): VcpuStatistics {
    const state = this.#mode === 'wfi' || this.#mode === 'wfe' ? 'sleeping' : this.#mode;
    const hostThread = this.#thread.hostThread();
    const counted = { index: this.index, state, exits: this.#exits, hostThread } as const;
    return readStatistics(this.core, counted, this.#meter);
  }
}

const EXIT_REASONS = Math.max(...Object.values(EXIT)) + 1;
