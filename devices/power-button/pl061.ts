/** PL061 GPIO as a pure register model (Arm DDI 0190, chapter 3): eight lines, of which the host drives the power button. */
import { assert } from '../../bus/assert.js';
import { type AccessBytes, primeCellRegisters, type Register } from '../registers/register-file.js';

/** What the model is connected to. */
export interface Pl061Wiring {
  /** The interrupt line's level, called only when it changes. */
  readonly setLevel: (high: boolean) => void;
}

/** The registers, a byte each with one bit per line; plain data, so that they can be saved. */
export interface Pl061State {
  /** 1 while the interrupt line is high. */
  level: number;
  /** Levels the host drives on the lines. */
  inputs: number;
  /** Levels the guest drives on lines that are outputs. */
  outputs: number;
  /** 1: output. */
  direction: number;
  /** 1: interrupt by level, 0: by edge. */
  sense: number;
  bothEdges: number;
  /** 1: rising edge or high level. */
  event: number;
  mask: number;
  /** Edges seen and not yet cleared; levels are computed. */
  edges: number;
  alternateFunction: number;
}

const LINES = 8;

/** The model; lines are 0 to 7. */
export class Pl061 {
  readonly #wiring: Pl061Wiring;
  readonly state: Pl061State = {
    level: 0,
    inputs: 0,
    outputs: 0,
    direction: 0,
    sense: 0,
    bothEdges: 0,
    event: 0,
    mask: 0,
    edges: 0,
    alternateFunction: 0,
  };

  constructor(wiring: Pl061Wiring) {
    this.#wiring = wiring;
  }

  /**
   * A load of `bytes` at `offset` of the window. GPIODATA is 1 KiB large: address bits 9 to 2 are a mask of the lines
   * that are read or written (section 3.3.1).
   */
  read(offset: number, bytes: AccessBytes): number {
    return offset < 0x400 && offset % 4 === 0 ? this.lines() & (offset >> 2) : FILE.read(this, offset, bytes);
  }

  /** A store of the low `bytes` of `value` at `offset` of the window. */
  write(offset: number, bytes: AccessBytes, value: number): void {
    if (offset >= 0x400 || offset % 4 !== 0) {
      FILE.write(this, offset, bytes, value);
      return;
    }
    const lines = (offset >> 2) & this.state.direction;
    this.#change(() => {
      this.state.outputs = (this.state.outputs & ~lines) | (value & lines);
    });
  }

  /** Levels of all lines: what the guest drives on outputs, what the host drives on inputs. */
  lines(): number {
    const { direction, outputs, inputs } = this.state;
    return ((outputs & direction) | (inputs & ~direction)) & 0xff;
  }

  /** The host drives `line`. */
  setLine(line: number, high: boolean): void {
    assert(Number.isInteger(line) && line >= 0 && line < LINES, 'a PL061 has lines 0 to 7');
    this.#change(() => {
      const bit = 1 << line;
      this.state.inputs = high ? this.state.inputs | bit : this.state.inputs & ~bit;
    });
  }

  /** Does `change` and records the edges it makes. */
  #change(change: () => void): void {
    const { state } = this;
    const before = this.lines();
    change();
    const after = this.lines();
    const rising = after & ~before;
    const falling = before & ~after;
    const wanted =
      (state.bothEdges & (rising | falling)) | (~state.bothEdges & ((state.event & rising) | (~state.event & falling)));
    state.edges |= wanted & ~state.sense & 0xff;
    this.updateLevel();
  }

  /** GPIORIS: remembered edges, and levels as they are now. */
  rawInterrupts(): number {
    const { sense, event, edges } = this.state;
    const levels = sense & ~(this.lines() ^ event);
    return (edges & ~sense) | (levels & 0xff);
  }

  /** Sets one configuration byte; pending edges stay until they are cleared, as the manual warns. */
  configure(name: 'direction' | 'sense' | 'bothEdges' | 'event' | 'mask' | 'alternateFunction', value: number): void {
    this.#change(() => {
      this.state[name] = value & 0xff;
    });
  }

  updateLevel(): void {
    const level = (this.rawInterrupts() & this.state.mask) !== 0;
    if (level === (this.state.level !== 0)) return;
    this.state.level = level ? 1 : 0;
    this.#wiring.setLevel(level);
  }
}

const configuration = (at: number, name: Parameters<Pl061['configure']>[0]): Register<Pl061> => ({
  at,
  read: (gpio) => gpio.state[name],
  write: (gpio, value) => gpio.configure(name, value),
});

const FILE = primeCellRegisters<Pl061>(
  {
    direction: configuration(0x400, 'direction'),
    sense: configuration(0x404, 'sense'),
    bothEdges: configuration(0x408, 'bothEdges'),
    event: configuration(0x40c, 'event'),
    mask: configuration(0x410, 'mask'),
    rawInterrupts: { at: 0x414, read: (gpio) => gpio.rawInterrupts() },
    maskedInterrupts: { at: 0x418, read: (gpio) => gpio.rawInterrupts() & gpio.state.mask },
    interruptClear: {
      at: 0x41c,
      write: (gpio, value) => {
        gpio.state.edges &= ~value;
        gpio.updateLevel();
      },
    },
    alternateFunction: configuration(0x420, 'alternateFunction'),
  },
  [0x61, 0x10, 0x04, 0x00],
);
