/**
 * The calls of a virtio-mmio device's own side (gunyah.md 2.10), which complete on the calling vCPU's thread: the device is
 * shared state (shared-state/objects/virtio-mmio.ts). Making a device and binding its interrupts are slow calls.
 */
import { INPUT_BYTES, INPUT_MAX, INPUT_SELECT, type VirtioInput } from '../../shared-state/objects/virtio-input.js';
import type { VirtioMmio } from '../../shared-state/objects/virtio-mmio.js';
import type { CallRegisters, FastHandler, GunyahCaller } from './caller.js';
import { COPY_ERROR, GUNYAH_ERROR } from './errors.js';

const E = GUNYAH_ERROR;
/** Features 32 to 63 that a device must offer (VERSION_1, ACCESS_PLATFORM), and one that it must not (NOTIFICATION_DATA). */
const HIGH_FEATURES = { select: 1, needed: 3, refused: 0x40 } as const;

const word = (r: CallRegisters, index: number): number => r.lo(index) >>> 0;
/** A call that is about the device alone. */
const device =
  (handle: (device: VirtioMmio, r: CallRegisters) => number): FastHandler =>
  (caller, r, [object = 0]) =>
    handle(caller.ports.virtio(object).device, r);
/** What a selector out of range is answered. */
const inRange = (is: boolean): number => (is ? E.ok : E.argumentInvalid);

/** `size` bytes of the guest's memory at the address in argument `data`. */
function copied(caller: GunyahCaller, r: CallRegisters, bytesMax: number): Uint8Array | number {
  const size = word(r, 3);
  if (size === 0 || size > bytesMax) return E.argumentSize;
  const bytes = new Uint8Array(size);
  const fault = caller.copyIn(r.lo(4), r.hi(4), size, bytes, 0);
  return fault === undefined ? bytes : COPY_ERROR[fault];
}

/** A piece that there is one of; subsel must be 0. A name whose copy failed is no name. */
function setPiece(caller: GunyahCaller, r: CallRegisters, input: VirtioInput, select: number): number {
  if (word(r, 2) !== 0) return E.argumentInvalid;
  const text = input.text(select);
  const isIds = select === INPUT_SELECT.ids;
  const max = text !== undefined ? INPUT_BYTES.text : isIds ? INPUT_BYTES.ids : INPUT_BYTES.properties;
  const bytes = copied(caller, r, max);
  if (text === undefined) {
    if (typeof bytes !== 'number') input.setNumber(select, bytes);
  } else {
    if (typeof bytes !== 'number') text.into.set(bytes);
    text.done(typeof bytes === 'number' ? 0 : bytes.length);
  }
  return typeof bytes === 'number' ? bytes : E.ok;
}

/** An entry of a table that virtio_input_configure has made room in. */
function addEntry(caller: GunyahCaller, r: CallRegisters, input: VirtioInput, table: 'events' | 'axes'): number {
  const subsel = word(r, 2);
  if (input.count(table) === 0 || subsel >= INPUT_MAX[table]) return E.argumentInvalid;
  if (!input.hasRoom(table)) return E.noResources;
  const bytes = copied(caller, r, table === 'events' ? INPUT_BYTES.events : INPUT_BYTES.axis);
  if (typeof bytes === 'number') return bytes;
  return input.add(table, subsel, bytes) ? E.ok : E.noResources;
}

/** The handlers by number. */
export const VIRTIO_CALLS: Readonly<Record<number, FastHandler>> = {
  78: device((of, r) => (of.assertInterrupt(r.lo(1)) ? E.ok : E.denied)),
  79: device((of, r) => {
    const [select, features] = [word(r, 1), word(r, 2)];
    const { needed, refused } = HIGH_FEATURES;
    const isFit = (features & needed) === needed && (features & refused) === 0;
    if (select === HIGH_FEATURES.select && !isFit) return E.denied;
    return inRange(of.offerFeatures(select, features));
  }),
  80: device((of, r) => inRange(of.setQueueNumMax(word(r, 1), r.lo(2)))),
  81: device((of, r) => {
    const features = of.driverFeatures(word(r, 1));
    r.setResult(1, features ?? 0, 0);
    return inRange(features !== undefined);
  }),
  82: device((of, r) => {
    const info = of.queueInfo(word(r, 1));
    if (info === undefined) return E.argumentInvalid;
    r.setResult(1, info.num, 0);
    r.setResult(2, info.ready, 0);
    r.setResult(3, ...info.desc);
    r.setResult(4, ...info.driver);
    r.setResult(5, ...info.device);
    return E.ok;
  }),
  83: device((of, r) => {
    const { queues, reason } = of.takeNotification();
    r.setResult(1, queues, 0);
    r.setResult(2, reason, 0);
    return E.ok;
  }),
  84: device((of) => {
    of.acknowledgeReset();
    return E.ok;
  }),
  85: device((of, r) => {
    of.updateStatus(r.lo(1));
    return E.ok;
  }),
  94: (caller, r, [object = 0]) => {
    const { input } = caller.ports.virtio(object);
    if (input === undefined) return E.objectConfig;
    const [events, axes] = [word(r, 3), word(r, 4)];
    input.describe(r.lo(1), r.hi(1), r.lo(2));
    if (events > INPUT_MAX.events || axes > INPUT_MAX.axes) return E.argumentInvalid;
    if (events > 0 && !input.reserve('events', events)) return E.busy;
    return axes > 0 && !input.reserve('axes', axes) ? E.busy : E.ok;
  },
  95: (caller, r, [object = 0]) => {
    const { input } = caller.ports.virtio(object);
    if (input === undefined) return E.wrongObjectType;
    const select = word(r, 1);
    switch (select) {
      case INPUT_SELECT.name:
      case INPUT_SELECT.serial:
      case INPUT_SELECT.ids:
      case INPUT_SELECT.properties:
        return setPiece(caller, r, input, select);
      case INPUT_SELECT.events:
        return addEntry(caller, r, input, 'events');
      case INPUT_SELECT.axis:
        return addEntry(caller, r, input, 'axes');
      default:
        return E.argumentInvalid;
    }
  },
};
