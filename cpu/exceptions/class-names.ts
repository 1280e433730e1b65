/** Names of exception classes and fault status codes, for people (Arm ARM D17.2.37). */
import { EC } from './exceptions.js';

const CLASSES: Readonly<Record<number, string>> = {
  [EC.unknown]: 'undefined',
  [EC.trappedWait]: 'wfx-trap',
  [EC.trappedFp]: 'fp-trap',
  [EC.illegalState]: 'illegal-state',
  [EC.svc]: 'svc',
  [EC.trappedSystem]: 'sysreg-trap',
  [EC.instructionAbort]: 'instruction-abort-el0',
  [EC.instructionAbort + 1]: 'instruction-abort-el1',
  [EC.pcAlignment]: 'pc-alignment',
  [EC.dataAbort]: 'data-abort-el0',
  [EC.dataAbort + 1]: 'data-abort-el1',
  [EC.spAlignment]: 'sp-alignment',
  47: 'serror',
  [EC.breakpoint]: 'breakpoint-el0',
  [EC.breakpoint + 1]: 'breakpoint-el1',
  [EC.softwareStep]: 'software-step-el0',
  [EC.softwareStep + 1]: 'software-step-el1',
  [EC.watchpoint]: 'watchpoint-el0',
  [EC.watchpoint + 1]: 'watchpoint-el1',
  [EC.brk]: 'brk',
};
const FAULTS = ['address-size', 'translation', 'access-flag', 'permission'];

/** Name of the exception class in bits 31..26 of a syndrome. */
export function exceptionClassName(esr: number): string {
  const ec = esr >>> 26;
  return CLASSES[ec] ?? `class-0x${ec.toString(16)}`;
}

/** Whether the syndrome is of an abort: then FAR_EL1 and {@link faultName} mean something. */
export function isAbort(esr: number): boolean {
  const ec = esr >>> 26;
  return (ec & ~5) === EC.instructionAbort;
}

/** Name of an abort's fault status, with the level where there is one: `translation-l3`. */
export function faultName(esr: number): string {
  const status = esr & 0x3f;
  if (status < 0x10) return `${FAULTS[status >> 2]}-l${status & 3}`;
  if (status === 0x10) return 'external';
  if (status >= 0x14 && status < 0x18) return `external-on-walk-l${status & 3}`;
  if (status === 0x21) return 'alignment';
  return `status-0x${status.toString(16)}`;
}
