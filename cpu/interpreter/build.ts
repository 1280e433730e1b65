/**
 * Generates the interpreter's WebAssembly module from the instruction table. Exports:
 *  - `run(state) -> reason`: executes guest code from STATE.pc until there is a reason to stop, through compiled regions
 *    where they exist and the interpreter loop elsewhere;
 *  - `step(state) -> reason`: executes exactly one instruction by its handler.
 * Imports the shared memory, the region table and the helpers; only this module imports the table (cpu-measurements 3).
 */

import { HASH_MULTIPLIER, JUMP_CONTEXT_SHIFT, JUMP_GROUP, PAGE_CONTEXT_SHIFT } from '../code-cache-index.js';
import type { Instruction } from '../isa/instruction.js';
import { EXIT, EXIT_AFTER, JUMP_CACHE, PAGE_CACHE, STATE, WORK } from '../state.js';
import { FunctionBody, i32, i64, type Val } from '../wasm/body.js';
import { ModuleBuilder } from '../wasm/module.js';
import { addCacheOps } from './cache-ops.js';
import { emitEret, emitInterrupt } from './exception-ops.js';
import { HandlerOps } from './handler-ops.js';
import { emitCount, LoopOps } from './loop-ops.js';
import { operandBits } from './operand-use.js';
import { READS_SECTION } from './pre-decode.js';
import { addReach } from './reach.js';
import { addRecall } from './recall.js';
import { HANDLER, HandlerNumbers, RECORD, RECORD_BYTES, REGION_BIT, variantValues } from './record.js';

/** Helpers that handlers may call: name -> number of i32 arguments besides the state address. All return i32. */
export type HelperTable = Readonly<Record<string, number>>;

/** A generated interpreter. */
export interface InterpreterModule {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly numbers: HandlerNumbers;
}

/** Generates the interpreter for `table`. */
export function buildInterpreter(table: readonly Instruction[], helpers: HelperTable): InterpreterModule {
  const numbers = new HandlerNumbers(table);
  const module = new ModuleBuilder();
  const helperIndex = new Map<string, number>();
  const decode = module.importFunction('decode', ['i32', 'i32'], []);
  for (const [name, count] of Object.entries(helpers)) {
    helperIndex.set(name, module.importFunction(name, ['i32', ...new Array<'i32'>(count).fill('i32')], ['i32']));
  }
  const indexOf = (name: string): number => {
    const index = helperIndex.get(name);
    if (index === undefined) throw new Error(`semantics call the unknown helper ${name}`);
    return index;
  };
  module.importTable();
  addCacheOps(module, helperIndex, addReach(module, helperIndex));
  const decodeIndex = addRecall(module, decode);
  const handlerType = module.type(['i32', 'i32', 'i64'], ['i32']);
  const runType = module.type(['i32'], ['i32']);

  const undefinedHandler = module.declare(handlerType);
  module.setBody(undefinedHandler, undefinedBody(indexOf));
  const slots: number[] = new Array<number>(numbers.count).fill(undefinedHandler);
  const reads = new Uint8Array(numbers.count);
  for (const entry of table) {
    for (let variant = 0; variant < entry.variantCount; variant++) {
      const index = module.declare(handlerType);
      const ops = new HandlerOps(new FunctionBody(['i32', 'i32', 'i64']), indexOf);
      ops.runInstruction(entry, variantValues(entry, variant));
      module.setBody(index, ops.body.finish());
      slots[numbers.at(entry, variant)] = index;
      reads[numbers.at(entry, variant)] = operandBits(entry, ops.readRegisters);
    }
  }
  module.ownTable(slots);

  const frame: ModuleFrame = { table, numbers, indexOf, decodeIndex, handlerType, runType };
  const interpret = module.declare(runType);
  module.setBody(interpret, interpretBody(frame));
  const step = module.declare(runType);
  module.setBody(step, stepBody(frame));
  const run = module.declare(runType);
  const exceptions = module.declare(module.type(['i32', 'i32'], ['i32']));
  module.setBody(exceptions, exceptionsBody(frame));
  const pieces = module.declare(module.type(['i32', 'i32'], ['i32']));
  module.setBody(pieces, piecesBody(frame, exceptions));
  module.setBody(run, runBody(frame, interpret, step, pieces));
  module.exportFunction('run', run);
  module.exportFunction('step', step);
  module.customSection(READS_SECTION, reads);
  return { bytes: module.build(), numbers };
}

