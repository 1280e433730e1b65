/**
 * What a virtio-input device says of itself (gunyah.md 2.10, virtio 1.2 section 5.8): the device's VM hands it over once, and
 * the driver's stores to `select` and `subsel` in configuration space bring it into the page, without the device.
 */
import { VIRTIO_INPUT_AT, VIRTIO_REGISTER, VIRTIO_STATE_BYTES } from './virtio-mmio.js';

/** Values of `select`. */
export const INPUT_SELECT = { name: 1, serial: 2, ids: 3, properties: 0x10, events: 0x11, axis: 0x12 } as const;
/** Most event types and axes of one device; `subsel` is below them. */
export const INPUT_MAX = { events: 32, axes: 64 } as const;
/** Largest piece of each kind, in bytes. */
export const INPUT_BYTES = { text: 128, ids: 8, properties: 4, events: 128, axis: 20 } as const;

/** Places in the state block: words of numbers, then texts, then the tables. */
const WORD = { nameBytes: 0, serialBytes: 1, events: 2, axes: 3, ids: 4, properties: 6 } as const;
const WORDS_BYTES = 32;
const NAME_AT = VIRTIO_INPUT_AT + WORDS_BYTES;
const SERIAL_AT = NAME_AT + INPUT_BYTES.text;
/** An entry: its subsel plus one (0: free), its size, then the data. */
const HEAD_BYTES = 2;
const EVENTS_AT = SERIAL_AT + INPUT_BYTES.text;
const EVENT_BYTES = HEAD_BYTES + INPUT_BYTES.events;
const AXES_AT = EVENTS_AT + INPUT_MAX.events * EVENT_BYTES;
const AXIS_BYTES = HEAD_BYTES + INPUT_BYTES.axis;
/** Places in configuration space. */
const CONFIG = { select: 0, subsel: 1, size: 2, data: 8 } as const;

type Table = 'events' | 'axes';
const TABLE = {
  events: { at: EVENTS_AT, entryBytes: EVENT_BYTES, dataBytes: INPUT_BYTES.events },
  axes: { at: AXES_AT, entryBytes: AXIS_BYTES, dataBytes: INPUT_BYTES.axis },
} as const;

/** One thread's view of a device's data. The state block was zeroed when the device was made. */
export class VirtioInput {
  readonly #words: Int32Array;
  readonly #state: Uint8Array;
  readonly #config: Uint8Array;

  /** The device with its state at byte `at` of `memory` and its registers at byte `page`. */
  constructor(memory: ArrayBufferLike, at: number, page: number) {
    this.#words = new Int32Array(memory, at + VIRTIO_INPUT_AT, WORDS_BYTES / 4);
    this.#state = new Uint8Array(memory, at, VIRTIO_STATE_BYTES);
    this.#config = new Uint8Array(memory, page + VIRTIO_REGISTER.config);
  }

  /** Identity and property bits. */
  describe(idsLow: number, idsHigh: number, properties: number): void {
    this.#words[WORD.ids] = idsLow;
    this.#words[WORD.ids + 1] = idsHigh;
    this.#words[WORD.properties] = properties;
  }
  /** Makes room for `count` entries; false when there is room already. */
  reserve(table: Table, count: number): boolean {
    if ((this.#words[WORD[table]] ?? 0) !== 0) return false;
    this.#words[WORD[table]] = count;
    return true;
  }
  /** Entries there is room for. */
  count(table: Table): number {
    return Math.min(this.#words[WORD[table]] ?? 0, INPUT_MAX[table]);
  }

  /** Where piece `select` of `bytes` bytes goes; commit it with the answer's `done`. Undefined: there is no such piece. */
  text(select: number): { readonly into: Uint8Array; done(bytes: number): void } | undefined {
    const isName = select === INPUT_SELECT.name;
    if (!isName && select !== INPUT_SELECT.serial) return undefined;
    const at = isName ? NAME_AT : SERIAL_AT;
    const word = isName ? WORD.nameBytes : WORD.serialBytes;
    const done = (bytes: number): void => void (this.#words[word] = bytes);
    return { into: this.#state.subarray(at, at + INPUT_BYTES.text), done };
  }
  /** Sets some of the bytes of the identity or of the property bits. */
  setNumber(select: number, bytes: Uint8Array): void {
    const word = select === INPUT_SELECT.ids ? WORD.ids : WORD.properties;
    this.#state.set(bytes, VIRTIO_INPUT_AT + word * 4);
  }
  /** Adds the entry `subsel`; false when there is no room. */
  add(table: Table, subsel: number, bytes: Uint8Array): boolean {
    const { at, entryBytes } = TABLE[table];
    for (let entry = 0; entry < this.count(table); entry++) {
      const from = at + entry * entryBytes;
      if (this.#state[from] !== 0) continue;
      this.#state.set(bytes, from + HEAD_BYTES);
      this.#state[from + 1] = bytes.length;
      this.#state[from] = subsel + 1;
      return true;
    }
    return false;
  }
  /** Whether an entry more fits. */
  hasRoom(table: Table): boolean {
    const { at, entryBytes } = TABLE[table];
    for (let entry = 0; entry < this.count(table); entry++) if (this.#state[at + entry * entryBytes] === 0) return true;
    return false;
  }

  /** A store of the driver's to configuration space: `select` and `subsel` alone may be written. */
  readonly writeConfig = (offset: number, value: number): boolean => {
    if (offset !== CONFIG.select && offset !== CONFIG.subsel) return false;
    this.#config[offset] = value;
    const data = this.#piece(this.#config[CONFIG.select] ?? 0, this.#config[CONFIG.subsel] ?? 0);
    this.#config.set(data, CONFIG.data);
    this.#config[CONFIG.size] = data.length;
    return true;
  };

  #piece(select: number, subsel: number): Uint8Array {
    const nothing = new Uint8Array(0);
    if (select === INPUT_SELECT.events) return this.#entry('events', subsel);
    if (select === INPUT_SELECT.axis) return this.#entry('axes', subsel);
    if (subsel !== 0) return nothing;
    const words = VIRTIO_INPUT_AT;
    const part = (at: number, bytes: number): Uint8Array => this.#state.subarray(at, at + bytes);
    switch (select) {
      case INPUT_SELECT.name:
        return part(NAME_AT, Math.min(this.#words[WORD.nameBytes] ?? 0, INPUT_BYTES.text));
      case INPUT_SELECT.serial:
        return part(SERIAL_AT, Math.min(this.#words[WORD.serialBytes] ?? 0, INPUT_BYTES.text));
      case INPUT_SELECT.ids:
        return part(words + WORD.ids * 4, INPUT_BYTES.ids);
      case INPUT_SELECT.properties:
        return part(words + WORD.properties * 4, INPUT_BYTES.properties);
      default:
        return nothing;
    }
  }
  #entry(table: Table, subsel: number): Uint8Array {
    const { at, entryBytes, dataBytes } = TABLE[table];
    for (let entry = 0; entry < this.count(table); entry++) {
      const from = at + entry * entryBytes;
      if (this.#state[from] !== subsel + 1) continue;
      const bytes = table === 'axes' ? dataBytes : Math.min(this.#state[from + 1] ?? 0, dataBytes);
      return this.#state.subarray(from + HEAD_BYTES, from + HEAD_BYTES + bytes);
    }
    return new Uint8Array(0);
  }
}
