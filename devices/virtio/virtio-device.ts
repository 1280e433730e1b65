/**
 * The worker's side of a virtio device: its window onto guest memory, its queues as the driver has set them up, and its
 * interrupt. A device works in turns (see guest-window.ts); what it holds of a queue is void when the driver has reset the
 * device or the queue, which every turn checks first.
 */

import { Gic } from '../../actors/shared-state/gic/gic.js';
import { GuestWindow } from '../../actors/shared-state/guest-window/guest-window.js';
import { type Ring, VmBlock, waker } from '../../actors/shared-state/vm/vm-block.js';
import type { Chain } from './chain.js';
import { DeviceBlockView, type DeviceShape, QUEUE_WORD, TURN } from './device-block.js';
import { SplitQueue } from './split-queue.js';
import { FEATURE, featureWords, INTERRUPT, STATUS } from './wire.js';

/** Where a device finds its VM: plain data and shared memory, part of every virtio device's configuration. */
export interface VirtioPlace {
  readonly memory: WebAssembly.Memory;
  /** VM block, root of the stage-2 map and interrupt controller, in bytes of the memory. */
  readonly block: number;
  readonly stage2: number;
  readonly gic: number;
  /** Number of the device's window in the VM block. */
  readonly window: number;
  /** The device block. */
  readonly registers: SharedArrayBuffer;
  readonly intid: number;
}

/** What kind of device it is. */
export interface VirtioShape extends Omit<DeviceShape, 'features'> {
  /** Positions of the type's own features; those of the transport come with it. */
  readonly features: readonly number[];
}

/** What a device's worker lends the transport. */
export interface VirtioServices {
  readonly ring: Ring;
  readonly warn: (text: string) => void;
}

/** What handling a chain came to: bytes written into it; `later`: it stays where it is; `broken`: the driver is at fault. */
export type Handled = number | 'later' | 'broken';

/** Chains handled in one turn: then whoever waits for the device to leave guest memory gets a chance. */
const CHAINS_PER_TURN = 64;
/** A driver hears of chains at the end of a turn, or after so many of them or so many bytes: an interrupt costs it a lot. */
const QUIET_CHAINS_MAX = 16;
const QUIET_BYTES_MAX = 256 << 10;
/** A vCPU has a turn for some microseconds; one that does not end it for so many milliseconds has been killed, and the machine ends. */
const INHERIT_NAPS_MAX = 1000;
const TRANSPORT_FEATURES = [FEATURE.indirectDescriptors, FEATURE.eventIndex, FEATURE.version1];

interface Attached {
  readonly generation: number;
  readonly queue: SplitQueue;
}

/** See the head of this file. */
export class VirtioDevice {
  readonly window: GuestWindow;
  readonly #view: DeviceBlockView;
  readonly #gic: Gic;
  readonly #intid: number;
  readonly #warn: (text: string) => void;
  readonly #queues: (Attached | undefined)[] = [];
  #epoch: number;
  #complained = false;
  readonly #self: number;
  /** A bit for each queue that another thread has used since. */
  #stale = 0;

  /** `self`: whose turn its work is (device-block.ts). A vCPU helps the worker, and has the turn already. */
  constructor(place: VirtioPlace, shape: VirtioShape, services: VirtioServices, self: number = TURN.worker) {
    const { buffer } = place.memory;
    this.#view = new DeviceBlockView(place.registers);
    this.#self = self;
    if (self === TURN.worker) this.#inheritTurn();
    this.window = new GuestWindow(buffer, place, place.window, self !== TURN.worker);
    this.#gic = new Gic(buffer, place.gic, waker(new VmBlock(buffer, place.block), services.ring));
    this.#intid = place.intid;
    this.#warn = services.warn;
    // A successor finds the device described, and perhaps a driver that relies on what was said.
    if (self === TURN.worker && this.#view.get('queueCount') === 0) {
      const features = featureWords([...shape.features, ...TRANSPORT_FEATURES]);
      this.#view.describe({ ...shape, features }, place.window);
    } else if (self === TURN.worker) this.#announceSuccessor();
    this.#epoch = this.#view.get('epoch');
  }

