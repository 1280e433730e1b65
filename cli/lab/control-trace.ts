/** `/v1/trace` and what belongs to it: which calls, in which form, as pieces of text. */
import { concat, defer, filter as keep, map, type Observable, of, takeUntil, timer } from 'rxjs';
import { err, ok, type Result } from '../../bus/result.js';
import { CALL_GROUPS, type CallGroup, type DecodedCall, decodeRecord } from './call-decode.js';
import type { HttpFault } from './http-body.js';
import type { CallRecord, LabHost, QueueCounters } from './lab-host.js';
import { PerfettoWriter } from './perfetto.js';
import { callJson, callText } from './trace-format.js';

/** What to trace. */
export interface TraceQuery {
  readonly vm: string | undefined;
  readonly only: ReadonlySet<CallGroup>;
  readonly format: 'text' | 'json' | 'perfetto';
  readonly seconds: number | undefined;
}

const SECONDS_MAX = 86_400;

/** Checks the parameters. */
export function traceQuery(query: URLSearchParams, hasVm: (name: string) => boolean): Result<TraceQuery, HttpFault> {
  const vm = query.get('vm') ?? undefined;
  if (vm !== undefined && !hasVm(vm)) return err({ status: 404, error: `there is no VM ${JSON.stringify(vm)}` });
  const only = new Set<CallGroup>();
  for (const name of query.get('only')?.split(',') ?? CALL_GROUPS) {
    const group = CALL_GROUPS.find((known) => known === name);
    if (group === undefined) return err({ status: 400, error: `only takes ${CALL_GROUPS.join(', ')}` });
    only.add(group);
  }
  const format = query.get('format') ?? 'text';
  if (format !== 'text' && format !== 'json' && format !== 'perfetto') {
    return err({ status: 400, error: 'format takes text, json, perfetto' });
  }
  const text = query.get('seconds');
  const seconds = text === null ? undefined : Number(text);
  if (seconds !== undefined && !(seconds > 0 && seconds <= SECONDS_MAX)) {
    return err({ status: 400, error: `seconds takes a number above 0, at most ${SECONDS_MAX}` });
  }
  return ok({ vm, only, format, seconds });
}

/** Finds queues by number, asking the host again for one it has not seen. */
function queueFinder(host: LabHost): (object: number) => QueueCounters | undefined {
  let known = new Map<number, QueueCounters>();
  return (object) => {
    if (!known.has(object)) known = new Map(host.queues().map((queue) => [queue.object, queue]));
    return known.get(object);
  };
}

/** The trace as text; completes when its time is over or the host is gone. Its time begins with its first call. */
export function traceText(host: LabHost, query: TraceQuery): Observable<string> {
  const { vm, only, format, seconds } = query;
  const queueOf = queueFinder(host);
  const wanted = (records: readonly CallRecord[]): DecodedCall[] =>
    records
      .filter((record) => vm === undefined || record.vm === vm)
      .map((record) => decodeRecord(record, queueOf))
      .filter(({ groups }) => groups.some((group) => only.has(group)));
  const decoded = (seconds === undefined ? host.calls : host.calls.pipe(takeUntil(timer(seconds * 1000)))).pipe(
    map(wanted),
    keep((calls) => calls.length > 0),
  );
  // The vCPUs' clock is theirs: nothing else of ours need have its zero. Calls of one batch come in any order.
  let originNs: number | undefined;
  const originOf = (calls: readonly DecodedCall[]): number =>
    (originNs ??= calls.reduce((least, { startNs }) => Math.min(least, startNs), Number.POSITIVE_INFINITY));
  if (format === 'perfetto') {
    let writer: PerfettoWriter | undefined;
    const pieces = decoded.pipe(
      map((calls) => {
        writer ??= new PerfettoWriter(originOf(calls));
        return writer.text(calls);
      }),
    );
    return concat(
      pieces,
      defer(() => of((writer ?? new PerfettoWriter(0)).end())),
    );
  }
  const line = format === 'json' ? callJson : callText;
  return decoded.pipe(map((calls) => calls.map((call) => `${line(call, originOf(calls))}\n`).join('')));
}
