/**
 * PL011 UART as a pure register model (Arm DDI 0183, chapter 3). Characters go out through `transmit` at once, so the
 * transmit FIFO is always empty; characters come in through {@link receive}. No clock: a receive-timeout interrupt is
 * raised as soon as the FIFO holds anything, which drivers cannot tell from a very fast line.
 */
import { type AccessBytes, primeCellRegisters } from '../registers/register-file.js';

/** What the model is connected to. */
export interface Pl011Wiring {
  /** A character the guest sent, 0 to 255. */
  readonly transmit: (byte: number) => void;
  /** The interrupt line's level, called only when it changes. */
  readonly setLevel: (high: boolean) => void;
  /** The guest took characters out of a full FIFO: there is room for {@link Pl011.room} more. */
  readonly roomAgain?: () => void;
}

/** The model's registers and FIFO; plain data, so that it can be saved. */
export interface Pl011State {
  /** 1 while the interrupt line is high. */
  level: number;
  control: number;
  lineControl: number;
  integerBaud: number;
  fractionalBaud: number;
  fifoLevels: number;
  dmaControl: number;
  interruptMask: number;
  rawInterrupts: number;
  /** Received words: the character, with error bits at 8 to 11 as UARTDR has them. */
  readonly fifo: number[];
  receiveStatus: number;
}

const FIFO_DEPTH = 16;
/** UARTCR bits. */
const CONTROL = { enable: 1 << 0, loopback: 1 << 7, transmit: 1 << 8, receive: 1 << 9, reset: 0x300 } as const;
/** UARTLCR_H.FEN. */
const FIFO_ENABLE = 1 << 4;
/** UARTFR bits. */
const FLAG = { receiveEmpty: 1 << 4, receiveFull: 1 << 6, transmitEmpty: 1 << 7 } as const;
/** Interrupt bits of UARTIMSC, UARTRIS, UARTMIS and UARTICR. */
const INTERRUPT = { receive: 1 << 4, transmit: 1 << 5, receiveTimeout: 1 << 6, overrun: 1 << 10, all: 0x7ff } as const;
/** Error bits in UARTDR; UARTRSR holds them four lower. */
const DATA_BREAK = 1 << 10;
const STATUS_OVERRUN = 1 << 3;
/** UARTIFLS.RXIFLSEL: FIFO level at which the receive interrupt is raised. */
const RECEIVE_LEVELS = [2, 4, 8, 12, 14] as const;

/** The model; {@link Pl011.read} and {@link Pl011.write} are what the guest's loads and stores become. */
export class Pl011 {
  readonly #wiring: Pl011Wiring;
  readonly state: Pl011State;

  constructor(wiring: Pl011Wiring) {
    this.#wiring = wiring;
    this.state = {
      level: 0,
      control: CONTROL.reset,
      lineControl: 0,
      integerBaud: 0,
      fractionalBaud: 0,
      fifoLevels: 0x12,
      dmaControl: 0,
      interruptMask: 0,
      rawInterrupts: 0,
      fifo: [],
      receiveStatus: 0,
    };
  }

  /** Characters the receive FIFO still takes: 16, or 1 with the FIFO disabled, when empty. */
  get room(): number {
    return Math.max(0, this.#depth - this.state.fifo.length);
  }

  get #depth(): number {
    return this.state.lineControl & FIFO_ENABLE ? FIFO_DEPTH : 1;
  }

  /** A load of `bytes` at `offset` of the window. */
  read(offset: number, bytes: AccessBytes): number {
    return FILE.read(this, offset, bytes);
  }

  /** A store of the low `bytes` of `value` at `offset` of the window. */
  write(offset: number, bytes: AccessBytes, value: number): void {
    FILE.write(this, offset, bytes, value);
  }

  /** A character arrives. One too many is lost and counted as an overrun; a host that asks {@link room} loses none. */
  receive(byte: number): void {
    this.#push(byte & 0xff);
  }

  /** The line is held low for longer than a character: a break condition. */
  receiveBreak(): void {
    this.#push(DATA_BREAK);
  }

  #push(word: number): void {
    const { state } = this;
    if (this.room === 0) {
      state.receiveStatus |= STATUS_OVERRUN;
      state.rawInterrupts |= INTERRUPT.overrun;
    } else {
      state.fifo.push(word);
      if (state.fifo.length >= this.#triggerLevel) state.rawInterrupts |= INTERRUPT.receive;
      state.rawInterrupts |= INTERRUPT.receiveTimeout;
    }
    this.updateLevel();
  }

