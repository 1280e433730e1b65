/**
 * What handlers call where the TLB does not allow an access, before the core is asked: generated code walks the translation tables
 * (Arm ARM D8.2) for the plain case, granules of 4 KiB and ordinary memory, fills the TLB and makes the access. Accesses that cross a page are made
 * here too. Whatever is different (a fault, a device, code that is written, a watched address) is left to the core, which finds out again.
 * mmu/walker.ts is the whole of the rules, mmu/tlb.ts what is kept of a fill.
 */
import { FRAME_MAP, REFILLS, STATE, TLB, TLB_BANK_BYTES, TLB_BANKS_AT, WALK_HALF, WORK } from '../state.js';
import { FunctionBody, i32, i64, type Val } from '../wasm/body.js';
import type { ModuleBuilder } from '../wasm/module.js';
import type { WasmOp } from '../wasm/opcodes.js';
import { ACCESS } from './handler-ops.js';

const LOAD32 = 0x28;
const LOAD64 = 0x29;
const LOAD8 = 0x2d;
const STORE32 = 0x36;
const STORE64 = 0x37;
const STORE8 = 0x3a;
const LOAD128 = 0xfd0000;
const STORE128 = 0xfd000b;
const ATOMIC_LOAD64 = 0xfe00_0011;
/** Load, store and type of a plain access of 2^n bytes. */
const MOVES = [
  [LOAD8, STORE8, 'i32'],
  [0x2f, 0x3b, 'i32'],
  [LOAD32, STORE32, 'i32'],
  [LOAD64, STORE64, 'i64'],
  [LOAD128, STORE128, 'v128'],
] as const;

const PAGE = 4096;
/** Returned for an address that is the core's. */
const UNREACHED = i64(-1);
/** Bits of a descriptor (Arm ARM D8.3). */
const DESCRIPTOR = {
  el0: 6,
  readOnly: 7,
  accessed: 10,
  tableNoEl0: 61,
  tableReadOnly: 62,
  address: 0xffff_ffff_f000n,
} as const;
/** Address spaces by the order of their banks: AS of mmu/translator.ts. */
const EL0 = 1;
const EL1_NO_PAN = 2;

/** Writes functions with less ado. */
export class Writer {
  readonly body: FunctionBody;
  readonly state: Val;

  constructor(params: readonly ('i32' | 'i64')[]) {
    this.body = new FunctionBody(params);
    this.state = this.body.param(0, 'i32');
  }
  op(name: WasmOp, ...args: readonly Val[]): Val {
    return this.body.op(name, ...args);
  }
  /** A named local that holds `value`. */
  keep(value: Val): Val {
    const local = this.body.local(value.type);
    this.body.assign(local, value);
    return local;
  }
  word(address: Val, offset: number): Val {
    return this.body.load(LOAD32, 'i32', 2, address, offset);
  }
  wide(address: Val, offset: number): Val {
    return this.body.load(LOAD64, 'i64', 3, address, offset);
  }
  add(a: Val, b: Val): Val {
    return this.op('i32.add', a, b);
  }
  and(a: Val, b: Val): Val {
    return this.op(a.type === 'i64' ? 'i64.and' : 'i32.and', a, b);
  }
  wrap(a: Val): Val {
    return this.op('i32.wrap_i64', a);
  }
  when(condition: Val, then: () => void, otherwise?: () => void): void {
    this.body.openIf(condition);
    then();
    if (otherwise !== undefined) {
      this.body.openElse();
      otherwise();
    }
    this.body.end();
  }
  /** `a` if `condition` is not zero, else `b`. */
  select(condition: Val, a: Val, b: Val): Val {
    for (const value of [a, b, condition]) this.body.push(value);
    this.body.rawOp(0x1b);
    return this.body.result(a.type);
  }
  /** Whether bit `bit` of the i64 `value` is set, i32. */
  bit(value: Val, bit: number): Val {
    return this.and(this.wrap(this.op('i64.shr_u', value, i64(bit))), i32(1));
  }
}

