/** Hints and barriers (Arm ARM C4.1.93, "Hints", "Barriers"). Unallocated hints do nothing, which is what hints are for. */
import { EXIT, STATE } from '../state.js';
import { openMonitor } from './exclusives.js';
import { instruction } from './instruction.js';

const hintNumber = (f: { readonly crm: number; readonly op2: number }): number => f.crm * 8 + f.op2;
const WFE = 2;
const SEVL = 5;
const isPlain = (n: number): boolean => n < WFE || n > SEVL;

/** Instructions of this chapter. */
export const HINTS = [
  instruction(
    'HINT',
    '11010101 00000011 0010 crm:4 op2:3 11111',
    { when: (f) => isPlain(hintNumber(f)), hot: true },
    () => undefined,
  ),
  instruction('WFE', '11010101 00000011 0010 0000 010 11111', { flow: 'exit', untested: true }, (_op, k) => {
    const event = k.stateLoad('u32', STATE.event);
    k.stateStore('u32', STATE.event, k.i32(0));
    k.if(k.eqz(event), () => k.exitAfter(EXIT.wfe));
  }),
  instruction('WFI', '11010101 00000011 0010 0000 011 11111', { flow: 'exit', untested: true }, (_op, k) =>
    k.exitAfter(EXIT.wfi),
  ),
  instruction('SEV', '11010101 00000011 0010 0000 100 11111', { flow: 'exit', untested: true }, (_op, k) => {
    k.stateStore('u32', STATE.event, k.i32(1));
    k.exitAfter(EXIT.sev);
  }),
  instruction('SEVL', '11010101 00000011 0010 0000 101 11111', { untested: true }, (_op, k) =>
    k.stateStore('u32', STATE.event, k.i32(1)),
  ),
  instruction('CLREX', '11010101 00000011 0011 crm:4 010 11111', {}, (_op, k) => openMonitor(k)),
  instruction(
    'DSB',
    '11010101 00000011 0011 crm:4 100 11111',
    { when: (f) => f.crm !== 0 && f.crm !== 4 },
    (_op, k) => {
      k.fence();
      k.slowIf(k.stateLoad('u32', STATE.remotePending), () => k.helper('barrier', []));
    },
  ),
  // SSBB and PSSBB: nothing is speculated here.
  instruction('SSBB/PSSBB', '11010101 00000011 0011 0 pssbb:1 00 100 11111', {}, (_op, k) => k.fence()),
  instruction('DMB', '11010101 00000011 0011 crm:4 101 11111', {}, (_op, k) => k.fence()),
  // Context changes take effect at once (they leave generated code), so there is nothing left to synchronise.
  instruction('ISB', '11010101 00000011 0011 crm:4 110 11111', {}, () => undefined),
  instruction('SB', '11010101 00000011 0011 0000 111 11111', {}, () => undefined),
];
