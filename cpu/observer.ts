/**
 * Who hears what happens inside a core. Without an observer nothing is asked on the paths of exceptions and system
 * registers; what generated code does inline (plain registers such as ESR_EL1, DAIF, NZCV) is seen only by stepping.
 */
import type { CpuState } from './cpu-state.js';
import { STATE } from './state.js';

export interface CoreObserver {
  /** An exception was taken to EL1: the state block shows the handler's first moment. `vector`: offset of its entry. */
  exceptionEntered(vector: number): void;
  /** ERET: the state block shows what runs next. `from`: address of the ERET. */
  exceptionReturned(from: bigint): void;
  /** A system register was read or written, or a SYS operation done; `iss` as of the trapped instruction. */
  systemAccess(how: 'read' | 'write' | 'operation' | 'pstate', iss: number, value: bigint): void;
}

/** A helper as generated code calls it: (state address, arguments) -> status. */
export type Helper = (state: number, a: number, b: number, c: number) => number;

/** Those of system instructions. */
type SystemHelper = 'sysregRead' | 'sysregWrite' | 'system' | 'pstateWrite';

/** Makes the helpers of system instructions tell `observer` what they did. */
export function observeSystem(helpers: Record<SystemHelper, Helper>, state: CpuState, observer: CoreObserver): void {
  const kinds = [
    ['sysregRead', 'read'],
    ['sysregWrite', 'write'],
    ['system', 'operation'],
    ['pstateWrite', 'pstate'],
  ] as const;
  for (const [name, how] of kinds) {
    const helper = helpers[name];
    helpers[name] = (at, iss, b, c) => {
      const before = state.get64(STATE.scratch);
      const status = helper(at, iss, b, c);
      if (status === 0) observer.systemAccess(how, iss, how === 'read' ? state.get64(STATE.scratch) : before);
      return status;
    };
  }
}
