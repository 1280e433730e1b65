/** What a vCPU counts, put together for whoever asks. */
import type { Core } from '../../cpu/core.js';
import { exceptionClassName } from '../../cpu/exceptions/class-names.js';
import { EXIT, STATE } from '../../cpu/state.js';
import type { VcpuMeter } from './meter.js';
import type { VcpuStatistics } from './vcpu.protocol.js';

/** Hot places that are shown. */
const HOTTEST = 8;

/** What the shell has counted itself. */
interface Counted {
  readonly index: number;
  readonly state: VcpuStatistics['state'];
  /** By reason. */
  readonly exits: Float64Array;
  readonly hostThread: number | null;
}

/** Everything about a vCPU since its start. */
export function readStatistics(core: Core, counted: Counted, meter: VcpuMeter): VcpuStatistics {
  const { index, state, exits, hostThread } = counted;
  const { synchronous, irq, fiq } = core.exceptions.counters;
  return {
    index,
    state,
    hostThread,
    pc: `0x${core.get64(STATE.pc).toString(16)}`,
    exits: Object.fromEntries(Object.entries(EXIT).flatMap(([name, at]) => (exits[at] ? [[name, exits[at]]] : []))),
    exceptions: synchronous,
    exceptionClasses: classCounts(core.exceptions.byClass),
    interrupts: irq + fiq + Number(core.get64(STATE.irqs) + core.get64(STATE.fiqs)),
    tlbFills: core.space.tlb.fills,
    tlbFlushes: core.space.counters.flushes,
    regions: core.jit?.counters.regions ?? 0,
    modules: core.jit?.counters.modules ?? 0,
    modulesInUse: core.jit?.store.modules ?? 0,
    codeBytesInUse: core.jit?.store.bytes ?? 0,
    evictedRegions: core.jit?.store.counters.evictedRegions ?? 0,
    refusedRegions: core.jit?.counters.refused ?? 0,
    deviceAccesses: core.access.counters.device,
    sleeps: meter.sleeps,
    meter: meter.reading(HOTTEST),
  };
}

/** Exceptions by the names of their classes. */
function classCounts(byClass: Uint32Array): Record<string, number> {
  const counted: Record<string, number> = {};
  byClass.forEach((count, ec) => {
    if (count > 0) counted[exceptionClassName(ec << 26)] = count;
  });
  return counted;
}
