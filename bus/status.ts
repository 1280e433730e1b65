/**
 * The status table: the only place where a code is written. A row says the same thing in every language we speak: ours,
 * Hyper-V's (TLFS, status codes), errno, the process's exit code (sysexits.h) and a sentence for people.
 * Ranges of ours: 0x00xx generic, 0x01xx capability, 0x02xx bus; each later component takes a range of its own.
 */
import { assert } from './assert.js';
import type { Err } from './result.js';

/** One row of the table. */
export interface StatusRow {
  /** Our code; unique. */
  readonly code: number;
  /** The HV_STATUS value a Hyper-V guest sees. */
  readonly hv: number;
  /** The errno name a Unix caller sees; empty for success. */
  readonly errno: string;
  /** Exit code of the command-line tool. */
  readonly exit: number;
  /** What a person reads: a clause without a full stop. */
  readonly text: string;
}

/** Checks at load that codes are unique, and keeps the row names as literal types. */
export function statusTable<const Rows extends Readonly<Record<string, StatusRow>>>(rows: Rows): Rows {
  const seen = new Map<number, string>();
  for (const [name, row] of Object.entries(rows)) {
    const other = seen.get(row.code);
    assert(other === undefined, `statuses ${other} and ${name} share the code ${row.code}`);
    seen.set(row.code, name);
  }
  return rows;
}

/** Every status we have. A Hyper-V code is the nearest one in the TLFS; a guest never sees the others. */
export const STATUS = statusTable({
  //              ours          Hyper-V     errno                CLI exit  what a person reads
  ok: { code: 0x0000, hv: 0x0000, errno: '', exit: 0, text: 'done' },
  badArgument: { code: 0x0001, hv: 0x0005, errno: 'EINVAL', exit: 64, text: 'an argument is out of range' },
  queueFull: {
    code: 0x0201,
    hv: 0x0013,
    errno: 'EAGAIN',
    exit: 75,
    text: 'the queue is full; wait for its space signal',
  },
  queueEmpty: {
    code: 0x0202,
    hv: 0x001b,
    errno: 'EAGAIN',
    exit: 75,
    text: 'the queue is empty; wait for its data signal',
  },
  messageSize: { code: 0x0203, hv: 0x0005, errno: 'EMSGSIZE', exit: 65, text: 'the message does not fit' },
  corrupt: {
    code: 0x0204,
    hv: 0x0071,
    errno: 'EIO',
    exit: 70,
    text: 'shared memory holds what no correct peer writes',
  },
  undecodable: { code: 0x0205, hv: 0x0005, errno: 'EBADMSG', exit: 65, text: 'the bytes are not a message' },
  unimplemented: { code: 0x0002, hv: 0x0002, errno: 'ENOSYS', exit: 69, text: 'this form of the call does not exist' },
});

/** The name of a status, which is what travels in a `Fault`. */
export type StatusName = keyof typeof STATUS;

/** Why something expected went wrong: which status, at which field or step, and below it the cause. */
export interface Fault<S extends StatusName = StatusName> {
  readonly status: S;
  /** The field or step, such as `QueueSendInput.flags`. */
  readonly at: string;
  readonly cause?: Fault;
}

/** A failed `Result` carrying a `Fault`. */
export function fail<const S extends Exclude<StatusName, 'ok'>>(status: S, at: string, cause?: Fault): Err<Fault<S>> {
  return { ok: false, error: cause === undefined ? { status, at } : { status, at, cause } };
}
