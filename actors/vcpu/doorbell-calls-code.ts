/**
 * doorbell_send and doorbell_receive as WebAssembly: what Doorbell (bus/doorbell) does in the same order on the same words, for a bell
 * whose lock is free and that nobody taps, where a send raises its line. All else is left to the JavaScript before anything has changed.
 */
import { DoorbellState } from '../../bus/doorbell/doorbell.js';
import { i32, type Val } from '../../cpu/wasm/body.js';
import { GUNYAH_ERROR } from '../abi/gunyah/errors.js';
import { RIGHTS } from '../abi/gunyah/rights.js';
import { SOURCE } from '../shared-state/objects/object-table.js';
import { CallFrame } from './call-frame.js';

const { offsets } = DoorbellState;
type Half = 'Low' | 'High';

/** Either call. */
export class DoorbellCall extends CallFrame {
  emit(): void {
    const { e } = this;
    const { send, receive } = RIGHTS.doorbell;
    const object = this.lookUp('doorbell', this.isSend ? send : receive);
    const bell = this.dataOf(object);
    this.if(e.load(bell, offsets.tapped));
    const [low, high] = [e.keep(this.lo(1)), e.keep(this.hi(1))];
    if (!this.isSend) this.unless(e.op('i32.or', low, high));
    const lock = e.add(bell, i32(offsets.lock));
    this.acquire(lock);
    const [oldLow, oldHigh] = [this.#flags(bell, 'Low'), this.#flags(bell, 'High')];
    if (this.isSend) this.#send(object, bell, lock, { low, high, oldLow, oldHigh });
    else {
      this.#setFlags(bell, 'Low', this.#without(oldLow, low));
      this.#setFlags(bell, 'High', this.#without(oldHigh, high));
    }
    this.releaseAndRing(lock);
    if (this.isSend) this.unpark(bell, offsets.sleepers);
    e.wideResult(this.state, 1, oldLow, oldHigh);
    this.answer(GUNYAH_ERROR.ok);
  }

  #send(object: Val, bell: Val, lock: Val, { low, high, oldLow, oldHigh }: Readonly<Record<FlagWord, Val>>): void {
    const { e } = this;
    const [nowLow, nowHigh] = [e.keep(e.op('i32.or', oldLow, low)), e.keep(e.op('i32.or', oldHigh, high))];
    const enabled = (half: Half, flags: Val): Val => e.op('i32.and', flags, e.load(bell, offsets[`enable${half}`]));
    this.giveUpIf(e.not(e.op('i32.or', enabled('Low', nowLow), enabled('High', nowHigh))), lock);
    this.#setFlags(bell, 'Low', nowLow);
    this.#setFlags(bell, 'High', nowHigh);
    this.edge(object, SOURCE.first);
    for (const [half, flags] of [
      ['Low', nowLow],
      ['High', nowHigh],
    ] as const) {
      const acknowledged = e.load(bell, offsets[`ack${half}`]);
      e.when(acknowledged, () => this.#setFlags(bell, half, this.#without(flags, acknowledged)));
    }
  }

  #flags(bell: Val, half: Half): Val {
    return this.e.keep(this.e.load(bell, offsets[`flags${half}`]));
  }
  /** The lock's release orders these. */
  #setFlags(bell: Val, half: Half, value: Val): void {
    this.e.store(bell, value, offsets[`flags${half}`]);
  }
  #without(flags: Val, taken: Val): Val {
    return this.e.op('i32.and', flags, this.e.op('i32.xor', taken, i32(-1)));
  }
}

type FlagWord = 'low' | 'high' | 'oldLow' | 'oldHigh';
