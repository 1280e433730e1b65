/**
 * A virtio driver of our own against a device object: a small guest memory with a stage-2 map, registers through the real
 * front end, rings written by hand. Frames of the guest are apart from each other, and what lies between them is canaries.
 */
import { Gic } from '../../actors/shared-state/gic/gic.js';
import { GIC_STATE_BYTES } from '../../actors/shared-state/gic/gic-layout.js';
import type { FrontEnd } from '../../actors/shared-state/mmio/front-end.js';
import { STAGE2_RIGHTS, STAGE2_ROOT_BYTES, Stage2Map } from '../../actors/shared-state/stage2/stage2-map.js';
import { VM_BLOCK_BYTES, VmBlock } from '../../actors/shared-state/vm/vm-block.js';
import { createDeviceBlock } from '../../devices/virtio/device-block.js';
import mmioFrontEnd, { type MmioFrontEndConfig } from '../../devices/virtio/mmio.front-end.js';
import type { VirtioPlace } from '../../devices/virtio/virtio-device.js';
import { STATUS } from '../../devices/virtio/wire.js';
import { frontEndServices } from './front-end-services.js';

const PAGE = 4096;
const BLOCK_AT = 0x10000;
const GIC_AT = 0x30000;
const STAGE2_AT = 0x40000;
const TABLES_AT = 0x50000;
const FRAMES_AT = 0x100000;
const CANARY = 0xee;
/** Where the guest's memory starts, guest-physical. */
export const GUEST_AT = 0x4000_0000;
/** Interrupt of the device. */
export const INTID = 48;

/** Registers of the transport by offset, as a driver knows them. */
export const REGISTER = {
  magic: 0x00,
  version: 0x04,
  deviceId: 0x08,
  deviceFeatures: 0x10,
  deviceFeaturesSelect: 0x14,
  driverFeatures: 0x20,
  driverFeaturesSelect: 0x24,
  queueSelect: 0x30,
  queueSizeMax: 0x34,
  queueSize: 0x38,
  queueReady: 0x44,
  notify: 0x50,
  interruptStatus: 0x60,
  interruptAcknowledge: 0x64,
  status: 0x70,
  descriptors: 0x80,
  available: 0x90,
  used: 0xa0,
  generation: 0xfc,
  config: 0x100,
} as const;

/** A descriptor as a test writes it. */
export interface DescriptorText {
  readonly address: number;
  readonly bytes: number;
  readonly flags: number;
  readonly next: number;
}

/** Where a ring was put. */
export interface Ring {
  readonly index: number;
  readonly size: number;
  readonly descriptors: number;
  readonly available: number;
  readonly used: number;
}

/** See the head of this file. */
export class VirtioDriver {
  readonly place: VirtioPlace;
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly block: VmBlock;
  readonly gic: Gic;
  readonly stage2: Stage2Map;
  /** How often the device's actor was rung. */
  rings = 0;
  readonly #frontEnd: FrontEnd;
  readonly #frames: readonly number[];
  readonly #rights: readonly number[];

  /** Guest page i has `rights[i]` (bits of STAGE2_RIGHTS, 0: not mapped). */
  constructor(rights: readonly number[]) {
    const pages = Math.ceil((FRAMES_AT + rights.length * 2 * PAGE + PAGE) / 65536);
    const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
    // WHY: a shared memory has a shared buffer.
    const buffer = memory.buffer as unknown as SharedArrayBuffer;
    this.bytes = new Uint8Array(buffer);
    this.view = new DataView(buffer);
    this.bytes.fill(CANARY, FRAMES_AT);
    this.block = new VmBlock(buffer, BLOCK_AT);
    this.block.format(1);
    this.gic = new Gic(buffer, GIC_AT, () => undefined);
    this.gic.reset([0]);
    let table = TABLES_AT;
    this.stage2 = new Stage2Map(buffer, STAGE2_AT, () => {
      table += PAGE;
      return table - PAGE;
    });
    this.#rights = rights;
    // Backwards, so that neighbours of the guest are no neighbours in memory.
    this.#frames = rights.map((_, page) => FRAMES_AT + (2 * (rights.length - page) - 1) * PAGE);
    for (const [page, right] of rights.entries()) {
      if (right === 0) continue;
      const frame = this.#frames[page] ?? 0;
      this.stage2.map(GUEST_AT / PAGE + page, frame, right);
      this.bytes.fill(0, frame, frame + PAGE);
    }
    const registers = createDeviceBlock();
    this.place = { memory, block: BLOCK_AT, stage2: STAGE2_AT, gic: GIC_AT, window: 0, registers, intid: INTID };
    const config: MmioFrontEndConfig = { registers, memory, block: BLOCK_AT, actor: 7 };
    const services = frontEndServices({
      ring: () => {
        this.rings++;
      },
    });
    this.#frontEnd = mmioFrontEnd(config, services);
  }

