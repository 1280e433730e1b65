/**
 * The GICv3 CPU interface of one vCPU as WebAssembly: what generated code calls for MRS and MSR of registers it does not access
 * inline. Acknowledging, ending and masking interrupts (ICC_IAR1, EOIR1, DIR, PMR, RPR of EL1) is done here, on the same words and
 * under the same lock as actors/shared-state/gic does it; all other registers, a lock that is taken, and edges posted to `posted`
 * are handed on before anything was changed. ADR 225 has the reasons.
 */
import { PSTATE } from '../../cpu/cpu-state.js';
import { STATE } from '../../cpu/state.js';
import { ISS } from '../../cpu/sysreg/encoding.js';
import type { MachineHelpers } from '../../cpu/sysreg/peripherals.js';
import { sysregKeyOf } from '../../cpu/sysreg/registers.js';
import { i32, type Val } from '../../cpu/wasm/body.js';
import { ModuleBuilder } from '../../cpu/wasm/module.js';
import { GIC_LOCK, GICD_CTLR, PRIORITY_SHIFT, SPURIOUS } from '../shared-state/gic/gic.js';
import { ICC_CONTROL } from '../shared-state/gic/gic-cpu-interface.js';
import { GICD_STATE, GICR_STATE, gicCpuAt } from '../shared-state/gic/gic-layout.js';
import { Emitter, PLAIN } from './code-emitter.js';

/** What the code is made for. */
export interface GicCodePlaces {
  /** Byte addresses: the vCPU's state block, the controller's state. */
  readonly state: number;
  readonly gic: number;
  /** Index of the vCPU. */
  readonly cpu: number;
  /** Byte address of the word where edges are posted to it (VM_CPU.posted). */
  readonly posted: number;
}

/** What it calls: the helpers it stands in for, and */
export interface GicCodeImports extends MachineHelpers {
  /** Somebody sleeps until the lock at this address is free. */
  readonly wakeNext: (address: number) => void;
}

/** What it gives. */
export interface GicCode extends MachineHelpers {
  /** Brings STATE.interrupts up to date; 1 when that could not be done here. */
  readonly refresh: () => number;
}

type Group = 0 | 1;
/** A bit of what `takeable` answers: the interrupt is of group 0. */
const OF_GROUP_0 = 1 << 16;
/** Interrupt numbers at which the special ones begin. */
const SPECIAL = 1020;
const INTID_MASK = 0xff_ffff;
const IDLE = 0x100;
const GROUP_FIELDS = {
  0: { enable: GICD_CTLR.enableGroup0, groupEnable: GICR_STATE.groupEnable0, active: GICR_STATE.activePriorities0 },
  1: { enable: GICD_CTLR.enableGroup1, groupEnable: GICR_STATE.groupEnable1, active: GICR_STATE.activePriorities1 },
} as const;

/** Globals of the module: the places of the vCPU. One module serves all, so that a thread can have it before it knows which it runs. */
const GLOBALS = ['state', 'gic', 'own', 'posted'] as const;

/** Emits into one function; addresses are globals of the module, in this order. */
class GicEmitter extends Emitter {
  readonly state = this.keep(this.body.global(GLOBALS.indexOf('state')));
  readonly gic = this.keep(this.body.global(GLOBALS.indexOf('gic')));
  /** The vCPU's private state. */
  readonly #own = this.keep(this.body.global(GLOBALS.indexOf('own')));

  readonly #posted = this.keep(this.body.global(GLOBALS.indexOf('posted')));

