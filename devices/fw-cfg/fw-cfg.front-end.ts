/**
 * The firmware configuration device on a vCPU's thread. DMA goes through a window of its own onto guest memory, which one
 * vCPU uses at a time, under the lock of the registers.
 */
import { GuestWindow, type WindowPlace } from '../../actors/shared-state/guest-window/guest-window.js';
import type { FrontEndFactory } from '../../actors/shared-state/mmio/front-end.js';
import { SharedRegisters } from '../registers/shared-registers.js';
import { FwCfg } from './fw-cfg.js';

/** What the front end needs. */
export interface FwCfgFrontEndConfig {
  readonly registers: SharedArrayBuffer;
  readonly memory: WebAssembly.Memory;
  readonly place: WindowPlace;
  readonly window: number;
  readonly items: readonly SharedItem[];
}

/** An item in shared memory: kernels and initial RAM disks are large, and every vCPU has them. */
export interface SharedItem {
  readonly key: number;
  readonly bytes: SharedArrayBuffer;
}

const fwCfgFrontEnd: FrontEndFactory = (config) => {
  // WHY: the machine builder made the config for this module.
  const { registers, memory, place, window, items } = config as FwCfgFrontEndConfig;
  const guest = new GuestWindow(memory.buffer, place, window);
  const device = new FwCfg(new Map(items.map(({ key, bytes }) => [key, new Uint8Array(bytes)])), {
    copyOut: (ipa, into) => guest.within(() => guest.copyOut(ipa, into)),
    copyIn: (ipa, from) => guest.within(() => guest.copyIn(ipa, from)),
  });
  const shared = new SharedRegisters(registers, device.state);
  return {
    read: (offset, bytes) => shared.with(() => device.read(offset, bytes)),
    write: (offset, bytes, value) => shared.with(() => device.write(offset, bytes, value)),
  };
};
export default fwCfgFrontEnd;
