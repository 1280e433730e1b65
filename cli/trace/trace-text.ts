/** A trace event as a line: for people and grep, or as JSON. */
import type { TraceEvent } from '../../bus/tap/trace.js';

const word = (value: string | number): string => (/[\s="]/.test(String(value)) ? JSON.stringify(value) : String(value));
const pairs = (fields: Readonly<Record<string, string | number>>): string =>
  Object.entries(fields)
    .map(([name, value]) => ` ${name}=${word(value)}`)
    .join('');

/** `0.012345678 cpu0 exception enter class=svc ...`: guest seconds, who, kind, event, details as name=value. */
export function traceText({ timeNs, who, kind, fields }: TraceEvent): string {
  const head = `${(timeNs / 1e9).toFixed(9)} ${who} ${kind}`;
  if (kind === 'insn') {
    const { pc, word: code, text, ...changed } = fields;
    return `${head} ${pc} ${code} ${text}${Object.keys(changed).length === 0 ? '' : `  ;${pairs(changed)}`}`;
  }
  const { event, ...rest } = fields;
  return `${head}${event === undefined ? '' : ` ${event}`}${pairs(rest)}`;
}

/** The same as one JSON object: `t` in guest seconds. */
export function traceJson({ timeNs, who, kind, fields }: TraceEvent): string {
  return JSON.stringify({ t: timeNs / 1e9, who, kind, ...fields });
}
