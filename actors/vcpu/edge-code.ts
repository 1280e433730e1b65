/**
 * An interrupt source of an object is asserted, as WebAssembly: Ports.assert for a level that is up, Gic.assertSource and the waking of the
 * target, for an edge-triggered SPI whose line is up already and which one vCPU takes. Such an edge is posted in the line of the target's look
 * word without the controller's lock (VM_CPU.posted), so that nothing else of it moves; all else is left to the JavaScript before anything has changed.
 */
import { STATE } from '../../cpu/state.js';
import { i32, type Val } from '../../cpu/wasm/body.js';
import { GIC_CPUS_MAX, GICD_STATE, GICR_STATE, gicCpuAt } from '../shared-state/gic/gic-layout.js';
import { BINDING, BOUND, OBJECT_HEADER, OBJECT_STATE, OBJECT_TYPE } from '../shared-state/objects/object-table.js';
import { VM_CPU } from '../shared-state/vm/vm-block.js';
import { Emitter } from './code-emitter.js';

/** What the code is made for. */
interface EdgePlaces {
  /** Byte addresses of the vCPU's state block and of the object table. */
  readonly state: number;
  readonly table: number;
}

/** Indices of the functions it calls. */
interface EdgeFunctions {
  /** (object, source): Ports.assert. */
  readonly otherwise: number;
}

const ACTIVE_VIC = OBJECT_TYPE.vic | (OBJECT_STATE.active << 8);

/** Address of the header of object `object`. */
const headerOf = (e: Emitter, table: number, object: Val): Val =>
  e.keep(e.add(e.op('i32.mul', object, i32(OBJECT_HEADER.bytes)), i32(table)));

/**
 * The body of (object, source) -> actor; `source` is a value of SOURCE, the object's lock is held. What it returns sleeps and is to be rung when the
 * lock is given back, since who is woken may run at once, here, and want it; 0: nobody.
 */
export function edgeBody(places: EdgePlaces, functions: EdgeFunctions): Uint8Array {
  const e = new Emitter(2);
  const { body } = e;
  const [object, source] = [body.param(0, 'i32'), body.param(1, 'i32')];
  const at = e.keep(e.add(headerOf(e, places.table, object), e.op('i32.shl', source, i32(2))));
  const to = e.keep(e.shared(at, 0));
  const unbound = body.block();
  body.branchIf(e.op('i32.eq', to, i32(BOUND.nowhere)), unbound);
  const elsewhere = body.block();
  const unless = (condition: Val): void => body.branchIf(e.not(condition), elsewhere);
  unless(e.op('i32.eq', to, i32(BOUND.interrupt)));
  const target = e.keep(e.shared(at, 4));
  const interrupt = e.keep(e.and(target, BINDING.virqMask));
  const vic = headerOf(e, places.table, e.op('i32.shr_u', target, i32(BINDING.vicShift)));
  unless(e.op('i32.eq', e.and(e.shared(vic, OBJECT_HEADER.kind), 0xffff), i32(ACTIVE_VIC)));
  const gic = e.keep(e.shared(vic, OBJECT_HEADER.data));
  const word = e.keep(e.add(gic, e.op('i32.shl', e.op('i32.shr_u', interrupt, i32(5)), i32(2))));
  unless(e.op('i32.lt_u', interrupt, e.load(gic, GICD_STATE.interrupts)));
  const isUpEdge = e.op('i32.and', e.load(word, GICD_STATE.edge), e.load(word, GICD_STATE.line));
  unless(e.and(e.op('i32.shr_u', isUpEdge, e.and(interrupt, 31)), 1));
  const route = e.keep(e.load(e.add(gic, e.op('i32.shl', interrupt, i32(2))), GICD_STATE.route));
  unless(e.op('i32.ge_s', route, i32(0)));
  const cpu = e.keep(i32(0));
  const found = body.block();
  const next = body.loop();
  const own = e.add(gic, e.op('i32.mul', cpu, i32(gicCpuAt(1) - gicCpuAt(0))));
  const affinity = e.load(own, gicCpuAt(0) + GICR_STATE.affinity);
  body.branchIf(e.op('i32.eq', affinity, e.and(route, 0xff_ffff)), found);
  body.assign(cpu, e.add(cpu, i32(1)));
  body.branchIf(e.op('i32.lt_u', cpu, e.load(gic, GICD_STATE.cpus)), next);
  body.branch(elsewhere);
  body.end();
  body.end();
  unless(e.op('i32.lt_u', cpu, i32(GIC_CPUS_MAX)));
  const block = e.shared(vic, OBJECT_HEADER.aux);
  const place = e.keep(e.add(e.add(block, i32(VM_CPU.first)), e.op('i32.mul', cpu, i32(VM_CPU.bytes))));
  const old = e.keep(e.compareExchange(e.add(place, i32(VM_CPU.posted)), i32(0), interrupt));
  // Another interrupt is posted already; one that is the same was not taken yet and stands for this one too.
  unless(e.op('i32.or', e.not(old), e.op('i32.eq', old, interrupt)));
  const state = i32(places.state);
  e.store(state, e.add(e.load(state, STATE.caused), i32(1)), STATE.caused);
  e.publish(place, i32(1), VM_CPU.look);
  e.when(e.op('i32.eq', e.shared(place, VM_CPU.sleeping), i32(1)), () => {
    body.return(e.shared(place, VM_CPU.actor));
  });
  body.branch(unbound);
  body.end();
  body.call(functions.otherwise, [object, source]);
  body.end();
  body.return(i32(0));
  body.unreachable();
  return body.finish();
}
