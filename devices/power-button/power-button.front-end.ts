/** The PL061's registers on a vCPU's thread. */
import type { FrontEndFactory } from '../../actors/shared-state/mmio/front-end.js';
import type { AccessBytes } from '../registers/register-file.js';
import { SharedRegisters } from '../registers/shared-registers.js';
import { Pl061 } from './pl061.js';

/** What the front end needs. */
export interface PowerButtonFrontEndConfig {
  readonly registers: SharedArrayBuffer;
  readonly intid: number;
}

const powerButtonFrontEnd: FrontEndFactory = (config, services) => {
  // WHY: the machine builder made the config for this module.
  const { registers, intid } = config as PowerButtonFrontEndConfig;
  const gpio = new Pl061({ setLevel: (high) => services.setLine(intid, high) });
  const shared = new SharedRegisters(registers, gpio.state);
  return {
    read: (offset, bytes) => BigInt(shared.with(() => gpio.read(offset, bytes as AccessBytes)) >>> 0),
    write(offset, bytes, value) {
      shared.with(() => gpio.write(offset, bytes as AccessBytes, Number(BigInt.asUintN(32, value))));
    },
  };
};
export default powerButtonFrontEnd;
