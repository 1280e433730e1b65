/** The DSDT's AML: CPUs, PL011, virtio-mmio transports and the power button on its GPIO line. */
import type { MachineDescription } from '../description.js';
import { MEMORY_MAP, POWER_BUTTON_LINE, spiToIntid, virtioMmioSlot, type WiredWindow } from '../memory-map.js';
import {
  type Aml,
  device,
  gpioInterrupt,
  integer,
  interrupt,
  memory32,
  method,
  named,
  notify,
  resources,
  scope,
  text,
} from './aml.js';

/** Notification value 0x80 on a control-method power button: it was pressed (ACPI 6.4, table 5.164). */
const NOTIFY_PRESSED = 0x80;
/** Where the UART's device object is; SPCR and DBG2 name it too. */
export const UART_PATH = '\\_SB.COM0';

const windowResources = (window: WiredWindow, trigger: 'level' | 'edge'): Aml =>
  named('_CRS', resources(memory32(window.base, window.sizeBytes), interrupt(spiToIntid(window.spi), trigger)));

const identity = (hid: string, uid: number): readonly Aml[] => [named('_HID', text(hid)), named('_UID', integer(uid))];

/** A three-digit suffix for device names: `C007`, `VR31` needs two. */
const numbered = (prefix: string, index: number): string => prefix + index.toString().padStart(4 - prefix.length, '0');

/** The terms of the DSDT; `extra` lets a platform add devices below `\_SB` (Hyper-V's VMBus). */
export function dsdtTerms(machine: MachineDescription, extra: readonly Aml[] = []): Aml {
  const cpus = Array.from({ length: machine.cpus }, (_, index) =>
    device(numbered('C', index), ...identity('ACPI0007', index)),
  );
  // ARMH0011 is what Linux binds its PL011 driver to; it then treats the port as an SBSA UART of fixed speed.
  const uart = device('COM0', ...identity('ARMH0011', 0), windowResources(MEMORY_MAP.uart, 'level'));
  const virtio = machine.virtioSlots.map((slot) =>
    device(
      numbered('VR', slot),
      ...identity('LNRO0005', slot),
      // _CCA is mandatory on arm64 for a device that does DMA; without it Linux gives the device no DMA operations.
      named('_CCA', integer(1)),
      windowResources(virtioMmioSlot(slot), 'edge'),
    ),
  );
  const gpio = device(
    'GPO0',
    ...identity('ARMH0061', 0),
    windowResources(MEMORY_MAP.gpio, 'level'),
    named('_AEI', resources(gpioInterrupt('\\_SB.GPO0', POWER_BUTTON_LINE))),
    method(`_E0${POWER_BUTTON_LINE}`, notify('\\_SB.PWRB', NOTIFY_PRESSED)),
  );
  const button = device('PWRB', ...identity('PNP0C0C', 0));
  return scope('\\_SB', ...cpus, uart, ...virtio, gpio, button, ...extra);
}