/** (state, va, access bits) -> host address of `va`, or all ones. */
function reachBody(): Uint8Array {
  const w = new Writer(['i32', 'i64', 'i32']);
  const { body, state } = w;
  const va = body.param(1, 'i64');
  const bits = body.param(2, 'i32');
  const unless = (condition: Val): void => w.when(w.op('i32.eqz', condition), () => body.return(UNREACHED));
  const never = (condition: Val): void => w.when(condition, () => body.return(UNREACHED));
  const isWrite = w.keep(w.and(bits, i32(ACCESS.write)));
  const isUser = w.and(bits, i32(ACCESS.user));
  const bank = w.keep(w.select(isUser, w.word(state, STATE.tlbUser), w.word(state, STATE.tlb)));
  const index = w.wrap(w.op('i64.shr_u', va, i64(12 - TLB.entryBytesLog2)));
  const inBank = w.and(index, i32(((1 << TLB.entriesLog2) - 1) << TLB.entryBytesLog2));
  const entry = w.keep(w.add(bank, inBank));
  const page = w.keep(w.and(va, i64(~0xfffn)));
  // The bit that says "write" is also the distance of the two tags.
  const tag = w.wide(w.add(entry, isWrite), TLB.readTag);
  w.when(w.op('i64.eq', tag, page), () => {
    body.return(w.op('i64.extend_i32_u', w.add(w.wrap(va), w.word(entry, TLB.addend))));
  });
  unless(w.word(state, STATE.walks));
  const count = w.keep(w.word(state, REFILLS.at + REFILLS.count));
  never(w.op('i32.ge_s', count, i32(REFILLS.max)));
  const upper = w.keep(w.bit(va, 55));
  const half = w.keep(w.add(state, w.op('i32.mul', upper, i32(WALK_HALF.bytes))));
  const halfWide = (offset: number): Val => w.wide(half, STATE.walkHalves + offset);
  never(w.op('i64.ne', w.and(va, halfWide(WALK_HALF.topMask)), halfWide(WALK_HALF.top)));
  const space = w.op('i32.sub', bank, w.word(state, STATE.tlbSpace));
  const as = w.keep(w.op('i32.shr_u', space, i32(Math.log2(TLB_BANK_BYTES))));
  const isEl0 = w.keep(w.op('i32.eq', as, i32(EL0)));
  never(w.and(isEl0, w.op('i32.shr_u', w.word(state, STATE.walkShut), upper)));

  const frames = w.keep(w.word(state, STATE.walkFrames));
  const mapped = body.local('i32');
  /** Finds the entry of the map of frames for a guest physical address: 0 where there is none. */
  const findFrame = (address: Val): void => {
    const guestPage = w.keep(w.op('i64.shr_u', address, i64(12)));
    never(w.op('i64.ge_u', guestPage, i64(1 << FRAME_MAP.pagesLog2)));
    const number = w.keep(w.wrap(guestPage));
    const root = w.add(frames, w.op('i32.shl', w.op('i32.shr_u', number, i32(FRAME_MAP.leafLog2)), i32(2)));
    const leaf = w.keep(w.word(root, 0));
    unless(leaf);
    const inLeaf = w.and(number, i32((1 << FRAME_MAP.leafLog2) - 1));
    body.assign(mapped, w.word(w.add(leaf, w.op('i32.shl', inLeaf, i32(2))), 0));
  };

  const table = w.keep(halfWide(WALK_HALF.base));
  const lsb = w.keep(w.op('i64.extend_i32_u', w.word(half, STATE.walkHalves + WALK_HALF.firstLsb)));
  const mask = w.keep(w.op('i64.extend_i32_u', w.word(half, STATE.walkHalves + WALK_HALF.firstMask)));
  const outside = w.keep(w.wide(state, STATE.walkOutside));
  const limits = w.keep(i64(0));
  const descriptor = body.local('i64');
  never(w.op('i32.eqz', w.op('i64.eqz', w.and(table, outside))));
  const found = body.block();
  const walking = body.loop();
  {
    const at = w.keep(w.op('i64.or', table, w.op('i64.shl', w.and(w.op('i64.shr_u', va, lsb), mask), i64(3))));
    findFrame(at);
    unless(w.and(mapped, i32(FRAME_MAP.read)));
    const from = w.op('i32.or', w.and(mapped, i32(-PAGE)), w.and(w.wrap(at), i32(PAGE - 1)));
    body.assign(descriptor, body.load(ATOMIC_LOAD64, 'i64', 3, from, 0));
    never(w.op('i32.eqz', w.op('i64.eqz', w.and(descriptor, outside))));
    const kind = w.keep(w.and(w.wrap(descriptor), i32(3)));
    const isTable = w.op('i32.eq', kind, i32(3));
    const isLast = w.keep(w.op('i64.eq', lsb, i64(12)));
    w.when(isLast, () => {
      body.branchIf(isTable, found);
      body.return(UNREACHED);
    });
    w.when(w.op('i32.eq', kind, i32(1)), () => {
      // Blocks are of 2 MiB and 1 GiB.
      body.branchIf(w.op('i64.le_u', lsb, i64(30)), found);
      body.return(UNREACHED);
    });
    unless(w.op('i32.eq', kind, i32(3)));
    body.assign(limits, w.op('i64.or', limits, descriptor));
    body.assign(table, w.and(descriptor, i64(DESCRIPTOR.address)));
    body.assign(lsb, w.op('i64.sub', lsb, i64(9)));
    body.assign(mask, i64(511));
    body.branch(walking);
  }
  body.end();
  body.unreachable();
  body.end();

  unless(w.bit(descriptor, DESCRIPTOR.accessed));
  const attribute = w.and(w.wrap(w.op('i64.shr_u', descriptor, i64(2))), i32(7));
  never(w.and(w.op('i32.shr_u', w.word(state, STATE.walkDevices), attribute), i32(1)));
  body.assign(limits, w.and(limits, halfWide(WALK_HALF.limits)));
  const openToEl0 = w.keep(
    w.and(w.bit(descriptor, DESCRIPTOR.el0), w.op('i32.eqz', w.bit(limits, DESCRIPTOR.tableNoEl0))),
  );
  w.when(
    isEl0,
    () => unless(openToEl0),
    () => never(w.and(openToEl0, w.op('i32.ne', as, i32(EL1_NO_PAN)))),
  );
  const isReadOnly = w.op('i32.or', w.bit(descriptor, DESCRIPTOR.readOnly), w.bit(limits, DESCRIPTOR.tableReadOnly));
  const writable = w.keep(w.op('i32.eqz', isReadOnly));
  const inBlock = w.keep(w.op('i64.sub', w.op('i64.shl', i64(1), lsb), i64(1)));
  const base = w.and(w.and(descriptor, i64(DESCRIPTOR.address)), w.op('i64.xor', inBlock, i64(-1)));
  findFrame(w.keep(w.op('i64.or', base, w.and(va, inBlock))));
  unless(w.and(mapped, i32(FRAME_MAP.read)));
  const frameNumber = w.keep(w.op('i32.shr_u', mapped, i32(12)));
  const codeByte = body.load(
    LOAD8,
    'i32',
    0,
    w.add(state, w.op('i32.shr_u', frameNumber, i32(3))),
    REFILLS.at + REFILLS.code,
  );
  const isCode = w.op('i32.shr_u', codeByte, w.and(frameNumber, i32(7)));
  const mayWrite = w.and(w.op('i32.shr_u', mapped, i32(Math.log2(FRAME_MAP.write))), w.op('i32.xor', isCode, i32(-1)));
  body.assign(writable, w.and(writable, mayWrite));
  never(w.op('i32.gt_u', isWrite, w.op('i32.shl', writable, i32(Math.log2(ACCESS.write)))));
  w.when(w.op('i64.ne', lsb, i64(12)), () => {
    const number = w.keep(w.op('i64.shr_u', w.and(va, i64((1n << 56n) - 1n)), lsb));
    const key = w.op('i64.add', w.op('i64.shl', number, i64(5)), w.op('i64.sub', lsb, i64(12)));
    const place = w.and(w.wrap(number), i32((1 << REFILLS.blocksLog2) - 1));
    const known = w.wide(w.add(state, w.op('i32.shl', place, i32(3))), REFILLS.at + REFILLS.blocks);
    never(w.op('i64.ne', known, key));
  });

  const frame = w.keep(w.and(mapped, i32(-PAGE)));
  body.store(STORE64, 3, entry, page, TLB.readTag);
  body.store(STORE64, 3, entry, w.select(writable, page, i64(-1)), TLB.writeTag);
  body.store(STORE32, 2, entry, w.op('i32.sub', frame, w.wrap(page)), TLB.addend);
  const number = w.op('i32.shr_u', w.op('i32.sub', entry, w.add(state, i32(TLB_BANKS_AT))), i32(TLB.entryBytesLog2));
  const note = w.add(state, w.op('i32.shl', count, i32(3)));
  body.store(STORE32, 2, note, w.op('i32.or', w.op('i32.shl', number, i32(1)), writable), REFILLS.at + REFILLS.list);
  body.store(STORE32, 2, note, frameNumber, REFILLS.at + REFILLS.list + 4);
  body.store(STORE32, 2, state, w.add(count, i32(1)), REFILLS.at + REFILLS.count);
  body.store(STORE32, 2, state, w.op('i32.sub', w.word(state, STATE.budget), i32(WORK.refill)), STATE.budget);
  body.return(w.op('i64.extend_i32_u', w.op('i32.or', frame, w.and(w.wrap(va), i32(PAGE - 1)))));
  body.unreachable();
  return body.finish();
}

