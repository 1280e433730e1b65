/** PL031 real-time clock as a pure register model (Arm DDI 0224, chapter 3): seconds since the epoch, one alarm. */
import { type AccessBytes, primeCellRegisters } from '../registers/register-file.js';

/** What the model is connected to. */
export interface Pl031Wiring {
  /** Seconds since the epoch by the host's clock. */
  readonly unixSeconds: () => number;
  /** The interrupt line's level, called only when it changes. */
  readonly setLevel: (high: boolean) => void;
  /** The alarm changed: call {@link Pl031.alarmDue} in that many seconds; undefined cancels. */
  readonly setAlarm: (inSeconds: number | undefined) => void;
}

/** The registers; plain data, so that they can be saved. Seconds are unsigned 32-bit. */
export interface Pl031State {
  /** 1 while the interrupt line is high. */
  level: number;
  /** What the guest's clock is ahead of the host's, in seconds, modulo 2^32. */
  offsetSeconds: number;
  match: number;
  load: number;
  mask: number;
  raw: number;
}

/** The model. The clock always runs: RTCCR reads as started and cannot be stopped, as on hardware once started. */
export class Pl031 {
  readonly #wiring: Pl031Wiring;
  readonly state: Pl031State = { level: 0, offsetSeconds: 0, match: 0, load: 0, mask: 0, raw: 0 };

  constructor(wiring: Pl031Wiring) {
    this.#wiring = wiring;
  }

  /** A load of `bytes` at `offset` of the window. */
  read(offset: number, bytes: AccessBytes): number {
    return FILE.read(this, offset, bytes);
  }

  /** A store of the low `bytes` of `value` at `offset` of the window. */
  write(offset: number, bytes: AccessBytes, value: number): void {
    FILE.write(this, offset, bytes, value);
  }

  /** The guest's time, in seconds modulo 2^32. */
  seconds(): number {
    return (Math.floor(this.#wiring.unixSeconds()) + this.state.offsetSeconds) >>> 0;
  }

  /** RTCLR: the guest sets its clock. */
  setSeconds(value: number): void {
    this.state.load = value;
    this.state.offsetSeconds = (value - Math.floor(this.#wiring.unixSeconds())) >>> 0;
    this.armAlarm();
  }

  /** RTCMR: the guest sets its alarm. */
  setMatch(value: number): void {
    this.state.match = value;
    this.armAlarm();
  }

  /** The alarm is due the next time the clock equals the match register, which may be a wrap of 136 years away. */
  armAlarm(): void {
    const inSeconds = (this.state.match - this.seconds()) >>> 0;
    if (inSeconds === 0) this.#wiring.setAlarm(undefined);
    else this.#wiring.setAlarm(inSeconds);
    if (inSeconds === 0) this.#raise();
  }

  /** The host's timer fired. Early firing is harmless: the alarm is armed again for what is left. */
  alarmDue(): void {
    this.armAlarm();
  }

  #raise(): void {
    this.state.raw = 1;
    this.updateLevel();
  }

  updateLevel(): void {
    const level = (this.state.raw & this.state.mask) !== 0;
    if (level === (this.state.level !== 0)) return;
    this.state.level = level ? 1 : 0;
    this.#wiring.setLevel(level);
  }
}

const FILE = primeCellRegisters<Pl031>(
  {
    data: { at: 0x00, read: (rtc) => rtc.seconds() },
    match: { at: 0x04, read: (rtc) => rtc.state.match, write: (rtc, value) => rtc.setMatch(value) },
    load: { at: 0x08, read: (rtc) => rtc.state.load, write: (rtc, value) => rtc.setSeconds(value) },
    control: { at: 0x0c, read: () => 1 },
    mask: {
      at: 0x10,
      read: (rtc) => rtc.state.mask,
      write: (rtc, value) => {
        rtc.state.mask = value & 1;
        rtc.updateLevel();
      },
    },
    raw: { at: 0x14, read: (rtc) => rtc.state.raw },
    masked: { at: 0x18, read: (rtc) => rtc.state.raw & rtc.state.mask },
    clear: {
      at: 0x1c,
      write: (rtc, value) => {
        rtc.state.raw &= ~value;
        rtc.updateLevel();
      },
    },
  },
  [0x31, 0x10, 0x04, 0x00],
);