  /** An address within the controller. */
  at(field: number): Val {
    return this.add(this.gic, i32(field));
  }
  ownAt(field: number): Val {
    return this.add(this.#own, i32(field));
  }

  /** A word of the distributor, and of this vCPU's private state. */
  distributor(field: number): Val {
    return this.load(this.gic, field);
  }
  own(field: number): Val {
    return this.load(this.#own, field);
  }
  setOwn(field: number, value: Val): void {
    this.store(this.#own, value, field);
  }
  priority(interrupt: Val): Val {
    const isOwn = this.op('i32.lt_u', interrupt, i32(32));
    const base = this.body.local('i32');
    this.body.assign(base, this.add(this.gic, i32(GICD_STATE.priority)));
    this.when(isOwn, () => this.body.assign(base, this.add(this.#own, i32(GICR_STATE.priority))));
    return this.body.load(PLAIN.load8, 'i32', 0, this.add(base, interrupt), 0);
  }
  /** Address of the word of a field that holds `interrupt`'s bit. */
  fieldOf(field: 'active' | 'pending' | 'group', interrupt: Val): Val {
    const at = this.body.local('i32');
    const word = this.op('i32.shl', this.op('i32.shr_u', interrupt, i32(5)), i32(2));
    this.body.assign(at, this.add(this.add(this.gic, word), i32(GICD_STATE[field])));
    const isOwn = this.op('i32.lt_u', interrupt, i32(32));
    this.when(isOwn, () => this.body.assign(at, this.add(this.#own, i32(GICR_STATE[field]))));
    return at;
  }
  bitOf(interrupt: Val): Val {
    return this.op('i32.shl', i32(1), this.and(interrupt, 31));
  }
  setBit(field: 'active' | 'pending', interrupt: Val, value: boolean): void {
    const at = this.fieldOf(field, interrupt);
    const bit = this.bitOf(interrupt);
    const old = this.load(at, 0);
    const other = value ? this.op('i32.or', old, bit) : this.op('i32.and', old, this.op('i32.xor', bit, i32(-1)));
    this.store(at, other, 0);
  }
  /** The value that MRS reads. */
  answer(value: Val): void {
    this.body.store(PLAIN.store64, 3, this.state, this.body.op('i64.extend_i32_u', value), STATE.scratch);
  }
  lowestBit(word: Val): Val {
    return this.body.op('i32.ctz', word);
  }
  /** GicCpuInterface.#runningPriority, but {@link IDLE} when nothing is active. */
  running(): Val {
    const active = this.keep(
      this.op('i32.or', this.own(GICR_STATE.activePriorities0), this.own(GICR_STATE.activePriorities1)),
    );
    const priority = this.keep(i32(IDLE));
    this.when(active, () =>
      this.body.assign(priority, this.op('i32.shl', this.lowestBit(active), i32(PRIORITY_SHIFT))),
    );
    return priority;
  }
  #atLeast(value: Val, least: number): Val {
    const larger = this.keep(i32(least));
    this.when(this.op('i32.gt_u', value, i32(least)), () => this.body.assign(larger, value));
    return larger;
  }
  /** GicCpuInterface.#groupMask. */
  groupMask(group: Group): Val {
    const shift = this.keep(this.add(this.#atLeast(this.own(GICR_STATE.binaryPoint0), PRIORITY_SHIFT - 1), i32(1)));
    if (group === 1) {
      const isCommon = this.and(this.own(GICR_STATE.control), ICC_CONTROL.commonBinaryPoint);
      this.when(this.not(isCommon), () =>
        this.body.assign(shift, this.#atLeast(this.own(GICR_STATE.binaryPoint1), PRIORITY_SHIFT)),
      );
    }
    return this.and(this.op('i32.shl', i32(0xff), shift), 0xff);
  }
  /** Takes the lock and what was posted to the vCPU; branches to `otherwise` when that is not possible at once. */
  lock(otherwise: number, unlock: () => void): void {
    const lock = this.add(this.gic, i32(GICD_STATE.lock));
    this.body.branchIf(this.compareExchange(lock, i32(0), i32(GIC_LOCK.held)), otherwise);
    this.when(this.distributor(GICD_STATE.anyPosted), () => {
      unlock();
      this.body.branch(otherwise);
    });
    this.when(this.load(this.#posted, 0), () => {
      const posted = this.keep(this.exchange(this.#posted, i32(0)));
      this.when(posted, () => this.setBit('pending', posted, true));
    });
  }
}

/** Indices of the module's functions. */
interface Functions {
  readonly read: number;
  readonly write: number;
  readonly wakeNext: number;
  readonly attend: number;
  readonly takeable: number;
  readonly signals: number;
}

/** () -> the interrupt that is signalled now, with OF_GROUP_0 if so, or SPURIOUS; the lock is held (GicCpuInterface.#takeable). */
function takeableBody(): Uint8Array {
  const e = new GicEmitter(0);
  const { body } = e;
  const nothing = (condition: Val): void => e.when(condition, () => body.return(i32(SPURIOUS)));
  /** All bits when a group is enabled in the distributor and here, else none. */
  const enabledGroup = (group: Group): Val => {
    const { enable, groupEnable } = GROUP_FIELDS[group];
    const inDistributor = e.op('i32.shr_u', e.distributor(GICD_STATE.control), i32(Math.log2(enable)));
    return e.keep(e.op('i32.sub', i32(0), e.and(e.op('i32.and', inDistributor, e.own(groupEnable)), 1)));
  };
  const [group0, group1] = [enabledGroup(0), enabledGroup(1)];
  nothing(e.not(e.op('i32.or', group0, group1)));
  const best = e.keep(i32(SPURIOUS));
  const bestPriority = e.keep(i32(IDLE));
  const [word, candidates] = [body.local('i32'), body.local('i32')];
  /** Looks through the candidates of one word, lowest number first. */
  const choose = (priorities: Val, accept: (interrupt: Val, then: () => void) => void): void => {
    const done = body.block();
    const again = body.loop();
    body.branchIf(e.not(candidates), done);
    const interrupt = e.keep(e.add(e.op('i32.shl', word, i32(5)), e.lowestBit(candidates)));
    body.assign(candidates, e.op('i32.and', candidates, e.add(candidates, i32(-1))));
    const priority = e.keep(body.load(PLAIN.load8, 'i32', 0, e.add(priorities, interrupt), 0));
    e.when(e.op('i32.lt_u', priority, bestPriority), () =>
      accept(interrupt, () => {
        body.assign(best, interrupt);
        body.assign(bestPriority, priority);
      }),
    );
    body.branch(again);
    body.end();
    body.end();
  };
  const among = (enabled: Val, field: (name: 'pending' | 'line' | 'edge' | 'active' | 'group') => Val): Val => {
    const level = e.op('i32.and', field('line'), e.op('i32.xor', field('edge'), i32(-1)));
    const asserted = e.op('i32.and', e.op('i32.or', field('pending'), level), enabled);
    const inactive = e.op('i32.and', asserted, e.op('i32.xor', field('active'), i32(-1)));
    const group = e.keep(field('group'));
    const isOn1 = e.op('i32.and', group, group1);
    const isOn0 = e.op('i32.and', e.op('i32.xor', group, i32(-1)), group0);
    return e.op('i32.and', inactive, e.op('i32.or', isOn1, isOn0));
  };
  body.assign(word, i32(0));
  body.assign(
    candidates,
    among(e.own(GICR_STATE.enabled), (name) => e.own(GICR_STATE[name])),
  );
  choose(e.ownAt(GICR_STATE.priority), (_interrupt, then) => then());
  const affinity = e.own(GICR_STATE.affinity);
  const words = e.keep(e.distributor(GICD_STATE.enabledWords));
  const done = body.block();
  const again = body.loop();
  body.branchIf(e.not(words), done);
  body.assign(word, e.lowestBit(words));
  body.assign(words, e.op('i32.and', words, e.add(words, i32(-1))));
  const at = e.keep(e.add(e.op('i32.shl', word, i32(2)), e.gic));
  body.assign(
    candidates,
    among(e.load(at, GICD_STATE.enabled), (name) => e.load(at, GICD_STATE[name])),
  );
  choose(e.at(GICD_STATE.priority), (interrupt, then) => {
    const route = e.keep(e.load(e.add(e.op('i32.shl', interrupt, i32(2)), e.gic), GICD_STATE.route));
    const isMine = e.op('i32.eq', e.and(route, 0xff_ffff), affinity);
    e.when(e.op('i32.or', isMine, e.op('i32.lt_s', route, i32(0))), then);
  });
  body.branch(again);
  body.end();
  body.end();
  nothing(e.op('i32.ge_u', bestPriority, e.own(GICR_STATE.priorityMask)));
  nothing(e.op('i32.eq', best, i32(SPURIOUS)));
  const isGroup1 = e.keep(e.and(e.op('i32.shr_u', e.load(e.fieldOf('group', best), 0), e.and(best, 31)), 1));
  const running = e.running();
  e.when(e.op('i32.ne', running, i32(IDLE)), () => {
    const mask = e.keep(i32(0));
    e.when(isGroup1, () => body.assign(mask, e.groupMask(1)));
    e.when(e.not(isGroup1), () => body.assign(mask, e.groupMask(0)));
    nothing(e.op('i32.ge_u', e.op('i32.and', bestPriority, mask), e.op('i32.and', running, mask)));
  });
  e.when(e.not(isGroup1), () => body.assign(best, e.op('i32.or', best, i32(OF_GROUP_0))));
  body.return(best);
  body.unreachable();
  return body.finish();
}

/** (): sets the interrupt lines of STATE.interrupts as the CPU interface asserts them; the lock is held. */
function signalsBody(functions: Functions): Uint8Array {
  const e = new GicEmitter(0);
  const { body } = e;
  const interrupt = e.keep(body.call(functions.takeable, [], 'i32'));
  const lines = e.keep(i32(0));
  e.when(e.op('i32.ne', interrupt, i32(SPURIOUS)), () => {
    body.assign(lines, i32(PSTATE.i));
    e.when(e.and(interrupt, OF_GROUP_0), () => body.assign(lines, i32(PSTATE.f)));
  });
  setLines(e, lines);
  return body.finish();
}

/** Sets both interrupt lines. Nobody but this thread writes the word, or reads it. */
function setLines(e: GicEmitter, lines: Val): void {
  const old = e.load(e.state, STATE.interrupts);
  e.store(e.state, e.op('i32.or', e.and(old, ~(PSTATE.i | PSTATE.f)), lines), STATE.interrupts);
}

/** Gives the lock back. */
function emitUnlock(e: GicEmitter, functions: Functions): void {
  const lock = e.keep(e.at(GICD_STATE.lock));
  const held = e.exchange(lock, i32(0));
  e.when(e.op('i32.ne', held, i32(GIC_LOCK.held)), () => void e.body.call(functions.wakeNext, [lock]));
}

/** Brings STATE.interrupts up to date and returns 0; branches to `otherwise` when that cannot be done here. */
function emitRefresh(e: GicEmitter, functions: Functions, otherwise: number): void {
  const unlock = (): void => emitUnlock(e, functions);
  e.lock(otherwise, unlock);
  e.body.call(functions.signals, []);
  unlock();
  e.body.return(i32(0));
}

function refreshBody(functions: Functions): Uint8Array {
  const e = new GicEmitter(0);
  const { body } = e;
  const elsewhere = body.block();
  emitRefresh(e, functions, elsewhere);
  body.end();
  body.return(i32(1));
  body.unreachable();
  return body.finish();
}

function attendBody(functions: Functions): Uint8Array {
  const e = new GicEmitter(1);
  const { body } = e;
  const state = body.param(0, 'i32');
  const elsewhere = body.block();
  e.exchange(e.load(state, STATE.lookAt), i32(0));
  e.store(state, e.add(e.load(state, STATE.attended), i32(1)), STATE.attended);
  emitRefresh(e, functions, elsewhere);
  body.end();
  body.return(body.call(functions.attend, [state], 'i32'));
  body.unreachable();
  return body.finish();
}

/** Emits (state, iss) -> status: `registers` by name under the lock at EL1, everything else by `otherwise`. */
function accessBody(
  functions: Functions,
  otherwise: number,
  registers: Readonly<Record<string, (e: GicEmitter, done: () => void) => void>>,
): Uint8Array {
  const e = new GicEmitter(2);
  const { body } = e;
  const [state, iss] = [body.param(0, 'i32'), body.param(1, 'i32')];
  const unlock = (): void => emitUnlock(e, functions);
  const elsewhere = body.block();
  const key = e.keep(e.and(iss, ISS.keyMask));
  body.branchIf(e.not(e.load(state, STATE.el)), elsewhere);
  for (const [name, emit] of Object.entries(registers)) {
    e.when(e.op('i32.eq', key, i32(sysregKeyOf(name))), () => {
      const done = (): void => {
        unlock();
        body.return(i32(0));
      };
      e.lock(elsewhere, unlock);
      emit(e, done);
      body.call(functions.signals, []);
      done();
    });
  }
  body.end();
  body.return(body.call(otherwise, [state, iss], 'i32'));
  body.unreachable();
  return body.finish();
}

function readBody(functions: Functions): Uint8Array {
  return accessBody(functions, functions.read, {
    ICC_IAR1_EL1: (e, done) => {
      const interrupt = e.keep(e.body.call(functions.takeable, [], 'i32'));
      const lines = e.keep(i32(0));
      // One of group 0 is signalled as FIQ, and not there for this register.
      e.when(e.and(interrupt, OF_GROUP_0), () => {
        e.body.assign(lines, i32(PSTATE.f));
        e.body.assign(interrupt, i32(SPURIOUS));
      });
      e.when(e.op('i32.ne', interrupt, i32(SPURIOUS)), () => {
        e.setBit('active', interrupt, true);
        e.setBit('pending', interrupt, false);
        const grouped = e.op('i32.and', e.priority(interrupt), e.groupMask(1));
        const level = e.op('i32.shl', i32(1), e.op('i32.shr_u', grouped, i32(PRIORITY_SHIFT)));
        e.setOwn(GICR_STATE.activePriorities1, e.op('i32.or', e.own(GICR_STATE.activePriorities1), level));
      });
      e.answer(interrupt);
      // It was the most urgent, if there was one: none that is left can preempt it.
      setLines(e, lines);
      done();
    },
    ICC_PMR_EL1: (e) => e.answer(e.own(GICR_STATE.priorityMask)),
    ICC_RPR_EL1: (e) => {
      const running = e.keep(e.running());
      e.when(e.op('i32.eq', running, i32(IDLE)), () => e.body.assign(running, i32(0xff)));
      e.answer(running);
    },
  });
}

function writeBody(functions: Functions): Uint8Array {
  const value = (e: GicEmitter): Val => e.keep(e.load(e.state, STATE.scratch));
  const deactivate = (e: GicEmitter, interrupt: Val): void =>
    e.when(e.op('i32.lt_u', interrupt, i32(SPECIAL)), () => e.setBit('active', interrupt, false));
  return accessBody(functions, functions.write, {
    ICC_EOIR1_EL1: (e) => {
      const interrupt = e.keep(e.and(value(e), INTID_MASK));
      e.when(e.op('i32.lt_u', interrupt, i32(SPECIAL)), () => {
        const active = e.keep(e.own(GICR_STATE.activePriorities1));
        e.setOwn(GICR_STATE.activePriorities1, e.op('i32.and', active, e.add(active, i32(-1))));
        const isSplit = e.and(e.own(GICR_STATE.control), ICC_CONTROL.eoiMode);
        e.when(e.not(isSplit), () => deactivate(e, interrupt));
      });
    },
    ICC_DIR_EL1: (e) => deactivate(e, e.keep(e.and(value(e), INTID_MASK))),
    ICC_PMR_EL1: (e) => e.setOwn(GICR_STATE.priorityMask, e.and(value(e), 0xf8)),
  });
}

let compiled: WebAssembly.Module | undefined;

/** What {@link gicModuleBytes} answers, in base 64: bundles have it from the build. */
declare const __gicModule: string | undefined;

/** The module of {@link gicCode}, made once for each thread: to be called while there is time. */
export function gicModule(): WebAssembly.Module {
  const isMade = typeof __gicModule === 'string';
  compiled ??= new WebAssembly.Module(isMade ? Buffer.from(__gicModule, 'base64') : gicModuleBytes());
  return compiled;
}

/** The module of {@link gicCode} as WebAssembly. */
export function gicModuleBytes(): Uint8Array<ArrayBuffer> {
  const module = new ModuleBuilder();
  for (const name of GLOBALS) module.importGlobal(name);
  const read = module.importFunction('read', ['i32', 'i32'], ['i32']);
  const write = module.importFunction('write', ['i32', 'i32'], ['i32']);
  const attend = module.importFunction('attend', ['i32'], ['i32']);
  const wakeNext = module.importFunction('wakeNext', ['i32'], []);
  const declare = (params: number, results: readonly 'i32'[]): number =>
    module.declare(module.type(new Array<'i32'>(params).fill('i32'), results));
  const takeable = declare(0, ['i32']);
  const functions: Functions = { read, write, attend, wakeNext, takeable, signals: declare(0, []) };
  module.setBody(takeable, takeableBody());
  module.setBody(functions.signals, signalsBody(functions));
  for (const [name, params, make] of [
    ['read', 2, readBody],
    ['write', 2, writeBody],
    ['attend', 1, attendBody],
    ['refresh', 0, refreshBody],
  ] as const) {
    const index = declare(params, ['i32']);
    module.setBody(index, make(functions));
    module.exportFunction(name, index);
  }
  return module.build();
}

/** Makes what generated code calls for MRS and MSR, and what looks at the vCPU's interrupts. */
export function gicCode(memory: WebAssembly.Memory, places: GicCodePlaces, imports: GicCodeImports): GicCode {
  const { state, gic, cpu, posted } = places;
  const env = { memory, ...imports, state, gic, own: gic + gicCpuAt(cpu), posted };
  // WHY: the module built above exports exactly these functions.
  return new WebAssembly.Instance(gicModule(), { env }).exports as unknown as GicCode;
}