/** Indices of the functions that one of these calls. */
interface Calls {
  readonly reach: number;
  /** What the core does in its place; same parameters. */
  readonly core: number;
}

/** The frame of (state, lo, hi, access bits) -> 0, or 1 when an exception is recorded. */
class AccessWriter extends Writer {
  readonly va: Val;
  readonly bits: Val;
  readonly bytes: Val;
  /** Bytes from the address to its page's end, i32. */
  readonly room: Val;
  readonly #reach: number;
  readonly #core: number;

  constructor({ reach, core }: Calls) {
    super(['i32', 'i32', 'i32', 'i32']);
    const { body } = this;
    const low = body.param(1, 'i32');
    this.bits = body.param(3, 'i32');
    this.#reach = reach;
    this.#core = core;
    const high = this.op('i64.shl', this.op('i64.extend_i32_u', body.param(2, 'i32')), i64(32));
    this.va = this.keep(this.op('i64.or', high, this.op('i64.extend_i32_u', low)));
    this.bytes = this.keep(this.op('i32.shl', i32(1), this.and(this.bits, i32(ACCESS.sizeLog2Mask))));
    this.room = this.keep(this.op('i32.sub', i32(PAGE), this.and(low, i32(PAGE - 1))));
  }

  /** Leaves the access to the core if `condition` holds. */
  coreIf(condition: Val): void {
    this.when(condition, () => this.toCore());
  }
  toCore(): void {
    const params = [0, 1, 2, 3].map((n) => this.body.param(n, 'i32'));
    this.body.return(this.body.call(this.#core, params, 'i32'));
  }
  /** Host address of `va`, i32; leaves to the core where there is none. */
  host(va: Val): Val {
    const at = this.keep(this.body.call(this.#reach, [this.state, va, this.bits], 'i64'));
    this.coreIf(this.op('i64.eq', at, UNREACHED));
    return this.keep(this.wrap(at));
  }
  /** Host address of the page behind. */
  nextHost(): Val {
    const { va } = this;
    return this.host(this.op('i64.add', this.and(va, i64(~0xfffn)), i64(PAGE)));
  }
  done(): Uint8Array {
    this.body.return(i32(0));
    this.body.unreachable();
    return this.body.finish();
  }
}

/** loadSlow or storeSlow: moves between guest memory and STATE.scratch. */
function moveBody(calls: Calls, store: boolean): Uint8Array {
  const w = new AccessWriter(calls);
  const { body, state, bytes, room, bits } = w;
  const misplaced = w.and(w.wrap(w.va), w.op('i32.sub', bytes, i32(1)));
  const mustAlign = w.and(bits, i32(ACCESS.aligned));
  // Ordered accesses are for Atomics, which the core has.
  w.coreIf(w.op('i32.or', w.and(bits, i32(ACCESS.ordered | ACCESS.modify)), w.select(mustAlign, misplaced, i32(0))));
  const host = w.host(w.va);
  w.when(
    w.op('i32.le_u', bytes, room),
    () => {
      for (const [log2, [load, put, type]] of MOVES.entries()) {
        w.when(w.op('i32.eq', bytes, i32(1 << log2)), () => {
          if (store) body.store(put, 0, host, body.load(load, type, 0, state, STATE.scratch), 0);
          else body.store(put, 0, state, body.load(load, type, 0, host, 0), STATE.scratch);
        });
      }
    },
    () => {
      const next = w.nextHost();
      const i = w.keep(i32(0));
      const rest = w.op('i32.sub', next, room);
      const before = w.keep(rest);
      const moving = body.loop();
      const at = w.keep(w.add(i, w.select(w.op('i32.lt_u', i, room), host, before)));
      const inScratch = w.keep(w.add(state, i));
      if (store) body.store(STORE8, 0, at, body.load(LOAD8, 'i32', 0, inScratch, STATE.scratch), 0);
      else body.store(STORE8, 0, inScratch, body.load(LOAD8, 'i32', 0, at, 0), STATE.scratch);
      body.assign(i, w.add(i, i32(1)));
      body.branchIf(w.op('i32.lt_u', i, bytes), moving);
      body.end();
    },
  );
  return w.done();
}

/** probe: puts the host address in STATE.scratch. */
function probeBody(calls: Calls): Uint8Array {
  const w = new AccessWriter(calls);
  w.coreIf(w.and(w.wrap(w.va), w.op('i32.sub', w.bytes, i32(1))));
  const host = w.host(w.va);
  w.body.store(STORE32, 2, w.state, host, STATE.scratch);
  return w.done();
}

/** checkStorePair: whether two elements side by side may be stored. */
function checkPairBody(calls: Calls): Uint8Array {
  const w = new AccessWriter(calls);
  w.coreIf(w.and(w.bits, i32(ACCESS.aligned)));
  w.host(w.va);
  w.when(w.op('i32.gt_u', w.op('i32.shl', w.bytes, i32(1)), w.room), () => void w.nextHost());
  return w.done();
}

/** Adds the functions to `module` and puts them in the place of the core's in `indices`, which has those by their names. */
export function addReach(module: ModuleBuilder, indices: Map<string, number>): number {
  const reach = module.declare(module.type(['i32', 'i64', 'i32'], ['i64']));
  module.setBody(reach, reachBody());
  const bodies = {
    loadSlow: (calls: Calls) => moveBody(calls, false),
    storeSlow: (calls: Calls) => moveBody(calls, true),
    probe: probeBody,
    checkStorePair: checkPairBody,
  };
  for (const [name, make] of Object.entries(bodies)) {
    const core = indices.get(name);
    if (core === undefined) continue;
    const index = module.declare(module.type(['i32', 'i32', 'i32', 'i32'], ['i32']));
    module.setBody(index, make({ reach, core }));
    indices.set(name, index);
  }
  return reach;
}
