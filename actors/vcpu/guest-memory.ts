/** What lies behind guest-physical addresses: frames of the stage-2 map, the interrupt controller, device front ends. */
import type { PhysicalMemory, Want } from '../../cpu/mmu/translator.js';
import { GICD_BYTES, GICR_BYTES, type GicRegisters } from '../shared-state/gic/gic-mmio.js';
import type { FrontEnd } from '../shared-state/mmio/front-end.js';
import { STAGE2_RIGHTS, type Stage2Reader } from '../shared-state/stage2/stage2-map.js';
import type { ControllerWindow, ControllerWindows } from '../shared-state/vm/controller-windows.js';
import type { HeldAccesses } from './held-accesses.js';

const PAGE = 4096;

/** Rights an access needs, by Want. */
const RIGHT_OF = [STAGE2_RIGHTS.read, STAGE2_RIGHTS.write, STAGE2_RIGHTS.execute] as const;

/** A window of device registers. */
interface DeviceWindow {
  readonly base: number;
  readonly end: number;
  read(offset: number, bytes: number): bigint;
  write(offset: number, bytes: number, value: bigint): void;
}

/** See the head of this file. */
export class GuestMemory implements PhysicalMemory {
  readonly #stage2: Stage2Reader;
  readonly #windows: DeviceWindow[] = [];
  /** The interrupt controller: at the platform's addresses, and wherever else it was put. */
  #platform: readonly DeviceWindow[] = [];
  #moved: ControllerWindows | undefined;
  #attached: ((window: ControllerWindow) => DeviceWindow) | undefined;
  #last: DeviceWindow | undefined;
  /** Stores to frames that are a device's registers, by host address of the frame; undefined: it is none. Absent: there are none. */
  registers: ((frame: number, offset: number, bytes: number, value: bigint) => boolean | undefined) | undefined;
  /** Accesses that whoever runs this processor is asked about; absent: there is nobody. */
  held: HeldAccesses | undefined;

  constructor(stage2: Stage2Reader) {
    this.#stage2 = stage2;
  }

  /** Puts a device's registers at `base`. */
  addDevice(base: number, sizeBytes: number, device: FrontEnd): void {
    const { read, write } = { read: device.read.bind(device), write: device.write.bind(device) };
    this.#windows.push({ base, end: base + sizeBytes, read, write });
  }

  /**
   * Puts the interrupt controller of `cpus` processors at the platform's windows, and where `moved` says that it is as well or
   * instead; `changed` after each write.
   */
  addGic(
    gic: GicRegisters,
    at: { distributor: number; redistributors: number },
    cpus: number,
    changed: () => void,
    moved?: ControllerWindows,
  ): void {
    const distributor = {
      read: (offset: number, bytes: number) => gic.readDistributor(offset, bytes),
      write(offset: number, bytes: number, value: bigint) {
        gic.writeDistributor(offset, bytes, value);
        changed();
      },
    };
    const split = (offset: number): readonly [number, number] => [Math.floor(offset / GICR_BYTES), offset % GICR_BYTES];
    const redistributors = {
      read: (offset: number, bytes: number) => gic.readRedistributor(...split(offset), bytes),
      write(offset: number, bytes: number, value: bigint) {
        gic.writeRedistributor(...split(offset), bytes, value);
        changed();
      },
    };
    const end = { distributor: at.distributor + GICD_BYTES, redistributors: at.redistributors + cpus * GICR_BYTES };
    this.#platform = [
      { base: at.distributor, end: end.distributor, ...distributor },
      { base: at.redistributors, end: end.redistributors, ...redistributors },
    ];
    this.#moved = moved;
    this.#attached = ({ base, bytes, index, isLast }) => {
      // What lies behind the registers of an oversized window is nothing.
      const room = (size: number): number => base + Math.min(bytes, size);
      if (index === 0) return { base, end: room(GICD_BYTES), ...distributor };
      const first = (index - 1) * GICR_BYTES;
      return {
        ...{ base, end: room(GICR_BYTES) },
        read: (offset, size) => gic.readRedistributor(index - 1, offset, size, isLast),
        write: (offset, size, value) => redistributors.write(first + offset, size, value),
      };
    };
  }

  frame(ipaPage: number, want: Want): number {
    return this.#stage2.frame(ipaPage, RIGHT_OF[want] ?? STAGE2_RIGHTS.all);
  }

  #find(ipa: number): DeviceWindow | undefined {
    const last = this.#last;
    if (last !== undefined && ipa >= last.base && ipa < last.end) return last;
    const isAt = (window: DeviceWindow): boolean => ipa >= window.base && ipa < window.end;
    const found = this.#windows.find(isAt);
    if (found !== undefined) this.#last = found;
    return found ?? this.#controller(ipa, isAt);
  }

  /** Nothing of it is remembered: where the controller lies may change at any time. */
  #controller(ipa: number, isAt: (window: DeviceWindow) => boolean): DeviceWindow | undefined {
    const attached = this.#moved?.at(ipa);
    if (attached !== undefined) {
      const window = this.#attached?.(attached);
      return window !== undefined && isAt(window) ? window : undefined;
    }
    return this.#moved?.isMoved === true ? undefined : this.#platform.find(isAt);
  }

  get isHeld(): boolean {
    return this.held?.isHeld === true;
  }
  holds(ipa: number, want: Want): boolean {
    return this.held?.holds(ipa, want) === true;
  }

  read(ipa: number, bytes: number): bigint | undefined {
    const window = this.#find(ipa);
    return window === undefined ? this.held?.read(ipa, bytes) : window.read(ipa - window.base, bytes);
  }

  write(ipa: number, bytes: number, value: bigint): boolean {
    const window = this.#find(ipa);
    if (window !== undefined) {
      window.write(ipa - window.base, bytes, value);
      return true;
    }
    const frame = this.registers === undefined ? -1 : this.#stage2.frame(Math.floor(ipa / PAGE), STAGE2_RIGHTS.read);
    const stored = frame < 0 ? undefined : this.registers?.(frame, ipa % PAGE, bytes, value);
    return stored ?? this.held?.write(ipa, bytes, value) === true;
  }
}
