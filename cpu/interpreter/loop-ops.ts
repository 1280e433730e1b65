/**
 * The interpreter's reading of the semantics inside its main loop: as handler-ops.ts, but operands come from the loop's
 * own locals and control moves by branching to the loop's labels instead of returning.
 */

import { EXIT, EXIT_AFTER, type ExitReason, STATE, WORK } from '../state.js';
import { type FunctionBody, i32, i64, isConstant, type Val } from '../wasm/body.js';
import type { HelperIndex } from './handler-ops.js';
import { HandlerOps } from './handler-ops.js';
import { RECORD, RECORD_BYTES } from './record.js';

/** Backward branches (to itself too) and computed branches to one place before it is reported as hot. */
export const HOT_THRESHOLD = 1_000;

/** The loop's locals and labels (block depths). */
export interface LoopFrame {
  readonly state: Val;
  /** Address of the current record. */
  readonly record: Val;
  /** Address of the current page's first record. */
  readonly base: Val;
  /** Address of the current page minus base / 4, so that pc = delta + record / 4. */
  readonly delta: Val;
  /** Label: execute the record at `record`. */
  readonly next: number;
  /** Label: continue at STATE.pc, wherever that is. */
  readonly elsewhere: number;
}

/** See the head of this file. */
export class LoopOps extends HandlerOps {
  override readonly state: Val;
  override readonly record: Val;
  readonly #frame: LoopFrame;

  constructor(body: FunctionBody, helperIndex: HelperIndex, frame: LoopFrame) {
    super(body, helperIndex);
    this.#frame = frame;
    this.state = frame.state;
    this.record = frame.record;
  }

  override pc(): Val {
    return this.add(this.#frame.delta, this.extendU(this.shrU(this.record, i32(2))));
  }

  protected override finishInstruction(): void {
    if (this.left) return;
    this.assign(this.record, this.add(this.record, i32(RECORD_BYTES)));
    this.body.branch(this.#frame.next);
  }

  protected override leave(reason: ExitReason): void {
    if (reason === EXIT.jumped) {
      this.body.branch(this.#frame.elsewhere);
      return;
    }
    if (reason < EXIT_AFTER) this.stateStore('u64', STATE.pc, this.pc());
    this.body.return(i32(reason));
  }

  override jump(offset: Val): void {
    const target = this.add(this.record, this.shl(this.wrap(offset), i32(2)));
    const inPage = this.ltU(this.sub(target, this.#frame.base), i32(1024 * RECORD_BYTES));
    this.if(inPage, () => {
      if (!isConstant(offset)) this.if(this.ltS(offset, i64(1)), () => this.#countBackward(target, offset));
      this.assign(this.record, target);
      this.body.branch(this.#frame.next);
    });
    super.jump(offset);
  }

  /** Accounts for a backward branch: budget, and the target's heat. */
  #countBackward(target: Val, offset: Val): void {
    // The offset is in bytes and not positive: the instructions of the loop, and a little for one that is its own.
    const work = this.sub(i32(2 * WORK.interpreted), this.mul(this.wrap(offset), i32(WORK.interpreted / 4)));
    emitCount(this, target, work, (reason) => {
      this.stateStore('u64', STATE.pc, this.add(this.pc(), offset));
      this.body.return(i32(reason));
    });
  }
}

/** Takes `work` off the budget and counts an arrival at `record`; `leave` is emitted for each reason to stop. */
export function emitCount(k: HandlerOps, record: Val, work: Val, leave: (reason: ExitReason) => void): void {
  const budget = k.sub(k.stateLoad('u32', STATE.budget), work);
  k.stateStore('u32', STATE.budget, budget);
  k.if(k.op('i32.le_s', budget, i32(0)), () => leave(EXIT.pause));
  const count = k.add(k.body.load(0x2f, 'i32', 1, record, RECORD.count), i32(1));
  k.body.store(0x3b, 1, record, count, RECORD.count);
  k.if(k.eq(count, i32(HOT_THRESHOLD)), () => leave(EXIT.hot));
}