/** What the three driver functions need to know of the module. */
interface ModuleFrame {
  readonly table: readonly Instruction[];
  readonly numbers: HandlerNumbers;
  readonly indexOf: (name: string) => number;
  readonly decodeIndex: number;
  readonly handlerType: number;
  readonly runType: number;
}

const HANDLER_TABLE = 1;
/** Asynchronous exceptions in STATE.interrupts: A, I and F. */
const INTERRUPTS = 0x1c0;
/** Looks in one WFI, some microseconds: timers are not looked at meanwhile. */
const WAIT_LOOKS_MAX = 4_000;

function undefinedBody(indexOf: (name: string) => number): Uint8Array {
  const ops = new HandlerOps(new FunctionBody(['i32', 'i32', 'i64']), indexOf);
  ops.exit(EXIT.undefined);
  ops.body.unreachable();
  return ops.body.finish();
}

/** Emits the page-cache look-up of `pc`; returns the record address, leaving with `miss()` when it is not there. */
function emitFindRecord(k: HandlerOps, pc: Val, base: Val, miss: () => void): Val {
  const context = k.stateLoad('u32', STATE.context);
  const hash = k.shrU(emitPageHash(k, pc), i32(32 - PAGE_CACHE.entriesLog2));
  const mixed = k.xor(hash, k.shl(context, i32(PAGE_CONTEXT_SHIFT)));
  const index = k.and(mixed, i32((1 << PAGE_CACHE.entriesLog2) - 1));
  const entry = k.add(k.state, k.shl(index, i32(PAGE_CACHE.entryBytesLog2)));
  // A misaligned pc keeps its low bits in the comparison, so it misses and the core raises the fault.
  const key = k.or(k.and(pc, i64(~0xffcn)), k.extendU(k.shl(context, i32(2))));
  const tag = k.body.load(0x29, 'i64', 3, entry, PAGE_CACHE.at + PAGE_CACHE.tag);
  k.if(k.ne(key, tag), miss);
  k.assign(base, k.body.load(0x28, 'i32', 2, entry, PAGE_CACHE.at + PAGE_CACHE.record));
  return k.add(base, k.shl(k.and(k.wrap(pc), i32(0xffc)), i32(2)));
}

