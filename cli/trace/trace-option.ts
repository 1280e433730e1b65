/** `--trace KINDS[:FILE]` or `--trace FILE`: what of the machine is told, and where. */
import { err, ok, type Result } from '../../bus/result.js';
import { TRACE_KINDS, type TraceKind } from '../../bus/tap/trace.js';

/** What was asked for. */
export interface TraceRequest {
  readonly kinds: ReadonlySet<TraceKind>;
  /** Absent: standard error. */
  readonly file: string | undefined;
}

/** Stepping the guest makes it a hundred times slower, so these are only traced when named. */
const STEPPING: ReadonlySet<TraceKind> = new Set(['insn', 'block']);
const ALL = TRACE_KINDS.filter((kind) => !STEPPING.has(kind));
/** For a file alone. */
const USUAL: readonly TraceKind[] = ['exception', 'hypercall', 'power'];

/** Help text of the option. */
export const TRACE_HELP = `KINDS[:FILE] or FILE; kinds: ${TRACE_KINDS.join(',')} or all (all but insn and block)`;

function kindsOf(list: string): readonly TraceKind[] | undefined {
  const kinds: TraceKind[] = [];
  for (const name of list.split(',')) {
    const kind = TRACE_KINDS.find((known) => known === name);
    if (name === 'all') kinds.push(...ALL);
    else if (kind !== undefined) kinds.push(kind);
    else return undefined;
  }
  return kinds;
}

/** Reads the option's argument; what is not a list of kinds is a file. The error is a sentence. */
export function parseTrace(text: string): Result<TraceRequest, string> {
  const colon = text.indexOf(':');
  const kinds = kindsOf(colon < 0 ? text : text.slice(0, colon));
  if (kinds !== undefined) {
    const file = colon < 0 ? undefined : text.slice(colon + 1);
    return file === '' ? err('--trace KINDS: needs a file behind the colon') : ok({ kinds: new Set(kinds), file });
  }
  if (text === '') return err('--trace takes KINDS[:FILE] or FILE, not nothing');
  // A slip in a list of kinds is not meant as a file's name.
  if (text.includes(',') && text.split(/[,:]/).some((name) => name === 'all' || kindsOf(name) !== undefined)) {
    return err(`--trace takes kinds among ${TRACE_KINDS.join(', ')} and all, not "${text}"`);
  }
  return ok({ kinds: new Set(USUAL), file: text });
}
