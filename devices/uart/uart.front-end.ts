/** The PL011's registers on a vCPU's thread. Sent bytes are collected and announced by line, by 64, or at a pause. */

import { ByteStream } from '../../actors/shared-state/byte-stream/byte-stream.js';
import type { FrontEndFactory } from '../../actors/shared-state/mmio/front-end.js';
import type { AccessBytes } from '../registers/register-file.js';
import { SharedRegisters } from '../registers/shared-registers.js';
import { Pl011 } from './pl011.js';
import type { UartFrontEndConfig } from './uart.config.js';

const ANNOUNCE_BYTES = 64;
const NEWLINE = 10;
/** A console that takes nothing for this long loses bytes, rather than stopping the guest for ever; in milliseconds. */
const FULL_MS_MAX = 1_000;

const uartFrontEnd: FrontEndFactory = (config, services) => {
  // WHY: the machine builder made the config for this module.
  const { registers, transmitted, intid, console } = config as UartFrontEndConfig;
  const stream = new ByteStream(transmitted);
  let unannounced = 0;
  let lossy = false;
  const announce = (): void => {
    if (unannounced === 0) return;
    unannounced = 0;
    services.ring(console);
  };
  const transmit = (byte: number): void => {
    if (!stream.push(byte)) {
      services.ring(console);
      if (!lossy) lossy = !stream.space.park(() => stream.room > 0, 0, FULL_MS_MAX);
      if (!stream.push(byte)) return;
    }
    lossy = false;
    unannounced++;
    if (byte === NEWLINE || unannounced >= ANNOUNCE_BYTES) announce();
  };
  const uart = new Pl011({
    transmit,
    setLevel: (high) => services.setLine(intid, high),
    roomAgain: () => services.ring(console),
  });
  const shared = new SharedRegisters(registers, uart.state, uart.state.fifo);
  // WHY: the core makes accesses of 1, 2, 4 or 8 bytes only.
  return {
    read: (offset, bytes) => BigInt(shared.with(() => uart.read(offset, bytes as AccessBytes)) >>> 0),
    write(offset, bytes, value) {
      shared.with(() => uart.write(offset, bytes as AccessBytes, Number(BigInt.asUintN(32, value))));
    },
    settle: announce,
  };
};
export default uartFrontEnd;