/** The interpreter loop; see the head of this file. */
function interpretBody(frame: ModuleFrame): Uint8Array {
  const body = new FunctionBody(['i32']);
  const state = body.param(0, 'i32');
  const record = body.local('i32');
  const base = body.local('i32');
  const delta = body.local('i64');
  const handler = body.local('i32');
  const elsewhere = body.loop();
  {
    const loopFrame = { state, record, base, delta, next: 0, elsewhere };
    const k = new LoopOps(body, frame.indexOf, loopFrame);
    const pc = k.stateLoad('u64', STATE.pc);
    k.assign(
      record,
      emitFindRecord(k, pc, base, () => body.return(i32(EXIT.page))),
    );
    k.assign(delta, k.sub(k.and(pc, i64(~0xfffn)), k.extendU(k.shrU(base, i32(2)))));
    emitCount(k, record, i32(WORK.elsewhere), (reason) => body.return(i32(reason)));
    body.resetTemporaries();
  }
  const next = body.loop();
  const k = new LoopOps(body, frame.indexOf, { state, record, base, delta, next, elsewhere });
  k.assign(handler, body.load(0x2f, 'i32', 1, record, RECORD.handler));
  const hot = frame.table.filter((entry) => entry.hot);
  const hotCount = HANDLER.first + hot.reduce((sum, entry) => sum + entry.variantCount, 0);
  const otherwise = body.block();
  const labels: number[] = [];
  for (let i = hotCount - 1; i >= 0; i--) labels[i] = body.block();
  body.branchTable(handler, labels, otherwise);
  const open = (emit: () => void): void => {
    body.end();
    body.resetTemporaries();
    emit();
  };
  open(() => {
    body.call(frame.decodeIndex, [state, record]);
    // A page of new code has no backward branch: decoding takes so long that the budget is looked at each time.
    k.if(k.op('i32.le_s', k.stateLoad('u32', STATE.budget), i32(0)), () => {
      k.stateStore('u64', STATE.pc, k.pc());
      body.return(i32(EXIT.pause));
    });
    body.branch(next);
  });
  open(() => {
    k.stateStore('u64', STATE.pc, k.pc());
    body.branch(elsewhere);
  });
  open(() => body.branch(otherwise));
  for (const entry of hot) {
    for (let variant = 0; variant < entry.variantCount; variant++) {
      open(() => k.runInstruction(entry, variantValues(entry, variant)));
    }
  }
  open(() => {
    const pc = k.copy(k.pc());
    k.if(k.and(handler, i32(REGION_BIT)), () => {
      k.stateStore('u64', STATE.pc, pc);
      body.return(i32(EXIT.region));
    });
    const reason = body.callIndirect(frame.handlerType, HANDLER_TABLE, handler, [state, record, pc], 'i32');
    k.if(k.eqz(reason), () => {
      k.assign(record, k.add(record, i32(RECORD_BYTES)));
      body.branch(next);
    });
    k.if(k.eq(reason, i32(EXIT.jumped)), () => body.branch(elsewhere));
    k.if(k.op('i32.lt_u', reason, i32(EXIT_AFTER)), () => k.stateStore('u64', STATE.pc, pc));
    body.return(reason);
  });
  body.end();
  body.end();
  body.unreachable();
  return body.finish();
}

/** One instruction by its handler. */
function stepBody(frame: ModuleFrame): Uint8Array {
  const body = new FunctionBody(['i32']);
  const base = body.local('i32');
  const state = body.param(0, 'i32');
  const k = new LoopOps(body, frame.indexOf, {
    state,
    record: base,
    base,
    delta: i64(0),
    next: 0,
    elsewhere: 0,
  });
  const pc = k.stateLoad('u64', STATE.pc);
  const record = emitFindRecord(k, pc, base, () => body.return(i32(EXIT.page)));
  const handler = k.variable('i32', k.and(body.load(0x2f, 'i32', 1, record, RECORD.handler), i32(REGION_BIT - 1)));
  k.if(k.eqz(handler), () => {
    body.call(frame.decodeIndex, [state, record]);
    k.assign(handler, k.and(body.load(0x2f, 'i32', 1, record, RECORD.handler), i32(REGION_BIT - 1)));
  });
  const reason = body.callIndirect(frame.handlerType, HANDLER_TABLE, handler, [state, record, pc], 'i32');
  k.if(k.eqz(reason), () => k.stateStore('u64', STATE.pc, k.add(pc, i64(4))));
  k.if(k.op('i32.le_u', reason, i32(EXIT.jumped)), () => body.return(i32(EXIT.next)));
  k.if(k.eq(reason, i32(EXIT.resume)), () => body.return(i32(EXIT.next)));
  body.return(reason);
  body.unreachable();
  return body.finish();
}

/** Hash of the virtual page of `pc`; see code-cache-index.ts. */
function emitPageHash(k: HandlerOps, pc: Val): Val {
  return k.mul(k.wrap(k.shrU(pc, i64(12))), i32(HASH_MULTIPLIER));
}

