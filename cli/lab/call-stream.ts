/** The calls of a host's VMs as a stream: on while somebody subscribes, off after the last one has gone. */
import { Observable, share } from 'rxjs';
import type { CallTap, TappedCall } from '../../actors/shared-state/call-tap/call-tap.js';
import type { CallRecord } from './lab-host.js';

/** How often the tap is drained while somebody watches. */
const TURN_MS = 5;
const BATCH = 1024;
/** Batches of one turn: guests may make calls faster than they are told of, and the thread has other work too. */
const TURN_BATCHES = 2;
const SMC = 1 << 16;

function recordOf(call: TappedCall, vm: string): CallRecord {
  const { vcpu, instruction, object, sequence, lost, before, after, messageBytes } = call;
  return {
    ...{ vm, vcpu, object, sequence, lost, before, after, messageBytes },
    startNs: Number(call.startNs),
    durationNs: call.durationNs,
    instruction: (instruction & SMC) === 0 ? 'hvc' : 'smc',
    immediate: instruction & 0xffff,
    message: messageBytes === 0 ? undefined : call.message,
  };
}

/** `nameOf` is the VM of a partition; calls of partitions that have none are left out. */
export function callStream(
  tap: CallTap,
  nameOf: (partition: number) => string | undefined,
): Observable<readonly CallRecord[]> {
  return new Observable<readonly CallRecord[]>((observer) => {
    tap.watch(true);
    const drain = (): void => {
      for (let batch = 0; batch < TURN_BATCHES; batch++) {
        const calls = tap.take(BATCH);
        const records = calls.flatMap((call) => {
          const vm = nameOf(call.partition);
          return vm === undefined ? [] : [recordOf(call, vm)];
        });
        if (records.length > 0) observer.next(records);
        if (calls.length < BATCH) return;
      }
    };
    const timer = setInterval(drain, TURN_MS);
    return () => {
      clearInterval(timer);
      tap.watch(false);
    };
  }).pipe(share());
}
