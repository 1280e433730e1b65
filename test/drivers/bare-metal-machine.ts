/**
 * The smallest machine a bare-metal image needs, in one thread: RAM, PL011 output, GICv3, generic timers and PSCI, around
 * one Core. It serves the CPU's tests and benchmarks; the product's machine (actors, several vCPUs) is another.
 */
import { Gic } from '../../actors/shared-state/gic/gic.js';
import { GicCpuInterface, type IccRegister } from '../../actors/shared-state/gic/gic-cpu-interface.js';
import { GIC_STATE_BYTES } from '../../actors/shared-state/gic/gic-layout.js';
import { GICR_BYTES, GicRegisters } from '../../actors/shared-state/gic/gic-mmio.js';
import { STAGE2_RIGHTS, STAGE2_ROOT_BYTES, Stage2Map } from '../../actors/shared-state/stage2/stage2-map.js';
import { assert } from '../../bus/assert.js';
import { Core, type Interpreter } from '../../cpu/core.js';
import { PSTATE } from '../../cpu/cpu-state.js';
import { buildInterpreter } from '../../cpu/interpreter/build.js';
import { HELPERS } from '../../cpu/interpreter/helpers.js';
import { RECORD_PAGE_BYTES } from '../../cpu/interpreter/record.js';
import { INSTRUCTIONS } from '../../cpu/isa/table.js';
import type { PhysicalMemory } from '../../cpu/mmu/translator.js';
import { EXIT, STATE, VCPU_AREA_BYTES } from '../../cpu/state.js';
import type { SystemPeripherals } from '../../cpu/sysreg/peripherals.js';
import { SYSTEM_REGISTERS } from '../../cpu/sysreg/registers.js';
import { MEMORY_MAP, PPI, spiToIntid, type Window } from '../../devices/machine/memory-map.js';
import { Pl061 } from '../../devices/power-button/pl061.js';
import type { AccessBytes } from '../../devices/registers/register-file.js';
import { Pl031 } from '../../devices/rtc/pl031.js';
import { Pl011 } from '../../devices/uart/pl011.js';

const WASM_PAGE = 65536;
const align = (value: number): number => Math.ceil(value / WASM_PAGE) * WASM_PAGE;
const STATE_AT = WASM_PAGE;
const GIC_AT = align(STATE_AT + VCPU_AREA_BYTES);
const ARENA_AT = align(GIC_AT + GIC_STATE_BYTES);
const ARENA_PAGES = 2048;
const ARENA_BYTES = ARENA_PAGES * RECORD_PAGE_BYTES;
const MAP_AT = align(ARENA_AT + ARENA_BYTES);
/** Enough of a stage-2 map for 1,000 MiB. */
const MAP_BYTES = 1 << 20;
const RAM_AT = MAP_AT + MAP_BYTES;
/** Counter frequency in hertz: QEMU's. */
export const COUNTER_HZ = 62_500_000;
/** Work (STATE.budget) between looks at the clock and the interrupt controller. */
const SLICE = 10_000;
const EAGER_SLICE = 2_000;
const NAME_OF = new Map(SYSTEM_REGISTERS.map((row) => [row.key, row.name]));
const TIMER_ENABLE = 1n;
const TIMER_MASK = 2n;
const TIMER_STATUS = 4n;

let shared: Interpreter | undefined;
/** The interpreter, compiled once for all machines of the process. */
function interpreter(): Interpreter {
  if (shared === undefined) {
    const { bytes, numbers } = buildInterpreter(INSTRUCTIONS, HELPERS);
    shared = { module: new WebAssembly.Module(bytes), numbers };
  }
  return shared;
}

/** A device's registers at an offset of its window. */
interface RegisterModel {
  read(offset: number, bytes: AccessBytes): number;
  write(offset: number, bytes: AccessBytes, value: number): void;
}
interface DeviceWindow extends Window {
  readonly read: (offset: number, bytes: AccessBytes) => bigint;
  readonly write: (offset: number, bytes: AccessBytes, value: bigint) => void;
}

/** Why a machine stopped. */
export type Stop = 'off' | 'reset' | 'deadline' | 'dead';

/** PSCI calls (Arm DEN 0022) by function identifier, 32- and 64-bit forms alike. */
const PSCI = {
  version: 0,
  cpuSuspend: 1,
  cpuOff: 2,
  cpuOn: 3,
  affinityInfo: 4,
  systemOff: 8,
  systemReset: 9,
  features: 10,
};
const NOT_SUPPORTED = -1n;
const INVALID_PARAMETERS = -2n;
const ALREADY_ON = -4n;