/** Emits `found`, given the region's table slot, for the case that the jump cache knows STATE.pc in this context. */
function emitIfInJumpCache(k: HandlerOps, found: (slot: Val) => void): void {
  const pc = k.stateLoad('u64', STATE.pc);
  const context = k.stateLoad('u32', STATE.context);
  const within = k.xor(k.wrap(k.shrU(pc, i64(2))), k.shl(context, i32(JUMP_CONTEXT_SHIFT)));
  const hash = k.shrU(emitPageHash(k, pc), i32(32 - JUMP_CACHE.entriesLog2));
  const index = k.xor(hash, k.and(within, i32(JUMP_GROUP - 1)));
  const entry = k.add(k.state, k.shl(index, i32(JUMP_CACHE.entryBytesLog2)));
  for (const at of [entry, k.xor(entry, i32(1 << JUMP_CACHE.entryBytesLog2))]) {
    const word = (offset: number): Val => k.body.load(0x28, 'i32', 2, at, JUMP_CACHE.at + offset);
    const known = k.body.load(0x29, 'i64', 3, at, JUMP_CACHE.at + JUMP_CACHE.address);
    k.if(k.eq(known, pc), () => {
      k.if(k.eq(word(JUMP_CACHE.context), context), () => found(word(JUMP_CACHE.slot)));
    });
  }
}

/** The dispatcher between compiled regions and the interpreter. */
function runBody(frame: ModuleFrame, interpret: number, step: number, pieces: number): Uint8Array {
  const body = new FunctionBody(['i32']);
  const state = body.param(0, 'i32');
  const k = new LoopOps(body, frame.indexOf, {
    state,
    record: state,
    base: state,
    delta: i64(0),
    next: 0,
    elsewhere: 0,
  });
  const reason = body.local('i32');
  const again = body.loop();
  const leave = body.block();
  const tryRegion = body.block();
  // Loops that go through several regions have their backward branch here.
  const budget = k.sub(k.stateLoad('u32', STATE.budget), i32(WORK.region));
  k.stateStore('u32', STATE.budget, budget);
  k.if(k.op('i32.le_s', budget, i32(0)), () => {
    k.assign(reason, i32(EXIT.pause));
    body.branch(leave);
  });
  emitIfInJumpCache(k, (slot) => {
    k.assign(reason, body.callIndirect(frame.runType, 0, slot, [state], 'i32'));
    k.if(k.eqz(reason), () => body.branch(again));
    body.branch(tryRegion);
  });
  k.assign(reason, body.call(interpret, [state], 'i32'));
  k.if(k.eq(reason, i32(EXIT.resume)), () => body.branch(again));
  k.if(k.ne(reason, i32(EXIT.region)), () => body.branch(leave));
  // The loop stopped before a region: if the jump cache has it now, go on there, else the core must look it up.
  emitIfInJumpCache(k, () => body.branch(again));
  body.branch(leave);
  body.end();
  // A region left: because the context changed, for one instruction by its handler, or for good.
  k.if(k.eq(reason, i32(EXIT.resume)), () => body.branch(again));
  k.if(k.ne(reason, i32(EXIT.step)), () => body.branch(leave));
  k.assign(reason, body.call(step, [state], 'i32'));
  k.if(k.eqz(reason), () => body.branch(again));
  body.end();
  const left = body.call(pieces, [state, reason], 'i32');
  body.branchIf(k.eqz(left), again);
  body.return(left);
  body.end();
  body.unreachable();
  return body.finish();
}

/** (state, reason) -> reason: the context changed, or ERET is to be done. EXIT.next: it was, go on at STATE.pc. */
function exceptionsBody(frame: ModuleFrame): Uint8Array {
  const body = new FunctionBody(['i32', 'i32']);
  const state = body.param(0, 'i32');
  const reason = body.param(1, 'i32');
  const loopFrame = { state, record: state, base: state, delta: i64(0), next: 0, elsewhere: 0 };
  const k = new LoopOps(body, frame.indexOf, loopFrame);
  k.if(k.eq(reason, i32(EXIT.eret)), () => emitEret(k, () => body.return(reason)));
  emitInterrupt(k, () => body.return(i32(EXIT.context)));
  body.return(i32(EXIT.next));
  body.unreachable();
  return body.finish();
}