  /** Memory that must be as it was: the stage-2 map, everything between the guest's frames, and frames it may not write. */
  get untouchable(): readonly Uint8Array[] {
    const between = this.#frames.flatMap((frame, page) => {
      const gap = this.bytes.subarray(frame - PAGE, frame);
      const frozen = ((this.#rights[page] ?? 0) & STAGE2_RIGHTS.write) === 0;
      return frozen ? [gap, this.bytes.subarray(frame, frame + PAGE)] : [gap];
    });
    return [this.bytes.subarray(STAGE2_AT, FRAMES_AT), ...between];
  }

  /** Host address of a guest address that may be used with `rights`, by this class's own account; or -1. */
  allowed(ipa: number, rights: number): number {
    const page = Math.floor((ipa - GUEST_AT) / PAGE);
    const frame = this.#frames[page];
    if (frame === undefined || ((this.#rights[page] ?? 0) & rights) !== rights) return -1;
    return frame + (ipa % PAGE);
  }

  /** Whether host bytes `[at, at + bytes)` are inside one frame of the guest. */
  isFrame(at: number, bytes: number): boolean {
    return this.#frames.some((frame) => at >= frame && at + bytes <= frame + PAGE);
  }

  /** Host address of a guest address, whatever the rights. */
  host(ipa: number): number {
    const page = Math.floor((ipa - GUEST_AT) / PAGE);
    const frame = this.#frames[page];
    if (frame === undefined) throw new Error('the test uses an address outside its guest');
    return frame + (ipa % PAGE);
  }

  read(register: number, bytes = 4): number {
    return Number(this.#frontEnd.read(register, bytes));
  }
  write(register: number, value: number, bytes = 4): void {
    this.#frontEnd.write(register, bytes, BigInt(value >>> 0));
  }

  /** Negotiates: accepts `features` (words), sets up nothing, does not say DRIVER_OK. The status after FEATURES_OK. */
  negotiate(features: readonly [number, number]): number {
    this.write(REGISTER.status, 0);
    this.write(REGISTER.status, STATUS.acknowledge | STATUS.driver);
    for (const select of [0, 1] as const) {
      this.write(REGISTER.driverFeaturesSelect, select);
      this.write(REGISTER.driverFeatures, features[select]);
    }
    this.write(REGISTER.status, STATUS.acknowledge | STATUS.driver | STATUS.featuresOk);
    return this.read(REGISTER.status);
  }

  /** Tells the device where a ring is. */
  setUp(ring: Ring): void {
    this.write(REGISTER.queueSelect, ring.index);
    this.write(REGISTER.queueSize, ring.size);
    for (const part of ['descriptors', 'available', 'used'] as const) {
      this.write(REGISTER[part], ring[part] % 2 ** 32);
      this.write(REGISTER[part] + 4, Math.floor(ring[part] / 2 ** 32));
    }
    this.write(REGISTER.queueReady, 1);
  }

  /** DRIVER_OK. */
  go(): void {
    this.write(REGISTER.status, STATUS.acknowledge | STATUS.driver | STATUS.featuresOk | STATUS.driverOk);
  }

  /** Writes descriptor `index` of a table at guest address `table`. */
  describe(table: number, index: number, { address, bytes, flags, next }: DescriptorText): void {
    const at = this.host(table + index * 16);
    this.view.setUint32(at, address % 2 ** 32, true);
    this.view.setUint32(at + 4, Math.floor(address / 2 ** 32), true);
    this.view.setUint32(at + 8, bytes, true);
    this.view.setUint16(at + 12, flags, true);
    this.view.setUint16(at + 14, next, true);
  }

  /** Puts `heads` into the available ring and publishes them. */
  offer(ring: Ring, ...heads: readonly number[]): void {
    const indexAt = this.host(ring.available + 2);
    let index = this.view.getUint16(indexAt, true);
    for (const head of heads) {
      this.view.setUint16(this.host(ring.available + 4 + (index % ring.size) * 2), head, true);
      index = (index + 1) & 0xffff;
    }
    this.view.setUint16(indexAt, index, true);
  }

  /** The used ring: how many entries, and the last of them. */
  used(ring: Ring): { readonly count: number; readonly head: number; readonly written: number } {
    const count = this.view.getUint16(this.host(ring.used + 2), true);
    const at = this.host(ring.used + 4 + ((count + 0xffff) % ring.size) * 8);
    return { count, head: this.view.getUint32(at, true), written: this.view.getUint32(at + 4, true) };
  }

  /** Takes the interrupt, if it is pending. */
  takeInterrupt(): boolean {
    return this.gic.locked(() => {
      const bit = 1 << (INTID & 31);
      const pending = (this.gic.pendingBits(0, INTID & ~31) & bit) !== 0;
      this.gic.setBits('pending', 0, INTID & ~31, bit, 0);
      return pending;
    });
  }
}

// Checked when the module loads: the parts do not overlap.
if (BLOCK_AT + VM_BLOCK_BYTES > GIC_AT || GIC_AT + GIC_STATE_BYTES > STAGE2_AT) throw new Error('parts overlap');
if (STAGE2_AT + STAGE2_ROOT_BYTES > TABLES_AT) throw new Error('parts overlap');
