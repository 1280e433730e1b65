/**
 * Who hears what happens inside a core. Without an observer nothing is asked on the paths of exceptions and system
 * registers; what generated code does inline (plain registers such as ESR_EL1, DAIF, NZCV) is seen only by stepping.
 */
export interface CoreObserver {
  /** An exception was taken to EL1: the state block shows the handler's first moment. `vector`: offset of its entry. */
  exceptionEntered(vector: number): void;
  /** ERET: the state block shows what runs next. `from`: address of the ERET. */
  exceptionReturned(from: bigint): void;
  /** A system register was read or written, or a SYS operation done; `iss` as of the trapped instruction. */
  systemAccess(how: 'read' | 'write' | 'operation' | 'pstate', iss: number, value: bigint): void;
}
