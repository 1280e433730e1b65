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

/** Letters that must be put in, taken out or changed to make `wanted` of `given` (Levenshtein's distance). */
function slips(given: string, wanted: string): number {
  let row = [...wanted, ''].map((_, n) => n);
  for (const [n, letter] of [...given].entries()) {
    const next = [n + 1];
    for (const [i, other] of [...wanted].entries()) {
      const changed = (row[i] ?? 0) + (letter === other ? 0 : 1);
      next.push(Math.min(changed, (row[i + 1] ?? 0) + 1, (next[i] ?? 0) + 1));
    }
    row = next;
  }
  return row[wanted.length] ?? 0;
}

/** The kind that a word of letters is taken to mean, if a slip or two is all that differs. */
function meant(name: string): string | undefined {
  if (!/^[a-z]+$/i.test(name)) return undefined;
  return TRACE_KINDS.find((kind) => slips(name.toLowerCase(), kind) <= (kind.length > 4 ? 2 : 1));
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
  const kind = meant(colon < 0 ? text : text.slice(0, colon));
  if (kind !== undefined) return err(`--trace knows ${kind}, not "${text}"; for a file of that name give ./${text}`);
  return ok({ kinds: new Set(USUAL), file: text });
}
