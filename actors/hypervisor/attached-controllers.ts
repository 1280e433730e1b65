/**
 * Registers of interrupt controllers that hypercalls put into address spaces (gunyah.md 2.7, addrspace_attach_vdevice; answers
 * and their order as hyp/vm/vgic/src/distrib.c and hyp/core/vdevice of the public hypervisor have them). The distributor is
 * there until its controller ends, a redistributor until the thread of its processor does; until then the controller holds the address space.
 *
 * An address space shows the controller of its own processors: another's is DENIED (ADR 275).
 */
import { err, ok, type Result } from '../../bus/result.js';
import type { Gic } from '../shared-state/gic/gic.js';
import { GICD_BYTES, GICR_BYTES } from '../shared-state/gic/gic-mmio.js';
import type { ObjectTable } from '../shared-state/objects/object-table.js';
import { type ControllerWindow, ControllerWindows } from '../shared-state/vm/controller-windows.js';
import type { ObjectFault } from './objects.protocol.js';

/** Addresses that virtual devices may have end here. */
const ADDRESS_END = 1n << 44n;
/** Flags of a redistributor: bit 1 (none follows it) counts only with bit 0. */
const FLAG = { lastValid: 1n, last: 2n } as const;
const FLAGS = FLAG.lastValid | FLAG.last;

interface Attached extends ControllerWindow {
  readonly vic: number;
  /** The thread whose redistributor it is; 0: it is the distributor. */
  readonly thread: number;
  readonly addrspace: number;
  /** The address space's life. */
  readonly generation: number;
}

/** What {@link AttachedControllers} needs of the core's objects. */
interface Kernel {
  readonly table: ObjectTable;
  controller(vic: number): Gic | undefined;
  /** Whether a controller was configured not to be at the platform's addresses. */
  isMoved(vic: number): boolean;
  processorAt(vic: number, index: number): number | undefined;
  pin(object: number): void;
  unpin(object: number): void;
}

/** See the head of this file. */
export class AttachedControllers {
  readonly #memory: ArrayBufferLike;
  readonly #kernel: Kernel;
  #windows: readonly Attached[] = [];
  /** Controllers that {@link move} has put elsewhere, in the life they were. */
  readonly #moved = new Map<number, number>();

  constructor(memory: ArrayBufferLike, kernel: Kernel) {
    this.#memory = memory;
    this.#kernel = kernel;
  }

  /**
   * Puts interface `index` of controller `vic` at `[base, base + bytes)`: 0 the distributor, n the redistributor of processor n - 1.
   * `isFree`: no processor is in the address space yet.
   */
  attach(
    addrspace: number,
    vic: number,
    index: number,
    { base, bytes, flags }: { readonly base: bigint; readonly bytes: bigint; readonly flags: bigint },
    isFree: boolean,
  ): Result<undefined, ObjectFault> {
    const { table } = this.#kernel;
    const processors = this.#kernel.controller(vic)?.cpus ?? 0;
    if (index > processors || (flags & ~(index === 0 ? 0n : FLAGS)) !== 0n) return err('badArgument');
    const thread = index === 0 ? 0 : this.#kernel.processorAt(vic, index - 1);
    if (thread === undefined) return err('idle');
    if (this.#windows.some((known) => known.vic === vic && known.index === index)) return err('busy');
    if (bytes === 0n || base + bytes > 1n << 64n) return err('badArgument');
    if (base + bytes > ADDRESS_END) return err('badSize');
    const [from, end] = [Number(base), Number(base + bytes)];
    const others = this.#in(addrspace);
    if (others.some((known) => from < known.base + known.bytes && known.base < end)) return err('busy');
    const isOwn = table.data(addrspace) === table.aux(vic) || isFree;
    if (!isOwn || others.some((known) => known.vic !== vic)) return err('denied');
    const isLast = (flags & FLAG.lastValid) !== 0n ? (flags & FLAG.last) !== 0n : index === processors;
    const place = { base: from, bytes: end - from, index, isLast };
    this.#kernel.pin(addrspace);
    const life = { addrspace, generation: table.generation(addrspace) };
    this.#windows = [...this.#windows, { ...place, ...life, vic, thread }];
    this.publish(addrspace, vic);
    return ok();
  }

  /**
   * Puts a whole controller there and takes it away from the platform's addresses, as a VM's owner does before it runs: the
   * redistributors of `cpus` processors follow each other `stride` bytes apart.
   */
  move(
    addrspace: number,
    vic: number,
    place: {
      readonly cpus: number;
      readonly distributor: number;
      readonly redistributors: number;
      readonly stride: number;
    },
  ): Result<undefined, ObjectFault> {
    const { cpus, distributor, redistributors, stride } = place;
    this.#moved.set(vic, this.#kernel.table.generation(vic));
    const register = (index: number, base: number, bytes: number, flags: bigint) =>
      this.attach(addrspace, vic, index, { base: BigInt(base), bytes: BigInt(bytes), flags }, false);
    let done = register(0, distributor, GICD_BYTES, 0n);
    for (let cpu = 0; cpu < cpus && done.ok; cpu++) {
      const flags = FLAG.lastValid | (cpu === cpus - 1 ? FLAG.last : 0n);
      done = register(cpu + 1, redistributors + cpu * stride, GICR_BYTES, flags);
    }
    return done;
  }

  #in(addrspace: number): readonly Attached[] {
    const generation = this.#kernel.table.generation(addrspace);
    return this.#windows.filter((known) => known.addrspace === addrspace && known.generation === generation);
  }

  /** The controller whose registers are in an address space; 0: none's are. */
  vicIn(addrspace: number): number {
    return this.#in(addrspace)[0]?.vic ?? 0;
  }

  /** Writes the windows where the processors of the address space look for them, after that has become another place. */
  publish(addrspace: number, vic: number): void {
    const { table } = this.#kernel;
    const at = table.data(addrspace);
    const isMoved = vic !== 0 && (this.#kernel.isMoved(vic) || this.#moved.get(vic) === table.generation(vic));
    if (at !== 0) new ControllerWindows(this.#memory, { at }).replace(this.#in(addrspace), isMoved);
  }

  /** An object ends: registers that were there with it are gone. Before its slot names another. */
  ended(object: number): void {
    this.#moved.delete(object);
    const gone = this.#windows.filter(({ vic, thread, addrspace }) => [vic, thread, addrspace].includes(object));
    if (gone.length === 0) return;
    this.#windows = this.#windows.filter((window) => !gone.includes(window));
    for (const { addrspace, generation, vic } of gone) {
      if (addrspace === object || this.#kernel.table.generation(addrspace) !== generation) continue;
      this.publish(addrspace, vic);
      this.#kernel.unpin(addrspace);
    }
  }
}