  get #triggerLevel(): number {
    if (this.#depth === 1) return 1;
    return RECEIVE_LEVELS[(this.state.fifoLevels >> 3) & 7] ?? FIFO_DEPTH / 2;
  }

  /** Reading UARTDR takes a character; with none there the last answer is as good as any. */
  takeData(): number {
    const { state } = this;
    const wasFull = this.room === 0;
    const word = state.fifo.shift() ?? 0;
    state.receiveStatus = (state.receiveStatus & STATUS_OVERRUN) | ((word >> 8) & 7);
    if (state.fifo.length < this.#triggerLevel) state.rawInterrupts &= ~INTERRUPT.receive;
    if (state.fifo.length === 0) state.rawInterrupts &= ~INTERRUPT.receiveTimeout;
    this.updateLevel();
    if (wasFull && this.room > 0) this.#wiring.roomAgain?.();
    return word;
  }

  /** Writing UARTDR sends a character, or receives it back in loopback mode. */
  sendData(value: number): void {
    const { state } = this;
    // Linux and firmware print before they enable the UART; QEMU and hardware models let them, and so do we.
    if (state.control & CONTROL.loopback) this.#push(value & 0xff);
    else this.#wiring.transmit(value & 0xff);
    state.rawInterrupts |= INTERRUPT.transmit;
    this.updateLevel();
  }

  flags(): number {
    const { fifo } = this.state;
    const receive = fifo.length === 0 ? FLAG.receiveEmpty : 0;
    return FLAG.transmitEmpty | receive | (this.room === 0 ? FLAG.receiveFull : 0);
  }

  /** UARTLCR_H: turning the FIFO off or on empties it. */
  setLineControl(value: number): void {
    const { state } = this;
    if ((state.lineControl ^ value) & FIFO_ENABLE) {
      state.fifo.length = 0;
      state.rawInterrupts &= ~(INTERRUPT.receive | INTERRUPT.receiveTimeout);
    }
    state.lineControl = value & 0xff;
    this.updateLevel();
  }

  /** Tells the interrupt controller when the masked interrupts changed between none and some. */
  updateLevel(): void {
    const level = (this.state.rawInterrupts & this.state.interruptMask) !== 0;
    if (level === (this.state.level !== 0)) return;
    this.state.level = level ? 1 : 0;
    this.#wiring.setLevel(level);
  }
}

const FILE = primeCellRegisters<Pl011>(
  {
    data: { at: 0x000, read: (uart) => uart.takeData(), write: (uart, value) => uart.sendData(value) },
    receiveStatus: {
      at: 0x004,
      read: (uart) => uart.state.receiveStatus,
      write: (uart) => {
        uart.state.receiveStatus = 0;
      },
    },
    flags: { at: 0x018, read: (uart) => uart.flags() },
    integerBaud: {
      at: 0x024,
      read: (uart) => uart.state.integerBaud,
      write: (uart, value) => {
        uart.state.integerBaud = value & 0xffff;
      },
    },
    fractionalBaud: {
      at: 0x028,
      read: (uart) => uart.state.fractionalBaud,
      write: (uart, value) => {
        uart.state.fractionalBaud = value & 0x3f;
      },
    },
    lineControl: {
      at: 0x02c,
      read: (uart) => uart.state.lineControl,
      write: (uart, value) => uart.setLineControl(value),
    },
    control: {
      at: 0x030,
      read: (uart) => uart.state.control,
      write: (uart, value) => {
        uart.state.control = value & 0xffff;
      },
    },
    fifoLevels: {
      at: 0x034,
      read: (uart) => uart.state.fifoLevels,
      write: (uart, value) => {
        uart.state.fifoLevels = value & 0x3f;
      },
    },
    interruptMask: {
      at: 0x038,
      read: (uart) => uart.state.interruptMask,
      write: (uart, value) => {
        uart.state.interruptMask = value & INTERRUPT.all;
        uart.updateLevel();
      },
    },
    rawInterrupts: { at: 0x03c, read: (uart) => uart.state.rawInterrupts },
    maskedInterrupts: { at: 0x040, read: (uart) => uart.state.rawInterrupts & uart.state.interruptMask },
    interruptClear: {
      at: 0x044,
      write: (uart, value) => {
        uart.state.rawInterrupts &= ~value;
        uart.updateLevel();
      },
    },
    dmaControl: {
      at: 0x048,
      read: (uart) => uart.state.dmaControl,
      write: (uart, value) => {
        uart.state.dmaControl = value & 7;
      },
    },
  },
  // PL011 revision r1p5.
  [0x11, 0x10, 0x34, 0x00],
);
