/** A network card's registers as a vCPU's thread sees them: those of any virtio device, and the first vCPU helps the card. */
import type { FrontEndFactory } from '../../actors/shared-state/mmio/front-end.js';
import mmioFrontEnd, { type MmioFrontEndConfig } from '../virtio/mmio.front-end.js';
import { type HelperConfig, NetHelper } from './net-helper.js';

/** What the front end needs: the same for every vCPU. */
export interface NetFrontEndConfig extends MmioFrontEndConfig {
  readonly help: HelperConfig;
}

const netFrontEnd: FrontEndFactory = (config, services) => {
  // WHY: the machine builder made the config for this module.
  const { help, ...registers } = config as NetFrontEndConfig;
  if (services.cpu !== 0) return mmioFrontEnd(registers, services);
  const helper = new NetHelper(help, registers.actor, services);
  const helps = (queue: number): boolean => helper.notified(queue);
  return {
    ...mmioFrontEnd({ ...registers, helps }, services),
    rests: (mayGoOn) => helper.rests(mayGoOn),
    wakes: () => helper.wakes(),
  };
};
export default netFrontEnd;