/**
 * (state, reason) -> reason, called before `run` returns: work that is left for another piece of it, and looks in WFI. 0 (EXIT.next): go
 * on; EXIT.context: there is an interrupt to be taken. A function of its own, since the dispatcher's loop is small and hot.
 */
function piecesBody(frame: ModuleFrame, exceptions: number): Uint8Array {
  const body = new FunctionBody(['i32', 'i32']);
  const state = body.param(0, 'i32');
  const reason = body.param(1, 'i32');
  const loopFrame = { state, record: state, base: state, delta: i64(0), next: 0, elsewhere: 0 };
  const k = new LoopOps(body, frame.indexOf, loopFrame);
  const attend = frame.indexOf('attend');
  const goOn = (): void => body.return(i32(EXIT.next));
  const look = (): Val => k.atomicLoad(2, k.stateLoad('u32', STATE.lookAt));
  /** Leaves to the core for whatever is to be done before the next instruction, or takes an interrupt here. */
  const settle = (): void => body.return(body.call(exceptions, [k.state, i32(EXIT.context)], 'i32'));
  const isOpen = (): Val =>
    k.and(k.and(k.stateLoad('u32', STATE.interrupts), k.not(k.stateLoad('u32', STATE.daif))), i32(INTERRUPTS));
  /** Takes what others have for the vCPU, and an interrupt if PSTATE lets one through. */
  const attendTo = (): void => {
    body.call(attend, [k.state], 'i32');
    k.if(isOpen(), settle);
  };
  k.if(k.op('i32.or', k.eq(reason, i32(EXIT.context)), k.eq(reason, i32(EXIT.eret))), () =>
    body.return(body.call(exceptions, [k.state, reason], 'i32')),
  );
  k.if(k.eq(reason, i32(EXIT.pause)), () => {
    const rest = k.variable('i32', k.stateLoad('u32', STATE.rest));
    const isTurn = k.copy(k.op('i32.le_s', rest, i32(0)));
    k.if(isTurn, () => k.assign(rest, body.call(frame.indexOf('turn'), [k.state], 'i32')));
    k.if(k.op('i32.gt_s', rest, i32(0)), () => {
      const piece = k.copy(k.stateLoad('u32', STATE.piece));
      const given = k.select(k.op('i32.lt_s', piece, rest), piece, rest);
      k.stateStore('u32', STATE.rest, k.sub(rest, given));
      k.stateStore('u32', STATE.budget, k.add(k.stateLoad('u32', STATE.budget), given));
      k.if(look(), attendTo);
      // Timers are looked at between two turns.
      k.if(isTurn, () => k.if(isOpen(), settle));
      goOn();
    });
  });
  k.if(k.eq(reason, i32(EXIT.wfi)), () => {
    // As the core has it: an interrupt that is pending ends WFI, masked or not.
    const isPending = k.and(k.stateLoad('u32', STATE.interrupts), i32(INTERRUPTS));
    k.if(k.select(k.stateLoad('u32', STATE.el), isPending, i32(0)), goOn);
    const all = k.copy(k.select(k.stateLoad('u32', STATE.el), k.stateLoad('u32', STATE.waitLooks), i32(0)));
    const least = k.variable('i32', k.sub(all, i32(WAIT_LOOKS_MAX)));
    k.if(k.op('i32.lt_s', least, i32(0)), () => k.assign(least, i32(0)));
    const looks = k.variable('i32', all);
    const watching = body.loop();
    k.if(k.op('i32.gt_s', looks, least), () => {
      k.if(look(), () => {
        k.stateStore('u32', STATE.waitLooks, looks);
        attendTo();
        k.if(k.and(k.stateLoad('u32', STATE.interrupts), i32(INTERRUPTS)), goOn);
      });
      k.assign(looks, k.sub(looks, i32(1)));
      body.branch(watching);
    });
    body.end();
    k.if(all, () => k.stateStore('u32', STATE.waitLooks, looks));
  });
  body.return(reason);
  body.unreachable();
  return body.finish();
}