  /** Waits until no vCPU has the turn. The worker before, which may have died in its own, has it no more. */
  #inheritTurn(): void {
    const nap = new Int32Array(new SharedArrayBuffer(4));
    for (let naps = 0; !this.takeTurn() && this.#view.get('turn') !== TURN.worker && naps < INHERIT_NAPS_MAX; naps++)
      Atomics.wait(nap, 0, 0, 1);
    this.#view.set('turn', TURN.worker);
    this.#view.set('turnBefore', TURN.worker);
  }

  /**
   * Takes the turn to work on queues and links; undefined when somebody else has it, otherwise whether anybody else had it since this
   * side's last one: what it knows of the links' ends is old then. Needless for a device that no vCPU helps.
   */
  takeTurn(): 'same' | 'other' | undefined {
    if (!this.#view.replace('turn', TURN.nobody, this.#self)) return undefined;
    if (this.#view.get('turnBefore') === this.#self) return 'same';
    this.#view.set('turnBefore', this.#self);
    this.#stale = -1;
    return 'other';
  }
  /** Gives it back. */
  leaveTurn(): void {
    this.#view.set('turn', TURN.nobody);
  }

  /** Whether a queue was notified that nobody has looked at since. */
  get isKicked(): boolean {
    return this.#view.get('kicks') !== 0;
  }
  /** As if the driver had notified the queues of these bits. */
  kick(bits: number): void {
    this.#view.or('kicks', bits);
  }

  /** The configuration space; a change by the device goes through {@link changeConfig} once a driver may look. */
  get config(): DataView {
    return this.#view.config;
  }

  /** How often the driver has written to the configuration space, modulo 2^32. */
  get configWrites(): number {
    return this.#view.get('configWrites');
  }

  /** How often the driver has reset the device: what a device remembers of a driver is void when it changes. */
  get epoch(): number {
    return this.#view.get('epoch');
  }

  /** Whether the driver has accepted feature `bit`. */
  has(bit: number): boolean {
    return (this.#view.features('driverFeatures', bit >> 5) & (1 << (bit & 31))) !== 0;
  }

  /** Whether a driver drives the device: DRIVER_OK, and nothing has gone wrong. */
  get isLive(): boolean {
    return (this.#view.get('status') & (STATUS.driverOk | STATUS.needsReset)) === STATUS.driverOk;
  }

  /** Queues that were notified since the last call, a bit each. */
  takeKicks(): number {
    return this.#view.take('kicks');
  }

  /** Changes the configuration space and tells the driver. */
  changeConfig(change: (config: DataView) => void): void {
    // The generation differs before and after, so a driver that read in between reads again (V1.2, 2.5.1).
    this.#view.count('configGeneration');
    change(this.#view.config);
    this.#view.count('configGeneration');
    if (this.isLive) this.#interrupt(INTERRUPT.configChange);
  }

  /**
   * Hands the chains of queue `index` to `handle`, inside the window, until there are none, `handle` wants to wait, or
   * enough were done for one turn; true in the last case, for the caller to come back.
   */
  serve(index: number, handle: (chain: Chain) => Handled): boolean {
    return this.window.within(() => {
      const queue = this.#attach(index);
      if (queue === undefined) return false;
      const more = this.#serve(queue, handle);
      if (queue.wantsInterrupt()) this.#interrupt(INTERRUPT.usedBuffer);
      if (queue.isBroken) this.#fail(`queue ${index} is not well-formed`);
      return more;
    });
  }

  /**
   * Lets `body` work on queue `index` by itself, inside the window: for devices whose messages take several chains. Answers
   * what `body` answers, or undefined when there is no such queue now. The driver hears of what was used.
   */
  turn<T>(index: number, body: (queue: SplitQueue) => T): T | undefined {
    return this.window.within(() => {
      const queue = this.#attach(index);
      if (queue === undefined) return undefined;
      const result = body(queue);
      if (queue.wantsInterrupt()) this.#interrupt(INTERRUPT.usedBuffer);
      if (queue.isBroken) this.#fail(`queue ${index} is not well-formed`);
      return result;
    });
  }

  #serve(queue: SplitQueue, handle: (chain: Chain) => Handled): boolean {
    queue.wantNotifications(false);
    let quietChains = 0;
    let quietBytes = 0;
    for (let count = 0; count < CHAINS_PER_TURN; count++) {
      let taken = queue.take();
      if (taken === 'empty') {
        queue.wantNotifications(true);
        taken = queue.take();
      }
      if (taken !== 'chain') return false;
      const handled = handle(queue.chain);
      if (handled === 'later') return false;
      if (handled === 'broken') {
        this.#fail('a request points outside the memory of the machine');
        return false;
      }
      queue.use(handled);
      quietBytes += queue.chain.readableBytes + queue.chain.writableBytes;
      if (++quietChains < QUIET_CHAINS_MAX && quietBytes < QUIET_BYTES_MAX) continue;
      quietChains = 0;
      quietBytes = 0;
      if (queue.wantsInterrupt()) this.#interrupt(INTERRUPT.usedBuffer);
    }
    return true;
  }

  /** The queue, if there is a driver and it has set the queue up. */
  #attach(index: number): SplitQueue | undefined {
    const view = this.#view;
    const epoch = view.get('epoch');
    if (epoch !== this.#epoch) {
      this.#epoch = epoch;
      this.#complained = false;
      this.#queues.length = 0;
    }
    if (!this.isLive || view.queue(index, QUEUE_WORD.ready) === 0) return undefined;
    const generation = view.queue(index, QUEUE_WORD.generation);
    const known = this.#queues[index];
    if (known?.generation === generation) {
      if ((this.#stale & (1 << index)) !== 0) known.queue.resume();
      this.#stale &= ~(1 << index);
      return known.queue;
    }
    this.#stale &= ~(1 << index);
    const resumes = view.queue(index, QUEUE_WORD.attached) === generation;
    const size = view.queue(index, QUEUE_WORD.size);
    const place = {
      size: size <= view.queue(index, QUEUE_WORD.sizeMax) ? size : 0,
      descriptors: view.queueAddress(index, QUEUE_WORD.descriptorsLow),
      available: view.queueAddress(index, QUEUE_WORD.availableLow),
      used: view.queueAddress(index, QUEUE_WORD.usedLow),
      indirect: this.has(FEATURE.indirectDescriptors),
      eventIndex: this.has(FEATURE.eventIndex),
    };
    const queue = new SplitQueue(this.window, place, resumes);
    view.setQueue(index, QUEUE_WORD.attached, generation);
    this.#queues[index] = { generation, queue };
    return queue;
  }

  /**
   * A predecessor may have died between using a chain, or changing the configuration, and saying so; the driver may wait for
   * nothing else. One interrupt too many is allowed (V1.2, 2.7.7.1).
   */
  #announceSuccessor(): void {
    if ((this.#view.get('status') & STATUS.driverOk) === 0) return;
    this.#view.or('interruptStatus', INTERRUPT.usedBuffer | INTERRUPT.configChange);
    this.#gic.pulse(this.#intid);
  }

  /** Raises the interrupt, unless the driver has not yet acknowledged the last one of the kind: then it will look anyway. */
  #interrupt(kind: number): void {
    if ((this.#view.or('interruptStatus', kind) & kind) === 0) this.#gic.pulse(this.#intid);
  }

  /** The driver has done what it must not: nothing goes on before it has reset the device (V1.2, 2.1.2). */
  #fail(why: string): void {
    this.#view.or('status', STATUS.needsReset);
    this.#interrupt(INTERRUPT.configChange);
    if (!this.#complained) this.#warn(`the guest's driver is at fault: ${why}; the device waits for a reset`);
    this.#complained = true;
  }
}