/** See the head of this file. */
export class BareMetalMachine implements PhysicalMemory, SystemPeripherals {
  readonly memory: WebAssembly.Memory;
  readonly bytes: Uint8Array;
  readonly core: Core;
  readonly #ramBytes: number;
  readonly #ramAt: number;
  readonly #eager: boolean;
  readonly #stepped: boolean;
  readonly #gic: Gic;
  readonly #gicRegisters: GicRegisters;
  readonly #interface: GicCpuInterface;
  readonly #timers = { physical: { control: 0n, compare: 0n }, virtual: { control: 0n, compare: 0n } };
  /** The console; `receive` types. */
  readonly uart: Pl011;
  readonly #devices: readonly DeviceWindow[];
  readonly #onOutput: (text: string) => void;
  readonly #turn: (() => number) | undefined;
  /** The slice has another turn. */
  #hasTurn = false;
  readonly #start = performance.now();
  #output = '';
  #signalsChanged = true;

  /**
   * @param eager compiles hot code at every pause, which come often; @param mapped false: the core translates all addresses; @param stepped runs by single steps; @param base where it lies in the host's memory, a multiple of 64 KiB;
   *   @param onOutput receives console output a line at a time; @param turn SystemPeripherals.turn: absent, {@link run} gives a slice in two turns,
   *   and the core alone one
   */
  constructor(
    ramMiB: number,
    options: {
      readonly jit?: boolean;
      readonly eager?: boolean;
      readonly stepped?: boolean;
      readonly base?: number;
      readonly mapped?: boolean;
      readonly onOutput?: (text: string) => void;
      readonly turn?: () => number;
    } = {},
  ) {
    this.#ramBytes = ramMiB << 20;
    this.#eager = options.eager ?? false;
    this.#stepped = options.stepped ?? false;
    const base = options.base ?? 0;
    this.#ramAt = base + RAM_AT;
    const pages = (this.#ramAt + this.#ramBytes) / WASM_PAGE;
    this.memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
    this.bytes = new Uint8Array(this.memory.buffer);
    this.#onOutput = options.onOutput ?? (() => undefined);
    this.#turn = options.turn;
    this.#gic = new Gic(this.memory.buffer, base + GIC_AT, () => {
      this.#signalsChanged = true;
    });
    this.#gic.reset([0]);
    this.#gicRegisters = new GicRegisters(this.#gic);
    this.#interface = new GicCpuInterface(this.#gic, 0);
    this.uart = new Pl011({
      transmit: (byte) => this.#put(String.fromCharCode(byte)),
      setLevel: (high) => this.#gic.setLine(spiToIntid(MEMORY_MAP.uart.spi), high),
    });
    this.#devices = this.#buildDevices();
    const layout = { state: base + STATE_AT, arena: base + ARENA_AT, arenaBytes: ARENA_BYTES };
    this.core = new Core(this.memory, layout, interpreter(), this, undefined, {
      jit: options.jit ?? true,
      peripherals: this,
      frames: options.mapped === false ? undefined : this.#mapRam(base + MAP_AT),
    });
  }

  /** Writes the map of all RAM at `at`, and returns that. */
  #mapRam(at: number): number {
    let next = at + STAGE2_ROOT_BYTES;
    const allocate = (): number => {
      next += 4096;
      assert(next <= at + MAP_BYTES, 'the map has room for all RAM');
      return next - 4096;
    };
    const map = new Stage2Map(this.memory.buffer, at, allocate);
    const first = MEMORY_MAP.ramBase / 4096;
    for (let page = 0; page < this.#ramBytes / 4096; page++) {
      map.map(first + page, this.#ramAt + page * 4096, STAGE2_RIGHTS.all);
    }
    return at;
  }

  /** Everything the guest has written to its console. */
  get output(): string {
    return this.#output;
  }

  /** Copies `bytes` to guest physical address `ipa`, inside RAM. */
  load(ipa: number, bytes: Uint8Array): void {
    this.bytes.set(bytes, this.#hostOf(ipa));
    this.core.codeWritten(this.#hostOf(ipa), bytes.length);
  }

  #hostOf(ipa: number): number {
    return this.#ramAt + (ipa - MEMORY_MAP.ramBase);
  }

  // ---- memory and devices ----

  frame(ipaPage: number): number {
    const offset = ipaPage * 4096 - MEMORY_MAP.ramBase;
    return offset >= 0 && offset < this.#ramBytes ? this.#ramAt + offset : -1;
  }

  /** The device whose window `ipa` is in, with the offset. */
  #device(ipa: number): { readonly device: DeviceWindow; readonly offset: number } | undefined {
    const device = this.#devices.find(({ base, sizeBytes }) => ipa >= base && ipa < base + sizeBytes);
    return device === undefined ? undefined : { device, offset: ipa - device.base };
  }

  read(ipa: number, bytes: number): bigint | undefined {
    const hit = this.#device(ipa);
    // WHY: the core asks for 1, 2, 4 or 8 bytes.
    return hit?.device.read(hit.offset, bytes as AccessBytes);
  }

  write(ipa: number, bytes: number, value: bigint): boolean {
    const hit = this.#device(ipa);
    hit?.device.write(hit.offset, bytes as AccessBytes, value);
    if (this.#signalsChanged) this.#updateLines();
    return hit !== undefined;
  }

  #buildDevices(): readonly DeviceWindow[] {
    const { uart, rtc, gpio, gicDistributor, gicRedistributors } = MEMORY_MAP;
    const gic = this.#gicRegisters;
    const line =
      (spi: number) =>
      (high: boolean): void =>
        this.#gic.setLine(spiToIntid(spi), high);
    const simple = (window: Window, model: RegisterModel): DeviceWindow => ({
      ...window,
      read: (offset, bytes) => BigInt(model.read(offset, bytes)),
      write: (offset, bytes, value) => model.write(offset, bytes, Number(BigInt.asUintN(32, value))),
    });
    const clock = { unixSeconds: () => Date.now() / 1000, setAlarm: () => undefined };
    return [
      simple(uart, this.uart),
      simple(rtc, new Pl031({ ...clock, setLevel: line(rtc.spi) })),
      simple(gpio, new Pl061({ setLevel: line(gpio.spi) })),
      {
        ...gicDistributor,
        read: (offset, bytes) => gic.readDistributor(offset, bytes),
        write: (offset, bytes, value) => gic.writeDistributor(offset, bytes, value),
      },
      {
        base: gicRedistributors.base,
        sizeBytes: GICR_BYTES,
        read: (offset, bytes) => gic.readRedistributor(0, offset, bytes),
        write: (offset, bytes, value) => gic.writeRedistributor(0, offset, bytes, value),
      },
    ];
  }

  #line = '';
  #put(character: string): void {
    if (character === '\r') return;
    this.#output += character;
    this.#line += character;
    if (character !== '\n') return;
    this.#onOutput(this.#line);
    this.#line = '';
  }

  // ---- system registers ----

  #counter(): bigint {
    return BigInt(Math.floor(((performance.now() - this.#start) * COUNTER_HZ) / 1000));
  }

  readRegister(key: number): bigint | undefined {
    const name = NAME_OF.get(key) ?? '';
    if (name.startsWith('ICC_')) {
      const value = BigInt(this.#interface.read(name as IccRegister) >>> 0);
      if (name.startsWith('ICC_IAR')) this.#updateLines();
      return value;
    }
    switch (name) {
      case 'CNTFRQ_EL0':
        return BigInt(COUNTER_HZ);
      case 'CNTPCT_EL0':
      case 'CNTVCT_EL0':
        return this.#counter();
      default:
    }
    const timer = name.startsWith('CNTV') ? this.#timers.virtual : this.#timers.physical;
    const now = this.#counter();
    if (name.includes('_CTL')) {
      return timer.control | (timer.control !== 0n && now >= timer.compare ? TIMER_STATUS : 0n);
    }
    return name.includes('_CVAL') ? timer.compare : BigInt.asUintN(32, timer.compare - now);
  }

  writeRegister(key: number, value: bigint): boolean {
    const name = NAME_OF.get(key) ?? '';
    if (name.startsWith('ICC_')) {
      // WHY: the table's external registers named ICC_* are the ones the interface lists, plus AP registers it ignores.
      this.#interface.write(name as IccRegister, value);
      this.#updateLines();
      return true;
    }
    const timer = name.startsWith('CNTV') ? this.#timers.virtual : this.#timers.physical;
    if (name.includes('_CTL')) timer.control = value & (TIMER_ENABLE | TIMER_MASK);
    else if (name.includes('_CVAL')) timer.compare = value;
    else timer.compare = BigInt.asUintN(64, this.#counter() + BigInt.asIntN(32, value));
    this.poll();
    return true;
  }

  poll(): void {
    this.#driveTimer(this.#timers.virtual, PPI.virtualTimer);
    this.#driveTimer(this.#timers.physical, PPI.physicalTimer);
    if (this.#signalsChanged) this.#updateLines();
  }

  turn(): number {
    if (this.#turn !== undefined) return this.#turn();
    if (!this.#hasTurn) return 0;
    this.#hasTurn = false;
    this.poll();
    return (this.#eager ? EAGER_SLICE : SLICE) / 2;
  }

  #driveTimer(timer: { readonly control: bigint; readonly compare: bigint }, interrupt: number): void {
    const fires = (timer.control & 3n) === TIMER_ENABLE && this.#counter() >= timer.compare;
    this.#gic.setLine(interrupt, fires, 0);
  }

  sendEvent(): void {
    // no other vCPU
  }

  #updateLines(): void {
    this.#signalsChanged = false;
    const { irq, fiq } = this.#interface.signals();
    this.core.setInterrupts(PSTATE.i, irq);
    this.core.setInterrupts(PSTATE.f, fiq);
  }

  // ---- running ----

  /** Runs until the guest powers off, nothing can wake it, `deadlineMs` has passed, or it has done `slicesMax` times {@link SLICE}. */
  run(deadlineMs: number, slicesMax = Number.POSITIVE_INFINITY): Stop {
    const end = performance.now() + deadlineMs;
    for (let slice = 0; slice < slicesMax; slice++) {
      this.#hasTurn = true;
      const reason = this.#stepped ? this.#steps() : this.core.run((this.#eager ? EAGER_SLICE : SLICE) / 2);
      this.#hasTurn = false;
      if (this.#eager) this.core.jit?.compileQueue();
      switch (reason) {
        case EXIT.hvc: {
          const stop = this.#psci();
          if (stop !== undefined) return stop;
          break;
        }
        case EXIT.smc:
          this.core.refuseCall();
          break;
        case EXIT.wfi:
          if (!this.#sleep(end)) return performance.now() >= end ? 'deadline' : 'dead';
          break;
        default:
      }
      if ((slice & 63) === 0 && performance.now() > end) return 'deadline';
    }
    return 'deadline';
  }

  /** As many single steps as a slice has branches, or to what a step cannot do alone. */
  #steps(): number {
    for (let steps = 0; steps < SLICE; steps++) {
      const reason = this.core.step();
      if (reason !== EXIT.next && reason !== EXIT.resume) return reason;
    }
    this.poll();
    return EXIT.pause;
  }

  /** WFI: waits for a timer. Returns false when nothing will ever come, or the deadline has passed. */
  #sleep(end: number): boolean {
    for (;;) {
      this.poll();
      if ((this.core.get32(STATE.interrupts) & (PSTATE.i | PSTATE.f)) !== 0) return true;
      const armed = [this.#timers.virtual, this.#timers.physical].some((t) => (t.control & 3n) === TIMER_ENABLE);
      if (!armed || performance.now() >= end) return false;
    }
  }

  #psci(): Stop | undefined {
    const { core } = this;
    const id = Number(core.get64(0) & 0xffffffffn);
    const target = core.get64(8);
    const known = (id & 0xbfffffe0) >>> 0 === 0x84000000;
    let result = NOT_SUPPORTED;
    switch (known ? id & 31 : -1) {
      case PSCI.version:
        result = 0x10001n;
        break;
      case PSCI.systemOff:
        return 'off';
      case PSCI.systemReset:
        return 'reset';
      case PSCI.cpuOff:
        return 'dead';
      case PSCI.cpuOn:
        result = target === 0n ? ALREADY_ON : INVALID_PARAMETERS;
        break;
      case PSCI.affinityInfo:
        result = target === 0n ? 0n : INVALID_PARAMETERS;
        break;
      case PSCI.features: {
        const asked = Number(target & 0xffffffffn);
        const psci = (asked & 0xbfffffe0) >>> 0 === 0x84000000;
        result = psci && Object.values(PSCI).includes(asked & 31) ? 0n : NOT_SUPPORTED;
        break;
      }
      default:
    }
    core.set64(0, BigInt.asUintN(64, result));
    return undefined;
  }
}
